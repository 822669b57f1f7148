/**
 * The partitions that this node owns at the moment, by number. Partitions come and go while everyone who reads them goes on: keep
 * this, never a partition that was taken out of it, across an `await`.
 */
import type { Partition } from "./partition.ts";

export interface OwnedPartition {
  readonly partition: Partition;
  /** Grows with every change of owner; workers refuse what comes from an older one. */
  readonly epoch: number;
}

export class OwnedPartitions implements Iterable<Partition> {
  /** How many the cluster has. */
  readonly count: number;
  readonly #owned = new Map<number, OwnedPartition>();
  readonly #listeners = new Set<(number: number, owned: OwnedPartition | undefined) => void>();

  constructor(count: number) {
    this.count = count;
  }

  /** How many are owned here. */
  get size(): number {
    return this.#owned.size;
  }

  /** All of the cluster's are here: nobody else needs to be asked. */
  get all(): boolean {
    return this.#owned.size === this.count;
  }

  get(number: number): Partition | undefined {
    return this.#owned.get(number)?.partition;
  }

  epochOf(number: number): number | undefined {
    return this.#owned.get(number)?.epoch;
  }

  /** By number, so that passes over all of them have one order. */
  *[Symbol.iterator](): IterableIterator<Partition> {
    for (let number = 0; number < this.count; number++) {
      const owned = this.#owned.get(number);
      if (owned !== undefined) yield owned.partition;
    }
  }

  /** It has recovered and runs. */
  add(partition: Partition, epoch: number): void {
    const owned = { partition, epoch };
    this.#owned.set(partition.number, owned);
    for (const listener of this.#listeners) listener(partition.number, owned);
  }

  /** It is given away, or lost: nothing may be asked of it any more. */
  remove(number: number): void {
    if (!this.#owned.delete(number)) return;
    for (const listener of this.#listeners) listener(number, undefined);
  }

  /** Called after each change. Returns what ends that. */
  onChanged(listener: (number: number, owned: OwnedPartition | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
