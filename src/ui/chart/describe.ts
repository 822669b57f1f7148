/** States and transitions in words: for tooltips, and for those who don't see the drawing. */
import { duration, lineage, pathLabel, type ChartEdge, type ChartModel, type ChartNode } from "../../chart/index.ts";

const KINDS: Readonly<Record<ChartNode["kind"], string>> = {
  atomic: "state",
  compound: "state with states in it",
  parallel: "parallel state",
  final: "final state",
  history: "history",
};

/**
 * One sentence per thing that can happen. It begins with what is written on the state, in that order: who speaks to a browser says
 * what they see.
 */
export function describeState(model: ChartModel, node: ChartNode, written: readonly string[] = [node.key]): string {
  const inside = node.parent === undefined ? "" : ` in ${model.nodes.get(node.parent)?.key ?? ""}`;
  const leaves = node.edges.flatMap((id) => {
    const edge = model.edges.get(id);
    return edge === undefined || edge.targets.length === 0 ? [] : [sentence(model, edge)];
  });
  const parts = [`${written.join(" ")}, ${KINDS[node.kind]}${inside}`];
  if (node.description !== undefined) parts.push(node.description);
  if (node.invokes.length > 0) parts.push(`invokes ${node.invokes.map(({ src }) => src).join(", ")}`);
  if (node.entry.length > 0) parts.push(`on entry ${node.entry.join(", ")}`);
  if (node.exit.length > 0) parts.push(`on exit ${node.exit.join(", ")}`);
  if (leaves.length > 0) parts.push(leaves.slice(0, 6).join("; ") + (leaves.length > 6 ? `; and ${leaves.length - 6} more` : ""));
  parts.push(...node.problems);
  return parts.join(". ");
}

function sentence(model: ChartModel, edge: ChartEdge): string {
  const targets = edge.targets.map((id) => model.nodes.get(id)?.key ?? id).join(" and ");
  return `${edge.label}${edge.guard === undefined ? "" : ` if ${edge.guard}`} leads to ${targets}`;
}

export interface TipLine {
  readonly name?: string;
  readonly text: string;
  readonly tone?: string;
}

export interface Tip {
  readonly title: string;
  readonly lines: readonly TipLine[];
}

const line = (name: string, text: string | undefined, tone?: string): TipLine[] =>
  text === undefined || text === "" ? [] : [{ name, text, ...(tone === undefined ? {} : { tone }) }];

export function stateTip(model: ChartModel, id: string): Tip | undefined {
  const node = model.nodes.get(id);
  if (node === undefined) return undefined;
  return {
    title: pathLabel(model, id),
    lines: [
      ...(node.description === undefined ? [] : [{ text: node.description }]),
      ...line("entry", node.entry.join(", ")),
      ...line("exit", node.exit.join(", ")),
      ...line(
        "invokes",
        node.invokes.map((one) => (one.id === undefined || one.id === one.src ? one.src : `${one.id} (${one.src})`)).join(", "),
      ),
      ...line("tags", node.tags.join(", ")),
      ...line("after", node.waitsFor.map((other) => model.nodes.get(other)?.key ?? other).join(", ")),
      ...line("id", node.id),
      ...node.problems.map((text) => ({ text, tone: "error" })),
    ],
  };
}

export function edgeTip(model: ChartModel, id: string): Tip | undefined {
  const edge = model.edges.get(id);
  if (edge === undefined) return undefined;
  const source = lineage(model, edge.source)[0];
  const delay =
    edge.delay === undefined ? undefined : typeof edge.delay === "number" ? duration(edge.delay) : `${edge.delay} (computed)`;
  const to = edge.targets.map((target) => pathLabel(model, target)).join(", ");
  return {
    title: edge.label,
    lines: [
      ...(edge.description === undefined ? [] : [{ text: edge.description }]),
      ...line("from", source === undefined ? edge.source : pathLabel(model, source.id)),
      ...line("to", edge.forbidden ? "nowhere: the event is ignored here" : to === "" ? "nowhere: it stays" : to),
      ...line("if", edge.guard),
      ...line("does", edge.actions.join(", ")),
      ...line("delay", delay),
      ...(edge.reenter ? [{ text: "leaves and enters its state again" }] : []),
      ...(edge.eventType === edge.label || edge.eventType === "" ? [] : line("event", edge.eventType)),
      ...edge.problems.map((text) => ({ text, tone: "error" })),
    ],
  };
}
