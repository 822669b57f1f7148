/** Runs by status, at a glance; each filters at a click, and once more takes the filter away. */
import type { JSX } from "preact";
import type { RunStatus } from "../../protocol/view.ts";
import { StatusBadge } from "../kit/status-badge.tsx";
import { STATUSES } from "./filter.ts";
import type { Counted, StatusCounts } from "./status-counts.ts";

export interface CountersProps {
  readonly counts: StatusCounts;
  readonly active: readonly RunStatus[];
  readonly onPick: (status: RunStatus | undefined) => void;
}

export function Counters({ counts, active, onPick }: CountersProps): JSX.Element {
  const counted = counts.counts.value;
  const known = Object.values(counted);
  const all: Counted | undefined =
    known.length === 0
      ? undefined
      : { count: known.reduce((sum, { count }) => sum + count, 0), atLeast: known.some(({ atLeast }) => atLeast) };
  return (
    <div class="runs-counters" role="group" aria-label="Runs by status">
      <button type="button" aria-pressed={active.length === 0} onClick={() => onPick(undefined)}>
        All <b>{countText(all)}</b>
      </button>
      {STATUSES.map((status) => {
        const pressed = active.includes(status);
        return (
          <button
            key={status}
            type="button"
            aria-pressed={pressed}
            data-zero={counted[status]?.count === 0}
            onClick={() => onPick(pressed && active.length === 1 ? undefined : status)}
          >
            <StatusBadge status={status} /> <b>{countText(counted[status])}</b>
          </button>
        );
      })}
    </div>
  );
}

export function countText(counted: Counted | undefined): string {
  return counted === undefined ? "" : `${counted.count.toLocaleString("en")}${counted.atLeast ? "+" : ""}`;
}
