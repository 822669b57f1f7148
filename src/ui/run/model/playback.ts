/**
 * How fast a life is played: in the proportions of what happened, but no frame shorter than an eye needs, none so long that
 * nothing seems to happen, and the whole in half a minute or so however many there are. Pure.
 */
import { type Life, timeAt } from "./life.ts";

const SHORTEST_MS = 260;
const LONGEST_MS = 1_200;
const WHOLE_MS = 30_000;
/** Below this, frames are left out rather than shown for less. */
const REDRAW_MS = 40;

/** Where to go from a position, and after how long; undefined at the end. */
export function nextFrame(life: Life, position: number): { readonly position: number; readonly afterMs: number } | undefined {
  const last = life.frames.length - 1;
  if (position >= last) return undefined;
  const each = WHOLE_MS / Math.max(1, last);
  if (each >= SHORTEST_MS) {
    const real = timeAt(life, position + 1) - timeAt(life, position);
    return { position: position + 1, afterMs: Math.min(LONGEST_MS, Math.max(SHORTEST_MS, real)) };
  }
  const stride = Math.max(1, Math.ceil(REDRAW_MS / each));
  return { position: Math.min(last, position + stride), afterMs: each * stride };
}
