/**
 * A run's record, made ready for the views: its frames with their times as numbers. All views read one `Life`, and say where
 * they are by a frame's position in it (not by `frame.index`, which counts those that were cut, too). Pure.
 */
import type { RunFrame, RunRecord } from "../../../protocol/record.ts";

export interface Life {
  readonly frames: readonly RunFrame[];
  /** Ms since the epoch, by position; never falling, whatever the clocks of two nodes say. */
  readonly times: Float64Array;
  /** Frames that are not here any more, before the first one. */
  readonly cut: number;
  /** Of the first and the last frame. */
  readonly startMs: number;
  readonly endMs: number;
  /** The last frame is the end of the run. */
  readonly ended: boolean;
}

export const EMPTY_LIFE: Life = { frames: [], times: new Float64Array(0), cut: 0, startMs: 0, endMs: 0, ended: false };

export function lifeOf(record: RunRecord | undefined): Life {
  if (record === undefined || record.frames.length === 0) return EMPTY_LIFE;
  const { frames, cut = 0 } = record;
  const times = new Float64Array(frames.length);
  let latest = -Infinity;
  for (const [position, frame] of frames.entries()) {
    latest = Math.max(latest, Date.parse(frame.at));
    times[position] = latest;
  }
  return {
    frames,
    times,
    cut,
    startMs: times[0] ?? 0,
    endMs: latest,
    ended: isOver(frames.at(-1)?.status),
  };
}

export function timeAt(life: Life, position: number): number {
  return life.times[Math.min(Math.max(position, 0), life.frames.length - 1)] ?? 0;
}

/** The last position whose time is not after `ms`; 0 where all are. */
export function positionAtTime(life: Life, ms: number): number {
  let low = 0;
  let high = life.times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((life.times[middle] ?? 0) <= ms) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

export function isOver(status: string | undefined): boolean {
  return status === "SUCCEEDED" || status === "FAILED" || status === "CANCELLED";
}
