/** The visible chart as a graph for ELK, and ELK's answer as a drawing. Pure: no worker and no DOM. */
import type { ElkExtendedEdge, ElkNode, ElkPoint } from "elkjs/lib/elk-api.js";
import { nodeOf, type Arrow, type ChartModel, type VisibleChart } from "../../chart/index.ts";
import { boxOf, pillOf, type Box, type Pill } from "./box.ts";
import type { Measure } from "./measure.ts";

export type Orientation = "down" | "right";

export interface PlacedBox extends Box {
  readonly x: number;
  readonly y: number;
  /** The whole of it, with the states in it. */
  readonly w: number;
  readonly h: number;
  /** It is a region of a parallel state. */
  readonly region: boolean;
}

export interface PlacedArrow {
  readonly arrow: Arrow;
  readonly points: readonly ElkPoint[];
  readonly pill?: Pill & { readonly x: number; readonly y: number };
}

export interface Dot {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly points: readonly ElkPoint[];
}

export interface Drawing {
  readonly width: number;
  readonly height: number;
  /** Parents first. */
  readonly boxes: readonly PlacedBox[];
  readonly arrows: readonly PlacedArrow[];
  /** Where compounds begin. */
  readonly dots: readonly Dot[];
}

export interface Sketch {
  readonly graph: ElkNode;
  readonly boxes: ReadonlyMap<string, Box>;
  readonly arrows: ReadonlyMap<string, { readonly arrow: Arrow; readonly pill: Pill | undefined }>;
}

/** Labels read their options themselves, and inherit none. */
const INLINE = { "elk.edgeLabels.inline": "true", "elk.edgeLabels.placement": "CENTER" };
const DOT = 9;
const MARGIN = 18;

/** `key` of what a sketch depends on besides the machine: for caches. */
export function sketch(
  model: ChartModel,
  visible: VisibleChart,
  details: boolean,
  orientation: Orientation,
  measure: Measure,
): Sketch {
  const boxes = new Map(
    visible.nodes.map((node) => [node.id, boxOf(model, node, visible.collapsed.has(node.id), details, measure)]),
  );
  const arrows = new Map(visible.arrows.map((arrow) => [arrow.id, { arrow, pill: pillOf(arrow, details, measure) }]));
  const edges: ElkExtendedEdge[] = [];
  for (const [id, { arrow, pill }] of arrows) {
    const [from, to] = arrow.back ? [arrow.target, arrow.source] : [arrow.source, arrow.target];
    edges.push({
      id,
      sources: [from],
      targets: [to],
      ...(pill === undefined
        ? {}
        : { labels: [{ id: `label ${id}`, text: "x", width: pill.width, height: pill.height, layoutOptions: INLINE }] }),
      ...(isMain(model, arrow)
        ? { layoutOptions: { "elk.layered.priority.straightness": "10", "elk.layered.priority.shortness": "10" } }
        : {}),
    });
  }
  for (const node of visible.nodes) {
    for (const target of node.historyDefault) {
      if (boxes.has(target)) edges.push({ id: `default ${node.id} ${target}`, sources: [node.id], targets: [target] });
    }
  }
  const down = orientation === "down";
  const elkNode = (id: string): ElkNode => {
    const box = boxes.get(id)!;
    const isOpen = box.node.children.length > 0 && !box.collapsed;
    if (!isOpen) return { id, width: box.width, height: box.height };
    const { initial } = box.node;
    const children = box.node.children.map(elkNode);
    if (initial !== undefined) {
      children.unshift({ id: `dot ${id}`, width: DOT, height: DOT });
      edges.push({
        id: `start ${id}`,
        sources: [`dot ${id}`],
        targets: [initial],
        layoutOptions: { "elk.layered.priority.straightness": "20" },
      });
    }
    return {
      id,
      children,
      layoutOptions: {
        "elk.padding": `[top=${box.height + 14},left=${MARGIN},bottom=${MARGIN},right=${MARGIN}]`,
        // For the header. ELK lays out to the right and turns the result, but not this: it has to be given turned.
        "elk.nodeSize.constraints": "MINIMUM_SIZE",
        "elk.nodeSize.minimum": down ? `(${box.height},${box.width})` : `(${box.width},${box.height})`,
        "elk.contentAlignment": down ? "V_CENTER H_LEFT" : "H_CENTER V_TOP",
      },
    };
  };
  const graph: ElkNode = { id: "drawing", children: [elkNode(model.root)], edges, layoutOptions: options(orientation) };
  return { graph, boxes, arrows };
}

/** The way that a run takes if all goes well is drawn straight: what is done, and from each state its first transition. */
function isMain(model: ChartModel, arrow: Arrow): boolean {
  if (arrow.dependency === true) return true;
  const [first] = arrow.edges;
  if (first === undefined || arrow.back || arrow.edges.some(({ tone }) => tone === "error" || tone === "timer")) return false;
  const leaving = nodeOf(model, first.source).edges.find((id) => (model.edges.get(id)?.targets.length ?? 0) > 0);
  return arrow.edges.every(({ tone }) => tone === "ok") || first.id === leaving;
}

