/**
 * What an engine node counts of its own work since it started, and what it says about itself. Counting is a few additions; all
 * that takes longer is done when somebody asks.
 */
import type { RunChange } from "../protocol/view.ts";

/** Changes that were told of, by workflow. */
export type ChangeCounts = Readonly<Record<RunChange, number>>;

/** A cumulative histogram: `counts[i]` values were at most `bounds[i]`; the last count is of those above all bounds. */
export class Distribution {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = [...bounds, Infinity].map(() => 0);
  }

  record(value: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? Infinity)) bucket++;
    counts[bucket] = (counts[bucket] ?? 0) + 1;
    this.sum += value;
  }
}

export class Counters {
  readonly changes = new Map<string, Record<RunChange, number>>();
  /** From the append to its acknowledgement. */
  readonly appendSeconds = new Distribution([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]);
  /** Facts in one journal message. */
  readonly appendFacts = new Distribution([1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000]);
  /** From a run's creation (its event was stored, or its time had come) to its first step at a worker. */
  readonly startSeconds = new Distribution([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600]);
  appendedChars = 0;
  rejected = 0;

  /** A run that could start from `sinceMs` on has its first step at a worker. */
  started(sinceMs: number, nowMs: number): void {
    this.startSeconds.record(Math.max(0, nowMs - sinceMs) / 1_000);
  }

  change(workflow: string, change: RunChange): void {
    let counts = this.changes.get(workflow);
    if (counts === undefined)
      this.changes.set(
        workflow,
        (counts = { queued: 0, admitted: 0, started: 0, step: 0, succeeded: 0, failed: 0, cancelled: 0 }),
      );
    counts[change]++;
  }
}

/** An engine node at this moment. */
export interface EngineStats {
  readonly ready: boolean;
  /** It reads the events, and gives out the slots of workers. */
  readonly coordinator: boolean;
  /** Members of the cluster that it knows, itself among them. */
  readonly members: number;
  /** Partitions that it owns. */
  readonly partitions: number;
  /** Of each of them: the epoch under which it is owned. */
  readonly epochs?: ReadonlyMap<number, number>;
  /** Changes of who owns what that this node has seen. */
  readonly mapChanges?: number;
  /** Of these: stand still, since the server does not take their journals (a full stream, most likely). */
  readonly partitionsRefused: number;
  /** Runs that have not ended. */
  readonly live: number;
  /** Of groups: runs that hold a slot, of which `stopping` only until their worker has stopped; and runs that wait for one. */
  readonly active: number;
  readonly stopping: number;
  readonly waiting: number;
  readonly groups: number;
  readonly workers: number;
  readonly slots: { readonly used: number; readonly total: number };
  /** Steps that are ready and wait for a slot of the workers that serve them. */
  readonly stepsWaiting: number;
  /** Events that are stored and were not looked at yet, and how old the oldest is; they wait while partitions are crowded. */
  readonly eventsBehind: { readonly events: number; readonly seconds: number };
  /** Journal messages that the history has not taken in yet; undefined without a history. */
  readonly historyBehind: number | undefined;
  readonly counters: Counters;
}
