/**
 * The end of a command that runs until it is told to stop: the first Ctrl-C (or SIGTERM, or the closing of its terminal) ends it
 * in order, the second one at once.
 */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Signals this close together are one wish: npm passes a Ctrl-C on to a program that the terminal has already told.
 */
const SAME_WISH_MS = 500;

export interface StopSignals {
  /** Resolves with the first signal. */
  readonly first: Promise<NodeJS.Signals>;
  /** From now on, signals do what they do by themselves. */
  dispose(): void;
}

/** `onSecond` must end the process. */
export function onStopSignals(
  onSecond: (signal: NodeJS.Signals) => void,
  now: () => number = () => performance.now(),
): StopSignals {
  let firstAt: number | undefined;
  let resolveFirst: (signal: NodeJS.Signals) => void = () => undefined;
  const first = new Promise<NodeJS.Signals>((resolve) => {
    resolveFirst = resolve;
  });
  const listener = (signal: NodeJS.Signals): void => {
    if (firstAt === undefined) {
      firstAt = now();
      resolveFirst(signal);
    } else if (now() - firstAt > SAME_WISH_MS) onSecond(signal);
  };
  for (const signal of SIGNALS) process.on(signal, listener);
  return {
    first,
    dispose: () => {
      for (const signal of SIGNALS) process.off(signal, listener);
    },
  };
}

/** What a shell reports for a program that a signal ended. */
export function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }[signal as "SIGINT" | "SIGTERM" | "SIGHUP"];
}
