/**
 * The structure of microsteps, worked out once: which states a set of transitions exits and enters from a configuration, and
 * what is asked for in which order, depends on nothing else where there is no history. The functions are those of the SCXML
 * algorithm as XState has them (`raise-*.cjs.js`), in the same order and with the same names. Knows no context and no actions.
 */
import { stopChild } from "xstate";
import type { Passes } from "./actions.ts";

/** Nodes that are active together. Two with the same nodes in another order differ: XState's order of regions follows it. */
export interface Configuration<Work = unknown> {
  readonly nodes: readonly any[];
  readonly value: any;
  readonly tags: ReadonlySet<string>;
  /** For each atomic node with any: the eventless transitions of itself and its ancestors, innermost first. */
  readonly eventless: readonly (readonly Candidate[])[];
  readonly lookups: Map<string, Lookup>;
  readonly plans: Map<unknown, Plan<Work>>;
}

export interface Candidate {
  /** The transition, alone in a list: what is selected where no other is. */
  readonly selected: readonly [any];
  /** Absent: it has no guard. */
  readonly passes: Passes | undefined;
}

/** Where an event of one type is looked for: at this node, after those further in. */
export interface Lookup {
  readonly node: any;
  readonly inner: readonly Lookup[];
  /** `ask`: wildcards are involved, which is XState's business. */
  readonly own: readonly Candidate[] | "ask";
}

/** What a microstep does, and where it leads: where it began, if the same nodes are active afterwards. */
export interface Plan<Work> {
  readonly work: Work;
  readonly next: Configuration<Work>;
}

/** A part of a microstep. They come in order. */
export type Part =
  | { readonly type: "actions"; readonly actions: readonly any[]; readonly deferredActorIds: readonly string[] }
  /** A final state was entered: its parent is done. */
  | { readonly type: "done.state"; readonly id: string; readonly output?: unknown }
  /** So is the machine. */
  | { readonly type: "done"; readonly completed: any };

export interface Plans<Work> {
  /** Undefined for a large one that has not come before: to make plans for it takes longer than to go without. */
  configuration(snapshot: any): Configuration<Work> | undefined;
  lookup(configuration: Configuration<Work>, eventType: string): Lookup;
  plan(configuration: Configuration<Work>, transitions: readonly any[]): Plan<Work>;
  /** Into the initial configuration, from that of the root alone. */
  initial(): Plan<Work>;
}

export interface PlansOptions<Work> {
  readonly guardOf: (transition: any) => Passes | undefined;
  readonly idsOfInvokes: (node: any) => readonly string[];
  /** Turns the parts of a microstep into what is kept of them. */
  readonly prepare: (parts: readonly Part[]) => Work;
}

/**
 * Nodes and parts in all that is remembered, then it is all forgotten: about 5 MB at most. Both are finite per machine, but parallel
 * regions multiply.
 */
const MAX_REMEMBERED = 50_000;
/**
 * Up to so many nodes, a configuration gets plans at once; beyond, when it comes for the second time. Twenty regions that
 * finish in any order are hardly ever twice in the same configuration: plans for each made their steps half as slow again.
 */
const MAX_SMALL = 24;
/** Large configurations that have come once, by a hash. Where two share one, the second gets its plans sooner. */
const MAX_SEEN = 10_000;
/** Stands for all event types that no state names. No type of an event is the empty one. */
const OTHER = "";

const isHistory = (node: any): boolean => node.type === "history";
const isAtomic = (node: any): boolean => node.type === "atomic" || node.type === "final";

/** XState's own value and tags of these nodes: its `stopChild` makes them anew, whether it finds a child or not. */
const cloner: any = stopChild("");
function createMachineSnapshot(machine: any, nodes: readonly any[]): any {
  return cloner.resolve(undefined, { machine, _nodes: nodes, children: {} }, undefined, undefined, cloner)[0];
}

