/**
 * Watches the journals of all partitions while they grow, beside the proxies. The engine lets go of what is behind a snapshot, as far as the
 * histories of its nodes have it; so the observer says in the cluster's map how far it has read, as a node's history that is away for
 * a while would have it said. It changes nothing else. What it has missed shows in the journal itself: each message names the one
 * before it.
 */
import { type Logger, pino } from "pino";
import type { Batch } from "../../src/engine/facts.ts";
import { MapStore } from "../../src/engine/cluster/map-store.ts";
import { Bucket } from "../../src/nats/bucket.ts";
import { type Connection, connectNats } from "../../src/nats/connection.ts";
import { StreamReader } from "../../src/nats/stream-reader.ts";
import { createNames } from "../../src/nats/subjects.ts";
import { onCleanup } from "../support/cleanup.ts";
import type { JournalMessage } from "./history.ts";

/** Not so often that the map is never at rest for a lease: the nodes would not see that a handover stands still. */
const SAY_EVERY_MS = 5_000;

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
  /** By partition: how far its journal is read. */
  readonly #positions: number[];
  readonly #wallOffsetMs: number;
  #saying: NodeJS.Timeout | undefined = undefined;

  private constructor(connection: Connection, partitions: number) {
    this.#connection = connection;
    this.#positions = Array.from({ length: partitions }, () => 0);
    this.#wallOffsetMs = Date.now() - Number(process.hrtime.bigint()) / 1e6;
  }

  /** Ended with the test. */
  static async start(servers: readonly string[], partitions: number, logFile: string): Promise<Observer> {
    const logger = pino({ level: "debug" }, pino.destination({ dest: logFile, sync: true }));
    const observer = new Observer(await connectNats({ servers, name: "chaos observer", logger }), partitions);
    onCleanup(async () => await observer.stop());
    const names = createNames();
    await observer.#sayPositions(await Bucket.open(observer.#connection, names.bucket, { replicas: 3 }), logger);
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
    clearTimeout(this.#saying);
    this.#saying = undefined;
    await Promise.all(this.#readers.map((reader) => reader.stop()));
    await this.#connection.close();
  }

  /** Rejects only the first time: servers may be away later. */
  async #sayPositions(bucket: Bucket, logger: Logger): Promise<void> {
    const store = new MapStore(bucket, () => undefined);
    const say = async (): Promise<void> => {
      await store.read();
      const info = { history: [...this.#positions] };
      await store.change((map) => ({ ...map, absent: { ...map.absent, observer: { name: "chaos observer", host: "", info } } }));
    };
    const sayLater = (): void => {
      this.#saying = setTimeout(() => {
        say()
          .catch((error: unknown) => logger.debug({ err: error }, "the cluster could not be told how far the observer is"))
          .finally(() => this.#saying !== undefined && sayLater());
      }, SAY_EVERY_MS);
    };
    await say();
    sayLater();
  }

  #take(message: JournalMessage): void {
    this.journal.push(message);
    this.#positions[message.partition] = message.seq;
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
