/**
 * The groups that runs wait for, by how pressed they are: so that the most pressed ones are found without looking at all groups. What
 * counts is how many waiting runs there are for each slot, in powers of two; it costs a group nothing but when it passes from one of
 * these to the next. Groups register themselves.
 */
import type { Entry } from "../../machines/group/contract.ts";
import type { Group } from "./group.ts";
import type { Run } from "./run.ts";

/** Of the groups that are equally pressed within a factor of two, so many are looked at. */
const LOOKED_AT = 1_000;

/** 0: nobody waits; a level above that has from one to two times as many as the one below. */
export function pressureLevel(waitingPerSlot: number): number {
  return waitingPerSlot === 0 ? 0 : 32 - Math.clz32(Math.ceil(waitingPerSlot));
}

export class PressedGroups {
  readonly #levels: (Set<Group> | undefined)[] = [];
  #size = 0;

  /** How many groups have waiting runs. */
  get size(): number {
    return this.#size;
  }

  move(group: Group, from: number, to: number): void {
    if (from > 0 && this.#levels[from]?.delete(group) === true) this.#size--;
    if (to === 0) return;
    const level = (this.#levels[to] ??= new Set());
    if (level.has(group)) return;
    level.add(group);
    this.#size++;
  }

  /** By level, the most pressed first; in no order among those of one level. */
  *levels(): IterableIterator<ReadonlySet<Group>> {
    for (let level = this.#levels.length - 1; level > 0; level--) {
      const groups = this.#levels[level];
      if (groups !== undefined && groups.size > 0) yield groups;
    }
  }

  /** The most pressed ones. Exact where fewer than a thousand groups are within a factor of two of them. */
  top(count: number): PressedGroup[] {
    const found: PressedGroup[] = [];
    for (let level = this.#levels.length - 1; level > 0 && found.length < count; level--) {
      let looked = 0;
      for (const group of this.#levels[level] ?? []) {
        found.push(pressed(group));
        if (++looked >= LOOKED_AT) break;
      }
    }
    return found.sort(byPressure).slice(0, count);
  }
}

/** A group and its place in the order of pressure. */
export interface PressedGroup extends Place {
  readonly group: Group;
}

export interface Place {
  /** Waiting runs for each slot. */
  readonly perSlot: number;
  /** Since when the next in line waits, ms since the epoch; Infinity where nobody does. */
  readonly sinceMs: number;
  /** Share of the slots that are taken. */
  readonly taken: number;
  readonly id: string;
}

export function pressed(group: Group): PressedGroup {
  const { context } = group;
  return {
    group,
    id: group.id,
    perSlot: group.waitingPerSlot,
    sinceMs: nextSince(group),
    taken: context.active.size / context.maxRuns,
  };
}

/** The most waiting runs per slot first; of equals, whose next run waits longest; then the fullest. A total order. */
export function byPressure(a: Place, b: Place): number {
  if (a.perSlot !== b.perSlot) return b.perSlot - a.perSlot;
  if (a.sinceMs !== b.sinceMs) return a.sinceMs < b.sinceMs ? -1 : 1;
  if (a.taken !== b.taken) return b.taken - a.taken;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

export function nextSince({ context: { waiting, held } }: Group): number {
  const next = waiting.peek();
  const aside = held.first();
  return Math.min(next === undefined ? Infinity : waitingSince(next), aside === undefined ? Infinity : waitingSince(aside));
}

/** Since when a run wants a slot: a scheduled one not before its time. */
export function waitingSince(entry: Entry): number {
  const { createdAt, rest } = entry as Run;
  return Math.max(createdAt, rest?.notBefore ?? 0);
}
