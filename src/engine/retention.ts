/**
 * Lets events go when they are older than the history keeps runs, and no live run of the cluster reads its input from them any more;
 * earlier where the stream has a limit in bytes and comes near to it. The stream itself has no age limit and refuses what is above its
 * limit in bytes: else it would drop what waiting runs still need. Only the node that coordinates does it.
 */
import type { Logger } from "pino";
import type { Connection } from "../nats/connection.ts";
import { firstSeqSince, purgeBelow, streamUse } from "../nats/streams.ts";
import type { Names } from "../nats/subjects.ts";
import type { NodeCalls } from "./cluster/node-calls.ts";

export interface RetentionOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly calls: Pick<NodeCalls, "serveGather" | "gather" | "reads">;
  /** Resolves once a partition that is owned here has applied all that stands in its inbox now. Rejects when it leaves. */
  readonly inboxApplied: (partition: number) => Promise<unknown>;
  readonly retentionMs: number;
  /** What the stream of events may have, in bytes; the stream's own limit counts as well. */
  readonly maxBytes?: number | undefined;
  /** Everything up to here has been handed over, durably; undefined where another node coordinates. */
  readonly routedSeq: () => number | undefined;
  readonly logger: Logger;
}

const EVERY_MS = 3_600_000;
const OLDEST = "retention.oldest";
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
    const { calls, names, inboxApplied } = options;
    calls.serveGather(OLDEST, async (partitions) => {
      // A run on its way stands in an inbox, and in no partition.
      await Promise.all(partitions.map(({ number }) => inboxApplied(number)));
      return Math.min(...(await calls.reads.all(partitions, (core) => core.oldestEventRef(names.eventsStream))));
    });
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
      if (this.#options.routedSeq() !== undefined && bytes > maxBytes * CROWDED)
        await this.#letGo(lastSeq - Math.floor(messages * ((maxBytes * RELIEVED) / bytes)));
    } catch (error) {
      logger.debug({ err: error }, "how full the stream of events is could not be found out; it is tried again");
    }
    this.#lookAfter(limited ? LOOK_EVERY_MS : LOOK_FOR_LIMIT_EVERY_MS);
  }

  /** Events below a sequence, unless they are still to be handed over, or a live run of the cluster reads its input from them. */
  async #letGo(seq: number): Promise<void> {
    const { connection, names, routedSeq } = this.#options;
    const routed = routedSeq();
    if (routed === undefined) return;
    // Twice, since a run may go from a partition that has yet to be asked to one that has been.
    const below = Math.min(seq, routed + 1, await this.#oldest(), await this.#oldest());
    // Whoever coordinates now has seen at least as much as this one; but it may be behind, and repeat.
    if (below <= 1 || routedSeq() === undefined) return;
    // Definitions that were routed are in the bucket. One purge of the whole stream: those by subject lose data on nats-server 2.9.10.
    await purgeBelow(connection, names.eventsStream, undefined, below);
  }

  /** The first message of the events stream that a live run still reads its input from. */
  async #oldest(): Promise<number> {
    const { parts } = await this.#options.calls.gather<number>(OLDEST, {});
    return Math.min(...parts);
  }
}
