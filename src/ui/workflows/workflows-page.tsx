/** The page "Workflows": what is registered, what starts it, what limits it, and how its runs are doing. */
import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { WorkflowView } from "../../protocol/view.ts";
import { call, describeError, isAbort } from "../api.ts";
import { EmptyState } from "../kit/empty-state.tsx";
import { useKeys } from "../kit/keys.tsx";
import { WorkflowLink } from "../kit/links.tsx";
import { useLive } from "../live.ts";
import { Link, navigate, pathTo } from "../router.tsx";
import { about } from "../shell/about.ts";
import { Counts } from "./counts.tsx";
import { LimitLine } from "./limit-line.tsx";
import { Populations } from "./populations.ts";
import { StepsGraph } from "./steps-graph.tsx";
import { CronName, CronTime, EventNames } from "./triggers.tsx";
import "./workflows.css";

export function WorkflowsPage(): JSX.Element {
  const [workflows, setWorkflows] = useState<readonly WorkflowView[] | undefined>(undefined);
  const [error, setError] = useState<string | undefined>(undefined);
  const [selected, setSelected] = useState(-1);
  const populations = useMemo(() => new Populations(), []);
  useEffect(() => () => populations.stop(), [populations]);

  const load = async (signal?: AbortSignal) => {
    try {
      const { items } = await call("workflow.list", {}, signal);
      const sorted = items.toSorted((a, b) => a.name.localeCompare(b.name));
      setWorkflows(sorted);
      setError(undefined);
      populations.ask(sorted.map(({ name }) => name));
    } catch (reason) {
      if (!isAbort(reason)) setError(describeError(reason));
    }
  };
  useEffect(() => {
    const request = new AbortController();
    void load(request.signal);
    return () => request.abort();
  }, []);
  useLive("workflows", (event, data) => {
    if (event === "reset" || event === "hello") void load();
    else if (event === "workflows") {
      // A name that is not in the list is a workflow that has just been registered.
      if (data.names.some((name) => workflows?.every((workflow) => workflow.name !== name) === true)) void load();
      else populations.ask(data.names);
    }
  });
  const items = workflows ?? [];
  const move = (by: number) => setSelected((at) => Math.min(items.length - 1, Math.max(0, at + by)));
  useEffect(() => document.querySelector(".flows-row[aria-current]")?.scrollIntoView({ block: "nearest" }), [selected]);
  useKeys({
    j: { does: "next workflow", run: () => move(1) },
    k: { does: "previous workflow", run: () => move(-1) },
    ArrowDown: { does: "next workflow", run: () => move(1) },
    ArrowUp: { does: "previous workflow", run: () => move(-1) },
    Enter: {
      does: "open the workflow",
      run: () => {
        const workflow = items[selected];
        if (workflow !== undefined) navigate(pathTo("workflows", workflow.name));
      },
    },
  });

  if (workflows === undefined)
    return error === undefined ? <div aria-busy="true" /> : <EmptyState title="The workflows cannot be listed" text={error} />;
  if (items.length === 0) return <NoWorkflows />;
  const byName = populations.byName.value;
  return (
    <div class="flows-page">
      <div class="flows-head">
        <h1>Workflows</h1>
        <span class="kit-muted">{items.length}</span>
      </div>
      <ul class="flows-list">
        {items.map((workflow, i) => {
          const { name, version, spec, nextCron = [], versions } = workflow;
          return (
            <li key={name} class="flows-row" data-workflow={name} aria-current={i === selected ? "true" : undefined}>
              <div class="flows-name">
                <WorkflowLink name={name} />
                <span class="kit-muted">
                  <code title={`version ${version}`}>{version.slice(0, 8)}</code>
                  {versions.length > 1 && ` · ${versions.length} versions`}
                </span>
              </div>
              <div class="flows-steps">
                <StepsGraph steps={spec.steps} mini />
              </div>
              <div class="flows-triggers">
                <EventNames on={spec.on} />
                {spec.cron.map((cron, at) => (
                  <CronName key={at} cron={cron} />
                ))}
                {nextCron[0] !== undefined && <CronTime at={nextCron[0]} />}
                {spec.on.length === 0 && spec.cron.length === 0 && <span class="kit-muted">calls only</span>}
              </div>
              <div class="flows-limits">
                {spec.limits.map((limit) => (
                  <LimitLine key={limit.name} limit={limit} />
                ))}
                {spec.limits.length === 0 && <span class="kit-muted">no limit</span>}
              </div>
              <Counts workflow={name} population={byName.get(name)} />
              <Link class="flows-start" href={`${pathTo("workflows", name)}#start`} title={`Start a run of ${name}`}>
                Start
              </Link>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function NoWorkflows(): JSX.Element {
  const url = about.value?.natsUrl ?? "nats://localhost:4222";
  return (
    <EmptyState
      title="No workflow is registered"
      text="Workers register their workflows when they start. Start one on a file that defines workflows:"
      commands={[`sluice worker ./workflows.ts --nats ${url}`, "sluice dev ./workflows.ts"]}
    />
  );
}
