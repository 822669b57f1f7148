/**
 * Watches the journals of all partitions while they grow, beside the proxies, since the engine lets go of what is behind a
 * snapshot. Changes nothing. What it has missed shows in the journal itself: each message names the one before it.
 */
import { pino } from "pino";
import type { Batch } from "../../src/engine/facts.ts";
import { type Connection, connectNats } from "../../src/nats/connection.ts";
import { StreamReader } from "../../src/nats/stream-reader.ts";
import { createNames } from "../../src/nats/subjects.ts";
import { onCleanup } from "../support/cleanup.ts";
import type { JournalMessage } from "./history.ts";

export class Observer {
  readonly journal: JournalMessage[] = [];
  /** Runs that the journals know and that have not ended. */
  readonly live = new Set<string>();
  /** By sequence of their event: the runs, as workflow names. */
  readonly runsOf = new Map<number, Set<string>>();
  /** By partition: where the newest snapshot is that the server has stored. */
  readonly #manifests = new Map<number, number>();
  /** Partitions are read each at its own speed: the end of a run that has moved may come before its beginning. */
  readonly #ended = new Set<string>();
  readonly #connection: Connection;
  readonly #readers: StreamReader[] = [];
  readonly #wallOffsetMs: number;

  private constructor(connection: Connection) {
    this.#connection = connection;
    this.#wallOffsetMs = Date.now() - Number(process.hrtime.bigint()) / 1e6;
  }

  /** Ended with the test. */
  static async start(servers: readonly string[], partitions: number, logFile: string): Promise<Observer> {
    const logger = pino({ level: "debug" }, pino.destination({ dest: logFile, sync: true }));
    const observer = new Observer(await connectNats({ servers, name: "chaos observer", logger }));
    onCleanup(async () => await observer.stop());
    const names = createNames();
    for (let partition = 0; partition < partitions; partition++) {
      const reader = new StreamReader(observer.#connection, {
        stream: names.partitionStream(partition),
        fromSeq: 1,
        logger,
        onMessage: (message) => {
          if (message.subject === names.snapshotManifest(partition)) observer.#manifests.set(partition, message.seq);
          if (message.subject !== names.journal(partition)) return undefined;
          const previous = message.header("Nats-Expected-Last-Subject-Sequence");
          observer.#take({
            partition,
            seq: message.seq,
            previous: previous === undefined ? undefined : Number(previous),
            at: message.timeMs - observer.#wallOffsetMs,
            batch: JSON.parse(Buffer.from(message.data).toString()) as Batch,
          });
          return undefined;
        },
      });
      reader.start();
      observer.#readers.push(reader);
    }
    return observer;
  }

  /**
   * What NATS has lost of what it had acknowledged and nobody had deleted: the newest snapshots, and the journals' ends. Empty unless
   * the servers have broken their own promise.
   */
  async lostByServers(): Promise<string[]> {
    const names = createNames();
    const lost: string[] = [];
    const ends = new Map(this.journal.map(({ partition, seq }) => [partition, seq]));
    const check = async (partition: number, what: string, subject: string, seq: number | undefined): Promise<void> => {
      if (seq === undefined) return;
      const request = JSON.stringify({ last_by_subj: subject });
      const answer = await this.#connection.request(`$JS.API.STREAM.MSG.GET.${names.partitionStream(partition)}`, request);
      const last = answer.json<{ message?: { seq: number } }>().message?.seq ?? 0;
      if (last < seq)
        lost.push(`partition ${partition}: the ${what} of sequence ${seq} was stored, and the last one there is is ${last}`);
    };
    for (const partition of this.#readers.keys()) {
      await check(partition, "snapshot", names.snapshotManifest(partition), this.#manifests.get(partition));
      await check(partition, "journal message", names.journal(partition), ends.get(partition));
    }
    return lost;
  }

  /** Partitions whose journal ends elsewhere than it was read to, in words. */
  async unread(): Promise<string[]> {
    const names = createNames();
    const found: string[] = [];
    const ends = new Map(this.journal.map(({ partition, seq }) => [partition, seq]));
    for (const [partition, reader] of this.#readers.entries()) {
      const request = JSON.stringify({ last_by_subj: names.journal(partition) });
      const answer = await this.#connection.request(`$JS.API.STREAM.MSG.GET.${names.partitionStream(partition)}`, request);
      const last = answer.json<{ message?: { seq: number } }>().message?.seq ?? 0;
      if (last !== (ends.get(partition) ?? 0))
        found.push(
          `the observer has read partition ${partition} up to ${ends.get(partition) ?? 0} (next ${reader.nextSeq}); its journal ends at ${last}`,
        );
    }
    return found;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.stop()));
    await this.#connection.close();
  }

  #take(message: JournalMessage): void {
    this.journal.push(message);
    for (const fact of message.batch.f) {
      if (fact.k === "created") {
        if (!this.#ended.has(fact.run)) this.live.add(fact.run);
        if (fact.ev !== undefined) {
          const runs = this.runsOf.get(fact.ev.seq) ?? new Set();
          this.runsOf.set(fact.ev.seq, runs.add(fact.wf));
        }
      } else if (fact.k === "finished") {
        this.#ended.add(fact.run);
        this.live.delete(fact.run);
      }
    }
  }
}
