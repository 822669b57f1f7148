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
  /** Nothing more comes from it. */
  stopped: boolean;
  /** What lies before the journal is read from here. */
  readonly stream: PartitionStream;
  reader: StreamReader | undefined;
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
    const follower: Follower = {
      stopped: false,
      stream: new PartitionStream({ ...this.#options, partition }),
      reader: undefined,
    };
    this.#followers.set(partition, follower);
    void this.#start(partition, follower);
  }

  /** It is this node's: nothing more comes from here. Does not wait: a server that is away would hold up who takes the partition. */
  letGo(partition: number): void {
    const follower = this.#followers.get(partition);
    if (follower === undefined) return;
    this.#followers.delete(partition);
    follower.stopped = true;
    follower.stream.stop();
    void follower.reader?.stop();
  }

  stop(): void {
    this.#stopped = true;
    for (const partition of this.#followers.keys()) this.letGo(partition);
  }

  async #start(partition: number, follower: Follower): Promise<void> {
    const { connection, names, history, logger } = this.#options;
    let position = 0;
    while (!follower.stopped && !connection.isClosed) {
      try {
        position = await this.#catchUp(partition, follower);
        break;
      } catch (error) {
        if (follower.stopped) return;
        logger.debug({ err: error, partition }, "a partition's snapshot could not be read for the history; trying again");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    if (follower.stopped) return;
    follower.reader = new StreamReader(connection, {
      stream: names.partitionStream(partition),
      subject: names.journal(partition),
      fromSeq: position + 1,
      onMessage: ({ seq, data }) => {
        if (!follower.stopped) history.apply(partition, seq, Buffer.from(data).toString());
        return undefined;
      },
      logger,
    });
    follower.reader.start();
  }

  /**
   * What lies behind the newest snapshot may be gone from the journal: its open runs are taken from there. Gives the position from which
   * the journal is to be fed all the same: what it still has from before the snapshot tells of the runs that have ended.
   */
  async #catchUp(partition: number, follower: Follower): Promise<number> {
    const { history } = this.#options;
    const manifest = await follower.stream.manifest();
    if (manifest !== undefined && (await history.position(partition)) < manifest.journalSeq) {
      const lines: string[] = [];
      await follower.stream.readSnapshot(manifest, (line) => lines.push(line));
      if (!follower.stopped) history.applySnapshot(partition, manifest.journalSeq, lines);
    }
    return history.position(partition);
  }
}
