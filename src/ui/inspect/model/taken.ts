/**
 * The transitions that an actor took, guessed from its event and its states before and after: Stately's protocol does not say.
 * Only what cannot have been otherwise is told; where guards leave a choice that ends in the same states, nothing is. Pure.
 */
import { activeIds, innermost, lineage, type ChartEdge, type ChartModel } from "../../../chart/index.ts";

export function takenOf(model: ChartModel, event: string, before: unknown, after: unknown): readonly string[] {
  if (before === undefined || after === undefined || event === "" || event === "xstate.init") return [];
  const activeBefore = activeIds(model, before);
  const activeAfter = new Set(activeIds(model, after));
  const unchanged = JSON.stringify(before) === JSON.stringify(after);
  const taken = new Set<string>();
  for (const leaf of innermost(model, activeBefore)) {
    const edge = edgeFrom(model, leaf.id, event, activeAfter, unchanged);
    if (edge !== undefined) taken.add(edge.id);
  }
  return [...taken];
}

/** The state itself is asked first, then what is around it; a transition without a guard is always taken. */
function edgeFrom(
  model: ChartModel,
  leaf: string,
  event: string,
  after: ReadonlySet<string>,
  unchanged: boolean,
): ChartEdge | undefined {
  for (const node of lineage(model, leaf)) {
    const edges = node.edges.map((id) => model.edges.get(id)).filter((edge) => edge !== undefined);
    const matching = mostSpecific(edges, event);
    if (matching.length === 0) continue;
    // Whatever stands after one without a guard is never reached.
    const certain = matching.findIndex((edge) => edge.guard === undefined);
    const reachable = certain === -1 ? matching : matching.slice(0, certain + 1);
    const [only] = reachable;
    if (reachable.length === 1 && certain === 0) return only?.forbidden === true ? undefined : only;
    const fitting = reachable.filter((edge) =>
      edge.targets.length === 0 ? unchanged : edge.targets.every((target) => after.has(target)),
    );
    if (fitting.length > 1) return undefined;
    const [edge] = fitting;
    if (edge !== undefined) {
      // Without a target, nothing tells whether its guard let it.
      return edge.targets.length === 0 && edge.guard !== undefined ? undefined : edge;
    }
    if (certain !== -1) return undefined;
  }
  return undefined;
}

/** Exact names before `order.*` before `*`, as XState looks for them. */
function mostSpecific(edges: readonly ChartEdge[], event: string): readonly ChartEdge[] {
  const exact = edges.filter((edge) => edge.eventType === event);
  if (exact.length > 0) return exact;
  const patterns = edges
    .filter((edge) => edge.eventType.endsWith("*") && event.startsWith(edge.eventType.slice(0, -1)))
    .toSorted((a, b) => b.eventType.length - a.eventType.length);
  return patterns.filter((edge) => edge.eventType === patterns[0]?.eventType);
}
