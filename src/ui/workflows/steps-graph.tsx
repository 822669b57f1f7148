/** The steps of a workflow as a small drawing: who waits for whom, from left to right. */
import type { JSX } from "preact";
import type { StepSpec } from "../../workflow/spec.ts";
import { layoutSteps, type PlacedStep } from "./steps-layout.ts";

export interface StepsGraphProps {
  readonly steps: readonly StepSpec[];
  /** Without names, for lists. */
  readonly mini?: boolean;
}

const SIZES = {
  mini: { width: 62, height: 18, across: 12, down: 4, font: 10, chars: 9 },
  full: { width: 132, height: 28, across: 30, down: 10, font: 12, chars: 18 },
};

export function StepsGraph({ steps, mini = false }: StepsGraphProps): JSX.Element {
  const layout = layoutSteps(steps);
  const size = mini ? SIZES.mini : SIZES.full;
  const width = layout.columns * (size.width + size.across) - size.across;
  const height = layout.rows * (size.height + size.down) - size.down;
  const inColumn = new Map<number, number>();
  for (const { column } of layout.steps) inColumn.set(column, (inColumn.get(column) ?? 0) + 1);
  const x = ({ column }: PlacedStep): number => column * (size.width + size.across);
  // Shorter columns stand in the middle.
  const y = ({ column, row }: PlacedStep): number =>
    row * (size.height + size.down) + ((layout.rows - (inColumn.get(column) ?? 1)) * (size.height + size.down)) / 2;
  return (
    <svg
      class="flows-graph"
      data-mini={mini}
      viewBox={`-1 -1 ${width + 2} ${height + 2}`}
      width={width + 2}
      height={height + 2}
      role="img"
      aria-label={`Steps: ${steps.map(({ name, after }) => (after.length === 0 ? name : `${name} after ${after.join(" and ")}`)).join(", ")}`}
    >
      {layout.edges.map(({ from, to }) => (
        <path
          key={`${from.name} ${to.name}`}
          d={curve(x(from) + size.width, y(from) + size.height / 2, x(to), y(to) + size.height / 2)}
        />
      ))}
      {layout.steps.map((step) => (
        <g key={step.name} transform={`translate(${x(step)} ${y(step)})`}>
          <title>{step.name}</title>
          <rect width={size.width} height={size.height} rx={4} />
          <text x={size.width / 2} y={size.height / 2} font-size={size.font} dominant-baseline="central" text-anchor="middle">
            {step.name.length > size.chars ? `${step.name.slice(0, size.chars - 1)}…` : step.name}
          </text>
        </g>
      ))}
    </svg>
  );
}

function curve(x1: number, y1: number, x2: number, y2: number): string {
  const bend = Math.max(6, (x2 - x1) / 2);
  return `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}
