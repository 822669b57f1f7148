/**
 * What the visualizer is told: machines to draw, what a run or a group went through, the health of the whole. Plain JSON,
 * redacted; times are ISO 8601 in UTC with milliseconds.
 *
 * Ids: a state is named by XState's node id (`run.running.write.attempt`), a transition by `<source id>|<event type>|<index>`,
 * where `index` counts the transitions of that source and event type in the order of the definition, and event types are as
 * XState has them (`""` for `always`, `xstate.after.<delay>.<node>`, `xstate.done.actor.<id>`, …). Both sides get them by
 * building the machine from `definition`, so they agree without asking each other.
 */
import type { GroupView, RunStatus, StepView } from "./view.ts";

/** A machine's configuration as JSON: what `createMachine` takes, with names in the place of implementations. */
export interface MachineDefinition {
  /** Hash of the definition: machines with the same one look the same. */
  readonly hash: string;
  readonly name: string;
  readonly definition: Readonly<Record<string, unknown>>;
  /** Of the machines of engine nodes: how many are in each state, by its id. */
  readonly counts?: Readonly<Record<string, number>>;
}

/** Who sent the event of a frame: who has a lifeline in the sequence diagram. */
export type Participant = "event" | "router" | "user" | "schedule" | "timer" | "engine" | `group:${string}` | `worker:${string}`;

/** One thing that happened to a run, and the state after it. */
export interface RunFrame {
  /** 0, 1, 2, … */
  readonly index: number;
  readonly at: string;
  readonly type: string;
  /** The machine event, or the fact, without its type. */
  readonly data?: unknown;
  readonly from: Participant;
  /** What the run sent because of it: dispatches, stops, slots given back. */
  readonly sent: readonly { readonly to: Participant; readonly type: string; readonly data?: unknown }[];
  /** False for facts that are not fed to the machine (queued, moved, parked). */
  readonly fed: boolean;
  readonly status: RunStatus;
  /** XState's state value; a run that waits for its slots is in the machine's initial one. Absent where its version is not known. */
  readonly value?: unknown;
  /** Ids of all active states, with their ancestors. */
  readonly active: readonly string[];
  /** Ids of the transitions that were taken, in order. */
  readonly taken: readonly string[];
  readonly actions: readonly { readonly type: string; readonly params?: unknown }[];
  /** Delays that run after this frame: for countdowns. `transition` is the id of the edge that it will take. */
  readonly timers: readonly {
    readonly id: string;
    readonly transition?: string;
    readonly startedAt: string;
    readonly dueAt: string;
  }[];
  readonly steps: Readonly<Record<string, StepView>>;
  readonly context: unknown;
}

/** A run's whole life for time travel. Cut at the oldest end (`cut`) beyond 5,000 frames. */
export interface RunRecord {
  readonly id: string;
  readonly workflow: string;
  readonly version: string;
  readonly machine: string;
  readonly frames: readonly RunFrame[];
  /** Frames left out at the beginning. */
  readonly cut?: number;
}

/** One decision of a group about one run, newest first in lists. */
export interface GroupDecisionView {
  readonly at: string;
  readonly run: string;
  readonly workflow: string;
  readonly decision: "admitted" | "queued" | "cancelled" | "released" | "parked";
  /** For people: "there was room", "superseded by <run>", "the limit was lowered", "a slot became free". */
  readonly why: string;
  readonly by?: string;
  /** How long it waited, in ms, for admissions out of the queue. */
  readonly waitedMs?: number;
}

/** A group's machine as it is now. */
export interface GroupMachineView {
  readonly machine: string;
  readonly group: GroupView;
  readonly active: readonly string[];
  /** Runs that the group has in each of its own states, for badges: `active`, `stopping`, `waiting`, `held`. */
  readonly counts: Readonly<Record<string, number>>;
}

/** How many runs of a workflow are in each state. */
export interface Population {
  readonly workflow: string;
  readonly version: string;
  readonly machine: string;
  /** Live runs by id of the state (ancestors included); `other` versions are not in it. */
  readonly states: Readonly<Record<string, number>>;
  /** All runs of this version that are known, by status. */
  readonly statuses: Readonly<Record<RunStatus, number>>;
  /** All runs of other versions that are still open. */
  readonly openInOtherVersions: number;
}

/** `stuck`: partitions stand still, since NATS does not take their journals. */
export type HealthVerdict = "flowing" | "idle" | "held back" | "no worker" | "behind" | "starting" | "stuck" | "disconnected";

/** One line on top of every page. */
export interface HealthView {
  readonly verdict: HealthVerdict;
  /** For people, one sentence. */
  readonly sentence: string;
  readonly at: string;
  readonly live: number;
  readonly waiting: number;
  readonly active: number;
  readonly startsPerMinute: number;
  readonly finishesPerMinute: number;
  readonly slots: { readonly used: number; readonly total: number };
  /** The most pressed groups that hold runs back, at most 3. */
  readonly heldBackBy: readonly { readonly limit: string; readonly key: string; readonly waiting: number }[];
  /** Steps that are ready and that no worker serves. */
  readonly noWorkerFor: readonly { readonly workflow: string; readonly step: string; readonly waiting: number }[];
  /** Facts that the history has not taken in yet. */
  readonly historyBehindMs: number;
  readonly rejected: number;
}

/** Something on `sluice.rejected.>`. */
export interface RejectedView {
  readonly seq: number;
  readonly at: string;
  /** Without the prefix: `events.user.created`, `inbox.3`, … */
  readonly what: string;
  readonly reason: string;
  /** The beginning of it, as text. */
  readonly payload: string;
  readonly bytes: number;
}

export interface BulkItem {
  readonly id: string;
  /** The status afterwards (cancel), or the id of the new run (replay). */
  readonly status?: RunStatus;
  readonly newId?: string;
  readonly error?: { readonly code: string; readonly message: string };
}
