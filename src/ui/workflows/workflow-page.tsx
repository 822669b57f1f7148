/** The page of one workflow: its machine with all its runs, a form to start one, and the definition, in any of its versions. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { WorkflowView } from "../../protocol/view.ts";
import { call, describeError, isAbort } from "../api.ts";
import { EmptyState } from "../kit/empty-state.tsx";
import { useKeys } from "../kit/keys.tsx";
import { Time } from "../kit/time.tsx";
import { useLive } from "../live.ts";
import { Link, route, setQuery } from "../router.tsx";
import { readOnly } from "../shell/about.ts";
import { Counts } from "./counts.tsx";
import { DefinitionView } from "./definition-view.tsx";
import { runsAt } from "./filter-address.ts";
import { PopulationChart, usePopulation } from "./population-chart.tsx";
import { StartForm } from "./start-form.tsx";
import "./workflows.css";

export function WorkflowPage(): JSX.Element {
  const [, name = ""] = route.value.path;
  return <OneWorkflow key={name} name={name} />;
}

function OneWorkflow({ name }: { readonly name: string }): JSX.Element {
  const chosen = route.value.query.get("version") ?? undefined;
  const [latest, setLatest] = useState<WorkflowView | undefined>(undefined);
  const [view, setView] = useState<WorkflowView | undefined>(undefined);
  const [error, setError] = useState<string | undefined>(undefined);
  const [change, setChange] = useState(0);
  const [registered, setRegistered] = useState(0);

  useEffect(() => {
    const request = new AbortController();
    const load = async () => {
      try {
        const newest = await call("workflow.get", { name }, request.signal);
        setLatest(newest);
        setView(
          chosen === undefined || chosen === newest.version
            ? newest
            : await call("workflow.get", { name, version: chosen }, request.signal),
        );
        setError(undefined);
      } catch (reason) {
        if (!isAbort(reason)) setError(describeError(reason));
      }
    };
    void load();
    return () => request.abort();
  }, [name, chosen, registered]);
  useLive("workflows", (event, data) => {
    if (event === "reset") setRegistered((before) => before + 1);
    // `hello`: what changed before the stream was there has been told to nobody.
    const mine = event === "hello" || event === "reset" || (event === "workflows" && data.names.includes(name));
    if (mine) setChange((before) => before + 1);
  });
  const population = usePopulation(name, view?.version, change);
  useKeys({
    s: {
      does: "start a run",
      run: () => document.querySelector<HTMLElement>("#start :is(input, textarea, select)")?.focus(),
    },
  });
  // The list's "Start" leads to the form.
  const loaded = view !== undefined;
  useEffect(() => {
    if (loaded && location.hash === "#start") document.getElementById("start")?.scrollIntoView({ block: "nearest" });
  }, [loaded]);

  if (view === undefined || latest === undefined)
    return error === undefined ? (
      <div aria-busy="true" />
    ) : (
      <EmptyState title={`There is no workflow “${name}”`} text={error} action={<Link href="/workflows">All workflows</Link>} />
    );
  const { version, versions, registeredAt, spec, nextCron = [] } = view;
  const isLatest = version === latest.version;
  const ordered = [latest.version, ...latest.versions.filter((one) => one !== latest.version)];
  return (
    <div class="flows-page">
      <header class="flows-head flows-one-head">
        <h1>{name}</h1>
        {versions.length > 1 ? (
          <label class="flows-version">
            <span class="kit-muted">version</span>
            <select
              class="kit-input"
              value={version}
              onChange={(event) => {
                const next = event.currentTarget.value;
                setQuery({ version: next === latest.version ? undefined : next });
              }}
            >
              {ordered.map((one) => (
                <option key={one} value={one}>
                  {one.slice(0, 12)}
                  {one === latest.version ? " (latest)" : ""}
                </option>
              ))}
            </select>
          </label>
        ) : (
          <span class="kit-muted">
            version <code title={version}>{version.slice(0, 12)}</code>
          </span>
        )}
        <span class="kit-muted">
          registered <Time at={registeredAt} />
        </span>
        {!isLatest && (
          <span class="flows-old">
            New runs get <Link href={`/workflows/${encodeURIComponent(name)}`}>{latest.version.slice(0, 12)}</Link>
          </span>
        )}
        <Counts workflow={name} population={population} />
      </header>
      {population !== undefined && population.openInOtherVersions > 0 && (
        <p class="flows-note">
          <Link href={runsAt({ workflow: name, status: "QUEUED,RUNNING" })}>
            {population.openInOtherVersions.toLocaleString("en")} open runs
          </Link>{" "}
          belong to other versions and are not in this chart.
        </p>
      )}
      <div class="flows-body">
        <PopulationChart workflow={name} version={version} population={population} />
        <aside class="flows-aside">
          {isLatest ? (
            <StartForm key={version} workflow={view} disabled={readOnly.value} />
          ) : (
            <p class="flows-section kit-muted">Runs are started in the latest version only.</p>
          )}
        </aside>
        <div class="flows-definition">
          <DefinitionView spec={spec} nextCron={isLatest ? nextCron : []} />
        </div>
      </div>
    </div>
  );
}
