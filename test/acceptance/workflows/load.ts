/** Two short steps, two runs of a key at a time: what the tests that kill processes run in numbers. */
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorkflow, Strategy } from "sluice";
import { recorded } from "../support/scripted.ts";

const step = recorded(async (ctx) => {
  const { n, ms = 40 } = ctx.input as { readonly n: number; readonly ms?: number };
  await sleep(ms, undefined, { signal: ctx.signal });
  return { n, attemptId: ctx.attemptId };
});

export const load = defineWorkflow({
  name: "load",
  on: "load",
  concurrency: { key: "input.key", maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
})
  .step("first", step)
  .step("second", { after: ["first"] }, step);
