/**
 * Lets events go when they are older than the history keeps runs, and no live run reads its input from them any more; earlier
 * where the stream has a limit in bytes and comes near to it. The stream itself has no age limit and refuses what is above its limit in
 * bytes: else it would drop what waiting runs still need.
 */
import type { Logger } from "pino";
import type { Connection } from "../nats/connection.ts";
import { firstSeqSince, purgeBelow, streamUse } from "../nats/streams.ts";
import type { Names } from "../nats/subjects.ts";
import type { Partition } from "./partition.ts";

export interface RetentionOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly partitions: readonly Partition[];
  readonly retentionMs: number;
  /** What the stream of events may have, in bytes; the stream's own limit counts as well. */
  readonly maxBytes?: number | undefined;
  /** Everything up to here has been handed over, durably. */
  readonly routedSeq: () => number;
  readonly logger: Logger;
}

const EVERY_MS = 3_600_000;
/** How full a stream may be before events go early, and how full it is afterwards, where they can. */
const CROWDED = 0.75;
const RELIEVED = 0.5;
const LOOK_EVERY_MS = 1_000;
/** Without a limit there is nothing to look at; somebody may set one by hand. */
const LOOK_FOR_LIMIT_EVERY_MS = 30_000;

export class Retention {
  readonly #options: RetentionOptions;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined = undefined;
  #looker: NodeJS.Timeout | undefined = undefined;
  #running: Promise<void> = Promise.resolve();
  #started = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#everyMs = Math.min(EVERY_MS, options.retentionMs);
  }

  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#timer = setInterval(() => this.#then(() => this.#letOldGo()), this.#everyMs);
    this.#lookAfter(LOOK_EVERY_MS);
  }

  async stop(): Promise<void> {
    this.#started = false;
    clearInterval(this.#timer);
    clearTimeout(this.#looker);
    await this.#running;
  }

  #lookAfter(ms: number): void {
    if (this.#started) this.#looker = setTimeout(() => this.#then(() => this.#relieve()), ms);
  }

  #then(task: () => Promise<void>): void {
    this.#running = this.#running.then(task);
  }

  async #letOldGo(): Promise<void> {
    const { connection, names, retentionMs, logger } = this.#options;
    try {
      await this.#letGo(await firstSeqSince(connection, names.eventsStream, Date.now() - retentionMs));
    } catch (error) {
      logger.warn({ err: error }, "old events could not be let go; it is tried again");
    }
  }

  /** The oldest events go, as long as nothing needs them, so that publishers are not refused for the sake of what is done with. */
  async #relieve(): Promise<void> {
    const { connection, names, logger } = this.#options;
    let limited = false;
    try {
      const { bytes, messages, lastSeq, ...use } = await streamUse(connection, names.eventsStream);
      const maxBytes = Math.min(use.maxBytes ?? Infinity, this.#options.maxBytes ?? Infinity);
      limited = maxBytes < Infinity;
      // From the end: at the beginning there are gaps, since definitions stay.
      if (bytes > maxBytes * CROWDED) await this.#letGo(lastSeq - Math.floor(messages * ((maxBytes * RELIEVED) / bytes)));
    } catch (error) {
      logger.debug({ err: error }, "how full the stream of events is could not be found out; it is tried again");
    }
    this.#lookAfter(limited ? LOOK_EVERY_MS : LOOK_FOR_LIMIT_EVERY_MS);
  }

  /** Events below a sequence, unless they are still to be handed over, or a live run reads its input from them. */
  async #letGo(seq: number): Promise<void> {
    const { connection, names, partitions, routedSeq } = this.#options;
    const needed = await Promise.all(
      partitions.map((partition) => partition.read((core) => core.oldestEventRef(names.eventsStream))),
    );
    const below = Math.min(seq, routedSeq() + 1, ...needed);
    if (below <= 1) return;
    for (const subject of [`${names.prefix}.events.>`, names.inputs])
      await purgeBelow(connection, names.eventsStream, subject, below);
  }
}
