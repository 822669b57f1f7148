/**
 * Lets events go when they are older than the history keeps runs, and no live run reads its input from them any more. The
 * stream itself has no age limit: it would drop what waiting runs still need.
 */
import type { Logger } from "pino";
import type { Connection } from "../nats/connection.ts";
import { firstSeqSince, purgeBelow } from "../nats/streams.ts";
import type { Names } from "../nats/subjects.ts";
import type { Partition } from "./partition.ts";

export interface RetentionOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly partitions: readonly Partition[];
  readonly retentionMs: number;
  /** Everything up to here has been handed over, durably. */
  readonly routedSeq: () => number;
  readonly logger: Logger;
}

const EVERY_MS = 3_600_000;

export class Retention {
  readonly #options: RetentionOptions;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined = undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#everyMs = Math.min(EVERY_MS, options.retentionMs);
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      this.#running = this.#run();
    }, this.#everyMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    const { connection, names, partitions, retentionMs, routedSeq, logger } = this.#options;
    try {
      const needed = await Promise.all(
        partitions.map((partition) => partition.read((core) => core.oldestEventRef(names.eventsStream))),
      );
      const old = await firstSeqSince(connection, names.eventsStream, Date.now() - retentionMs);
      const below = Math.min(old, routedSeq() + 1, ...needed);
      for (const subject of [`${names.prefix}.events.>`, names.inputs])
        await purgeBelow(connection, names.eventsStream, subject, below);
    } catch (error) {
      logger.warn({ err: error }, "old events could not be let go; it is tried again");
    }
  }
}
