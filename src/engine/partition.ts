/**
 * The loop of one partition: takes what has arrived, lets the core decide, writes one journal message for all of it, and
 * carries out the effects once the journal has them. One append is in flight; while it is, the next batch grows. It owns the
 * core: nobody else changes it.
 */
import type { Logger } from "pino";
import { type Clock, systemClock } from "../clock.ts";
import type { Command, TransferCommand } from "../protocol/commands.ts";
import type { KeyAnswer, StepResult } from "../protocol/work.ts";
import type { Effect, PendingBatch } from "./core/batch-builder.ts";
import type { Counters } from "./counters.ts";
import { type Batch, encodeBatch, type Position, type SnapshotLine } from "./facts.ts";
import type { LimitRules } from "./group.ts";
import type { PartitionCore } from "./partition-core.ts";
import { Lane } from "./lane.ts";
import type { Creation, ReadyStep } from "./run.ts";
import type { CompiledWorkflow } from "./workflows.ts";

/** Where a partition's facts go and come from. JetStream in production, memory in the test kit. */
export interface Journal {
  /** Appends one message. Resolves once it is known to be durable, or that another owner has written. Called one at a time. */
  append(
    text: string,
  ): Promise<
    { readonly outcome: "committed"; readonly seq: number } | { readonly outcome: "fenced" } | { readonly outcome: "stopped" }
  >;
  /** Stores a snapshot taken after journal message `journalSeq`, and lets go of what lies before it. */
  snapshot(lines: readonly string[], journalSeq: number, inboxSeq: number): Promise<void>;
}

/** What carries out effects. Called only after the journal has the batch. */
export interface EffectHandler {
  handle(partition: Partition, effect: Effect): void;
  /** All effects of a batch were handed over: what was collected can be sent. */
  flush(): void;
  /** A batch is durable: for the history, which gets the text as it is in the journal. */
  committed(partition: Partition, seq: number, text: string): void;
}

export type Input =
  | {
      readonly type: "creation";
      readonly source: string;
      readonly position: Position;
      readonly creation: Creation;
      readonly accepted?: (() => void) | undefined;
    }
  | {
      readonly type: "command";
      readonly seq: number;
      readonly command: Exclude<Command, TransferCommand> | undefined;
      readonly bytes: number;
      readonly toCreation: ToCreation;
      readonly applied: () => void;
    }
  /** Creations of a source that came through the inbox. One without a creation cannot be used; its position counts all the same. */
  | {
      readonly type: "transfer";
      readonly seq: number;
      readonly source: string;
      readonly items: readonly { readonly position: Position; readonly creation: Creation | undefined }[];
      readonly bytes: number;
      readonly applied: () => void;
    }
  | { readonly type: "assign"; readonly step: ReadyStep; readonly worker: string; readonly refused: () => void }
  | { readonly type: "give back"; readonly run: string; readonly attemptId: string; readonly how: "returned" | "lost" }
  | { readonly type: "keyed"; readonly answer: KeyAnswer; readonly done: () => void }
  | { readonly type: "confirmed"; readonly to: number; readonly n: number }
  | { readonly type: "rules"; readonly limit: string; readonly rules: LimitRules }
  | { readonly type: "crons"; readonly workflow: CompiledWorkflow }
  /** Limits have moved, or don't: runs that were held for that go on. */
  | { readonly type: "homes" }
  /** Reads: called with the core once everything before it is durable. */
  | { readonly type: "read"; readonly read: (core: PartitionCore) => void };

/** Makes a run of a create command; undefined (and a word in the log) for a workflow that is not known. */
export type ToCreation = (command: Extract<Command, { type: "create" }>, seq: number) => Creation | undefined;

export interface PartitionOptions {
  readonly core: PartitionCore;
  readonly journal: Journal;
  readonly effects: EffectHandler;
  readonly now: () => number;
  /** Default: real timers. */
  readonly setTimer?: Clock["setTimer"];
  /** Of this owner; goes into each journal message. */
  readonly epoch?: number;
  readonly logger: Logger;
  /** The server's largest message, in bytes. */
  readonly maxPayloadBytes: number;
  /** Facts between two snapshots, at least; also at least as many as there are runs, so that snapshots cost a constant share. */
  readonly snapshotEvery: number;
  /** Asked before each append: a snapshot is due after it, whatever the number of facts. */
  readonly wantsSnapshot?: () => boolean;
  /** Frees and assigns slots after each round of inputs. */
  readonly pump: () => void;
  /** Runs a round soon. Under load, the later the better: the more has arrived by then, the more goes into one journal message. */
  readonly schedule?: (round: () => void) => void;
  /** Where appends are counted. */
  readonly counters?: Counters;
  /** Another owner has written: the state is worthless from here on. */
  readonly onFenced: () => void;
}

