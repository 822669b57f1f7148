/** One worker: its slots, its signs of life, what it serves; on demand, the runs that it is executing. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { RunView, WorkerView } from "../../protocol/view.ts";
import { call, isAbort } from "../api.ts";
import { Button } from "../kit/button.tsx";
import { ConfirmButton } from "../kit/confirm-button.tsx";
import { RunLink, WorkflowLink } from "../kit/links.tsx";
import { Duration, Time } from "../kit/time.tsx";

export interface WorkerRowProps {
  readonly worker: WorkerView;
  readonly selected: boolean;
  readonly open: boolean;
  readonly readOnly: boolean;
  readonly onToggle: () => void;
  readonly onDrain: () => void;
}

const MODES: Readonly<Record<WorkerView["mode"], string>> = {
  running: "Takes work",
  draining: "Finishes what it has and takes no further steps",
  stopped: "Has said goodbye",
  lost: "Was not heard of for too long: its steps were given to others",
};

export function WorkerRow({ worker, selected, open, readOnly, onToggle, onDrain }: WorkerRowProps): JSX.Element {
  const { id, name, mode, slots, used, lastSeenAt, startedAt, host, pid, sluiceVersion, workflows } = worker;
  const steps = workflows.reduce((sum, workflow) => sum + workflow.steps.length, 0);
  return (
    <li class="workers-row" data-worker={id} data-mode={mode} aria-current={selected ? "true" : undefined}>
      <div class="workers-line">
        <div class="workers-name">
          <span class="workers-mode" data-mode={mode} title={MODES[mode]}>
            {mode}
          </span>
          <b>{name}</b>
          <span class="kit-muted workers-where" title={id}>
            {host} · pid {pid} · {sluiceVersion}
          </span>
        </div>
        <div class="workers-slots">
          <span
            class="workers-bar"
            role="meter"
            aria-label={`Slots of ${name}`}
            aria-valuemin={0}
            aria-valuemax={slots}
            aria-valuenow={Math.min(used, slots)}
          >
            <i style={{ width: `${Math.min(100, (100 * used) / Math.max(1, slots))}%` }} data-full={used >= slots} />
          </span>
          <span>
            {used}/{slots}
          </span>
        </div>
        <div class="workers-serves">
          <Button kind="quiet" aria-expanded={open} onClick={onToggle}>
            {open ? "▾" : "▸"} {steps} {steps === 1 ? "step" : "steps"} of {workflows.length}{" "}
            {workflows.length === 1 ? "workflow" : "workflows"}
          </Button>
        </div>
        <div class="workers-seen">
          <span class="kit-muted">heard </span>
          <Time at={lastSeenAt} />
        </div>
        <div class="workers-up">
          <span class="kit-muted">up </span>
          {mode === "lost" || mode === "stopped" ? <Duration from={startedAt} to={lastSeenAt} /> : <Duration from={startedAt} />}
        </div>
        <div class="workers-action">
          {!readOnly && mode === "running" && (
            <ConfirmButton
              question={`Drain ${name}?`}
              detail={
                <p class="kit-muted">
                  It finishes the {used} {used === 1 ? "step" : "steps"} that it has and takes no further ones, then its process
                  ends. It cannot be taken back: start the worker again instead.
                </p>
              }
              confirm="Drain it"
              onConfirm={onDrain}
            >
              Drain
            </ConfirmButton>
          )}
        </div>
      </div>
      {open && (
        <div class="workers-more">
          <table>
            <tbody>
              {workflows.map((workflow) => (
                <tr key={`${workflow.name} ${workflow.version}`}>
                  <th scope="row">
                    <WorkflowLink name={workflow.name} />
                  </th>
                  <td class="kit-muted">
                    <code title={workflow.version}>{workflow.version.slice(0, 12)}</code>
                  </td>
                  <td>
                    {workflow.steps.map((step) => (
                      <code key={step} class="workers-step">
                        {step}
                      </code>
                    ))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          <Executing worker={worker} />
        </div>
      )}
    </li>
  );
}

const LOOKED_THROUGH = 500;
const SHOWN = 50;

/** The steps that it has in work, as the list of running runs tells. */
function Executing({ worker }: { readonly worker: WorkerView }): JSX.Element | null {
  const { id, name, used, lastSeenAt } = worker;
  const [runs, setRuns] = useState<readonly RunView[] | undefined>(undefined);
  useEffect(() => {
    const request = new AbortController();
    call("run.list", { status: "RUNNING", size: LOOKED_THROUGH }, request.signal).then(
      ({ items }) => setRuns(items),
      (error: unknown) => {
        if (!isAbort(error)) setRuns([]);
      },
    );
    return () => request.abort();
    // With each sign of life: other runs may be in the same slots.
  }, [id, used, lastSeenAt]);
  if (used === 0) return <p class="kit-muted">It executes nothing at the moment.</p>;
  if (runs === undefined) return null;
  const found = runs.flatMap((run) =>
    Object.entries(run.steps).flatMap(([step, view]) =>
      (view.worker === id || view.worker === name) && view.status === "RUNNING" ? [{ run, step, view }] : [],
    ),
  );
  return (
    <>
      <p class="kit-muted">Executes at the moment</p>
      <ul class="workers-runs">
        {found.slice(0, SHOWN).map(({ run, step, view }) => (
          <li key={`${run.id} ${step}`}>
            <RunLink id={run.id} /> <code>{step}</code>{" "}
            <span class="kit-muted">
              of {run.workflow}, attempt {view.attempts}
            </span>{" "}
            <Duration from={view.startedAt} />
          </li>
        ))}
        {found.length < used && (
          <li class="kit-muted">{found.length === 0 ? `${used} steps` : `and ${used - Math.min(SHOWN, found.length)} more`}</li>
        )}
      </ul>
    </>
  );
}
