/** How many there are in each state: a badge at the corner of its box, which can be clicked. */
import type { JSX } from "preact";
import { pathLabel, type ChartModel } from "../../chart/index.ts";
import { shortCount } from "./counts.ts";
import type { Drawing } from "./graph.ts";
import type { Measure } from "./measure.ts";

interface BadgesProps {
  readonly model: ChartModel;
  readonly drawing: Drawing;
  readonly counts: Readonly<Record<string, number>> | undefined;
  readonly measure: Measure;
  readonly onState: ((id: string) => void) | undefined;
}

export function Badges({ model, drawing, counts, measure, onState }: BadgesProps): JSX.Element | null {
  if (counts === undefined) return null;
  return (
    <g class="chart-badges">
      {drawing.boxes.map(({ node, x, y, w }) => {
        const count = counts[node.id] ?? 0;
        if (count === 0) return null;
        const text = shortCount(count);
        const width = Math.max(20, measure(text, "event") + 12);
        const label = `${count} in ${pathLabel(model, node.id)}`;
        const interactive = onState !== undefined;
        const press = (event: Event): void => {
          event.preventDefault();
          event.stopPropagation();
          onState?.(node.id);
        };
        return (
          <g
            key={node.id}
            class="chart-badge"
            data-badge={node.id}
            data-clickable={interactive ? "" : undefined}
            transform={`translate(${x + w - width + 7} ${y - 9})`}
            role={interactive ? "button" : "img"}
            tabindex={interactive ? 0 : undefined}
            aria-label={label}
            onClick={press}
            onKeyDown={(event) => {
              if (event.key === "Enter" || event.key === " ") press(event);
            }}
          >
            <rect width={width} height={18} rx={9} />
            <text x={width / 2} y={13}>
              {text}
            </text>
          </g>
        );
      })}
    </g>
  );
}
