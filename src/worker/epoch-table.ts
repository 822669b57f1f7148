/**
 * The latest owner of each partition that this worker has heard of, by number: what an earlier one sends is refused. A worker forgets
 * none, since a node that was stopped for long may wake at any time and say what has been out of date for as long.
 */
import type { Epochs } from "../protocol/work.ts";

export class EpochTable {
  readonly #highest = new Map<number, number>();

  /** Whether this is not from an earlier owner. Engines of the release before name none. */
  accepts(partition: number, epoch = 0): boolean {
    const highest = this.#highest.get(partition) ?? 0;
    if (epoch > highest) this.#highest.set(partition, epoch);
    return epoch >= highest;
  }

  /** What an engine says of its partitions; whatever cannot be such a word is passed over. */
  learn(epochs: unknown): void {
    if (typeof epochs !== "object" || epochs === null) return;
    for (const [partition, epoch] of Object.entries(epochs))
      if (/^\d+$/.test(partition) && Number.isSafeInteger(epoch)) this.accepts(Number(partition), epoch as number);
  }

  toJSON(): Epochs {
    return Object.fromEntries(this.#highest);
  }
}
