/**
 * One partition as its owner has it, from the moment that the cluster's map gives it to this node: the fence is taken up, what was
 * there before is recovered, it runs and reads its inbox, and in the end it is given back in peace or dropped. It knows neither
 * policy nor who else there is.
 */
import type { Logger } from "pino";
import type { Connection } from "../nats/connection.ts";
import { journalMessageBefore, PartitionStream, type SnapshotManifest } from "../nats/partition-stream.ts";
import type { ReadMessage, StreamReader } from "../nats/stream-reader.ts";
import { streamUse } from "../nats/streams.ts";
import type { Names } from "../nats/subjects.ts";
import type { Counters } from "./counters.ts";
import { type Batch, decodeBatch, encodeBatch, type Fact, type SnapshotLine } from "./facts.ts";
import type { HistoryPort } from "./history-port.ts";
import { type EffectHandler, type Input, type Journal, Partition } from "./partition.ts";
import type { PartitionCore } from "./partition-core.ts";
import { PartitionSpace } from "./partition-space.ts";

export interface PartitionHostOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly partition: number;
  /** This node's id. */
  readonly node: string;
  readonly epoch: number;
  readonly core: PartitionCore;
  readonly effects: EffectHandler;
  readonly history: HistoryPort | undefined;
  readonly counters: Counters;
  readonly snapshotEvery: number;
  readonly schedule: (round: () => void) => void;
  readonly pump: () => void;
  /** Resolves when every workflow version that was in force until now is known here: the journal may speak of any of them. */
  readonly prepare: () => Promise<void>;
  /** An input for a message of the inbox. A promise holds back what comes after it, until `isOver`. */
  readonly toInput: (message: ReadMessage, isOver: () => boolean) => Input | Promise<Input>;
  /** Up to here nobody needs the journal and the inbox any more, as far as others know. `isCrowded`: room is wanted. */
  readonly keepFrom: (journalSeq: number, isCrowded: boolean) => number;
  /** What is written is another's: this partition is dropped already. */
  readonly onFenced: () => void;
  /** A journal message that cannot be used. */
  readonly onUnreadable: (message: ReadMessage, error: unknown) => void;
  readonly logger: Logger;
}

/** Undefined for what is none: recovery puts it aside. */
function readBatch(text: string): Batch | undefined {
  try {
    return decodeBatch(text);
  } catch {
    return undefined;
  }
}

/** The journal lacks messages that were acknowledged: what is left of it would be taken for the truth. */
export class JournalGapError extends Error {
  override readonly name = "JournalGapError";

  constructor(partition: number, before: number, after: number) {
    super(`the journal of partition ${partition} is not whole: after message ${before} comes one that follows ${after}`);
  }
}

/** Recovery was given up: the partition is another's, or the node ends. */
export class NotOwnerError extends Error {
  override readonly name = "NotOwnerError";
}

export class PartitionHost {
  readonly partition: Partition;
  readonly stream: PartitionStream;
  readonly #options: PartitionHostOptions;
  readonly #space: PartitionSpace;
  /** What the newest snapshot lets go of, as far as others don't need it: before this journal message, and up to this inbox message. */
  #done: { readonly journalSeq: number; readonly inboxSeq: number } | undefined = undefined;
  #inbox: StreamReader | undefined = undefined;
  #mode: "recovering" | "running" | "over" = "recovering";

