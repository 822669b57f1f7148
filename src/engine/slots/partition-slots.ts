/**
 * The slots of the workers as one partition of this node has them: its wishes, and what it was promised and has not used yet. When the
 * partition leaves, it says what becomes free; after that it does nothing, whoever still calls.
 */
import type { SlotWant } from "../../protocol/slots.ts";
import type { SlotSource } from "../core/slot-source.ts";
import type { Attempt, ReadyStep, Run } from "../run.ts";

/** What a partition's slots ask of their node. */
export interface SlotDesk {
  /** A slot at once, or undefined. */
  take(step: ReadyStep): string | undefined;
  /** It waits, until it is withdrawn or `offered`. */
  wait(slots: PartitionSlots, step: ReadyStep): LocalWant;
  withdraw(want: LocalWant): void;
  /** A slot that was promised is not used. */
  unuse(worker: string): void;
  adopt(attempt: Attempt, run: Run, partition: number, recovered: boolean): void;
  release(attempt: Attempt): void;
}

/** A step of a partition of this node that waits for a slot. */
export interface LocalWant extends SlotWant {
  readonly step: ReadyStep;
  readonly slots: PartitionSlots;
}

export class PartitionSlots implements SlotSource {
  readonly partition: number;
  readonly wants = new Map<ReadyStep, LocalWant>();
  /** By worker: slots of steps that the partition has not confirmed yet; 0 stays, since it changes with every step. */
  readonly promised = new Map<string, number>();
  readonly #desk: SlotDesk;
  #closed = false;

  constructor(partition: number, desk: SlotDesk) {
    this.partition = partition;
    this.#desk = desk;
  }

  request(step: ReadyStep): string | undefined {
    if (this.#closed) return undefined;
    const worker = this.#desk.take(step);
    if (worker === undefined) this.wants.set(step, this.#desk.wait(this, step));
    else this.#promise(worker);
    return worker;
  }

  /** A slot was found for a want. Returns what gives it back where the step does not want it any more. */
  offered(want: LocalWant, worker: string): () => void {
    this.wants.delete(want.step);
    this.#promise(worker);
    return () => this.unreserve(worker);
  }

  withdraw(step: ReadyStep): void {
    const want = this.wants.get(step);
    if (want === undefined || this.#closed) return;
    this.wants.delete(step);
    this.#desk.withdraw(want);
  }

  release(attempt: Attempt): void {
    if (!this.#closed) this.#desk.release(attempt);
  }

  adopt(attempt: Attempt, run: Run, recovered: boolean): void {
    if (this.#closed) return;
    if (!recovered) this.#keep(attempt.worker);
    this.#desk.adopt(attempt, run, this.partition, recovered);
  }

  unreserve(worker: string): void {
    if (!this.#closed && this.#keep(worker)) this.#desk.unuse(worker);
  }

  /** The partition is not here any more. */
  close(): void {
    if (this.#closed) return;
    for (const want of this.wants.values()) this.#desk.withdraw(want);
    for (const [worker, count] of this.promised) for (let i = 0; i < count; i++) this.#desk.unuse(worker);
    this.#closed = true;
  }

  #promise(worker: string): void {
    this.promised.set(worker, (this.promised.get(worker) ?? 0) + 1);
  }

  /** The promise was kept, or given up: false where there was none. */
  #keep(worker: string): boolean {
    const count = this.promised.get(worker) ?? 0;
    if (count > 0) this.promised.set(worker, count - 1);
    return count > 0;
  }
}
