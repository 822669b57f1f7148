/**
 * The decision log of a group, newest first, out of the facts of its runs. Runs are stored by when they were created, but decide when
 * they are admitted and end; so they are looked at by the latest time at which each can have decided anything, until a page is full and
 * nothing later can come. Of a key with many runs, those that can matter are found by indexes.
 */
import type { GroupDecisionView } from "../protocol/record.ts";
import type { Page } from "../protocol/view.ts";
import type { Sql } from "./database.ts";
import { HistoryError } from "./history-error.ts";
import { decisionsOf, rankOf } from "./run-decisions.ts";
import { FIRST_FINAL } from "./run-status.ts";
import type { SpecTable } from "./spec-table.ts";
import { parseStored, staysOf } from "./stored-facts.ts";

export interface DecisionQuery {
  readonly limit: string;
  readonly key: string;
  readonly size?: number;
  readonly cursor?: string;
}

const DEFAULT_SIZE = 50;
/**
 * A key with no more runs than that is read in full. Of others, the runs that can matter: the newest, those that are active, those that
 * ended just before the page, and of those that ended since as many as may be looked through. What may be missed are old entries of
 * runs that ended much later, and a line that a run changed to after thousands of others had come.
 */
const READ_IN_FULL = 5_000;
const NEWEST = 5_000;
const LOOKED_THROUGH = 20_000;
/** Runs whose facts are read at a time. */
const CHUNK = 200;

/** Place of a decision, the latest first: time, order within it, run, place in the run's story. */
type Place = readonly [atMs: number, rank: number, n: number, index: number];
type Candidate = readonly [n: number, workflow: string, version: string, id: string, lastMs: number];

/** When a run can have decided last: any time, while it is active or its facts came in pieces. */
const LAST = `CASE WHEN r.status >= ${FIRST_FINAL} THEN r.finished_at
  WHEN r.status = 0 AND NOT EXISTS (SELECT 1 FROM later l WHERE l.run = r.n)
    THEN (SELECT max(json_extract(value, '$.at')) FROM json_each('[' || r.facts || ']') WHERE type = 'object')
  ELSE 9e15 END`;
const COLUMNS = `r.n, r.workflow, r.version, r.id, ${LAST} AS last`;
const OF_GROUP =
  "EXISTS (SELECT 1 FROM run_keys k WHERE k.lim = ? AND k.key = ? AND k.created_at = r.created_at AND k.run = r.id)";

/** `readInFull`: keys with more runs than that are read by indexes. */
export function groupDecisions(
  sql: Sql,
  specs: SpecTable,
  { limit, key, size = DEFAULT_SIZE, cursor }: DecisionQuery,
  readInFull = READ_IN_FULL,
): Page<GroupDecisionView> {
  const after = cursor === undefined ? undefined : decodePlace(cursor);
  const candidates = candidatesOf(sql, limit, key, after?.[0] ?? Number.MAX_SAFE_INTEGER, size, readInFull);
  let found: { readonly place: Place; readonly view: GroupDecisionView }[] = [];
  for (let from = 0; from < candidates.length; from += CHUNK) {
    const last = found[size]?.place[0];
    // What is left has decided everything before the last of the page.
    if (last !== undefined && (candidates[from]?.[4] ?? 0) < last) break;
    const some = candidates.slice(from, from + CHUNK);
    const facts = factsOf(sql, some);
    for (const [n, workflow, version, run] of some) {
      const spec = specs.get(workflow, version);
      const index = Math.max(0, spec?.limits.findIndex(({ name }) => name === limit) ?? 0);
      const decisions = decisionsOf(staysOf(parseStored(facts.get(n) ?? [])), index, spec);
      for (const [at, { atMs, decision, ...said }] of decisions.entries()) {
        const place: Place = [atMs, rankOf(decision), n, at];
        if (after === undefined || latestFirst(place, after) > 0)
          found.push({ place, view: { at: new Date(atMs).toISOString(), run, workflow, decision, ...said } });
      }
    }
    found = found.sort((a, b) => latestFirst(a.place, b.place)).slice(0, size + 1);
  }
  const items = found.slice(0, size);
  const end = items.at(-1);
  return {
    items: items.map(({ view }) => view),
    ...(found.length > size && end !== undefined && { next: encodePlace(end.place) }),
  };
}

