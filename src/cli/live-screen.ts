/**
 * A whole terminal for a view that changes: lines are drawn over the old ones without flicker, keys come one by one, and all is
 * left as it was found. For terminals only; the view does not know what is drawn on it.
 */
import { StringDecoder } from "node:string_decoder";
import { clip, type InputStream, type OutputStream } from "./terminal.ts";

export type Key = "up" | "down" | "page-up" | "page-down" | "home" | "end" | "enter" | "escape" | "ctrl-c" | (string & {});

const ESC = "\u001b";
const ENTER = `${ESC}[?1049h${ESC}[?25l`;
const LEAVE = `${ESC}[?25h${ESC}[?1049l`;
const HOME = `${ESC}[H`;
const CLEAR_LINE_END = `${ESC}[K`;
const CLEAR_BELOW = `${ESC}[J`;

export class LiveScreen {
  readonly #stdin: InputStream;
  readonly #stdout: OutputStream;
  readonly #decoder = new StringDecoder("utf8");
  readonly #onData = (data: Buffer | string): void => {
    for (const key of readKeys(typeof data === "string" ? data : this.#decoder.write(data))) this.#onKey(key);
  };
  readonly #onResize = (): void => this.#onChange();
  #onKey: (key: Key) => void = () => undefined;
  #onChange: () => void = () => undefined;
  #open = false;

  constructor(stdin: InputStream, stdout: OutputStream) {
    this.#stdin = stdin;
    this.#stdout = stdout;
  }

  get columns(): number {
    return this.#stdout.columns || 80;
  }

  get rows(): number {
    return this.#stdout.rows || 24;
  }

  /** `onResize` is called when there is another size to draw for. */
  open(onKey: (key: Key) => void, onResize: () => void): void {
    if (this.#open) return;
    this.#open = true;
    this.#onKey = onKey;
    this.#onChange = onResize;
    this.#stdout.write(ENTER);
    this.#stdout.on("resize", this.#onResize);
    if (this.#stdin.isTTY !== true) return;
    this.#stdin.setRawMode?.(true);
    this.#stdin.on("data", this.#onData);
    this.#stdin.resume();
  }

  /** Shows these lines, cut to the terminal's size. */
  draw(lines: readonly string[]): void {
    if (!this.#open) return;
    const shown = lines.slice(0, this.rows).map((line) => `${clip(line, this.columns)}${CLEAR_LINE_END}`);
    // In one write: a terminal shows what it has, and half a picture would flicker.
    this.#stdout.write(`${HOME}${shown.join("\r\n")}${shown.length < this.rows ? CLEAR_BELOW : ""}`);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#stdout.off("resize", this.#onResize);
    this.#stdout.write(LEAVE);
    if (this.#stdin.isTTY !== true) return;
    this.#stdin.off("data", this.#onData);
    this.#stdin.setRawMode?.(false);
    this.#stdin.pause();
  }
}

const SEQUENCES: Readonly<Record<string, Key>> = {
  A: "up",
  B: "down",
  H: "home",
  F: "end",
  "5~": "page-up",
  "6~": "page-down",
  "1~": "home",
  "4~": "end",
};

/** What a terminal sends for keys; sequences that mean nothing here are left out. */
export function* readKeys(text: string): Generator<Key> {
  for (const [part, sequence] of text.matchAll(/\u001b(?:\[|O)([0-9;]*[A-Za-z~])|\u001b|./gsu)) {
    if (sequence !== undefined) {
      const key = SEQUENCES[sequence];
      if (key !== undefined) yield key;
    } else if (part === ESC) yield "escape";
    else if (part === "\u0003") yield "ctrl-c";
    else if (part === "\r" || part === "\n") yield "enter";
    else if (part >= " ") yield part;
  }
}
