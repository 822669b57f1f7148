/**
 * The SQL file: how it is opened, its tables, and what becomes of a file that cannot be used. It is a cache, so a file of
 * another layout is deleted and a corrupt one is put aside (`<file>.corrupt`, one at most); both begin anew.
 *
 * One process at a time: the file is locked while it is open (two writers would count facts twice).
 */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import Database from "libsql";

export type Sql = InstanceType<typeof Database>;
export type Statement = ReturnType<Sql["prepare"]>;

/** Raised with every change of the tables or of the stored facts. 0 is an empty file. */
const LAYOUT = 1;

/**
 * Lists go by (created_at, id), newest first, so every index that serves one ends with these. `facts` holds what was known
 * when the row was written, which for most runs is everything; `later` what came after that.
 */
const TABLES = `
  CREATE TABLE cluster (id TEXT NOT NULL);
  CREATE TABLE positions (partition INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
  CREATE TABLE specs (workflow TEXT NOT NULL, version TEXT NOT NULL, spec TEXT NOT NULL, PRIMARY KEY (workflow, version)) WITHOUT ROWID;
  CREATE TABLE runs (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    status INTEGER NOT NULL,
    scheduled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    event_seq INTEGER,
    keys TEXT,
    facts TEXT NOT NULL
  );
  CREATE INDEX runs_by_status ON runs (status, created_at, id);
  CREATE INDEX runs_by_workflow ON runs (workflow, status, created_at, id);
  CREATE INDEX runs_scheduled ON runs (created_at, id) WHERE scheduled = 1;
  CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at IS NOT NULL;
  CREATE INDEX runs_by_event ON runs (event_seq) WHERE event_seq IS NOT NULL;
  CREATE TABLE run_keys (
    lim TEXT NOT NULL, key TEXT NOT NULL, created_at INTEGER NOT NULL, run TEXT NOT NULL,
    PRIMARY KEY (lim, key, created_at, run)
  ) WITHOUT ROWID;
  CREATE TABLE later (n INTEGER PRIMARY KEY, run INTEGER NOT NULL, facts TEXT NOT NULL);
  CREATE INDEX later_by_run ON later (run);
  PRAGMA user_version = ${LAYOUT};
`;

export interface OpenedDatabase {
  readonly sql: Sql;
  /** Why the file that was there was not used, for the log. */
  readonly discarded?: string;
}

/**
 * Opens or creates the file; `:memory:` is one that nobody else sees. `corrupt` says what was found to be wrong with the file
 * while it was in use. Throws what the system or SQLite says.
 */
export function openDatabase(
  { file, cluster }: { readonly file: string; readonly cluster: string },
  corrupt?: string,
): OpenedDatabase {
  if (file !== ":memory:") mkdirSync(dirname(file), { recursive: true });
  if (corrupt !== undefined) return putAside(file, cluster, corrupt);
  try {
    const sql = open(file);
    const layout = Number(sql.pragma("user_version", { simple: true }) ?? 0) || layoutOf(sql);
    if (layout === 0) return { sql: fill(sql, cluster) };
    const other = layout === LAYOUT ? clusterOf(sql) : undefined;
    if (layout === LAYOUT && other === cluster) return { sql };
    sql.close();
    remove(file);
    const discarded = layout === LAYOUT ? "it is of another cluster" : `it has layout ${layout}, and this release uses ${LAYOUT}`;
    return { sql: fill(open(file), cluster), discarded };
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    return putAside(file, cluster, (error as Error).message);
  }
}

/** True where the file, not its surroundings, is what is wrong. */
export function isCorrupt(error: unknown): boolean {
  const code = String((error as { code?: unknown } | null)?.code ?? "");
  return code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB");
}

function putAside(file: string, cluster: string, why: string): OpenedDatabase {
  remove(`${file}.corrupt`);
  if (existsSync(file)) renameSync(file, `${file}.corrupt`);
  remove(file);
  return { sql: fill(open(file), cluster), discarded: `it is corrupt (${why}); kept as ${file}.corrupt` };
}

function fill(sql: Sql, cluster: string): Sql {
  sql.exec(`BEGIN; ${TABLES} COMMIT`);
  sql.prepare("INSERT INTO cluster VALUES (?)").run([cluster]);
  return sql;
}

function clusterOf(sql: Sql): string | undefined {
  return (sql.prepare("SELECT id FROM cluster").raw().get() as [string] | undefined)?.[0];
}

function open(file: string): Sql {
  const sql = new Database(file);
  try {
    // The lock first: with it, the log's index is in memory, and nobody else's. Space is given back in small portions.
    sql.pragma("locking_mode = EXCLUSIVE");
    sql.pragma("page_size = 8192");
    sql.pragma("auto_vacuum = INCREMENTAL");
    sql.pragma("journal_mode = WAL");
    // Commits are not synced, checkpoints are: after a power cut the file is whole, and the tail is read from the journals again.
    sql.pragma("synchronous = NORMAL");
    sql.pragma("wal_autocheckpoint = 0");
    sql.pragma("cache_size = -32000");
    sql.pragma("temp_store = MEMORY");
    // Takes the lock now rather than at the first commit.
    sql.exec("BEGIN IMMEDIATE; COMMIT");
    return sql;
  } catch (error) {
    sql.close();
    throw error;
  }
}

/** -1 for a file with tables that carries no layout number: not one of ours. */
function layoutOf(sql: Sql): number {
  const [tables] = sql.prepare("SELECT count(*) FROM sqlite_master").raw().get() as [number];
  return tables === 0 ? 0 : -1;
}

function remove(file: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(`${file}${suffix}`, { force: true });
}
