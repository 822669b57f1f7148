/**
 * Reading from the file: single runs, lists, what happened to a run. A list never sorts more than its pages: every filter
 * is answered from indexes that are in the order of the list, one branch per status and workflow, merged.
 */
import type { Page, RunEventView, RunListQuery } from "../protocol/view.ts";
import type { Sql, Statement } from "./database.ts";
import { HistoryError } from "./history-error.ts";
import { eventsOf, foldRun, type RunRow } from "./run-fold.ts";
import { recordOf } from "./run-record.ts";
import { RUN_STATUSES } from "./run-status.ts";
import type { SpecTable } from "./spec-table.ts";
import { parseStored, type Stay, staysOf } from "./stored-facts.ts";

const DEFAULT_SIZE = 50;
const MAX_SIZE = 1000;
/** SQLite takes 500 parts of a compound query; beyond this many workflows of a limit one part reads them all. */
const MAX_WORKFLOWS = 80;
/** Values per statement. */
const CHUNK = 500;

type Value = string | number;
/** One part of a list: `(created_at, id, n)` in the order of the list. */
interface Branch {
  readonly text: string;
  readonly values: readonly Value[];
}
type Condition = readonly [text: string, ...values: Value[]];

export class Queries {
  readonly #sql: Sql;
  readonly #specs: SpecTable;
  readonly #eventsStream: string;
  readonly #statements = new Map<string, Statement>();

  constructor(sql: Sql, specs: SpecTable, eventsStream: string) {
    this.#sql = sql;
    this.#specs = specs;
    this.#eventsStream = eventsStream;
  }

  run(id: string): RunRow | undefined {
    const found = this.#find(id);
    return found && this.#fold(id, found.stays, found.workflow, found.version);
  }

  /** Undefined for a run that the history does not have. */
  events(id: string): readonly RunEventView[] | undefined {
    const found = this.#find(id);
    return found && eventsOf(found.stays, this.#specs.get(found.workflow, found.version));
  }

  /** The facts of a run as its journals had them, by partition, in the order of its life. */
  stays(id: string): readonly Stay[] | undefined {
    return this.#find(id)?.stays;
  }

  /** A run's life frame by frame, as JSON. */
  record(id: string): string | undefined {
    const found = this.#find(id);
    if (found === undefined) return undefined;
    const { stays, workflow, version } = found;
    const record = recordOf(stays, {
      id,
      spec: this.#specs.get(workflow, version),
      machine: this.#specs.recorded(workflow, version),
    });
    return record && JSON.stringify(record);
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

  /** Newest first, by when a run was created; `since` is part of the time, `until` is not. Throws HistoryError QUERY_INVALID. */
  list(query: RunListQuery): Page<RunRow> {
    const size = Math.min(Math.max(query.size ?? DEFAULT_SIZE, 1), MAX_SIZE);
    const branches = this.#branches(query, size + 1);
    if (branches.length === 0) return { items: [] };
    const text = `${branches.map((branch) => `SELECT * FROM (${branch.text})`).join(" UNION ")} ORDER BY 1 DESC, 2 DESC LIMIT ${size + 1}`;
    const found = this.#prepare(text).all(branches.flatMap(({ values }) => values)) as [number, string, number][];
    const items = this.#load(found.slice(0, size).map(([, , n]) => n));
    const last = found[size - 1];
    return { items, ...(found.length > size && last !== undefined && { next: encodeCursor(last[0], last[1]) }) };
  }

  #branches(query: RunListQuery, size: number): readonly Branch[] {
    const statuses = statusNumbers(query.status);
    const common = this.#conditions(query);
    const workflow: Condition[] = query.workflow === undefined ? [] : [["r.workflow = ?", query.workflow]];
    const status: Condition[] = statuses.length === RUN_STATUSES.length ? [] : [[`r.status IN (${statuses.join(", ")})`]];

    if (query.key !== undefined) {
      const limits = query.limit === undefined ? this.#specs.limits() : [query.limit];
      const from = "run_keys k CROSS JOIN runs r ON r.id = k.run";
      const scheduled: Condition[] = query.scheduled === true ? [["r.scheduled = 1"]] : [];
      return limits.map((limit) =>
        branch(
          from,
          "k.created_at, k.run",
          [
            ["k.lim = ?", limit],
            ["k.key = ?", query.key ?? ""],
            ...times(common, "k", "run"),
            ...workflow,
            ...status,
            ...scheduled,
          ],
          size,
        ),
      );
    }
    const conditions = times(common, "r", "id");
    if (query.limit !== undefined) {
      const versions = this.#specs.withLimit(query.limit);
      if (versions.length === 0) return [];
      conditions.push([
        `(r.workflow, r.version) IN (VALUES ${versions.map(() => "(?, ?)").join(", ")})`,
        ...versions.flatMap(({ name, version }) => [name, version]),
      ]);
      if (query.workflow === undefined && query.scheduled !== true) {
        const workflows = [...new Set(versions.map(({ name }) => name))];
        if (workflows.length <= MAX_WORKFLOWS)
          return workflows.flatMap((name) => byStatus(statuses, [["r.workflow = ?", name], ...conditions], size));
      }
    }
    if (query.scheduled === true)
      return [
        branch(
          "runs r INDEXED BY runs_scheduled",
          "r.created_at, r.id",
          [["r.scheduled = 1"], ...workflow, ...status, ...conditions],
          size,
        ),
      ];
    return byStatus(statuses, [...workflow, ...conditions], size);
  }

  #conditions(query: RunListQuery): TimeConditions {
    return {
      ...(query.since !== undefined && { since: time("since", query.since) }),
      ...(query.until !== undefined && { until: time("until", query.until) }),
      ...(query.cursor !== undefined && { cursor: decodeCursor(query.cursor) }),
    };
  }

