/**
 * Eight hours of virtual time in the test kit: a mix of all workflows, limits and strategies, whose invariants are checked at every
 * change, that comes out the same every time, and also when its engine is killed. `SLUICE_TEST_SCALE` (default 1) goes through more
 * mixes; `SLUICE_TEST_SEED` chooses others. That a real engine does the same is `kit-against-engine.test.ts`'s.
 */
import { describe, expect, it } from "vitest";
import { makeMix, type Mix } from "../support/mix/mix.ts";
import { MixInvariants } from "../support/mix/mix-invariants.ts";
import { type KitOptions, type KitRun, runInKit } from "../support/mix/mix-kit.ts";
import { differences } from "../support/mix/mix-result.ts";
import { mixWorkflows } from "../support/mix/mix-workflows.ts";
import { internalsOf } from "../../src/workflow/define.ts";

const SCALE = Number(process.env["SLUICE_TEST_SCALE"] ?? 1);
const SEED = Number(process.env["SLUICE_TEST_SEED"] ?? 1);
const SEEDS = Array.from({ length: SCALE }, (_, i) => SEED + i);
const START_MS = Date.UTC(2026, 0, 1);

const nowhere = { now: () => 0, sleep: () => Promise.resolve(), saw: () => undefined };
const SPECS = mixWorkflows(nowhere, { startMs: 0, gridMs: 1, alone: false }).map((workflow) => internalsOf(workflow).spec);

const busy = (seed: number): Mix => makeMix({ seed, hours: 8, gridMs: 20_000, burst: 16, keys: 6, busy: 0.8 });
const scarce = (seed: number): Mix => makeMix({ seed, hours: 8, gridMs: 4_000, burst: 1, keys: 5, busy: 0.15 });

async function pass(mix: Mix, options: Partial<KitOptions> = {}): Promise<KitRun & { readonly problems: readonly string[] }> {
  const { watch, onAct, problems } = new MixInvariants(SPECS);
  const run = await runInKit(mix, { startMs: START_MS, slots: mix.alone ? 3 : 10_000, watch, onAct, ...options });
  return { ...run, problems };
}

/** Each event and call has exactly its runs, and all have ended, but for the last one of the cron. */
function expectWhole(mix: Mix, { result, kit, problems }: Awaited<ReturnType<typeof pass>>): void {
  expect(problems).toEqual([]);
  const byCron = [...result.runs.keys()].filter((label) => label.startsWith("ticking"));
  expect([...result.runs.keys()].toSorted()).toEqual([...mix.expected, ...byCron].toSorted());
  expect(byCron).toHaveLength((8 * 60) / 10 - 1);
  const open = kit.runs.list().filter(({ finishedAt }) => finishedAt === undefined);
  expect(open.map(({ workflow }) => workflow)).toEqual(["ticking"]);
  expect(kit.groups.list().filter(({ limit, overridden }) => limit !== "ticking" && overridden !== true)).toEqual([]);
}

describe.each([
  ["with room on the workers", busy],
  ["with few worker slots", scarce],
])("Eight hours of a mix %s", (_, make) => {
  it.each(SEEDS)(
    "keep every limit and order, and end every run, the same every time (seed %d)",
    { timeout: 60_000 },
    async (seed) => {
      const mix = make(seed);
      const first = await pass(mix);
      expectWhole(mix, first);
      console.log(`seed ${seed}: ${first.result.runs.size} runs, ${JSON.stringify(first.result.tally)}`);
      const second = await pass(mix);
      expect(second.happenings).toEqual(first.happenings);
      expect(differences(first.result, second.result)).toEqual([]);
    },
  );
});

describe("Eight hours of a mix in which the engine is killed time and again", () => {
  it.each(SEEDS)("come out as if nothing had happened (seed %d)", { timeout: 60_000 }, async (seed) => {
    const mix = busy(seed);
    const undisturbed = await pass(mix);
    const killed = await pass(mix, { restarts: 100 });
    expectWhole(mix, killed);
    expect(differences(undisturbed.result, killed.result)).toEqual([]);
  });

  it.each(SEEDS)("lose nothing and double nothing that it was in the midst of (seed %d)", { timeout: 60_000 }, async (seed) => {
    const mix = busy(seed);
    // Changes that it was about to tell are told to nobody, so the account of them is no good.
    expectWhole(mix, { ...(await pass(mix, { inTheMidst: 0.03 })), problems: [] });
  });

  it.each(SEEDS)("keep every limit and order where worker slots are scarce (seed %d)", { timeout: 60_000 }, async (seed) => {
    const mix = scarce(seed);
    expectWhole(mix, await pass(mix, { restarts: 100 }));
  });
});
