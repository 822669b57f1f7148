/**
 * The state of one partition and everything it decides: runs, groups, timers, positions. Inputs go in one at a time; facts
 * for the journal and effects for the world come out, and nothing here waits, does I/O or reads a clock. The loop around it
 * (partition.ts) writes the facts and carries out the effects once the journal has them. Recovery applies facts through
 * `replayBatch`, without asking a policy and without effects.
 *
 * This file is the door: every input, and who sees to it. The rooms are in core/, by what they own: `Arrivals` (a run's way to its
 * groups), `Admission` (groups and their decisions), `RunLife` (its machine, until its end), `Limits`, `Results`, `KeyQueue`,
 * `Outbox`, `Crons`; `Recovery` and `Snapshots` give all of it back. They share `PartitionState` and write to one `BatchBuilder`.
 */
import { describeRun, type RunDescription } from "../../machines/run/describe.ts";
import type { KeyAnswer, StepResult } from "../protocol/work.ts";
import { Admission } from "./core/admission.ts";
import { Arrivals } from "./core/arrivals.ts";
import { BatchBuilder, type PendingBatch } from "./core/batch-builder.ts";
import { type CronOptions, Crons } from "./core/crons.ts";
import { KeyQueue } from "./core/key-queue.ts";
import { Limits, type SettingsChange } from "./core/limits.ts";
import { Outbox } from "./core/outbox.ts";
import { PartitionClock } from "./core/partition-clock.ts";
import { PartitionState } from "./core/partition-state.ts";
import { Recovery } from "./core/recovery.ts";
import { Results } from "./core/results.ts";
import { RunChanges } from "./core/run-changes.ts";
import { type GroupNews, RunLife } from "./core/run-life.ts";
import type { SlotSource } from "./core/slot-source.ts";
import { Snapshots } from "./core/snapshots.ts";
import type { Batch, Position, SnapshotLine } from "./facts.ts";
import type { Groups, LimitRules } from "./group.ts";
import type { Placement } from "./placement.ts";
import { type Creation, INLINE_INPUT_CHARS, type ReadyStep, type Run, type TimerValue } from "./run.ts";
import type { CompiledWorkflow } from "./workflows.ts";

export interface CoreOptions extends CronOptions {
  readonly partition: number;
  readonly placement: Placement;
  readonly slots: SlotSource;
  /** Rules of a limit that this partition meets for the first time. */
  readonly rulesOf: (limit: string) => LimitRules | undefined;
  /** The most that outputs of one run may take together, in bytes of JSON: a step is handed all that it may read in one message. */
  readonly maxOutputBytes: number;
  /** Time that has really passed, in ms, where that is not what the times tell that are set. */
  readonly elapsed?: () => number;
}

export interface PartitionCounts {
  readonly live: number;
  readonly active: number;
  readonly scheduled: number;
  /** Runs that wait for their keys, by workflow; with the version of the next one. */
  readonly keying: ReadonlyMap<string, { readonly waiting: number; readonly version: string }>;
  readonly startsPerMinute: number;
  readonly finishesPerMinute: number;
}

export class PartitionCore {
  readonly #state: PartitionState;
  readonly #batch: BatchBuilder;
  readonly #keying: KeyQueue;
  readonly #outbox: Outbox;
  readonly #life: RunLife;
  readonly #limits: Limits;
  readonly #admission: Admission;
  readonly #arrivals: Arrivals;
  readonly #results: Results;
  readonly #crons: Crons;
  readonly #recovery: Recovery;
  readonly #snapshots: Snapshots;

  constructor(options: CoreOptions) {
    const { placement, slots, workflows, rulesOf, maxOutputBytes } = options;
    const state: PartitionState = new PartitionState(options.partition, options.elapsed ?? (() => state.now));
    const batch = new BatchBuilder(state);
    const changes = new RunChanges(state, batch);
    const keying = new KeyQueue(state, batch);
    const outbox = new Outbox(state, batch, keying);
    // Groups decide on runs, and runs that end let groups decide again: the two know each other, this way round through an interface.
    const news: GroupNews = { tell: (group, event) => admission.tell(group, event), settle: () => admission.settle() };
    const life = new RunLife(state, batch, changes, keying, news, slots);
    const limits = new Limits(state, batch, news, rulesOf);
    const admission = new Admission(state, batch, changes, limits, life);
    const arrivals = new Arrivals(state, batch, { changes, keying, outbox, admission, life }, placement);
    const crons = new Crons(state, batch, (creation) => arrivals.create(creation), options);
    const rooms = { keying, outbox, crons, limits, admission, life };
    const recovery = new Recovery(state, rooms, workflows, slots);
    this.#state = state;
    this.#batch = batch;
    this.#keying = keying;
    this.#outbox = outbox;
    this.#life = life;
    this.#limits = limits;
    this.#admission = admission;
    this.#arrivals = arrivals;
    this.#results = new Results(state, life, maxOutputBytes);
    this.#crons = crons;
    this.#recovery = recovery;
    this.#snapshots = new Snapshots(state, rooms, recovery);
  }

