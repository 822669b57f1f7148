/** The second version: three at a time, and a step more. */
import { defineWorkflow, Strategy } from "sluice";
import { scripted } from "../support/scripted.ts";

export const versioned = defineWorkflow({
  name: "versioned",
  on: "versioned",
  concurrency: { key: "input.key", maxRuns: 3, strategy: Strategy.GROUP_ROUND_ROBIN },
})
  .step("work", scripted)
  .step("more", { after: ["work"] }, scripted);
