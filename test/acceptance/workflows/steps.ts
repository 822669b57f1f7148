/** Retries, timeouts, failures: each workflow is one rule, and its runs' inputs say what their handlers do. */
import { defineWorkflow, NonRetryableError, Strategy } from "sluice";
import { recorded, scripted } from "../support/scripted.ts";

export const retrying = defineWorkflow({ name: "retrying" })
  .step("only", { retries: 3, backoff: { min: "100ms", factor: 2, max: "300ms" } }, scripted)
  .step("after", { after: ["only"] }, scripted);

export const permanent = defineWorkflow({ name: "permanent" }).step(
  "only",
  { retries: 5, backoff: { min: "10ms" } },
  recorded(() => {
    throw new NonRetryableError("no use");
  }),
);

/** A long backoff, to be cancelled in. */
export const patient = defineWorkflow({
  name: "patient",
  concurrency: { key: "input.key", maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("only", { retries: 1, backoff: { min: "1m" } }, scripted);

export const timed = defineWorkflow({ name: "timed" }).step(
  "only",
  { timeout: "150ms", retries: 1, backoff: { min: "10ms" } },
  scripted,
);

/** Grace of 600 ms for handlers that are told to stop. */
export const graced = defineWorkflow({
  name: "graced",
  grace: "600ms",
  concurrency: { key: "input.key", maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("only", { timeout: "200ms" }, scripted);

export const cancelsOthers = defineWorkflow({ name: "cancels-others" })
  .step("a", scripted)
  .step("b", scripted)
  .step("c", { after: ["a", "b"] }, scripted);

export const letsOthersFinish = defineWorkflow({ name: "lets-others-finish", onStepFailure: "finish" })
  .step("a", scripted)
  .step("b", scripted)
  .step("c", { after: ["a", "b"] }, scripted);

/** Runs wait 300 ms for their key at most. */
export const impatient = defineWorkflow({
  name: "impatient",
  scheduleTimeout: "300ms",
  concurrency: { key: "input.key", maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("only", scripted);

export const oneAtATime = defineWorkflow({
  name: "one-at-a-time",
  concurrency: { key: "input.key", maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("only", scripted);

/** A diamond; every step sees what those before it returned. */
export const diamond = defineWorkflow({ name: "diamond", input: undefined })
  .step(
    "top",
    recorded(() => ({ value: 1 })),
  )
  .step(
    "left",
    { after: ["top"] },
    recorded((ctx) => ({ value: (ctx.output("top") as { value: number }).value + 1 })),
  )
  .step(
    "right",
    { after: ["top"] },
    recorded((ctx) => ({ value: (ctx.output("top") as { value: number }).value + 10 })),
  )
  .step(
    "bottom",
    { after: ["left", "right"] },
    recorded((ctx) => ["top", "left", "right"].map((step) => (ctx.output(step) as { value: number }).value)),
  );

export const diamondOfGates = defineWorkflow({ name: "diamond-of-gates" })
  .step("top", scripted)
  .step("left", { after: ["top"] }, scripted)
  .step("right", { after: ["top"] }, scripted)
  .step("bottom", { after: ["left", "right"] }, scripted);
