/** Who has a group's slots: run, what it does at the moment, since when. Free slots are rows, too, while they are few. */
import type { JSX } from "preact";
import type { GroupView, RunView } from "../../protocol/view.ts";
import { RunLink, WorkflowLink } from "../kit/links.tsx";
import { Duration } from "../kit/time.tsx";
import { bornAt } from "./run-age.ts";

export interface GroupSlotsProps {
  readonly group: GroupView;
  readonly runs: ReadonlyMap<string, RunView>;
}

const MOST_FREE = 5;

export function GroupSlots({ group, runs }: GroupSlotsProps): JSX.Element {
  const { active, maxRuns, activeRuns } = group;
  const stopping = new Set(group.stoppingRuns ?? []);
  const free = Math.max(0, maxRuns - active);
  return (
    <section class="groups-section" aria-label="Slots">
      <h2>
        Slots{" "}
        <span class="kit-muted">{`${active} of ${maxRuns} in use${group.stopping > 0 ? `, ${group.stopping} stopping` : ""}`}</span>
      </h2>
      <ul class="groups-runs">
        {activeRuns.map((id, i) => {
          const run = runs.get(id);
          return (
            <li key={id} data-run={id} data-slot={stopping.has(id) ? "stopping" : i >= maxRuns ? "over" : "active"}>
              <i class="groups-mark" data-mark={stopping.has(id) ? "stopping" : i >= maxRuns ? "over" : "active"} />
              <RunLink id={id} />
              <span class="groups-run-what">
                {stopping.has(id) ? <em>stopping</em> : stepText(run)}
                {run !== undefined && (
                  <span class="kit-muted">
                    {" "}
                    · <WorkflowLink name={run.workflow} />
                  </span>
                )}
              </span>
              <span class="groups-run-age" title={run?.admittedAt === undefined ? undefined : "since it was admitted"}>
                <Duration from={run?.admittedAt ?? ageOf(id)} />
              </span>
            </li>
          );
        })}
        {activeRuns.length < active && <li class="groups-run-rest kit-muted">and {active - activeRuns.length} more</li>}
        {Array.from({ length: Math.min(free, MOST_FREE) }, (_, i) => (
          <li key={`free ${i}`} class="groups-run-free kit-muted">
            <i class="groups-mark" data-mark="free" />
            free
          </li>
        ))}
        {free > MOST_FREE && <li class="groups-run-rest kit-muted">and {free - MOST_FREE} more that are free</li>}
      </ul>
    </section>
  );
}

/** What its steps are at, in one phrase. */
function stepText(run: RunView | undefined): string {
  if (run === undefined) return "…";
  const steps = Object.entries(run.steps);
  for (const status of ["RUNNING", "STOPPING", "BACKOFF", "READY"] as const) {
    const names = steps.filter(([, step]) => step.status === status).map(([name]) => name);
    if (names.length === 0) continue;
    const list = names.slice(0, 2).join(", ") + (names.length > 2 ? ` and ${names.length - 2} more` : "");
    if (status === "BACKOFF") return `${list} waits to retry`;
    if (status === "READY") return `${list} waits for a worker`;
    return status === "STOPPING" ? `${list} is stopping` : list;
  }
  return "between steps";
}

function ageOf(id: string): string | undefined {
  const born = bornAt(id);
  return born === undefined ? undefined : new Date(born).toISOString();
}
