/**
 * The pure stepping of machines: a snapshot and an event give the next snapshot, and what is to be done as data. The one
 * place that knows XState's internals (`xstate` is pinned exactly; tests hold this equal to its own `transition()`). It must
 * not know what the machines are about, nor time, nor transport.
 *
 * How it differs from `transition()` inside, all of it invisible in the results:
 * - What microsteps exit, enter and ask for is worked out once per configuration and transitions (`plan.ts`) and then only run
 *   (`macrostep.ts`). Machines with history states, errors of actors that nothing handles, and large configurations that come
 *   for the first time are stepped by XState; the following holds for them too.
 * - One inert actor scope per machine. `transition()` makes two actor systems and a full initial snapshot per call.
 * - `assign` copies the snapshot. XState's computes the state value anew, from all active nodes, though it cannot have changed.
 * - An invoked actor is never created, not even an idle one (10 µs and 1.6 kB each): its place in `children` is a
 *   reference that all runs share. Without any logic at all, XState would forget the id by the time it stops.
 * - State nodes are asked for transitions only where they have one for the event's type. XState asks every active node, and
 *   each remembers every type that it was ever asked for: 4 MB after one run through a machine of 100 steps.
 * For a run of one no-op step that makes 3 µs for its three transitions, of 120 (Node 20, production build); 25 without plans.
 */
import { createActor } from "xstate";
import type { AnyEventObject, AnyMachineSnapshot, AnyStateMachine, AnyStateNode } from "xstate";
import { copySnapshot } from "./actions.ts";
import { createMacrostep } from "./macrostep.ts";

export type MachineSnapshot = AnyMachineSnapshot;

/**
 * Something that the machine wants done. Built-in actions of XState appear as:
 * - `timer.set {id, delayMs, event}`: a delayed raise, so also every `after`. Setting an id again replaces that timer.
 * - `timer.cancel {id}`: also for timers that have fired or were never set.
 * - `actor.start {id, src, input?}`, `actor.stop {id}`: invoke and spawnChild, and their end.
 * - `actor.send {id, event, delayMs?}`: sendTo a child.
 * - `emit {event}`, `log {value, label?}`.
 * All others are the machine's own, by name, with their resolved params.
 */
export interface StepAction {
  readonly type: string;
  readonly params?: any;
}

export interface Step {
  readonly snapshot: MachineSnapshot;
  /** In the order in which the machine asks for them. */
  readonly actions: readonly StepAction[];
  /**
   * Present when the machine itself is broken: a guard, an assign or a mapper threw, or an actor's error had no transition.
   * The snapshot's status is then `error`, and the actions stop whatever was running.
   */
  readonly error?: unknown;
}

export interface Stepper {
  /** A copy of its own; the machine that was given is never changed. */
  readonly machine: AnyStateMachine;
  /** The step into the initial state. */
  initial(input?: unknown): Step;
  /**
   * The same, from a cached initial step, with `context` laid over its context. Only for machines whose initial step does
   * not depend on the input otherwise.
   */
  initialWith(context: object): Step;
  /** A snapshot that is not `active` refuses every event: it is returned as it is, with no actions. */
  step(snapshot: MachineSnapshot, event: AnyEventObject): Step;
  /** A snapshot from what was stored of it. Invoked actors are there again without `actor.start`; spawned ones are not. */
  restore(value: unknown, context: unknown, ended?: Ended): MachineSnapshot;
}

/** What a snapshot that is not active has besides. Final states say `done` by themselves. */
export interface Ended {
  readonly status?: "done" | "error" | "stopped";
  readonly output?: unknown;
  readonly error?: unknown;
}

const NONE: readonly StepAction[] = Object.freeze([]);

/** Two snapshots of a machine with the same canonical form behave in the same way. */
export function canonical(snapshot: MachineSnapshot): string {
  const { value, context, status, output, error } = snapshot;
  return JSON.stringify({ value, context, status, output, error }, sortKeys);
}

