/**
 * Lists of runs, newest first: which rows a query means, page by page. Every filter goes along an index that is in the order of the
 * list (the driver of a branch), one branch per status and workflow, merged. What the index does not tell is looked up in
 * the rows on the way, of a bounded number per page: then a page may have few items, or none, and still say where to go on.
 */
import type { RunListQuery } from "../protocol/view.ts";
import type { Sql, Statement } from "./database.ts";
import { HistoryError } from "./history-error.ts";
import { tagOf } from "./run-tags.ts";
import { RUN_STATUSES } from "./run-status.ts";
import type { SpecTable } from "./spec-table.ts";

/** Rows that are looked through for a page, at most. */
export const MAX_SCANNED = 20_000;
/** Runs that are counted. */
export const MAX_COUNTED = 100_000;
/** SQLite takes 500 parts of a compound query; beyond this many workflows of a limit one part reads them all. */
const MAX_WORKFLOWS = 80;

type Value = string | number;
type Condition = readonly [text: string, ...values: Value[]];
/** A run's place in the list. */
export type Place = readonly [createdAt: number, id: string];
export type FoundRow = readonly [createdAt: number, id: string, n: number];

interface Branch {
  /** A table, or an index of one, with its columns in the order of the list. */
  readonly from: string;
  readonly createdAt: string;
  readonly id: string;
  /** What the index answers. */
  readonly within: readonly Condition[];
  /** What is looked up in the run's row, `r`. */
  readonly besides: readonly Condition[];
}

export interface Found {
  readonly rows: readonly FoundRow[];
  /** After the last row that was looked at; absent where there are no more. */
  readonly next?: Place;
}

export class RunLists {
  readonly #sql: Sql;
  readonly #specs: SpecTable;
  readonly #statements = new Map<string, Statement>();

  constructor(sql: Sql, specs: SpecTable) {
    this.#sql = sql;
    this.#specs = specs;
  }

  /** Throws HistoryError QUERY_INVALID. `since` is part of the time, `until` is not. */
  find(query: RunListQuery, size: number): Found {
    const branches = this.#branches(query);
    if (branches.length === 0) return { rows: [] };
    const cap = Math.max(1_000, Math.floor(MAX_SCANNED / branches.length));
    const parts = branches.map((branch) => rowsOf(branch, size + 1, cap));
    const text = `${parts.map((part) => `SELECT * FROM (${part.text})`).join(" UNION ")} ORDER BY 1 DESC, 2 DESC LIMIT ${size + 1}`;
    let found = this.#prepare(text).all(parts.flatMap(({ values }) => values)) as FoundRow[];
    // A branch that stopped at its cap may have more, older ones: nothing behind that place is told yet.
    let frontier: Place | undefined;
    if (found.length <= size || branches.length > 1) {
      for (const branch of branches) {
        const place = branch.besides.length === 0 ? undefined : this.#placeAfter(branch, cap);
        if (place !== undefined && (frontier === undefined || isNewer(place, frontier))) frontier = place;
      }
    }
    if (frontier !== undefined) {
      const limit = frontier;
      found = found.filter(([createdAt, id]) => !isNewer(limit, [createdAt, id]));
    }
    const rows = found.slice(0, size);
    const last = rows.at(-1);
    const next = found.length > size && last !== undefined ? ([last[0], last[1]] as const) : frontier;
    return { rows, ...(next !== undefined && { next }) };
  }

  /** Up to MAX_COUNTED; of what has to be looked up, as many rows are looked through. */
  count(query: RunListQuery): { readonly count: number; readonly atLeast: boolean } {
    const { cursor: _, ...filters } = query;
    const branches = this.#branches(filters);
    if (branches.length === 0) return { count: 0, atLeast: false };
    const parts = branches.map((branch) => rowsOf(branch, MAX_COUNTED + 1, MAX_COUNTED));
    // Only of several limits may two have the same key of one run.
    const union = query.key === undefined ? " UNION ALL " : " UNION ";
    const text = `SELECT count(*) FROM (${parts.map((part) => `SELECT * FROM (${part.text})`).join(union)} LIMIT ${MAX_COUNTED + 1})`;
    const [count] = this.#prepare(text).get(parts.flatMap(({ values }) => values)) as [number];
    if (count > MAX_COUNTED) return { count: MAX_COUNTED, atLeast: true };
    const isCapped = branches.some((branch) => branch.besides.length > 0 && this.#placeAfter(branch, MAX_COUNTED) !== undefined);
    return { count, atLeast: isCapped };
  }

  /** The last of so many rows of a driver; undefined where it has fewer. */
  #placeAfter({ from, createdAt, id, within }: Branch, rows: number): Place | undefined {
    const { text, values } = where(within);
    const statement = `SELECT ${createdAt}, ${id} FROM ${from}${text} ORDER BY 1 DESC, 2 DESC LIMIT 1 OFFSET ${rows - 1}`;
    return this.#prepare(statement).get(values) as [number, string] | undefined;
  }

  #branches(query: RunListQuery): readonly Branch[] {
    const statuses = statusNumbers(query.status);
    const place = times(query);
    const workflow: Condition[] = query.workflow === undefined ? [] : [["r.workflow = ?", query.workflow]];
    const status: Condition[] = statuses.length === RUN_STATUSES.length ? [] : [[`r.status IN (${statuses.join(", ")})`]];
    const scheduled: Condition[] = query.scheduled === true ? [["r.scheduled = 1"]] : [];
    const event: Condition[] = query.event === undefined ? [] : [["r.event = ?", query.event]];
    const [tag, ...tags] = [query.tag ?? []].flat().map(tagOf);
    const tagged = (one: string): Condition => [
      "EXISTS (SELECT 1 FROM run_tags x WHERE x.tag = ? AND x.created_at = r.created_at AND x.run = r.id)",
      one,
    ];

