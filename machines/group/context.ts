/**
 * The state of a group and every way in which it changes, as pure functions. The machines of the strategies decide which of
 * them to apply; recovery applies those that the journal tells of, with no machine. So nothing here may decide: the one thing
 * that differs by strategy is the order of eviction, which is derived.
 */
import { createFairQueue, type Turns } from "../fair-queue.ts";
import { createOrderedSet, type OrderedSet } from "../ordered-set.ts";
import type { Strategy } from "../../src/workflow/spec.ts";
import type { CancelCause, Entry, GroupContext } from "./contract.ts";

/** Higher priority first, then in the order of arrival. */
const NONE = createOrderedSet<Entry>((a, b) => b.priority - a.priority || a.order - b.order);
const NOBODY_WAITS = createFairQueue<Entry>({
  compare: (a, b) => b.priority - a.priority || a.order - b.order,
  flow: (entry) => entry.flow,
});

/** What a strategy may evict: those that wait, or also the active runs that are not stopping yet. */
interface Eviction {
  readonly none: OrderedSet<Entry>;
  readonly evictsActive: boolean;
}

const OLDEST_FIRST = createOrderedSet<Entry>((a, b) => a.order - b.order);
const NEWEST_FIRST = createOrderedSet<Entry>((a, b) => b.order - a.order);
const LOWEST_RANK_FIRST = createOrderedSet<Entry>((a, b) => a.priority - b.priority || a.order - b.order);

const EVICTION: Record<Strategy, Eviction | undefined> = {
  CANCEL_IN_PROGRESS: { none: LOWEST_RANK_FIRST, evictsActive: true },
  CANCEL_NEWEST: undefined,
  CANCEL_QUEUED_EXCEPT_NEWEST: { none: OLDEST_FIRST, evictsActive: false },
  CANCEL_QUEUED_EXCEPT_OLDEST: { none: NEWEST_FIRST, evictsActive: false },
  GROUP_ROUND_ROBIN: undefined,
};

export interface GroupIdentity {
  readonly strategy: Strategy;
  readonly limit: string;
  readonly key: string;
  readonly maxRuns: number;
  readonly paused?: boolean;
}

/** The state of a group that nobody has come to yet. */
export function createContext({ strategy, limit, key, maxRuns, paused = false }: GroupIdentity): GroupContext {
  return {
    strategy,
    limit,
    key,
    maxRuns,
    paused,
    active: NONE,
    stopping: NONE,
    waiting: NOBODY_WAITS,
    held: NONE,
    proposed: undefined,
    evictable: EVICTION[strategy]?.none ?? NONE,
  };
}

/** What a snapshot has to keep of a group: its runs by where they are, in any order, and what `turnsOf` gave. */
export interface GroupParts extends GroupIdentity {
  readonly active?: Iterable<Entry>;
  /** The part of `active` that was cancelled. */
  readonly stopping?: Iterable<Entry>;
  readonly waiting?: Iterable<Entry>;
  readonly held?: Iterable<Entry>;
  readonly turns?: Turns | undefined;
}

export function restoreContext(parts: GroupParts): GroupContext {
  const context: GroupContext = {
    ...createContext(parts),
    active: NONE.from(parts.active ?? []),
    stopping: NONE.from(parts.stopping ?? []),
    waiting: NOBODY_WAITS.restore(parts.waiting ?? [], parts.turns),
    held: NONE.from(parts.held ?? []),
  };
  return { ...context, evictable: evictableOf(context) };
}

/** Whose turn it is among the flows that share this group, as plain JSON; undefined where there is nothing to keep. */
export function turnsOf(context: GroupContext): Turns | undefined {
  return context.waiting.turns();
}

// What happens to runs. Each function gives the same context where it has nothing to change.

/** A run begins to wait. */
export function enqueue(context: GroupContext, entry: Entry): GroupContext {
  return {
    ...context,
    waiting: context.waiting.add(entry),
    evictable: EVICTION[context.strategy] ? context.evictable.add(entry) : context.evictable,
  };
}

