/**
 * Feeds this node's history with the journals of the partitions that other nodes own, so that every node can answer for all runs.
 * The journal of an owned partition is fed by its owner as it writes it; here that partition is let go of.
 */
import type { Logger } from "pino";
import type { Connection } from "../nats/connection.ts";
import { PartitionStream } from "../nats/partition-stream.ts";
import { StreamReader } from "../nats/stream-reader.ts";
import type { Names } from "../nats/subjects.ts";
import type { HistoryPort } from "./history-port.ts";

export interface JournalFollowersOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly history: HistoryPort;
  readonly logger: Logger;
}

const RETRY_MS = 1_000;

interface Follower {
  stopped: boolean;
  reader: StreamReader | undefined;
  started: Promise<void>;
}

export class JournalFollowers {
  readonly #options: JournalFollowersOptions;
  readonly #followers = new Map<number, Follower>();
  #stopped = false;

  constructor(options: JournalFollowersOptions) {
    this.#options = options;
  }

  /** Another node owns it, or nobody. Idempotent. */
  follow(partition: number): void {
    if (this.#stopped || this.#followers.has(partition)) return;
    const follower: Follower = { stopped: false, reader: undefined, started: Promise.resolve() };
    this.#followers.set(partition, follower);
    follower.started = this.#start(partition, follower);
  }

  /** It is this node's: resolves when nothing more comes from here. */
  async letGo(partition: number): Promise<void> {
    const follower = this.#followers.get(partition);
    if (follower === undefined) return;
    this.#followers.delete(partition);
    follower.stopped = true;
    await follower.started;
    await follower.reader?.stop();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#followers.keys()].map((partition) => this.letGo(partition)));
  }

  async #start(partition: number, follower: Follower): Promise<void> {
    const { connection, names, history, logger } = this.#options;
    while (!follower.stopped && !connection.isClosed) {
      try {
        await this.#catchUp(partition);
        break;
      } catch (error) {
        logger.debug({ err: error, partition }, "a partition's snapshot could not be read for the history; trying again");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    if (follower.stopped) return;
    follower.reader = new StreamReader(connection, {
      stream: names.partitionStream(partition),
      subject: names.journal(partition),
      fromSeq: (await history.position(partition)) + 1,
      onMessage: ({ seq, data }) => {
        history.apply(partition, seq, Buffer.from(data).toString());
        return undefined;
      },
      logger,
    });
    follower.reader.start();
  }

  /** What lies behind the newest snapshot may be gone from the journal: its open runs are taken from there. */
  async #catchUp(partition: number): Promise<void> {
    const { connection, names, history, logger } = this.#options;
    const stream = new PartitionStream({ connection, names, partition, logger });
    const manifest = await stream.manifest();
    if (manifest === undefined || (await history.position(partition)) >= manifest.journalSeq) return;
    const lines: string[] = [];
    await stream.readSnapshot(manifest, (line) => lines.push(line));
    history.applySnapshot(partition, manifest.journalSeq, lines);
  }
}
