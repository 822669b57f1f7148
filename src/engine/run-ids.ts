/** Ids of runs and nodes: ULIDs, which sort by the time that they were made at. */
import { monotonicFactory } from "ulid";

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
