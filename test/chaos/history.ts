/**
 * What a chaos test leaves behind, as its checker reads it: what was asked, what the journals say, what the handlers saw, and what the
 * test did to whom. Plain data. All times are on the machine's monotonic clock in ms, except those inside of facts.
 */
import type { RunStatus } from "../../src/protocol/view.ts";
import type { Strategy } from "../../src/workflow/spec.ts";
import type { Batch } from "../../src/engine/facts.ts";
import type { HandlerRecord } from "../acceptance/support/records.ts";

/** What the checker must know of a workflow. */
export interface WorkflowRules {
  readonly name: string;
  /** The events, by their whole names. */
  readonly on: readonly string[];
  readonly steps: readonly string[];
  readonly limits: readonly { readonly name: string; readonly maxRuns: number; readonly strategy: Strategy }[];
  readonly graceMs: number;
}

/** An event whose storage was acknowledged, with its place in the stream. */
export interface AcknowledgedEvent {
  readonly n: number;
  readonly event: string;
  readonly seq: number;
}

/** A run that was started by a call and accepted. */
export interface AcceptedRun {
  readonly n: number;
  readonly workflow: string;
  readonly run: string;
}

/** One message of a journal. */
export interface JournalMessage {
  readonly partition: number;
  readonly seq: number;
  /** The sequence of the journal's message before this one, as its writer knew it. */
  readonly previous: number | undefined;
  /** When the server stored it. */
  readonly at: number;
  readonly batch: Batch;
}

/** For this time, heartbeats of these processes may not have got through. */
export interface Trouble {
  readonly pids: readonly number[] | "all workers";
  readonly from: number;
  readonly to: number;
}

export interface Kill {
  readonly pid: number;
  readonly at: number;
}

/** A fresh run of a key, after all is quiet. */
export interface Probe {
  readonly limit: string;
  readonly key: string;
  readonly startedAfterMs: number | undefined;
}

export interface RunAnswer {
  readonly id: string;
  readonly workflow: string;
  readonly status: RunStatus;
  readonly reason?: string;
}

export interface History {
  readonly workflows: readonly WorkflowRules[];
  readonly acknowledged: readonly AcknowledgedEvent[];
  /** The `n` of events and calls whose outcome stayed unknown: they may have runs. */
  readonly unsure: ReadonlySet<number>;
  readonly accepted: readonly AcceptedRun[];
  /** Runs whose cancellation was asked for, whatever the answer. */
  readonly cancelRequested: ReadonlySet<string>;
  /** The `n` of what was published to fail: its handlers throw for good. */
  readonly doomed: ReadonlySet<number>;
  readonly journal: readonly JournalMessage[];
  readonly records: readonly HandlerRecord[];
  readonly kills: readonly Kill[];
  readonly troubles: readonly Trouble[];
  /** After how long without a heartbeat a worker is taken for dead. */
  readonly workerDeadlineMs: number;
  /** What the API says of all runs at the end. */
  readonly answers: readonly RunAnswer[];
  /** At the end, when nothing is left to do. */
  readonly usedSlots: readonly { readonly worker: string; readonly used: number }[];
  readonly heldGroups: readonly {
    readonly limit: string;
    readonly key: string;
    readonly active: number;
    readonly waiting: number;
  }[];
  readonly probes: readonly Probe[];
  /** What the NATS servers had stored and have no more, though nobody deleted it; what follows from that is not the engine's doing. */
  readonly lostByServers: readonly string[];
  /** What did not work at the end: processes that ended by themselves, requests that nobody answered. */
  readonly failures: readonly string[];
}

/** A rule that was broken, and what shows it. */
export interface Violation {
  readonly rule: Rule;
  readonly text: string;
  readonly run?: string;
}

export type Rule =
  | "journal-chain"
  | "owner-epochs"
  | "event-has-its-runs"
  | "run-ended"
  | "end-is-legal"
  | "limit-in-journal"
  | "limit-in-handlers"
  | "admitted-while-paused"
  | "order"
  | "one-result-per-step"
  | "step-lost"
  | "execution-is-recorded"
  | "execution-ends"
  | "api-agrees"
  | "slot-leaked"
  | "storage-lost"
  | "keeps-working";
