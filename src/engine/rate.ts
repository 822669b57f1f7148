/**
 * How often something happens per minute, as a moving average: every happening counts, the less the longer ago it was, so that about
 * the last minute shows. Two numbers, whatever the rate; it decays by itself while nothing happens. Kept in memory only.
 */

const WINDOW_MS = 60_000;

export class Rate {
  /** The average at `#atMs`, per minute. */
  #perMinute = 0;
  #atMs = 0;

  /** It has happened. Times that go back count as the latest one. */
  mark(nowMs: number): void {
    this.#perMinute = this.perMinute(nowMs) + 1;
    if (nowMs > this.#atMs) this.#atMs = nowMs;
  }

  perMinute(nowMs: number): number {
    const passed = nowMs - this.#atMs;
    return this.#perMinute === 0 || passed <= 0 ? this.#perMinute : this.#perMinute * Math.exp(-passed / WINDOW_MS);
  }
}

/** A rate to be shown: one decimal below 10, none above, and 0 for what is long over. */
export function shownRate(perMinute: number): number {
  return perMinute >= 10 ? Math.round(perMinute) : Math.round(perMinute * 10) / 10;
}
