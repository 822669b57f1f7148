/**
 * Virtual time: it stands still until it is moved, and timers go off in the order of their due times, then in the order in
 * which they were set. It knows nothing of workflows.
 */
import type { Clock } from "../clock.ts";
import { type Timer, TimerQueue } from "../engine/timer-queue.ts";

export class VirtualClock implements Clock {
  readonly #timers = new TimerQueue<() => void>();
  #nowMs: number;
  #changes = 0;

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  readonly now = (): number => this.#nowMs;

  readonly setTimer = (call: () => void, delayMs: number): (() => void) => {
    this.#changes++;
    const timer: Timer<() => void> = this.#timers.add(this.#nowMs + Math.max(0, delayMs), call);
    return () => this.#timers.remove(timer);
  };

  /** When the next timer is due, in ms since the epoch. */
  get nextDueMs(): number | undefined {
    return this.#timers.nextDueMs;
  }

  /** Timers that were set and went off so far: whether anything has happened since. */
  get changes(): number {
    return this.#changes;
  }

  /** Moves the time on and has all timers go off that are due by then. Never back. */
  moveTo(timeMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, timeMs);
    for (let timer = this.#timers.takeDue(this.#nowMs); timer !== undefined; timer = this.#timers.takeDue(this.#nowMs)) {
      this.#changes++;
      timer.value();
    }
  }
}
