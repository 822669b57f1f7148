/**
 * The facts of one run as the history stores them: JSON texts, appended as they come, each a list of partition numbers and
 * facts, where a number says whose journal the facts after it are from. Reading puts them into the order in which they were
 * true: within a partition as its journal has them, and from one partition to the next as the run moved. So the result is
 * the same in whichever order the journals of two partitions were read.
 */
import type { RunFact } from "./journal.ts";

type WithoutRun<F> = F extends unknown ? Omit<F, "run"> : never;
/** A fact without the run's id, which is that of the row. */
export type StoredFact = WithoutRun<RunFact>;
export type StoredCreated = Extract<StoredFact, { readonly k: "created" }>;

/** A stretch of a run's life in one partition. */
export interface Stay {
  readonly partition: number;
  /** At least one; the first is `created` unless the history began in the middle. */
  readonly facts: readonly StoredFact[];
}

/** Reads pieces of JSON without their outer brackets, in the order in which they were stored. */
export function parseStored(pieces: readonly string[]): readonly (number | StoredFact)[] {
  return JSON.parse(`[${pieces.join(",")}]`) as readonly (number | StoredFact)[];
}

/** The stays of a run, first to last. */
export function staysOf(stored: readonly (number | StoredFact)[]): readonly Stay[] {
  const stays: { partition: number; facts: StoredFact[] }[] = [];
  const current = new Map<number, { partition: number; facts: StoredFact[] }>();
  let partition = -1;
  for (const item of stored) {
    if (typeof item === "number") {
      partition = item;
      continue;
    }
    let stay = current.get(partition);
    if (stay === undefined || item.k === "created") {
      stay = { partition, facts: [] };
      current.set(partition, stay);
      stays.push(stay);
    }
    stay.facts.push(item);
  }
  return stays.length > 1 ? chain(stays) : stays;
}

/** The partition that the run is in, or on its way to. */
export function currentPartition(stays: readonly Stay[]): number {
  const last = stays.at(-1);
  const fact = last?.facts.at(-1);
  return fact?.k === "moved" ? fact.to : (last?.partition ?? 0);
}

/** Follows the moves from the stay that leads through most of the others. */
function chain(stays: readonly Stay[]): readonly Stay[] {
  let best: readonly Stay[] = [];
  const byTime = stays.toSorted((a, b) => timeOf(a) - timeOf(b) || a.partition - b.partition);
  for (const start of byTime) {
    const path = follow(start, stays);
    if (path.length > best.length) best = path;
  }
  return [...best, ...byTime.filter((stay) => !best.includes(stay))];
}

function follow(start: Stay, stays: readonly Stay[]): readonly Stay[] {
  const path = [start];
  for (let at: Stay | undefined = start; at !== undefined;) {
    const move = at.facts.at(-1);
    at = move?.k === "moved" ? stays.find((stay) => stay.partition === move.to && !path.includes(stay)) : undefined;
    if (at !== undefined) path.push(at);
  }
  return path;
}

function timeOf(stay: Stay): number {
  return stay.facts[0]?.at ?? 0;
}