    if (query.key !== undefined) {
      const limits = query.limit === undefined ? this.#specs.limits() : [query.limit];
      const besides = [...workflow, ...status, ...scheduled, ...event, ...(tag === undefined ? [] : [tag, ...tags].map(tagged))];
      return limits.map((limit) => ({
        from: "run_keys k",
        createdAt: "k.created_at",
        id: "k.run",
        within: [["k.lim = ?", limit], ["k.key = ?", query.key ?? ""], ...place("k.created_at", "k.run")],
        besides,
      }));
    }
    const limited = query.limit === undefined ? undefined : this.#specs.withLimit(query.limit);
    if (limited?.length === 0) return [];
    const version: Condition[] =
      limited === undefined || this.#specs.isInAllVersions(limited)
        ? []
        : [
            [
              `(r.workflow, r.version) IN (VALUES ${limited.map(() => "(?, ?)").join(", ")})`,
              ...limited.flatMap(({ name, version: one }) => [name, one]),
            ],
          ];
    if (tag !== undefined)
      return [
        {
          from: "run_tags t",
          createdAt: "t.created_at",
          id: "t.run",
          within: [["t.tag = ?", tag], ...place("t.created_at", "t.run")],
          besides: [...workflow, ...status, ...scheduled, ...event, ...version, ...tags.map(tagged)],
        },
      ];
    const runs = (index: string, within: readonly Condition[], besides: readonly Condition[]): Branch => ({
      from: `runs r INDEXED BY ${index}`,
      createdAt: "r.created_at",
      id: "r.id",
      within: [...within, ...place("r.created_at", "r.id")],
      besides,
    });
    if (query.scheduled === true) return [runs("runs_scheduled", scheduled, [...workflow, ...status, ...event, ...version])];

    let workflows = query.workflow === undefined ? undefined : [query.workflow];
    if (limited !== undefined) workflows ??= [...new Set(limited.map(({ name }) => name))];
    if (query.event !== undefined) {
      const started = this.#specs.startedBy(query.event);
      workflows = workflows === undefined ? [...started] : workflows.filter((name) => started.has(name));
    }
    const besides = [...event, ...version];
    if (workflows !== undefined && workflows.length <= MAX_WORKFLOWS)
      return workflows.flatMap((name) =>
        statuses.map((one) => runs("runs_by_workflow", [["r.workflow = ?", name], [`r.status = ${one}`]], besides)),
      );
    const among: Condition[] = query.event === undefined ? [] : event;
    return statuses.map((one) => runs("runs_by_status", [[`r.status = ${one}`]], [...among, ...version]));
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

/** The first rows of a branch. What is looked up is looked up in the order of the driver, so the rows stay in that order. */
function rowsOf(branch: Branch, size: number, cap: number): { readonly text: string; readonly values: readonly Value[] } {
  const { from, createdAt, id, within, besides } = branch;
  const inner = where(within);
  const isRuns = from.startsWith("runs ");
  const order = `ORDER BY ${createdAt} DESC, ${id} DESC`;
  if (isRuns && besides.length === 0)
    return { text: `SELECT ${createdAt}, ${id}, r.n FROM ${from}${inner.text} ${order} LIMIT ${size}`, values: inner.values };
  const outer = where(besides);
  const driver = `SELECT ${createdAt} AS c, ${id} AS i${isRuns ? ", r.n AS n" : ""} FROM ${from}${inner.text} ${order} LIMIT ${besides.length === 0 ? size : cap}`;
  return {
    text: `SELECT d.c, d.i, r.n FROM (${driver}) d CROSS JOIN runs r ON ${isRuns ? "r.n = d.n" : "r.id = d.i"}${outer.text} LIMIT ${size}`,
    values: [...inner.values, ...outer.values],
  };
}

function where(conditions: readonly Condition[]): { readonly text: string; readonly values: readonly Value[] } {
  if (conditions.length === 0) return { text: "", values: [] };
  return {
    text: ` WHERE ${conditions.map(([text]) => text).join(" AND ")}`,
    values: conditions.flatMap(([, ...values]) => values),
  };
}

function isNewer(a: Place, b: Place): boolean {
  return a[0] > b[0] || (a[0] === b[0] && Buffer.compare(Buffer.from(a[1]), Buffer.from(b[1])) > 0);
}

/** The part of a driver that a query means. */
function times({ since, until, cursor }: RunListQuery): (createdAt: string, id: string) => Condition[] {
  const from = since === undefined ? undefined : time("since", since);
  const to = until === undefined ? undefined : time("until", until);
  const after = cursor === undefined ? undefined : decodeCursor(cursor);
  return (createdAt, id) => [
    ...(from === undefined ? [] : [[`${createdAt} >= ?`, from] as const]),
    ...(to === undefined ? [] : [[`${createdAt} < ?`, to] as const]),
    ...(after === undefined ? [] : [[`(${createdAt}, ${id}) < (?, ?)`, ...after] as const]),
  ];
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

export function encodeCursor([createdAt, id]: Place): string {
  return Buffer.from(`${createdAt} ${id}`).toString("base64url");
}

/** Throws HistoryError QUERY_INVALID. */
export function decodeCursor(cursor: string): Place {
  const [, createdAt, id] = /^(\d+) (.+)$/s.exec(Buffer.from(cursor, "base64url").toString()) ?? [];
  if (createdAt === undefined || id === undefined)
    throw new HistoryError(
      "QUERY_INVALID",
      `expected 'cursor' to be the 'next' of an earlier page, got ${JSON.stringify(cursor)}`,
    );
  return [Number(createdAt), id];
}
