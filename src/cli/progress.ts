/** A line on a terminal that shows how far something is. Elsewhere it shows nothing: a log is no place for it. */
import type { OutputStream } from "./terminal.ts";

export interface Progress {
  /** Shows this text, at most ten times a second. */
  update(text: string): void;
  /** Takes the line away, for other output or for good. */
  clear(): void;
}

const EVERY_MS = 100;
const CLEAR_LINE = "\r\u001b[2K";

export function createProgress(stream: OutputStream, now: () => number = () => performance.now()): Progress {
  if (stream.isTTY !== true) return { update: () => undefined, clear: () => undefined };
  let shownAt = -Infinity;
  let shown = false;
  return {
    update: (text) => {
      if (now() - shownAt < EVERY_MS) return;
      shownAt = now();
      shown = true;
      stream.write(`${CLEAR_LINE}${text.slice(0, Math.max(1, (stream.columns || 80) - 1))}`);
    },
    clear: () => {
      if (shown) stream.write(CLEAR_LINE);
      shown = false;
    },
  };
}

/** `12,345` */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** `8,300/s` */
export function formatRate(count: number, elapsedMs: number): string {
  return `${formatCount(Math.round((count * 1000) / Math.max(1, elapsedMs)))}/s`;
}
