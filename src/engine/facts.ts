/**
 * What a partition's journal and snapshots hold: facts, in the order in which they became true, and the positions up to
 * which the partition has read its sources. One journal message is one batch. Recovery applies facts; it never asks a
 * policy again. This file is the format: a later release must go on reading what an earlier one wrote (`v`).
 */
import type { Turns } from "../../machines/fair-queue.ts";
import type { EventRef, ErrorData, PayloadRef } from "../protocol/work.ts";
import type { RunStatus } from "../protocol/view.ts";
import type { Strategy } from "../workflow/spec.ts";

/** An event that was fed to a run's machine. Its type comes from a finite set per machine. */
export interface MachineEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Where a run is, as far as its partition is concerned. `refused`: turned away by a group on its arrival, so it ends at once. */
export type Phase = "scheduled" | "keying" | "waiting" | "active" | "refused";

/** A run came to this partition. */
export interface CreatedFact {
  readonly k: "created";
  readonly at: number;
  readonly run: string;
  readonly wf: string;
  readonly ver: string;
  readonly phase: Phase;
  readonly pri?: number;
  readonly keys?: readonly string[];
  /** Waiting runs with several limits: the groups, by index of the limit, that hold it aside, since it waits for another one. */
  readonly held?: readonly number[];
  /** Waiting runs: the groups, by index of the limit, that were paused then. For the decision log. */
  readonly paused?: readonly number[];
  /** Absent for a run whose payload is too large to be repeated: then `ref` says where it is. */
  readonly input?: unknown;
  readonly ref?: PayloadRef;
  readonly meta?: Readonly<Record<string, unknown>>;
  readonly ev?: EventRef;
  /** For scheduled runs: when it is due. Stays known afterwards. */
  readonly due?: number;
  /** When the run was created, where that was in another partition before. */
  readonly born?: number;
  readonly replayOf?: string;
  readonly tp?: string;
}

export type Fact =
  | CreatedFact
  /** A scheduled or keying run goes on in this partition. `keys` where it has just learnt them; `held` as in `created`. */
  | {
      readonly k: "phase";
      readonly at: number;
      readonly run: string;
      readonly phase: Phase;
      readonly keys?: readonly string[];
      readonly held?: readonly number[];
      readonly paused?: readonly number[];
    }
  /** A waiting run is now held aside by the group of limit `by`, and in line again in that of limit `for`, which is full. */
  | { readonly k: "parked"; readonly at: number; readonly run: string; readonly by: number; readonly for: number }
  /**
   * A waiting run got its slots; its machine was fed `run.admitted`. For the decision log: `by` is the run that gave a slot up, `why`
   * what else made room.
   */
  | {
      readonly k: "admitted";
      readonly at: number;
      readonly run: string;
      readonly by?: string;
      readonly why?: "raised" | "resumed";
    }
  | { readonly k: "event"; readonly at: number; readonly run: string; readonly ev: MachineEvent }
  /** The run has ended and holds nothing any more. `cause` and `by` tell of a group's decision. */
  | {
      readonly k: "finished";
      readonly at: number;
      readonly run: string;
      readonly status: RunStatus;
      readonly reason?: string;
      readonly error?: ErrorData;
      readonly cause?: string;
      readonly by?: string;
    }
  /** The run goes on in partition `to`, which knows it as the `n`th from here. Kept here until it is confirmed. */
  | {
      readonly k: "moved";
      readonly at: number;
      readonly run: string;
      readonly to: number;
      readonly n: number;
      readonly keys: readonly string[];
    }
  /** Partition `to` has journaled everything up to `n`. */
  | { readonly k: "confirmed"; readonly to: number; readonly n: number }
  /** The rules of a limit, as this partition applies them from here on. */
  | { readonly k: "limit"; readonly name: string; readonly maxRuns: number; readonly strategy: Strategy }
  /** Settings of one group by its operators; null takes maxRuns back. */
  | {
      readonly k: "group";
      readonly limit: string;
      readonly key: string;
      readonly maxRuns?: number | null;
      readonly paused?: boolean;
    }
  /**
   * An engine node took the partition over: what it writes first, so that whatever an earlier owner still sends is refused. The
   * epoch grows with every change of owner.
   */
  | { readonly k: "owner"; readonly at: number; readonly node: string; readonly epoch: number }
  /** The cron of a workflow has ticked at (scheduled time) `tick`; 0 takes its entry out. */
  | { readonly k: "cron"; readonly wf: string; readonly i: number; readonly tick: number };

/** Name of a source of creations: the events stream, or another partition. */
export type Source = "events" | `p${number}`;

/** How far a source has been read: sequence, and place within that message. Ordered lexically. */
export type Position = readonly [seq: number, place: number];

export interface Batch {
  readonly v: 1;
  /**
   * Epoch of the owner that wrote it; absent in journals of the test kit and of before there were many. No two owners ever write
   * the same text, so whoever reads the journal's end can tell whether what is there is its own.
   */
  readonly e?: number;
  /** Sequence in the stream of the last inbox message that is part of this or an earlier batch. */
  readonly in: number;
  /** Positions that this batch has changed. */
  readonly src?: Readonly<Record<string, Position>>;
  readonly f: readonly Fact[];
}

/** State of one run in a snapshot: how it came, and every event that its machine was fed. */
export interface RunSnapshot {
  readonly created: CreatedFact;
  readonly order: number;
  readonly admittedAt?: number;
  readonly events?: readonly { readonly at: number; readonly ev: MachineEvent }[];
  /** Moved, not confirmed. */
  readonly moved?: { readonly to: number; readonly n: number };
}

/** A snapshot is a sequence of JSON lines of this kind; the first is the head. */
export type SnapshotLine =
  | {
      readonly s: "head";
      readonly v: 1;
      readonly in: number;
      readonly src: Readonly<Record<string, Position>>;
      readonly order: number;
      readonly outbox: Readonly<Record<string, number>>;
      readonly limits: readonly { readonly name: string; readonly maxRuns: number; readonly strategy: Strategy }[];
      readonly groups: readonly {
        readonly limit: string;
        readonly key: string;
        readonly maxRuns?: number;
        readonly paused?: boolean;
      }[];
      readonly crons: readonly { readonly wf: string; readonly i: number; readonly tick: number }[];
      readonly turns: readonly { readonly limit: string; readonly key: string; readonly turns: Turns }[];
    }
  | ({ readonly s: "run" } & RunSnapshot);

/** Compares two positions: negative, 0 or positive. */
export function comparePositions(a: Position, b: Position): number {
  return a[0] - b[0] || a[1] - b[1];
}

/**
 * Writes a batch as one JSON message. The facts come as JSON texts already (each was written when it became true, so that
 * the size of a growing batch is known).
 */
export function encodeBatch(
  inboxSeq: number,
  sources: Readonly<Record<string, Position>> | undefined,
  facts: readonly string[],
  epoch?: number,
): string {
  const src = sources === undefined ? "" : `,"src":${JSON.stringify(sources)}`;
  return `{"v":1${epoch === undefined ? "" : `,"e":${epoch}`},"in":${inboxSeq}${src},"f":[${facts.join(",")}]}`;
}

/** Reads a journal message. Throws a SyntaxError or TypeError that says what is wrong with it. */
export function decodeBatch(text: string): Batch {
  const batch = JSON.parse(text) as Batch;
  if (typeof batch !== "object" || batch === null || batch.v !== 1 || !Array.isArray(batch.f) || !Number.isSafeInteger(batch.in))
    throw new TypeError("expected a journal batch { v: 1, in, f: [facts] }");
  return batch;
}
