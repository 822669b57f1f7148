/**
 * The test kit against the engine that it stands for: a mix of eight hours goes through both in the same virtual time, and every run must
 * have come to the same end by the same way, at the same instants. `SLUICE_TEST_SCALE` (default 1) makes more runs;
 * `SLUICE_TEST_SEED` chooses others.
 */
import { expect, it, vi } from "vitest";
import { makeMix, type Mix } from "../support/mix/mix.ts";
import { runInEngine } from "../support/mix/mix-engine.ts";
import { runInKit } from "../support/mix/mix-kit.ts";
import { differences } from "../support/mix/mix-result.ts";

// The jitter of retries is a hash of the run's id, which the kit and the engine do not share.
vi.mock(import("../../machines/run/backoff.ts"), () => ({
  backoffMs: ({ minMs, maxMs, factor }, _run, _step, failures) => Math.min(maxMs, minMs * factor ** (failures - 1)),
}));

const SCALE = Number(process.env["SLUICE_TEST_SCALE"] ?? 1);
const SEED = Number(process.env["SLUICE_TEST_SEED"] ?? 4);
const TIMEOUT_MS = 60_000 * (1 + SCALE);

async function compare(mix: Mix, slots: number): Promise<void> {
  // Near to the server's time, so that nothing is too old to be kept.
  const startMs = Math.floor(Date.now() / 86_400_000) * 86_400_000;
  const { result, happenings } = await runInKit(mix, { startMs, slots });
  const began = performance.now();
  const engine = await runInEngine(mix, { startMs, slots, kit: happenings });
  console.log(
    `seed ${mix.seed}: ${result.runs.size} runs, ${happenings.length} changes and executions, ` +
      `${Math.round(performance.now() - began)} ms in the engine: ${JSON.stringify(result.tally)}`,
  );
  expect(differences(result, engine)).toEqual([]);
  expect(engine.tally).toEqual(result.tally);
}

it("Eight hours of a mix end alike, run by run, in the kit and in the engine", { timeout: TIMEOUT_MS }, async () => {
  const mix = makeMix({ seed: SEED, hours: 8, gridMs: 20_000, burst: 16 * SCALE, keys: 6 * SCALE, busy: 0.7 });
  await compare(mix, 10_000);
});

it("Where worker slots are scarce, both take turns in the same order", { timeout: TIMEOUT_MS }, async () => {
  const mix = makeMix({ seed: SEED, hours: 8, gridMs: 4_000, burst: 1, keys: 5, busy: 0.15 * SCALE });
  await compare(mix, 3);
});
