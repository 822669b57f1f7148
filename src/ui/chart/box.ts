/** What is written in the box of a state and in the pill of an arrow, and how large that makes them. Knows no places. */
import type { Arrow, ChartEdge, ChartModel, ChartNode, Tone } from "../../chart/index.ts";
import { isStep, pathLabel } from "../../chart/index.ts";
import { shorten, wrap, type Measure } from "./measure.ts";

export interface Row {
  readonly kind: "entry" | "exit" | "invoke" | "stay";
  readonly sign: string;
  readonly text: string;
  readonly rest?: string;
  readonly tone: Tone;
  readonly edge?: string;
}

export interface Box {
  readonly node: ChartNode;
  readonly title: string;
  readonly collapsed: boolean;
  /** States in it, where it is collapsed. */
  readonly inside: number;
  readonly description: readonly string[];
  readonly rows: readonly Row[];
  readonly tags: readonly string[];
  readonly width: number;
  /** Of the box, or of the header where states are drawn in it. */
  readonly height: number;
  readonly standingWidth: number;
}

export interface PillRow {
  readonly edge?: string;
  readonly text: string;
  /** The guard; where it is all on one line, the actions too. */
  readonly guard?: string;
  readonly actions?: string;
  readonly tone: Tone;
  /** Lines that it takes. */
  readonly lines: number;
  /** All of it stands on one line. */
  readonly inline: boolean;
}

export interface Pill {
  readonly rows: readonly PillRow[];
  readonly more: number;
  readonly width: number;
  readonly height: number;
}

export const TITLE = 30;
export const LINE = 15;
export const PAD = 12;
export const ROW_INDENT = 16;
const MAX_TEXT = 220;
const MAX_REST = 190;
const MAX_PILL = 210;
/** What belongs to one event stands on one line if it is no wider. */
const MAX_INLINE = 190;
const MAX_PILL_ROWS = 6;
/** Signs of edges by what they mean, besides colour. */
export const SIGNS: Readonly<Record<Tone, string>> = { plain: "", ok: "✓ ", error: "✕ ", timer: "◷ ", always: "" };

export function boxOf(model: ChartModel, node: ChartNode, collapsed: boolean, details: boolean, measure: Measure): Box {
  const title = shorten(node.key, "title", MAX_TEXT, measure);
  const isSmall = node.kind === "history";
  if (isSmall)
    return { node, title, collapsed, inside: 0, description: [], rows: [], tags: [], width: 26, height: 26, standingWidth: 0 };

  const description =
    details && node.description !== undefined && !collapsed ? wrap(node.description, "text", MAX_TEXT - 40, 3, measure) : [];
  const isOpen = node.children.length > 0 && !collapsed;
  const rows = rowsOf(model, node, collapsed, details).map((row) => ({
    ...row,
    text: shorten(row.text, "event", MAX_TEXT, measure),
    ...(row.rest === undefined ? {} : { rest: shorten(row.rest, "mono", isOpen ? MAX_REST * 1.6 : MAX_REST, measure) }),
  }));
  const tags = node.tags.map((tag) => shorten(tag, "text", 90, measure));
  const titleWidth =
    measure(title, "title") +
    (node.children.length > 0 ? 16 : 0) +
    (node.kind === "parallel" ? 16 : 0) +
    tags.reduce((sum, tag) => sum + measure(tag, "text") + 14, 0) +
    (node.problems.length > 0 ? 18 : 0);
  const standingWidth = collapsed ? standingRoom(model, node, measure) : 0;
  const widths = [
    titleWidth,
    standingWidth + 14,
    ...description.map((line) => measure(line, "text")),
    ...rows.map((row) => ROW_INDENT + measure(row.text, "event") + (row.rest === undefined ? 0 : 6 + measure(row.rest, "mono"))),
  ];
  const lines = description.length + rows.length + (collapsed ? 1 : 0);
  const end = node.kind === "final" ? 4 : 0;
  return {
    node,
    title,
    collapsed,
    inside: collapsed ? count(model, node) - 1 : 0,
    description,
    rows,
    tags,
    width: Math.ceil(Math.max(collapsed ? 128 : 56, ...widths) + 2 * PAD + end),
    height: TITLE + lines * LINE + (lines > 0 ? 7 : 0) + end,
    standingWidth,
  };
}

function count(model: ChartModel, node: ChartNode): number {
  return node.children.reduce((sum, id) => sum + count(model, model.nodes.get(id)!), 1);
}

/** Room for the name of any state that it may be in, so that the box needs no other size when that changes. */
function standingRoom(model: ChartModel, node: ChartNode, measure: Measure): number {
  const step = isStep(model, node);
  let room = measure("not active", "text");
  const visit = (id: string): void => {
    const inner = model.nodes.get(id);
    if (inner === undefined) return;
    if (inner.children.length === 0) {
      const path = pathLabel(model, id).split(" › ");
      const label = step ? `${inner.key} · 2 attempts` : path.slice(-(inner.depth - node.depth)).join(" › ");
      room = Math.max(room, measure(label, "text"));
    }
    inner.children.forEach(visit);
  };
  node.children.forEach(visit);
  return Math.min(room, MAX_TEXT);
}

