/** The bars of one lane: waiting thin, running thick, backoff hatched, stopping striped. What is too small to see is one bar. */
import type { JSX, TargetedPointerEvent } from "preact";
import { shortSpan } from "./model/span-text.ts";
import type { Lane, Segment, SegmentKind } from "./model/timeline.ts";
import type { TipAt } from "./timeline-tip.tsx";
import type { Growth } from "./timeline-view.tsx";

/** Top and height within a lane of 32 px. */
const SHAPE: Readonly<Record<SegmentKind, readonly [y: number, height: number]>> = {
  scheduled: [14, 4],
  keying: [14, 4],
  waiting: [14, 4],
  active: [13, 6],
  ready: [14, 4],
  running: [7, 18],
  stopping: [7, 18],
  backoff: [11, 10],
};

/** Bars that end within so much of the last one are not drawn. */
const UNSEEN_PX = 0.75;

export interface LaneBarsProps {
  readonly lane: Lane;
  readonly x: (at: number) => number;
  readonly width: number;
  readonly endMs: number;
  readonly grow: Growth;
  readonly tip: (at: TipAt | undefined) => void;
}

export function LaneBars({ lane, x, width, endMs, grow, tip }: LaneBarsProps): JSX.Element {
  const bars: JSX.Element[] = [];
  const numbered = lane.attempts > 1;
  let drawnTo = -Infinity;
  for (const segment of lane.segments) {
    const left = x(segment.from);
    const right = x(segment.to ?? endMs);
    if (right < -20 || left > width + 20) continue;
    if (segment.to !== undefined && right - drawnTo < UNSEEN_PX) continue;
    drawnTo = right;
    bars.push(
      <Bar
        key={segment.begins}
        lane={lane}
        segment={segment}
        left={Math.max(-20, left)}
        right={Math.min(right, width + 20)}
        numbered={numbered}
        grow={grow}
        tip={tip}
      />,
    );
  }
  return <>{bars}</>;
}

interface BarProps {
  readonly lane: Lane;
  readonly segment: Segment;
  readonly left: number;
  readonly right: number;
  readonly numbered: boolean;
  readonly grow: Growth;
  readonly tip: (at: TipAt | undefined) => void;
}

function Bar({ lane, segment, left, right, numbered, grow, tip }: BarProps): JSX.Element {
  const { kind, from, to, attempt, outcome, begins } = segment;
  const [y, height] = SHAPE[kind];
  const width = Math.max(kind === "running" ? 2 : 1, right - left);
  const ref = (element: SVGRectElement | null): (() => void) | void => {
    if (element === null || to !== undefined) return undefined;
    grow.bars.set(element, from);
    return () => grow.bars.delete(element);
  };
  const onEnter = (event: TargetedPointerEvent<SVGGElement>): void =>
    tip({ step: lane.step, segment, clientX: event.clientX, clientY: event.clientY });
  return (
    <g
      class="timeline-bar"
      data-kind={kind}
      data-outcome={outcome}
      data-open={to === undefined || undefined}
      data-begins={begins}
      onPointerEnter={onEnter}
      onPointerMove={onEnter}
      onPointerLeave={() => tip(undefined)}
    >
      {height < 12 && <rect class="timeline-touch" x={left} y={4} width={width} height={24} />}
      <rect
        key={to === undefined ? "open" : "closed"}
        ref={ref}
        class="timeline-shape"
        x={left}
        y={y}
        width={width}
        height={height}
        rx={Math.min(3, height / 2, width / 2)}
      />
      {kind === "running" && (
        <text x={left + 6} y={20}>
          {barText(width, attempt, numbered, to === undefined ? undefined : to - from)}
        </text>
      )}
      {kind === "waiting" && to !== undefined && width > 90 && (
        <text class="timeline-wait" x={left + 2} y={11}>
          waited {shortSpan(to - from)}
        </text>
      )}
    </g>
  );
}

/** As much as has room: the number of the attempt, where there are several, and how long it took. */
function barText(width: number, attempt: number | undefined, numbered: boolean, ms: number | undefined): string {
  const number = numbered && attempt !== undefined ? String(attempt) : "";
  const span = ms === undefined ? "" : shortSpan(ms);
  const both = [number, span].filter((text) => text !== "").join(" · ");
  if (width >= 12 + both.length * 6.6) return both;
  if (number !== "" && width >= 10 + number.length * 6.6) return number;
  return "";
}
