/** How many runs of a group had slots and waited over the last minutes: collected while the page is open. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { GroupView } from "../../protocol/view.ts";
import { now } from "../kit/clock.ts";

interface Sample {
  readonly at: number;
  readonly active: number;
  readonly waiting: number;
}

const SPAN_MS = 5 * 60_000;
const WIDTH = 220;
const HEIGHT = 40;

export function GroupTrend({ group }: { readonly group: GroupView }): JSX.Element {
  const samples = useSignal<readonly Sample[]>([]);
  const { active, waiting } = group;
  useEffect(() => {
    const at = Date.now();
    samples.value = [...samples.peek().filter((sample) => sample.at > at - SPAN_MS), { at, active, waiting }];
  }, [active, waiting, samples]);
  // The line goes on while nothing changes.
  const end = Math.max(now.value, samples.value.at(-1)?.at ?? 0);
  const most = Math.max(1, ...samples.value.map((sample) => Math.max(sample.active, sample.waiting)));
  const path = (of: "active" | "waiting"): string => stairs(samples.value, of, end, most);
  return (
    <figure class="groups-trend" aria-label={`Since this page is open: ${active} active and ${waiting} waiting now`}>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} aria-hidden="true">
        <path class="groups-trend-waiting-area" d={`${path("waiting")} V${HEIGHT} H${startOf(samples.value, end)} Z`} />
        <path class="groups-trend-waiting" d={path("waiting")} />
        <path class="groups-trend-active" d={path("active")} />
      </svg>
      <figcaption>
        <span data-trend="active">active</span> <span data-trend="waiting">waiting</span>
        <span class="kit-muted">5 min · max {most}</span>
      </figcaption>
    </figure>
  );
}

function x(at: number, end: number): number {
  return Math.max(0, WIDTH - ((end - at) / SPAN_MS) * WIDTH);
}

function startOf(samples: readonly Sample[], end: number): string {
  return x(samples[0]?.at ?? end, end).toFixed(1);
}

/** Steps, not slopes: between two changes nothing changed. */
function stairs(samples: readonly Sample[], of: "active" | "waiting", end: number, most: number): string {
  if (samples.length === 0) return "M0 0";
  const y = (sample: Sample): string => (HEIGHT - 1.5 - (sample[of] / most) * (HEIGHT - 4)).toFixed(1);
  const parts = samples.map((sample, i) =>
    i === 0 ? `M${x(sample.at, end).toFixed(1)} ${y(sample)}` : `H${x(sample.at, end).toFixed(1)} V${y(sample)}`,
  );
  return `${parts.join(" ")} H${WIDTH}`;
}
