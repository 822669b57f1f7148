/** Newline-delimited JSON from a stream: one value per line, each with its number, and what is wrong with those that are none. */
import type { Readable } from "node:stream";
import { oneLine } from "./terminal.ts";

export type JsonLine =
  | { readonly line: number; readonly ok: true; readonly value: unknown }
  | { readonly line: number; readonly ok: false; readonly problem: string };

/** Empty lines are skipped, but counted. A line is held in memory whole. */
export async function* readJsonLines(stream: Readable): AsyncGenerator<JsonLine> {
  let line = 0;
  for await (const text of readLines(stream)) {
    line += 1;
    const json = line === 1 ? text.replace(/^\ufeff/, "") : text;
    if (json.trim() === "") continue;
    yield { line, ...parseJson(json) };
  }
}

/** Parses JSON, or says what is wrong with it. */
export function parseJson(
  text: string,
): { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problem: string } {
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch (error) {
    return { ok: false, problem: oneLine((error as Error).message) };
  }
}

async function* readLines(stream: Readable): AsyncGenerator<string> {
  stream.setEncoding("utf8");
  let rest = "";
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
  }
  if (rest !== "") yield rest;
}
