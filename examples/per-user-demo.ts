/**
 * One run at a time per user. A user with many runs waiting holds nobody else up: where workers are scarce, users take turns.
 *
 *   sluice publish per-user-test '{"user_id": "ada"}'
 */
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorkflow, Strategy } from "sluice";
import { z } from "zod";

export const perUserDemo = defineWorkflow({
  name: "per-user-demo",
  on: ["per-user-test"],
  input: z.object({ user_id: z.string(), ms: z.number().min(0).default(1_000) }),
  concurrency: {
    key: (ctx) => ctx.input.user_id,
    maxRuns: 1,
    strategy: Strategy.GROUP_ROUND_ROBIN,
  },
}).step("step1", async (ctx) => {
  await sleep(ctx.input.ms, undefined, { signal: ctx.signal });
  ctx.log.info("executed step1");
});
