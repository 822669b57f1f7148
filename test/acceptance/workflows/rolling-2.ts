/** The second version: a further step at the end. Its workers also execute what the first version's runs still have to do. */
import { defineWorkflow, Strategy } from "sluice";
import { scripted } from "../support/scripted.ts";

export const rolling = defineWorkflow({
  name: "rolling",
  on: "rolling",
  concurrency: { key: "input.key", maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
})
  .step("first", scripted)
  .step("second", { after: ["first"] }, scripted)
  .step("third", { after: ["second"] }, scripted);