/** A run gets a slot, wherever it was: here it waited, was held, was proposed, or has just arrived. */
export function admit(context: GroupContext, entry: Entry): GroupContext {
  const eviction = EVICTION[context.strategy];
  const { evictable } = context;
  // Nobody holds a slot and nobody waits for one: the busy period is over, and past turns with it.
  const waiting = context.active.size === 0 ? context.waiting.rest() : context.waiting;
  const taken = waiting.take(entry);
  return {
    ...context,
    active: context.active.add(entry),
    waiting: taken === waiting ? waiting.charge(entry.flow) : taken,
    held: context.held.delete(entry),
    proposed: without(context.proposed, entry),
    evictable: eviction ? (eviction.evictsActive ? evictable.add(entry) : evictable.delete(entry)) : evictable,
  };
}

/** An active run has ended: its slot is free. */
export function release(context: GroupContext, entry: Entry): GroupContext {
  const active = context.active.delete(entry);
  if (active === context.active) return context;
  return {
    ...context,
    active,
    stopping: context.stopping.delete(entry),
    evictable: context.evictable.delete(entry),
  };
}

/** Takes the slot of `released` and gives it to `next`, who waits: both changes in one. */
export function handOver(context: GroupContext, released: Entry, next: Entry): GroupContext {
  return admit(release(context, released), next);
}

/** A waiting run has gone. */
export function withdraw(context: GroupContext, entry: Entry): GroupContext {
  const waiting = context.waiting.remove(entry);
  const held = context.held.delete(entry);
  const proposed = without(context.proposed, entry);
  if (waiting === context.waiting && held === context.held && proposed === context.proposed) return context;
  return { ...context, waiting, held, proposed, evictable: context.evictable.delete(entry) };
}

/** An active run was cancelled. It holds its slot until it is released. */
export function markStopping(context: GroupContext, entry: Entry): GroupContext {
  if (!context.active.has(entry) || context.stopping.has(entry)) return context;
  return { ...context, stopping: context.stopping.add(entry), evictable: context.evictable.delete(entry) };
}

/** A run was cancelled, wherever it was. */
export function cancel(context: GroupContext, entry: Entry): GroupContext {
  return context.active.has(entry) ? markStopping(context, entry) : withdraw(context, entry);
}

/** The gated run `entry` is next here; the supervisor asks its other groups. */
export function propose(context: GroupContext, entry: Entry): GroupContext {
  return { ...context, proposed: entry };
}

/** A gated run waits, but not for this group: it is put aside. */
export function hold(context: GroupContext, entry: Entry): GroupContext {
  if (context.active.has(entry)) return context;
  return {
    ...context,
    waiting: context.waiting.remove(entry),
    held: context.held.add(entry),
    proposed: without(context.proposed, entry),
    evictable: EVICTION[context.strategy] ? context.evictable.add(entry) : context.evictable,
  };
}

/** A held run waits for this group again. */
export function offer(context: GroupContext, entry: Entry): GroupContext {
  const held = context.held.delete(entry);
  return held === context.held ? context : { ...context, held, waiting: context.waiting.add(entry) };
}

// What happens to the group.

export function setMaxRuns(context: GroupContext, maxRuns: number): GroupContext {
  return maxRuns === context.maxRuns ? context : { ...context, maxRuns };
}

export function setPaused(context: GroupContext, paused: boolean): GroupContext {
  return paused === context.paused ? context : { ...context, paused };
}

/** Only says what the rules are from now on: feed `limit.changed` to the machine of the new strategy to apply them. */
export function setStrategy(context: GroupContext, strategy: Strategy): GroupContext {
  if (strategy === context.strategy) return context;
  const changed = { ...context, strategy };
  return { ...changed, evictable: evictableOf(changed) };
}

// What can be asked.

/** May one more run start now, as far as this group is concerned? */
export function hasRoom(context: GroupContext): boolean {
  return !context.paused && context.active.size < context.maxRuns;
}

