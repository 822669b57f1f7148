/** Where a life entered a state of its machine. Pure. */
import type { Life } from "./life.ts";

/** The next frame after a position in which the state was entered, beginning again at the end; undefined: it never was. */
export function stateVisit(life: Life, position: number, state: string): number | undefined {
  const { frames } = life;
  let first: number | undefined;
  for (const [index, frame] of frames.entries()) {
    if (!frame.active.includes(state)) continue;
    const entered = frames[index - 1]?.active.includes(state) !== true || reentered(frame.taken, state);
    if (!entered) continue;
    if (index > position) return index;
    first ??= index;
  }
  return first;
}

/** A transition of the state's own that came back to it. */
function reentered(taken: readonly string[], state: string): boolean {
  return taken.some((id) => id.startsWith(`${state}|`));
}
