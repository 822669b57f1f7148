/**
 * Reading from the file: single runs, pages of lists, what happened to a run, and looking for a text. Which rows a list means is in
 * run-lists.ts, what a row says in run-fold.ts.
 */
import type { Redactor } from "../protocol/redact.ts";
import type { RunEventView, RunListQuery } from "../protocol/view.ts";
import type { Sql, Statement } from "./database.ts";
import type { ScannedRow } from "./messages.ts";
import { eventsOf, foldRun, type RunRow } from "./run-fold.ts";
import { encodeCursor, RunLists } from "./run-lists.ts";
import { RecordCache } from "./record-cache.ts";
import { openStays } from "./sealing.ts";
import type { SpecTable } from "./spec-table.ts";
import { parseStored, type Stay, staysOf } from "./stored-facts.ts";
import { TextSearch } from "./text-search.ts";

const DEFAULT_SIZE = 50;
const MAX_SIZE = 1000;
/** Values per statement. */
const CHUNK = 500;

export interface QueriesOptions {
  readonly eventsStream: string;
  readonly redactor: Redactor;
  /** Opens what was stored encrypted. */
  readonly sealKey: string | undefined;
}

interface StoredRun {
  readonly id: string;
  readonly workflow: string;
  readonly version: string;
  readonly stays: readonly Stay[];
}

export class Queries {
  readonly #sql: Sql;
  readonly #specs: SpecTable;
  readonly #options: QueriesOptions;
  readonly #lists: RunLists;
  readonly #records: RecordCache;
  readonly #statements = new Map<string, Statement>();

  constructor(sql: Sql, specs: SpecTable, options: QueriesOptions) {
    this.#sql = sql;
    this.#specs = specs;
    this.#options = options;
    this.#lists = new RunLists(sql, specs);
    this.#records = new RecordCache(sql, specs, options);
  }

  /** With its real values. */
  run(id: string): RunRow | undefined {
    const found = this.#find(id);
    return found && this.#fold(found);
  }

