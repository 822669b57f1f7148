/**
 * Where time comes from, for whatever must also run in virtual time (`sluice/testing`).
 */
export interface Clock {
  /** In ms since the epoch. */
  readonly now: () => number;
  /** Calls back after that many ms, once; the returned function takes it back, and may be called at any time. */
  readonly setTimer: (call: () => void, delayMs: number) => () => void;
}

interface SystemClock extends Clock {
  /** Time that has really passed, from anywhere, in ms: it never jumps. */
  readonly elapsed: () => number;
}

export const systemClock: SystemClock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  setTimer(call, delayMs) {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
};
