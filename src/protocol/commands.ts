/**
 * What arrives in a partition's inbox: one JSON message each, applied once, in order. Written by workers (results) and by
 * the engine nodes that take API requests.
 */
import type { ErrorData, EventRef, PayloadRef, StepResult } from "./work.ts";

/** A run started directly (client, API, replay), or by schedule. */
export interface CreateCommand {
  readonly type: "create";
  readonly run: string;
  /** When it was accepted, ms since the epoch. */
  readonly createdAt?: number;
  readonly workflow: string;
  readonly version: string;
  readonly input: unknown;
  /** Where a large input can be read again, and is for longer than in the inbox. */
  readonly inputRef?: PayloadRef;
  readonly priority?: number;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Start no earlier than this, ms since the epoch. */
  readonly notBefore?: number;
  /** Keys by index of the limit, where the sender has computed them. */
  readonly keys?: readonly string[];
  readonly replayOf?: string;
  readonly traceparent?: string;
}

export interface ResultsCommand {
  readonly type: "results";
  readonly results: readonly StepResult[];
}

export interface CancelCommand {
  readonly type: "cancel";
  readonly run: string;
  readonly reason?: string;
}

export interface GroupCommand {
  readonly type: "group";
  readonly limit: string;
  readonly key: string;
  /** null takes the override back. */
  readonly maxRuns?: number | null;
  readonly paused?: boolean;
}

/** A run on its way: started by an event, or handed over by another partition. */
export interface TransferredRun extends Omit<CreateCommand, "type" | "input" | "createdAt"> {
  readonly createdAt: number;
  /** As JSON text. Absent where it is too large to be carried; then `inputRef` says where it is. */
  readonly input?: string;
  readonly event?: EventRef;
  /** Its keys could not be computed. */
  readonly failure?: ErrorData;
}

/**
 * Runs that a source hands over, in its order. `position` grows with each of them; those that are not above the highest position of
 * that source so far are repetitions.
 */
export interface TransferCommand {
  readonly type: "transfer";
  /** "events", or "p<n>" for partition n. */
  readonly source: string;
  readonly items: readonly {
    readonly position: readonly [seq: number, place: number];
    readonly run: TransferredRun;
  }[];
}

export type Command = CreateCommand | ResultsCommand | CancelCommand | GroupCommand | TransferCommand;