/** Characters of facts after which a batch is closed. */
const BATCH_CHARS = 128 * 1024;
/** New runs that are looked at before there is another look for news. */
const ARRIVALS_PER_ROUND = 200;
/** Inputs that wait before senders are asked to hold back … */
const CROWDED = 20_000;
/** … and bytes of those that are not durable yet: what is in a batch is held as well, since senders keep it until the journal has it. */
const CROWDED_BYTES = 8 * 1024 * 1024;
const MAX_TIMER_MS = 2 ** 31 - 1;

export class Partition {
  readonly core: PartitionCore;
  readonly #options: PartitionOptions;
  /** News of runs that are here, and questions: these go first … */
  readonly #news = new Lane<Input>();
  /** … and new runs after them, a few at a time: a flood of events must not keep finished steps from freeing their slots. */
  readonly #arrivals = new Lane<Input>();
  /** Parts of the first input that were applied already, where a batch was closed in the midst of them. */
  #partsDone = 0;
  /** Of inputs that are not durable yet: of all, and of those in the pending batch. */
  #heldBytes = 0;
  #batchBytes = 0;
  #scheduled = false;
  #appending = false;
  readonly #defer: (round: () => void) => void;
  readonly #runRound = (): void => this.#round();
  #mode: "idle" | "running" | "stopping" | "stopped" = "idle";
  readonly #setTimer: Clock["setTimer"];
  /** Takes the timer back that is set. */
  #cancelTimer: (() => void) | undefined = undefined;
  #timerDueMs = Infinity;
  #factsSinceSnapshot = 0;
  #snapshotting: Promise<void> | undefined = undefined;
  #journalSeq = 0;
  #roomWaiters: (() => void)[] = [];
  #quietWaiters: (() => void)[] = [];
  #committedSources = new Map<string, Position>();

  constructor(options: PartitionOptions) {
    this.core = options.core;
    this.#options = options;
    this.#defer = options.schedule ?? queueMicrotask;
    this.#setTimer = options.setTimer ?? systemClock.setTimer;
  }

  get number(): number {
    return this.core.partition;
  }

