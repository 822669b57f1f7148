/**
 * Builds the chart model of a definition. XState itself builds the machine (without implementations), so that ids of states
 * and transitions are the ones that engines report. Never throws, whatever a foreign program has sent.
 */
import { createMachine } from "xstate";
import { actionLabels, eventLabel, guardLabel } from "./labels.ts";
import type { ChartEdge, ChartInvoke, ChartModel, ChartNode } from "./model.ts";
import { dependenciesOf, orderMachine, type MachineOrder } from "./machine-order.ts";
import { transitionsOf, walk, type MachineNode, type MachineTransition } from "./machine-node.ts";
import { isRecord, listOf, PROBLEMS, repair, type Json } from "./repair.ts";

/** `definition`: what `MachineDefinition.definition` holds, or what `@statelyai/inspect` has sent. */
export function createChartModel(definition: unknown): ChartModel {
  const steps = chartModelSteps(definition);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** The same in parts, for a page that must not keep its next frame waiting for a large machine. */
export function* chartModelSteps(definition: unknown): Generator<void, ChartModel> {
  try {
    const config = repair(definition);
    yield;
    const machine = createMachine(config as never);
    yield;
    const isMachine = isRecord(definition) && (isRecord(definition["states"]) || definition["on"] !== undefined);
    return yield* build(machine.root as unknown as MachineNode, isMachine);
  } catch (error) {
    const root = createMachine({ id: nameIn(definition) }).root as unknown as MachineNode;
    return yield* build(
      root,
      false,
      `this definition cannot be drawn: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function nameIn(definition: unknown): string {
  return isRecord(definition) && typeof definition["id"] === "string" ? definition["id"] : "machine";
}

function* build(root: MachineNode, isMachine: boolean, problem?: string): Generator<void, ChartModel> {
  const all = [...walk(root)];
  const waits = new Map(all.flatMap((node) => [...dependenciesOf(node)]));
  const orders = orderMachine(all, waits);
  yield;
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
    const children = (orders.keys.get(node) ?? []).map((key) => node.states[key]).filter((child) => child !== undefined);
    nodes.set(node.id, chartNode(node, depth, children, own, waits.get(node.id) ?? []));
    for (const child of children.toReversed()) pending.push({ node: child, depth: depth + 1 });
  }
  return { root: root.id, name: root.key, nodes, edges, isMachine, problems: problem === undefined ? [] : [problem] };
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

function endsBadly({ type, key }: MachineNode): boolean {
  const ending = type === "final" ? endingOf(key) : undefined;
  return ending === "error" || ending === "cancelled";
}

function edgeOf(node: MachineNode, id: string, type: string, transition: MachineTransition, orders: MachineOrder): ChartEdge {
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
    // Being done is good news, unless it leads to where a run ends badly.
    tone: tone === "ok" && (transition.target ?? []).some(endsBadly) ? "plain" : tone,
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
    back: (transition.target ?? []).some((target) => orders.leadsBack(node, target)),
    problems,
  };
}
