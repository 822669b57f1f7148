/** Ids of runs and nodes: ULIDs, which sort by the time that they were made at. */
import { decodeTime, monotonicFactory } from "ulid";

const ID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

export function isRunId(text: string): boolean {
  return ID.test(text);
}

/** When it was made, in ms since the epoch, by the clock of whoever made it. */
export function madeAt(id: string): number {
  return decodeTime(id);
}

/** The library puts an id together from two strings, which V8 keeps beside the whole: twice the memory of each waiting run's. */
export function createIds(): (atMs?: number) => string {
  const ulid = monotonicFactory(pooledRandom());
  return (atMs) => Buffer.from(ulid(atMs), "latin1").toString("latin1");
}

/** Random numbers from 0 to 1; asking the system for each of the digits of an id costs more than all else about it. */
function pooledRandom(): () => number {
  const pool = new Uint8Array(4_096);
  let next = pool.length;
  return () => {
    if (next === pool.length) {
      crypto.getRandomValues(pool);
      next = 0;
    }
    return (pool[next++] ?? 0) / 256;
  };
}
