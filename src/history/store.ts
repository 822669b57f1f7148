/**
 * Writing into the file: the news of runs, positions, definitions, snapshots, and what retention takes out again. Every
 * method is one transaction, and throws what SQLite says with nothing changed. Reading is in queries.ts.
 */
import type { WorkflowSpec } from "../workflow/spec.ts";
import { readPragma, type Sql, type Statement } from "./database.ts";
import type { CreatedFact } from "./journal.ts";
import type { PendingRun, PendingRuns } from "./pending-runs.ts";
import { RunCounts } from "./run-counts.ts";
import { FIRST_FINAL } from "./run-status.ts";
import { SpecTable } from "./spec-table.ts";
import { currentPartition, parseStored, staysOf } from "./stored-facts.ts";

/** Rows per statement: one call for many rows takes two thirds of the time. */
const ROWS = 50;
const RUN_COLUMNS = "id, workflow, version, status, scheduled, created_at, finished_at, event, event_seq, keys, tags, facts";
/** Open runs whose rows are kept in memory, some 300 bytes each; others are read again when there is news of them. */
const MAX_OPEN = 50_000;
/** Share of free pages from which on they are given back to the file system, and how many at a time. */
const FREE_SHARE = 0.25;
const VACUUM_PAGES = 256;

/** A row of `runs` as the file has it. */
interface KnownRow {
  readonly n: number;
  readonly id: string;
  readonly workflow: string;
  readonly version: string;
  status: number;
  scheduled: number;
  readonly created_at: number;
  finished_at: number | null;
  keys: string | null;
  readonly tags: string | null;
}

const KNOWN = "n, id, workflow, version, status, scheduled, created_at, finished_at, keys, tags";

/** What retention does not keep: of finished runs, those that finished before, and the first above so many runs or bytes. */
export interface Bounds {
  readonly cutoffMs: number;
  readonly maxRuns: number;
  readonly maxBytes: number;
}

export class Store {
  readonly sql: Sql;
  readonly specs: SpecTable;
  /** Committed positions by partition. */
  readonly positions: Map<number, number>;
  /** News of runs that the file does not know and that nothing tells the beginning of: dropped. */
  unknown = 0;
  readonly counts: RunCounts;
  readonly #insert: (rows: number) => Statement;
  readonly #known: Statement;
  readonly #position: Statement;
  readonly #oldest: Statement;
  /** Rows of open runs, by id, as this transaction has them: what comes next of most runs is their end, soon. */
  readonly #open = new Map<string, KnownRow>();

  constructor(sql: Sql) {
    this.sql = sql;
    this.specs = new SpecTable(sql);
    this.positions = new Map(sql.prepare("SELECT partition, seq FROM positions").raw().all() as [number, number][]);
    this.counts = new RunCounts(sql);
    this.#insert = (rows) => this.#prepared(`INSERT OR IGNORE INTO runs (${RUN_COLUMNS}) VALUES ${marks(rows, 12)}`);
    this.#known = sql.prepare(`SELECT ${KNOWN} FROM runs WHERE id = ?`);
    this.#position = sql.prepare("INSERT INTO positions VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq");
    this.#oldest = sql.prepare(`SELECT ${KNOWN} FROM runs WHERE finished_at IS NOT NULL ORDER BY finished_at LIMIT ?`);
  }

  /** Runs in the file. */
  get count(): number {
    return this.counts.total;
  }

  define(spec: WorkflowSpec): void {
    this.specs.add(spec);
  }

