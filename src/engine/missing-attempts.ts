/**
 * Attempts that no worker has any more, as far as is known: they go to another, but only when their results are not on the way. A worker sends
 * these before it says that it ends, and by another road, so they may stand in the inbox unread.
 */
import type { Logger } from "pino";
import type { HeldAttempt } from "./dispatcher.ts";

export interface MissingAttemptsOptions {
  /** What stands for the partition's time on this node; undefined: it is not here. */
  readonly hostOf: (partition: number) => object | undefined;
  /** Resolves once a partition that is owned here has applied all that stands in its inbox now. Rejects when it leaves, or NATS is away. */
  readonly inboxApplied: (partition: number) => Promise<unknown>;
  readonly giveBack: (held: HeldAttempt, how: "returned" | "lost") => void;
  readonly logger: Logger;
}

export class MissingAttempts {
  readonly #options: MissingAttemptsOptions;

  constructor(options: MissingAttemptsOptions) {
    this.#options = options;
  }

  /** Their worker is gone. Where nobody can say whether a result is on its way, they are lost, since there is nobody to ask again. */
  lost(held: readonly HeldAttempt[]): void {
    const partitions = new Map<number, HeldAttempt[]>();
    for (const one of held) {
      const those = partitions.get(one.partition);
      if (those === undefined) partitions.set(one.partition, [one]);
      else those.push(one);
    }
    for (const [partition, those] of partitions)
      void this.#look(partition, those).then((outcome) => {
        if (outcome === "moved") return;
        for (const one of those) if (!one.attempt.over) this.#options.giveBack(one, "lost");
      });
  }

  /** Their worker is there, and does not know them. Where nobody can say whether a result is on its way, it is asked again. */
  async unknown(held: HeldAttempt): Promise<void> {
    const outcome = await this.#look(held.partition, [held]);
    if (outcome === "unclear") held.recovered = true;
    else if (outcome === "applied" && !held.attempt.over) this.#options.giveBack(held, "returned");
  }

  async #look(partition: number, held: readonly HeldAttempt[]): Promise<"applied" | "unclear" | "moved"> {
    const { hostOf, inboxApplied, logger } = this.#options;
    const host = hostOf(partition);
    if (host === undefined) return "moved";
    try {
      await inboxApplied(partition);
    } catch (error) {
      if (hostOf(partition) !== host) return "moved";
      logger.warn(
        { err: error, partition, attempts: held.map(({ attempt }) => attempt.id) },
        "could not find out whether results of a worker are on their way",
      );
      return "unclear";
    }
    return hostOf(partition) === host ? "applied" : "moved";
  }
}
