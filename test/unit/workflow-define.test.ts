/** `defineWorkflow`: what becomes of a definition, and what is said about a wrong one. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  defineWorkflow,
  isDefinitionError,
  isOptionsError,
  isWorkflow,
  Strategy,
  type DefinitionError,
} from "../../src/index.ts";
import { internalsOf } from "../../src/workflow/define.ts";
import { canonicalJson } from "../../src/workflow/version.ts";

/** Definitions as plain JavaScript may write them, past the compiler. */
const define = defineWorkflow as unknown as (options: unknown) => Loose;
interface Loose {
  step(...args: readonly unknown[]): Loose;
  readonly spec: unknown;
}

function errorOf(action: () => unknown): DefinitionError {
  try {
    action();
  } catch (error) {
    if (isDefinitionError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
const messageOf = (action: () => unknown): string => errorOf(action).message;

const answer = defineWorkflow({
  name: "answer",
  on: ["message.sent", "message.*"],
  input: z.object({ user_id: z.string(), text: z.string().default("hi") }),
  concurrency: { key: (ctx) => ctx.input.user_id, maxRuns: 1, strategy: Strategy.CANCEL_IN_PROGRESS },
})
  .step("retrieve", async (ctx) => ({ documents: [ctx.input.text] }))
  .step("write", { after: ["retrieve"], retries: 3, timeout: "30s" }, (ctx) => ({
    text: ctx.output("retrieve").documents.join(),
  }));

describe("a definition", () => {
  it("becomes data, with all defaults written out", () => {
    const { version, inputSchema, ...spec } = answer.spec;
    expect(version).toMatch(/^[0-9a-f]{12}$/);
    expect(inputSchema).toMatchObject({
      type: "object",
      required: ["user_id"],
      properties: { text: { type: "string", default: "hi" } },
    });
    const backoff = { factor: 2, minMs: 1_000, maxMs: 60_000 };
    expect(spec).toEqual({
      name: "answer",
      on: ["message.sent", "message.*"],
      cron: [],
      steps: [
        { name: "retrieve", after: [], retries: 0, backoff, scheduleTimeoutMs: 300_000 },
        { name: "write", after: ["retrieve"], retries: 3, backoff, timeoutMs: 30_000, scheduleTimeoutMs: 300_000 },
      ],
      limits: [{ name: "answer", key: { kind: "function" }, maxRuns: 1, strategy: "CANCEL_IN_PROGRESS" }],
      onStepFailure: "cancel",
      graceMs: 5_000,
    });
  });

  it("takes every option", () => {
    const spec = defineWorkflow({
      name: "all",
      on: "a.>",
      cron: ["@daily", { expression: "*/10 * * * * *", timezone: "Europe/Berlin", input: { n: 1 } }],
      concurrency: [{ name: "tenant", key: "input.tenant", maxRuns: 5, strategy: "GROUP_ROUND_ROBIN" }, { key: "'all'" }],
      scheduleTimeout: "1h",
      onStepFailure: "finish",
      grace: 0,
      stepDefaults: { retries: 2, timeout: "1m", scheduleTimeout: "10s", backoff: { min: "2s", factor: 3 } },
    })
      .step("a", () => 1)
      .step("b", { after: ["a"], retries: 0, timeout: 50, scheduleTimeout: "1d", backoff: { min: "5m" } }, () => 1).spec;
    expect(spec).toMatchObject({
      on: ["a.>"],
      cron: [
        { expression: "@daily", input: {} },
        { expression: "*/10 * * * * *", timezone: "Europe/Berlin", input: { n: 1 } },
      ],
      limits: [
        { name: "tenant", key: { kind: "cel", expression: "input.tenant" }, maxRuns: 5, strategy: "GROUP_ROUND_ROBIN" },
        { name: "all", key: { kind: "cel", expression: "'all'" }, maxRuns: 1, strategy: "CANCEL_IN_PROGRESS" },
      ],
      scheduleTimeoutMs: 3_600_000,
      onStepFailure: "finish",
      graceMs: 0,
      steps: [
        { retries: 2, timeoutMs: 60_000, scheduleTimeoutMs: 10_000, backoff: { factor: 3, minMs: 2_000, maxMs: 60_000 } },
        // `max` follows a longer `min`.
        { retries: 0, timeoutMs: 50, scheduleTimeoutMs: 86_400_000, backoff: { factor: 3, minMs: 300_000, maxMs: 300_000 } },
      ],
    });
  });

  it("is plain JSON, frozen, and the same object every time", () => {
    expect(JSON.parse(JSON.stringify(answer.spec))).toEqual(answer.spec);
    expect(answer.spec).toBe(answer.spec);
    expect(Object.isFrozen(answer.spec.steps[0]?.backoff)).toBe(true);
    expect(() => Object.assign(answer, { name: "other" })).toThrow(TypeError);
  });

  it("does not change when a step is added: the result does", () => {
    const base = defineWorkflow({ name: "base" }).step("a", () => 1);
    const one = base.step("b", () => 2);
    const two = base.step("c", { after: ["a"] }, (ctx) => ctx.output("a"));
    expect(base.spec.steps.map(({ name }) => name)).toEqual(["a"]);
    expect(one.spec.steps.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(two.spec.steps.map(({ name }) => name)).toEqual(["a", "c"]);
    expect([...internalsOf(one).handlers.keys()]).toEqual(["a", "b"]);
  });

  it("keeps nothing of the options: changing them later changes nothing", () => {
    const after = ["a"] as ["a"];
    const input = { list: [1] };
    const workflow = defineWorkflow({ name: "copied", cron: { expression: "@daily", input } })
      .step("a", () => 1)
      .step("b", { after }, () => 1);
    input.list.push(2);
    after.pop();
    expect(workflow.spec).toMatchObject({ cron: [{ input: { list: [1] } }], steps: [{}, { after: ["a"] }] });
  });

  it("ignores a parent or a pattern that is named twice", () => {
    const { spec } = defineWorkflow({ name: "twice", on: ["x", "x"] })
      .step("a", () => 1)
      .step("b", { after: ["a", "a"] }, () => 1);
    expect(spec).toMatchObject({ on: ["x"], steps: [{}, { after: ["a"] }] });
  });

  it("takes options that are explicitly undefined as absent", () => {
    const { spec } = defineWorkflow({ name: "u", on: undefined, concurrency: undefined, grace: undefined }).step(
      "a",
      { retries: undefined, timeout: undefined, after: undefined, backoff: undefined },
      () => 1,
    );
    expect(spec).toMatchObject({ on: [], limits: [], graceMs: 5_000, steps: [{ retries: 0, after: [] }] });
  });

  it("is recognized, also when it comes from another copy of the package", () => {
    expect(isWorkflow(answer)).toBe(true);
    expect(isWorkflow({ name: "x", spec: answer.spec, "~sluice": answer["~sluice"] })).toBe(true);
    for (const value of [undefined, null, "answer", {}, { name: "x", spec: answer.spec }, () => answer])
      expect(isWorkflow(value)).toBe(false);
    let thrown: unknown;
    try {
      internalsOf("answer", "workflows[0]");
    } catch (error) {
      thrown = error;
    }
    expect(isOptionsError(thrown)).toBe(true);
    expect(thrown).toMatchObject({ message: "expected 'workflows[0]' to be a workflow made by defineWorkflow, got \"answer\"" });
  });

  it("without steps is wrong once its data are needed", () => {
    const empty = defineWorkflow({ name: "empty" });
    expect(isWorkflow(empty)).toBe(true);
    expect(messageOf(() => empty.spec)).toBe(
      "expected 'steps' to be at least one step, got []: add one with .step(name, handler) (workflow \"empty\")",
    );
  });
});

describe("a version", () => {
  const build = (options: object = {}, step: object = {}): string =>
    defineWorkflow({ name: "v", ...options })
      .step("a", () => 1)
      .step("b", { after: ["a"], ...step }, () => 1).spec.version;

  it("is the same for the same definition, however it was written", () => {
    expect(build({ on: "x", grace: "5s" })).toBe(build({ grace: 5_000, on: ["x"] }));
    expect(build()).toBe(build({ concurrency: [] }));
    // Changes to the format change every version, so every run's: this one is there so that nobody does it by accident.
    expect(build()).toBe("90979d81927d");
  });

  it("is another one for another definition", () => {
    const versions = [
      build(),
      build({ name: "w" }),
      build({ on: "x" }),
      build({ grace: "6s" }),
      build({ concurrency: { key: "'k'" } }),
      build({ concurrency: { key: "'k'", maxRuns: 2 } }),
      build({ input: z.object({}) }),
      build({ cron: "@daily" }),
      build({}, { retries: 1 }),
      build({}, { after: [] }),
      build({ onStepFailure: "finish" }),
      build({ scheduleTimeout: "1h" }),
    ];
    expect(new Set(versions).size).toBe(versions.length);
  });

  it("comes of JSON in which the order of keys does not matter and that of lists does", () => {
    expect(canonicalJson({ b: [{ z: 1, a: undefined }], a: { d: null, c: "x" } })).toBe('{"a":{"c":"x","d":null},"b":[{"z":1}]}');
    expect(canonicalJson([1, 2])).not.toBe(canonicalJson([2, 1]));
  });
});

describe("what a worker takes from a definition", () => {
  it("are the handlers by step and the key functions by limit", () => {
    const workflow = defineWorkflow({
      name: "keys",
      concurrency: [
        { name: "a", key: "'x'" },
        { name: "b", key: ({ input, workflow: name }) => `${name}:${String(input)}` },
      ],
    }).step("one", () => 7);
    const { handlers, keys } = internalsOf(workflow);
    expect([...keys.keys()]).toEqual([1]);
    expect(keys.get(1)?.({ input: "i", metadata: {}, workflow: "keys" })).toBe("keys:i");
    expect(handlers.get("one")?.({} as never)).toBe(7);
  });

  it("is the input as the schema returns it, or its issues", async () => {
    const { parseInput } = internalsOf(answer);
    expect(await parseInput({ user_id: "u", extra: 1 })).toEqual({ ok: true, value: { user_id: "u", text: "hi" } });
    const wrong = await parseInput({ user_id: 7 });
    expect(wrong).toEqual({
      ok: false,
      issues: [{ path: ["user_id"], message: expect.stringContaining("expected string") as unknown }],
    });
    expect(await parseInput(undefined)).toMatchObject({ ok: false });
  });

  it("is any input where there is no schema", async () => {
    const { parseInput } = internalsOf(defineWorkflow({ name: "any" }).step("a", () => 1));
    for (const value of [undefined, null, 0, "x", { a: 1 }]) expect(await parseInput(value)).toEqual({ ok: true, value });
  });

  it("waits for an asynchronous schema, and takes what a schema throws as an issue", async () => {
    const slow = z.string().refine(async (text) => text === "good", "not good");
    const { parseInput } = internalsOf(defineWorkflow({ name: "slow", input: slow }).step("a", () => 1));
    expect(await parseInput("good")).toEqual({ ok: true, value: "good" });
    expect(await parseInput("bad")).toEqual({ ok: false, issues: [{ path: [], message: "not good" }] });
    const broken = z.string().transform((): string => {
      throw new Error("oh no");
    });
    const internals = internalsOf(defineWorkflow({ name: "broken", input: broken }).step("a", () => 1));
    expect(await internals.parseInput("x")).toMatchObject({
      ok: false,
      issues: [{ path: [], message: "the schema threw: oh no" }],
    });
  });

  it("works with any library that implements Standard Schema", async () => {
    const schema = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) =>
          typeof value === "number"
            ? { value: value + 1 }
            : { issues: [{ message: "no number", path: [{ key: "a" }, 0, Symbol("s")] }] },
        types: undefined as { input: number; output: number } | undefined,
      },
    } as const;
    const workflow = defineWorkflow({ name: "other", input: schema }).step("a", (ctx) => ctx.input.toFixed());
    expect(workflow.spec).not.toHaveProperty("inputSchema");
    expect(await internalsOf(workflow).parseInput(1)).toEqual({ ok: true, value: 2 });
    expect(await internalsOf(workflow).parseInput("1")).toEqual({
      ok: false,
      issues: [{ message: "no number", path: ["a", 0, "Symbol(s)"] }],
    });
  });

  it("has no JSON Schema where the schema has none", () => {
    const workflow = defineWorkflow({ name: "date", input: z.object({ at: z.date() }) }).step("a", () => 1);
    expect(workflow.spec).not.toHaveProperty("inputSchema");
  });
});

describe("a wrong definition is reported where it is written", () => {
  it.each<[string, unknown, string]>([
    [
      "no options",
      undefined,
      "expected the options to be an object with concurrency, cron, grace, input, name, on, onStepFailure, scheduleTimeout and stepDefaults, got nothing (defineWorkflow)",
    ],
    [
      "no name",
      {},
      'expected \'name\' to be a name of 1 to 64 letters (A to Z), digits, "-" and "_", got nothing (defineWorkflow)',
    ],
    [
      "a name with a dot",
      { name: "a.b" },
      'expected \'name\' to be a name of 1 to 64 letters (A to Z), digits, "-" and "_", got "a.b" (workflow "a.b")',
    ],
    [
      "maxRuns of 0",
      { concurrency: { key: "'k'", maxRuns: 0 } },
      "expected 'concurrency.maxRuns' to be an integer of at least 1, got 0 (workflow \"answer\")",
    ],
    [
      "maxRuns in a list",
      { concurrency: [{ key: "'k'" }, { name: "b", key: "'k'", maxRuns: 1.5 }] },
      "expected 'concurrency[1].maxRuns' to be an integer of at least 1, got 1.5 (workflow \"answer\")",
    ],
    [
      "maxRuns as text",
      { concurrency: { key: "'k'", maxRuns: "3" } },
      'expected \'concurrency.maxRuns\' to be an integer of at least 1, got "3" (workflow "answer")',
    ],
    [
      "no key",
      { concurrency: { maxRuns: 1 } },
      'expected \'concurrency.key\' to be a function or a CEL expression such as "input.user_id", got nothing (workflow "answer")',
    ],
    [
      "a limit that is a number",
      { concurrency: 5 },
      "expected 'concurrency' to be an object with key, maxRuns, name and strategy, got 5 (workflow \"answer\")",
    ],
    [
      "an option in other letters",
      { concurrency: { key: "'k'", max_runs: 1 } },
      'unknown option \'concurrency.max_runs\': did you mean "maxRuns"? (workflow "answer")',
    ],
    [
      "an option by its name elsewhere",
      { concurrency: { key: "'k'", limit: 1 } },
      'unknown option \'concurrency.limit\': did you mean "maxRuns"? (workflow "answer")',
    ],
    [
      "an unknown option",
      { priority: 1 },
      "unknown option 'priority': the options are concurrency, cron, grace, input, name, on, onStepFailure, scheduleTimeout and stepDefaults (workflow \"answer\")",
    ],
    ["events under another name", { events: ["x"] }, 'unknown option \'events\': did you mean "on"? (workflow "answer")'],
    [
      "an unknown strategy",
      { concurrency: { key: "'k'", strategy: "CANCEL_INPROGRESS" } },
      'expected \'concurrency.strategy\' to be one of CANCEL_IN_PROGRESS, CANCEL_NEWEST, CANCEL_QUEUED_EXCEPT_NEWEST, CANCEL_QUEUED_EXCEPT_OLDEST, GROUP_ROUND_ROBIN, got "CANCEL_INPROGRESS": did you mean "CANCEL_IN_PROGRESS"? (workflow "answer")',
    ],
    [
      "two limits of one name",
      { concurrency: [{ key: "'a'" }, { key: "'b'" }] },
      "expected 'concurrency[1].name' to be another name than that of 'concurrency[0]', got \"answer\": without a name, a limit has that of its workflow (workflow \"answer\")",
    ],
    [
      "CEL that does not parse",
      { concurrency: { key: "input.user_id +" } },
      'expected \'concurrency.key\' to be a CEL expression, got "input.user_id +": unexpected token: EOF (column 16) (workflow "answer")',
    ],
    [
      "CEL with an unknown variable",
      { concurrency: { key: "inptu.user_id" } },
      'expected \'concurrency.key\' to be a CEL expression, got "inptu.user_id": unknown variable: inptu; an expression knows input, metadata and event (column 1) (workflow "answer")',
    ],
    [
      "CEL with an unknown function",
      { concurrency: { key: "md5(input.user_id)" } },
      "expected 'concurrency.key' to be a CEL expression, got \"md5(input.user_id)\": found no matching overload for 'md5(dyn)' (column 1) (workflow \"answer\")",
    ],
    [
      "CEL that gives no string",
      { concurrency: { key: "1 + 2" } },
      'expected \'concurrency.key\' to be a CEL expression, got "1 + 2": it gives a value of type int, but a key must be a string; wrap it as string(…) (workflow "answer")',
    ],
    [
      "empty CEL",
      { concurrency: { key: " " } },
      'expected \'concurrency.key\' to be a CEL expression, got " ": it is empty (workflow "answer")',
    ],
    [
      "a cron of four fields",
      { cron: "* * * *" },
      'expected \'cron\' to be a cron expression, got "* * * *": it must have five fields, or six with seconds first (workflow "answer")',
    ],
    [
      "a cron out of range",
      { cron: ["@daily", { expression: "61 * * * *" }] },
      'expected \'cron[1].expression\' to be a cron expression, got "61 * * * *": invalid value for minute: 61 (workflow "answer")',
    ],
    [
      "a cron that is never due",
      { cron: "0 0 30 2 *" },
      'expected \'cron\' to be a cron expression, got "0 0 30 2 *": it is never due (workflow "answer")',
    ],
    [
      "an unknown time zone",
      { cron: { expression: "@daily", timezone: "Mars/Olympus" } },
      'expected \'cron.timezone\' to be the name of a time zone, for example "Europe/Berlin", got "Mars/Olympus" (workflow "answer")',
    ],
    [
      "a cron without expression",
      { cron: { tz: "UTC" } },
      'expected \'cron.expression\' to be a cron expression, got nothing (workflow "answer")\nunknown option \'cron.tz\': did you mean "timezone"? (workflow "answer")',
    ],
    [
      "a cron whose input is no JSON",
      { cron: { expression: "@daily", input: 1n } },
      "expected 'cron.input' to be JSON, got 1n (workflow \"answer\")",
    ],
    [
      "a cron whose input the schema refuses",
      { input: z.object({ id: z.string() }), cron: "@daily" },
      "expected 'cron[0].input' to be an input that satisfies the workflow's schema, got {}: id: Invalid input: expected string, received undefined (workflow \"answer\")",
    ],
    [
      "an event name with a space",
      { on: ["a.b", "a b"] },
      'expected \'on[1]\' to be an event name or pattern such as "message.sent", "message.*" or "message.>": tokens joined by ".", "*" for one token, ">" only at the end, at most 255 characters, got "a b" (workflow "answer")',
    ],
    [
      "a schema that is none",
      { input: { user_id: "string" } },
      "expected 'input' to be a schema (zod, or another that implements Standard Schema), got { user_id: 'string' } (workflow \"answer\")",
    ],
    [
      "a duration in words",
      { grace: "5 seconds" },
      'expected \'grace\' to be a duration such as "250ms", "30s", "5m", "1h30m" or "2d", or a number of milliseconds, got "5 seconds" (workflow "answer")',
    ],
    [
      "a timeout of nothing",
      { scheduleTimeout: 0 },
      'expected \'scheduleTimeout\' to be a duration such as "250ms", "30s", "5m", "1h30m" or "2d", or a number of milliseconds, of at least 1ms, got 0 (workflow "answer")',
    ],
    [
      "an unknown onStepFailure",
      { onStepFailure: "stop" },
      'expected \'onStepFailure\' to be one of cancel, finish, got "stop" (workflow "answer")',
    ],
    [
      "defaults with a misspelt backoff",
      { stepDefaults: { backoff: { mxa: 1 } } },
      'unknown option \'stepDefaults.backoff.mxa\': did you mean "max"? (workflow "answer")',
    ],
    [
      "defaults with max below min",
      { stepDefaults: { backoff: { min: "5s", max: "1s" } } },
      "expected 'stepDefaults.backoff.max' to be at least as long as 'min' (5s), got \"1s\" (workflow \"answer\")",
    ],
  ])("%s", (_title, options, message) => {
    const named =
      typeof options === "object" && options !== null && Object.keys(options).length > 0
        ? { name: "answer", ...options }
        : options;
    expect(messageOf(() => define(named))).toBe(message);
  });

  const steps = (): Loose =>
    define({ name: "answer" })
      .step("retrieve", () => 1)
      .step("rank", () => 1);
  it.each<[string, readonly unknown[], string]>([
    [
      "an unknown parent",
      ["write", { after: ["retreive"] }, () => 1],
      'expected \'after[0]\' to be the name of an earlier step (retrieve, rank), got "retreive": did you mean "retrieve"? (workflow "answer", step "write")',
    ],
    [
      "a parent that is no name",
      ["write", { after: ["rank", 3] }, () => 1],
      'expected \'after[1]\' to be the name of an earlier step (retrieve, rank), got 3 (workflow "answer", step "write")',
    ],
    [
      "a step after itself",
      ["write", { after: ["write"] }, () => 1],
      'expected \'after[0]\' to be the name of an earlier step (retrieve, rank), got "write": a step cannot come after itself (workflow "answer", step "write")',
    ],
    [
      "a step twice",
      ["rank", () => 1],
      'expected \'name\' to be a name that no other step has, got "rank" (workflow "answer", step "rank")',
    ],
    [
      "a step's name with a space",
      ["the step", () => 1],
      'expected \'name\' to be a name of 1 to 64 letters (A to Z), digits, "-" and "_", got "the step" (workflow "answer", step "the step")',
    ],
    [
      "a step without a name",
      [() => 1],
      'expected \'name\' to be a name of 1 to 64 letters (A to Z), digits, "-" and "_", got a function (workflow "answer")',
    ],
    [
      "a name that objects have",
      ["constructor", () => 1],
      'expected \'name\' to be a name of 1 to 64 letters (A to Z), digits, "-" and "_", got "constructor" (workflow "answer", step "constructor")',
    ],
    [
      "no handler",
      ["write", { retries: 1 }],
      'expected \'handler\' to be a function, got { retries: 1 } (workflow "answer", step "write")',
    ],
    ["nothing at all", ["write"], 'expected \'handler\' to be a function, got nothing (workflow "answer", step "write")'],
    [
      "the options behind",
      ["write", () => 1, { retries: 1 }],
      'expected \'handler\' to be a function, got { retries: 1 }: the options come before the handler (workflow "answer", step "write")',
    ],
    [
      "retries below 0",
      ["write", { retries: -1 }, () => 1],
      'expected \'retries\' to be an integer from 0 to 100000, got -1 (workflow "answer", step "write")',
    ],
    [
      "parents under another name",
      ["write", { dependsOn: ["rank"] }, () => 1],
      'unknown option \'dependsOn\': did you mean "after"? (workflow "answer", step "write")',
    ],
    [
      "a factor below 1",
      ["write", { backoff: { factor: 0.5 } }, () => 1],
      'expected \'backoff.factor\' to be a number from 1 to 100, got 0.5 (workflow "answer", step "write")',
    ],
    [
      "max below min",
      ["write", { backoff: { min: "1m", max: "10s" } }, () => 1],
      'expected \'backoff.max\' to be at least as long as \'min\' (1m), got "10s" (workflow "answer", step "write")',
    ],
    [
      "a backoff that is a number",
      ["write", { backoff: 5 }, () => 1],
      'expected \'backoff\' to be an object with factor, max and min, got 5 (workflow "answer", step "write")',
    ],
  ])("%s", (_title, args, message) => {
    expect(messageOf(() => steps().step(...args))).toBe(message);
  });

  it("says that a first step has no parents", () => {
    expect(messageOf(() => define({ name: "answer" }).step("a", { after: ["b"] }, () => 1))).toBe(
      'expected \'after[0]\' to be absent, since this is the first step, got "b" (workflow "answer", step "a")',
    );
  });

  it("with the path, what was expected and what came as fields, of the first problem", () => {
    expect(errorOf(() => define({ name: "answer", concurrency: { key: "'k'", maxRuns: 0 } }))).toMatchObject({
      name: "DefinitionError",
      code: "DEFINITION_INVALID",
      workflow: "answer",
      step: undefined,
      path: "concurrency.maxRuns",
      expected: "an integer of at least 1",
      received: 0,
    });
    expect(errorOf(() => steps().step("write", { after: ["x"] }, () => 1))).toMatchObject({
      path: "after[0]",
      step: "write",
      received: "x",
    });
  });

  it("names all problems at once", () => {
    expect(
      messageOf(() => define({ name: "answer", on: ["a b", "c"], cron: "x", concurrency: { key: "1" } })).split("\n"),
    ).toHaveLength(3);
  });

  it("survives values that cannot be shown", () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(messageOf(() => define({ name: "answer", grace: proxy }))).toMatch(/^expected 'grace' to be a duration/);
  });
});
