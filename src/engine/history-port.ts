/**
 * What the engine asks of a history: the record of runs beyond those in memory. It is fed what the journals get and answers
 * for runs that have ended. Without one (it could not be opened), only live runs are known.
 */
import type { GroupDecisionView, MachineDefinition, RunRecord } from "../protocol/record.ts";
import type { Page, RunEventView, RunListQuery, RunStatus, RunView } from "../protocol/view.ts";
import type { PayloadRef } from "../protocol/work.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";

/** A run as the history has it; `inputRef` where its input has to be read from a stream. */
export interface RecordedRun {
  readonly view: RunView;
  readonly inputRef?: PayloadRef;
}

/** "Not before you have applied that journal message": makes an answer as fresh as its owner. */
export interface After {
  readonly partition: number;
  readonly seq: number;
}

/** A run that a text may be in. */
export interface ScannedRun {
  readonly n: number;
  /** Place after it. */
  readonly cursor: string;
  /** It is in there if it is in the message of the events stream with this sequence. */
  readonly inputSeq?: number;
}

export interface HistoryPort {
  /** Last journal message of the partition that it has; 0 for none. */
  position(partition: number): number | Promise<number>;
  /** The last one that its answers know. */
  committed(partition: number): number;
  /** Resolves once what it has been given is on its disk: then `position` is there. Rejects where it cannot. */
  sync(): Promise<void>;
  /** Why it does not answer now, where it does not. */
  readonly unavailable: string | undefined;
  define(spec: WorkflowSpec): void;
  /** A journal message, in order; false: it is too far behind to take more now, and will read again from its position. */
  apply(partition: number, seq: number, text: string): boolean;
  /** The open runs of a snapshot that lies after what it has. */
  applySnapshot(partition: number, journalSeq: number, lines: readonly string[]): void;
  run(id: string, after?: readonly After[]): Promise<RecordedRun | undefined>;
  /** With `afterIndex`, only the frames with a higher index. */
  record(id: string, after?: readonly After[], afterIndex?: number): Promise<RunRecord | undefined>;
  /** The machine of a workflow version that it knows. */
  machine(
    which: { readonly hash: string } | { readonly workflow: string; readonly version: string },
  ): Promise<MachineDefinition | undefined>;
  /** By tags and events too, but not by text and state. */
  list(query: RunListQuery): Promise<Page<RunView>>;
  /** Of the next `size` runs of a list, those that `query.text` is in, or may be in: then their input is to be looked at. */
  scan(query: RunListQuery, size: number): Promise<{ readonly rows: readonly ScannedRun[]; readonly next?: string }>;
  /** Runs by the numbers that `scan` gave. */
  rows(ns: readonly number[], fields?: RunListQuery["fields"]): Promise<readonly RunView[]>;
  count(query: RunListQuery): Promise<{ readonly count: number; readonly atLeast: boolean }>;
  /** All runs that it has of a workflow version, by status. */
  statuses(workflow: string, version: string): Promise<Readonly<Record<RunStatus, number>>>;
  events(id: string, after?: readonly After[]): Promise<RunEventView[]>;
  /** What a group has decided, newest first. */
  decisions(
    query: { readonly limit: string; readonly key: string; readonly size?: number; readonly cursor?: string },
    after?: readonly After[],
  ): Promise<Page<GroupDecisionView>>;
  runsOfEvents(seqs: readonly number[]): Promise<ReadonlyMap<number, readonly string[]>>;
  stop(): Promise<void>;
}
