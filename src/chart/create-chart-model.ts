/**
 * Builds the chart model of a definition. XState itself builds the machine (without implementations), so that ids of states
 * and transitions are the ones that engines report. Never throws, whatever a foreign program has sent.
 */
import { createMachine } from "xstate";
import { actionLabels, eventLabel, guardLabel } from "./labels.ts";
import type { ChartEdge, ChartInvoke, ChartModel, ChartNode } from "./model.ts";
import { arrowKey, orderSiblings, type Arrow, type Order } from "./order.ts";
import { isRecord, listOf, PROBLEMS, repair, type Json } from "./repair.ts";

/** What is read of XState's nodes and transitions. */
interface MachineNode {
  readonly id: string;
  readonly key: string;
  readonly type: ChartNode["kind"];
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

interface MachineTransition {
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

/** `definition`: what `MachineDefinition.definition` holds, or what `@statelyai/inspect` has sent. */
export function createChartModel(definition: unknown): ChartModel {
  try {
    const config = repair(definition);
    const machine = createMachine(config as never);
    const isMachine = isRecord(definition) && (isRecord(definition["states"]) || definition["on"] !== undefined);
    return build(machine.root as unknown as MachineNode, isMachine);
  } catch (error) {
    return build(
      createMachine({ id: nameIn(definition) }).root as unknown as MachineNode,
      false,
      `this definition cannot be drawn: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function nameIn(definition: unknown): string {
  return isRecord(definition) && typeof definition["id"] === "string" ? definition["id"] : "machine";
}

function build(root: MachineNode, isMachine: boolean, problem?: string): ChartModel {
  const all = [...walk(root)];
  const waits = new Map(all.flatMap((node) => [...dependenciesOf(node)]));
  const orders = new Map(all.map((node) => [node.id, orderOf(node, waits)]));
  const nodes = new Map<string, ChartNode>();
  const edges = new Map<string, ChartEdge>();
  const pending: { readonly node: MachineNode; readonly depth: number }[] = [{ node: root, depth: 0 }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, depth } = next;
    const own: string[] = [];
    for (const { id, type, transition } of transitionsOf(node)) {
      own.push(id);
      edges.set(id, edgeOf(node, id, type, transition, orders));
    }
    const children = (orders.get(node.id)?.keys ?? []).map((key) => node.states[key]).filter((child) => child !== undefined);
    nodes.set(node.id, chartNode(node, depth, children, own, waits.get(node.id) ?? []));
    for (const child of children.toReversed()) pending.push({ node: child, depth: depth + 1 });
  }
  return { root: root.id, name: root.key, nodes, edges, isMachine, problems: problem === undefined ? [] : [problem] };
}

/** Parents first, in the order of the definition. */
function* walk(root: MachineNode): Generator<MachineNode> {
  const pending = [root];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    yield node;
    pending.push(...Object.values(node.states).toReversed());
  }
}

function chartNode(
  node: MachineNode,
  depth: number,
  children: readonly MachineNode[],
  edges: readonly string[],
  waitsFor: readonly string[],
): ChartNode {
  const { id, key, type: kind, config } = node;
  const initial = kind === "compound" ? node.initial : undefined;
  const ending = kind === "final" ? endingOf(key) : undefined;
  return {
    id,
    key,
    kind,
    ...(node.parent === undefined ? {} : { parent: node.parent.id }),
    children: children.map((child) => child.id),
    depth,
    ...(kind === "history" ? { history: node.history === "deep" ? "deep" : "shallow" } : {}),
    ...(initial?.target[0] === undefined ? {} : { initial: initial.target[0].id }),
    initialActions: actionLabels(initial?.actions),
    historyDefault: kind === "history" ? historyDefault(node) : [],
    entry: actionLabels(config["entry"]),
    exit: actionLabels(config["exit"]),
    invokes: node.invoke.map((invoke) => invokeOf(invoke)),
    tags: node.tags.filter((tag) => typeof tag === "string"),
    ...(node.description === undefined ? {} : { description: node.description }),
    ...(ending === undefined ? {} : { ending }),
    edges,
    waitsFor,
    problems: problemsOf(config),
  };
}

const isMadeUp = (id: string): boolean => /^(xstate\.invoke\.)?\d+\./.test(id);

function invokeOf({ id, src }: { readonly id: string; readonly src: unknown }): ChartInvoke {
  const name = typeof src === "string" && !isMadeUp(src) ? src : isMadeUp(id) ? "actor" : id;
  return isMadeUp(id) ? { src: name } : { id, src: name };
}

function problemsOf(holder: Json): readonly string[] {
  return listOf(holder[PROBLEMS]).filter((problem) => typeof problem === "string");
}

function historyDefault(node: MachineNode): readonly string[] {
  return listOf(node.config["target"]).flatMap((target) => {
    if (typeof target !== "string") return [];
    if (target.startsWith("#")) return [node.machine.getStateNodeById(target).id];
    let found: MachineNode | undefined = node.parent;
    for (const key of target.split(".").filter((part) => part !== "")) found = found?.states[key];
    return found === undefined ? [] : [found.id];
  });
}

/** For colours only: a wrong guess misleads nobody about what happens. */
function endingOf(key: string): ChartNode["ending"] {
  if (/^(succeeded|success(ful)?|done|completed?|finished|ok|approved|delivered)$/i.test(key)) return "ok";
  if (/fail|error|reject|timed?.?out|dead/i.test(key)) return "error";
  return /cancel|abort|stopped|skipped/i.test(key) ? "cancelled" : undefined;
}

function edgeOf(
  node: MachineNode,
  id: string,
  type: string,
  transition: MachineTransition,
  orders: ReadonlyMap<string, Order>,
): ChartEdge {
  const keys: string[] = [];
  for (let n = node; n.parent !== undefined; n = n.parent) keys.push(n.key);
  const invokes = node.invoke.map((invoke) => ({ id: invoke.id, src: invokeOf(invoke).src }));
  const { delay } = transition;
  const { tone, ...names } = eventLabel(type, { sourceId: node.id, keys, invokes, ...(delay === undefined ? {} : { delay }) });
  const targets = (transition.target ?? []).map((target) => target.id);
  const actions = actionLabels(transition.actions);
  const guard = guardLabel(transition.guard);
  const problems = transition[PROBLEMS] ?? [];
  return {
    id,
    source: node.id,
    eventType: type,
    ...names,
    tone,
    ...(guard === undefined ? {} : { guard }),
    actions,
    ...(transition.description === undefined ? {} : { description: transition.description }),
    targets,
    self: targets.length === 1 && targets[0] === node.id,
    reenter: transition.reenter,
    forbidden:
      targets.length === 0 &&
      transition.actions.length === 0 &&
      !transition.reenter &&
      problems.length === 0 &&
      guard === undefined,
    back: (transition.target ?? []).some((target) => leadsBack(node, target, orders)),
    problems,
  };
}

function ancestry(node: MachineNode): MachineNode[] {
  const line = [node];
  for (let n = node.parent; n !== undefined; n = n.parent) line.unshift(n);
  return line;
}

/** The siblings through which an edge goes where its ends part; undefined where one end is within the other. */
function siblingsBetween(source: MachineNode, target: MachineNode): [MachineNode, MachineNode] | undefined {
  const from = ancestry(source);
  const to = ancestry(target);
  for (let i = 0; i < Math.min(from.length, to.length); i++) {
    const [a, b] = [from[i]!, to[i]!];
    if (a !== b) return [a, b];
  }
  return undefined;
}

function leadsBack(source: MachineNode, target: MachineNode, orders: ReadonlyMap<string, Order>): boolean {
  const siblings = siblingsBetween(source, target);
  if (siblings === undefined) return source !== target && ancestry(source).includes(target);
  const [a, b] = siblings;
  return a.parent !== undefined && orders.get(a.parent.id)?.back.has(arrowKey(a.key, b.key)) === true;
}

/** The order of a node's children. Their arrows include those of all that is within them. */
function orderOf(parent: MachineNode, waits: ReadonlyMap<string, readonly string[]>): Order {
  const keys = Object.keys(parent.states);
  if (keys.length === 0) return { keys, back: new Set() };
  const arrows: Arrow[] = [];
  for (const child of Object.values(parent.states)) {
    for (const node of walk(child)) {
      for (const { transition } of transitionsOf(node)) {
        for (const target of transition.target ?? []) {
          const siblings = siblingsBetween(node, target);
          if (siblings?.[0] === child && siblings[1].parent === parent) arrows.push({ from: child.key, to: siblings[1].key });
        }
      }
    }
  }
  // Regions stand as they are written, which for steps is topological; only what leads back is of interest.
  if (parent.type === "parallel") {
    const regions = Object.values(parent.states);
    for (const region of regions) {
      for (const id of waits.get(region.id) ?? []) {
        const before = regions.find((other) => other.id === id);
        if (before !== undefined) arrows.unshift({ from: before.key, to: region.key });
      }
    }
    return { keys, back: orderSiblings(keys, undefined, arrows).back };
  }
  return orderSiblings(keys, parent.initial.target[0]?.key, arrows);
}

/**
 * Which regions wait for which: those of steps say so in the guard that lets them begin (`machines/run/compile.ts`), whose
 * parameters name the siblings that must have succeeded.
 */
function* dependenciesOf(parent: MachineNode): Generator<[string, readonly string[]]> {
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