  // ---------------------------------------------------------------- what is here

  get partition(): number {
    return this.#state.partition;
  }

  get runs(): ReadonlyMap<string, Run> {
    return this.#state.runs;
  }

  get groups(): Groups {
    return this.#state.groups;
  }

  get inboxSeq(): number {
    return this.#state.inboxSeq;
  }

  /** How far each source has been read. */
  get positions(): ReadonlyMap<string, Position> {
    return this.#state.positions;
  }

  /** What there is at the moment, and how much of it happens per minute; at no cost, for those who watch. */
  counts(nowMs: number): PartitionCounts {
    const { runs, active, scheduled, starts, finishes } = this.#state;
    return {
      // One that has moved on is counted where it is.
      live: runs.size - this.#outbox.size,
      active,
      scheduled,
      keying: this.#keying.counts(),
      startsPerMinute: starts.perMinute(nowMs),
      finishesPerMinute: finishes.perMinute(nowMs),
    };
  }

  get nextTimerMs(): number | undefined {
    return this.#state.timers.nextDueMs;
  }

  describe(run: Run): RunDescription | undefined {
    return run.live === undefined ? undefined : describeRun(run.workflow.spec, run.live.snapshot);
  }

  /** The next runs of a workflow that wait for their keys, oldest first, all of one version. */
  keyingHead(workflow: string, max: number): Run[] {
    return this.#keying.head(workflow, max);
  }

  /** The last sequence of this partition's stream up to which no run needs the inbox any more, `seq` at most. */
  oldestInboxRef(stream: string, seq: number): number {
    let last = seq;
    for (const { ref } of this.runs.values())
      if (ref !== undefined && ref.stream === stream && ref.seq <= last) last = ref.seq - 1;
    return last;
  }

  /** The first message of the events stream that a live run still reads its input from. */
  oldestEventRef(eventsStream: string): number {
    let first = Number.MAX_SAFE_INTEGER;
    for (const { event, input, ref } of this.runs.values()) {
      if (input !== undefined && input.length <= INLINE_INPUT_CHARS) continue;
      const seq = ref === undefined ? event?.seq : ref.stream === eventsStream ? ref.seq : undefined;
      if (seq !== undefined && seq < first) first = seq;
    }
    return first;
  }

  // ---------------------------------------------------------------- batches

  /** Characters of JSON that the pending batch has so far. */
  get pendingChars(): number {
    return this.#batch.chars;
  }

  get pending(): boolean {
    return this.#batch.pending;
  }

  /** True when there is something for the journal; effects alone (reads) need no append. */
  get dirty(): boolean {
    return this.#batch.dirty;
  }

  takeBatch(): PendingBatch {
    return this.#batch.take();
  }

  /** Calls back once everything that is decided so far is durable. */
  afterCommit(call: () => void): void {
    this.#batch.effect({ type: "call", call });
  }

  // ---------------------------------------------------------------- inputs

  /** Sets the time of everything that follows by the node's clock, in ms since the epoch. Never goes back. */
  setTime(wallMs: number): void {
    this.#state.setTime(wallMs);
  }

