/**
 * How the time of a partition follows its node's clock. It never goes back, and it never stands still either: where the clock does (the
 * owner before had one that was ahead, or this one was set back), the partition goes on at half speed until the clock has caught up.
 * Otherwise one jump of a clock would hold back every retry, timeout and schedule of its runs for as long as the jump was.
 */
export class PartitionClock {
  /** The clock, when it was looked at last; undefined before. */
  #wallMs: number | undefined = undefined;
  /** What is owed of half speed, below a millisecond. */
  #restMs = 0;

  /** The partition's time, given the one that it had. */
  advance(now: number, wallMs: number): number {
    const elapsed = Math.max(0, wallMs - (this.#wallMs ?? wallMs));
    this.#wallMs = wallMs;
    if (wallMs >= now) {
      this.#restMs = 0;
      return wallMs;
    }
    const passed = elapsed / 2 + this.#restMs;
    const whole = Math.floor(passed);
    this.#restMs = passed - whole;
    return Math.max(now + whole, wallMs);
  }

  /** How long it takes, by the node's clock, until the partition's time is `due`, in ms. */
  static delayTo(due: number, now: number, wallMs: number): number {
    if (now <= wallMs) return Math.max(0, due - wallMs);
    return Math.max(0, Math.min(2 * (due - now), due - wallMs));
  }
}
