/**
 * A workflow definition as its users see it: the options that they write, the definition that they pass on, and the types
 * that tie steps, inputs and outputs together. Types only; `define.ts` makes the values.
 */
import type { Duration } from "./duration.ts";
import type { AsJson } from "./json-type.ts";
import type { Strategy, WorkflowSpec } from "./spec.ts";
import type { InputSchema, ParsedInput } from "./standard-schema.ts";
import type { KeyContext, StepContext } from "./step-context.ts";

export type { ParsedInput };

/** One concurrency limit. By default a workflow has none. */
export interface ConcurrencyOptions<TInput = unknown> {
  /**
   * What the limit is known by. Limits of the same name are one limit, also across workflows and their versions. At most 128
   * letters, digits, `-` and `_`. Default: the workflow's name.
   */
  readonly name?: string | undefined;
  /**
   * The group that a run belongs to: a function, or a CEL expression over `input`, `metadata` and `event`.
   *
   * An expression is evaluated by the engine, at once, on the input as it came (defaults of the schema are not in it). A function
   * is called on a worker node, with what the schema made of the input; until then the run waits. It must return
   * at once, and return the same for the same input: it may be called more than once.
   *
   * The key must be a non-empty string of at most 1,024 bytes; anything else fails the run with `KEY_FAILED`.
   */
  readonly key: string | ((ctx: KeyContext<TInput>) => string);
  /** Active runs per key: an integer of at least 1. More means more load at once for one key, fewer means longer waits. Default 1. */
  readonly maxRuns?: number | undefined;
  /** What happens when a run arrives and the group is full. Default `CANCEL_IN_PROGRESS`. */
  readonly strategy?: Strategy | undefined;
}

/** A cron expression with its time zone and input. */
export interface CronOptions<TRawInput = unknown> {
  /** Five fields (minute, hour, day of month, month, day of week), six with seconds first, or `@daily` and the like. */
  readonly expression: string;
  /** IANA name, for example `Europe/Berlin`. Default UTC. */
  readonly timezone?: string | undefined;
  /** The input of the runs that it starts; must satisfy the workflow's schema. Default `{}`. */
  readonly input?: TRawInput | undefined;
}

/** Delay before attempt n + 1: `min(max, min * factor^(n-1))`, of which up to half is taken off by chance. */
export interface BackoffOptions {
  /** At least 1, at most 100. 1 means that all delays are alike. Default 2. */
  readonly factor?: number | undefined;
  /** Delay before the first retry. Shorter puts more load on what has just failed. Default 1 s. */
  readonly min?: Duration | undefined;
  /** The longest delay. Default 60 s, or `min` where that is longer. */
  readonly max?: Duration | undefined;
}

/** Settings of a step that a workflow can also give for all of its steps. */
export interface StepDefaults {
  /** Further attempts after a failed one: an integer of at least 0. Default 0. */
  readonly retries?: number | undefined;
  readonly backoff?: BackoffOptions | undefined;
  /**
   * How long one attempt may execute; then its `ctx.signal` is aborted and the attempt has failed. At least 1 ms. Default: no limit,
   * so that a handler that hangs holds its worker's slot and its run's place until the run is cancelled.
   */
  readonly timeout?: Duration | undefined;
  /**
   * How long the step may wait for a free worker once it is ready; then the run fails with `SCHEDULING_TIMED_OUT`. At least 1 ms. Default
   * 5 minutes. Longer survives a longer absence of workers; shorter says sooner that none is there.
   */
  readonly scheduleTimeout?: Duration | undefined;
}

export interface StepOptions<TAfter extends string = string> extends StepDefaults {
  /** The steps whose outputs it needs; it starts when all of them have succeeded. Default: none, so it starts with the run. */
  readonly after?: readonly TAfter[] | undefined;
}

export interface WorkflowOptions<TInput = unknown, TRawInput = TInput> {
  /** At most 64 letters, digits, `-` and `_`. */
  readonly name: string;
  /** Names of the events that start a run: `*` stands for one token, a final `>` for one or more, as in NATS subjects. */
  readonly on?: string | readonly string[] | undefined;
  /** When runs start by the clock. */
  readonly cron?: string | CronOptions<NoInfer<TRawInput>> | readonly (string | CronOptions<NoInfer<TRawInput>>)[] | undefined;
  /** Schema of the input. A run whose input does not satisfy it fails with `INPUT_INVALID`. Default: any JSON. */
  readonly input?: InputSchema<TRawInput, TInput> | undefined;
  /** One limit or a list; a run then needs a slot in every one, taken together. Default: no limit. */
  readonly concurrency?: ConcurrencyOptions<NoInfer<TInput>> | readonly ConcurrencyOptions<NoInfer<TInput>>[] | undefined;
  /** How long a run may wait for its limits; then it is cancelled with `SCHEDULING_TIMED_OUT`. At least 1 ms. Default: for ever. */
  readonly scheduleTimeout?: Duration | undefined;
  /** What happens to steps that are running when another one has failed for good: cancelled, or left to finish. Default `cancel`. */
  readonly onStepFailure?: "cancel" | "finish" | undefined;
  /**
   * How long cancelled work may keep its slots without confirming that it stopped. Longer keeps a limit exact for handlers
   * that stop slowly; shorter frees the slots of a worker that has died. Default 5 s.
   */
  readonly grace?: Duration | undefined;
  /** Settings for all steps; a step's own come first. */
  readonly stepDefaults?: StepDefaults | undefined;
}

