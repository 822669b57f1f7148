/** What a run is, in two lines, and what can be done with it. */
import type { JSX } from "preact";
import type { RunView } from "../../protocol/view.ts";
import { call, describeError } from "../api.ts";
import { ConfirmButton } from "../kit/confirm-button.tsx";
import { CopyButton } from "../kit/copy-button.tsx";
import { GroupLink, RunLink, WorkflowLink } from "../kit/links.tsx";
import { StatusBadge } from "../kit/status-badge.tsx";
import { Time } from "../kit/time.tsx";
import { toast } from "../kit/toast.tsx";
import { OpenInStately } from "../inspect/open-in-stately.tsx";
import { Link, navigate, pathTo } from "../router.tsx";
import { readOnly } from "../shell/about.ts";
import { isOver } from "./model/life.ts";
import { workerName } from "./model/names.ts";
import { shortSpan, spanText } from "./model/span-text.ts";
import type { RunStore } from "./run-store.ts";
import { Ticking } from "./ticking.tsx";

export interface RunHeaderProps {
  readonly store: RunStore;
  readonly run: RunView;
}

export function RunHeader({ store, run }: RunHeaderProps): JSX.Element {
  return (
    <header class="run-header">
      <div class="run-title">
        <StatusBadge status={run.status} title={run.reason} />
        <h1>
          <WorkflowLink name={run.workflow} />
        </h1>
        <span class="run-version kit-muted" title={`version ${run.version}`}>
          {shortVersion(run.version)}
        </span>
        <span class="run-id">
          <code title={run.id}>{run.id}</code>
          <CopyButton text={run.id} title="Copy the id" />
        </span>
        <div class="run-actions">
          <OpenInStately key={run.id} run={run.id} />
          <Actions store={store} run={run} />
        </div>
      </div>
      <dl class="run-facts">
        <Facts run={run} />
      </dl>
    </header>
  );
}

function Facts({ run }: { readonly run: RunView }): JSX.Element {
  const { createdAt, finishedAt, startedAt } = run;
  const workers = [...new Set(Object.values(run.steps).flatMap(({ worker }) => worker ?? []))];
  return (
    <>
      {run.keys.length > 0 && (
        <Fact name={run.keys.length > 1 ? "Groups" : "Group"}>
          {run.keys.map(({ limit, key }) => (
            <span class="run-key" key={`${limit}/${key}`}>
              <GroupLink limit={limit} groupKey={key} />
            </span>
          ))}
        </Fact>
      )}
      <Fact name="Trigger">
        {run.event !== undefined ? (
          <Link href={`/events?name=${encodeURIComponent(run.event.name)}`} title={`event ${run.event.seq} of the stream`}>
            {run.event.name} <span class="kit-muted">#{run.event.seq}</span>
          </Link>
        ) : run.replayOf !== undefined ? (
          <>
            replay of <RunLink id={run.replayOf} />
          </>
        ) : typeof run.metadata["cron"] === "string" ? (
          <>cron {run.metadata["cron"]}</>
        ) : (
          "a call"
        )}
      </Fact>
      {run.event !== undefined && run.replayOf !== undefined && (
        <Fact name="Replay of">
          <RunLink id={run.replayOf} />
        </Fact>
      )}
      <Fact name="Created">
        <Time at={createdAt} />
      </Fact>
      {startedAt !== undefined && (
        <Fact name="Waited">
          <span title={`until its first step started: ${spanText(Date.parse(startedAt) - Date.parse(createdAt))}`}>
            {shortSpan(Date.parse(startedAt) - Date.parse(createdAt))}
          </span>
        </Fact>
      )}
      <Fact name={startedAt === undefined ? "Age" : finishedAt === undefined ? "Runs for" : "Ran for"}>
        {finishedAt === undefined ? (
          <Ticking at={startedAt ?? createdAt} kind="since" />
        ) : (
          <span title={spanText(Date.parse(finishedAt) - Date.parse(startedAt ?? createdAt))}>
            {shortSpan(Date.parse(finishedAt) - Date.parse(startedAt ?? createdAt))}
          </span>
        )}
      </Fact>
      {workers.length > 0 && (
        <Fact name={workers.length > 1 ? "Workers" : "Worker"}>
          {workers.slice(0, 3).map((id) => (
            <Link key={id} class="run-worker" href="/workers" title={id}>
              {workerName(id)}
            </Link>
          ))}
          {workers.length > 3 && <span class="kit-muted">+{workers.length - 3}</span>}
        </Fact>
      )}
      {run.priority !== 0 && <Fact name="Priority">{run.priority}</Fact>}
      {isOver(run.status) && run.status !== "SUCCEEDED" && run.reason !== undefined && (
        <Fact name="Reason">
          <code>{run.reason}</code>
        </Fact>
      )}
    </>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children?: preact.ComponentChildren }): JSX.Element {
  return (
    <div class="run-fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Actions({ store, run }: RunHeaderProps): JSX.Element | null {
  if (readOnly.value) return null;
  const cancel = async (): Promise<void> => {
    try {
      await call("run.cancel", { id: run.id });
      toast("The run is being cancelled", "ok");
      store.refresh();
    } catch (error) {
      toast(`The run was not cancelled: ${describeError(error)}`, "bad");
    }
  };
  const replay = async (): Promise<void> => {
    try {
      const fresh = await call("run.replay", { id: run.id });
      toast("A new run has the same input", "ok", { label: "Open it", run: () => navigate(pathTo("runs", fresh.id)) });
    } catch (error) {
      toast(`The run was not replayed: ${describeError(error)}`, "bad");
    }
  };
  return (
    <>
      {!isOver(run.status) && (
        <ConfirmButton
          kind="danger"
          question="Cancel this run?"
          detail="Steps that are at work are told to stop; the run ends when they have, or after the grace."
          confirm="Cancel the run"
          onConfirm={() => void cancel()}
        >
          Cancel
        </ConfirmButton>
      )}
      <ConfirmButton
        question="Replay this run?"
        detail={`A new run of "${run.workflow}" is created with the same input, in the version that new runs get. This one stays as it is.`}
        confirm="Replay it"
        onConfirm={() => void replay()}
      >
        Replay
      </ConfirmButton>
    </>
  );
}

/** Hashes are cut; what people wrote is not. */
function shortVersion(version: string): string {
  return /^[0-9a-f]{16,}$/.test(version) ? version.slice(0, 8) : version;
}
