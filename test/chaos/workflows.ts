/**
 * What the workers of the chaos test execute: a workflow per strategy, two limits at once, keys by a function, retries, no limit. What
 * a handler does is in the input of its run. Both the workers (which run it) and the checker (which reads the limits) load it.
 */
import { defineWorkflow, type StepContext, Strategy } from "sluice";
import { scripted, type ScriptedInput } from "../acceptance/support/scripted.ts";

/** Cancelled work that does not stop keeps its slot for so long. */
const grace = "1s";
const backoff = { min: "50ms", max: "500ms" } as const;
const keyOf = (ctx: Pick<StepContext<unknown, never>, "input">): string => (ctx.input as ScriptedInput).key ?? "";

const limited = (name: string, strategy: Strategy, maxRuns: number) =>
  defineWorkflow({ name, on: `chaos.${name}`, grace, concurrency: { key: "input.key", maxRuns, strategy } })
    .step("first", { retries: 2, backoff }, scripted)
    .step("second", { after: ["first"], retries: 2, backoff }, scripted);

export const roundRobin = limited("round-robin", Strategy.GROUP_ROUND_ROBIN, 2);
export const cancelInProgress = limited("cancel-in-progress", Strategy.CANCEL_IN_PROGRESS, 1);
export const cancelInProgress2 = limited("cancel-in-progress-2", Strategy.CANCEL_IN_PROGRESS, 2);
export const cancelNewest = limited("cancel-newest", Strategy.CANCEL_NEWEST, 1);
export const exceptNewest = limited("except-newest", Strategy.CANCEL_QUEUED_EXCEPT_NEWEST, 1);
export const exceptOldest = limited("except-oldest", Strategy.CANCEL_QUEUED_EXCEPT_OLDEST, 1);

/** Every event of `round-robin` starts one of these too. */
export const beside = defineWorkflow({ name: "beside", on: "chaos.round-robin", grace }).step(
  "only",
  { retries: 2, backoff },
  scripted,
);

export const twoLimits = defineWorkflow({
  name: "two-limits",
  on: "chaos.two-limits",
  grace,
  concurrency: [
    { name: "two-limits-key", key: keyOf, maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
    { name: "two-limits-total", key: '"all"', maxRuns: 6, strategy: Strategy.GROUP_ROUND_ROBIN },
  ],
})
  .step("first", { retries: 2, backoff }, scripted)
  .step("second", { after: ["first"], retries: 2, backoff }, scripted);

export const byFunction = defineWorkflow({
  name: "by-function",
  on: "chaos.by-function",
  grace,
  concurrency: { key: keyOf, maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("only", { retries: 2, backoff }, scripted);

export const diamond = defineWorkflow({ name: "diamond", on: "chaos.diamond", grace })
  .step("top", { retries: 2, backoff }, scripted)
  .step("left", { after: ["top"], retries: 2, backoff }, scripted)
  .step("right", { after: ["top"], retries: 2, backoff }, scripted)
  .step("bottom", { after: ["left", "right"], retries: 2, backoff }, scripted);
