/**
 * The stream of one partition: its journal, written under the fence; its inbox; its snapshots. The one place that knows how
 * they lie in JetStream. Ownership is not its business: whoever writes with a stale sequence is refused by the server.
 */
import type { Logger } from "pino";
import { isStreamFullError } from "../errors.ts";
import { isJetStreamRefusedError } from "./ack-publisher.ts";
import type { Connection } from "./connection.ts";
import { purgeBelow } from "./streams.ts";
import { type ReadMessage, StreamReader } from "./stream-reader.ts";
import type { Names } from "./subjects.ts";

/** What became of an append: durable at `seq`, or another owner has written (then this one must drop the partition). */
export type AppendOutcome =
  | { readonly outcome: "committed"; readonly seq: number }
  | { readonly outcome: "fenced" }
  | { readonly outcome: "stopped" };

/** Where the newest snapshot is, and which positions it stands for. */
export interface SnapshotManifest {
  readonly v: 1;
  /** The journal message after which the state was taken. */
  readonly journalSeq: number;
  readonly inboxSeq: number;
  /** Stream sequences of its first and last data message. */
  readonly dataFrom: number;
  readonly dataTo: number;
  readonly chunks: number;
  readonly runs: number;
  readonly at: string;
}

const FENCED = 10071;
const FENCE_HEADER = "Nats-Expected-Last-Subject-Sequence";
const RETRY_MS = 200;
/** A read without news for so long is looked into. */
const STALL_MS = 5_000;
const REFUSAL_LOG_EVERY_MS = 5_000;
const NEWLINE = 0x0a;

export interface PartitionStreamOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly partition: number;
  readonly logger: Logger;
}

interface StoredMessage {
  readonly seq: number;
  readonly data: Uint8Array;
}

export class PartitionStream {
  readonly stream: string;
  readonly #connection: Connection;
  readonly #names: Names;
  readonly #partition: number;
  readonly #logger: Logger;
  /** Sequence of the last message of the journal: the fence. */
  #lastJournalSeq = 0;
  #lastManifestSeq = 0;
  #refusedSince: number | undefined = undefined;
  #refusalLoggedAt = -Infinity;
  #stopped = false;
  /** What ends each read under way. */
  readonly #reads = new Set<(error: Error) => void>();

  constructor({ connection, names, partition, logger }: PartitionStreamOptions) {
    this.#connection = connection;
    this.#names = names;
    this.#partition = partition;
    this.#logger = logger;
    this.stream = names.partitionStream(partition);
  }

  get lastJournalSeq(): number {
    return this.#lastJournalSeq;
  }

