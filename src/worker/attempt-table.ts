/**
 * Which attempts a worker runs, in how many slots, and which have just ended. Knows ids and numbers only.
 */
import type { Attempt } from "./attempt.ts";

/** Ids of ended attempts that are remembered: at least this many, at most twice as many. */
const REMEMBERED = 8_192;

export class AttemptTable {
  readonly slots: number;
  readonly #running = new Map<string, Attempt>();
  #recent = new Set<string>();
  #older = new Set<string>();

  constructor(slots: number) {
    this.slots = slots;
  }

  get used(): number {
    return this.#running.size;
  }

  get free(): number {
    return this.slots - this.#running.size;
  }

  get(attemptId: string): Attempt | undefined {
    return this.#running.get(attemptId);
  }

  /** Whether it runs, or has ended here a short while ago. */
  knows(attemptId: string): boolean {
    return this.#running.has(attemptId) || this.hasEnded(attemptId);
  }

  hasEnded(attemptId: string): boolean {
    return this.#recent.has(attemptId) || this.#older.has(attemptId);
  }

  add(attempt: Attempt): void {
    this.#running.set(attempt.assignment.attemptId, attempt);
  }

  /** Frees its slot. False where it holds none any more: it was given up. */
  remove(attempt: Attempt, remember: boolean): boolean {
    const { attemptId } = attempt.assignment;
    if (this.#running.get(attemptId) !== attempt) return false;
    this.#running.delete(attemptId);
    if (remember) {
      if (this.#recent.size >= REMEMBERED) {
        this.#older = this.#recent;
        this.#recent = new Set();
      }
      this.#recent.add(attemptId);
    }
    return true;
  }

  running(): IterableIterator<Attempt> {
    return this.#running.values();
  }

  /** All that run, as a status tells of them. */
  list(): { readonly id: string; readonly partition: number }[] {
    return Array.from(this.#running.values(), ({ assignment: { attemptId, partition } }) => ({ id: attemptId, partition }));
  }
}
