/** Limits that change, that come in numbers, and that priorities pass through. */
import { defineWorkflow, Strategy } from "sluice";
import { scripted } from "../support/scripted.ts";

export const prioritized = defineWorkflow({
  name: "prioritized",
  on: "prioritized",
  concurrency: { key: "input.key", maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("work", scripted);

/** One per user, three in all. */
export const perUserAndTotal = defineWorkflow({
  name: "per-user-and-total",
  on: "per-user-and-total",
  concurrency: [
    { name: "user", key: "input.key", maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
    { name: "total", key: '"all"', maxRuns: 3, strategy: Strategy.GROUP_ROUND_ROBIN },
  ],
}).step("work", scripted);

export const adjustable = defineWorkflow({
  name: "adjustable",
  on: "adjustable",
  concurrency: { key: "input.key", maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("work", scripted);

export const replaceable = defineWorkflow({
  name: "replaceable",
  on: "replaceable",
  concurrency: { key: "input.key", maxRuns: 3, strategy: Strategy.CANCEL_IN_PROGRESS },
}).step("work", scripted);
