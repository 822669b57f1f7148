/**
 * What must be true of groups whatever happens: of every world, of every step between two worlds, and of every event that a
 * group was fed. Each check throws a Violation that says what is wrong. Written from design.md section 4 and the table in
 * contract.md section 4, not from the machines.
 */
import * as contexts from "../../machines/group/context.ts";
import type { Entry, GroupContext } from "../../machines/group/contract.ts";
import { groupState } from "../../machines/group/index.ts";
import type { Outcome, Told } from "./group-supervisor.ts";
import { HOLDS_SLOTS, type Scenario, type World } from "./group-world.ts";

export class Violation extends Error {}

function require(holds: boolean, message: () => string): void {
  if (!holds) throw new Violation(message());
}

/** Better rank first: higher priority, then the newer. */
const byRank = (a: Entry, b: Entry) => b.priority - a.priority || b.order - a.order;
const byAge = (a: Entry, b: Entry) => a.order - b.order;
const names = (entries: Iterable<Entry>) =>
  [...entries]
    .map(({ run }) => run)
    .sort()
    .join(", ") || "nobody";

const queuedIn = (group: GroupContext): Entry[] => [...group.waiting, ...group.held];
const survivorsIn = (group: GroupContext): Entry[] => [
  ...[...group.active].filter((entry) => !group.stopping.has(entry)),
  ...queuedIn(group),
];

/** Who this strategy may cancel, the first to go first. */
function evictionOrder(group: GroupContext): Entry[] {
  switch (group.strategy) {
    case "CANCEL_IN_PROGRESS":
      return survivorsIn(group).sort(byRank).reverse();
    case "CANCEL_QUEUED_EXCEPT_NEWEST":
      return queuedIn(group).sort(byAge);
    case "CANCEL_QUEUED_EXCEPT_OLDEST":
      return queuedIn(group).sort(byAge).reverse();
    default:
      return [];
  }
}

/** Holds in every world, between two actions. */
export function checkWorld(scenario: Scenario, entries: readonly Entry[], world: World): void {
  world.groups.forEach((group, index) => {
    const name = scenario.groups[index]!.name;
    const mine = entries.filter((entry) => scenario.runs[entry.order]!.groups.includes(index));
    const inPhases = (phases: ReadonlySet<string>) => mine.filter((entry) => phases.has(world.phases[entry.order]!));

    require(group.proposed === undefined, () => `${name} still waits for the answer to a proposal`);
    const holding = inPhases(HOLDS_SLOTS);
    require(names(group.active) === names(holding), () =>
      `${name} counts ${names(group.active)} as active, but ${names(holding)} hold slots`);
    const stopping = inPhases(new Set(["stopping"]));
    require(names(group.stopping) === names(stopping), () =>
      `${name} counts ${names(group.stopping)} as stopping, but it is ${names(stopping)}`);
    const waiting = inPhases(new Set(["waiting"]));
    require(names(queuedIn(group)) === names(waiting), () =>
      `${name} lets ${names(queuedIn(group))} wait, but it is ${names(waiting)} who wait`);
    require(names(group.evictable) === names(evictionOrder(group)) &&
      [...group.evictable].join() === evictionOrder(group).join(), () =>
      `${name} would evict ${names(group.evictable)}, not ${names(evictionOrder(group))}`);
    if (group.strategy !== "GROUP_ROUND_ROBIN" && group.strategy !== "CANCEL_NEWEST") {
      const count = evictionOrder(group).length;
      require(count <= group.maxRuns, () => `${name} lets ${count} remain where ${group.maxRuns} may`);
    }
  });
  for (const entry of entries) {
    if (world.phases[entry.order] !== "waiting") continue;
    const groups = scenario.runs[entry.order]!.groups.map((index) => world.groups[index]!);
    const full = groups.filter((group) => !contexts.hasRoom(group));
    require(full.length > 0, () => `${entry.run} waits while there is room`);
    require(full.some((group) => group.waiting.has(entry)), () =>
      `${entry.run} waits for a group that has room, so nobody will admit it`);
  }
  const unfinished = world.phases.filter((phase) => phase !== "ended");
  require(unfinished.length === 0 ||
    unfinished.some((phase) => phase !== "waiting") ||
    world.groups.some(({ paused }) => paused), () => "nothing can happen any more, and not every run has ended");
}

