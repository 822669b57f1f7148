/** What is read of XState's state nodes and transitions: the one place that knows how they look from here. */
import type { NodeKind } from "./model.ts";
import type { Json, PROBLEMS } from "./repair.ts";

/** What is read of XState's nodes and transitions. */
export interface MachineNode {
  readonly id: string;
  readonly key: string;
  readonly type: NodeKind;
  readonly history: "shallow" | "deep" | boolean;
  readonly parent?: MachineNode;
  readonly states: Readonly<Record<string, MachineNode>>;
  readonly initial: { readonly target: readonly MachineNode[]; readonly actions: readonly unknown[] };
  readonly transitions: ReadonlyMap<string, readonly MachineTransition[]>;
  readonly always?: readonly MachineTransition[];
  readonly invoke: readonly { readonly id: string; readonly src: unknown }[];
  readonly description?: string;
  readonly tags: readonly unknown[];
  readonly config: Json;
  readonly machine: { getStateNodeById(id: string): MachineNode };
}

export interface MachineTransition {
  readonly target?: readonly MachineNode[];
  readonly guard?: unknown;
  readonly actions: readonly unknown[];
  readonly reenter: boolean;
  readonly delay?: number | string;
  readonly description?: string;
  readonly [PROBLEMS]?: readonly string[];
}

/** A machine with its transitions numbered: what gives edges their ids. */
export function* transitionsOf(node: MachineNode): Generator<{ id: string; type: string; transition: MachineTransition }> {
  for (const [type, list] of node.transitions) {
    for (const [index, transition] of list.entries()) yield { id: `${node.id}|${type}|${index}`, type, transition };
  }
  for (const [index, transition] of (node.always ?? []).entries()) yield { id: `${node.id}||${index}`, type: "", transition };
}

/** Parents first, in the order of the definition. */
export function* walk(root: MachineNode): Generator<MachineNode> {
  const pending = [root];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    yield node;
    pending.push(...Object.values(node.states).toReversed());
  }
}
