/** What starts runs. */
import { defineWorkflow, Strategy } from "sluice";
import { recorded, scripted } from "../support/scripted.ts";

export const oneToken = defineWorkflow({ name: "one-token", on: "order.*" }).step("work", scripted);
export const anyTokens = defineWorkflow({ name: "any-tokens", on: "order.>" }).step("work", scripted);
export const twice = defineWorkflow({ name: "matches-twice", on: ["order.created", "order.*"] }).step("work", scripted);

const limit = { maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN };
export const celKey = defineWorkflow({ name: "cel-key", on: "keyed", concurrency: { key: "input.key", ...limit } }).step(
  "work",
  scripted,
);
export const functionKey = defineWorkflow({
  name: "function-key",
  on: "keyed",
  concurrency: { key: (ctx) => (ctx.input as { key: string }).key, ...limit },
}).step("work", scripted);
/** Both kinds in one workflow, and what else a key may be made of. */
export const mixedKeys = defineWorkflow({
  name: "mixed-keys",
  on: "mixed.*",
  concurrency: [
    { name: "mixed-cel", key: 'event.name + "/" + metadata.tenant', ...limit },
    { name: "mixed-function", key: (ctx) => `${ctx.workflow}/${String(ctx.metadata["tenant"])}`, ...limit },
  ],
}).step("work", scripted);

export const plain = defineWorkflow({ name: "plain", on: "plain" }).step(
  "work",
  recorded((ctx) => ({ input: ctx.input as unknown, metadata: ctx.metadata, event: ctx.event?.name ?? null })),
);

export const limited = defineWorkflow({ name: "limited", on: "limited", concurrency: { key: "input.key", ...limit } })
  .step("first", scripted)
  .step("second", { after: ["first"] }, scripted);