/** What is known of a step in the types: what it returns, and the names of all steps before it. */
export interface StepType<TOutput = unknown, TAncestors extends string = string> {
  readonly output: TOutput;
  readonly ancestors: TAncestors;
}

/** The outputs of the steps `TNames`. */
export type OutputsOf<TSteps, TNames extends keyof TSteps = keyof TSteps> = {
  readonly [K in TNames]: TSteps[K] extends StepType<infer TOutput> ? TOutput : never;
};

/** The steps `TAfter` and all steps before them. */
export type AncestorsOf<TSteps, TAfter extends keyof TSteps> =
  | TAfter
  | (TSteps[TAfter] extends StepType<unknown, infer TAncestors> ? Extract<TAncestors, keyof TSteps> : never);

/** A step's name: a new one. Names that are taken are refused by the compiler where they are written out. */
type NewName<TName extends string, TSteps> = TName extends keyof TSteps ? never : TName;

/** A workflow of which only is known that it is one. What lists of workflows hold. */
export interface AnyWorkflow {
  readonly name: string;
  /**
   * The definition as data, with its `version`.
   * @throws DefinitionError (`DEFINITION_INVALID`) where no step has been added yet.
   */
  readonly spec: WorkflowSpec;
  /** For the worker node: not part of the public interface. */
  readonly "~sluice": WorkflowInternals;
}

/**
 * A workflow definition. Immutable: `.step` returns a new one, and the one before stays as it is.
 * `TInput` is what handlers see, `TRawInput` what callers pass, `TSteps` what is known of the steps.
 */
export interface Workflow<TInput = unknown, TRawInput = TInput, TSteps = unknown> extends AnyWorkflow {
  /**
   * Adds a step. Steps run in parallel unless `after` says otherwise. The handler may run more than once (steps run at least
   * once); what it returns is stored as JSON and becomes `ctx.output(name)` of later steps.
   * @param name at most 64 letters, digits, `-` and `_`; unique in the workflow
   * @throws DefinitionError (`DEFINITION_INVALID`) saying what was expected, what came and where
   */
  step<TName extends string, TReturn>(
    name: NewName<TName, TSteps>,
    handler: (ctx: StepContext<TInput, Record<never, never>>) => TReturn,
    // The steps so far and the new one: written out, so that editors show the steps and not how they were put together.
  ): Workflow<
    TInput,
    TRawInput,
    { readonly [K in keyof TSteps | TName]: K extends keyof TSteps ? TSteps[K] : StepType<AsJson<Awaited<TReturn>>, never> }
  >;
  step<TName extends string, TReturn, const TAfter extends keyof TSteps & string = never>(
    name: NewName<TName, TSteps>,
    options: StepOptions<TAfter>,
    handler: (ctx: StepContext<TInput, OutputsOf<TSteps, AncestorsOf<TSteps, TAfter>>>) => TReturn,
  ): Workflow<
    TInput,
    TRawInput,
    {
      readonly [K in keyof TSteps | TName]: K extends keyof TSteps
        ? TSteps[K]
        : StepType<AsJson<Awaited<TReturn>>, AncestorsOf<TSteps, TAfter> & string>;
    }
  >;

  /** Carries types only; never there at run time. */
  readonly "~types"?: { readonly input: TInput; readonly rawInput: TRawInput; readonly outputs: OutputsOf<TSteps> } | undefined;
}

type TypesOf<W> = W extends { readonly "~types"?: infer T } ? NonNullable<T> : never;

/** What callers pass as the input of a workflow. */
export type WorkflowInput<W extends AnyWorkflow> = TypesOf<W> extends { readonly rawInput: infer I } ? I : unknown;

/** What `run.result()` of a workflow gives: the outputs by step. */
export type WorkflowOutputs<W extends AnyWorkflow> =
  TypesOf<W> extends { readonly outputs: infer O } ? O : Readonly<Record<string, unknown>>;

/** A handler of which the types are forgotten: the worker node calls it with what belongs to it. */
export type StepHandler = (ctx: StepContext) => unknown;
/** A key function of which the types are forgotten. What it returns is checked with `checkKey`. */
export type KeyFunction = (ctx: KeyContext) => unknown;

/** What the worker node needs of a definition besides its data. */
export interface WorkflowInternals {
  /** By step. */
  readonly handlers: ReadonlyMap<string, StepHandler>;
  /** By index in `spec.limits`; limits with a CEL expression are not in it. */
  readonly keys: ReadonlyMap<number, KeyFunction>;
  /** Applies the `input` schema. A promise only where the schema is asynchronous; it never throws and never rejects. */
  readonly parseInput: (value: unknown) => ParsedInput | Promise<ParsedInput>;
}
