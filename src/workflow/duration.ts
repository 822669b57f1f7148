/**
 * Lengths of time as people write them: `"250ms"`, `"30s"`, `"5m"`, `"1h30m"`, `"2d"`, or a number of milliseconds. Pure.
 */
import { OptionsError } from "../errors.ts";

/** A length of time: milliseconds, or a text such as `"250ms"`, `"30s"`, `"5m"`, `"1h30m"` or `"2d"`. */
export type Duration = number | string;

/** What an error about a duration says that it expected. */
export const DURATION_EXPECTED = 'a duration such as "250ms", "30s", "5m", "1h30m" or "2d", or a number of milliseconds';

/** A hundred years: far beyond any use, and safe to add to any date. */
export const MAX_DURATION_MS = 36_525 * 86_400_000;

/** From large to small: a text names each unit at most once, in this order. */
const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
] as const;

const TEXT = /^(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$/;

/** The milliseconds of a duration, or `undefined` where it is none. Fractions (`"1.5h"`) are rounded to whole milliseconds. */
export function readDuration(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isInteger(value) && value >= 0 && value <= MAX_DURATION_MS ? value : undefined;
  if (typeof value !== "string" || value === "" || value.length > 64) return undefined;
  const amounts = TEXT.exec(value.trim().toLowerCase());
  if (amounts === null || amounts[0] === "") return undefined;
  let ms = 0;
  UNITS.forEach(([, unitMs], index) => {
    ms += Number(amounts[index + 1] ?? 0) * unitMs;
  });
  return ms <= MAX_DURATION_MS ? Math.round(ms) : undefined;
}

/**
 * The milliseconds of a duration given at `path`.
 * @throws OptionsError (`OPTIONS_INVALID`) saying what was expected, what came and where.
 */
export function parseDuration(value: unknown, path = "duration"): number {
  const ms = readDuration(value);
  if (ms !== undefined) return ms;
  const received = typeof value === "string" ? JSON.stringify(value.slice(0, 64)) : String(value);
  const fields = { path, expected: DURATION_EXPECTED, received: value };
  throw new OptionsError(`expected '${path}' to be ${DURATION_EXPECTED}, got ${received}`, fields);
}

/** A duration for people, exact to the millisecond: `5400000` is `"1h30m"`, `0` is `"0ms"`. */
export function formatDuration(ms: number): string {
  let rest = Math.round(ms);
  let text = "";
  for (const [unit, unitMs] of UNITS) {
    const amount = Math.floor(rest / unitMs);
    if (amount > 0) text += `${amount}${unit}`;
    rest -= amount * unitMs;
  }
  return text === "" ? "0ms" : text;
}
