/**
 * Steps with all that is to be seen of them: which transitions were taken, which states are active, what the timers will do. For
 * records and charts; the engine's own steps (stepper.ts) don't pay for it. Here is what is known of XState's names for nodes
 * and transitions; a test fails where another release has others.
 */
import type { AnyEventObject, AnyStateMachine } from "xstate";
import { removeConflictingTransitions } from "./plan.ts";
import { createStepper, type MachineSnapshot, type Step } from "./stepper.ts";

export interface RecordedStep extends Step {
  /** `<source id>|<event type>|<index>`, in the order in which they were taken. */
  readonly taken: readonly string[];
}

export interface Recorder {
  readonly machine: AnyStateMachine;
  /** Into the initial state, with `context` laid over the initial one. */
  initialWith(context: object): RecordedStep;
  /** Never throws: a machine that breaks is a step with an error. */
  step(snapshot: MachineSnapshot, event: AnyEventObject): RecordedStep;
  /** Ids of all active states with their ancestors, in the order of the definition. */
  active(snapshot: MachineSnapshot): readonly string[];
  /** The transition that the event would take now; where several would, the first. Undefined: it changes nothing. */
  transitionFor(snapshot: MachineSnapshot, event: AnyEventObject): string | undefined;
}

/** Make one per machine and keep it. */
export function createRecorder(given: AnyStateMachine): Recorder {
  let seen: { readonly snapshot: MachineSnapshot; readonly transitions: readonly any[] }[] = [];
  const stepper = createStepper(given, (snapshot, transitions) => seen.push({ snapshot, transitions }));
  const machine: any = stepper.machine;
  const ids = transitionIds(machine);
  let taken: readonly string[] | undefined;

  function record(before: MachineSnapshot | undefined, step: () => Step): RecordedStep {
    seen = [];
    const done = step();
    const taken: string[] = [];
    let nodes: readonly any[] = (before as any)?._nodes ?? [];
    for (const { snapshot, transitions } of seen) {
      for (const transition of removeConflictingTransitions(transitions, new Set(nodes))) {
        const id = ids.get(transition);
        // Into the initial state there is none.
        if (id !== undefined) taken.push(id);
      }
      nodes = (snapshot as any)._nodes;
    }
    // What a failed step had done so far is void.
    return { ...done, taken: done.error === undefined ? taken : [] };
  }

  return {
    machine,
    initialWith(context) {
      const step = record(undefined, () => stepper.initialWith(context));
      // The stepper makes that step once.
      taken ??= step.taken;
      return { ...step, taken };
    },
    step: (snapshot, event) => record(snapshot, () => stepper.step(snapshot, event)),

    active: activeIds,

    transitionFor(snapshot, event) {
      try {
        return ids.get(machine.getTransitionData(snapshot, event)?.[0]);
      } catch {
        return undefined; // a guard that throws: the step will say so
      }
    },
  };
}

/** By the list of nodes, which snapshots of one configuration share. */
const actives = new WeakMap<object, readonly string[]>();

/** Ids of all active states with their ancestors, in the order of the definition; the same list for the same configuration. */
export function activeIds(snapshot: MachineSnapshot): readonly string[] {
  const nodes: readonly any[] = (snapshot as any)._nodes;
  let found = actives.get(nodes);
  if (found === undefined) {
    found = nodes.toSorted((a, b) => a.order - b.order).map((node) => node.id as string);
    actives.set(nodes, found);
  }
  return found;
}

/** The id of each transition of a machine. Index: among those of the same source and event type, in the order of the definition. */
export function transitionIds(machine: AnyStateMachine): ReadonlyMap<object, string> {
  const ids = new Map<object, string>();
  for (const node of (machine as any).idMap.values()) {
    for (const [type, transitions] of node.transitions as Map<string, object[]>)
      for (const [index, transition] of transitions.entries()) ids.set(transition, `${node.id}|${type}|${index}`);
    for (const [index, transition] of ((node.always ?? []) as object[]).entries()) ids.set(transition, `${node.id}||${index}`);
  }
  return ids;
}