/** All that wait here, for whatever reason. */
export function queuedCount(context: GroupContext): number {
  return context.waiting.size + context.held.size;
}

/** Nothing is left to remember but the limit itself: the group may leave memory. */
export function isIdle(context: GroupContext): boolean {
  return context.active.size === 0 && queuedCount(context) === 0 && context.proposed === undefined && !context.paused;
}

/** How many runs are ahead of this one here; undefined where it does not wait for this group. */
export function position(context: GroupContext, entry: Entry): number | undefined {
  const rank = context.waiting.rank(entry);
  return rank < 0 ? undefined : rank;
}

export type Standing =
  | { readonly is: "active" | "stopping" | "proposed" | "held" | "unknown" }
  | { readonly is: "waiting"; readonly ahead: number };

/** Where a run stands in this group, for the answer to "why is this run waiting?". */
export function standing(context: GroupContext, entry: Entry): Standing {
  if (context.stopping.has(entry)) return { is: "stopping" };
  if (context.active.has(entry)) return { is: "active" };
  if (context.proposed && context.proposed.order === entry.order) return { is: "proposed" };
  if (context.held.has(entry)) return { is: "held" };
  const ahead = position(context, entry);
  return ahead === undefined ? { is: "unknown" } : { is: "waiting", ahead };
}

/** The run that this group would give up first, if it may give up any. */
export function nextToEvict(context: GroupContext): Entry | undefined {
  return context.evictable.first();
}

/** Every slot is taken or spoken for. */
export function isOccupied(context: GroupContext): boolean {
  return context.active.size + queuedCount(context) >= context.maxRuns;
}

/** As many as may remain are there, so one more makes one too many. */
export function isCrowded(context: GroupContext): boolean {
  return context.evictable.size >= context.maxRuns;
}

export function isOvercrowded(context: GroupContext): boolean {
  return context.evictable.size > context.maxRuns;
}

/** Does a crowded CANCEL_IN_PROGRESS group have only runs that rank above this newcomer? */
export function isOutranked(context: GroupContext, entry: Entry): boolean {
  const lowest = nextToEvict(context);
  return lowest !== undefined && isCrowded(context) && lowest.priority > entry.priority;
}

/**
 * Would this group cancel the newcomer on its arrival, and why? Asked of all groups of a run with several before any is told of
 * it, since a run is taken by all of them or by none. `mustWait`: it cannot start now, be it because of another of its groups.
 */
export function refusal(
  context: GroupContext,
  entry: Entry,
  mustWait = !hasRoom(context),
): { readonly cause: CancelCause; readonly by?: string } | undefined {
  switch (context.strategy) {
    case "CANCEL_IN_PROGRESS":
      return isOutranked(context, entry) ? { cause: "outranked", by: nextToEvict(context)!.run } : undefined;
    case "CANCEL_NEWEST":
      return isOccupied(context) ? { cause: "full" } : undefined;
    case "CANCEL_QUEUED_EXCEPT_OLDEST":
      return mustWait && isCrowded(context) ? { cause: "full" } : undefined;
    case "CANCEL_QUEUED_EXCEPT_NEWEST":
    case "GROUP_ROUND_ROBIN":
      return undefined;
  }
}

export function wouldRefuse(context: GroupContext, entry: Entry, mustWait = !hasRoom(context)): boolean {
  return refusal(context, entry, mustWait) !== undefined;
}

function evictableOf(context: GroupContext): OrderedSet<Entry> {
  const eviction = EVICTION[context.strategy];
  if (!eviction) return NONE;
  const queued = [...context.waiting, ...context.held];
  if (!eviction.evictsActive) return eviction.none.from(queued);
  return eviction.none.from([...[...context.active].filter((entry) => !context.stopping.has(entry)), ...queued]);
}

function without(proposed: Entry | undefined, entry: Entry): Entry | undefined {
  return proposed && proposed.order === entry.order ? undefined : proposed;
}
