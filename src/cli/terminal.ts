/**
 * What the command line reads and writes: its streams, and text that is fit for them. Colour only on a terminal, and never
 * a control character out of somebody's data.
 */
import { styleText } from "node:util";
import type { Readable, Writable } from "node:stream";
import type { Environment } from "./environment.ts";

export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

/** A terminal can be told to hand over every key as it is pressed. */
export type InputStream = Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan" | "magenta";

export interface Terminal {
  readonly stdin: InputStream;
  /** What was asked for. */
  readonly stdout: OutputStream;
  /** Everything else: errors, logs, progress. */
  readonly stderr: OutputStream;
}

/** Puts styles around texts, or leaves them as they are. */
export type Painter = (style: Style, text: string) => string;

export function createPainter(stream: OutputStream, env: Environment): Painter {
  if (stream.isTTY !== true || env.noColor) return (_style, text) => text;
  return (style, text) => (text === "" ? text : styleText(style, text, { validateStream: false }));
}

/** On one line, and without what a terminal would obey: escape sequences and other control characters are shown as such. */
export function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** At most this many characters; what is cut ends with "…". */
export function cut(text: string, length: number): string {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, Math.max(0, length - 1)).join("")}…`;
}

/** The beginning of a painted text, no wider than this; styles that are open where it is cut are ended. */
export function clip(text: string, columns: number): string {
  let width = 0;
  let shown = "";
  let styled = false;
  for (const [part] of text.matchAll(/\u001b\[[0-9;]*m|./gsu)) {
    if (part.startsWith("\u001b[")) {
      styled = true;
      shown += part;
      continue;
    }
    width += widthOf(part);
    if (width > columns) return styled ? `${shown}\u001b[0m` : shown;
    shown += part;
  }
  return shown;
}

/** The columns that a text takes on a terminal: two for the wide characters of East Asia and for emoji, none for marks. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mark}|\u200d|\ufe0f/u.test(character)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}
