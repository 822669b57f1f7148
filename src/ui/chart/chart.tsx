/**
 * A machine, drawn: what is active is lit, what was just taken moves, timers count down, badges count. As a chart where there is
 * room, as nested cards where there is not. Give it what it shows as props; it asks the server for nothing.
 */
import type { JSX } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  collapsible,
  defaultCollapsed,
  pathLabel,
  innermost,
  toMermaid,
  toXStateJson,
  type ChartModel,
} from "../../chart/index.ts";
import type { MachineDefinition, RunFrame } from "../../protocol/record.ts";
import { copyText } from "../kit/copy-button.tsx";
import { useKeys } from "../kit/keys.tsx";
import { toast } from "../kit/toast.tsx";
import { Cards } from "./cards.tsx";
import "./chart.css";
import { DrawingView } from "./drawing.tsx";
import { download, svgText } from "./export-svg.ts";
import type { Orientation } from "./graph.ts";
import { warmUpLayout } from "./layout.ts";
import { createMeasure, type Measure } from "./measure.ts";
import { Toolbar, type MenuItem } from "./toolbar.tsx";
import { Tooltip } from "./tooltip.tsx";
import { useDrawing } from "./use-drawing.ts";
import { useModel } from "./use-model.ts";
import type { Size, Viewport } from "./viewport.ts";

export interface ChartProps {
  readonly definition: MachineDefinition;
  /** Ids of all active states, with their ancestors. */
  readonly active: readonly string[];
  /** Ids of the transitions just taken. */
  readonly taken?: readonly string[] | undefined;
  /** What `taken` belongs to, the number of a frame for instance: the same transitions of another moment move again. */
  readonly moment?: string | number | undefined;
  /** By id of the state. */
  readonly counts?: Readonly<Record<string, number>> | undefined;
  readonly timers?: RunFrame["timers"] | undefined;
  /** What is known of the steps of a run: shown on the cards of its steps, also after the run has ended. */
  readonly steps?: RunFrame["steps"] | undefined;
  /** Timers stand still at this time: for looking at the past. */
  readonly at?: string | undefined;
  readonly onState?: ((nodeId: string) => void) | undefined;
  readonly selected?: string | undefined;
}

/** Narrower than this, cards are more readable. */
const NARROW = 560;
/** More visible states than this make cards more readable at any width. */
const MANY = 160;
const NONE: readonly string[] = [];

export function Chart(props: ChartProps): JSX.Element {
  const model = useModel(props.definition);
  if (model === undefined) return <div class="chart" />;
  // Another machine is another chart: nothing of what was opened or moved is kept.
  return <ChartOf key={props.definition.hash} {...props} model={model} />;
}

