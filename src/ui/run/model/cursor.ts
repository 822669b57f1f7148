/**
 * The one cursor that all views of a run share: either on a frame, named by its index so that addresses stay right, or live,
 * on whatever is newest. Pure.
 */
import { type Life, timeAt } from "./life.ts";
import { spanText } from "./span-text.ts";

export type Cursor = "live" | number;

/** `at` of the address. */
export function parseCursor(at: string | null): Cursor {
  return at !== null && /^\d{1,9}$/.test(at) ? Number(at) : "live";
}

export function cursorText(cursor: Cursor): string | undefined {
  return cursor === "live" ? undefined : String(cursor);
}

/** -1 where there are no frames. */
export function positionOf(cursor: Cursor, life: Life): number {
  const last = life.frames.length - 1;
  if (cursor === "live" || last < 0) return last;
  return Math.min(Math.max(cursor - (life.frames[0]?.index ?? 0), 0), last);
}

/** The cursor on a position. The last frame of a run that has ended is where live is, too. */
export function cursorAt(position: number, life: Life): Cursor {
  const last = life.frames.length - 1;
  if (last < 0 || (life.ended && position >= last)) return "live";
  return life.frames[Math.min(Math.max(position, 0), last)]?.index ?? "live";
}

/** One step on from the newest frame is live. */
export function moved(cursor: Cursor, by: number, life: Life): Cursor {
  if (life.frames.length === 0) return "live";
  const target = positionOf(cursor, life) + by;
  if (target >= life.frames.length) return "live";
  return cursorAt(target, life);
}

/** Something newer than what the cursor shows is known. */
export function isPast(cursor: Cursor, life: Life): boolean {
  return cursor !== "live" && positionOf(cursor, life) < life.frames.length - 1;
}

/** `12 of 48 · 3.214 s after start`. */
export function describeCursor(cursor: Cursor, life: Life): string {
  const position = positionOf(cursor, life);
  if (position < 0) return "nothing yet";
  const place = `${position + 1 + life.cut} of ${life.frames.length + life.cut}`;
  const after = timeAt(life, position) - life.startMs;
  return life.cut > 0
    ? `${place} · ${spanText(after)} after the oldest kept`
    : `${place} · ${position === 0 ? "the start" : `${spanText(after)} after start`}`;
}
