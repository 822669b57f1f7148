/** What a page is expected to come to: it is looked at until it is so, since it draws when it gets to it. */
import { expect } from "vitest";

/** For what must never be otherwise, not even for a moment, ask at once instead. */
export function soon<T>(look: () => T | Promise<T>): ReturnType<typeof expect.poll<T>> {
  return expect.poll(look, { timeout: 10_000, interval: 20 });
}
