/**
 * A group at a glance: its slots as filled and free marks (or, where they are many, as a bar), and the runs that wait, in
 * order. Marks of runs are links; what they stand for is said on hover (`mark-tip.tsx`) and to screen readers.
 */
import type { JSX } from "preact";
import type { GroupView } from "../../protocol/view.ts";
import { Link, pathTo } from "../router.tsx";
import { shortRun } from "./run-age.ts";

const MAX_MARKS = 24;

export interface SlotMarksProps {
  readonly group: GroupView;
}

export function SlotMarks({ group }: SlotMarksProps): JSX.Element {
  const { active, maxRuns, activeRuns } = group;
  const shown = Math.max(active, maxRuns);
  if (shown > MAX_MARKS || activeRuns.length < active) return <SlotBar group={group} />;
  const stopping = new Set(group.stoppingRuns ?? []);
  const free = Math.max(0, maxRuns - active);
  return (
    <span class="groups-slots" data-slots={`${active}/${maxRuns}`}>
      {activeRuns.map((run, i) => (
        <RunMark key={run} run={run} kind={stopping.has(run) ? "stopping" : i >= maxRuns ? "over" : "active"} />
      ))}
      {Array.from({ length: free }, (_, i) => (
        <i key={`free ${i}`} class="groups-mark" data-mark="free" />
      ))}
      <span class="groups-slots-text">
        {active}/{maxRuns}
      </span>
    </span>
  );
}

function SlotBar({ group }: SlotMarksProps): JSX.Element {
  const { active, maxRuns, stopping } = group;
  const share = (count: number): string => `${Math.min(100, (100 * count) / Math.max(1, maxRuns, active))}%`;
  return (
    <span class="groups-slots" data-slots={`${active}/${maxRuns}`}>
      <span
        class="groups-bar"
        role="meter"
        aria-label="Slots in use"
        aria-valuemin={0}
        aria-valuemax={maxRuns}
        aria-valuenow={Math.min(active, maxRuns)}
        title={`${active} of ${maxRuns} slots in use${stopping > 0 ? `, ${stopping} of them stopping` : ""}`}
      >
        <i data-part="active" style={{ width: share(active - stopping) }} />
        <i data-part="stopping" style={{ width: share(stopping) }} />
      </span>
      <span class="groups-slots-text">
        {active}/{maxRuns}
      </span>
    </span>
  );
}

export interface WaitingMarksProps {
  readonly group: GroupView;
  /** How many at most; the count says the rest. */
  readonly most?: number;
}

export function WaitingMarks({ group, most = 20 }: WaitingMarksProps): JSX.Element | null {
  const { waiting, waitingRuns } = group;
  if (waiting === 0) return null;
  return (
    <span class="groups-line" data-waiting={waiting}>
      {waitingRuns.slice(0, most).map((run, i) => (
        <RunMark key={run} run={run} kind="waiting" place={i + 1} />
      ))}
      <span class="groups-line-text">{waiting.toLocaleString("en")}</span>
    </span>
  );
}

interface RunMarkProps {
  readonly run: string;
  readonly kind: "active" | "stopping" | "over" | "waiting";
  readonly place?: number;
}

const NAMES = { active: "holds a slot", stopping: "is stopping", over: "is above the limit", waiting: "waits" };

function RunMark({ run, kind, place }: RunMarkProps): JSX.Element {
  return (
    <Link
      class="groups-mark"
      href={pathTo("runs", run)}
      data-mark={kind}
      data-run={run}
      data-place={place}
      // Rows have dozens of them: the keyboard opens the row, whose page lists the runs.
      tabIndex={-1}
      aria-label={`run ${shortRun(run)} ${NAMES[kind]}${place === undefined ? "" : `, number ${place} in line`}`}
    />
  );
}
