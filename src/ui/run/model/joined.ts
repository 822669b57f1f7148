/** A record and what has come since. Frames that are there stay the same objects, so what was made of them can be kept. Pure. */
import type { RunRecord } from "../../../protocol/record.ts";

/** As in the history; beyond that, the oldest are let go. */
const MAX_FRAMES = 5_000;

export function joined(known: RunRecord | undefined, news: RunRecord): RunRecord {
  const last = known?.frames.at(-1)?.index;
  const [first] = news.frames;
  // A record that is shorter than what is known, or of another machine, is another telling: begin with that.
  if (known === undefined || last === undefined || known.machine !== news.machine) return news;
  if (first === undefined) return known;
  if (first.index > last + 1) return news;
  const frames = [...known.frames, ...news.frames.filter(({ index }) => index > last)];
  const over = Math.max(0, frames.length - MAX_FRAMES);
  const cut = (known.cut ?? 0) + over;
  const { cut: _, ...rest } = news;
  return { ...rest, frames: over > 0 ? frames.slice(over) : frames, ...(cut > 0 && { cut }) };
}