  /** Writes the news, and up to where in each journal it goes. */
  commit(pending: PendingRuns, positions: ReadonlyMap<number, number>): void {
    this.#transaction(() => {
      this.#write(pending.values());
      this.#setPositions(positions);
    });
    for (const [partition, seq] of positions) this.positions.set(partition, seq);
  }

  /**
   * Puts in the open runs of a snapshot: what the file has of them from this partition is replaced. The position stays, so
   * that what the journal still has of other runs is read.
   */
  commitSnapshot(partition: number, runs: PendingRuns): void {
    this.#transaction(() => {
      for (const run of runs.values()) this.#replace(partition, run);
    });
  }

  /**
   * Takes out the open runs of a partition that are not in its snapshot, once its journal was read up to there: they have
   * ended in a part of the journal that is gone, nobody knows how. Returns their number.
   */
  dropEnded(partition: number, open: ReadonlySet<string>): number {
    return this.#transaction(() => {
      const gone = this.#openRunsOf(partition).filter((row) => !open.has(row.id));
      this.#delete(gone);
      return gone.length;
    });
  }

  /** Takes out up to `max` finished runs that are out of bounds, those that finished first. Returns how many. */
  deleteFinished({ cutoffMs, maxRuns, maxBytes }: Bounds, max: number): number {
    return this.#transaction(() => {
      const excess = this.usedBytes > maxBytes ? max : this.count - maxRuns;
      const rows = this.#oldest.all(max) as KnownRow[];
      const old = rows.filter((row, index) => index < excess || Number(row.finished_at) < cutoffMs);
      this.#delete(old);
      return old.length;
    });
  }

  /** What the file needs for what is in it; it may be larger until `shrink` was called often enough. */
  get usedBytes(): number {
    return (readPragma(this.sql, "page_count") - readPragma(this.sql, "freelist_count")) * readPragma(this.sql, "page_size");
  }

  /** Gives a portion of unused space back, where there is much of it, or the file is larger than it may be. False: there is no more. */
  shrink(maxBytes: number): boolean {
    const free = readPragma(this.sql, "freelist_count");
    const pages = readPragma(this.sql, "page_count");
    const isLarge = free > 0 && pages * readPragma(this.sql, "page_size") > maxBytes;
    if (!isLarge && !(free > VACUUM_PAGES && free > pages * FREE_SHARE)) return false;
    this.sql.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
    return true;
  }

  /** Moves the log into the file and syncs both: what was committed until now survives a power cut. */
  checkpoint(): void {
    this.sql.pragma("wal_checkpoint(PASSIVE)");
  }

  close(): void {
    this.sql.close();
  }

  #write(runs: Iterable<PendingRun>): void {
    const fresh: PendingRun[] = [];
    const known: PendingRun[] = [];
    for (const run of runs) (run.created === undefined ? known : fresh).push(run);
    for (let from = 0; from < fresh.length; from += ROWS) known.push(...this.#create(fresh.slice(from, from + ROWS)));
    for (let from = 0; from < known.length; from += ROWS) this.#append(known.slice(from, from + ROWS));
  }

  /** Runs that have come: rows of their own. Returns those that have one already, since they came before, in another partition. */
  #create(runs: readonly PendingRun[]): readonly PendingRun[] {
    const values: unknown[] = [];
    for (const run of runs) {
      const created = run.created as CreatedFact;
      values.push(
        run.id,
        created.wf,
        created.ver,
        run.status,
        run.scheduled === true ? 1 : 0,
        createdAtOf(created),
        run.finishedAt ?? null,
        created.ev?.name ?? null,
        created.ev?.seq ?? null,
        run.keys === undefined ? null : JSON.stringify(run.keys),
        run.tags.length === 0 ? null : JSON.stringify(run.tags),
        run.facts,
      );
    }
    const { changes, lastInsertRowid } = this.#insert(runs.length).run(values);
    // New rows have the highest numbers, in the order of the values.
    const last = Number(lastInsertRowid);
    let created = runs;
    let others: readonly PendingRun[] = [];
    if (changes < runs.length) {
      const inserted =
        changes === 0
          ? []
          : (this.#prepared("SELECT id FROM runs WHERE n BETWEEN ? AND ?")
              .raw()
              .all([last - changes + 1, last]) as [string][]);
      const ids = new Set(inserted.map(([id]) => id));
      created = runs.filter(({ id }) => ids.has(id));
      others = runs.filter(({ id }) => !ids.has(id));
    }
    const keys: unknown[] = [];
    const tags: unknown[] = [];
    for (const [index, run] of created.entries()) {
      const fact = run.created as CreatedFact;
      if (run.status < FIRST_FINAL) this.#remember(run, fact, last - created.length + 1 + index);
      this.counts.add(fact.wf, fact.ver, run.status, 1);
      if (run.keys !== undefined) this.#keysOf(run.id, fact.wf, fact.ver, createdAtOf(fact), run.keys, keys);
      for (const tag of run.tags) tags.push(tag, createdAtOf(fact), run.id);
    }
    this.#insertInto("run_keys", 4, keys);
    this.#insertInto("run_tags", 3, tags);
    return others;
  }

  /** News of runs that have rows, each run once. */
  #append(runs: readonly PendingRun[]): void {
    const rows = this.#rowsOf(runs);
    const later: unknown[] = [];
    const found: (readonly [KnownRow, PendingRun])[] = [];
    for (const run of runs) {
      const row = rows.get(run.id);
      if (row === undefined) {
        this.unknown++;
        continue;
      }
      later.push(row.n, run.facts);
      found.push([row, run]);
    }
    this.#insertInto("later (run, facts)", 2, later);
    this.#refresh(found);
  }

  #rowsOf(runs: readonly PendingRun[]): ReadonlyMap<string, KnownRow> {
    const unread = runs.filter(({ id }) => !this.#open.has(id)).map(({ id }) => id);
    if (unread.length === 0) return this.#open;
    const read = this.#prepared(`SELECT ${KNOWN} FROM runs WHERE id IN ${marks(1, unread.length)}`).all(unread) as KnownRow[];
    const rows = new Map(read.map((row) => [row.id, row]));
    for (const { id } of runs) {
      const row = this.#open.get(id);
      if (row !== undefined) rows.set(id, row);
    }
    return rows;
  }

  #remember(run: PendingRun, { wf, ver, ...fact }: CreatedFact, n: number): void {
    if (this.#open.size >= MAX_OPEN) return;
    this.#open.set(run.id, {
      n,
      id: run.id,
      workflow: wf,
      version: ver,
      status: run.status,
      scheduled: run.scheduled === true ? 1 : 0,
      created_at: fact.born ?? fact.at,
      finished_at: null,
      keys: run.keys === undefined ? null : JSON.stringify(run.keys),
      tags: null,
    });
  }

  #replace(partition: number, run: PendingRun): void {
    this.#open.delete(run.id);
    const row = this.#known.get(run.id) as KnownRow | undefined;
    if (row === undefined) return this.#write([run]);
    let from = -1;
    const kept = parseStored(this.#pieces(row.n)).filter((item) => {
      if (typeof item === "number") from = item;
      return from !== partition;
    });
    kept.push(...parseStored([run.facts]));
    this.sql.prepare("DELETE FROM later WHERE run = ?").run([row.n]);
    this.sql.prepare("UPDATE runs SET facts = ? WHERE n = ?").run([JSON.stringify(kept).slice(1, -1), row.n]);
    this.#refresh([[row, run]]);
  }

  /** Brings the columns that lists are made from up to date. */
  #refresh(news: readonly (readonly [KnownRow, PendingRun])[]): void {
    const changed: unknown[] = [];
    const keysOfRuns: unknown[] = [];
    for (const [row, run] of news) {
      const status = Math.max(row.status, run.status);
      const scheduled = row.scheduled === 1 && run.scheduled !== false ? 1 : 0;
      const finishedAt = row.finished_at ?? run.finishedAt ?? null;
      const keys = run.keys === undefined ? row.keys : JSON.stringify(run.keys);
      if (status === row.status && scheduled === row.scheduled && finishedAt === row.finished_at && keys === row.keys) continue;
      changed.push(row.n, status, scheduled, finishedAt, keys);
      if (status !== row.status) {
        this.counts.add(row.workflow, row.version, row.status, -1);
        this.counts.add(row.workflow, row.version, status, 1);
      }
      if (run.keys !== undefined && keys !== row.keys)
        this.#keysOf(row.id, row.workflow, row.version, row.created_at, run.keys, keysOfRuns);
      Object.assign(row, { status, scheduled, finished_at: finishedAt, keys });
      if (status >= FIRST_FINAL) this.#open.delete(row.id);
    }
    if (changed.length > 0)
      this.#prepared(
        `WITH news (n, status, scheduled, finished_at, keys) AS (VALUES ${marks(changed.length / 5, 5)})
        UPDATE runs SET status = news.status, scheduled = news.scheduled, finished_at = news.finished_at, keys = news.keys
        FROM news WHERE runs.n = news.n`,
      ).run(changed);
    this.#insertInto("run_keys", 4, keysOfRuns);
  }

  #keysOf(id: string, workflow: string, version: string, createdAt: number, keys: readonly string[], values: unknown[]): void {
    const limits = this.specs.get(workflow, version)?.limits;
    if (limits === undefined) return;
    for (const [index, key] of keys.entries()) {
      const limit = limits[index];
      if (limit !== undefined && key !== "") values.push(limit.name, key, createdAt, id);
    }
  }

  #insertInto(table: string, columns: number, values: readonly unknown[]): void {
    for (let from = 0; from < values.length; from += ROWS * columns) {
      const some = values.slice(from, from + ROWS * columns);
      this.#prepared(`INSERT OR IGNORE INTO ${table} VALUES ${marks(some.length / columns, columns)}`).run(some);
    }
  }

  #openRunsOf(partition: number): readonly KnownRow[] {
    const rows = this.sql.prepare(`SELECT ${KNOWN} FROM runs WHERE status < ${FIRST_FINAL}`).all() as KnownRow[];
    return rows.filter((row) => currentPartition(staysOf(parseStored(this.#pieces(row.n)))) === partition);
  }

  #pieces(n: number): string[] {
    const rows = this.sql.prepare("SELECT facts FROM runs WHERE n = ?").raw().all(n) as [string][];
    const later = this.sql.prepare("SELECT facts FROM later WHERE run = ? ORDER BY n").raw().all(n) as [string][];
    return [...rows, ...later].map(([facts]) => facts);
  }

  #delete(rows: readonly KnownRow[]): void {
    const deleteKey = this.#prepared("DELETE FROM run_keys WHERE lim = ? AND key = ? AND created_at = ? AND run = ?");
    const deleteTag = this.#prepared("DELETE FROM run_tags WHERE tag = ? AND created_at = ? AND run = ?");
    for (const { id, workflow, version, status, created_at, keys, tags } of rows) {
      this.#open.delete(id);
      this.counts.add(workflow, version, status, -1);
      if (tags !== null) for (const tag of JSON.parse(tags) as readonly string[]) deleteTag.run([tag, created_at, id]);
      if (keys === null) continue;
      const limits = this.specs.get(workflow, version)?.limits ?? [];
      for (const [index, key] of (JSON.parse(keys) as readonly string[]).entries()) {
        const limit = limits[index];
        if (limit !== undefined) deleteKey.run([limit.name, key, created_at, id]);
      }
    }
    const numbers = JSON.stringify(rows.map(({ n }) => n));
    this.#prepared("DELETE FROM later WHERE run IN (SELECT value FROM json_each(?))").run([numbers]);
    this.#prepared("DELETE FROM runs WHERE n IN (SELECT value FROM json_each(?))").run([numbers]);
  }

  #setPositions(positions: ReadonlyMap<number, number>): void {
    for (const position of positions) this.#position.run([...position]);
  }

  readonly #statements = new Map<string, Statement>();
  #prepared(text: string): Statement {
    let statement = this.#statements.get(text);
    if (statement === undefined) this.#statements.set(text, (statement = this.sql.prepare(text)));
    return statement;
  }

  #transaction<T>(work: () => T): T {
    this.sql.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.counts.write();
      this.sql.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.sql.inTransaction) this.sql.exec("ROLLBACK");
      this.counts.reload();
      this.#open.clear();
      throw error;
    }
  }
}

function createdAtOf({ born, at }: CreatedFact): number {
  return born ?? at;
}

const MARKS = new Map<number, string>();

/** `(?, ?), (?, ?)` */
function marks(rows: number, columns: number): string {
  const id = rows * 100 + columns;
  let text = MARKS.get(id);
  if (text === undefined) {
    const row = `(${Array.from({ length: columns }, () => "?").join(", ")})`;
    text = Array.from({ length: rows }, () => row).join(", ");
    MARKS.set(id, text);
  }
  return text;
}