function options(orientation: Orientation): Record<string, string> {
  return {
    "elk.algorithm": "layered",
    "elk.direction": orientation === "down" ? "DOWN" : "RIGHT",
    "elk.hierarchyHandling": "INCLUDE_CHILDREN",
    "elk.edgeRouting": "ORTHOGONAL",
    "elk.json.shapeCoords": "ROOT",
    "elk.json.edgeCoords": "ROOT",
    "elk.padding": "[top=8,left=8,bottom=8,right=8]",
    "elk.layered.nodePlacement.strategy": "NETWORK_SIMPLEX",
    "elk.layered.considerModelOrder.strategy": "NODES_AND_EDGES",
    "elk.layered.spacing.nodeNodeBetweenLayers": "26",
    "elk.layered.spacing.edgeNodeBetweenLayers": "16",
    "elk.layered.spacing.edgeEdgeBetweenLayers": "12",
    "elk.spacing.nodeNode": "28",
    "elk.spacing.edgeNode": "18",
    "elk.spacing.edgeEdge": "14",
    "elk.spacing.edgeLabel": "4",
    "elk.layered.unnecessaryBendpoints": "false",
  };
}

/** `placed`: what ELK made of the sketch's graph. */
export function drawingOf(model: ChartModel, { boxes, arrows }: Sketch, placed: ElkNode): Drawing {
  const drawn: PlacedBox[] = [];
  const dots = new Map<string, { x: number; y: number }>();
  const visit = (node: ElkNode): void => {
    const { id, x = 0, y = 0, width = 0, height = 0 } = node;
    const box = boxes.get(id);
    if (id.startsWith("dot ")) dots.set(id.slice(4), { x: x + DOT / 2, y: y + DOT / 2 });
    if (box !== undefined) {
      const { parent } = box.node;
      const region = parent !== undefined && nodeOf(model, parent).kind === "parallel";
      drawn.push({ ...box, x, y, w: width, h: height, region });
    }
    node.children?.forEach(visit);
  };
  placed.children?.forEach(visit);

  const lines: PlacedArrow[] = [];
  const starts: Dot[] = [];
  for (const edge of placed.edges ?? []) {
    const points = pointsOf(edge);
    const known = arrows.get(edge.id);
    if (known !== undefined) {
      const label = edge.labels?.[0];
      const { arrow, pill } = known;
      lines.push({
        arrow,
        points: belowHeader(arrow.back ? points.toReversed() : points, arrow, drawn),
        ...(pill === undefined || label === undefined ? {} : { pill: { ...pill, x: label.x ?? 0, y: label.y ?? 0 } }),
      });
    } else if (edge.id.startsWith("start ")) {
      const id = edge.id.slice("start ".length);
      const place = dots.get(id);
      if (place !== undefined) starts.push({ id, ...place, points });
    } else {
      const first = points[0];
      if (first !== undefined) starts.push({ id: edge.id, ...first, points });
    }
  }
  return { width: placed.width ?? 0, height: placed.height ?? 0, boxes: drawn, arrows: lines, dots: starts };
}

/** An arrow from a state to one within it begins under its header, and does not run through what is written there; likewise its end. */
function belowHeader(points: readonly ElkPoint[], arrow: Arrow, boxes: readonly PlacedBox[]): readonly ElkPoint[] {
  const cut = (line: readonly ElkPoint[], id: string): readonly ElkPoint[] => {
    const box = boxes.find(({ node }) => node.id === id);
    const [first, second] = line;
    if (box === undefined || first === undefined || second === undefined || box.node.children.length === 0 || box.collapsed)
      return line;
    const rule = box.y + box.height;
    return Math.abs(first.y - box.y) < 1 && second.y > rule ? [{ x: first.x, y: rule }, ...line.slice(1)] : line;
  };
  return cut(cut(points, arrow.source).toReversed(), arrow.target).toReversed();
}

function pointsOf(edge: ElkExtendedEdge): ElkPoint[] {
  const section = edge.sections?.[0];
  return section === undefined ? [] : [section.startPoint, ...(section.bendPoints ?? []), section.endPoint];
}

/** An orthogonal line with rounded corners. */
export function roundedPath(points: readonly ElkPoint[], radius = 7): string {
  const [first] = points;
  if (first === undefined) return "";
  let path = `M${first.x} ${first.y}`;
  for (let i = 1; i < points.length; i++) {
    const [before, at, after] = [points[i - 1]!, points[i]!, points[i + 1]];
    if (after === undefined) {
      path += `L${at.x} ${at.y}`;
      continue;
    }
    const [inLength, outLength] = [distance(before, at), distance(at, after)];
    const r = Math.min(radius, inLength / 2, outLength / 2);
    if (r < 0.5) {
      path += `L${at.x} ${at.y}`;
      continue;
    }
    const enter = towards(at, before, r / inLength);
    const leave = towards(at, after, r / outLength);
    path += `L${enter.x} ${enter.y}Q${at.x} ${at.y} ${leave.x} ${leave.y}`;
  }
  return path;
}

function distance(a: ElkPoint, b: ElkPoint): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function towards(from: ElkPoint, to: ElkPoint, part: number): ElkPoint {
  const round = (n: number): number => Math.round(n * 100) / 100;
  return { x: round(from.x + (to.x - from.x) * part), y: round(from.y + (to.y - from.y) * part) };
}
