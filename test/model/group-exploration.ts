/**
 * Breadth-first exploration of all worlds that a scenario can reach, checking each, and each step to it. A violation comes with
 * the shortest way there, in readable steps. Knows no strategy.
 */
import { transition, type AnyStateMachine } from "xstate";
import { restoreContext, turnsOf } from "../../machines/group/context.ts";
import type { Entry, GroupContext, GroupDecision, GroupEvent } from "../../machines/group/contract.ts";
import { groupState } from "../../machines/group/index.ts";
import { checkStep, checkTold, checkWorld, Violation } from "./group-invariants.ts";
import { expectedOf } from "./group-reference.ts";
import { act, machineOf, recover, tell, type Fact, type Outcome, type Told } from "./group-supervisor.ts";
import {
  describeAction,
  entriesOf,
  firstWorld,
  groupKey,
  possible,
  worldKey,
  type Action,
  type Scenario,
  type World,
} from "./group-world.ts";

export interface Exploration {
  readonly worlds: number;
  readonly steps: number;
  /** Pairs of a group's context and an event that no exploration had met before; each was also stepped by XState's own `transition()`. */
  readonly groupSteps: number;
  /** The first violation found: what is wrong, and how it came to it. */
  readonly violation?: string;
}

interface Visit {
  readonly world: World;
  readonly from?: Visit;
  readonly action?: Action;
  readonly facts: readonly Fact[];
}

type CheckOnce = (group: number, before: GroupContext, event: GroupEvent, step: () => Told) => void;

export function explore(scenario: Scenario): Exploration {
  const entries = entriesOf(scenario);
  const stored = JSON.parse(JSON.stringify(entries)) as Entry[];
  const first: Visit = { world: firstWorld(scenario), facts: [] };
  const seen = new Set([worldKey(first.world)]);
  const visits = [first];
  let steps = 0;
  let groupSteps = 0;
  const checkOnce: CheckOnce = (group, before, event, step) => {
    const mark = unchecked(scenario, group, before, event);
    if (!mark) return;
    checkGroupStep(scenario, step());
    mark();
    groupSteps++;
  };
  const result = () => ({ worlds: visits.length, steps, groupSteps });

  // Visits are appended while they are gone through: that is the breadth-first queue.
  for (const visit of visits) {
    for (const action of possible(scenario, visit.world)) {
      steps++;
      let outcome: Outcome | undefined;
      try {
        outcome = act(scenario, entries, visit.world, action);
        for (const told of outcome.told) checkOnce(told.group, told.before, told.event, () => told);
        checkStep(scenario, entries, visit.world, outcome);
        const key = worldKey(outcome.world);
        const isNew = !seen.has(key);
        if (isNew) checkWorld(scenario, entries, outcome.world);
        if (action.do !== "crash") checkRecovery(scenario, entries, visit.world, outcome);
        if (!isNew) continue;
        seen.add(key);
        checkLateNews(scenario, entries, outcome.world, checkOnce);
        checkStored(outcome.world, visit.world);
        const next: Visit = { world: outcome.world, from: visit, action, facts: outcome.facts };
        if (!scenario.crashes) checkRecoveryFromStart(scenario, stored, next);
        visits.push(next);
      } catch (error) {
        return { ...result(), violation: `${scenario.title}: ${said(error)}\n${trace(scenario, entries, visit, action)}` };
      }
    }
  }
  return result();
}

const checked = new WeakMap<AnyStateMachine, Set<string>>();

/**
 * Worlds, and scenarios, have most of their group steps in common. Undefined where this one was checked before; else a mark to
 * set when it has been.
 */
function unchecked(scenario: Scenario, group: number, before: GroupContext, event: GroupEvent): (() => void) | undefined {
  const machine = machineOf(scenario, before);
  const done = checked.get(machine) ?? new Set();
  checked.set(machine, done);
  const what = "entry" in event ? event.entry.order : event.type === "limit.changed" ? event.maxRuns : "";
  const key = `${groupKey(before)} ${event.type} ${what} ${surroundings(scenario)[group]}`;
  return done.has(key) ? undefined : () => done.add(key);
}

const numbers = new Map<string, number>();
const known = new WeakMap<Scenario, readonly number[]>();

/** By group: a number for what tells its runs apart from those of the same name in another scenario. */
function surroundings(scenario: Scenario): readonly number[] {
  const found = known.get(scenario);
  if (found) return found;
  const made = scenario.groups.map(({ name }) => {
    const text = `${name} ${JSON.stringify(scenario.runs)} ${scenario.strategies}`;
    const number = numbers.get(text) ?? numbers.size;
    numbers.set(text, number);
    return number;
  });
  known.set(scenario, made);
  return made;
}

/** Everything that can be said of one event in one state of a group, in whatever world that was. */
function checkGroupStep(scenario: Scenario, told: Told): void {
  const { before, event, decisions, after, state, group } = told;
  checkTold(scenario, told);

  const machine = machineOf(scenario, before);
  const [snapshot, actions] = transition(machine, machine.resolveState({ value: groupState(before), context: before }), event);
  const own = actions.map(({ type, params }) => ({ type, params }));
  demand(snapshot.value === state, "XState's transition() leads to another state");
  demand(groupKey(snapshot.context as GroupContext) === groupKey(after), "XState's transition() leads to another context");
  demand(JSON.stringify(own) === JSON.stringify(decisions), "XState's transition() makes other decisions");

  const gated = scenario.runs.some(({ groups }) => groups.length > 1 && groups.includes(group));
  if (!gated && !scenario.strategies) checkReference(before, event, decisions, after);
}

