/** The first version of a workflow that is rolled out under load: two steps. */
import { defineWorkflow, Strategy } from "sluice";
import { scripted } from "../support/scripted.ts";

export const rolling = defineWorkflow({
  name: "rolling",
  on: "rolling",
  concurrency: { key: "input.key", maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
})
  .step("first", scripted)
  .step("second", { after: ["first"] }, scripted);
