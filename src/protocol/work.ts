/**
 * What engine nodes and worker nodes say to each other. Plain JSON messages. Engine to worker go as core NATS messages on
 * `sluice.work.<worker>` (they may be lost: whatever is not answered is said again); results go durably into the inbox of
 * the run's partition.
 */
import type { WorkflowSpec } from "../workflow/spec.ts";

/** JSON form of an error: of a handler, or of Sluice itself (`code` in upper snake case). */
export interface ErrorData {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  /** False: no further attempt helps. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
  /** The zod issues of INPUT_INVALID. */
  readonly issues?: readonly unknown[];
}

/** Where a payload is that is too large to be carried along: the message of that sequence in that stream. */
export interface PayloadRef {
  readonly stream: string;
  readonly seq: number;
}

/** The event that triggered a run. */
export interface EventRef {
  readonly name: string;
  /** Sequence in the events stream. */
  readonly seq: number;
}

/** The number of each partition's present ownership: it grows with every change of owner. */
export type Epochs = Readonly<Record<number, number>>;

/** Published by an engine on `sluice.engines.hello` when it has started, has reconnected, or has become the owner of a partition. */
export interface EngineHello {
  readonly engine: string;
  /** Of the partitions that it owns. */
  readonly epochs?: Epochs;
}

/** One execution of a step, handed to a worker. The same `attemptId` twice means the same execution: start it once. */
export interface Assignment {
  readonly attemptId: string;
  /** The partition whose inbox the result goes to. */
  readonly partition: number;
  /** Of the partition's ownership: a worker refuses what an earlier owner sends. Missing from engines of the release before: 0. */
  readonly epoch?: number;
  readonly run: string;
  readonly workflow: string;
  readonly version: string;
  readonly step: string;
  /** 1, 2, … */
  readonly attempt: number;
  readonly input?: unknown;
  /** Instead of `input`: the payload of this message. For `inbox` references it is a CreateCommand, whose `input` counts. */
  readonly inputRef?: PayloadRef;
  /** Outputs of the steps that this one depends on, directly or not. */
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly event?: EventRef;
  readonly keys: readonly { readonly limit: string; readonly key: string }[];
  readonly traceparent?: string;
}

/** A key to compute for a run that waits for it. */
export interface KeyRequestItem {
  readonly run: string;
  readonly input?: unknown;
  readonly inputRef?: PayloadRef;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly event?: EventRef;
}

/** Engine to worker. All but `stop` are requests: the worker answers on the reply subject. */
export type WorkMessage =
  /** Answered with WorkAnswer. Ordered: the assignments of one message start in their order. */
  | { readonly type: "assign"; readonly assignments: readonly Assignment[] }
  /** Abort the signals of these attempts. Each is confirmed by a `stopped` (or other) result; unknown ones are too. */
  | {
      readonly type: "stop";
      readonly attempts: readonly {
        readonly attemptId: string;
        readonly partition: number;
        /** As in an assignment; one of an earlier owner is left alone. */
        readonly epoch?: number;
        readonly run: string;
        readonly step: string;
        readonly reason: string;
        readonly graceMs: number;
      }[];
    }
  /** Compute the function keys of these runs (all limits of the workflow whose key is a function). Answered with KeyAnswer. */
  | { readonly type: "keys"; readonly workflow: string; readonly version: string; readonly items: readonly KeyRequestItem[] }
  /** Answered with WorkerStatus, with `attempts` filled in; with `all`, it is published too, for the other engines. */
  | { readonly type: "report"; readonly epochs?: Epochs; readonly all?: boolean }
  /** Take nothing new, finish, hand the rest back, end. Answered with `{ ok: true }`. */
  | { readonly type: "drain" };

export interface WorkAnswer {
  /** attemptIds that run now (or ran already). */
  readonly taken: readonly string[];
  /** Those that it will not run, and why: no slot free, draining, no such handler, sent by an earlier owner of the partition. */
  readonly refused: readonly { readonly attemptId: string; readonly reason: "slots" | "draining" | "handler" | "epoch" }[];
  /** Slots free after this. */
  readonly free: number;
}

export interface KeyAnswer {
  /** In the order of the request. `keys` by index of the limit in the definition; only for function keys. */
  readonly results: readonly (
    | { readonly run: string; readonly keys: Readonly<Record<number, unknown>> }
    | { readonly run: string; readonly error: ErrorData }
  )[];
}

/** Published by a worker on `sluice.workers.<id>.status` as heartbeat, at once after `engineHello`, and when anything changes. */
export interface WorkerStatus {
  readonly id: string;
  readonly name: string;
  readonly mode: "running" | "draining" | "stopped";
  readonly slots: number;
  readonly used: number;
  readonly heartbeatMs: number;
  /** Silent for longer than this, it is taken for dead. */
  readonly deadlineMs: number;
  readonly startedAt: string;
  readonly host: string;
  readonly pid: number;
  readonly sluiceVersion: string;
  /** What it serves. */
  readonly workflows: readonly { readonly name: string; readonly version: string; readonly steps: readonly string[] }[];
  /**
   * Attempts that it runs, or whose results the server has not acknowledged yet. Only in answers to `report` and `engineHello`. Workers of
   * the release before say ids only.
   */
  readonly attempts?: readonly (string | { readonly id: string; readonly partition: number })[];
  /** The latest owners that it knows of: what it says of its attempts holds for these. With `attempts`; not from the release before. */
  readonly epochs?: Epochs;
}

/** One result in an inbox message of type `results`. */
export type StepResult = {
  readonly attemptId: string;
  readonly run: string;
  readonly step: string;
  readonly worker: string;
  /** When the handler began and ended, ms since the epoch, by the worker's clock. */
  readonly startedAt?: number;
  readonly finishedAt?: number;
} & (
  | { readonly outcome: "succeeded"; readonly output: unknown }
  | { readonly outcome: "failed"; readonly error: ErrorData }
  /** The handler ended after its signal was aborted, or the attempt is not (or no longer) known. */
  | { readonly outcome: "stopped" }
  /** Handed back undone (drain): not counted as an attempt. */
  | { readonly outcome: "returned"; readonly reason: string }
);

/** Registers a workflow: request to `sluice.api.workflow.register`, answered `{ name, version }` once it is in force. */
export interface RegisterRequest {
  readonly spec: WorkflowSpec;
}
