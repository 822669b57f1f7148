/**
 * Where time comes from, for whatever must also run in virtual time (`sluice/testing`).
 */
export interface Clock {
  /** In ms since the epoch. */
  readonly now: () => number;
  /** Calls back after that many ms, once; the returned function takes it back, and may be called at any time. */
  readonly setTimer: (call: () => void, delayMs: number) => () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(call, delayMs) {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
};
