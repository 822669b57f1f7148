/** An arrow of the drawing, and the pill with what is written on it. */
import type { JSX } from "preact";
import type { Tone } from "../../chart/index.ts";
import { LINE, type Pill } from "./box.ts";
import { roundedPath, type Dot, type PlacedArrow } from "./graph.ts";

/** The colour of a line is that of its events, if they have the same. */
export function toneOf({ arrow }: PlacedArrow): Tone | "dependency" {
  if (arrow.dependency === true) return "dependency";
  const [first] = arrow.edges;
  return first !== undefined && arrow.edges.every(({ tone }) => tone === first.tone) ? first.tone : "plain";
}

export function ArrowLine({ placed }: { readonly placed: PlacedArrow }): JSX.Element {
  const { arrow, points } = placed;
  const [single] = arrow.edges;
  const path = roundedPath(shortened(points));
  return (
    <g
      class="chart-arrow"
      data-arrow={arrow.id}
      data-edge={arrow.edges.length === 1 ? single?.id : undefined}
      data-tone={toneOf(placed)}
      data-back={arrow.back ? "" : undefined}
    >
      <path class="chart-hit" d={path} />
      <path class="chart-line" d={path} />
      <path class="chart-flow" d={path} pathLength={100} />
      <path class="chart-head" d={headPath(points)} />
    </g>
  );
}

/** The line ends inside of its head. */
function shortened(points: PlacedArrow["points"]): PlacedArrow["points"] {
  const [before, end] = [points.at(-2), points.at(-1)];
  if (before === undefined || end === undefined) return points;
  const length = Math.hypot(end.x - before.x, end.y - before.y);
  const cut = Math.min(5, length);
  const k = length === 0 ? 0 : (length - cut) / length;
  return [...points.slice(0, -1), { x: before.x + (end.x - before.x) * k, y: before.y + (end.y - before.y) * k }];
}

export function headPath(points: PlacedArrow["points"]): string {
  const end = points.at(-1);
  // The last point may be doubled.
  const before = points.findLast((point) => end !== undefined && Math.hypot(point.x - end.x, point.y - end.y) > 0.5);
  if (before === undefined || end === undefined) return "";
  const angle = Math.atan2(end.y - before.y, end.x - before.x);
  const at = (distance: number, side: number): string => {
    const x = end.x - distance * Math.cos(angle) - side * Math.sin(angle);
    const y = end.y - distance * Math.sin(angle) + side * Math.cos(angle);
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  };
  return `M${end.x} ${end.y}L${at(7.5, 3.8)}L${at(5.8, 0)}L${at(7.5, -3.8)}Z`;
}

export function StartDot({ dot }: { readonly dot: Dot }): JSX.Element {
  return (
    <g class="chart-start" data-default={dot.id.startsWith("default ") ? "" : undefined}>
      {!dot.id.startsWith("default ") && <circle cx={dot.x} cy={dot.y} r={4} />}
      <path class="chart-line" d={roundedPath(shortened(dot.points))} />
      <path class="chart-head" d={headPath(dot.points)} />
    </g>
  );
}

/** Where the rows of a pill begin, below its top. */
export function rowTops(pill: Pill): readonly number[] {
  let top = 3.5;
  return pill.rows.map((row) => {
    const at = top;
    top += row.lines * LINE + 3;
    return at;
  });
}

export function ArrowPill({ placed }: { readonly placed: PlacedArrow }): JSX.Element | null {
  const { pill, arrow } = placed;
  if (pill === undefined) return null;
  const tops = rowTops(pill);
  return (
    <g class="chart-pill" transform={`translate(${pill.x} ${pill.y})`} data-arrow={arrow.id}>
      <rect class="chart-pill-back" x={0.5} y={0.5} width={pill.width - 1} height={pill.height - 1} rx={6} />
      {pill.rows.map((row, i) => {
        const top = tops[i] ?? 0;
        let line = top + 11.5;
        const next = (): number => (line += LINE);
        return (
          <g key={row.edge} class="chart-pill-row" data-edge={row.edge} data-tone={row.tone}>
            <rect class="chart-row-back" x={2} y={top - 0.5} width={pill.width - 4} height={row.lines * LINE + 1} rx={4} />
            <text class="chart-event" x={8} y={line}>
              {row.text}
              {row.inline && (
                <tspan class="chart-mono" dx={6}>
                  {row.guard}
                </tspan>
              )}
            </text>
            {!row.inline && row.guard !== undefined && (
              <text class="chart-mono" x={8} y={next()}>
                {row.guard}
              </text>
            )}
            {row.actions !== undefined && (
              <text class="chart-mono" x={8} y={next()}>
                {row.actions}
              </text>
            )}
          </g>
        );
      })}
      {pill.more > 0 && (
        <text class="chart-mono" x={8} y={pill.height - 7}>
          +{pill.more} more
        </text>
      )}
    </g>
  );
}
