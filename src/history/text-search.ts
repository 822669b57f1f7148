/**
 * Looks for a text in what the file has of a run: its id, workflow, keys, metadata and input, whatever the case. Inputs of runs that
 * events started are not in the file: then it says where they are.
 */
import type { Redactor } from "../protocol/redact.ts";
import type { CreatedFact } from "./journal.ts";
import { parseStored } from "./stored-facts.ts";

export class TextSearch {
  readonly #text: string;
  /** As it stands in JSON. */
  readonly #escaped: string;
  readonly #redactor: Redactor;
  readonly #eventsStream: string;

  constructor(text: string, { redactor, eventsStream }: { readonly redactor: Redactor; readonly eventsStream: string }) {
    this.#text = text.toLowerCase();
    this.#escaped = JSON.stringify(text).slice(1, -1).toLowerCase();
    this.#redactor = redactor;
    this.#eventsStream = eventsStream;
  }

  /** Of the stored facts of a run. A number: it may be in the message of the events stream with that sequence. */
  look(id: string, pieces: readonly string[]): boolean | number {
    if (this.#has(id)) return true;
    const [first = ""] = pieces;
    // The facts at large are quickly looked through; only where it is somewhere in there, it is looked up where.
    if (!pieces.some((piece) => this.mayBeIn(piece))) {
      const seq = /"ref":\{|"ev":\{/.test(first) ? this.#elsewhere(created(pieces)) : undefined;
      return seq ?? false;
    }
    const facts = created(pieces);
    for (const { wf, keys = [], meta, input } of facts)
      if (this.#has(wf) || keys.some((key) => this.#has(key)) || this.isIn(meta) || this.isIn(input)) return true;
    return this.#elsewhere(facts) ?? false;
  }

  /** False: it is not in what this JSON text says. */
  mayBeIn(json: string): boolean {
    const lower = json.toLowerCase();
    return lower.includes(this.#escaped) || lower.includes(this.#text) || lower.includes("\\u");
  }

  /** In a value, as far as it may be seen. */
  isIn(value: unknown): boolean {
    if (value === undefined) return false;
    const seen = this.#redactor.value(value);
    if (typeof seen === "string") return this.#has(seen);
    const json = JSON.stringify(seen).toLowerCase();
    return json.includes(this.#escaped) || json.includes(this.#text);
  }

  #elsewhere(facts: readonly CreatedFact[]): number | undefined {
    if (facts.some(({ input }) => input !== undefined)) return undefined;
    for (const { ref, ev } of facts) {
      if (ref !== undefined) return ref.stream === this.#eventsStream ? ref.seq : undefined;
      if (ev !== undefined) return ev.seq;
    }
    return undefined;
  }

  #has(text: string): boolean {
    return text.toLowerCase().includes(this.#text);
  }
}

function created(pieces: readonly string[]): CreatedFact[] {
  return parseStored(pieces).filter((item) => typeof item !== "number" && item.k === "created") as unknown as CreatedFact[];
}
