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

const SPAN_MS = { least: 30_000, most: 5 * 60_000 };
const WIDTH = 220;
const HEIGHT = 40;

export function GroupTrend({ group }: { readonly group: GroupView }): JSX.Element {
  const samples = useSignal<readonly Sample[]>([]);
  const { active, waiting } = group;
  useEffect(() => {
    const at = Date.now();
    samples.value = [...samples.peek().filter((sample) => sample.at > at - SPAN_MS.most), { at, active, waiting }];
  }, [active, waiting, samples]);
  // The line goes on while nothing changes.
  const end = Math.max(now.value, samples.value.at(-1)?.at ?? 0);
  const span = Math.min(SPAN_MS.most, Math.max(SPAN_MS.least, end - (samples.value[0]?.at ?? end)));
  const most = Math.max(1, ...samples.value.map((sample) => Math.max(sample.active, sample.waiting)));
  const path = (of: "active" | "waiting"): string => stairs(samples.value, of, { end, span, most });
  return (
    <figure class="groups-trend" aria-label={`Since this page is open: ${active} active and ${waiting} waiting now`}>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} aria-hidden="true">
        <path
          class="groups-trend-waiting-area"
          d={`${path("waiting")} V${HEIGHT} H${startOf(samples.value, { end, span, most })} Z`}
        />
        <path class="groups-trend-waiting" d={path("waiting")} />
        <path class="groups-trend-active" d={path("active")} />
      </svg>
      <figcaption>
        <span data-trend="active">active</span> <span data-trend="waiting">waiting</span>
        <span class="kit-muted">
          {span >= 60_000 ? `${Math.round(span / 60_000)} min` : `${Math.round(span / 1_000)} s`} · max {most}
        </span>
      </figcaption>
    </figure>
  );
}

interface Scale {
  /** The time at the right edge. */
  readonly end: number;
  /** From the left edge to the right one, in ms. */
  readonly span: number;
  /** The number at the top. */
  readonly most: number;
}

function x(at: number, { end, span }: Scale): number {
  return Math.max(0, WIDTH - ((end - at) / span) * WIDTH);
}

function startOf(samples: readonly Sample[], scale: Scale): string {
  return x(samples[0]?.at ?? scale.end, scale).toFixed(1);
}

/** Steps, not slopes: between two changes nothing changed. */
function stairs(samples: readonly Sample[], of: "active" | "waiting", scale: Scale): string {
  if (samples.length === 0) return "M0 0";
  const y = (sample: Sample): string => (HEIGHT - 1.5 - (sample[of] / scale.most) * (HEIGHT - 4)).toFixed(1);
  const parts = samples.map((sample, i) =>
    i === 0 ? `M${x(sample.at, scale).toFixed(1)} ${y(sample)}` : `H${x(sample.at, scale).toFixed(1)} V${y(sample)}`,
  );
  return `${parts.join(" ")} H${WIDTH}`;
}