/** Holds between a world and the one that an action led to. */
export function checkStep(scenario: Scenario, entries: readonly Entry[], before: World, { world }: Outcome): void {
  world.groups.forEach((group, index) => {
    const was = before.groups[index]!;
    const started = [...group.active].some((entry) => !was.active.has(entry));
    const most = started ? group.maxRuns : Math.max(was.active.size, group.maxRuns);
    require(group.active.size <= most, () =>
      `${scenario.groups[index]!.name} has ${group.active.size} active runs, and its limit is ${group.maxRuns}`);
  });
  const groupsOf = (entry: Entry) => scenario.runs[entry.order]!.groups;
  for (const started of entries) {
    if (world.phases[started.order] !== "active" || HOLDS_SLOTS.has(before.phases[started.order]!)) continue;
    for (const waiting of entries) {
      if (world.phases[waiting.order] !== "waiting" || waiting.flow !== started.flow) continue;
      // Whoever needs no slot that the other does not need, and shares its flow, competes with it alone.
      if (!groupsOf(waiting).every((group) => groupsOf(started).includes(group))) continue;
      require(waiting.priority < started.priority ||
        (waiting.priority === started.priority && waiting.order > started.order), () =>
        `${started.run} was admitted before ${waiting.run}, which is ahead of it`);
    }
  }
}

/** Holds for every event that a group is fed: what it may cancel, and that it comes to rest. */
export function checkTold(scenario: Scenario, { group, event, before, decisions, after, state }: Told): void {
  const name = scenario.groups[group]!.name;
  require(state === groupState(after), () => `${name} rests in ${String(state)}, but is restored in ${groupState(after)}`);
  const newcomer = event.type === "run.arrived" ? event.entry : undefined;
  const cancelled: Entry[] = [];
  for (const { type, params } of decisions) {
    if (type === "admit" || type === "propose")
      require(!before.paused || event.type === "group.resumed", () => `${name} is paused and admits`);
    if (type !== "cancel") continue;
    const { entry, active } = params;
    require(active === before.active.has(entry), () =>
      `${name} cancels ${entry.run} as ${active ? "active" : "waiting"}, which it is not`);
    require(!before.stopping.has(entry), () => `${name} cancels ${entry.run} a second time`);
    cancelled.push(entry);
    switch (after.strategy) {
      case "GROUP_ROUND_ROBIN":
        throw new Violation(`${name} cancels ${entry.run}, and should never cancel`);
      case "CANCEL_NEWEST":
        require(entry === newcomer, () => `${name} cancels ${entry.run}, which is not the newcomer`);
        break;
      case "CANCEL_IN_PROGRESS":
        break;
      default:
        require(!active, () => `${name} cancels the active ${entry.run}`);
    }
  }
  if (newcomer && !newcomer.gated) {
    const refusal = contexts.refusal(before, newcomer);
    const decided = decisions.find(({ type, params }) => type === "cancel" && params.entry === newcomer);
    require((refusal === undefined) === (decided === undefined), () =>
      `${name} ${refusal ? "takes in" : "refuses"} ${newcomer.run}, and foretold otherwise`);
  }
  const next = decisions.find(({ type }) => type === "admit" || type === "propose")?.params.entry;
  if (next && event.type === "run.released") {
    require(contexts.position(before, next) === 0, () => `${name} gives the slot to ${next.run}, and foretold another`);
  }
  if (cancelled.length === 0) return;
  // Those that go are the ones that the strategy would give up first, of all that were there and came.
  const arriving =
    event.type === "run.arrived" || event.type === "run.parked" || event.type === "run.taken" || event.type === "run.confirmed"
      ? [event.entry]
      : [];
  const candidates = (after.strategy === "CANCEL_IN_PROGRESS" ? survivorsIn(before) : queuedIn(before)).filter(
    ({ order }) => order !== arriving[0]?.order,
  );
  const all = [...candidates, ...arriving];
  if (after.strategy === "CANCEL_NEWEST") {
    const spokenFor = before.active.size + queuedIn(before).length;
    require(spokenFor >= before.maxRuns, () =>
      `${name} refuses ${names(cancelled)} though only ${spokenFor} slots are spoken for`);
    return;
  }
  const inOrder = all.sort(
    after.strategy === "CANCEL_IN_PROGRESS"
      ? (a, b) => byRank(b, a)
      : after.strategy === "CANCEL_QUEUED_EXCEPT_NEWEST"
        ? byAge
        : (a, b) => byAge(b, a),
  );
  const expected = inOrder.slice(0, cancelled.length);
  require(names(cancelled) === names(expected), () => `${name} cancels ${names(cancelled)}, and should ${names(expected)}`);
  require(all.length - cancelled.length >= Math.min(all.length, after.maxRuns), () =>
    `${name} cancels ${names(cancelled)} though there is place for ${after.maxRuns}`);
}
