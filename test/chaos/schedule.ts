/** When which fault happens: drawn from the seed, each lane for itself, until the time is over. */
import { setTimeout as delay } from "node:timers/promises";
import { type Fault, FAULTS, type Lane } from "./faults.ts";
import { createRandom } from "./random.ts";
import type { World } from "./world.ts";

/** Names of faults to leave out, with commas between: to find out which one it takes. */
export const WITHOUT: readonly string[] = process.env["SLUICE_CHAOS_WITHOUT"]?.split(",") ?? [];

/** Between two faults of a lane, in ms: from, to. */
const GAPS: Readonly<Record<Lane, readonly [number, number]>> = {
  servers: [2_000, 8_000],
  links: [1_000, 6_000],
  processes: [1_000, 6_000],
  users: [500, 4_000],
};

/** Resolves when the time is over and the last fault of each lane has healed. */
export async function disturb(world: World, seed: number, forMs: number): Promise<void> {
  const end = performance.now() + forMs;
  await Promise.all((Object.keys(GAPS) as Lane[]).map((lane) => disturbLane(world, seed, lane, end)));
}

async function disturbLane(world: World, seed: number, lane: Lane, end: number): Promise<void> {
  const random = createRandom(seed, lane);
  const faults: readonly Fault[] = FAULTS.filter((fault) => fault.lane === lane && !WITHOUT.includes(fault.name));
  if (faults.length === 0) return;
  const [from, to] = GAPS[lane];
  for (;;) {
    const gap = random.integer(from, to);
    if (performance.now() + gap >= end) return;
    await delay(gap);
    const fault = random.weighted(faults);
    try {
      await fault.run(world, random);
    } catch (error) {
      world.failed(`could not ${fault.name}`, error as Error);
    }
  }
}
