/**
 * Reads of partitions that may be given away, or lost, at any moment: a partition that goes answers nobody any more, so whoever
 * waits for it is told, and asks its next owner.
 */
import { RequestError } from "../../errors.ts";
import type { OwnedPartitions } from "../owned-partitions.ts";
import type { Partition } from "../partition.ts";
import type { PartitionCore } from "../partition-core.ts";

/** Asked of a node that does not own the partition, or cannot be sure of it: whoever asked shall ask its owner. */
export function notOwner(partition: number): RequestError {
  return new RequestError(`partition ${partition} is not on this engine node`, {
    operation: "partition",
    status: 503,
    reason: "NOT_OWNER",
  });
}

export class OwnedReads {
  readonly #owned: OwnedPartitions;
  readonly #isCurrent: () => boolean;
  /** What ends the reads under way, by partition. */
  readonly #reading = new Map<number, Set<(error: Error) => void>>();
  readonly #unlisten: () => void;

  /** `isCurrent`: false while another node may have taken over without this one knowing yet (its session may have run out). */
  constructor(owned: OwnedPartitions, isCurrent: () => boolean = () => true) {
    this.#owned = owned;
    this.#isCurrent = isCurrent;
    this.#unlisten = owned.onChanged((number) => this.#end(number));
  }

  /** Partitions of those that are here. */
  here(numbers: Iterable<number>): Partition[] {
    if (!this.#isCurrent()) return [];
    return [...numbers].flatMap((number) => this.#owned.get(number) ?? []);
  }

  /** On the state of the partition, once all that it has decided is durable. Rejects with 503 NOT_OWNER where it is not here, or goes. */
  async read<T>(number: number, read: (core: PartitionCore) => T): Promise<T> {
    const partition = this.#owned.get(number);
    if (partition === undefined || !this.#isCurrent()) throw notOwner(number);
    let ends = this.#reading.get(number);
    if (ends === undefined) this.#reading.set(number, (ends = new Set()));
    let end: (error: Error) => void = () => undefined;
    try {
      const value = await new Promise<T>((resolve, reject) => {
        ends.add((end = reject));
        partition.read(read).then(resolve, reject);
      });
      // Of a node that stood still between the decision and here.
      if (!this.#isCurrent()) throw notOwner(number);
      return value;
    } finally {
      ends.delete(end);
    }
  }

  /** Of each of these partitions, in their order. */
  all<T>(partitions: readonly Partition[], read: (core: PartitionCore) => T): Promise<T[]> {
    return Promise.all(partitions.map(({ number }) => this.read(number, read)));
  }

  /** They are the ones that they were: what was read of them without waiting counts. Throws NOT_OWNER. */
  check(partitions: readonly Partition[]): void {
    for (const partition of partitions)
      if (this.#owned.get(partition.number) !== partition || !this.#isCurrent()) throw notOwner(partition.number);
  }

  stop(): void {
    this.#unlisten();
    for (const number of this.#reading.keys()) this.#end(number);
  }

  #end(number: number): void {
    const ends = this.#reading.get(number);
    if (ends === undefined) return;
    this.#reading.delete(number);
    for (const end of ends) end(notOwner(number));
  }
}