/** Undefined where plans are not enough: with history states, what is entered depends on what was left before. */
export function createPlans<Work>(machine: any, { guardOf, idsOfInvokes, prepare }: PlansOptions<Work>): Plans<Work> | undefined {
  if ([...machine.idMap.values()].some(isHistory)) return undefined;

  const { reach, anyType, wildcards } = reachOf(machine);
  const nothing: Lookup = { node: machine.root, inner: [], own: [] };
  const candidates = new Map<any, Candidate>();
  const ids = new Map<any, number>();
  /** Where a list of nodes keeps its configuration: a WeakMap of as many made garbage collection slow. */
  const known = Symbol("configuration");
  const configurations = new Map<string, Configuration<Work>>();
  const seen = new Set<number>();
  let remembered = 0;

  function hasComeBefore(nodes: readonly any[]): boolean {
    let hash = 0x811c9dc5;
    for (const { order } of nodes) hash = Math.imul(hash ^ order, 0x01000193);
    if (seen.has(hash)) return true;
    if (seen.size >= MAX_SEEN) seen.clear();
    seen.add(hash);
    return false;
  }

  function remember(size: number): void {
    remembered += size;
    if (remembered <= MAX_REMEMBERED) return;
    // Snapshots keep theirs, so it must not keep others.
    for (const { lookups, plans } of configurations.values()) {
      lookups.clear();
      plans.clear();
    }
    configurations.clear();
    remembered = 0;
  }

  function create(nodes: readonly any[]): Configuration<Work> {
    const { value, tags } = createMachineSnapshot(machine, nodes);
    const eventless = eventlessOf(nodes).map((transitions) => transitions.map(candidate));
    return { nodes, value, tags, eventless, lookups: new Map(), plans: new Map() };
  }

  function intern(nodes: readonly any[], always = true): Configuration<Work> {
    const key = nodes.map((node) => node.order).join();
    let configuration = configurations.get(key);
    if (configuration === undefined) {
      remember(nodes.length);
      configuration = create(nodes);
      // Unmarked, so that whoever comes from there is asked whether it has come before.
      if (!always && nodes.length > MAX_SMALL) return configuration;
      configurations.set(key, configuration);
    }
    (nodes as any)[known] = configuration;
    return configuration;
  }

  function candidate(transition: any): Candidate {
    let found = candidates.get(transition);
    if (found === undefined) candidates.set(transition, (found = { selected: [transition], passes: guardOf(transition) }));
    return found;
  }

  function lookup(node: any, value: any, type: string): Lookup | undefined {
    if (!reach.get(type)?.has(node) && !anyType.has(node)) return undefined;
    const inner: Lookup[] = [];
    const add = (key: string, further: any): void => {
      const found = lookup(node.states[key], further, type);
      if (found !== undefined) inner.push(found);
    };
    if (typeof value === "string") add(value, undefined);
    else if (value !== undefined) for (const key of Object.keys(value)) add(key, value[key]);

    const own = wildcards.has(node) ? "ask" : (node.transitions.get(type)?.map(candidate) ?? []);
    return own.length === 0 && inner.length === 0 ? undefined : { node, inner, own };
  }

  function idOf(transition: any): number {
    let id = ids.get(transition);
    if (id === undefined) ids.set(transition, (id = ids.size));
    return id;
  }

  function makePlan(from: Configuration<Work>, transitions: readonly any[], isInitial: boolean): Plan<Work> {
    const { parts, nodes } = microstep(transitions, from.nodes, idsOfInvokes, isInitial);
    remember(parts.length);
    return { work: prepare(parts), next: nodes === from.nodes ? from : intern(nodes, false) };
  }

  return {
    configuration: ({ _nodes }) =>
      _nodes[known] ?? (_nodes.length <= MAX_SMALL || hasComeBefore(_nodes) ? intern(_nodes) : undefined),

    lookup(configuration, eventType) {
      let found = configuration.lookups.get(eventType);
      if (found !== undefined) return found;
      const type = reach.has(eventType) ? eventType : OTHER;
      found = configuration.lookups.get(type);
      if (found === undefined) {
        remember(1);
        found = lookup(machine.root, configuration.value, type) ?? nothing;
        configuration.lookups.set(type, found);
      }
      return found;
    },

    plan(configuration, transitions) {
      const key = transitions.length === 1 ? transitions[0] : transitions.map(idOf).join();
      let plan = configuration.plans.get(key);
      if (plan === undefined) {
        plan = makePlan(configuration, transitions, false);
        configuration.plans.set(key, plan);
      }
      return plan;
    },

    initial: () => makePlan(intern([machine.root]), [initialTransition(machine.root)], true),
  };
}

