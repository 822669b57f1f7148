/** A chart model as text that people can read and compare: a line per state and per transition. */
import { nodeOf, visibleChart, type ChartModel, type ChartNode } from "../../src/chart/index.ts";

export function chartText(model: ChartModel): string {
  const lines: string[] = model.problems.map((problem) => `! ${problem}`);
  write(nodeOf(model, model.root), "");
  return `${lines.join("\n")}\n`;

  function write(node: ChartNode, pad: string): void {
    lines.push(pad + stateLine(model, node));
    for (const id of node.edges) lines.push(`${pad}    ${edgeLine(model, id)}`);
    for (const id of node.children) write(nodeOf(model, id), `${pad}  `);
  }
}

function stateLine(model: ChartModel, node: ChartNode): string {
  const parent = node.parent === undefined ? undefined : nodeOf(model, node.parent);
  const usual = parent === undefined ? node.key : `${parent.id}.${node.key}`;
  return [
    `${parent?.initial === node.id ? "*" : ""}${node.key}`,
    node.kind === "history" ? `(${node.history} history)` : node.kind === "atomic" ? "" : `(${node.kind})`,
    node.id === usual ? "" : `id ${node.id}`,
    ...node.initialActions.map((action) => `initially/${action}`),
    ...node.entry.map((action) => `entry/${action}`),
    ...node.exit.map((action) => `exit/${action}`),
    ...node.invokes.map(({ id, src }) => `invoke/${id === undefined ? src : `${id}:${src}`}`),
    ...node.tags.map((tag) => `#${tag}`),
    node.ending === undefined ? "" : `ends ${node.ending}`,
    node.waitsFor.length === 0 ? "" : `waits for ${node.waitsFor.map((id) => nodeOf(model, id).key).join(", ")}`,
    node.historyDefault.length === 0 ? "" : `default ${node.historyDefault.join(", ")}`,
    node.description === undefined ? "" : `"${node.description}"`,
    ...node.problems.map((problem) => `! ${problem}`),
  ]
    .filter((part) => part !== "")
    .join(" ");
}

function edgeLine(model: ChartModel, id: string): string {
  const edge = model.edges.get(id)!;
  return [
    `- ${edge.label}${edge.short === edge.label ? "" : ` (${edge.short})`}`,
    edge.tone === "plain" ? "" : `<${edge.tone}>`,
    edge.guard === undefined ? "" : `[${edge.guard}]`,
    edge.actions.length === 0 ? "" : `/ ${edge.actions.join(", ")}`,
    edge.targets.length === 0 ? "" : `→ ${edge.targets.join(" + ")}`,
    edge.self ? "self" : "",
    edge.reenter ? "reenter" : "",
    edge.back ? "back" : "",
    edge.forbidden ? "forbidden" : "",
    edge.description === undefined ? "" : `"${edge.description}"`,
    ...edge.problems.map((problem) => `! ${problem}`),
    `   ${edge.id}`,
  ]
    .filter((part) => part !== "")
    .join(" ");
}

/** What is drawn while `collapsed` is: boxes, then arrows with what is written on them. */
export function visibleText(model: ChartModel, collapsed: ReadonlySet<string>): string {
  const { nodes, arrows } = visibleChart(model, collapsed);
  const boxes = nodes.map((node) => `${"  ".repeat(node.depth)}${node.key}${collapsed.has(node.id) ? " …" : ""}`);
  const lines = arrows.map((arrow) => {
    const text = arrow.dependency === true ? "then" : arrow.edges.map((edge) => edge.short).join(", ");
    const marks = `${arrow.back ? " back" : ""}${arrow.lifted ? ` ×${arrow.edges.length}` : ""}`;
    return `${arrow.source} → ${arrow.target}: ${text}${marks}`;
  });
  return `${[...boxes, "", ...lines].join("\n")}\n`;
}
