/** The first version: one at a time, one step. */
import { defineWorkflow, Strategy } from "sluice";
import { scripted } from "../support/scripted.ts";

export const versioned = defineWorkflow({
  name: "versioned",
  on: "versioned",
  concurrency: { key: "input.key", maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("work", scripted);
