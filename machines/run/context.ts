/**
 * What a run remembers beside its state, and what it is told. Plain JSON: it goes into snapshots, and the visualizer shows it.
 * Pure: it knows no engine and no clock.
 */

/** Why an attempt failed, as the worker reports it. Further fields are kept. */
export interface StepError {
  readonly name: string;
  readonly message: string;
  /** `STEP_TIMED_OUT`, `WORKER_LOST`, `INPUT_INVALID`, or a code of the user's own. */
  readonly code?: string;
  /** `false`: don't try again, whatever retries are left. */
  readonly retryable?: boolean;
  readonly [field: string]: unknown;
}

/** What is known of one step. Its state within the run is the machine's `value`; this is what that cannot say. */
export interface StepContext {
  /** Executions that were started: 1, 2, …; those handed back undone don't count. */
  readonly attempt: number;
  /** Attempts that failed or timed out; these use up retries. */
  readonly failures: number;
  /** Attempts whose worker died; these don't. */
  readonly lost: number;
  /** True from `step.started` until that attempt is over. */
  readonly started: boolean;
  /** Absent: blocked by its parents. `open`: it may run, or does. The others are final. */
  readonly status?: "open" | "succeeded" | "failed" | "cancelled";
  readonly output?: unknown;
  /** Of the last failed attempt. */
  readonly error?: StepError;
  readonly worker?: string;
  readonly attemptId?: string;
}

/** Set once, by whatever ends the run first other than success. */
export interface Ending {
  readonly status: "CANCELLED" | "FAILED";
  readonly reason: string;
  readonly message?: string;
  readonly error?: StepError;
  /** True: executing steps are told to stop. False (`onStepFailure: "finish"`): they may finish their attempt. */
  readonly stop: boolean;
}

export interface RunContext {
  readonly runId: string;
  readonly ending: Ending | null;
  readonly steps: { readonly [step: string]: StepContext };
}

/** Input of a run machine. Everything else about a run depends on its events alone. */
export interface RunInput {
  readonly runId: string;
}

/** `S` in a type stands for a step's name, so that an event concerns one region, and the set of types is finite. */
export type RunEvent =
  | { readonly type: "run.admitted" }
  | { readonly type: "run.cancelled"; readonly reason: string; readonly message?: string }
  | { readonly type: "run.failed"; readonly reason: string; readonly error?: StepError }
  | { readonly type: `step.started.${string}`; readonly worker?: string; readonly attemptId?: string; readonly at?: number }
  | { readonly type: `step.stopped.${string}` }
  | { readonly type: `step.returned.${string}` }
  | { readonly type: `step.lost.${string}` }
  | { readonly type: `xstate.done.actor.${string}`; readonly output?: unknown }
  | { readonly type: `xstate.error.actor.${string}`; readonly error: StepError }
  | { readonly type: `xstate.after.${string}` }
  /** Raised by the machine itself. */
  | { readonly type: `parent.succeeded.${string}` }
  | { readonly type: `step.cancelled.${string}` };