function checkReference(before: GroupContext, event: GroupEvent, decisions: readonly GroupDecision[], after: GroupContext): void {
  const expected = expectedOf(before, event);
  const list = (entries: Iterable<Entry>) =>
    [...entries]
      .map(({ order }) => order)
      .sort()
      .join();
  const decided = (type: string) =>
    decisions
      .filter((decision) => decision.type === type)
      .map(({ params }) => params.entry.order)
      .join();
  for (const part of ["active", "stopping", "waiting"] as const) {
    demand(
      list(after[part]) === list(expected[part]),
      `${part}: got runs ${list(after[part])}, the table says ${list(expected[part])}`,
    );
  }
  const admitted = expected.admitted.map(({ order }) => order).join();
  demand(decided("admit") === admitted, `it admits runs ${decided("admit")}, the table says ${admitted}`);
  const cancelled = [...decided("cancel")].sort().join();
  demand(
    cancelled === [...expected.cancelled.map(({ order }) => order).join()].sort().join(),
    `it cancels runs ${decided("cancel")}, the table says ${list(expected.cancelled)}`,
  );
}

/** News of a run that has ended, such as its worker's word after the grace deadline, changes nothing any more. */
function checkLateNews(scenario: Scenario, entries: readonly Entry[], world: World, checkOnce: CheckOnce): void {
  for (const entry of entries) {
    if (world.phases[entry.order] !== "ended") continue;
    for (const index of scenario.runs[entry.order]!.groups) {
      const before = world.groups[index]!;
      for (const type of ["run.released", "run.withdrawn", "run.stopping", "run.offered"] as const) {
        checkOnce(index, before, { type, entry }, () => {
          const told = tell(scenario, index, before, { type, entry });
          const changed = groupKey(told.after) !== groupKey(before) || told.decisions.length > 0;
          demand(!changed, `${scenario.groups[index]!.name} changes by ${type} of ${entry.run}, which has ended`);
          return told;
        });
      }
    }
  }
}

/** The facts of one step lead recovery from one world to the next. So, step by step, on every path from the first. */
function checkRecovery(scenario: Scenario, entries: readonly Entry[], before: World, { world, facts }: Outcome): void {
  compareGroups(scenario, recover(scenario, entries, before.groups, facts), world);
}

/** The same over the whole way at once, with facts that went through a journal. */
function checkRecoveryFromStart(scenario: Scenario, entries: readonly Entry[], visit: Visit): void {
  const facts = JSON.parse(JSON.stringify(way(visit).flatMap((step) => step.facts))) as Fact[];
  compareGroups(scenario, recover(scenario, entries, firstWorld(scenario).groups, facts), visit.world);
}

function compareGroups(scenario: Scenario, recovered: readonly GroupContext[], live: World): void {
  recovered.forEach((group, index) => {
    const [got, expected] = [groupKey(group), groupKey(live.groups[index]!)];
    demand(got === expected, `recovery makes another ${scenario.groups[index]!.name} of the facts: "${got}" for "${expected}"`);
  });
}

/** A group comes out of a snapshot as it went in. */
function checkStored({ groups }: World, before: World): void {
  for (const group of groups) {
    if (before.groups.includes(group)) continue;
    const parts = {
      ...group,
      active: [...group.active],
      waiting: [...group.waiting].reverse(),
      held: [...group.held],
      turns: turnsOf(group),
    };
    const { evictable: _derived, ...stored } = JSON.parse(JSON.stringify(parts));
    demand(groupKey(restoreContext(stored)) === groupKey(group), "a snapshot does not restore the group that it is of");
  }
}

function demand(holds: boolean, message: string): void {
  if (!holds) throw new Violation(message);
}

function said(error: unknown): string {
  return error instanceof Violation
    ? error.message
    : `a machine failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}

function way(visit: Visit): Visit[] {
  const visits: Visit[] = [];
  for (let at: Visit | undefined = visit; at; at = at.from) visits.unshift(at);
  return visits;
}

/** Every step to the violation, with what each group was told, decided, and became. */
function trace(scenario: Scenario, entries: readonly Entry[], visit: Visit, last: Action): string {
  const lines: string[] = [];
  let { world } = way(visit)[0]!;
  for (const action of [...way(visit).flatMap((step) => (step.action ? [step.action] : [])), last]) {
    lines.push(`  - ${describeAction(scenario, action)}`);
    try {
      const outcome = act(scenario, entries, world, action);
      for (const { group, event, decisions, state } of outcome.told) {
        const made = decisions.map(({ type, params }) => `${type} ${params.entry.run}`).join(", ") || "nothing";
        lines.push(
          `      ${scenario.groups[group]!.name} is told ${event.type}${"entry" in event ? ` of ${event.entry.run}` : ""}: ${made}; now ${String(state)}`,
        );
      }
      ({ world } = outcome);
    } catch (error) {
      lines.push(`      ${said(error)}`);
    }
  }
  return lines.join("\n");
}
