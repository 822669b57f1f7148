/** A record of a run that fits into one message: without its oldest frames, and it says how many these are. Pure. */
import type { RunRecord } from "../protocol/record.ts";

export function cutRecord(record: RunRecord, maxBytes: number): RunRecord {
  const { frames, cut = 0, ...rest } = record;
  // What stands around the frames.
  let bytes = Buffer.byteLength(JSON.stringify(rest)) + 100;
  let first = frames.length;
  while (first > 0) {
    bytes += Buffer.byteLength(JSON.stringify(frames[first - 1])) + 1;
    if (bytes > maxBytes) break;
    first--;
  }
  return first === 0 ? record : { ...rest, frames: frames.slice(first), cut: cut + first };
}
