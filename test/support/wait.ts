/** Waiting in tests: for a condition with a deadline, never for a time. */
import { setTimeout as delay } from "node:timers/promises";

export interface WaitOptions {
  /** Default 10 s. */
  readonly timeoutMs?: number;
  /** Default 10 ms. */
  readonly intervalMs?: number;
  /** What is awaited, for the error. */
  readonly what?: string;
}

type Truthy<T> = Exclude<T, null | undefined | false | 0 | "">;

/**
 * Asks until `condition` returns something truthy, and returns that. A condition that throws counts as "not yet"; at the
 * deadline the last error, or the last value, is part of the message.
 */
export async function waitFor<T>(condition: () => T | Promise<T>, options: WaitOptions = {}): Promise<Truthy<T>> {
  const { timeoutMs = 10_000, intervalMs = 10, what = condition.toString().replace(/\s+/g, " ").slice(0, 120) } = options;
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    let last: unknown;
    try {
      const value = await condition();
      if (value) return value as Truthy<T>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= deadline) {
      const seen = last instanceof Error ? last.message : JSON.stringify(last);
      throw new Error(`waited ${timeoutMs} ms for ${what}; last: ${seen}`, last instanceof Error ? { cause: last } : undefined);
    }
    await delay(intervalMs);
  }
}

/** Awaits a promise with a deadline; the promise itself goes on. */
export async function within<T>(timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  const timer = new AbortController();
  try {
    return await Promise.race([
      promise,
      delay(timeoutMs, undefined, { signal: timer.signal }).then(() => {
        throw new Error(`waited ${timeoutMs} ms for ${what}`);
      }),
    ]);
  } finally {
    timer.abort();
  }
}
