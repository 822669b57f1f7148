/**
 * The timers of one partition: a binary heap by due time, then by rank, then by order of setting, with O(log n) removal (dead timers
 * would pile up: every step sets a schedule timeout of minutes and takes it back within milliseconds). In memory only; the
 * journal has the facts from which they are set again.
 */
export interface Timer<T> {
  readonly dueMs: number;
  readonly value: T;
  /** Place in the heap; -1 when it is not in it. Kept by the queue. */
  index: number;
  readonly rank: number;
  readonly order: number;
}

export class TimerQueue<T> {
  readonly #heap: Timer<T>[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** Due time of the next timer in ms since the epoch; undefined when there is none. */
  get nextDueMs(): number | undefined {
    return this.#heap[0]?.dueMs;
  }

  /** `rank`: who goes first of those that are due at the same time, whenever they were set. */
  add(dueMs: number, value: T, rank = 0): Timer<T> {
    const timer: Timer<T> = { dueMs, value, index: this.#heap.length, rank, order: this.#order++ };
    this.#heap.push(timer);
    this.#up(timer);
    return timer;
  }

  /** Takes a timer out; nothing happens when it has fired or was removed before. */
  remove(timer: Timer<T>): void {
    const index = timer.index;
    if (index < 0) return;
    timer.index = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === timer) return;
    this.#place(last, index);
    this.#up(last);
    this.#down(last);
  }

  /** Removes and returns the next timer that is due at `nowMs`, if any. */
  takeDue(nowMs: number): Timer<T> | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.dueMs > nowMs) return undefined;
    this.remove(first);
    return first;
  }

  #place(timer: Timer<T>, index: number): void {
    this.#heap[index] = timer;
    timer.index = index;
  }

  #up(timer: Timer<T>): void {
    while (timer.index > 0) {
      const at = timer.index;
      const parent = this.#heap[(at - 1) >> 1];
      if (parent === undefined || !before(timer, parent)) return;
      this.#place(timer, parent.index);
      this.#place(parent, at);
    }
  }

  #down(timer: Timer<T>): void {
    for (;;) {
      const at = timer.index;
      const left = this.#heap[2 * at + 1];
      const right = this.#heap[2 * at + 2];
      const child = right !== undefined && left !== undefined && before(right, left) ? right : left;
      if (child === undefined || !before(child, timer)) return;
      this.#place(timer, child.index);
      this.#place(child, at);
    }
  }
}

function before<T>(a: Timer<T>, b: Timer<T>): boolean {
  return (a.dueMs - b.dueMs || a.rank - b.rank || a.order - b.order) < 0;
}
