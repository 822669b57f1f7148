/**
 * Looks for a text in the runs of a list, and in the inputs that are in the events stream and not in the history. A page looks
 * through so many runs for so long, and then says where to go on, however little it has found.
 */
import { MAX_SCANNED } from "../history/run-lists.ts";
import { TextSearch } from "../history/text-search.ts";
import type { Connection } from "../nats/connection.ts";
import type { Names } from "../nats/subjects.ts";
import type { Redactor } from "../protocol/redact.ts";
import type { RunListQuery } from "../protocol/view.ts";
import type { HistoryPort, ScannedRun } from "./history-port.ts";

const MAX_MS = 2_000;
/** Runs that the history is asked for at a time. */
const CHUNK = 1_000;
/** Inputs that are asked for at a time. */
const AT_ONCE = 256;

export interface RunSearchOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly redactor: Redactor;
}

/** Rows of the history, by their numbers, newest first. */
export interface FoundRuns {
  readonly ns: readonly number[];
  readonly next?: string;
}

export class RunSearch {
  readonly #options: RunSearchOptions;

  constructor(options: RunSearchOptions) {
    this.#options = options;
  }

  async find(history: HistoryPort, query: RunListQuery & { readonly text: string }, size: number): Promise<FoundRuns> {
    const until = performance.now() + MAX_MS;
    const search = new TextSearch(query.text, {
      redactor: this.#options.redactor,
      eventsStream: this.#options.names.eventsStream,
    });
    const ns: number[] = [];
    let { cursor } = query;
    for (let looked = 0; looked < MAX_SCANNED; looked += CHUNK) {
      const { cursor: _, ...filters } = query;
      const chunk = await history.scan({ ...filters, ...(cursor !== undefined && { cursor }) }, CHUNK);
      for (let from = 0; from < chunk.rows.length; from += AT_ONCE) {
        const rows = chunk.rows.slice(from, from + AT_ONCE);
        const hits = await Promise.all(rows.map((row) => this.#isHit(row, search)));
        for (const [index, row] of rows.entries()) {
          if (hits[index] !== true) continue;
          ns.push(row.n);
          if (ns.length >= size) return { ns, next: row.cursor };
        }
        const last = rows.at(-1);
        if (performance.now() > until && last !== undefined) return { ns, next: last.cursor };
      }
      if (chunk.next === undefined) return { ns };
      cursor = chunk.next;
      if (performance.now() > until) break;
    }
    return { ns, ...(cursor !== undefined && { next: cursor }) };
  }

  async #isHit({ inputSeq }: ScannedRun, search: TextSearch): Promise<boolean> {
    if (inputSeq === undefined) return true;
    const { connection, names } = this.#options;
    const message = await connection.readMessage(names.eventsStream, inputSeq);
    if (message === undefined) return false;
    const text = Buffer.from(message.data).toString();
    if (!search.mayBeIn(text)) return false;
    try {
      return search.isIn(JSON.parse(text));
    } catch {
      return false; // no event
    }
  }
}