  /** With real values. Undefined for a run that the history does not have. */
  events(id: string): readonly RunEventView[] | undefined {
    const found = this.#find(id);
    if (found === undefined) return undefined;
    return eventsOf(openStays(found.stays, this.#options.sealKey), this.#specs.get(found.workflow, found.version));
  }

  /** The facts of a run as its journals had them, by partition, in the order of its life; redacted. */
  stays(id: string): readonly Stay[] | undefined {
    return this.#find(id)?.stays;
  }

  /** A run's life frame by frame, as JSON; with `after`, only the frames with a higher index. */
  record(id: string, after?: number): string | undefined {
    return this.#records.read(id, after);
  }

  /** Facts were replaced or deleted: what is known of them is to be read again. */
  forget(): void {
    this.#records.clear();
  }

  /** Ids of the runs that events started, by the event's sequence. */
  runsOfEvents(seqs: readonly number[]): Map<number, string[]> {
    const runs = new Map<number, string[]>(seqs.map((seq) => [seq, []]));
    for (let from = 0; from < seqs.length; from += CHUNK) {
      const some = seqs.slice(from, from + CHUNK);
      const rows = this.#sql
        .prepare(`SELECT event_seq, id FROM runs WHERE event_seq IN (${marks(some.length)}) ORDER BY created_at, id`)
        .raw();
      for (const [seq, id] of rows.all(some) as [number, string][]) runs.get(seq)?.push(id);
    }
    return runs;
  }

  /** A page of a list as JSON text: `{ items: RunRow[], next? }`. Throws HistoryError QUERY_INVALID. */
  list(query: RunListQuery): string {
    const size = Math.min(Math.max(query.size ?? DEFAULT_SIZE, 1), MAX_SIZE);
    const { rows, next } = this.#lists.find(query, size);
    return this.#page(
      this.rows(
        rows.map(([, , n]) => n),
        query.fields,
      ),
      next && encodeCursor(next),
    );
  }

  /** Runs by the numbers of their rows, in the order given. Those that are gone are left out. */
  rows(ns: readonly number[], fields?: RunListQuery["fields"]): readonly RunRow[] {
    return this.#load(ns).flatMap((run) => this.#fold(run, fields) ?? []);
  }

  count(query: RunListQuery): { readonly count: number; readonly atLeast: boolean } {
    return this.#lists.count(query);
  }

  /** The next rows of a list, each with whether the text is in what the file knows of it, or where else it may be. */
  scan(query: RunListQuery, size: number): { readonly rows: readonly ScannedRow[]; readonly next?: string } {
    const { text = "", ...filters } = query;
    const search = new TextSearch(text, this.#options);
    const { rows, next } = this.#lists.find(filters, size);
    const scanned: ScannedRow[] = [];
    const facts = this.#facts(rows.map(([, , n]) => n));
    for (const [createdAt, id, n] of rows) {
      const found = search.look(id, facts.get(n)?.pieces ?? []);
      if (found !== false) scanned.push({ n, cursor: encodeCursor([createdAt, id]), ...(found !== true && { inputSeq: found }) });
    }
    return { rows: scanned, ...(next !== undefined && { next: encodeCursor(next) }) };
  }

  #page(items: readonly RunRow[], next: string | undefined): string {
    return JSON.stringify({ items, ...(next !== undefined && { next }) });
  }

  #facts(ns: readonly number[]): Map<number, { id: string; workflow: string; version: string; pieces: string[] }> {
    const rows = new Map<number, { id: string; workflow: string; version: string; pieces: string[] }>();
    for (let from = 0; from < ns.length; from += CHUNK) {
      const some = ns.slice(from, from + CHUNK);
      const runs = this.#sql.prepare(`SELECT n, id, workflow, version, facts FROM runs WHERE n IN (${marks(some.length)})`).raw();
      for (const [n, id, workflow, version, facts] of runs.all(some) as [number, string, string, string, string][])
        rows.set(n, { id, workflow, version, pieces: [facts] });
      const later = this.#sql.prepare(`SELECT run, facts FROM later WHERE run IN (${marks(some.length)}) ORDER BY n`).raw();
      for (const [n, facts] of later.all(some) as [number, string][]) rows.get(n)?.pieces.push(facts);
    }
    return rows;
  }

  #load(ns: readonly number[]): StoredRun[] {
    const rows = this.#facts(ns);
    return ns.flatMap((n) => {
      const row = rows.get(n);
      return row === undefined ? [] : { ...row, stays: staysOf(parseStored(row.pieces)) };
    });
  }

  #find(id: string): StoredRun | undefined {
    const row = this.#prepare("SELECT n, workflow, version, facts FROM runs WHERE id = ?").get(id) as
      | [number, string, string, string]
      | undefined;
    if (row === undefined) return undefined;
    const [n, workflow, version, facts] = row;
    const later = this.#prepare("SELECT facts FROM later WHERE run = ? ORDER BY n").all(n) as [string][];
    return { id, stays: staysOf(parseStored([facts, ...later.map(([piece]) => piece)])), workflow, version };
  }

  #fold({ id, stays, workflow, version }: StoredRun, fields?: RunListQuery["fields"]): RunRow | undefined {
    const { eventsStream, sealKey } = this.#options;
    const spec = this.#specs.get(workflow, version);
    return foldRun(openStays(stays, sealKey), { id, spec, eventsStream, row: fields === "row" });
  }

  #prepare(text: string): Statement {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      // Texts come from a small set of filters, but for limits with many versions.
      if (this.#statements.size > 100) this.#statements.clear();
      this.#statements.set(text, (statement = this.#sql.prepare(text).raw()));
    }
    return statement;
  }
}

function marks(count: number): string {
  return Array.from({ length: count }, () => "?").join(", ");
}