  /** Rows in the order of their numbers as given. */
  #load(ns: readonly number[]): RunRow[] {
    const rows = new Map<number, { id: string; workflow: string; version: string; pieces: string[] }>();
    for (let from = 0; from < ns.length; from += CHUNK) {
      const some = ns.slice(from, from + CHUNK);
      const runs = this.#sql.prepare(`SELECT n, id, workflow, version, facts FROM runs WHERE n IN (${marks(some.length)})`).raw();
      for (const [n, id, workflow, version, facts] of runs.all(some) as [number, string, string, string, string][])
        rows.set(n, { id, workflow, version, pieces: [facts] });
      const later = this.#sql.prepare(`SELECT run, facts FROM later WHERE run IN (${marks(some.length)}) ORDER BY n`).raw();
      for (const [n, facts] of later.all(some) as [number, string][]) rows.get(n)?.pieces.push(facts);
    }
    return ns.flatMap((n) => {
      const row = rows.get(n);
      return (row && this.#fold(row.id, staysOf(parseStored(row.pieces)), row.workflow, row.version)) ?? [];
    });
  }

  #find(id: string): { readonly stays: readonly Stay[]; readonly workflow: string; readonly version: string } | undefined {
    const row = this.#prepare("SELECT n, workflow, version, facts FROM runs WHERE id = ?").get(id) as
      | [number, string, string, string]
      | undefined;
    if (row === undefined) return undefined;
    const [n, workflow, version, facts] = row;
    const later = this.#prepare("SELECT facts FROM later WHERE run = ? ORDER BY n").all(n) as [string][];
    return { stays: staysOf(parseStored([facts, ...later.map(([piece]) => piece)])), workflow, version };
  }

  #fold(id: string, stays: readonly Stay[], workflow: string, version: string): RunRow | undefined {
    return foldRun(stays, { id, spec: this.#specs.get(workflow, version), eventsStream: this.#eventsStream });
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

interface TimeConditions {
  readonly since?: number;
  readonly until?: number;
  readonly cursor?: readonly [createdAt: number, id: string];
}

function times({ since, until, cursor }: TimeConditions, table: string, id: string): Condition[] {
  const conditions: Condition[] = [];
  if (since !== undefined) conditions.push([`${table}.created_at >= ?`, since]);
  if (until !== undefined) conditions.push([`${table}.created_at < ?`, until]);
  if (cursor !== undefined) conditions.push([`(${table}.created_at, ${table}.${id}) < (?, ?)`, ...cursor]);
  return conditions;
}

function byStatus(statuses: readonly number[], conditions: readonly Condition[], size: number): Branch[] {
  const index = conditions.some(([text]) => text.startsWith("r.workflow = ")) ? "runs_by_workflow" : "runs_by_status";
  return statuses.map((status) =>
    branch(`runs r INDEXED BY ${index}`, "r.created_at, r.id", [[`r.status = ${status}`], ...conditions], size),
  );
}

function branch(from: string, order: string, conditions: readonly Condition[], size: number): Branch {
  const where = conditions.map(([text]) => text).join(" AND ");
  const by = order.split(", ").map((column) => `${column} DESC`);
  return {
    text: `SELECT ${order}, r.n FROM ${from} WHERE ${where} ORDER BY ${by.join(", ")} LIMIT ${size}`,
    values: conditions.flatMap(([, ...values]) => values),
  };
}

function statusNumbers(status: RunListQuery["status"]): readonly number[] {
  if (status === undefined) return RUN_STATUSES.map((_, index) => index);
  const given = typeof status === "string" ? [status] : status;
  const numbers = given.map((name) => RUN_STATUSES.indexOf(name));
  const wrong = given[numbers.indexOf(-1)];
  if (wrong !== undefined)
    throw new HistoryError(
      "QUERY_INVALID",
      `expected 'status' to be of ${RUN_STATUSES.join(", ")}, got ${JSON.stringify(wrong)}`,
    );
  return [...new Set(numbers)];
}

function time(name: string, text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms))
    throw new HistoryError("QUERY_INVALID", `expected '${name}' to be a time in ISO 8601, got ${JSON.stringify(text)}`);
  return ms;
}

function encodeCursor(createdAt: number, id: string): string {
  return Buffer.from(`${createdAt} ${id}`).toString("base64url");
}

function decodeCursor(cursor: string): readonly [number, string] {
  const [, createdAt, id] = /^(\d+) (.+)$/s.exec(Buffer.from(cursor, "base64url").toString()) ?? [];
  if (createdAt === undefined || id === undefined)
    throw new HistoryError(
      "QUERY_INVALID",
      `expected 'cursor' to be the 'next' of an earlier page, got ${JSON.stringify(cursor)}`,
    );
  return [Number(createdAt), id];
}

function marks(count: number): string {
  return Array.from({ length: count }, () => "?").join(", ");
}
