/**
 * XState's macrostep along plans: the transitions of the event, then eventless ones and raised events until none is left. What
 * plans don't cover is left to XState's own, from the start of the step: `undefined` says so.
 */
import type { AnyEventObject } from "xstate";
import { createPreparation, Walk, type Act } from "./actions.ts";
import { createPlans, type Candidate, type Configuration, type Lookup, type Part, type Plan } from "./plan.ts";

const NONE: readonly any[] = Object.freeze([]);

export interface Macrostep {
  initial(input: unknown): any;
  step(snapshot: any, event: AnyEventObject): any;
}

/**
 * Undefined for machines with history states. `scope` is handed the actions; what it was handed before a step gave
 * `undefined` is void. `idsOfInvokes` tells which actors a node starts.
 */
export function createMacrostep(machine: any, scope: any, idsOfInvokes: (node: any) => readonly string[]): Macrostep | undefined {
  const { prepareAction, prepareGuard } = createPreparation(machine, scope);
  const prepared = new Map<any, Act>();
  const plans = createPlans<readonly Act[]>(machine, {
    guardOf: ({ guard }) => (guard === undefined ? undefined : prepareGuard(guard)),
    idsOfInvokes,
    prepare: (parts) => parts.flatMap(prepare),
  });
  if (plans === undefined) return undefined;
  const maxIterations: number = machine.options?.maxIterations ?? Infinity;

  function prepare(part: Part): readonly Act[] {
    switch (part.type) {
      case "actions":
        return part.actions.map((action) => {
          const act = actOf(action);
          return (walk, event) => act(walk, event, part.deferredActorIds);
        });
      case "done.state": {
        const { id, output } = part;
        return [(walk, event) => void walk.queue.push(doneState(id, output, walk.current, event))];
      }
      case "done":
        return [
          (walk, event) =>
            void Object.assign(walk.own(), { status: "done", output: machineOutput(part.completed, walk.current, event) }),
        ];
    }
  }

  function actOf(action: any): Act {
    let act = prepared.get(action);
    if (act === undefined) prepared.set(action, (act = prepareAction(action)));
    return act;
  }

  function doneState(id: string, output: any, snapshot: any, event: any) {
    return { type: `xstate.done.state.${id}`, output: resolveOutput(output, snapshot, event) };
  }

  function machineOutput(completed: any, snapshot: any, event: any): unknown {
    const { output } = machine.root;
    if (output === undefined) return undefined;
    return resolveOutput(output, snapshot, doneState(completed.id, completed.parent && completed.output, snapshot, event));
  }

  function resolveOutput(output: any, { context }: any, event: any): unknown {
    return typeof output === "function" ? output({ context, event, self: scope.self }) : output;
  }

  function microstep(
    walk: Walk,
    { work, next }: Plan<readonly Act[]>,
    from: Configuration<readonly Act[]> | undefined,
    event: any,
  ): void {
    walk.changed = false;
    for (const act of work) act(walk, event, NONE);
    if (next === from) return;
    const current = walk.own();
    current._nodes = next.nodes;
    current.value = next.value;
    current.tags = next.tags;
  }

  /** Eventless transitions and raised events until the machine is at rest, or over. */
  function settle(walk: Walk, from: Configuration<readonly Act[]>, cause: any): any {
    let configuration = from;
    let event = cause;
    let mayBeEventless = true;
    let iterations = 0;
    while (walk.current.status === "active") {
      if (++iterations > maxIterations) return undefined;
      let transitions: readonly any[] = mayBeEventless
        ? selectEventlessTransitions(configuration.eventless, walk.current, event)
        : NONE;
      const eventless: boolean = transitions.length > 0;
      if (!eventless) {
        if (walk.queue.length === 0) break;
        event = walk.queue.shift();
        transitions = selectTransitions(plans!.lookup(configuration, event.type), walk.current, event) ?? NONE;
      }
      if (transitions.length > 0) {
        const plan = plans!.plan(configuration, transitions);
        microstep(walk, plan, configuration, event);
        configuration = plan.next;
      }
      mayBeEventless = !eventless || walk.changed;
    }

    if (walk.current.status !== "active") {
      for (const child of Object.values(walk.current.children)) scope.actionExecutor({ type: "xstate.stopChild", params: child });
    }
    return walk.current;
  }

  return {
    initial(input) {
      const event = { type: "xstate.init", input };
      const queue: any[] = [];
      try {
        const walk = new Walk(machine._getPreInitialState(scope, event, queue), queue);
        const plan = plans.initial();
        microstep(walk, plan, undefined, event);
        return settle(walk, plan.next, event);
      } catch {
        // XState knows what a snapshot is that never was.
        return undefined;
      }
    },

    step(snapshot, event) {
      if (snapshot.machine !== machine || event.type === "xstate.stop" || event.type === "xstate.init") return undefined;
      const configuration = plans.configuration(snapshot);
      if (configuration === undefined) return undefined;
      const transitions = selectTransitions(plans.lookup(configuration, event.type), snapshot, event) ?? NONE;
      const walk = new Walk(snapshot, []);
      if (transitions.length === 0)
        return event.type.startsWith("xstate.error.actor") ? undefined : settle(walk, configuration, event);
      const plan = plans.plan(configuration, transitions);
      microstep(walk, plan, configuration, event);
      return settle(walk, plan.next, event);
    },
  };
}

/** Innermost first, in all regions of a parallel state. */
function selectTransitions({ node, inner, own }: Lookup, snapshot: any, event: AnyEventObject): readonly any[] | undefined {
  let selected: readonly any[] | undefined;
  for (const lookup of inner) {
    const further = selectTransitions(lookup, snapshot, event);
    if (further !== undefined) selected = selected === undefined ? further : [...selected, ...further];
  }
  if (selected !== undefined) return selected;
  if (own === "ask") return node.next(snapshot, event);
  try {
    return firstPassing(own, snapshot, event);
  } catch {
    // Throws as well, and says where.
    return node.next(snapshot, event);
  }
}

function selectEventlessTransitions(
  groups: readonly (readonly Candidate[])[],
  snapshot: any,
  event: AnyEventObject,
): readonly any[] {
  if (groups.length === 0) return NONE;
  if (groups.length === 1) return firstPassing(groups[0]!, snapshot, event) ?? NONE;
  const selected = new Set<any>();
  for (const group of groups) for (const transition of firstPassing(group, snapshot, event) ?? NONE) selected.add(transition);
  return [...selected];
}

function firstPassing(candidates: readonly Candidate[], snapshot: any, event: AnyEventObject): readonly any[] | undefined {
  for (const { selected, passes } of candidates) if (passes === undefined || passes(snapshot, event)) return selected;
  return undefined;
}