function ChartOf(props: ChartProps & { readonly model: ChartModel }): JSX.Element {
  const { model, definition, active, taken = NONE, moment, counts, timers, steps, at, onState, selected } = props;
  const compounds = useMemo(() => collapsible(model), [model]);
  const initially = useMemo(() => defaultCollapsed(model), [model]);
  const [collapsed, setCollapsed] = useState(initially);
  const [details, setDetails] = useState(true);
  const [orientation, setOrientation] = useState<Orientation | "auto">("auto");
  const [view, setView] = useState<"auto" | "chart" | "cards">("auto");
  const [size, setSize] = useState<Size>();
  const [measure, setMeasure] = useState<Measure>();
  const container = useRef<HTMLDivElement | null>(null);
  const viewport = useRef<Viewport | undefined>(undefined);

  useLayoutEffect(() => {
    const element = container.current;
    if (element === null) return undefined;
    const style = getComputedStyle(element);
    setMeasure(() => createMeasure({ font: style.fontFamily, mono: style.getPropertyValue("--mono") || "monospace" }));
    const read = (): void => setSize({ width: element.clientWidth, height: element.clientHeight });
    read();
    const observer = new ResizeObserver(read);
    observer.observe(element);
    warmUpLayout();
    return () => observer.disconnect();
  }, []);

  const hidden = useMemo(() => hiddenCount(model.nodes, collapsed), [model, collapsed]);
  const isMany = model.nodes.size - hidden > MANY;
  const wantsCards = view === "cards" || (view === "auto" && ((size !== undefined && size.width < NARROW) || isMany));
  const { shown, failed } = useDrawing({
    hash: definition.hash,
    model,
    collapsed,
    details,
    orientation,
    measure,
    panel: wantsCards ? undefined : size,
  });
  const isCards = wantsCards || failed !== undefined;
  const takenKey = `${moment ?? ""}\n${taken.join("\n")}`;
  const lit = useMemo(
    () => ({ active, taken, steps, selected, counts, moment: takenKey }),
    [active.join("\n"), takenKey, steps, selected, counts],
  );
  const now = useMemo(() => (at === undefined ? undefined : Date.parse(at)), [at]);

  // What people have not moved themselves fits again when the panel changes.
  useEffect(() => {
    if (viewport.current !== undefined && !viewport.current.wasMoved && shown !== undefined) viewport.current.fitAgain();
  }, [size?.width, size?.height]);

  const toggle = useCallback((id: string) => {
    setCollapsed((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  }, []);
  const fit = (): void => viewport.current?.fit();
  const zoom = (factor: number): void => viewport.current?.zoom(factor);
  useKeys({
    f: { does: "fit the chart", run: fit },
    "+": { does: "zoom in", run: () => zoom(1.25) },
    "=": { does: "zoom in", run: () => zoom(1.25) },
    "-": { does: "zoom out", run: () => zoom(1 / 1.25) },
  });

  const copy = (what: string, text: string): void => {
    void copyText(text).then((done) => toast(done ? `Copied ${what}` : `${what} could not be copied`, done ? "ok" : "bad"));
  };
  const menu: MenuItem[] = [
    { label: "Details", checked: details, run: () => setDetails(!details) },
    ...(isCards
      ? []
      : (["down", "right"] as const).map((one) => ({
          label: one === "down" ? "From top to bottom" : "From left to right",
          checked: (orientation === "auto" ? shown?.orientation : orientation) === one,
          run: () => setOrientation(orientation === one ? "auto" : one),
        }))),
    { label: "Copy as Mermaid", run: () => copy("the chart as Mermaid", toMermaid(model)) },
    { label: "Copy as XState JSON", run: () => copy("the machine as JSON", toXStateJson(definition.definition)) },
    { label: "Copy link", run: () => copy("the link", location.href) },
    ...(isCards || shown === undefined ? [] : [{ label: "Download SVG", run: () => save() }]),
  ];
  const save = (): void => {
    const svg = container.current?.querySelector<SVGSVGElement>(".chart-svg");
    if (svg !== null && svg !== undefined && shown !== undefined) {
      download(`${definition.name}.svg`, "image/svg+xml", svgText(svg, shown.drawing));
    }
  };

  const shared = { model, lit, counts, timers, now, onToggle: toggle, onState };
  return (
    <div
      class="chart"
      ref={container}
      data-view={isCards ? "cards" : "chart"}
      data-ready={isCards || shown !== undefined ? "" : undefined}
    >
      {isCards && <Cards {...shared} collapsed={collapsed} details={details} />}
      {!isCards && shown !== undefined && measure !== undefined && (
        <DrawingView {...shared} shown={shown} measure={measure} viewport={viewport} />
      )}
      {!isCards && shown === undefined && <p class="chart-wait">Drawing…</p>}
      <Toolbar
        isCards={isCards}
        onView={setView}
        onZoom={zoom}
        onFit={fit}
        canExpand={collapsed.size > 0}
        canCollapse={compounds.some((id) => !collapsed.has(id))}
        onExpandAll={() => setCollapsed(new Set())}
        onCollapseAll={() => setCollapsed(initially.size > 0 && !same(initially, collapsed) ? initially : new Set(compounds))}
        menu={menu}
      />
      {model.problems.length > 0 && <p class="chart-problem">{model.problems.join("; ")}</p>}
      {failed !== undefined && <p class="chart-problem">{failed}</p>}
      <p class="sr-only" aria-live="polite">
        {active.length > 0
          ? `Active: ${innermost(model, active)
              .map(({ id }) => pathLabel(model, id))
              .join(", ")}`
          : ""}
      </p>
      <Tooltip model={model} within={container} />
    </div>
  );
}

function same(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((id) => b.has(id));
}

function hiddenCount(nodes: ChartModel["nodes"], collapsed: ReadonlySet<string>): number {
  const hidden = new Set<string>();
  // Parents come first.
  for (const { id, parent } of nodes.values()) {
    if (parent !== undefined && (collapsed.has(parent) || hidden.has(parent))) hidden.add(id);
  }
  return hidden.size;
}
