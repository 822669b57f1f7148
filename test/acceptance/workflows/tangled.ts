/** Everything that a run may wait for at once: a key that a worker computes, two limits, priorities, two steps. */
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorkflow, Strategy } from "sluice";
import { recorded } from "../support/scripted.ts";

interface Input {
  readonly key: string;
  readonly n: number;
  readonly ms: number;
  /** So long that the input is read from its stream again; how many characters there must be. */
  readonly text?: string;
  readonly characters?: number;
}

const step = recorded(async (ctx) => {
  const { n, ms, text = "", characters = 0 } = ctx.input as Input;
  if (text.length !== characters) throw new Error(`expected a text of ${characters} characters, got ${text.length}`);
  await sleep(ms, undefined, { signal: ctx.signal });
  return { n, attemptId: ctx.attemptId };
});

export const tangled = defineWorkflow({
  name: "tangled",
  on: "tangled",
  concurrency: [
    { name: "tangled-key", key: (ctx) => (ctx.input as Input).key, maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
    { name: "tangled-total", key: '"all"', maxRuns: 12, strategy: Strategy.GROUP_ROUND_ROBIN },
  ],
})
  .step("first", step)
  .step("second", { after: ["first"] }, step);

export const byFunction = defineWorkflow({
  name: "by-function",
  on: "by-function",
  concurrency: { key: (ctx) => (ctx.input as Input).key, maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
})
  .step("first", step)
  .step("second", { after: ["first"] }, step);

export const replacing = defineWorkflow({
  name: "replacing",
  on: "replacing",
  concurrency: { key: "input.key", maxRuns: 1, strategy: Strategy.CANCEL_IN_PROGRESS },
})
  .step("first", step)
  .step("second", { after: ["first"] }, step);
