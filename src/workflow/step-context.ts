/**
 * What the functions of a workflow are given: the context of a step's handler, and the context of a key function. Types only;
 * the worker node makes the values.
 */
import type { Logger } from "pino";

/** Data that whoever published the event or called `run` attached to a run (`Sluice-Metadata`). */
export type Metadata = Readonly<Record<string, unknown>>;

/** The event that triggered a run. */
export interface TriggerEvent {
  /** The event's name, without the subject's prefix: `message.sent`. */
  readonly name: string;
  /** Its sequence in the stream of events: unique, and increasing in the order of the events. */
  readonly seq: number;
}

/** The key of one limit that a run holds or waits for. */
export interface LimitKey {
  readonly limit: string;
  readonly key: string;
}

/**
 * What a step's handler is given.
 * `TInput` is what the workflow's schema makes of the run's input, `TOutputs` the outputs of the steps before this one, by name.
 */
export interface StepContext<TInput = unknown, TOutputs = Readonly<Record<string, unknown>>> {
  /** The run's input, as the workflow's `input` schema returned it; the raw JSON where there is no schema. */
  readonly input: TInput;
  /**
   * What a step before this one returned, after its way through JSON. Available for the steps in `after`, and for the steps
   * before those; other names are refused (by the compiler, and with a `DefinitionError`).
   */
  output<K extends keyof TOutputs & string>(step: K): TOutputs[K];
  /**
   * Aborted when the run is cancelled (its reason is then a `RunCancelledError`) or the step's `timeout` has passed (a
   * `TimeoutError`). Pass it on to whatever the handler waits for: the run's slot is free only once the handler has
   * returned or the workflow's `grace` has passed.
   */
  readonly signal: AbortSignal;
  readonly runId: string;
  /** The workflow's name. */
  readonly workflow: string;
  /** The step's name. */
  readonly step: string;
  /** 1 for the first attempt, 2 for the first retry, … */
  readonly attempt: number;
  /**
   * Names this attempt, also where it is delivered twice: steps run at least once. Use it as an idempotency key where each
   * attempt may have its effect, and `runId` with `step` where only one may.
   */
  readonly attemptId: string;
  readonly metadata: Metadata;
  /** What triggered the run; absent for runs started by a call, a cron or a schedule. */
  readonly event: TriggerEvent | undefined;
  /** A pino logger with the run's id, workflow, step and attempt. */
  readonly log: Logger;
  /** The key of the workflow's first limit; absent where it has none. */
  readonly key: string | undefined;
  /** The keys of all limits, in the order of `concurrency`. */
  readonly keys: readonly LimitKey[];
}

/** What a key function is given. */
export interface KeyContext<TInput = unknown> {
  /** The run's input, as the workflow's `input` schema returned it. */
  readonly input: TInput;
  /** The event that triggered the run; absent for runs started otherwise. */
  readonly event?: TriggerEvent | undefined;
  readonly metadata: Metadata;
  /** The workflow's name. */
  readonly workflow: string;
}
