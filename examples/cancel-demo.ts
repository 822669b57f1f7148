/**
 * A new event of a user cancels what still runs for that user; the newest run is the one that finishes.
 *
 *   sluice publish cancel-test '{"user_id": "ada"}'
 */
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorkflow, Strategy } from "sluice";
import { z } from "zod";

export const cancelDemo = defineWorkflow({
  name: "cancel-demo",
  on: ["cancel-test"],
  input: z.object({ user_id: z.string(), ms: z.number().min(0).default(1_500) }), // how long each step works
  concurrency: {
    key: (ctx) => ctx.input.user_id,
    maxRuns: 1,
    strategy: Strategy.CANCEL_IN_PROGRESS,
  },
})
  .step("step1", async (ctx) => {
    // On cancel the signal is aborted and the sleep rejects: the slot is free at once for the run that is waiting for it.
    await sleep(ctx.input.ms, undefined, { signal: ctx.signal });
    ctx.log.info("executed step1");
  })
  .step("step2", { after: ["step1"] }, async (ctx) => {
    await sleep(ctx.input.ms, undefined, { signal: ctx.signal });
    ctx.log.info("executed step2");
  });