/** Where event types lead: asking every active node is what makes XState slow on machines of many regions. */
function reachOf(machine: any) {
  /** By event type: the nodes that have a transition for it in themselves or further in. */
  const reach = new Map<string, Set<any>>();
  /** The same for descriptors with a wildcard, whatever they match. */
  const anyType = new Set<any>();
  const wildcards = new Set<any>();

  for (const node of machine.idMap.values()) {
    for (const descriptor of node.transitions.keys()) {
      let nodes = anyType;
      if (descriptor.endsWith("*")) {
        wildcards.add(node);
      } else {
        nodes = reach.get(descriptor) ?? new Set();
        reach.set(descriptor, nodes);
      }
      for (let n = node; n; n = n.parent) nodes.add(n);
    }
  }
  return { reach, anyType, wildcards };
}

function eventlessOf(nodes: readonly any[]): any[][] {
  const all: any[][] = [];
  for (const atomic of nodes.filter(isAtomic)) {
    const transitions: any[] = [];
    for (let node = atomic; node; node = node.parent) transitions.push(...(node.always ?? []));
    if (transitions.length > 0) all.push(transitions);
  }
  return all;
}

function microstep(
  transitions: readonly any[],
  before: readonly any[],
  idsOfInvokes: (node: any) => readonly string[],
  isInitial: boolean,
) {
  const nodes = new Set(before);
  const filtered = removeConflictingTransitions(transitions, nodes);
  const parts: Part[] = [];
  const act = (actions: readonly any[], deferredActorIds: readonly string[] = []): void => {
    if (actions.length > 0) parts.push({ type: "actions", actions, deferredActorIds });
  };

  // Exit states
  for (const node of isInitial ? [] : computeExitSet(filtered, nodes).toSorted((a, b) => b.order - a.order)) {
    act(node.exit);
    nodes.delete(node);
  }

  // Execute transition content
  for (const transition of filtered) act(transition.actions);

  // Enter states
  const statesForDefaultEntry = new Set<any>();
  const statesToEnter = computeEntrySet(filtered, statesForDefaultEntry);
  if (isInitial) statesForDefaultEntry.add(before[0]);
  const completed = new Set<any>();
  let done = false;
  for (const node of [...statesToEnter].sort((a, b) => a.order - b.order)) {
    nodes.add(node);
    act([...node.entry, ...(statesForDefaultEntry.has(node) ? node.initial.actions : [])], idsOfInvokes(node));
    if (node.type !== "final") continue;

    const { parent } = node;
    let ancestor = parent?.type === "parallel" ? parent : parent?.parent;
    let rootCompletionNode = ancestor ?? node;
    if (parent?.type === "compound") parts.push({ type: "done.state", id: parent.id, output: node.output });
    while (ancestor?.type === "parallel" && !completed.has(ancestor) && isInFinalState(nodes, ancestor)) {
      completed.add(ancestor);
      parts.push({ type: "done.state", id: ancestor.id });
      rootCompletionNode = ancestor;
      ancestor = ancestor.parent;
    }
    if (ancestor) continue;
    parts.push({ type: "done", completed: rootCompletionNode });
    done = true;
  }

  let after: readonly any[] = [...nodes];
  if (done) {
    after = after.toSorted((a, b) => b.order - a.order);
    for (const node of after) act(node.exit);
  }
  const same = before.length === nodes.size && before.every((node) => nodes.has(node));
  return { parts, nodes: same ? before : after };
}

function initialTransition(root: any): any {
  const target = new Set<any>();
  function add(node: any): void {
    if (target.has(node)) return;
    target.add(node);
    if (node.type === "compound") add(node.initial.target[0]);
    else if (node.type === "parallel") for (const child of Object.values<any>(node.states)) add(child);
  }
  add(root);
  return { target: [...target], source: root, reenter: true, actions: [] };
}

/** Of transitions selected together, those that are taken: where two would exit the same state, the inner one's. */
export function removeConflictingTransitions(enabled: readonly any[], nodes: ReadonlySet<any>): readonly any[] {
  if (enabled.length < 2) return enabled;
  const filtered = new Set<any>();
  const exitSets = new Map(enabled.map((transition) => [transition, computeExitSet([transition], nodes)]));
  const exitSet = (transition: any): any[] => exitSets.get(transition)!;

  for (const t1 of enabled) {
    let preempted = false;
    const toRemove = new Set<any>();
    for (const t2 of filtered) {
      if (!exitSet(t1).some((node) => exitSet(t2).includes(node))) continue;
      if (!isDescendant(t1.source, t2.source)) {
        preempted = true;
        break;
      }
      toRemove.add(t2);
    }
    if (preempted) continue;
    for (const t3 of toRemove) filtered.delete(t3);
    filtered.add(t1);
  }
  return [...filtered];
}

