/**
 * A limit on everything: whatever arrives, five runs of this workflow work at once and the others wait their turn.
 *
 *   sluice publish concurrency-test '{}'
 */
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorkflow, Strategy } from "sluice";
import { z } from "zod";

export const concurrencyDemo = defineWorkflow({
  name: "concurrency-demo",
  on: ["concurrency-test"],
  input: z.object({ ms: z.number().min(0).default(1_000) }), // how long the step works
  concurrency: {
    key: () => "concurrency-key", // the same for every run: one group, one limit
    maxRuns: 5,
    strategy: Strategy.GROUP_ROUND_ROBIN,
  },
}).step("step1", async (ctx) => {
  await sleep(ctx.input.ms, undefined, { signal: ctx.signal });
  ctx.log.info("executed step1");
});