  constructor(options: PartitionHostOptions) {
    this.#options = options;
    const { connection, names, partition, core, effects, logger } = options;
    this.stream = new PartitionStream({ connection, names, partition, logger });
    this.#space = new PartitionSpace({
      use: () => streamUse(connection, this.stream.stream),
      letGo: () => this.#letGo(),
      logger,
    });
    this.partition = new Partition({
      core,
      journal: this.#journal(),
      effects,
      now: () => Date.now(),
      logger,
      maxPayloadBytes: connection.maxPayload,
      snapshotEvery: options.snapshotEvery,
      wantsSnapshot: () => this.#space.wantsSnapshot,
      pump: options.pump,
      schedule: options.schedule,
      counters: options.counters,
      epoch: options.epoch,
      onFenced: () => {
        this.drop();
        options.onFenced();
      },
    });
  }

  get number(): number {
    return this.#options.partition;
  }

  get epoch(): number {
    return this.#options.epoch;
  }

  /** Takes the fence up and recovers. Rejects with NotOwnerError where the partition is another's meanwhile. */
  async recover(): Promise<void> {
    await this.#claim();
    await this.#options.prepare();
    const manifest = await this.stream.manifest();
    await this.#replay(manifest);
    // An earlier owner that lives still may have written a snapshot and let go of what lies behind it while this read.
    if ((await this.stream.manifest())?.journalSeq !== manifest?.journalSeq)
      throw new Error("an earlier owner wrote a snapshot meanwhile; the partition is recovered anew");
  }

  /** Takes up work. */
  start(): void {
    if (this.#mode !== "recovering") return;
    this.#mode = "running";
    const { partition } = this;
    partition.start(this.stream.lastJournalSeq);
    this.#space.start();
  }

  /** Reads the inbox, from what was applied last. After everything that recovery wants done was enqueued. */
  readInbox(): void {
    if (this.#mode !== "running") return;
    const { partition } = this;
    this.#inbox = this.stream.readInbox(partition.core.inboxSeq, (message) => {
      this.#space.written(message.data.length);
      const input = this.#options.toInput(message, () => this.#mode === "over");
      if (!(input instanceof Promise)) {
        partition.enqueue(input);
        return partition.room();
      }
      return input.then((ready) => {
        partition.enqueue(ready);
        return partition.room();
      });
    });
    this.#inbox.start();
  }

  /** Finishes what is in flight, writes a snapshot, ends. */
  async giveBack(): Promise<void> {
    if (this.#mode === "over") return;
    const running = this.#mode === "running";
    this.#mode = "over";
    await this.#inbox?.stop();
    if (running) await this.partition.stop();
    else this.partition.abandon();
    this.#space.stop();
    this.stream.stop();
  }

  /** Drops the state at once, without a word to anyone, also in the midst of giving back: that ends then. */
  drop(): void {
    this.#mode = "over";
    this.partition.abandon();
    this.#space.stop();
    this.stream.stop();
    void this.#inbox?.stop();
  }

  /** Ends attempts that wait for a server that is away. */
  giveUp(): void {
    this.stream.stop();
  }

  /** The first thing that a new owner writes: from then on whatever an earlier one sends is refused. */
  async #claim(): Promise<void> {
    const { node, epoch } = this.#options;
    for (;;) {
      const last = await this.stream.open();
      // A later owner writes its epoch before all else; and what it writes after this look makes the append below fail.
      const before = last === undefined ? undefined : readBatch(last);
      if ((before?.e ?? 0) > epoch) throw new NotOwnerError(`partition ${this.number} is another node's`);
      const fact: Fact = { k: "owner", at: Date.now(), node, epoch };
      const { outcome } = await this.stream.append(encodeBatch(before?.in ?? 0, undefined, [JSON.stringify(fact)], epoch));
      if (outcome === "committed") return;
      if (outcome === "stopped") throw new NotOwnerError("the node ends");
    }
  }

  async #replay(manifest: SnapshotManifest | undefined): Promise<void> {
    const { core, history, partition: number, onUnreadable } = this.#options;
    const recorded = (await history?.position(number)) ?? Infinity;
    if (manifest !== undefined) {
      const lines: string[] = [];
      await this.stream.readSnapshot(manifest, (line) => {
        core.replaySnapshotLine(JSON.parse(line) as SnapshotLine);
        if (recorded < manifest.journalSeq) lines.push(line);
      });
      core.endSnapshot();
      if (lines.length > 0) history?.applySnapshot(number, manifest.journalSeq, lines);
    }
    const from = manifest?.journalSeq ?? 0;
    let before = from;
    let textBefore = "";
    await this.stream.readJournal(Math.min(from, recorded), (message) => {
      const text = Buffer.from(message.data).toString();
      if (message.seq > from) {
        // Each message names the one that it was written after: what a server has lost, or a reader passed over, shall not go unnoticed.
        const after = journalMessageBefore(message) ?? before;
        if (after > before) throw new JournalGapError(number, before, after);
        // Replicas of nats-server 2.9.10 check that name too early: what was sent twice may stand there twice.
        const isRepeated = after < before && text === textBefore;
        before = message.seq;
        textBefore = text;
        if (isRepeated) return;
      }
      try {
        if (message.seq > from) core.replayBatch(decodeBatch(text));
        if (message.seq > recorded) history?.apply(number, message.seq, text);
      } catch (error) {
        onUnreadable(message, error);
      }
    });
  }

  #journal(): Journal {
    return {
      append: async (text) => {
        const appended = await this.stream.append(text);
        if (appended.outcome === "committed") this.#space.written(text.length);
        return appended;
      },
      snapshot: async (lines, journalSeq, inboxSeq) => {
        const { core, names, partition: number } = this.#options;
        const done = { journalSeq, inboxSeq: core.oldestInboxRef(names.partitionStream(number), inboxSeq) };
        this.#space.beginSnapshot(lines);
        if (!(await this.stream.writeSnapshot(lines, journalSeq, inboxSeq))) return;
        this.#done = done;
        await this.#letGo();
      },
    };
  }

  /** What lies before the newest snapshot goes, unless a history or a run needs it. */
  async #letGo(): Promise<void> {
    if (this.#done === undefined) return;
    const { history, logger } = this.#options;
    const { isCrowded } = this.#space;
    // It syncs its file every few seconds, and what it has not there it may need again.
    if (isCrowded)
      await history?.sync().catch((error: unknown) => {
        logger.debug({ err: error, partition: this.number }, "the history could not be synced to make room in a stream");
      });
    await this.stream.purge(this.#options.keepFrom(this.#done.journalSeq, isCrowded), this.#done.inboxSeq);
  }
}
