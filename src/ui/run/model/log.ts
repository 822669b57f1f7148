/** The log of a run: a row per frame, with what the filter box looks through. Pure. */
import type { RunFrame } from "../../../protocol/record.ts";
import { type EventLabel, labelOf } from "./event-label.ts";
import { previewOf } from "./json-text.ts";
import type { Life } from "./life.ts";

export interface LogRow {
  readonly position: number;
  readonly frame: RunFrame;
  readonly label: EventLabel;
  /** Ms since the start, and since the frame before. */
  readonly afterMs: number;
  readonly deltaMs: number;
}

export function logRow(life: Life, position: number): LogRow | undefined {
  const frame = life.frames[position];
  if (frame === undefined) return undefined;
  const at = life.times[position] ?? 0;
  return {
    position,
    frame,
    label: labelOf(frame.type, frame.data, frame.fed),
    afterMs: at - life.startMs,
    deltaMs: position === 0 ? 0 : at - (life.times[position - 1] ?? at),
  };
}

/**
 * The positions of the frames that have every word of the filter, whatever the case, in their type, label, sender or data; a
 * word after a minus must not be there.
 */
export function filterLog(life: Life, filter: string, texts: WeakMap<RunFrame, string>): readonly number[] {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "" && word !== "-");
  const positions: number[] = [];
  for (const [position, frame] of life.frames.entries()) {
    if (words.length > 0) {
      const text = textOf(frame, texts);
      if (!words.every((word) => (word.startsWith("-") ? !text.includes(word.slice(1)) : text.includes(word)))) continue;
    }
    positions.push(position);
  }
  return positions;
}

function textOf(frame: RunFrame, texts: WeakMap<RunFrame, string>): string {
  let text = texts.get(frame);
  if (text === undefined) {
    const { type, data, from, sent, fed } = frame;
    text =
      `${type} ${labelOf(type, data, fed).text} ${from} ${previewOf(data, 4_000)} ${sent.map((one) => `${one.type} ${one.to}`).join(" ")}`.toLowerCase();
    texts.set(frame, text);
  }
  return text;
}
