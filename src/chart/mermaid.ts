/**
 * A chart as a Mermaid state diagram. Mermaid knows no transition between a state and what is within it, nor between the insides of two
 * states: those are drawn between the outermost states that differ, and say where they end.
 */
import { createChartModel } from "./create-chart-model.ts";
import { nodeOf, lineage, type ChartEdge, type ChartModel, type ChartNode } from "./model.ts";

interface Line {
  readonly scope: string;
  readonly text: string;
}

/** Takes a chart model, or a definition. */
export function toMermaid(chart: unknown): string {
  const model = isModel(chart) ? chart : createChartModel(chart);
  const names = new Map([...model.nodes.keys()].map((id, index) => [id, `s${index}`]));
  const nameOf = (id: string): string => names.get(id) ?? "s0";
  const lines = [...model.edges.values()].flatMap((edge) => edgeLines(model, edge, nameOf));
  const out = ["stateDiagram-v2"];
  // The root is a state of its own: a parallel root is not allowed to be the diagram itself.
  write(nodeOf(model, model.root), 1);
  return `${out.join("\n")}\n`;

  function write(node: ChartNode, depth: number): void {
    const pad = "  ".repeat(depth);
    const name = nameOf(node.id);
    if (node.children.length === 0) {
      out.push(`${pad}${declaration(node, name)}`);
      return;
    }
    out.push(`${pad}state "${escape(node.key)}" as ${name} {`);
    const inner = `${pad}  `;
    for (const [index, id] of node.children.entries()) {
      if (node.kind === "parallel" && index > 0) out.push(`${inner}--`);
      write(nodeOf(model, id), depth + 1);
    }
    if (node.initial !== undefined) out.push(`${inner}[*] --> ${nameOf(node.initial)}`);
    for (const id of node.children) if (nodeOf(model, id).kind === "final") out.push(`${inner}${nameOf(id)} --> [*]`);
    for (const { scope, text } of lines) if (scope === node.id && node.kind !== "parallel") out.push(`${inner}${text}`);
    out.push(`${pad}}`);
    for (const { scope, text } of lines) if (scope === `around ${node.id}`) out.push(`${pad}${text}`);
  }
}

function isModel(chart: unknown): chart is ChartModel {
  return typeof chart === "object" && chart !== null && "nodes" in chart && chart.nodes instanceof Map;
}

function declaration(node: ChartNode, name: string): string {
  const label = node.kind === "history" ? (node.history === "deep" ? "H*" : "H") : node.key;
  const details = [
    ...node.entry.map((action) => `entry / ${action}`),
    ...node.exit.map((action) => `exit / ${action}`),
    ...node.invokes.map((invoke) => `invoke ${invoke.id ?? invoke.src}`),
  ];
  return `state "${[label, ...details].map(escape).join("<br/>")}" as ${name}`;
}

function edgeLines(model: ChartModel, edge: ChartEdge, nameOf: (id: string) => string): readonly Line[] {
  const label = [
    edge.label,
    edge.guard === undefined ? "" : `[${edge.guard}]`,
    edge.actions.length > 0 ? `/ ${edge.actions.join(", ")}` : "",
  ]
    .filter((part) => part !== "")
    .join(" ");
  if (edge.targets.length === 0) return noteLine(model, edge.source, `${label}${edge.forbidden ? " (ignored)" : ""}`, nameOf);
  return edge.targets.flatMap((target) => arrowLines(model, edge, target, label, nameOf));
}

function arrowLines(
  model: ChartModel,
  edge: ChartEdge,
  target: string,
  label: string,
  nameOf: (id: string) => string,
): readonly Line[] {
  const from = lineage(model, edge.source).toReversed();
  const to = lineage(model, target).toReversed();
  let common = 0;
  while (common < from.length && common < to.length && from[common] === to[common]) common++;
  const [a, b, scope] = [from[common], to[common], from[common - 1]];
  if (edge.source === target && scope !== undefined) {
    const around = from.at(-2);
    const text = `${nameOf(target)} --> ${nameOf(target)} : ${escape(label)}`;
    if (around !== undefined && around.kind !== "parallel") return [{ scope: around.id, text }];
    return noteLine(model, target, `${label} (re-enters)`, nameOf);
  }
  // One end is within the other, or they are in two regions: no arrow in Mermaid.
  if (a === undefined || b === undefined || scope === undefined || scope.kind === "parallel") {
    const inner = nodeOf(model, a === undefined ? target : edge.source);
    return noteLine(model, inner.id, `${nodeOf(model, edge.source).key} → ${nodeOf(model, target).key}: ${label}`, nameOf);
  }
  const exact = [
    ...(a.id === edge.source ? [] : [`from ${nodeOf(model, edge.source).key}`]),
    ...(b.id === target ? [] : [`to ${nodeOf(model, target).key}`]),
  ];
  const text = exact.length > 0 ? `${label} (${exact.join(" ")})` : label;
  return [{ scope: scope.id, text: `${nameOf(a.id)} --> ${nameOf(b.id)} : ${escape(text)}` }];
}

/** Notes stand beside a state, in the scope of its parent; those of regions and of the root, outside of all. */
function noteLine(model: ChartModel, id: string, text: string, nameOf: (id: string) => string): readonly Line[] {
  const line = lineage(model, id);
  const index = line.findIndex((_, i) => line[i + 1]?.kind !== "parallel");
  const node = line[index] ?? line.at(-1)!;
  const owner = node.id === id ? text : `${nodeOf(model, id).key}: ${text}`;
  const note = `note right of ${nameOf(node.id)} : ${escape(owner)}`;
  return node.parent === undefined ? [{ scope: `around ${node.id}`, text: note }] : [{ scope: node.parent, text: note }];
}

/** What would end a statement, or begin something else, becomes an entity. */
function escape(text: string): string {
  return text.replaceAll(/[\r\n]+/g, " ").replaceAll(/[#;:"<>{}[\]%\\]/g, (sign) => `#${sign.codePointAt(0)};`);
}
