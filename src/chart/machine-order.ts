/** The order in which the states of a machine are drawn, what waits for what, and which transitions lead back. */
import { transitionsOf, type MachineNode } from "./machine-node.ts";
import { arrowKey, orderSiblings, type Arrow } from "./order.ts";
import { isRecord, listOf, type Json } from "./repair.ts";

export interface MachineOrder {
  /** Of the children of a node. */
  readonly keys: ReadonlyMap<MachineNode, readonly string[]>;
  leadsBack(source: MachineNode, target: MachineNode): boolean;
}

/** `nodes`: all of them, parents first. `waits`: what `dependenciesOf` has found, by id of the region. */
export function orderMachine(nodes: readonly MachineNode[], waits: ReadonlyMap<string, readonly string[]>): MachineOrder {
  const depths = new Map<MachineNode, number>();
  for (const node of nodes) depths.set(node, node.parent === undefined ? 0 : (depths.get(node.parent) ?? 0) + 1);

  /** The siblings through which an edge goes where its ends part; undefined where one end is within the other. */
  const siblings = (source: MachineNode, target: MachineNode): readonly [MachineNode, MachineNode] | undefined => {
    let [a, b] = [source, target];
    const [depthA, depthB] = [depths.get(a) ?? 0, depths.get(b) ?? 0];
    for (let i = depthA; i > depthB; i--) a = a.parent ?? a;
    for (let i = depthB; i > depthA; i--) b = b.parent ?? b;
    if (a === b) return undefined;
    while (a.parent !== b.parent) [a, b] = [a.parent ?? a, b.parent ?? b];
    return [a, b];
  };

  const arrows = new Map<MachineNode, Arrow[]>();
  const draw = (parent: MachineNode, from: string, to: string): void => {
    const list = arrows.get(parent);
    if (list === undefined) arrows.set(parent, [{ from, to }]);
    else list.push({ from, to });
  };
  for (const region of nodes) {
    for (const id of waits.get(region.id) ?? []) {
      const before = Object.values(region.parent?.states ?? {}).find((other) => other.id === id);
      if (before !== undefined && region.parent !== undefined) draw(region.parent, before.key, region.key);
    }
  }
  for (const node of nodes) {
    for (const { transition } of transitionsOf(node)) {
      for (const target of transition.target ?? []) {
        const pair = siblings(node, target);
        if (pair?.[0].parent !== undefined) draw(pair[0].parent, pair[0].key, pair[1].key);
      }
    }
  }

  const keys = new Map<MachineNode, readonly string[]>();
  const back = new Map<MachineNode, ReadonlySet<string>>();
  for (const node of nodes) {
    const written = Object.keys(node.states);
    if (written.length === 0) continue;
    // Regions stand as they are written, which for steps is topological; only what leads back is of interest.
    const isParallel = node.type === "parallel";
    const order = orderSiblings(written, isParallel ? undefined : node.initial.target[0]?.key, arrows.get(node) ?? []);
    keys.set(node, isParallel ? written : order.keys);
    back.set(node, order.back);
  }

  return {
    keys,
    leadsBack(source, target) {
      const pair = siblings(source, target);
      if (pair === undefined) return (depths.get(target) ?? 0) < (depths.get(source) ?? 0);
      const [a, b] = pair;
      return a.parent !== undefined && back.get(a.parent)?.has(arrowKey(a.key, b.key)) === true;
    },
  };
}

/**
 * Which regions wait for which: those of steps say so in the guard that lets them begin (`machines/run/compile.ts`), whose
 * parameters name the siblings that must have succeeded.
 */
export function* dependenciesOf(parent: MachineNode): Generator<[string, readonly string[]]> {
  if (parent.type !== "parallel") return;
  for (const region of Object.values(parent.states)) {
    const names = Object.values(region.states)
      .flatMap((state) => [...transitionsOf(state)])
      .map(({ transition: { guard } }) => guard)
      .filter((guard) => isRecord(guard) && guard["type"] === "parentsSucceeded" && isRecord(guard["params"]))
      .flatMap((guard) => listOf(((guard as Json)["params"] as Json)["steps"]));
    const ids = [...new Set(names)].flatMap((name) => (typeof name === "string" ? (parent.states[name]?.id ?? []) : []));
    if (ids.length > 0) yield [region.id, ids.filter((id) => id !== region.id)];
  }
}