function rowsOf(model: ChartModel, node: ChartNode, collapsed: boolean, details: boolean): Row[] {
  if (collapsed) return [];
  const rows: Row[] = node.invokes.map(({ id, src }) => ({
    kind: "invoke",
    sign: "⚙",
    text: id === undefined || id === src ? src : id,
    ...(id === undefined || id === src ? {} : { rest: src }),
    tone: "plain",
  }));
  if (details) {
    rows.push(...node.entry.map((text): Row => ({ kind: "entry", sign: "→", text, tone: "plain" })));
    rows.push(...node.exit.map((text): Row => ({ kind: "exit", sign: "←", text, tone: "plain" })));
    for (const id of node.edges) {
      const edge = model.edges.get(id);
      if (edge === undefined || (edge.targets.length > 0 && !edge.self) || isMachinery(edge)) continue;
      rows.push(stayRow(edge));
    }
  }
  return rows;
}

/** Events of XState itself that are held back say nothing about what the machine is for. */
export function isMachinery(edge: ChartEdge): boolean {
  return edge.forbidden && edge.eventType.startsWith("xstate.");
}

function stayRow(edge: ChartEdge): Row {
  const rest = [
    edge.guard === undefined ? "" : `if ${edge.guard}`,
    edge.forbidden ? "ignored" : "",
    edge.actions.length > 0 ? `/ ${edge.actions.join(", ")}` : "",
    edge.problems.length > 0 ? "⚠" : "",
  ]
    .filter((part) => part !== "")
    .join(" ");
  return {
    kind: "stay",
    sign: edge.forbidden ? "⊘" : edge.self ? "↻" : "·",
    text: `${SIGNS[edge.tone]}${edge.short}`,
    ...(rest === "" ? {} : { rest }),
    tone: edge.tone,
    edge: edge.id,
  };
}

export function pillOf(arrow: Arrow, details: boolean, measure: Measure): Pill | undefined {
  if (arrow.dependency === true || arrow.edges.length === 0) return undefined;
  const all = arrow.lifted ? briefRows(arrow) : arrow.edges.map((edge) => pillRow(edge, details, measure));
  const rows = all.slice(0, MAX_PILL_ROWS);
  const more = all.length - rows.length;
  const widths = rows.map((row) => {
    const event = measure(row.text, "event");
    const guard = row.guard === undefined ? 0 : measure(row.guard, "mono");
    const actions = row.actions === undefined ? 0 : measure(row.actions, "mono");
    return Math.max(row.inline ? event + 6 + guard : Math.max(event, guard), actions);
  });
  const lines = rows.reduce((sum, row) => sum + row.lines, 0) + (more > 0 ? 1 : 0);
  return { rows, more, width: Math.ceil(Math.max(...widths, 20) + 16), height: lines * LINE + (rows.length - 1) * 3 + 7 };
}

function pillRow(edge: ChartEdge, details: boolean, measure: Measure): PillRow {
  const text = `${SIGNS[edge.tone]}${shorten(edge.short, "event", MAX_PILL, measure)}${edge.problems.length > 0 ? " ⚠" : ""}`;
  const guard = edge.guard === undefined ? undefined : shorten(`if ${edge.guard}`, "mono", MAX_PILL, measure);
  const actions =
    details && edge.actions.length > 0 ? shorten(`/ ${edge.actions.join(", ")}`, "mono", MAX_PILL, measure) : undefined;
  const further = [guard, actions].filter((part) => part !== undefined);
  const inline = further.length > 0 && measure(text, "event") + 6 + measure(further.join(" "), "mono") <= MAX_INLINE;
  const row = { edge: edge.id, text, tone: edge.tone, inline };
  if (inline) return { ...row, guard: further.join(" "), lines: 1 };
  return {
    ...row,
    ...(guard === undefined ? {} : { guard }),
    ...(actions === undefined ? {} : { actions }),
    lines: 1 + further.length,
  };
}

/** Of what happens within collapsed states, the names of the events are enough. */
function briefRows(arrow: Arrow): PillRow[] {
  const names = new Map<string, { row: PillRow; times: number }>();
  for (const edge of arrow.edges) {
    const known = names.get(edge.short);
    if (known === undefined) {
      const text = `${SIGNS[edge.tone]}${edge.short}`;
      names.set(edge.short, { row: { edge: edge.id, text, tone: edge.tone, lines: 1, inline: false }, times: 1 });
    } else known.times++;
  }
  return [...names.values()].map(({ row, times }) => (times > 1 ? { ...row, text: `${row.text} ×${times}` } : row));
}
