/** The drawing as SVG, in layers: boxes, lines, pills, badges, timers. Rendered once per layout; what is lit is set on it afterwards. */
import { memo } from "preact/compat";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { innermost, type ChartModel } from "../../chart/index.ts";
import type { RunFrame } from "../../protocol/record.ts";
import { ArrowLine, ArrowPill, StartDot } from "./arrow-line.tsx";
import { PAD } from "./box.ts";
import { Badges } from "./badges.tsx";
import type { Drawing as DrawingData } from "./graph.ts";
import { highlight, type Lit } from "./highlight.ts";
import { shorten, type Measure } from "./measure.ts";
import { moveFocus } from "./navigate.ts";
import { StateBox } from "./state-box.tsx";
import { Timers } from "./timers.tsx";
import type { Shown } from "./use-drawing.ts";
import { useSlices } from "./use-slices.ts";
import { Viewport } from "./viewport.ts";

export interface DrawingProps {
  readonly model: ChartModel;
  readonly shown: Shown;
  readonly measure: Measure;
  readonly lit: Lit;
  readonly counts: Readonly<Record<string, number>> | undefined;
  readonly timers: RunFrame["timers"] | undefined;
  readonly now: number | undefined;
  readonly onToggle: (id: string) => void;
  readonly onState: ((id: string) => void) | undefined;
  readonly viewport: { current: Viewport | undefined };
}

export function DrawingView(props: DrawingProps): JSX.Element {
  const { model, shown, measure, lit, counts, timers, now, onToggle, onState, viewport } = props;
  const { drawing, collapsed } = shown;
  const svg = useRef<SVGSVGElement>(null);
  const world = useRef<SVGGElement>(null);
  const previous = useRef<Shown | undefined>(undefined);
  const toggled = useRef<string | undefined>(undefined);
  const total = drawing.boxes.length + drawing.arrows.length;
  const count = useSlices(total, shown.key);
  const wanted = useRef<string | undefined>(undefined);

  useLayoutEffect(() => {
    if (svg.current === null || world.current === null) return undefined;
    viewport.current = new Viewport(svg.current, world.current);
    return () => {
      viewport.current?.stop();
      viewport.current = undefined;
    };
  }, []);

  useLayoutEffect(() => {
    const view = viewport.current;
    if (view === undefined) return;
    view.drawing = drawing;
    const before = previous.current?.drawing.boxes.find(({ node }) => node.id === toggled.current);
    const after = drawing.boxes.find(({ node }) => node.id === toggled.current);
    if (before !== undefined && after !== undefined) {
      view.keep(before, after);
      view.reveal({ x: after.x, y: after.y, width: after.w, height: after.h });
    } else {
      view.open(placeOf(drawing, model, lit.active));
    }
    previous.current = shown;
    toggled.current = undefined;
  }, [shown]);

  useLayoutEffect(() => {
    const rooms = new Map(drawing.boxes.map(({ node, w }) => [node.id, w - 2 * PAD - 14]));
    const fit = (text: string, id: string): string => shorten(text, "text", rooms.get(id) ?? Infinity, measure);
    if (svg.current !== null) highlight(svg.current, model, collapsed, lit, fit);
    if (wanted.current !== undefined) {
      const element = svg.current?.querySelector<SVGElement>(`[data-state="${CSS.escape(wanted.current)}"]`);
      if (element !== null && element !== undefined) {
        element.focus({ preventScroll: true });
        wanted.current = undefined;
      }
    }
  }, [shown, count, lit]);

  // Follows what is active, unless a person has moved the drawing. Not when only the layout has changed: that is where one looks.
  const activeKey = lit.active.join("\n");
  const followed = useRef(activeKey);
  useEffect(() => {
    if (followed.current === activeKey) return;
    followed.current = activeKey;
    const place = placeOf(drawing, model, lit.active);
    if (viewport.current !== undefined && !viewport.current.wasMoved && place !== undefined) viewport.current.reveal(place);
  }, [activeKey]);

  const toggle = (id: string): void => {
    toggled.current = id;
    onToggle(id);
  };
  const onClick = (event: MouseEvent): void => {
    const target = event.target as Element;
    const id = target.closest<SVGElement>("[data-state]")?.dataset["state"];
    if (id === undefined) return;
    const toggles = target.closest<SVGElement>("[data-toggle]") !== null;
    if (toggles || collapsed.has(id)) toggle(id);
    else onState?.(id);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const element = (event.target as Element).closest<SVGElement>("[role=treeitem]");
    const id = element?.dataset["state"];
    if (id === undefined) return;
    if (event.key === " " || (event.key === "Enter" && (collapsed.has(id) || onState === undefined))) {
      if (model.nodes.get(id)?.children.length === 0 || model.root === id) return;
      wanted.current = id;
      toggle(id);
    } else if (event.key === "Enter") {
      onState?.(id);
    } else {
      const next = moveFocus(drawing, id, event.key);
      if (next === undefined) return;
      svg.current?.querySelector<SVGElement>(`[data-state="${CSS.escape(next.node.id)}"]`)?.focus({ preventScroll: true });
      viewport.current?.reveal({ x: next.x, y: next.y, width: next.w, height: next.h });
    }
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <svg
      ref={svg}
      class="chart-svg"
      aria-label={`Statechart of ${model.name}`}
      role="group"
      onClick={onClick}
      onKeyDown={onKeyDown}
    >
      <g ref={world}>
        <Layers model={model} drawing={drawing} measure={measure} count={count} />
        <Badges drawing={drawing} counts={counts} measure={measure} onState={onState} model={model} />
        <Timers model={model} drawing={drawing} collapsed={collapsed} timers={timers} now={now} measure={measure} />
      </g>
    </svg>
  );
}

interface LayersProps {
  readonly model: ChartModel;
  readonly drawing: DrawingData;
  readonly measure: Measure;
  readonly count: number;
}

const Layers = memo(function Layers({ model, drawing, measure, count }: LayersProps): JSX.Element {
  const boxes = drawing.boxes.slice(0, count);
  const arrows = drawing.arrows.slice(0, Math.max(0, count - drawing.boxes.length));
  return (
    <>
      <g class="chart-boxes" role="tree" aria-label={`States of ${model.name}`}>
        {boxes.map((box) => (
          <MemoBox key={box.node.id} model={model} box={box} measure={measure} />
        ))}
      </g>
      <g class="chart-lines" aria-hidden="true">
        {drawing.dots.map((dot) => (
          <StartDot key={dot.id} dot={dot} />
        ))}
        {arrows.map((placed) => (
          <MemoLine key={placed.arrow.id} placed={placed} />
        ))}
      </g>
      <g class="chart-pills" aria-hidden="true">
        {arrows.map((placed) => (
          <MemoPill key={placed.arrow.id} placed={placed} />
        ))}
      </g>
    </>
  );
});

const MemoBox = memo(StateBox);
const MemoLine = memo(ArrowLine);
const MemoPill = memo(ArrowPill);

/** Where the innermost active states are: around all of them if there are few, else the first. */
function placeOf(drawing: DrawingData, model: ChartModel, active: readonly string[]) {
  const leaves = new Set(innermost(model, active).map(({ id }) => id));
  const all = new Set(active);
  const boxes = drawing.boxes.filter(({ node, collapsed }) => leaves.has(node.id) || (collapsed && all.has(node.id)));
  const [first] = boxes;
  if (first === undefined || first.node.parent === undefined) return undefined;
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  const width = Math.max(...boxes.map((box) => box.x + box.w)) - x;
  const height = Math.max(...boxes.map((box) => box.y + box.h)) - y;
  return { x, y, width, height };
}
