/**
 * Writing into the file: the news of runs, positions, definitions, snapshots, and what retention takes out again. Every
 * method is one transaction, and throws what SQLite says with nothing changed. Reading is in queries.ts.
 */
import type { WorkflowSpec } from "../workflow/spec.ts";
import { readPragma, type Sql, type Statement } from "./database.ts";
import type { PendingRun, PendingRuns } from "./pending-runs.ts";
import { FIRST_FINAL } from "./run-status.ts";
import { SpecTable } from "./spec-table.ts";
import { currentPartition, parseStored, staysOf } from "./stored-facts.ts";

/** Share of free pages from which on they are given back to the file system, and how many at a time. */
const FREE_SHARE = 0.25;
const VACUUM_PAGES = 256;

interface KnownRow {
  readonly n: number;
  readonly id: string;
  readonly workflow: string;
  readonly version: string;
  readonly status: number;
  readonly scheduled: number;
  readonly created_at: number;
  readonly finished_at: number | null;
  readonly keys: string | null;
}

const KNOWN = "n, id, workflow, version, status, scheduled, created_at, finished_at, keys";

export class Store {
  readonly sql: Sql;
  readonly specs: SpecTable;
  /** Committed positions by partition. */
  readonly positions: Map<number, number>;
  /** News of runs that the file does not know and that nothing tells the beginning of: dropped. */
  unknown = 0;
  #count: number;
  readonly #insert: Statement;
  readonly #known: Statement;
  readonly #update: Statement;
  readonly #later: Statement;
  readonly #key: Statement;
  readonly #position: Statement;
  readonly #oldest: Statement;

  constructor(sql: Sql) {
    this.sql = sql;
    this.specs = new SpecTable(sql);
    this.positions = new Map(sql.prepare("SELECT partition, seq FROM positions").raw().all() as [number, number][]);
    this.#count = (sql.prepare("SELECT count(*) FROM runs").raw().get() as [number])[0];
    this.#insert = sql.prepare(
      "INSERT OR IGNORE INTO runs (id, workflow, version, status, scheduled, created_at, finished_at, event_seq, keys, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    this.#known = sql.prepare(`SELECT ${KNOWN} FROM runs WHERE id = ?`);
    this.#update = sql.prepare("UPDATE runs SET status = ?, scheduled = ?, finished_at = ?, keys = ? WHERE n = ?");
    this.#later = sql.prepare("INSERT INTO later (run, facts) VALUES (?, ?)");
    this.#key = sql.prepare("INSERT OR IGNORE INTO run_keys VALUES (?, ?, ?, ?)");
    this.#position = sql.prepare("INSERT INTO positions VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq");
    this.#oldest = sql.prepare(`SELECT ${KNOWN} FROM runs WHERE finished_at IS NOT NULL ORDER BY finished_at LIMIT ?`);
  }

  /** Runs in the file. */
  get count(): number {
    return this.#count;
  }

  define(spec: WorkflowSpec): void {
    this.specs.add(spec);
  }

  /** Writes the news, and up to where in each journal it goes. */
  commit(pending: PendingRuns, positions: ReadonlyMap<number, number>): void {
    this.#transaction(() => {
      for (const run of pending.values()) this.#write(run);
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
    const dropped = this.#transaction(() => {
      const gone = this.#openRunsOf(partition).filter((row) => !open.has(row.id));
      this.#delete(gone);
      return gone.length;
    });
    this.#count -= dropped;
    return dropped;
  }

  /** Takes out up to `max` finished runs: those finished before `cutoffMs`, and the oldest above `maxRuns`. Returns how many. */
  deleteFinished(cutoffMs: number, maxRuns: number, max: number): number {
    const deleted = this.#transaction(() => {
      const excess = this.#count - maxRuns;
      const rows = this.#oldest.all(max) as KnownRow[];
      const old = rows.filter((row, index) => index < excess || Number(row.finished_at) < cutoffMs);
      this.#delete(old);
      return old.length;
    });
    this.#count -= deleted;
    return deleted;
  }

  /** Gives a portion of unused space back, where there is much of it. */
  shrink(): void {
    const free = readPragma(this.sql, "freelist_count");
    const pages = readPragma(this.sql, "page_count");
    if (free > VACUUM_PAGES && free > pages * FREE_SHARE) this.sql.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
  }

  /** Moves the log into the file and syncs both: what was committed until now survives a power cut. */
  checkpoint(): void {
    this.sql.pragma("wal_checkpoint(PASSIVE)");
  }

  close(): void {
    this.sql.close();
  }

  #write(run: PendingRun): void {
    const { created } = run;
    if (created !== undefined) {
      const createdAt = created.born ?? created.at;
      const { changes } = this.#insert.run([
        run.id,
        created.wf,
        created.ver,
        run.status,
        run.scheduled === true ? 1 : 0,
        createdAt,
        run.finishedAt ?? null,
        created.ev?.seq ?? null,
        run.keys === undefined ? null : JSON.stringify(run.keys),
        run.facts,
      ]);
      if (changes === 1) {
        this.#count++;
        if (run.keys !== undefined) this.#writeKeys(run.id, created.wf, created.ver, createdAt, run.keys);
        return;
      }
    }
    const row = this.#known.get(run.id) as KnownRow | undefined;
    if (row === undefined) {
      this.unknown++;
      return;
    }
    this.#later.run([row.n, run.facts]);
    this.#refresh(row, run);
  }

  #replace(partition: number, run: PendingRun): void {
    const row = this.#known.get(run.id) as KnownRow | undefined;
    if (row === undefined) return this.#write(run);
    let from = -1;
    const kept = parseStored(this.#pieces(row.n)).filter((item) => {
      if (typeof item === "number") from = item;
      return from !== partition;
    });
    kept.push(...parseStored([run.facts]));
    this.sql.prepare("DELETE FROM later WHERE run = ?").run([row.n]);
    this.sql.prepare("UPDATE runs SET facts = ? WHERE n = ?").run([JSON.stringify(kept).slice(1, -1), row.n]);
    this.#refresh(row, run);
  }

  #refresh(row: KnownRow, run: PendingRun): void {
    const status = Math.max(row.status, run.status);
    const scheduled = row.scheduled === 1 && run.scheduled !== false ? 1 : 0;
    const finishedAt = row.finished_at ?? run.finishedAt ?? null;
    const keys = run.keys === undefined ? row.keys : JSON.stringify(run.keys);
    if (status === row.status && scheduled === row.scheduled && finishedAt === row.finished_at && keys === row.keys) return;
    this.#update.run([status, scheduled, finishedAt, keys, row.n]);
    if (run.keys !== undefined && keys !== row.keys) this.#writeKeys(row.id, row.workflow, row.version, row.created_at, run.keys);
  }

  #writeKeys(id: string, workflow: string, version: string, createdAt: number, keys: readonly string[]): void {
    const limits = this.specs.get(workflow, version)?.limits;
    if (limits === undefined) return;
    for (const [index, key] of keys.entries()) {
      const limit = limits[index];
      if (limit !== undefined && key !== "") this.#key.run([limit.name, key, createdAt, id]);
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
    for (const { id, workflow, version, created_at, keys } of rows) {
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
    const count = this.#count;
    this.sql.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.sql.exec("COMMIT");
      return result;
    } catch (error) {
      this.#count = count;
      if (this.sql.inTransaction) this.sql.exec("ROLLBACK");
      throw error;
    }
  }
}
