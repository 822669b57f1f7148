/**
 * A run as its partition holds it. A run that waits is one small object (100,000 of them must fit); only an active one has
 * a machine snapshot, its recorded events and its attempts. It knows nothing of NATS, and changes only through its
 * partition.
 */
import type { Entry } from "../../machines/group/contract.ts";
import type { ErrorData, EventRef, PayloadRef } from "../protocol/work.ts";
import type { MachineSnapshot } from "../step/stepper.ts";
import type { MachineEvent, Phase } from "./facts.ts";
import type { Group } from "./group.ts";
import type { Timer } from "./timer-queue.ts";
import type { CompiledWorkflow } from "./workflows.ts";

/** Payloads up to this many characters of JSON stay in memory while a run waits; larger ones are read again from their stream. */
export const INLINE_INPUT_CHARS = 512;

/** How a run comes to be: everything that is known of it before any decision. */
export interface Creation {
  readonly run: string;
  readonly workflow: CompiledWorkflow;
  readonly createdAt: number;
  /** The input as JSON text. Absent where only `ref` is known. */
  readonly input?: string;
  /** Where the input can be read again. Always given with inputs of more than INLINE_INPUT_CHARS. */
  readonly ref?: PayloadRef;
  readonly keys?: readonly string[];
  readonly priority?: number;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly event?: EventRef;
  /** Start no earlier than this, ms since the epoch. */
  readonly notBefore?: number;
  readonly replayOf?: string;
  readonly traceparent?: string;
  /** Its keys could not be computed where its input was at hand: it fails as soon as it is created. */
  readonly failure?: ErrorData;
}

/** What a partition's timers tell it: an event for a run's machine, a run's own deadline, or a cron tick. */
export type TimerValue =
  | {
      readonly kind: "machine";
      readonly run: Run;
      readonly id: string;
      readonly event: MachineEvent;
      /** Not before this, by `PartitionState.elapsed`, whatever a clock says. */
      readonly notBeforeMs?: number;
    }
  | { readonly kind: "scheduled"; readonly run: Run }
  | { readonly kind: "expired"; readonly run: Run }
  | { readonly kind: "cron"; readonly workflow: string; readonly index: number };

/** One execution of a step, from the hand-over to a worker until its outcome is known. */
export interface Attempt {
  readonly id: string;
  readonly step: string;
  readonly worker: string;
  readonly number: number;
  readonly assignedAt: number;
  /** The outcome is known (or nobody waits for it any more): its slot is free. */
  over: boolean;
  /** By the worker's clock. */
  startedAt?: number;
  finishedAt?: number;
}

/** A step that wants a worker, as the dispatcher sees it. Ordered like its run within its flow. */
export interface ReadyStep {
  readonly partition: number;
  readonly run: Run;
  readonly step: string;
  /** Workflow and step: what a worker must serve. */
  readonly handler: string;
  readonly priority: number;
  /** Within its flow: of the run in its group; without a group, when the run was created (its flow is in all partitions). */
  readonly order: number;
  readonly flow: string;
  readonly since: number;
}

/** Most runs never have one entry, and a map of its own costs each of them more than all else. */
const NONE: ReadonlyMap<string, never> = new Map<string, never>();

/** What an active run has beyond a waiting one. */
export class LiveRun {
  snapshot: MachineSnapshot;
  /** Everything that its machine was fed after `run.admitted`: from these it is rebuilt. */
  readonly events: { readonly at: number; readonly ev: MachineEvent }[] = [];
  /** By id; change it with `setTimer` and `deleteTimer`. */
  timers: ReadonlyMap<string, Timer<TimerValue>> = NONE;
  readonly attempts = new Map<string, Attempt>();
  /** By step; change it with `setReady` and `deleteReady`. */
  ready: ReadonlyMap<string, ReadyStep> = NONE;
  /** Executions so far, over all steps: makes attempt ids unique. */
  executions = 0;
  admittedAt: number;
  started = false;

  constructor(snapshot: MachineSnapshot, admittedAt: number) {
    this.snapshot = snapshot;
    this.admittedAt = admittedAt;
  }

  setTimer(id: string, timer: Timer<TimerValue>): void {
    this.timers = withEntry(this.timers, id, timer);
  }

  deleteTimer(id: string): void {
    if (this.timers !== NONE) (this.timers as Map<string, Timer<TimerValue>>).delete(id);
  }

  setReady(step: string, ready: ReadyStep): void {
    this.ready = withEntry(this.ready, step, ready);
  }

  deleteReady(step: string): void {
    if (this.ready !== NONE) (this.ready as Map<string, ReadyStep>).delete(step);
  }
}

function withEntry<V>(map: ReadonlyMap<string, V>, key: string, value: V): ReadonlyMap<string, V> {
  return map === NONE ? new Map([[key, value]]) : (map as Map<string, V>).set(key, value);
}

const NO_GROUPS: readonly Group[] = [];

export class Run implements Entry {
  /** Its id. */
  readonly run: string;
  readonly workflow: CompiledWorkflow;
  readonly createdAt: number;
  readonly priority: number;
  /** Place of arrival among the runs of the partition; set when it arrives at its groups. */
  order = 0;
  flow = "";
  gated = false;
  phase: Phase;
  groups: readonly Group[] = NO_GROUPS;
  input: string | undefined;
  ref: PayloadRef | undefined;
  /** The event that started it, apart: an object for each of 100,000 would be a tenth of their memory. */
  readonly #eventName: string | undefined;
  readonly #eventSeq: number;
  /** What few runs have, apart, so that most of them stay small. */
  rest: RunRest | undefined;
  live: LiveRun | undefined = undefined;
  timer: Timer<TimerValue> | undefined = undefined;

  constructor(creation: Creation, phase: Phase) {
    this.run = creation.run;
    this.workflow = creation.workflow;
    this.createdAt = creation.createdAt;
    this.priority = creation.priority ?? 0;
    this.phase = phase;
    this.input = creation.input;
    this.ref = creation.ref;
    this.#eventName = creation.event?.name;
    this.#eventSeq = creation.event?.seq ?? 0;
    const { metadata, notBefore, replayOf, traceparent } = creation;
    this.rest =
      metadata === undefined && notBefore === undefined && replayOf === undefined && traceparent === undefined
        ? undefined
        : {
            ...(metadata && { metadata }),
            ...(notBefore !== undefined && { notBefore }),
            ...(replayOf && { replayOf }),
            ...(traceparent && { traceparent }),
          };
  }

  /** The event that started it. A new object each time. */
  get event(): EventRef | undefined {
    return this.#eventName === undefined ? undefined : { name: this.#eventName, seq: this.#eventSeq };
  }

  /** The keys that it holds or waits for; empty before it has arrived at its groups. */
  get keys(): readonly string[] {
    return this.groups.map((group) => group.key);
  }

  /** The input is large, and can be read again from where it came. */
  get inputIsElsewhere(): boolean {
    return (
      this.input !== undefined &&
      this.input.length > INLINE_INPUT_CHARS &&
      (this.ref !== undefined || this.#eventName !== undefined)
    );
  }

  /** Large inputs are read again when they are needed. */
  dropLargeInput(): void {
    if (this.inputIsElsewhere) this.input = undefined;
  }
}

export interface RunRest {
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly notBefore?: number;
  readonly replayOf?: string;
  readonly traceparent?: string;
  /** Keys that were computed before the run could arrive at its groups. */
  readonly keys?: readonly string[];
  /** It has gone to that partition as the nth from here; kept until that partition has it in its journal. */
  readonly moved?: { readonly to: number; readonly n: number };
}
