/**
 * What is known of a program's past: its frames in order, and what each of its actors was like at any of them. Pure; made anew
 * when something comes.
 */
import type { InspectFrame, InspectSnapshot } from "../../../protocol/inspect.ts";

export interface History {
  /** By `seq`. */
  readonly frames: readonly InspectFrame[];
  /** Frames with a state, by actor. */
  readonly states: ReadonlyMap<string, readonly InspectFrame[]>;
}

export interface ActorState {
  readonly frame: InspectFrame;
  readonly snapshot: InspectSnapshot;
  /** The one before; undefined at its first, or where that is not kept. */
  readonly before: InspectSnapshot | undefined;
}

export const NO_HISTORY: History = { frames: [], states: new Map() };

/** Where on the past people look: at the frame with this number, or at what is now. */
export type Cursor = "live" | number;

/** Frames that come again replace those with the same number: they were completed. */
export function withFrames(history: History, news: readonly InspectFrame[], most = Infinity): History {
  if (news.length === 0) return history;
  const bySeq = new Map(history.frames.map((frame) => [frame.seq, frame]));
  for (const frame of news) {
    // That an actor was registered says nothing once its first state is known.
    if (frame.kind === "registered" && frame.snapshot === undefined) bySeq.delete(frame.seq);
    else bySeq.set(frame.seq, frame);
  }
  const frames = [...bySeq.values()].sort((a, b) => a.seq - b.seq).slice(-most);
  const states = new Map<string, InspectFrame[]>();
  for (const frame of frames) {
    if (frame.snapshot === undefined) continue;
    const own = states.get(frame.actor);
    if (own === undefined) states.set(frame.actor, [frame]);
    else own.push(frame);
  }
  return { frames, states };
}

/** What an actor was like; undefined where it was not there yet, or its past is not kept. */
export function stateAt(history: History, actor: string, cursor: Cursor): ActorState | undefined {
  const states = history.states.get(actor) ?? [];
  const index = cursor === "live" ? states.length - 1 : lastUpTo(states, cursor);
  const frame = states[index];
  if (frame?.snapshot === undefined) return undefined;
  return { frame, snapshot: frame.snapshot, before: states[index - 1]?.snapshot };
}

/** Where the cursor stands among the frames; -1 where there are none. */
export function positionOf(history: History, cursor: Cursor): number {
  const last = history.frames.length - 1;
  return cursor === "live" ? last : Math.max(Math.min(0, last), lastUpTo(history.frames, cursor));
}

export function moved(history: History, cursor: Cursor, by: number): Cursor {
  const target = positionOf(history, cursor) + by;
  if (target >= history.frames.length) return "live";
  return history.frames[Math.max(0, target)]?.seq ?? "live";
}

function lastUpTo(frames: readonly InspectFrame[], seq: number): number {
  let low = 0;
  let high = frames.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((frames[middle]?.seq ?? Infinity) <= seq) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
