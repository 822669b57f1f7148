/**
 * What the service and its worker thread say to each other. Messages of one direction arrive in their order, so a request
 * is answered with everything that was posted before it.
 */
import type { GroupDecisionView, MachineDefinition } from "../protocol/record.ts";
import type { Page, RunEventView, RunListQuery, RunStatus } from "../protocol/view.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { Discard } from "./database.ts";
import type { DecisionQuery } from "./group-decisions.ts";
import type { HistoryErrorCode } from "./history-error.ts";
import type { RunRow } from "./run-fold.ts";
import type { Bounds } from "./store.ts";
import type { Stay } from "./stored-facts.ts";

export interface WorkerOptions {
  readonly file: string;
  readonly cluster: string;
  /** The file that is there is not of use: begin anew. */
  readonly discard?: Discard;
  readonly eventsStream: string;
  /** News is written at the latest after this time … */
  readonly commitMs: number;
  /** … or when there is this much of it. */
  readonly commitChars: number;
  /** Rules of what is not stored as it is; see protocol/redact.ts. */
  readonly redact: readonly string[];
  /** 64 hexadecimal digits: what was redacted is stored encrypted. Without it, it is lost. */
  readonly sealKey?: string;
  /** How long commits may stay unsynced. */
  readonly checkpointMs: number;
}

/** A place in the journal of a partition. */
export interface JournalPosition {
  readonly partition: number;
  readonly seq: number;
}

/** Reads, and what is done on request. */
export interface Requests {
  run: { args: { readonly id: string }; reply: RunRow | undefined };
  /** A `Page<RunRow>` as JSON text. */
  list: { args: RunListQuery; reply: string };
  /** Some runs of a list, by the numbers of their rows: `RunRow[]` as JSON text. */
  rows: { args: { readonly ns: readonly number[]; readonly fields?: RunListQuery["fields"] }; reply: string };
  /** The next `size` runs of a list that `query.text` may be in. */
  scan: {
    args: { readonly query: RunListQuery; readonly size: number };
    reply: { readonly rows: readonly ScannedRow[]; readonly next?: string };
  };
  count: { args: RunListQuery; reply: { readonly count: number; readonly atLeast: boolean } };
  /** All runs that the file has of a workflow version, by status. */
  statuses: { args: { readonly workflow: string; readonly version: string }; reply: Readonly<Record<RunStatus, number>> };
  events: { args: { readonly id: string }; reply: readonly RunEventView[] | undefined };
  stays: { args: { readonly id: string }; reply: readonly Stay[] | undefined };
  /** A RunRecord as JSON text, which crosses threads for less than what it stands for. */
  record: { args: { readonly id: string; readonly after?: number }; reply: string | undefined };
  /** Of a workflow version that the file knows: by its hash, or by name and version. */
  machine: {
    args: { readonly hash: string } | { readonly workflow: string; readonly version: string };
    reply: MachineDefinition | undefined;
  };
  decisions: { args: DecisionQuery; reply: Page<GroupDecisionView> };
  runsOfEvents: { args: { readonly seqs: readonly number[] }; reply: ReadonlyMap<number, readonly string[]> };
  /** Writes everything and syncs the file. */
  flush: { args: Record<string, never>; reply: undefined };
  /** Takes out what is too old or too much, in portions. Answers with the number of runs. */
  retain: { args: Bounds; reply: number };
  snapshot: { args: JournalPosition & { readonly lines: readonly string[] }; reply: undefined };
}
/** A run that a text is in, or may be in. */
export interface ScannedRow {
  readonly n: number;
  /** Place after it. */
  readonly cursor: string;
  /** Set where its input has to be looked at first: its message in the events stream. */
  readonly inputSeq?: number;
}

export type RequestName = keyof Requests;
export type AnyRequest = { [Name in RequestName]: { readonly name: Name; readonly args: Requests[Name]["args"] } }[RequestName];

export type ToWorker =
  | { readonly type: "define"; readonly spec: WorkflowSpec }
  | { readonly type: "batch"; readonly partition: number; readonly seq: number; readonly text: string }
  | { readonly type: "request"; readonly id: number; readonly request: AnyRequest; readonly after?: readonly JournalPosition[] }
  /** Nobody waits for the answer any more. */
  | { readonly type: "forget"; readonly id: number }
  | { readonly type: "close" };

export type FromWorker =
  | { readonly type: "opened"; readonly positions: ReadonlyMap<number, number> }
  /** The thread is of no more use; what was not committed is lost. With `discard`, another one can begin anew. */
  | { readonly type: "failed"; readonly message: string; readonly discard?: Discard }
  /** So much of what was posted is no longer queued. */
  | { readonly type: "taken"; readonly chars: number }
  | { readonly type: "committed"; readonly positions: ReadonlyMap<number, number> }
  | { readonly type: "synced"; readonly positions: ReadonlyMap<number, number> }
  | { readonly type: "reply"; readonly id: number; readonly value: Requests[RequestName]["reply"] }
  | { readonly type: "refusal"; readonly id: number; readonly code: HistoryErrorCode; readonly message: string }
  | { readonly type: "warning"; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }
  | { readonly type: "closed" };
