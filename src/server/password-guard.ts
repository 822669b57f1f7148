/**
 * Compares what is given with the password, and lets nobody try many: an address has so many wrong guesses at once, and then one
 * a second. While it has none left, nothing from there is compared, not even the right password: else the answer would tell it.
 * The same wrong one again is no guess, so that a page left open, which goes on with an old password, does not lock its user out.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";

export type PasswordVerdict = "right" | "wrong" | "wait";

interface Guesses {
  /** May be a fraction; as of `atMs`. */
  left: number;
  atMs: number;
  /** The last wrong ones. */
  readonly wrong: string[];
}

const AT_ONCE = 10;
const EVERY_MS = 1_000;
/** More than that are forgotten, those that have not tried for longest first. */
const ADDRESSES = 10_000;

export class PasswordGuard {
  readonly #password: Buffer;
  readonly #nowMs: () => number;
  /** By who asks, those that tried last at the end. */
  readonly #guesses = new Map<string, Guesses>();

  /** `nowMs`: a clock that never goes back. */
  constructor(password: string, nowMs: () => number = () => performance.now()) {
    this.#password = digest(password);
    this.#nowMs = nowMs;
  }

  check(given: string, address: string | undefined): PasswordVerdict {
    const from = networkOf(address ?? "");
    const guesses = this.#guesses.get(from);
    const told = digest(given);
    const name = told.toString("base64");
    if (guesses?.wrong.includes(name)) return "wrong";
    const nowMs = this.#nowMs();
    const left = guesses === undefined ? AT_ONCE : Math.min(AT_ONCE, guesses.left + (nowMs - guesses.atMs) / EVERY_MS);
    if (left < 1) return "wait";
    if (timingSafeEqual(told, this.#password)) return "right";
    this.#guesses.delete(from);
    this.#guesses.set(from, { left: left - 1, atMs: nowMs, wrong: [...(guesses?.wrong ?? []), name].slice(-AT_ONCE) });
    const [oldest] = this.#guesses.keys();
    if (this.#guesses.size > ADDRESSES && oldest !== undefined) this.#guesses.delete(oldest);
    return "wrong";
  }
}

/** Of equal length whatever came, so that the comparison takes equally long. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** In IPv6 one machine has a whole /64 to ask from. */
function networkOf(address: string): string {
  if (isIP(address) !== 6 || address.toLowerCase().startsWith("::ffff:")) return address;
  const [head = "", tail] = address.split("%", 1)[0]?.split("::") ?? [];
  const first = head.split(":").filter((group) => group !== "");
  const last = tail?.split(":").filter((group) => group !== "") ?? [];
  const zeros = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => "0");
  return [...first, ...zeros, ...last].slice(0, 4).join(":");
}
