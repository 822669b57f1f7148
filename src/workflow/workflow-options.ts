/**
 * The options of `defineWorkflow` and `.step`: their schemas, their defaults, and what they become in the `WorkflowSpec`. Everything
 * that can be wrong with them is found here, and given as a list of problems; who reports them, and how, is not known here.
 */
import { z } from "zod";
import { formatPath } from "../errors.ts";
import { cronProblem, isTimezone } from "./cron.ts";
import { formatDuration } from "./duration.ts";
import { EVENT_PATTERN_EXPECTED, isEventPattern } from "./event-pattern.ts";
import { compileKeyExpression } from "./expression.ts";
import { isName, MAX_LIMIT_NAME_LENGTH, MAX_NAME_LENGTH, nameExpected } from "./names.ts";
import {
  didYouMean,
  durationOption,
  integerOption,
  nearest,
  numberOption,
  oneOf,
  optionOf,
  optionsOf,
  parseOptions,
  problem,
  type OptionPath,
  type OptionProblem,
} from "./parse-options.ts";
import { Strategy, type BackoffSpec, type CronSpec, type LimitSpec, type StepSpec } from "./spec.ts";
import { isInputSchema, type InputSchema } from "./standard-schema.ts";
import type { KeyFunction } from "./workflow.ts";

const MAX_RETRIES = 100_000;
const DEFAULT_BACKOFF = { factor: 2, minMs: 1_000, maxMs: 60_000 } as const satisfies BackoffSpec;
const DEFAULT_STEP_SCHEDULE_TIMEOUT_MS = 300_000;
const DEFAULT_GRACE_MS = 5_000;

const name = optionOf(nameExpected(MAX_NAME_LENGTH), (value): value is string => isName(value));

const backoff = optionsOf(
  {
    factor: numberOption(1, 100).optional(),
    min: durationOption().optional(),
    max: durationOption().optional(),
  },
  {
    min: ["delay", "minMs", "initial", "initialInterval"],
    max: ["maxMs", "maxDelay", "maxInterval"],
    factor: ["multiplier", "base"],
  },
);

const stepDefaultsShape = {
  retries: integerOption(0, MAX_RETRIES).optional(),
  backoff: backoff.optional(),
  timeout: durationOption(1).optional(),
  scheduleTimeout: durationOption(1).optional(),
};
const stepDefaults = optionsOf(stepDefaultsShape, {
  retries: ["attempts", "maxRetries", "maxAttempts"],
  timeout: ["executionTimeout", "timeoutMs"],
});

const stepOptions = optionsOf(
  { ...stepDefaultsShape, after: z.unknown().optional() },
  {
    after: ["parents", "dependsOn", "needs", "depends"],
    retries: ["attempts", "maxRetries", "maxAttempts"],
    timeout: ["executionTimeout", "timeoutMs"],
  },
);

const concurrency = optionsOf(
  {
    name: optionOf(nameExpected(MAX_LIMIT_NAME_LENGTH), (value): value is string =>
      isName(value, MAX_LIMIT_NAME_LENGTH),
    ).optional(),
    key: optionOf(
      'a function or a CEL expression such as "input.user_id"',
      (value): value is string | KeyFunction => typeof value === "string" || typeof value === "function",
    ),
    maxRuns: integerOption(1).optional(),
    strategy: oneOf(Object.values(Strategy)).optional(),
  },
  { maxRuns: ["limit", "max", "maxConcurrency"], key: ["expression"], strategy: ["limitStrategy"] },
);

const cron = optionsOf(
  {
    expression: optionOf("a cron expression", (value): value is string => typeof value === "string"),
    timezone: optionOf('the name of a time zone, for example "Europe/Berlin"', isTimezone).optional(),
    input: z.unknown().optional(),
  },
  { expression: ["cron", "schedule", "pattern"], timezone: ["tz", "timeZone"] },
);