function sortKeys(_key: string, value: unknown): unknown {
  if (value instanceof Error) return { name: value.name, message: value.message };
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** One microstep: the snapshot after it, and the transitions that were selected for it (conflicting ones among them). */
export type OnMicrostep = (snapshot: MachineSnapshot, transitions: readonly any[]) => void;

/**
 * Make one per machine and keep it: it costs about as much as compiling the machine. With `onMicrostep` all steps are XState's own,
 * and it is told of each microstep: for records, not for the hot path.
 */
export function createStepper(given: AnyStateMachine, onMicrostep?: OnMicrostep): Stepper {
  const machine: any = given.provide({});
  let sink: StepAction[] = [];
  const emit = (type: string, params?: any): void => void sink.push(params === undefined ? { type } : { type, params });

  const refs = replaceInvokes(machine, emit);
  replaceAssigns(machine);
  machine.getTransitionData = selectTransitions(machine);
  const scope = inertScope(machine, emit, onMicrostep);
  const idsOfInvokes = (node: AnyStateNode): string[] => (refs.get(node) ?? []).map(({ id }) => id);
  const macrostep = onMicrostep === undefined ? createMacrostep(machine, scope, idsOfInvokes) : undefined;

  /** The step that a call of XState makes, or the failed step that its exception is. */
  function run(from: MachineSnapshot | undefined, call: () => MachineSnapshot): Step {
    const actions: StepAction[] = (sink = []);
    let snapshot: MachineSnapshot;
    try {
      snapshot = call();
    } catch (error) {
      // As a live actor would: what the step had done so far is void, and the machine is over.
      const children = Object.keys(from?.children ?? {});
      return {
        snapshot: { ...(from as any), status: "error", error },
        actions: children.map((id) => ({ type: "actor.stop", params: { id } })),
        error,
      };
    }
    return snapshot.status === "error" ? { snapshot, actions, error: snapshot.error } : { snapshot, actions };
  }

  /** Along plans where they cover it, else by XState. */
  const initialSnapshot = (input: unknown): MachineSnapshot => {
    const planned = macrostep?.initial(input);
    if (planned !== undefined) return planned;
    sink.length = 0;
    return machine.getInitialSnapshot(scope, input);
  };
  const nextSnapshot = (snapshot: MachineSnapshot, event: AnyEventObject): MachineSnapshot => {
    const planned = macrostep?.step(snapshot, event);
    if (planned !== undefined) return planned;
    sink.length = 0;
    return machine.transition(snapshot, event, scope);
  };

  let cached: Step | undefined;
  /** Of states of the root: restored snapshots of one state share what does not differ. */
  const resting = new Map<string, any>();

  return {
    machine,

    initial: (input) => run(undefined, () => initialSnapshot(input)),

    initialWith(context) {
      cached ??= run(undefined, () => initialSnapshot(undefined));
      const { snapshot } = cached;
      const copy = copySnapshot(snapshot);
      copy.context = { ...snapshot.context, ...context };
      return { ...cached, snapshot: copy };
    },

    step(snapshot, event) {
      if (snapshot.status !== "active") return { snapshot, actions: NONE };
      return run(snapshot, () => nextSnapshot(snapshot, event));
    },

    restore(value, context, ended) {
      let resolved = typeof value === "string" ? resting.get(value) : undefined;
      if (resolved === undefined) {
        resolved = machine.resolveState({ value, context: {} });
        if (typeof value === "string") resting.set(value, resolved);
      }
      const snapshot = copySnapshot(resolved);
      snapshot.context = context || {};
      if (resolved.status !== "done") snapshot.status = ended?.status ?? "active";
      snapshot.output = ended?.output;
      snapshot.error = ended?.error;
      snapshot.historyValue = {};
      snapshot.children = {};
      for (const node of snapshot._nodes) for (const ref of refs.get(node) ?? []) snapshot.children[ref.id] = ref;
      return snapshot;
    },
  };
}

/** What stands for a running actor in `children`. */
interface ChildRef {
  readonly id: string;
  readonly src: string;
}

/**
 * Turns every invoke into an entry and an exit action that keep `children` as XState would: started after the entry actions,
 * stopped after the exit actions; when the machine is done, by XState itself after all of them.
 */
function replaceInvokes(machine: any, emit: (type: string, params: any) => void): Map<AnyStateNode, ChildRef[]> {
  const refs = new Map<AnyStateNode, ChildRef[]>();
  for (const node of machine.idMap.values()) {
    const invokes: any[] = node.invoke;
    // Own properties, also where there are none: XState's are getters over a WeakMap, read at every entry and exit.
    Object.defineProperty(node, "invoke", { value: [] });
    Object.defineProperty(node, "initial", { value: node.initial });
    for (const { id, src, input } of invokes) {
      const ref: ChildRef = Object.freeze({ id, src });
      refs.set(node, [...(refs.get(node) ?? []), ref]);

      node.entry.push(
        changeOfChildren("actor.start", (scope, { context, children }, event) => {
          const resolved = typeof input === "function" ? input({ context, event, self: scope.self }) : input;
          emit("actor.start", resolved === undefined ? { id, src } : { id, src, input: resolved });
          return { ...children, [id]: ref };
        }),
      );
      node.exit.push(
        changeOfChildren("actor.stop", (_scope, { status, children }) => {
          if (status !== "active" || !Object.hasOwn(children, id)) return children;
          emit("actor.stop", { id });
          const { [id]: _stopped, ...others } = children;
          return others;
        }),
      );
    }
  }
  return refs;
}

/** An action that XState resolves within the transition, as it does `assign`, and does not hand to the executor. */
function changeOfChildren(type: string, change: (scope: any, snapshot: any, event: any) => any): unknown {
  return Object.assign(() => {}, {
    type,
    change,
    resolve(scope: any, snapshot: any, { event }: any) {
      const children = change(scope, snapshot, event);
      return [children === snapshot.children ? snapshot : { ...snapshot, children }, undefined, undefined];
    },
  });
}

/** Replaces all assigns: in the implementations by name, and inline in states and transitions. */
function replaceAssigns(machine: any): void {
  const { implementations } = machine;
  const names = Object.keys(implementations.actions);
  implementations.actions = Object.fromEntries(names.map((name) => [name, quickAssign(implementations.actions[name])]));

  for (const node of machine.idMap.values()) {
    node.entry = node.entry.map(quickAssign);
    node.exit = node.exit.map(quickAssign);
    for (const transition of [...[...node.transitions.values()].flat(), ...(node.always ?? []), node.initial])
      transition.actions = transition.actions.map(quickAssign);
  }
}

const SPAWNS = Symbol("an assign that spawns");

/** What an assign is called with; looking at `spawn` gives up the quick way. */
class AssignArgs {
  readonly context: any;
  readonly event: any;
  readonly self: any;
  readonly system: any;

  constructor(snapshot: any, event: any, scope: any) {
    this.context = snapshot.context;
    this.event = event;
    this.self = scope.self;
    this.system = scope.system;
  }

  get spawn(): never {
    throw SPAWNS;
  }
}

/** The same assign without XState's recomputation; one that spawns stays XState's. Any other action stays what it is. */
function quickAssign(action: any): any {
  if (action?.type !== "xstate.assign") return action;
  const { assignment } = action;

  /** The next context; undefined where it has to be XState's doing. */
  function assign(scope: any, snapshot: any, event: any, params: any): any {
    if (!snapshot.context) return undefined;
    try {
      return { ...snapshot.context, ...assigned(assignment, new AssignArgs(snapshot, event, scope), params) };
    } catch (error) {
      if (error !== SPAWNS) throw error;
      return undefined;
    }
  }

  return Object.assign(() => {}, {
    type: action.type,
    assignment,
    assign,
    resolve(scope: any, snapshot: any, args: any, params: any, _action: any, extra: any) {
      const context = assign(scope, snapshot, args.event, params);
      if (context === undefined) return action.resolve(scope, snapshot, args, params, action, extra);
      return [{ ...snapshot, context }, undefined, undefined];
    },
  });
}

function assigned(assignment: any, args: AssignArgs, params: any): any {
  if (typeof assignment === "function") return assignment(args, params);
  const patch: any = {};
  for (const key of Object.keys(assignment))
    patch[key] = typeof assignment[key] === "function" ? assignment[key](args, params) : assignment[key];
  return patch;
}

/** XState's selection (innermost first, all regions of a parallel state), visiting only where the event can matter. */
function selectTransitions(machine: any): (snapshot: any, event: AnyEventObject) => unknown[] {
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

  function select(node: any, value: any, snapshot: any, event: AnyEventObject, nodes: Set<any> | undefined): any[] | undefined {
    if (!nodes?.has(node) && !anyType.has(node)) return undefined;
    let selected: any[] | undefined;
    if (typeof value === "string") {
      selected = select(node.states[value], undefined, snapshot, event, nodes);
    } else if (value !== undefined) {
      for (const key of Object.keys(value)) {
        const inner = select(node.states[key], value[key], snapshot, event, nodes);
        if (inner !== undefined) selected = selected === undefined ? inner : [...selected, ...inner];
      }
    }
    if (selected !== undefined) return selected;
    const own: any[] | undefined = node.transitions.get(event.type);
    if (own === undefined) return wildcards.has(node) ? node.next(snapshot, event) : undefined;
    return own.length === 1 && own[0].guard === undefined ? own : node.next(snapshot, event);
  }

  return (snapshot, event) => select(machine.root, snapshot.value, snapshot, event, reach.get(event.type)) ?? [];
}

/** What XState's own helper builds for every call (`createInertActorScope`), built once: nothing in it changes by stepping. */
function inertScope(machine: any, emit: (type: string, params?: any) => void, onMicrostep: OnMicrostep | undefined): unknown {
  const self: any = createActor(machine);
  const { system } = self;
  // Runs share it, so nothing may be registered in it: a `systemId` would collide with that of the next run.
  system._set = () => {};
  system._sendInspectionEvent =
    onMicrostep === undefined
      ? () => {}
      : ({ type, snapshot, _transitions }: any) => {
          if (type === "@xstate.microstep") onMicrostep(snapshot, _transitions);
        };

  return {
    self,
    system,
    id: "",
    sessionId: "",
    defer() {},
    emit() {},
    logger() {},
    stopChild() {},
    actionExecutor({ type, params }: StepAction): void {
      switch (type) {
        case "xstate.raise":
          // Without a delay it has been dealt with in the same step.
          if (typeof params.delay === "number") emit("timer.set", timer(params));
          return;
        case "xstate.cancel":
          return emit("timer.cancel", { id: params.sendId });
        case "xstate.sendTo":
          return emit(...sent(params, self));
        case "xstate.spawnChild":
          return emit("actor.start", { id: params.actorRef?.id ?? params.id, src: params.src, ...input(params) });
        case "xstate.stopChild":
          if (params !== undefined) emit("actor.stop", { id: params.id });
          return;
        case "xstate.emit":
        case "xstate.log":
          return emit(type.slice("xstate.".length), params);
        default:
          return emit(type, params);
      }
    },
  };
}

function timer({ id, delay, event }: any) {
  return { id: id ?? event.type, delayMs: delay, event };
}

function input({ input }: any) {
  return input === undefined ? {} : { input };
}

/** An event to itself comes back by a timer, at once if need be: it is a new event, not part of this step. */
function sent(params: any, self: unknown): [string, any] {
  const { to, event, delay } = params;
  if (to === self) return ["timer.set", timer({ ...params, delay: delay ?? 0 })];
  return ["actor.send", { id: to?.id ?? params.targetId, event, ...(delay === undefined ? {} : { delayMs: delay }) }];
}
