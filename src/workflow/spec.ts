/**
 * The workflow definition as data: what a worker registers, what the engine compiles to a machine, what is hashed into a
 * version. Plain JSON; it knows no handlers, no zod and no NATS.
 */

/** What happens to an arriving run when its group is full. The table in the README says what each strategy does. */
export const Strategy = Object.freeze({
  CANCEL_IN_PROGRESS: "CANCEL_IN_PROGRESS",
  CANCEL_NEWEST: "CANCEL_NEWEST",
  CANCEL_QUEUED_EXCEPT_NEWEST: "CANCEL_QUEUED_EXCEPT_NEWEST",
  CANCEL_QUEUED_EXCEPT_OLDEST: "CANCEL_QUEUED_EXCEPT_OLDEST",
  GROUP_ROUND_ROBIN: "GROUP_ROUND_ROBIN",
} as const);
export type Strategy = (typeof Strategy)[keyof typeof Strategy];

/** How the key of a limit is computed: by the engine (a CEL expression) or by a worker node (a function of the definition). */
export type KeySpec = { readonly kind: "cel"; readonly expression: string } | { readonly kind: "function" };

/** One concurrency limit. Its groups (one per key) belong to `name`, across workflows and versions. */
export interface LimitSpec {
  readonly name: string;
  readonly key: KeySpec;
  /** Active runs per key, an integer of at least 1. */
  readonly maxRuns: number;
  readonly strategy: Strategy;
}

/** Delay before attempt n+1: `min(maxMs, minMs * factor^(n-1))`, of which up to half is taken off by jitter. */
export interface BackoffSpec {
  readonly factor: number;
  readonly minMs: number;
  readonly maxMs: number;
}

export interface StepSpec {
  readonly name: string;
  /** The steps whose outputs it needs; all of them must have succeeded before it starts. */
  readonly after: readonly string[];
  /** Further attempts after a failed one; 0 means one attempt in all. */
  readonly retries: number;
  readonly backoff: BackoffSpec;
  /** How long one attempt may execute, in ms. Absent: no limit. */
  readonly timeoutMs?: number;
  /** How long the step may wait for a worker once it is ready, in ms. */
  readonly scheduleTimeoutMs: number;
}

export interface CronSpec {
  readonly expression: string;
  /** IANA name; absent: UTC. */
  readonly timezone?: string;
  /** Input of the runs that it starts. `defineWorkflow` writes `{}` where its user gave none. */
  readonly input?: unknown;
}

/** A workflow in one version. `version` is a hash of everything else in here. */
export interface WorkflowSpec {
  readonly name: string;
  readonly version: string;
  /** Event names that start a run; `*` stands for one token, `>` for the rest, as in NATS subjects. */
  readonly on: readonly string[];
  readonly cron: readonly CronSpec[];
  /** In topological order. At least one. */
  readonly steps: readonly StepSpec[];
  readonly limits: readonly LimitSpec[];
  /** How long a run may wait in its groups, in ms. Absent: for ever. */
  readonly scheduleTimeoutMs?: number;
  /** What happens to steps that are running when another one fails for good. */
  readonly onStepFailure: "cancel" | "finish";
  /** How long cancelled work may keep its slots without confirming that it stopped, in ms. */
  readonly graceMs: number;
  /** JSON Schema of the input, for forms and documentation; absent where the schema cannot be expressed. */
  readonly inputSchema?: unknown;
}