/** The runs that may have decided something up to a time, by when they can have decided last, the latest first. */
function candidatesOf(sql: Sql, limit: string, key: string, untilMs: number, size: number, readInFull: number): Candidate[] {
  const group = [limit, key];
  const count = sql.prepare(`SELECT count(*) FROM (SELECT 1 FROM run_keys WHERE lim = ? AND key = ? LIMIT ${readInFull + 1})`);
  const [[runs] = [0]] = count.raw().all(group) as [number][];
  const newest = (max: number): string =>
    `SELECT ${COLUMNS} FROM run_keys k CROSS JOIN runs r ON r.id = k.run
     WHERE k.lim = ? AND k.key = ? AND k.created_at <= ? ORDER BY k.created_at DESC LIMIT ${max}`;
  if (runs <= readInFull)
    return sql
      .prepare(`SELECT * FROM (${newest(readInFull)}) ORDER BY last DESC`)
      .raw()
      .all([...group, untilMs]) as Candidate[];
  const ended = (order: string, max: number): string =>
    `SELECT r.* FROM runs r INDEXED BY runs_finished WHERE r.finished_at ${order} LIMIT ${max}`;
  const text = `SELECT * FROM (${newest(NEWEST)})
    UNION SELECT ${COLUMNS} FROM runs r INDEXED BY runs_by_status WHERE r.status = 1 AND r.created_at <= ? AND ${OF_GROUP}
    UNION SELECT * FROM (SELECT ${COLUMNS} FROM runs r INDEXED BY runs_finished
      WHERE r.finished_at < ? AND ${OF_GROUP} ORDER BY r.finished_at DESC LIMIT ${size + CHUNK})
    UNION SELECT ${COLUMNS} FROM (${ended(">= ? ORDER BY r.finished_at", LOOKED_THROUGH)}) r WHERE r.created_at <= ? AND ${OF_GROUP}
    ORDER BY last DESC`;
  const values = [...group, untilMs, untilMs, ...group, untilMs, ...group, untilMs, untilMs, ...group];
  return sql.prepare(text).raw().all(values) as Candidate[];
}

function factsOf(sql: Sql, candidates: readonly Candidate[]): Map<number, string[]> {
  const ns = JSON.stringify(candidates.map(([n]) => n));
  const facts = new Map<number, string[]>();
  const first = sql.prepare("SELECT n, facts FROM runs WHERE n IN (SELECT value FROM json_each(?))").raw();
  for (const [n, text] of first.all([ns]) as [number, string][]) facts.set(n, [text]);
  const later = sql.prepare("SELECT run, facts FROM later WHERE run IN (SELECT value FROM json_each(?)) ORDER BY n").raw();
  for (const [n, text] of later.all([ns]) as [number, string][]) facts.get(n)?.push(text);
  return facts;
}

function latestFirst(a: Place, b: Place): number {
  return b[0] - a[0] || b[1] - a[1] || b[2] - a[2] || b[3] - a[3];
}

function encodePlace(place: Place): string {
  return Buffer.from(place.join(" ")).toString("base64url");
}

function decodePlace(cursor: string): Place {
  const place = Buffer.from(cursor, "base64url").toString().split(" ").map(Number);
  const [atMs, rank, n, index] = place;
  if (
    place.length !== 4 ||
    atMs === undefined ||
    rank === undefined ||
    n === undefined ||
    index === undefined ||
    place.some(Number.isNaN)
  )
    throw new HistoryError(
      "QUERY_INVALID",
      `expected 'cursor' to be the 'next' of an earlier page, got ${JSON.stringify(cursor)}`,
    );
  return [atMs, rank, n, index];
}
