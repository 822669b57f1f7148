/**
 * A cluster whose every part is killed, paused, cut off and robbed at random, under load, for minutes: afterwards nothing may be lost,
 * doubled, above its limit, out of order or leaked. `SLUICE_CHAOS_MINUTES` and `SLUICE_CHAOS_SEED` say how long and which (`npm run
 * test:chaos -- --minutes 30 --seed 7`); a seed decides what happens in which order, the machine's timing the rest.
 */
import { execFileSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { natsServerBinary } from "../support/nats.ts";
import { checkHistory } from "./checker.ts";
import { report } from "./report.ts";
import { disturb, WITHOUT } from "./schedule.ts";
import { World } from "./world.ts";

/**
 * Only by `npm run test:chaos`: the observer of the journals is overtaken by purges where servers are away for long, and takes what it has
 * not read for broken promises.
 */
const WANTED = process.env["SLUICE_CHAOS_MINUTES"] !== undefined;
const MINUTES = Number(process.env["SLUICE_CHAOS_MINUTES"] ?? 1);
/** Earlier servers lose or renumber what they have acknowledged on three servers, and no engine can make up for that. */
const OLDEST_SERVER = [2, 10];
const SEED = Number(process.env["SLUICE_CHAOS_SEED"] ?? randomInt(1_000_000_000));
const RUNS_PER_SECOND = Number(process.env["SLUICE_CHAOS_RATE"] ?? 30);
/** To start, to settle, to check. */
const AROUND_MS = 10 * 60_000;

it.runIf(WANTED && isFit(natsServerBinary()))(
  `keeps every promise through ${MINUTES} minutes of faults`,
  async () => {
    const folder = await mkdtemp(join(await realpath(tmpdir()), "sluice-chaos-"));
    console.log(`chaos: seed ${SEED}, ${MINUTES} minutes, logs in ${folder}; left out: ${WITHOUT.join(", ") || "nothing"}`);
    const world = await World.start(folder, SEED);
    world.startLoad(RUNS_PER_SECOND);
    await disturb(world, SEED, MINUTES * 60_000);
    await world.heal();
    const history = await world.settle();
    const violations = checkHistory(history);
    const summary = await report(world, SEED, history, violations);
    console.log(summary);
    expect(violations.length, summary).toBe(0);
    await rm(folder, { recursive: true, force: true });
  },
  MINUTES * 60_000 + AROUND_MS,
);

function isFit(binary: string): boolean {
  const text = execFileSync(binary, ["--version"], { encoding: "utf8" });
  const [major = 0, minor = 0] = (/v(\d+)\.(\d+)/.exec(text) ?? []).slice(1).map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = OLDEST_SERVER;
  const fits = major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
  if (!fits) console.error(`chaos: left out with ${text.trim()}: expected ${OLDEST_SERVER.join(".")} or later`);
  return fits;
}