const workflowOptions = optionsOf(
  {
    name,
    on: z.unknown().optional(),
    cron: z.unknown().optional(),
    input: optionOf("a schema (zod, or another that implements Standard Schema)", isInputSchema).optional(),
    concurrency: z.unknown().optional(),
    scheduleTimeout: durationOption(1).optional(),
    onStepFailure: oneOf(["cancel", "finish"]).optional(),
    grace: durationOption().optional(),
    stepDefaults: stepDefaults.optional(),
  },
  {
    on: ["event", "events", "onEvents", "trigger", "triggers"],
    cron: ["crons", "onCrons", "schedule"],
    input: ["schema", "inputSchema"],
    name: ["id"],
  },
);

type StepDefaultsRead = z.output<typeof stepDefaults>;

/** `defineWorkflow`'s options, read: parts of the spec, and what is not data. */
export interface ReadWorkflow {
  readonly name: string;
  readonly on: readonly string[];
  readonly cron: readonly CronSpec[];
  readonly schema: InputSchema | undefined;
  readonly limits: readonly LimitSpec[];
  readonly keys: ReadonlyMap<number, KeyFunction>;
  readonly scheduleTimeoutMs: number | undefined;
  readonly onStepFailure: "cancel" | "finish";
  readonly graceMs: number;
  readonly stepDefaults: StepDefaultsRead;
}

export type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly OptionProblem[] };

export function readWorkflowOptions(value: unknown): Read<ReadWorkflow> {
  const parsed = parseOptions(workflowOptions, value);
  if (!parsed.ok) return parsed;
  const options = parsed.value;
  const problems: OptionProblem[] = [];
  const on = readPatterns(options.on, problems);
  const crons = readCrons(options.cron, problems);
  const { limits, keys } = readLimits(options.concurrency, options.name, problems);
  readBackoff(options.stepDefaults?.backoff, undefined, ["stepDefaults"], problems);
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    value: {
      name: options.name,
      on,
      cron: crons,
      schema: options.input,
      limits,
      keys,
      scheduleTimeoutMs: options.scheduleTimeout,
      onStepFailure: options.onStepFailure ?? "cancel",
      graceMs: options.grace ?? DEFAULT_GRACE_MS,
      stepDefaults: options.stepDefaults ?? {},
    },
  };
}

/** Whether a step may have this name. */
export function stepNameProblem(value: unknown, earlier: readonly StepSpec[]): OptionProblem | undefined {
  if (!isName(value)) return problem(["name"], nameExpected(MAX_NAME_LENGTH), value);
  if (earlier.some((step) => step.name === value)) return problem(["name"], "a name that no other step has", value);
  return undefined;
}

/** The options of a step that comes after `earlier`. */
export function readStepOptions(
  step: string,
  value: unknown,
  earlier: readonly StepSpec[],
  defaults: StepDefaultsRead,
): Read<StepSpec> {
  const parsed = parseOptions(stepOptions, value);
  if (!parsed.ok) return parsed;
  const problems: OptionProblem[] = [];
  const options = parsed.value;
  const after = readParents(step, options.after, earlier, problems);
  const own = readBackoff(options.backoff, defaults.backoff, [], problems);
  if (problems.length > 0) return { ok: false, problems };
  const timeoutMs = options.timeout ?? defaults.timeout;
  return {
    ok: true,
    value: {
      name: step,
      after,
      retries: options.retries ?? defaults.retries ?? 0,
      backoff: own,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      scheduleTimeoutMs: options.scheduleTimeout ?? defaults.scheduleTimeout ?? DEFAULT_STEP_SCHEDULE_TIMEOUT_MS,
    },
  };
}

/** One or a list of them, each with the path at which it stands. */
function each(value: unknown, path: string): readonly (readonly [unknown, OptionPath])[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value.map((one: unknown, index) => [one, [path, index]] as const) : [[value, [path]]];
}

function readPatterns(value: unknown, problems: OptionProblem[]): string[] {
  const patterns = new Set<string>();
  for (const [pattern, path] of each(value, "on")) {
    if (isEventPattern(pattern)) patterns.add(pattern);
    else problems.push(problem(path, EVENT_PATTERN_EXPECTED, pattern));
  }
  return [...patterns];
}

