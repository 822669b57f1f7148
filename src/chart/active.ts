/** From XState's state values to the ids of states: what lights up. */
import { lineage, type ChartModel, type ChartNode } from "./model.ts";

/**
 * Ids of all active states, ancestors first. `value` as snapshots have it: `"a"`, `{ a: "b" }`, `{ a: { b: {}, c: "d" } }`; names that the
 * machine does not have are passed over.
 */
export function activeIds(model: ChartModel, value: unknown): readonly string[] {
  const root = model.nodes.get(model.root);
  if (root === undefined || value === undefined || value === null) return [];
  const ids: string[] = [];
  const visit = (node: ChartNode, inner: unknown): void => {
    ids.push(node.id);
    if (typeof inner === "string") {
      const child = childOf(model, node, inner);
      if (child !== undefined) visit(child, undefined);
    } else if (typeof inner === "object" && inner !== null) {
      for (const [key, deeper] of Object.entries(inner)) {
        const child = childOf(model, node, key);
        if (child !== undefined) visit(child, deeper);
      }
    }
  };
  visit(root, value);
  return ids;
}

function childOf(model: ChartModel, node: ChartNode, key: string): ChartNode | undefined {
  for (const id of node.children) {
    const child = model.nodes.get(id);
    if (child?.key === key) return child;
  }
  return undefined;
}

/** The active states that have no active state in them. */
export function innermost(model: ChartModel, active: Iterable<string>): readonly ChartNode[] {
  const set = new Set(active);
  return [...set].flatMap((id) => {
    const node = model.nodes.get(id);
    return node === undefined || node.children.some((child) => set.has(child)) ? [] : [node];
  });
}

/**
 * Where things stand within a state, for people: `attempt › executing`; several regions are joined by commas. Undefined where
 * nothing within it is active.
 */
export function standing(model: ChartModel, within: string, active: ReadonlySet<string>): string | undefined {
  const node = model.nodes.get(within);
  if (node === undefined) return undefined;
  const parts = node.children.flatMap((id) => {
    const child = model.nodes.get(id);
    if (child === undefined || !active.has(id)) return [];
    const deeper = standing(model, id, active);
    return [deeper === undefined ? child.key : `${child.key} › ${deeper}`];
  });
  return parts.length === 0 ? undefined : parts.join(", ");
}

/** `fetch › attempt › executing`: a state's place for people, without the root. */
export function pathLabel(model: ChartModel, id: string): string {
  const keys = lineage(model, id)
    .toReversed()
    .map((node) => node.key);
  return (keys.length > 1 ? keys.slice(1) : keys).join(" › ");
}