  /** Ends attempts that wait for the server, and reads under way: these reject. */
  stop(): void {
    this.#stopped = true;
    for (const fail of this.#reads) fail(new Error(`reading ${this.stream} was stopped`));
  }

  /** Finds the end of the journal, and with it takes up the fence. Gives what stands there; undefined for an empty journal. */
  async open(): Promise<string | undefined> {
    const last = await this.#last(this.#names.journal(this.#partition));
    this.#lastJournalSeq = last?.seq ?? 0;
    return last && Buffer.from(last.data).toString();
  }

  /** Where the newest snapshot is now. A purge of the journal always comes after the manifest of the snapshot that it follows. */
  async manifest(): Promise<SnapshotManifest | undefined> {
    const manifest = await this.#last(this.#names.snapshotManifest(this.#partition));
    this.#lastManifestSeq = manifest?.seq ?? 0;
    if (manifest === undefined) return undefined;
    const parsed = JSON.parse(Buffer.from(manifest.data).toString()) as SnapshotManifest;
    if (parsed.v !== 1) throw new TypeError(`expected a snapshot manifest of version 1, got ${String(parsed.v)}`);
    return parsed;
  }

  /**
   * Appends one message to the journal. Resolves only when the outcome is known: through a lost acknowledgement it reads the
   * journal's end and finds out. One at a time.
   */
  async append(text: string): Promise<AppendOutcome> {
    const subject = this.#names.journal(this.#partition);
    const expected = this.#lastJournalSeq;
    for (let attempt = 0; !this.#stopped; attempt++) {
      try {
        const ack = await this.#connection.publishAcked(subject, text, { headers: { [FENCE_HEADER]: String(expected) } });
        this.#lastJournalSeq = ack.seq;
        this.#accepted();
        return { outcome: "committed", seq: ack.seq };
      } catch (error) {
        if (isStreamFullError(error) || (isJetStreamRefusedError(error) && error.apiCode !== FENCED)) {
          this.#refused(error);
          await pause(RETRY_MS * 5);
          continue;
        }
        if (this.#connection.isClosed) return { outcome: "stopped" };
        // Refused by the fence, or lost on the way: the journal's end tells whether the message is there.
        const last = await this.#lastOrWait(subject);
        if (last === "stopped") return { outcome: "stopped" };
        if (last !== undefined && last.seq > expected) {
          if (Buffer.from(last.data).toString() !== text) return { outcome: "fenced" };
          this.#lastJournalSeq = last.seq;
          return { outcome: "committed", seq: last.seq };
        }
        this.#logger.warn(
          { err: error, partition: this.#partition, attempt },
          "a journal append was not acknowledged; trying again",
        );
        await pause(RETRY_MS);
      }
    }
    return { outcome: "stopped" };
  }

  /** The server has not taken the journal since then (`performance.now()`): the partition stands still. */
  get refusedSince(): number | undefined {
    return this.#refusedSince;
  }

  #refused(error: Error): void {
    const now = performance.now();
    this.#refusedSince ??= now;
    if (now - this.#refusalLoggedAt < REFUSAL_LOG_EVERY_MS) return;
    this.#refusalLoggedAt = now;
    this.#logger.error(
      { err: error, partition: this.#partition, stream: this.stream },
      isStreamFullError(error)
        ? "the stream of a partition is full: the partition stands still until there is room ('partitionMaxBytes', or the server's disk)"
        : "the server does not take the journal of a partition; retrying",
    );
  }

  #accepted(): void {
    if (this.#refusedSince === undefined) return;
    this.#logger.info(
      { partition: this.#partition, forMs: Math.round(performance.now() - this.#refusedSince) },
      "the server takes the journal of a partition again",
    );
    this.#refusedSince = undefined;
    this.#refusalLoggedAt = -Infinity;
  }

  /** Reads the journal after a sequence up to its end as it is now, in order. A promise holds the next message back. */
  async readJournal(afterSeq: number, onMessage: (message: ReadMessage) => void | Promise<void>): Promise<void> {
    await this.#readTo(this.#names.journal(this.#partition), afterSeq + 1, this.#lastJournalSeq, onMessage);
  }

  /** Reads a snapshot's lines, in order. */
  async readSnapshot(manifest: SnapshotManifest, onLine: (line: string) => void): Promise<void> {
    let chunks = 0;
    let carry: Buffer = Buffer.alloc(0);
    await this.#readTo(this.#names.snapshotData(this.#partition), manifest.dataFrom, manifest.dataTo, (message) => {
      if (message.header("Sluice-Snapshot") !== String(manifest.journalSeq)) return;
      chunks++;
      let data = Buffer.concat([carry, message.data]);
      for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE)) {
        onLine(data.subarray(0, end).toString());
        data = data.subarray(end + 1);
      }
      carry = data;
    });
    if (chunks !== manifest.chunks)
      throw new Error(`expected ${manifest.chunks} parts of the snapshot in ${this.stream}, found ${chunks}`);
  }

  /** Stores a snapshot that was taken after journal message `journalSeq`. False when a newer owner has written one. */
  async writeSnapshot(lines: readonly string[], journalSeq: number, inboxSeq: number): Promise<boolean> {
    const maxBytes = Math.floor(this.#connection.maxPayload / 2);
    const headers = { "Sluice-Snapshot": String(journalSeq) };
    let dataFrom = 0;
    let dataTo = 0;
    let chunks = 0;
    let parts: Buffer[] = [];
    let bytes = 0;
    const flush = async (): Promise<void> => {
      const data = Buffer.concat(parts);
      parts = [];
      bytes = 0;
      // Lines may go over the end of a message: a run with large outputs is longer than one.
      for (let from = 0; from < data.length; from += maxBytes) {
        const part = data.subarray(from, from + maxBytes);
        const ack = await this.#connection.publishAcked(this.#names.snapshotData(this.#partition), part, {
          headers,
          timeoutMs: 30_000,
        });
        dataFrom ||= ack.seq;
        dataTo = ack.seq;
        chunks++;
      }
    };
    for (const line of lines) {
      const part = Buffer.from(`${line}\n`);
      if (bytes + part.length > maxBytes) await flush();
      parts.push(part);
      bytes += part.length;
    }
    await flush();
    const manifest: SnapshotManifest = {
      v: 1,
      journalSeq,
      inboxSeq,
      dataFrom,
      dataTo,
      chunks,
      runs: lines.length - 1,
      at: new Date().toISOString(),
    };
    return this.#writeManifest(manifest);
  }

  async #writeManifest(manifest: SnapshotManifest): Promise<boolean> {
    const subject = this.#names.snapshotManifest(this.#partition);
    for (;;) {
      try {
        const headers = { [FENCE_HEADER]: String(this.#lastManifestSeq) };
        this.#lastManifestSeq = (await this.#connection.publishAcked(subject, JSON.stringify(manifest), { headers })).seq;
        return true;
      } catch (error) {
        if (!isJetStreamRefusedError(error) || error.apiCode !== FENCED) throw error;
        // Refused: by a newer owner, which wins; by one of an earlier owner that was late, or by this one, whose word of it was lost.
        const there = await this.manifest();
        if (there !== undefined && there.journalSeq >= manifest.journalSeq) return there.dataFrom === manifest.dataFrom;
      }
    }
  }

  /**
   * Lets go of everything that lies before both journal message `journalSeq` (that one stays: it carries the fence) and the end of
   * inbox message `inboxSeq`; older snapshots go with it. One purge of the whole stream: when a replica of nats-server 2.9.10 is
   * killed after a purge by subject, it comes back without messages of the other subjects too, and as a leader spreads that.
   */
  async purge(journalSeq: number, inboxSeq: number): Promise<void> {
    const below = Math.min(journalSeq, inboxSeq + 1);
    if (below > 1) await purgeBelow(this.#connection, this.stream, undefined, below);
  }

  /** Sequence of the last message of the inbox; 0 when it is empty. */
  async lastInboxSeq(): Promise<number> {
    return (await this.#last(this.#names.inbox(this.#partition)))?.seq ?? 0;
  }

  /** A reader of the inbox after a sequence; start and stop it. */
  readInbox(afterSeq: number, onMessage: (message: ReadMessage) => Promise<void> | undefined): StreamReader {
    return new StreamReader(this.#connection, {
      stream: this.stream,
      subject: this.#names.inbox(this.#partition),
      fromSeq: afterSeq + 1,
      onMessage,
      logger: this.#logger,
    });
  }

  async #readTo(
    subject: string,
    from: number,
    to: number,
    onMessage: (message: ReadMessage) => void | Promise<void>,
  ): Promise<void> {
    if (to < from) return;
    if (this.#stopped) throw new Error(`reading ${this.stream} was stopped`);
    let done: () => void = () => undefined;
    let fail: (error: unknown) => void = () => undefined;
    const finished = new Promise<void>((resolve, reject) => {
      done = resolve;
      fail = reject;
    });
    let seen = from - 1;
    let failed = false;
    const take = (message: ReadMessage): void | Promise<void> => {
      if (failed) return undefined;
      try {
        return onMessage(message);
      } catch (error) {
        failed = true;
        fail(error);
        return undefined;
      }
    };
    const reader = new StreamReader(this.#connection, {
      stream: this.stream,
      subject,
      fromSeq: from,
      onMessage: (message) => {
        seen = message.seq;
        const waits = message.seq <= to ? take(message) : undefined;
        const after = message.seq >= to ? done : undefined;
        if (waits instanceof Promise) return waits.then(after, fail);
        after?.();
        return undefined;
      },
      logger: this.#logger,
      window: 5_000,
    });
    // A server that has lost the last ones would be waited for without end.
    let looked = seen;
    const stall = setInterval(() => {
      if (seen > looked) looked = seen;
      else if (this.#connection.isClosed) fail(new Error(`reading ${this.stream}: the connection to NATS was closed`));
      else
        void this.#last(subject).then(
          (last) => {
            if ((last?.seq ?? 0) < to) fail(new Error(`${subject}: message ${to} is not there any more`));
          },
          () => undefined,
        );
    }, STALL_MS);
    this.#reads.add(fail);
    reader.start();
    try {
      await finished;
    } finally {
      this.#reads.delete(fail);
      clearInterval(stall);
      await reader.stop();
    }
  }

  async #last(subject: string): Promise<StoredMessage | undefined> {
    const reply = (
      await this.#connection.request(`$JS.API.STREAM.MSG.GET.${this.stream}`, JSON.stringify({ last_by_subj: subject }))
    ).json<{
      message?: { seq: number; data?: string };
      error?: { code: number; description: string };
    }>();
    if (reply.message !== undefined) return { seq: reply.message.seq, data: Buffer.from(reply.message.data ?? "", "base64") };
    if (reply.error?.code === 404) return undefined;
    throw new Error(`reading the end of ${subject}: ${reply.error?.description ?? "no answer"}`);
  }

  async #lastOrWait(subject: string): Promise<StoredMessage | undefined | "stopped"> {
    while (!this.#stopped && !this.#connection.isClosed) {
      try {
        return await this.#last(subject);
      } catch {
        await pause(RETRY_MS);
      }
    }
    return "stopped";
  }
}

/** Sequence of the journal message that this one was written after; undefined where it does not say so. */
export function journalMessageBefore(message: ReadMessage): number | undefined {
  const text = message.header(FENCE_HEADER);
  return text === undefined ? undefined : Number(text);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