function computeExitSet(transitions: readonly any[], nodes: ReadonlySet<any>): any[] {
  const statesToExit = new Set<any>();
  for (const transition of transitions) {
    if (!transition.target?.length) continue;
    const domain = getTransitionDomain(transition);
    if (transition.reenter && transition.source === domain) statesToExit.add(domain);
    for (const node of nodes) if (isDescendant(node, domain)) statesToExit.add(node);
  }
  return [...statesToExit];
}

function computeEntrySet(transitions: readonly any[], statesForDefaultEntry: Set<any>): Set<any> {
  const statesToEnter = new Set<any>();
  const isEntered = (region: any): boolean => [...statesToEnter].some((entered) => isDescendant(entered, region));

  function addDescendantStatesToEnter(node: any): void {
    if (node.type === "compound") {
      const [initial] = node.initial.target;
      statesToEnter.add(initial);
      statesForDefaultEntry.add(initial);
      addDescendantStatesToEnter(initial);
      addAncestorStatesToEnter(getProperAncestors(initial, node), undefined);
    } else if (node.type === "parallel") {
      for (const child of Object.values<any>(node.states)) {
        if (isEntered(child)) continue;
        statesToEnter.add(child);
        statesForDefaultEntry.add(child);
        addDescendantStatesToEnter(child);
      }
    }
  }

  function addAncestorStatesToEnter(ancestors: readonly any[], reentrancyDomain: any): void {
    for (const ancestor of ancestors) {
      if (!reentrancyDomain || isDescendant(ancestor, reentrancyDomain)) statesToEnter.add(ancestor);
      if (ancestor.type !== "parallel") continue;
      for (const child of Object.values<any>(ancestor.states)) {
        if (isEntered(child)) continue;
        statesToEnter.add(child);
        addDescendantStatesToEnter(child);
      }
    }
  }

  for (const transition of transitions) {
    const { source, reenter } = transition;
    const targets: readonly any[] = transition.target ?? [];
    const domain = getTransitionDomain(transition);
    for (const target of targets) {
      // Not entered only where it is the source itself, which stays active.
      if (source !== target || source !== domain || reenter) {
        statesToEnter.add(target);
        statesForDefaultEntry.add(target);
      }
      addDescendantStatesToEnter(target);
    }
    for (const target of new Set(targets)) {
      const ancestors = getProperAncestors(target, domain);
      if (domain?.type === "parallel") ancestors.push(domain);
      addAncestorStatesToEnter(ancestors, !source.parent && reenter ? undefined : domain);
    }
  }
  return statesToEnter;
}

/** Undefined: the root itself is left and entered again. */
function getTransitionDomain({ source, target = [], reenter }: any): any {
  if (!reenter && target.every((node: any) => node === source || isDescendant(node, source))) return source;
  const [head, ...tail] = [...new Set<any>(target), source];
  const lca = getProperAncestors(head, undefined).find((ancestor) => tail.every((node) => isDescendant(node, ancestor)));
  return lca ?? (reenter ? undefined : source.machine.root);
}

function getProperAncestors(node: any, toNode: any): any[] {
  const ancestors: any[] = [];
  if (toNode === node) return ancestors;
  for (let n = node.parent; n && n !== toNode; n = n.parent) ancestors.push(n);
  return ancestors;
}

/** With `parent` undefined, as XState has it: of anything. */
function isDescendant(child: any, parent: any): boolean {
  let marker = child;
  while (marker.parent && marker.parent !== parent) marker = marker.parent;
  return marker.parent === parent;
}

function isInFinalState(nodes: ReadonlySet<any>, node: any): boolean {
  const children = Object.values<any>(node.states);
  if (node.type === "compound") return children.some((child) => child.type === "final" && nodes.has(child));
  if (node.type === "parallel") return children.every((child) => isInFinalState(nodes, child));
  return node.type === "final";
}
