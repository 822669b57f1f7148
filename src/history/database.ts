/**
 * The SQL file: how it is opened, its tables, and what becomes of a file that cannot be used. It is a cache, so a file of
 * another layout is deleted and a corrupt one is put aside (`<file>.corrupt`, one at most); both begin anew.
 *
 * One process at a time: the file is locked while it is open (two writers would count facts twice).
 *
 * Once per thread: libsql ends a statement, and with it the connection and its lock, when the statement is collected as
 * garbage, whatever `close` says; and SQLite removes the log of a connection that ends by its name, though it may be that of a
 * newer one. When the thread has ended, so have they.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import Database from "libsql";

export type Sql = InstanceType<typeof Database>;
export type Statement = ReturnType<Sql["prepare"]>;

/** Raised with every change of the tables or of the stored facts. 0 is an empty file. */
const LAYOUT = 2;

/**
 * Lists go by (created_at, id), newest first, so every index that serves one ends with these. `facts` holds what was known
 * when the row was written, which for most runs is everything; `later` what came after that. `counts` says how many rows of `runs`
 * there are, so that nobody has to count them.
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
    event TEXT,
    event_seq INTEGER,
    keys TEXT,
    tags TEXT,
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
  CREATE TABLE run_tags (
    tag TEXT NOT NULL, created_at INTEGER NOT NULL, run TEXT NOT NULL,
    PRIMARY KEY (tag, created_at, run)
  ) WITHOUT ROWID;
  CREATE TABLE counts (
    workflow TEXT NOT NULL, version TEXT NOT NULL, status INTEGER NOT NULL, runs INTEGER NOT NULL,
    PRIMARY KEY (workflow, version, status)
  ) WITHOUT ROWID;
  CREATE TABLE later (n INTEGER PRIMARY KEY, run INTEGER NOT NULL, facts TEXT NOT NULL);
  CREATE INDEX later_by_run ON later (run);
  PRAGMA user_version = ${LAYOUT};
`;

/** What is wrong with the file that is there. `keep`: put it aside rather than delete it. */
export interface Discard {
  readonly why: string;
  readonly keep: boolean;
}

/** The file is not of use, and another attempt with `discard` begins anew. In another thread: see above. */
export class UnusableFileError extends Error {
  override readonly name = "UnusableFileError";
  readonly discard: Discard;

  constructor(discard: Discard, options?: ErrorOptions) {
    super(discard.why, options);
    this.discard = discard;
  }
}

/**
 * Opens or creates the file; `:memory:` is one that nobody else sees. Throws what the system or SQLite says, and
 * UnusableFileError.
 */
export function openDatabase({
  file,
  cluster,
  discard,
}: {
  readonly file: string;
  readonly cluster: string;
  readonly discard?: Discard;
}): Sql {
  if (file !== ":memory:") mkdirSync(dirname(file), { recursive: true });
  if (discard !== undefined) {
    if (discard.keep && existsSync(file)) {
      remove(`${file}.corrupt`);
      renameSync(file, `${file}.corrupt`);
    }
    remove(file);
  }
  const sql = open(file);
  try {
    const layout = readPragma(sql, "user_version") || layoutOf(sql);
    if (layout === 0) return fill(sql, cluster);
    if (layout !== LAYOUT)
      throw new UnusableFileError({ why: `it has layout ${layout}, and this release uses ${LAYOUT}`, keep: false });
    if (clusterOf(sql) !== cluster) throw new UnusableFileError({ why: "it is of another cluster", keep: false });
    return sql;
  } catch (error) {
    sql.close();
    throw error;
  }
}

/** What an error says of the file itself, rather than of its surroundings. */
export function discardOf(error: unknown): Discard | undefined {
  if (error instanceof UnusableFileError) return error.discard;
  const code = String((error as { code?: unknown } | null)?.code ?? "");
  const corrupt = code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB");
  return corrupt ? { why: `it is corrupt: ${(error as Error).message}`, keep: true } : undefined;
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

/** The value of a pragma that is a number. (`pragma(…, { simple: true })` of libsql returns an object.) */
export function readPragma(sql: Sql, name: string): number {
  return (sql.prepare(`PRAGMA ${name}`).raw().get() as [number])[0];
}

/** -1 for a file with tables that carries no layout number: not one of ours. */
function layoutOf(sql: Sql): number {
  const [tables] = sql.prepare("SELECT count(*) FROM sqlite_master").raw().get() as [number];
  return tables === 0 ? 0 : -1;
}

function remove(file: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(`${file}${suffix}`, { force: true });
}