function readCrons(value: unknown, problems: OptionProblem[]): CronSpec[] {
  const crons: CronSpec[] = [];
  for (const [one, path] of each(value, "cron")) {
    const short = typeof one === "string";
    const parsed = parseOptions(cron, short ? { expression: one } : one, path);
    if (!parsed.ok) {
      problems.push(...parsed.problems);
      continue;
    }
    const { expression, timezone, input = {} } = parsed.value;
    const wrong = cronProblem(expression, timezone);
    const json = jsonOf(input);
    if (wrong !== undefined)
      problems.push(problem(short ? path : [...path, "expression"], "a cron expression", expression, wrong));
    else if (json === undefined) problems.push(problem([...path, "input"], "JSON", input));
    else crons.push({ expression, ...(timezone === undefined ? {} : { timezone }), input: json.value });
  }
  return crons;
}

function readLimits(
  value: unknown,
  workflow: string,
  problems: OptionProblem[],
): { limits: LimitSpec[]; keys: Map<number, KeyFunction> } {
  const limits: LimitSpec[] = [];
  const keys = new Map<number, KeyFunction>();
  const paths = new Map<string, OptionPath>();
  for (const [one, path] of each(value, "concurrency")) {
    const parsed = parseOptions(concurrency, one, path);
    if (!parsed.ok) {
      problems.push(...parsed.problems);
      continue;
    }
    const { name: limit = workflow, key, maxRuns = 1, strategy = Strategy.CANCEL_IN_PROGRESS } = parsed.value;
    const other = paths.get(limit);
    if (other !== undefined) {
      const hint = parsed.value.name === undefined ? "without a name, a limit has that of its workflow" : undefined;
      problems.push(problem([...path, "name"], `another name than that of '${formatPath(other)}'`, limit, hint));
    }
    paths.set(limit, path);
    if (typeof key === "function") keys.set(limits.length, key);
    else {
      const wrong = expressionProblem(key);
      if (wrong !== undefined) problems.push(problem([...path, "key"], "a CEL expression", key, wrong));
    }
    limits.push({
      name: limit,
      key: typeof key === "function" ? { kind: "function" } : { kind: "cel", expression: key },
      maxRuns,
      strategy,
    });
  }
  return { limits, keys };
}

function readParents(step: string, value: unknown, earlier: readonly StepSpec[], problems: OptionProblem[]): string[] {
  const names = earlier.map(({ name: parent }) => parent);
  const expected =
    names.length === 0 ? "absent, since this is the first step" : `the name of an earlier step (${names.join(", ")})`;
  const parents = new Set<string>();
  for (const [parent, path] of each(value, "after")) {
    if (typeof parent === "string" && names.includes(parent)) parents.add(parent);
    else if (parent === step) problems.push(problem(path, expected, parent, "a step cannot come after itself"));
    else
      problems.push(problem(path, expected, parent, typeof parent === "string" ? didYouMean(nearest(parent, names)) : undefined));
  }
  return [...parents];
}

type BackoffRead = z.output<typeof backoff>;

/** A step's own delays over the workflow's; `max` follows a longer `min` unless it was given beside it. */
function readBackoff(
  own: BackoffRead | undefined,
  defaults: BackoffRead | undefined,
  base: OptionPath,
  problems: OptionProblem[],
): BackoffSpec {
  const minMs = own?.min ?? defaults?.min ?? DEFAULT_BACKOFF.minMs;
  if (own?.max !== undefined && own.max < minMs) {
    problems.push(
      problem([...base, "backoff", "max"], `at least as long as 'min' (${formatDuration(minMs)})`, formatDuration(own.max)),
    );
  }
  return {
    factor: own?.factor ?? defaults?.factor ?? DEFAULT_BACKOFF.factor,
    minMs,
    maxMs: Math.max(minMs, own?.max ?? defaults?.max ?? DEFAULT_BACKOFF.maxMs),
  };
}

function expressionProblem(text: string): string | undefined {
  try {
    compileKeyExpression(text);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** A copy through JSON, or `undefined` for what has no JSON form. */
function jsonOf(value: unknown): { readonly value: unknown } | undefined {
  try {
    const text = JSON.stringify(value);
    return text === undefined ? undefined : { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}
