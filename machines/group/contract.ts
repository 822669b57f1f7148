/**
 * What every group machine has in common: the events it is told, the decisions it makes, the context it keeps. A group is
 * one concurrency key of one limit; its machine is the policy (one file per strategy). Pure: a group knows runs only by id,
 * priority and order, and never what a run does, where it executes, or what time it is.
 */
import type { FairQueue } from "../fair-queue.ts";
import type { OrderedSet } from "../ordered-set.ts";
import type { Strategy } from "../../src/workflow/spec.ts";

/** A run as its groups see it. Created once per run and shared by all of its groups. */
export interface Entry {
  readonly run: string;
  /** Higher goes first. */
  readonly priority: number;
  /** Position of arrival in the partition; unique and increasing. */
  readonly order: number;
  /** The flow that it competes under where several share this group: the id of the run's first group. */
  readonly flow: string;
  /** True where the run has more limits than one: this group may then only propose it, see `run.proposed`. */
  readonly gated: boolean;
}

export type GroupEvent =
  /** A new run wants a slot. */
  | { readonly type: "run.arrived"; readonly entry: Entry }
  /** An active run has ended and all its work has stopped: its slot is free. */
  | { readonly type: "run.released"; readonly entry: Entry }
  /** A waiting run has gone for a reason of its own (cancelled by its user or by another limit, timed out). */
  | { readonly type: "run.withdrawn"; readonly entry: Entry }
  /** Someone else cancels an active run (its user, another limit): it keeps its slot until `run.released`. */
  | { readonly type: "run.stopping"; readonly entry: Entry }
  /** The supervisor's answers to a `propose` decision: all other limits have room and it was admitted … */
  | { readonly type: "run.confirmed"; readonly entry: Entry }
  /** … or another limit is full: it is held aside here (it still waits) until `run.offered`. */
  | { readonly type: "run.parked"; readonly entry: Entry }
  /** A held run is a candidate again, since the group that it was parked at has room or this is where it is parked now. */
  | { readonly type: "run.offered"; readonly entry: Entry }
  /** A gated run that waits here, or has just arrived, was admitted through another of its groups. This group has room. */
  | { readonly type: "run.taken"; readonly entry: Entry }
  | { readonly type: "limit.changed"; readonly maxRuns: number }
  | { readonly type: "group.paused" }
  | { readonly type: "group.resumed" };

/** Why a group cancels a run; `CANCELLED_BY_CONCURRENCY_LIMIT` towards users, this in the decision log. */
export type CancelCause = "superseded" | "full" | "outranked" | "limit lowered";

/** Decisions, emitted as XState actions (data, in order); `params` is what stands beside `type`. */
export type GroupDecision =
  | { readonly type: "admit"; readonly params: { readonly entry: Entry } }
  | { readonly type: "queue"; readonly params: { readonly entry: Entry } }
  /** Ask the supervisor to admit a gated run: answered by `run.confirmed` or `run.parked` before any other event. */
  | { readonly type: "propose"; readonly params: { readonly entry: Entry } }
  /** `active` tells whether it holds a slot (which stays held until `run.released`) or waited (then it is gone already). */
  | {
      readonly type: "cancel";
      readonly params: { readonly entry: Entry; readonly active: boolean; readonly cause: CancelCause; readonly by?: string };
    };

/** The state of a group. Immutable: every change makes a new one, at O(log n). The same shape for all strategies. */
export interface GroupContext {
  readonly strategy: Strategy;
  readonly limit: string;
  readonly key: string;
  readonly maxRuns: number;
  readonly paused: boolean;
  /** Runs that hold a slot, by (priority, order); includes those that are stopping. */
  readonly active: OrderedSet<Entry>;
  /** The part of `active` that was cancelled and has not been released yet. */
  readonly stopping: OrderedSet<Entry>;
  /** Runs that wait and could be admitted here. */
  readonly waiting: FairQueue<Entry>;
  /** Gated runs that wait here, but whose turn is decided at another of their groups, which is full. */
  readonly held: OrderedSet<Entry>;
  /** The gated run whose proposal the supervisor has not answered yet. It is still in `waiting`, unless it has just arrived. */
  readonly proposed: Entry | undefined;
  /**
   * The runs of this group that its strategy would cancel to make room for others, the first to go first: derived from the
   * sets above, so that a crowded group decides in O(log n). Empty where the strategy cancels nothing that it has taken in.
   */
  readonly evictable: OrderedSet<Entry>;
}
