/** Why a run is where it is, in one sentence each. */
import { expect, test } from "vitest";
import { createTestSluice } from "../../src/testing/index.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { Strategy } from "../../src/workflow/spec.ts";

const strategy = Strategy.GROUP_ROUND_ROBIN;
const limits = [
  { name: "user", key: "input.k", strategy },
  { name: "all", key: "'all'", maxRuns: 1, strategy },
];
const endless = (signal: AbortSignal): Promise<void> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
const work = defineWorkflow<{ k: string }>({ name: "work", concurrency: limits }).step("do", (ctx) => endless(ctx.signal));
const free = defineWorkflow({ name: "free", grace: "5s" }).step("do", (ctx) => endless(ctx.signal));
const deaf = defineWorkflow({ name: "deaf", grace: "5s" }).step("do", () => new Promise(() => undefined));
const keyed = defineWorkflow<{ k: string }>({ name: "keyed", concurrency: { key: (ctx) => ctx.input.k } }).step("do", () => 1);

test("A run that waits for a limit is told which, who holds it, and its place in line", async () => {
  const sluice = createTestSluice({ workflows: [work] });
  await sluice.run(work, { k: "a" });
  const second = await sluice.run(work, { k: "b" });
  const third = await sluice.run(work, { k: "a" });
  expect(second.explain().sentence).toBe(
    'It waits for a slot in limit "all" for key "all": 1 of 1 in use by run-1; it is 1st of 2 in line.',
  );
  expect(third.explain().sentence).toMatch(
    /^It waits for a slot in limit "user" for key "a": 1 of 1 in use by run-1; it is 1st of 1 in line\. It also needs a slot in limit "all" for key "all", where there is none free either\.$/,
  );
  await sluice.runs.cancel("run-1");
  expect(second.explain().sentence).toBe('It is running step "do" (attempt 1) on worker worker-1 for 0ms.');
  expect(sluice.runs.explain("run-1").sentence).toBe("It has ended: CANCELLED (CANCELLED_BY_USER), at 2026-01-01T00:00:00.000Z.");
});

test("A run that is told to stop waits for its worker, for the grace at most", async () => {
  const sluice = createTestSluice({ workflows: [deaf] });
  const run = await sluice.run(deaf, {});
  await run.cancel();
  expect(run.explain()).toMatchObject({
    waitingFor: "stop",
    sentence:
      'Step "do" was told to stop since the run is ending (CANCELLED_BY_USER); it waits until worker worker-1 confirms that, for 5s at most.',
  });
  await sluice.advance("5s");
  expect(run.get()).toMatchObject({ status: "CANCELLED", finishedAt: "2026-01-01T00:00:05.000Z" });
});

test("A ready step waits for a free slot, or for a worker that serves it", async () => {
  const sluice = createTestSluice({ workflows: [free, keyed], slots: 1 });
  await sluice.run(free, {});
  const second = await sluice.run(free, {});
  expect(second.explain().sentence).toBe(
    'Step "do" is ready and waits for a free slot on the one worker that serves it; it is 1st of 1 in the fair order.',
  );
  await sluice.workers.kill("worker-1");
  await sluice.advance("4s");
  expect(second.explain().sentence).toBe('Step "do" is ready, but no worker serves step "do" of workflow "free".');
  const third = await sluice.run(keyed, { k: "a" });
  expect(third.explain().sentence).toBe(
    'It waits for its concurrency key, which a worker node computes, and no worker serves workflow "keyed".',
  );
});
