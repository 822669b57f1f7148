/** What users may say about a test's Sluice. */
import { pino, type Logger } from "pino";
import { isWorkflow } from "../workflow/define.ts";
import type { Duration } from "../workflow/duration.ts";
import { durationOption, integerOption, option, optionOf, optionsOf, parseOptionsOf } from "../workflow/parse-options.ts";
import type { StepContext } from "../workflow/step-context.ts";
import type { AnyWorkflow } from "../workflow/workflow.ts";

/** Stand-ins for handlers, by workflow and step. */
export type TestHandlers = Readonly<Record<string, Readonly<Record<string, (ctx: StepContext) => unknown>>>>;

export interface TestSluiceOptions {
  readonly workflows: readonly AnyWorkflow[];
  /** Slots of the first worker. Default 100; 0 starts without a worker. Fewer make steps wait for each other. */
  readonly slots?: number | undefined;
  /** Handlers to call instead of the workflows' own, by workflow and step: `{ answer: { write: () => ({ text: "hi" }) } }`. */
  readonly handlers?: TestHandlers | undefined;
  /** When virtual time begins: a Date, an ISO 8601 text, or ms since the epoch. Default 2026-01-01T00:00:00.000Z. */
  readonly start?: Date | string | number | undefined;
  /** Partitions, 1 to 256. Default 4. */
  readonly partitions?: number | undefined;
  /** How long after its death a worker is taken for dead. Default 3 s. */
  readonly deadline?: Duration | undefined;
  /** Facts of a partition between two snapshots. Default 1,000: recovery in tests reads snapshots too. */
  readonly snapshotEvery?: number | undefined;
  /** A pino logger. Default: none. */
  readonly logger?: Logger | undefined;
}

export interface TestSluiceSettings {
  readonly workflows: readonly AnyWorkflow[];
  readonly slots: number;
  readonly handlers: TestHandlers;
  readonly startMs: number;
  readonly partitions: number;
  readonly deadlineMs: number;
  readonly snapshotEvery: number;
  readonly logger: Logger;
}

const START_MS = Date.UTC(2026, 0, 1);

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

/** ms since the epoch of what users write as a time; undefined for what is none. */
export function readTime(value: unknown): number | undefined {
  const ms =
    value instanceof Date
      ? value.getTime()
      : typeof value === "number"
        ? value
        : typeof value === "string"
          ? Date.parse(value)
          : NaN;
  return Number.isFinite(ms) && ms >= 0 ? Math.floor(ms) : undefined;
}

const schema = optionsOf(
  {
    workflows: optionOf(
      "a list of workflows made by defineWorkflow",
      (value): value is readonly AnyWorkflow[] => Array.isArray(value) && value.every(isWorkflow),
    ),
    slots: integerOption(0).optional(),
    handlers: optionOf(
      "handlers by workflow and step",
      (value): value is TestHandlers => isObject(value) && Object.values(value).every(isObject),
    ).optional(),
    start: option("a Date, a time in ISO 8601, or ms since 1970", readTime).optional(),
    partitions: integerOption(1, 256).optional(),
    deadline: durationOption(1).optional(),
    snapshotEvery: integerOption(1).optional(),
    logger: optionOf(
      "a pino logger",
      (value): value is Logger => isObject(value) && typeof value["child"] === "function",
    ).optional(),
  },
  { workflows: ["workflow"], slots: ["concurrency"] },
);

/** Checks the options and fills in the defaults. @throws OptionsError (`OPTIONS_INVALID`) */
export function parseTestOptions(options: TestSluiceOptions): TestSluiceSettings {
  const { workflows, slots, handlers, start, partitions, deadline, snapshotEvery, logger } = parseOptionsOf(
    schema,
    options,
    "createTestSluice",
  );
  return {
    workflows,
    slots: slots ?? 100,
    handlers: handlers ?? {},
    startMs: start ?? START_MS,
    partitions: partitions ?? 4,
    deadlineMs: deadline ?? 3_000,
    snapshotEvery: snapshotEvery ?? 1_000,
    logger: logger ?? pino({ level: "silent" }),
  };
}
