/** One workflow per strategy: an event each, one key, one run at a time unless its name says otherwise. */
import { defineWorkflow, Strategy } from "sluice";
import { scripted } from "../support/scripted.ts";

const workflow = (name: string, strategy: Strategy, maxRuns = 1) =>
  defineWorkflow({ name, on: name, concurrency: { key: "input.key", maxRuns, strategy } }).step("work", scripted);

export const roundRobin = workflow("round-robin", Strategy.GROUP_ROUND_ROBIN);
export const roundRobin5 = workflow("round-robin-5", Strategy.GROUP_ROUND_ROBIN, 5);
export const cancelInProgress = workflow("cancel-in-progress", Strategy.CANCEL_IN_PROGRESS);
export const cancelInProgress2 = workflow("cancel-in-progress-2", Strategy.CANCEL_IN_PROGRESS, 2);
export const cancelNewest = workflow("cancel-newest", Strategy.CANCEL_NEWEST);
export const exceptNewest = workflow("except-newest", Strategy.CANCEL_QUEUED_EXCEPT_NEWEST);
export const exceptOldest = workflow("except-oldest", Strategy.CANCEL_QUEUED_EXCEPT_OLDEST);

/** Two steps, one run per key at a time. */
export const twoSteps = defineWorkflow({
  name: "two-steps",
  on: "two-steps",
  concurrency: { key: (ctx) => (ctx.input as { key: string }).key, maxRuns: 1, strategy: Strategy.CANCEL_IN_PROGRESS },
})
  .step("first", scripted)
  .step("second", { after: ["first"] }, scripted);
