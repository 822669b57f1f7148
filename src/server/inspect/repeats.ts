/**
 * Knows again what a client repeats when it comes back: its buffer is never emptied, so it sends the same messages anew. Only
 * after a reconnect: two equal messages of one connection are two things that happened.
 */
import { createHash } from "node:crypto";

/** Messages that are remembered, as hashes. */
const REMEMBERED = 4_000;

export class Repeats {
  readonly #remembered: string[] = [];
  #expected: Map<string, number> | undefined;

  /** The client is back: each message that it has sent may come once more. */
  expect(): void {
    this.#expected = new Map();
    for (const hash of this.#remembered) this.#expected.set(hash, (this.#expected.get(hash) ?? 0) + 1);
  }

  /** False where this message is a repetition. */
  isNew(text: string): boolean {
    const hash = createHash("sha1").update(text).digest("base64");
    const count = this.#expected?.get(hash) ?? 0;
    if (count > 0) {
      this.#expected?.set(hash, count - 1);
      return false;
    }
    this.#remembered.push(hash);
    if (this.#remembered.length > REMEMBERED) this.#remembered.shift();
    return true;
  }
}
