/** More events than a worker handles that takes its time for each: without limits, and behind a limit per key. */
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorkflow, type StepContext, Strategy } from "sluice";

/** How long a worker takes for a step, in ms. */
const SLOWNESS_MS = Number(process.env["SLUICE_TEST_SLOWNESS_MS"] ?? 0);

const step = async (ctx: StepContext): Promise<number> => {
  if (SLOWNESS_MS > 0) await sleep(SLOWNESS_MS, undefined, { signal: ctx.signal });
  return (ctx.input as { readonly n: number }).n;
};

const stepDefaults = { scheduleTimeout: "1h" } as const;

export const flood = defineWorkflow({ name: "flood", on: "flood", stepDefaults }).step("work", step);

export const keyedFlood = defineWorkflow({
  name: "keyed-flood",
  on: "keyed-flood",
  stepDefaults,
  concurrency: { key: "input.key", maxRuns: 5, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("work", step);