  /** How long it takes, by the node's clock, until something is due, in ms; undefined while nothing is. */
  delayToTimer(wallMs: number): number | undefined {
    const due = this.nextTimerMs;
    return due === undefined ? undefined : PartitionClock.delayTo(due, this.#state.now, wallMs);
  }

  /** The inbox has been read up to here. */
  readInbox(seq: number): void {
    this.#batch.readInbox(seq);
  }

  /**
   * A run from a source. Returns false when the source repeats itself: it is here already. Without a creation there was something
   * that cannot be used.
   */
  accept(source: string, position: Position, creation: Creation | undefined): boolean {
    if (!this.#batch.readSource(source, position)) return false;
    if (creation !== undefined) this.#arrivals.arrive(creation, source);
    return true;
  }

  create(creation: Creation): void {
    this.#arrivals.create(creation);
  }

  /** Results from a worker. Those that nobody waits for are counted as false in the answer, and change nothing. */
  result(result: StepResult): boolean {
    return this.#results.take(result);
  }

  /** The worker did not take the attempt, or is gone (`lost`): the step wants a worker again. */
  giveBack(runId: string, attemptId: string, how: "returned" | "lost"): void {
    this.#results.giveBack(runId, attemptId, how);
  }

  /** A slot was found for a step that waited for one. False when it does not want it any more. */
  assign(step: ReadyStep, worker: string): boolean {
    if (step.run.live?.ready.get(step.step) !== step) return false;
    this.#life.start(step, worker);
    return true;
  }

  /** Cancels a run; unknown and ended ones are left alone (false). */
  cancel(runId: string, reason = "CANCELLED_BY_USER"): boolean {
    const run = this.runs.get(runId);
    if (run === undefined || run.rest?.moved !== undefined) return false;
    this.#life.cancel(run, reason);
    this.#admission.settle();
    return true;
  }

  setRules(limit: string, rules: LimitRules): void {
    this.#limits.setRules(limit, rules);
  }

  /** Settings of one group by its operators; `maxRuns: null` takes the override back. False when no workflow has such a limit. */
  setGroup(limit: string, key: string, change: SettingsChange): boolean {
    return this.#limits.setGroup(limit, key, change);
  }

  /** Answers of a worker to a batch of runs that wait for their keys, in the order of the batch. */
  keyed(answers: KeyAnswer["results"]): void {
    this.#arrivals.keyed(answers);
  }

  /** It has its keys, and waits until it is decided where its groups are. */
  isHeld(run: Run): boolean {
    return this.#keying.held.has(run);
  }

  /** Limits have moved, or don't: the runs that were held for that go to their groups. */
  placeHeld(): void {
    this.#arrivals.placeHeld();
  }

  /** Partition `to` has journaled everything up to `n` of what went there. */
  confirmed(to: number, n: number): void {
    this.#outbox.confirmed(to, n);
  }

  /** Fires what is due at the time that was set. */
  fireTimers(max: number): number {
    const { timers, now } = this.#state;
    let fired = 0;
    for (; fired < max; fired++) {
      const timer = timers.takeDue(now);
      if (timer === undefined) break;
      this.#fire(timer.value);
    }
    return fired;
  }

  #fire(value: TimerValue): void {
    switch (value.kind) {
      case "machine":
        this.#life.timerDue(value);
        return;
      case "scheduled":
        this.#state.timerOver(value.run);
        this.#arrivals.due(value.run);
        return;
      case "expired":
        value.run.timer = undefined;
        this.#life.finish(value.run, "CANCELLED", "SCHEDULING_TIMED_OUT");
        this.#admission.settle();
        return;
      case "cron":
        this.#crons.tick(value.workflow, value.index);
        return;
    }
  }

  /** Keeps the crons of a workflow whose home is here: called for its version in force, after registration and recovery. */
  setCrons(workflow: CompiledWorkflow): void {
    this.#crons.set(workflow);
  }

  // ---------------------------------------------------------------- recovery

  /** Applies what a journal message says. */
  replayBatch(batch: Pick<Batch, "in" | "src" | "f">): void {
    this.#recovery.replayBatch(batch);
  }

  /** After the last replayed fact: takes up again what waits for workers, keys and other partitions. */
  resume(): void {
    this.#recovery.resume();
    this.#arrivals.placeHeld();
  }

  /** The whole state as JSON lines; `replaySnapshotLine` of them gives it back. */
  snapshotLines(): Generator<string> {
    return this.#snapshots.lines();
  }

  /** Applies the lines of a snapshot, the head first. */
  replaySnapshotLine(line: SnapshotLine): void {
    this.#snapshots.replayLine(line);
  }

  /** After the last line of a snapshot: the turns between flows, which the runs alone don't tell. */
  endSnapshot(): void {
    this.#snapshots.end();
  }
}
