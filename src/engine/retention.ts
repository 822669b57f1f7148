/**
 * Lets events go when they are older than the history keeps runs, and no live run of the cluster reads its input from them any more. The
 * stream itself has no age limit: it would drop what waiting runs still need. Only the node that coordinates does it.
 */
import type { Logger } from "pino";
import type { Connection } from "../nats/connection.ts";
import { firstSeqSince, purgeBelow } from "../nats/streams.ts";
import type { Names } from "../nats/subjects.ts";
import type { NodeCalls } from "./cluster/node-calls.ts";

export interface RetentionOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly calls: Pick<NodeCalls, "serveGather" | "gather" | "reads">;
  /** Resolves once a partition that is owned here has applied all that stands in its inbox now. Rejects when it leaves. */
  readonly inboxApplied: (partition: number) => Promise<unknown>;
  readonly retentionMs: number;
  /** Everything up to here has been handed over, durably; undefined where another node coordinates. */
  readonly routedSeq: () => number | undefined;
  readonly logger: Logger;
}

const EVERY_MS = 3_600_000;
const OLDEST = "retention.oldest";

export class Retention {
  readonly #options: RetentionOptions;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined = undefined;
  #running: Promise<void> = Promise.resolve();

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
    this.#timer ??= setInterval(() => {
      this.#running = this.#running.then(() => this.#run());
    }, this.#everyMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    const { connection, names, retentionMs, routedSeq, logger } = this.#options;
    const routed = routedSeq();
    if (routed === undefined) return;
    try {
      const old = await firstSeqSince(connection, names.eventsStream, Date.now() - retentionMs);
      // Twice, since a run may go from a partition that has yet to be asked to one that has been.
      const below = Math.min(old, routed + 1, await this.#oldest(), await this.#oldest());
      // Whoever coordinates now has seen at least as much as this one; but it may be behind, and repeat.
      if (routedSeq() === undefined) return;
      for (const subject of [`${names.prefix}.events.>`, names.inputs])
        await purgeBelow(connection, names.eventsStream, subject, below);
    } catch (error) {
      logger.warn({ err: error }, "old events could not be let go; it is tried again");
    }
  }

  /** The first message of the events stream that a live run still reads its input from. */
  async #oldest(): Promise<number> {
    const { parts } = await this.#options.calls.gather<number>(OLDEST, {});
    return Math.min(...parts);
  }
}
