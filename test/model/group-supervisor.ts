/**
 * A small supervisor: carries out the decisions of groups as the engine's partition does, with nothing of its world but runs
 * and slots. It keeps the facts that a journal would hold; `recover` makes the groups of those alone.
 */
import type { AnyStateMachine } from "xstate";
import * as contexts from "../../machines/group/context.ts";
import type { Entry, GroupContext, GroupDecision, GroupEvent } from "../../machines/group/contract.ts";
import { groupMachine, groupState } from "../../machines/group/index.ts";
import { createStepper, type Stepper } from "../../src/step/stepper.ts";
import { limitOf, type Action, type Phase, type Scenario, type World } from "./group-world.ts";

/** Plain JSON, one line of the journal each; `run` and `group` are indices. */
export type Fact =
  | { readonly fact: "queued" | "admitted" | "cancelled" | "withdrawn" | "released"; readonly run: number }
  | { readonly fact: "held" | "offered"; readonly run: number; readonly group: number }
  | { readonly fact: "limit"; readonly group: number; readonly maxRuns: number }
  | { readonly fact: "strategy"; readonly group: number; readonly strategy: GroupContext["strategy"] }
  | { readonly fact: "paused"; readonly group: number; readonly paused: boolean };

/** One event that a group was fed, for checks and traces. */
export interface Told {
  readonly group: number;
  readonly event: GroupEvent;
  readonly before: GroupContext;
  readonly decisions: readonly GroupDecision[];
  readonly after: GroupContext;
  readonly state: unknown;
}

export interface Outcome {
  readonly world: World;
  readonly facts: readonly Fact[];
  readonly told: readonly Told[];
}

const steppers = new Map<AnyStateMachine, Stepper>();

export function stepperOf(machine: AnyStateMachine): Stepper {
  let stepper = steppers.get(machine);
  if (!stepper) steppers.set(machine, (stepper = createStepper(machine)));
  return stepper;
}

export const machineOf = (scenario: Scenario, { strategy }: GroupContext): AnyStateMachine =>
  scenario.machines?.[strategy] ?? groupMachine(strategy);

/** One event of one group: a pure step of its machine. */
export function tell(scenario: Scenario, group: number, before: GroupContext, event: GroupEvent): Told {
  const stepper = stepperOf(machineOf(scenario, before));
  const { snapshot, actions, error } = stepper.step(stepper.restore(groupState(before), before), event);
  if (error !== undefined) throw error;
  const decisions = actions as readonly GroupDecision[];
  return { group, event, before, decisions, after: snapshot.context as GroupContext, state: snapshot.value };
}

/** What comes of one action, with everything that follows from it at once. */
export function act(scenario: Scenario, entries: readonly Entry[], world: World, action: Action): Outcome {
  const phases: Phase[] = [...world.phases];
  const groups = [...world.groups];
  const facts: Fact[] = [];
  const told: Told[] = [];
  const queue: (readonly [group: number, event: GroupEvent])[] = [];

  const groupsOf = (run: number) => scenario.runs[run]!.groups;
  const tellAll = (run: number, type: "run.released" | "run.withdrawn" | "run.stopping", except?: number) => {
    for (const group of groupsOf(run)) if (group !== except) queue.push([group, { type, entry: entries[run]! }]);
  };

  function step(group: number, event: GroupEvent): readonly GroupDecision[] {
    const one = tell(scenario, group, groups[group]!, event);
    groups[group] = one.after;
    told.push(one);
    return one.decisions;
  }

  /** Feeds an event and carries out what the group decides. */
  function follow(group: number, event: GroupEvent): void {
    for (const decision of step(group, event)) decide(group, decision);
  }

  function decide(group: number, decision: GroupDecision): void {
    const run = decision.params.entry.order;
    switch (decision.type) {
      case "queue":
        return; // Recorded by whoever made it wait.
      case "admit":
        facts.push({ fact: "admitted", run });
        phases[run] = "active";
        return;
      case "propose":
        return answer(group, run);
      case "cancel":
        if (decision.params.active) return cancelActive(run, group);
        return cancelWaiting(run, group);
    }
  }

  /** All other groups of the run have room, or it is held here and waits for one that has none. */
  function answer(group: number, run: number): void {
    const entry = entries[run]!;
    if (phases[run] === "ended") return follow(group, { type: "run.withdrawn", entry });
    const others = groupsOf(run).filter((other) => other !== group);
    const full = others.find((other) => !contexts.hasRoom(groups[other]!));
    if (full === undefined) {
      facts.push({ fact: "admitted", run });
      phases[run] = "active";
      for (const other of others) follow(other, { type: "run.taken", entry });
      return follow(group, { type: "run.confirmed", entry });
    }
    facts.push({ fact: "offered", run, group: full });
    follow(full, { type: "run.offered", entry });
    park(group, run);
  }

  function park(group: number, run: number): void {
    facts.push({ fact: "held", run, group });
    follow(group, { type: "run.parked", entry: entries[run]! });
  }

  function cancelActive(run: number, by?: number): void {
    if (phases[run] === "stopping" || phases[run] === "ended") return;
    facts.push({ fact: "cancelled", run });
    tellAll(run, "run.stopping", by);
    // Between two attempts nothing runs that would have to stop.
    if (phases[run] === "retrying") release(run);
    else phases[run] = "stopping";
  }

  function cancelWaiting(run: number, by?: number): void {
    if (phases[run] === "ended") return;
    facts.push({ fact: "withdrawn", run });
    tellAll(run, "run.withdrawn", by);
    phases[run] = "ended";
  }

  function release(run: number): void {
    facts.push({ fact: "released", run });
    tellAll(run, "run.released");
    phases[run] = "ended";
  }

  function arrive(run: number): void {
    const entry = entries[run]!;
    const mine = groupsOf(run);
    const event = { type: "run.arrived", entry } as const;
    if (!entry.gated) {
      phases[run] = "waiting";
      const decisions = step(mine[0]!, event);
      if (decisions.some((decision) => decision.type === "queue" && decision.params.entry === entry))
        facts.push({ fact: "queued", run });
      for (const decision of decisions) decide(mine[0]!, decision);
      return;
    }
    const mustWait = mine.some((group) => !contexts.hasRoom(groups[group]!));
    if (mine.some((group) => contexts.wouldRefuse(groups[group]!, entry, mustWait))) {
      phases[run] = "ended";
      return;
    }
    // All of its groups learn of it before the proposals of any are answered.
    phases[run] = "waiting";
    if (mustWait) facts.push({ fact: "queued", run });
    const made = mine.map((group) => [group, step(group, event)] as const);
    const willing = made.filter(([, decisions]) => decisions.some((decision) => decision.type === "propose"));
    if (willing.length === mine.length) {
      facts.push({ fact: "admitted", run });
      phases[run] = "active";
      for (const [group] of willing) follow(group, { type: "run.confirmed", entry });
    } else for (const [group] of willing) park(group, run);
    for (const [group, decisions] of made)
      for (const decision of decisions) if (decision.type !== "propose") decide(group, decision);
  }

  function change(limit: string, apply: (group: number) => void): void {
    groups.forEach((group, index) => group.limit === limit && apply(index));
  }

  switch (action.do) {
    case "arrive":
      arrive(action.run);
      break;
    case "end":
    case "stop":
      release(action.run);
      break;
    case "time out":
      phases[action.run] = "ending";
      break;
    case "retry":
      phases[action.run] = "retrying";
      break;
    case "resume":
      phases[action.run] = "active";
      break;
    case "cancel":
      if (phases[action.run] === "waiting") cancelWaiting(action.run);
      else cancelActive(action.run);
      break;
    case "limit":
      change(action.limit, (group) => {
        facts.push({ fact: "limit", group, maxRuns: action.maxRuns });
        queue.push([group, { type: "limit.changed", maxRuns: action.maxRuns }]);
      });
      break;
    case "strategy":
      change(action.limit, (group) => {
        facts.push({ fact: "strategy", group, strategy: action.strategy });
        groups[group] = contexts.setStrategy(groups[group]!, action.strategy);
        queue.push([group, { type: "limit.changed", maxRuns: groups[group]!.maxRuns }]);
      });
      break;
    case "pause":
    case "resume group":
      facts.push({ fact: "paused", group: action.group, paused: action.do === "pause" });
      queue.push([action.group, { type: action.do === "pause" ? "group.paused" : "group.resumed" }]);
      break;
    case "crash":
      groups.splice(0, groups.length, ...afterCrash(scenario, entries, world));
      groups.forEach(({ maxRuns }, group) => queue.push([group, { type: "limit.changed", maxRuns }]));
      break;
  }
  for (let next = queue.shift(); next; next = queue.shift()) follow(...next);
  return { world: { phases, groups }, facts, told };
}

