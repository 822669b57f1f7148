/** Where each frame stands on the scrubber, from 0 to 1: evenly, or by its real time. Pure. */
import type { Life } from "./life.ts";

export type Scale = "frames" | "time";

export function placesOf(life: Life, scale: Scale): Float64Array {
  const count = life.frames.length;
  const places = new Float64Array(count);
  const length = life.endMs - life.startMs;
  for (let position = 0; position < count; position++) {
    places[position] =
      scale === "time" && length > 0
        ? ((life.times[position] ?? 0) - life.startMs) / length
        : count > 1
          ? position / (count - 1)
          : 1;
  }
  return places;
}

/** The position that stands nearest to a place; of several that stand there, the last. */
export function nearest(places: Float64Array, place: number): number {
  let low = 0;
  let high = places.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((places[middle] ?? 0) <= place) low = middle;
    else high = middle - 1;
  }
  const next = low + 1;
  if (next >= places.length || place - (places[low] ?? 0) <= (places[next] ?? 0) - place) return low;
  // The last of those that stand at the same place.
  let found = next;
  while (found + 1 < places.length && places[found + 1] === places[next]) found++;
  return found;
}
