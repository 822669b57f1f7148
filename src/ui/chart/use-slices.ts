/** Large drawings come into the page over several frames, so that none of them takes long. */
import { useEffect, useState } from "preact/hooks";

const AT_ONCE = 60;
const PER_FRAME = 40;

/** How many of `total` things to render now; begins again with another `key`. */
export function useSlices(total: number, key: string): number {
  const [state, setState] = useState({ key, count: AT_ONCE });
  const count = state.key === key ? state.count : AT_ONCE;
  useEffect(() => {
    if (count >= total) return undefined;
    const frame = requestAnimationFrame(() => setState({ key, count: count + PER_FRAME }));
    return () => cancelAnimationFrame(frame);
  }, [count, total, key]);
  return Math.min(count, total);
}