/** Applies facts to groups: what recovery does. No machine has a say in it. */
export function recover(
  scenario: Scenario,
  entries: readonly Entry[],
  from: readonly GroupContext[],
  facts: readonly Fact[],
): GroupContext[] {
  const groups = [...from];
  const apply = (group: number, to: (context: GroupContext) => GroupContext) => (groups[group] = to(groups[group]!));
  for (const fact of facts) {
    const entry = "run" in fact ? entries[fact.run]! : undefined!;
    const all = (to: (context: GroupContext, entry: Entry) => GroupContext) => {
      for (const group of scenario.runs[entry.order]!.groups) apply(group, (context) => to(context, entry));
    };
    switch (fact.fact) {
      case "queued":
        all(contexts.enqueue);
        break;
      case "admitted":
        all(contexts.admit);
        break;
      case "cancelled":
        all(contexts.markStopping);
        break;
      case "withdrawn":
        all(contexts.withdraw);
        break;
      case "released":
        all(contexts.release);
        break;
      case "held":
        apply(fact.group, (context) => contexts.hold(context, entry));
        break;
      case "offered":
        apply(fact.group, (context) => contexts.offer(context, entry));
        break;
      case "limit":
        apply(fact.group, (context) => contexts.setMaxRuns(context, fact.maxRuns));
        break;
      case "strategy":
        apply(fact.group, (context) => contexts.setStrategy(context, fact.strategy));
        break;
      case "paused":
        apply(fact.group, (context) => contexts.setPaused(context, fact.paused));
        break;
    }
  }
  return groups;
}

/**
 * The groups as the engine's journal tells of them: which runs wait, are active or are cancelled, and the turns of the last
 * snapshot; but not which of their groups gated runs wait for. Those wait in all of them, and the first events put it right.
 */
function afterCrash(scenario: Scenario, entries: readonly Entry[], world: World): GroupContext[] {
  return world.groups.map((group, index) => {
    const mine = entries.filter((entry) => scenario.runs[entry.order]!.groups.includes(index));
    const inPhase = (...phases: Phase[]) => mine.filter((entry) => phases.includes(world.phases[entry.order]!));
    return contexts.restoreContext({
      strategy: group.strategy,
      limit: limitOf(scenario.groups[index]!),
      key: group.key,
      maxRuns: group.maxRuns,
      paused: group.paused,
      active: inPhase("active", "retrying", "ending", "stopping"),
      stopping: inPhase("stopping"),
      waiting: inPhase("waiting"),
      turns: JSON.parse(JSON.stringify(contexts.turnsOf(group) ?? null)) ?? undefined,
    });
  });
}
