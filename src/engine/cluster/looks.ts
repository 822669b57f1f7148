/**
 * When a node looks at the map of the cluster: one look at a time, what is asked for meanwhile becomes one more, and at least one in a while.
 * It does not know what is seen.
 */
import type { Clock } from "../../clock.ts";

/** How far a look goes: each includes those before it. `write` trusts what is known of the map, which a write finds out. */
export const Look = { nowhere: 0, write: 1, map: 2, sessions: 3 } as const;
export type Look = (typeof Look)[keyof typeof Look];

export interface LooksOptions {
  readonly clock: Clock;
  /** After a look that failed. */
  readonly retryMs: number;
  readonly look: (look: Look) => Promise<void>;
  /** When the next look at everything is due by itself. */
  readonly nextAtMs: () => number;
  readonly onFailed: (error: unknown) => void;
}

export class Looks {
  readonly #options: LooksOptions;
  #wanted: Look = Look.nowhere;
  #mode: "waiting" | "looking" | "stopped" = "waiting";
  #cancelTimer: () => void = () => undefined;

  constructor(options: LooksOptions) {
    this.#options = options;
  }

  want(look: Look): void {
    if (look > this.#wanted) this.#wanted = look;
    if (this.#mode === "waiting") void this.#lookUntilDone();
  }

  /** A look that is under way ends by itself. */
  stop(): void {
    this.#mode = "stopped";
    this.#cancelTimer();
  }

  async #lookUntilDone(): Promise<void> {
    const { look, onFailed, clock, nextAtMs, retryMs } = this.#options;
    this.#cancelTimer();
    this.#mode = "looking";
    let failed = false;
    while (this.#wanted !== Look.nowhere && !failed && !this.#isStopped) {
      const wanted = this.#wanted;
      this.#wanted = Look.nowhere;
      try {
        await look(wanted);
      } catch (error) {
        failed = true;
        onFailed(error);
      }
    }
    // What was asked for meanwhile is part of the next look, which is one at everything.
    this.#wanted = Look.nowhere;
    if (this.#isStopped) return;
    this.#mode = "waiting";
    const delayMs = failed ? retryMs : Math.max(0, nextAtMs() - clock.now());
    this.#cancelTimer = clock.setTimer(() => this.want(Look.sessions), delayMs);
  }

  get #isStopped(): boolean {
    return this.#mode === "stopped";
  }
}
