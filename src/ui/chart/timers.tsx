/** What is left of the timers that run, at the edges that they will take. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { visibleFor, type ChartModel } from "../../chart/index.ts";
import type { RunFrame } from "../../protocol/record.ts";
import { rowTops } from "./arrow-line.tsx";
import { LINE, TITLE } from "./box.ts";
import type { Drawing } from "./graph.ts";
import type { Measure } from "./measure.ts";

type Timer = RunFrame["timers"][number];

interface TimersProps {
  readonly model: ChartModel;
  readonly drawing: Drawing;
  readonly collapsed: ReadonlySet<string>;
  readonly timers: readonly Timer[] | undefined;
  /** In ms; absent: it runs. */
  readonly now: number | undefined;
  readonly measure: Measure;
}

export function leftText(ms: number): string {
  if (ms <= 0) return "due";
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)}s`;
  if (ms < 60_000) return `${Math.ceil(ms / 1_000)}s`;
  const seconds = Math.ceil(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${String(seconds % 60).padStart(2, "0")}s`;
  return `${Math.floor(seconds / 3_600)}h ${String(Math.floor((seconds % 3_600) / 60)).padStart(2, "0")}m`;
}

/** The time, again and again: often while something is due soon, else once a second. Stands still at a given `now`. */
export function useNow(timers: readonly Timer[] | undefined, now: number | undefined): number {
  const [time, setTime] = useState(() => Date.now());
  const runs = now === undefined && timers !== undefined && timers.length > 0;
  const soon = runs && timers.some(({ dueAt }) => Math.abs(Date.parse(dueAt) - time) < 11_000);
  useEffect(() => {
    if (!runs) return undefined;
    setTime(Date.now());
    const interval = setInterval(() => setTime(Date.now()), soon ? 100 : 1_000);
    return () => clearInterval(interval);
  }, [runs, soon]);
  return now ?? time;
}

export function Timers({ model, drawing, collapsed, timers, now, measure }: TimersProps): JSX.Element | null {
  const time = useNow(timers, now);
  if (timers === undefined || timers.length === 0) return null;
  return (
    <g class="chart-timers" aria-hidden="true">
      {timers.map((timer) => {
        const place = placeOf(timer, model, drawing, collapsed);
        if (place === undefined) return null;
        const left = Date.parse(timer.dueAt) - time;
        const all = Math.max(1, Date.parse(timer.dueAt) - Date.parse(timer.startedAt));
        const text = leftText(left);
        const width = measure(text.replaceAll(/\d/g, "0"), "event") + 14;
        const part = Math.min(1, Math.max(0, left / all));
        return (
          <g
            key={timer.id}
            class="chart-timer"
            data-timer={timer.transition}
            transform={`translate(${place.x - width} ${place.y})`}
          >
            <rect class="chart-timer-back" width={width} height={18} rx={9} />
            <rect class="chart-timer-left" x={6} y={15} width={Math.max(0, (width - 12) * part)} height={1.5} rx={0.75} />
            <text x={width / 2} y={12}>
              {text}
            </text>
          </g>
        );
      })}
    </g>
  );
}

/** The right end of where it is shown. */
function placeOf(
  timer: Timer,
  model: ChartModel,
  drawing: Drawing,
  collapsed: ReadonlySet<string>,
): { readonly x: number; readonly y: number } | undefined {
  const edge = timer.transition === undefined ? undefined : model.edges.get(timer.transition);
  if (edge === undefined) return undefined;
  for (const { arrow, pill } of drawing.arrows) {
    if (pill === undefined || arrow.lifted || !arrow.edges.includes(edge)) continue;
    const row = pill.rows.findIndex(({ edge: id }) => id === edge.id);
    const top = row === -1 ? pill.height - LINE : (rowTops(pill)[row] ?? 0);
    return { x: pill.x + pill.width + measureOver(pill.rows[row]?.text ?? ""), y: pill.y + top - 10 };
  }
  const id = visibleFor(model, edge.source, collapsed);
  const box = drawing.boxes.find(({ node }) => node.id === id);
  if (box === undefined) return undefined;
  const row = box.rows.findIndex((one) => one.edge === edge.id);
  const y = row === -1 ? box.height - 9 : TITLE + (box.description.length + row) * LINE - 4;
  return { x: box.x + box.w + 8, y: box.y + y };
}

/** How far it stands out to the right, so that it hides as little of the text as can be. */
function measureOver(text: string): number {
  return text.length > 12 ? 30 : 24;
}