  /** Takes up work after recovery. `journalSeq`: the last message that the core has seen. */
  start(journalSeq: number): void {
    if (this.#mode !== "idle") return;
    this.#mode = "running";
    this.#journalSeq = journalSeq;
    for (const [source, position] of this.core.positions) this.#committedSources.set(source, position);
    this.core.setTime(this.#options.now());
    this.core.resume();
    this.#schedule();
  }

  /** Finishes what is in flight, writes a snapshot, ends. Idempotent. */
  async stop({ snapshot = true } = {}): Promise<void> {
    if (this.#mode === "stopped") return;
    if (this.#mode === "running") {
      this.#mode = "stopping";
      this.#cancelTimer?.();
      await this.#quiet();
      await this.#snapshotting;
      // Abandoned meanwhile, it holds what no journal has: a snapshot of that would be taken for the truth by the next owner.
      if (snapshot && !this.#isStopped && this.#factsSinceSnapshot > 0)
        await this.#writeSnapshot([...this.core.snapshotLines()], this.#journalSeq, this.core.inboxSeq);
    }
    this.#mode = "stopped";
  }

  /** Drops the state at once, without a word to anyone: another owner has it. */
  abandon(): void {
    this.#mode = "stopped";
    this.#cancelTimer?.();
    this.#news.clear();
    this.#arrivals.clear();
    this.#heldBytes = this.#batchBytes = 0;
    for (const waiter of [...this.#roomWaiters.splice(0), ...this.#quietWaiters.splice(0)]) waiter();
  }

  enqueue(input: Input): void {
    if (this.#mode === "stopped" || (this.#mode === "stopping" && input.type !== "read")) return;
    (input.type === "creation" ? this.#arrivals : this.#news).push(input);
    this.#heldBytes += sizeOf(input);
    this.#schedule();
  }

  /** Resolves when there is room for more inputs; undefined when there is already. */
  room(): Promise<void> | undefined {
    if (!this.#crowded(1) || this.#mode === "stopped") return undefined;
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /** How far a source's creations are durable here. */
  committedPosition(source: string): Position | undefined {
    return this.#committedSources.get(source);
  }

  /** Runs `read` on the core's state once everything that was sent before is durable. */
  read<T>(read: (core: PartitionCore) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.enqueue({
        type: "read",
        read: (core) => {
          try {
            resolve(read(core));
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        },
      });
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#defer(this.#runRound);
  }

  #round(): void {
    this.#scheduled = false;
    if (this.#mode === "stopped" || this.#mode === "idle") return;
    const { core, now } = this.#options;
    core.setTime(now());
    let more = this.#mode === "running" && core.fireTimers(10_000) === 10_000;
    const open = this.#take(this.#news, Infinity) && this.#take(this.#arrivals, ARRIVALS_PER_ROUND);
    // A batch that is full goes on when the journal has the one before.
    if (this.#waiting > 0 && (open || !this.#appending)) more = true;
    this.#options.pump();
    if (!this.#appending) this.#commit();
    if (this.#roomWaiters.length > 0 && !this.#crowded(0.5)) for (const waiter of this.#roomWaiters.splice(0)) waiter();
    if (more) this.#schedule();
    this.#armTimer();
    if (!this.#appending && this.#waiting === 0 && !core.pending) for (const waiter of this.#quietWaiters.splice(0)) waiter();
  }

  get #isStopped(): boolean {
    return this.#mode === "stopped";
  }

  get #waiting(): number {
    return this.#news.length + this.#arrivals.length;
  }

  #crowded(share: number): boolean {
    return this.#waiting >= CROWDED * share || this.#heldBytes >= CROWDED_BYTES * share;
  }

  /** Applies inputs from a lane; false when the batch is full. */
  #take(lane: Lane<Input>, max: number): boolean {
    for (let taken = 0; taken < max; taken++) {
      const input = lane.first;
      if (input === undefined) return true;
      if (!this.#fits(input) || !this.#apply(input)) return false;
      lane.drop();
      this.#batchBytes += sizeOf(input);
    }
    return true;
  }

  /** A batch has to stay below the server's largest message. */
  #fits(input: Input): boolean {
    const { core, maxPayloadBytes } = this.#options;
    if (core.pendingChars === 0) return true;
    if (core.pendingChars > BATCH_CHARS) return false;
    return (
      (input.type !== "command" && input.type !== "transfer") ||
      input.bytes * 1.2 + core.pendingChars * 3 + 8_192 < maxPayloadBytes
    );
  }

  /** False when the batch is full in the midst of the input. */
  #apply(input: Input): boolean {
    const { core, logger } = this.#options;
    switch (input.type) {
      case "creation":
        core.accept(input.source, input.position, input.creation);
        if (input.accepted !== undefined) core.afterCommit(input.accepted);
        return true;
      case "command":
        if (input.command?.type === "results") {
          if (!this.#applyResults(input.command.results)) return false;
        } else if (input.command !== undefined) this.#applyCommand(input.command, input.seq, input.toCreation);
        core.readInbox(input.seq);
        core.afterCommit(input.applied);
        return true;
      case "transfer":
        // One by one: what was read of the inbox counts once all of them are in, and those that are repeated then are ignored.
        while (this.#partsDone < input.items.length) {
          if (core.pendingChars > BATCH_CHARS) return false;
          const item = input.items[this.#partsDone++];
          if (item !== undefined) core.accept(input.source, item.position, item.creation);
        }
        this.#partsDone = 0;
        core.readInbox(input.seq);
        core.afterCommit(input.applied);
        return true;
      case "assign":
        if (!core.assign(input.step, input.worker)) input.refused();
        return true;
      case "give back":
        core.giveBack(input.run, input.attemptId, input.how);
        return true;
      case "keyed":
        core.keyed(input.answer.results);
        core.afterCommit(input.done);
        return true;
      case "confirmed":
        core.confirmed(input.to, input.n);
        return true;
      case "rules":
        core.setRules(input.limit, input.rules);
        return true;
      case "crons":
        core.setCrons(input.workflow);
        return true;
      case "homes":
        core.placeHeld();
        return true;
      case "read":
        core.afterCommit(() => input.read(core));
        return true;
    }
    logger.error({ partition: this.number, input }, "an input of an unknown kind was left alone");
    return true;
  }

  #applyResults(results: readonly StepResult[]): boolean {
    const { core, logger } = this.#options;
    while (this.#partsDone < results.length) {
      if (core.pendingChars > BATCH_CHARS) return false;
      const result = results[this.#partsDone++];
      if (result === undefined) continue;
      if (!core.result(result))
        logger.debug(
          { partition: this.number, runId: result.run, step: result.step, attemptId: result.attemptId, worker: result.worker },
          "a result that nobody waits for was left alone",
        );
    }
    this.#partsDone = 0;
    return true;
  }

  #applyCommand(command: Exclude<Command, { type: "results" | "transfer" }>, seq: number, toCreation: ToCreation): void {
    switch (command.type) {
      case "create": {
        const creation = toCreation(command, seq);
        if (creation !== undefined) this.core.create(creation);
        return;
      }
      case "cancel":
        this.core.cancel(command.run, command.reason);
        return;
      case "group":
        this.core.setGroup(command.limit, command.key, {
          ...(command.maxRuns !== undefined && { maxRuns: command.maxRuns }),
          ...(command.paused !== undefined && { paused: command.paused }),
        });
        return;
    }
  }

  #commit(): void {
    const { core } = this.#options;
    const inputBytes = this.#batchBytes;
    this.#batchBytes = 0;
    if (!core.dirty) this.#heldBytes -= inputBytes;
    if (!core.pending) return;
    if (!core.dirty) {
      this.#carryOut(core.takeBatch());
      return;
    }
    const batch = core.takeBatch();
    const text = encodeBatch(batch.inboxSeq, batch.sources, batch.facts, this.#options.epoch);
    this.#factsSinceSnapshot += batch.facts.length;
    // Taken here, between two batches: the state is exactly what the journal says up to this message.
    const { snapshotEvery, wantsSnapshot } = this.#options;
    const due =
      this.#snapshotting === undefined &&
      (this.#factsSinceSnapshot >= Math.max(snapshotEvery, core.runs.size) || wantsSnapshot?.() === true);
    const lines = due ? [...core.snapshotLines()] : undefined;
    this.#appending = true;
    void this.#append(batch, text, lines, inputBytes);
  }

  async #append(batch: PendingBatch, text: string, snapshot: readonly string[] | undefined, inputBytes: number): Promise<void> {
    const { journal, effects, logger, counters } = this.#options;
    const began = performance.now();
    const result = await journal.append(text);
    this.#appending = false;
    if (this.#mode === "stopped") return;
    if (result.outcome === "stopped") return this.abandon();
    if (result.outcome === "fenced") {
      logger.warn({ partition: this.number }, "another engine node has taken this partition over; its state is dropped here");
      this.abandon();
      this.#options.onFenced();
      return;
    }
    if (counters !== undefined) {
      counters.appendSeconds.record((performance.now() - began) / 1_000);
      counters.appendFacts.record(batch.facts.length);
      counters.appendedChars += text.length;
    }
    this.#journalSeq = result.seq;
    this.#heldBytes -= inputBytes;
    for (const [source, position] of Object.entries(batch.sources ?? {})) this.#committedSources.set(source, position);
    this.#carryOut(batch);
    effects.committed(this, result.seq, text);
    if (snapshot !== undefined)
      this.#snapshotting = this.#writeSnapshot(snapshot, result.seq, batch.inboxSeq).finally(
        () => (this.#snapshotting = undefined),
      );
    this.#schedule();
  }

  #carryOut(batch: PendingBatch): void {
    const { effects, logger } = this.#options;
    for (const effect of batch.effects) {
      try {
        if (effect.type === "call") effect.call();
        else effects.handle(this, effect);
      } catch (error) {
        logger.error({ err: error, partition: this.number, effect: effect.type }, "an effect could not be carried out");
      }
    }
    effects.flush();
  }

  async #writeSnapshot(lines: readonly string[], journalSeq: number, inboxSeq: number): Promise<void> {
    this.#factsSinceSnapshot = 0;
    try {
      await this.#options.journal.snapshot(lines, journalSeq, inboxSeq);
    } catch (error) {
      this.#options.logger.warn(
        { err: error, partition: this.number },
        "a snapshot could not be written; the journal is kept until the next one",
      );
    }
  }

  #armTimer(): void {
    if (this.#mode !== "running") return;
    const due = this.core.nextTimerMs ?? Infinity;
    if (due === this.#timerDueMs && this.#cancelTimer !== undefined) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#timerDueMs = due;
    if (due === Infinity) return;
    this.#cancelTimer = this.#setTimer(
      () => {
        this.#cancelTimer = undefined;
        this.#schedule();
      },
      Math.min(Math.max(0, due - this.#options.now()), MAX_TIMER_MS),
    );
  }

  #quiet(): Promise<void> {
    if (!this.#appending && this.#waiting === 0 && !this.core.pending) return Promise.resolve();
    this.#schedule();
    return new Promise((resolve) => this.#quietWaiters.push(resolve));
  }
}

/** As far as it grows with what users send. */
function sizeOf(input: Input): number {
  if (input.type === "creation") return input.creation.input?.length ?? 0;
  return input.type === "command" || input.type === "transfer" ? input.bytes : 0;
}

/** Feeds a core what its journal holds. What cannot be applied is reported and passed over. */
export function replayJournal(core: PartitionCore, batch: Batch): void {
  core.replayBatch(batch);
}

/** Feeds a core the lines of its snapshot. */
export function replaySnapshot(core: PartitionCore, line: string): void {
  core.replaySnapshotLine(JSON.parse(line) as SnapshotLine);
}
