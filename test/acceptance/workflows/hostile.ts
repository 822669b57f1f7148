/** Schemas that refuse, keys that cannot be used, outputs that cannot be stored, handlers that throw anything. */
import { defineWorkflow, Strategy } from "sluice";
import { z } from "zod";
import { recorded, scripted } from "../support/scripted.ts";

export const plain = defineWorkflow({ name: "plain", on: "plain" }).step(
  "work",
  recorded((ctx) => ({ characters: JSON.stringify(ctx.input).length })),
);

/** Takes whatever nests however deep. */
export const deep = defineWorkflow({ name: "deep", on: "deep" }).step(
  "work",
  recorded(() => "done"),
);

export const strict = defineWorkflow({
  name: "strict",
  on: "strict",
  input: z.object({ user: z.string(), age: z.number().int().min(0) }),
}).step(
  "work",
  recorded((ctx) => ctx.input as unknown),
);

const one = { maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN };

export const strictKey = defineWorkflow({
  name: "strict-key",
  on: "strict-key",
  input: z.object({ user: z.string() }),
  concurrency: { key: (ctx) => ctx.input.user, ...one },
}).step(
  "work",
  recorded((ctx) => ctx.input as unknown),
);

const KEYS: Record<string, () => unknown> = {
  throws: () => {
    throw new Error("no key for you");
  },
  "throws-null": () => {
    // oxlint-disable-next-line no-throw-literal -- that is what it is here for
    throw null;
  },
  empty: () => "",
  nothing: () => undefined,
  number: () => 42,
  object: () => ({}),
  promise: () => Promise.resolve("later"),
  "10-kb": () => "x".repeat(10_240),
  half: () => "\ud800",
  // Usable, though strange.
  "line\nbreak": () => "line\nbreak",
  spaces: () => "  ",
  dots: () => "a.b.>.*",
  "1-kb": () => "é".repeat(500),
  __proto__: () => "__proto__",
};

export const keyed = defineWorkflow({
  name: "keyed",
  on: "keyed",
  concurrency: { key: (ctx) => (KEYS[(ctx.input as { key: string }).key] ?? (() => "fallback"))() as string, ...one },
}).step("work", scripted);

export const expressed = defineWorkflow({
  name: "expressed",
  on: "expressed",
  concurrency: { key: "input.user.id", ...one },
}).step("work", scripted);

const circular: { self?: unknown } = {};
circular.self = circular;
const OUTPUTS: Record<string, () => unknown> = {
  bigint: () => 1n,
  circular: () => circular,
  function: () => () => 1,
  symbol: () => Symbol("s"),
  throwing: () => ({
    toJSON: () => {
      throw new Error("not me");
    },
  }),
  "too-large": () => "x".repeat(3_000_000),
  // Usable, though JSON makes something else of them.
  nothing: () => undefined,
  nan: () => NaN,
  date: () => new Date(0),
  large: () => "x".repeat(900_000),
};

export const outputs = defineWorkflow({ name: "outputs" }).step(
  "work",
  { retries: 2, backoff: { min: 0 } },
  recorded((ctx) => OUTPUTS[(ctx.input as { output: string }).output]?.()),
);

/** Each output fits; all together do not. */
export const sum = defineWorkflow({ name: "sum" })
  .step(
    "one",
    recorded(() => "x".repeat(450_000)),
  )
  .step(
    "two",
    { after: ["one"] },
    recorded(() => "x".repeat(450_000)),
  );

const THROWN: Record<string, unknown> = {
  text: "just text",
  null: null,
  nothing: undefined,
  number: 7,
  object: { message: "an object", code: "E_OBJECT" },
  trap: {
    get message() {
      throw new Error("trap");
    },
  },
  huge: new Error("x".repeat(3_000_000)),
};

export const throwing = defineWorkflow({ name: "throwing" }).step(
  "work",
  recorded((ctx) => {
    throw THROWN[(ctx.input as { thrown: string }).thrown];
  }),
);
