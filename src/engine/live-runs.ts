/**
 * The live runs of a workflow by where their machines are: how many are in each state, and which are in one. In one pass over
 * the memory of the partitions, which lets the engine go on every few milliseconds; what changes meanwhile may count before or after.
 */
import { setImmediate } from "node:timers/promises";
import { decodeCursor, encodeCursor } from "../history/run-lists.ts";
import { tagOf, tagsOf } from "../history/run-tags.ts";
import type { RunListQuery, RunStatus, RunView } from "../protocol/view.ts";
import { activeIds } from "../step/record.ts";
import type { Partition } from "./partition.ts";
import type { Run } from "./run.ts";
import { runView } from "./views.ts";

/** At a stretch. */
const MAX_BUSY_MS = 5;
/** Runs between two looks at the clock. */
const STRIDE = 256;

export interface LivePopulation {
  readonly states: Readonly<Record<string, number>>;
  readonly queued: number;
  readonly running: number;
  readonly openInOtherVersions: number;
}

/** Runs that have no machine yet count as being in its initial state. */
export async function livePopulation(
  partitions: readonly Partition[],
  workflow: string,
  version: string,
): Promise<LivePopulation> {
  /** By the list of active nodes, of which there are far fewer than runs. */
  const byIds = new Map<readonly string[], number>();
  let [queued, running, openInOtherVersions] = [0, 0, 0];
  await eachLiveRun(partitions, workflow, (run) => {
    if (run.workflow.spec.version !== version) {
      openInOtherVersions++;
      return;
    }
    if (run.live === undefined) queued++;
    else running++;
    const ids = idsOf(run);
    byIds.set(ids, (byIds.get(ids) ?? 0) + 1);
  });
  const states: Record<string, number> = {};
  for (const [ids, count] of byIds) for (const id of ids) states[id] = (states[id] ?? 0) + count;
  return { states, queued, running, openInOtherVersions };
}

export type StateQuery = RunListQuery & { readonly workflow: string; readonly state: string };

/** How many of `query.workflow` are in `query.state` and fit the rest of the query. */
export async function countInState(partitions: readonly Partition[], query: StateQuery): Promise<number> {
  let count = 0;
  await eachInState(partitions, query, () => void count++);
  return count;
}

/** A page of them, newest first. Throws HistoryError QUERY_INVALID for a cursor that is none. */
export async function pageInState(
  partitions: readonly Partition[],
  query: StateQuery,
  size: number,
): Promise<{ readonly items: readonly RunView[]; readonly next?: string }> {
  const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor);
  const newest = new Newest(size + 1);
  await eachInState(partitions, query, (run) => {
    const { createdAt } = run;
    if (after === undefined || createdAt < after[0] || (createdAt === after[0] && run.run < after[1])) newest.add(run);
  });
  const found = newest.take();
  const page = found.slice(0, size);
  const views = new Map<string, RunView>();
  await Promise.all(
    partitions.map((partition) =>
      partition.read((core) => {
        for (const { run: id } of page) {
          const run = core.runs.get(id);
          if (run !== undefined && run.rest?.moved === undefined) views.set(id, runView(core, run));
        }
      }),
    ),
  );
  const last = page.at(-1);
  return {
    // One that has ended meanwhile is in no state any more.
    items: page.flatMap(({ run }) => views.get(run) ?? []),
    ...(found.length > size && last !== undefined && { next: encodeCursor([last.createdAt, last.run]) }),
  };
}

/** The newest of many, without sorting them all at once. */
class Newest {
  readonly #size: number;
  #runs: Run[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  add(run: Run): void {
    if (this.#runs.push(run) >= 4 * this.#size) this.#runs = this.take();
  }

  take(): Run[] {
    return this.#runs.sort((a, b) => b.createdAt - a.createdAt || (a.run < b.run ? 1 : -1)).slice(0, this.#size);
  }
}

async function eachInState(partitions: readonly Partition[], query: StateQuery, visit: (run: Run) => void): Promise<void> {
  const fits = filterOf(query);
  /** By the list of active nodes. */
  const isIn = new Map<readonly string[], boolean>();
  await eachLiveRun(partitions, query.workflow, (run) => {
    const ids = idsOf(run);
    let is = isIn.get(ids);
    if (is === undefined) isIn.set(ids, (is = ids.includes(query.state)));
    if (is && fits(run)) visit(run);
  });
}

async function eachLiveRun(partitions: readonly Partition[], workflow: string, visit: (run: Run) => void): Promise<void> {
  let began = performance.now();
  let count = 0;
  for (const { core } of partitions) {
    for (const run of core.runs.values()) {
      if (++count % STRIDE === 0 && performance.now() - began > MAX_BUSY_MS) {
        await setImmediate();
        began = performance.now();
      }
      // One that has moved on is in another partition too.
      if (run.workflow.name === workflow && run.rest?.moved === undefined) visit(run);
    }
  }
}

/** Of runs without a machine, by the machine that they would be. */
const initialIds = new WeakMap<object, readonly string[]>();

function idsOf({ live, workflow }: Run): readonly string[] {
  if (live !== undefined) return activeIds(live.snapshot);
  let ids = initialIds.get(workflow);
  if (ids === undefined) initialIds.set(workflow, (ids = activeIds(workflow.stepper.initialWith({ runId: "" }).snapshot)));
  return ids;
}

function filterOf(query: RunListQuery): (run: Run) => boolean {
  const statuses = query.status === undefined ? undefined : new Set<RunStatus>([query.status].flat());
  const tags = [query.tag ?? []].flat().map(tagOf);
  const since = query.since === undefined ? -Infinity : Date.parse(query.since);
  const until = query.until === undefined ? Infinity : Date.parse(query.until);
  const text = query.text?.toLowerCase();
  return (run) => {
    const { rest, groups, createdAt } = run;
    if (statuses !== undefined && !statuses.has(run.live === undefined ? "QUEUED" : "RUNNING")) return false;
    if (createdAt < since || createdAt >= until) return false;
    if (query.event !== undefined && run.event?.name !== query.event) return false;
    if (query.scheduled === true && run.phase !== "scheduled") return false;
    const { limits } = run.workflow.spec;
    if (query.limit !== undefined && !limits.some(({ name }) => name === query.limit)) return false;
    const keys = groups.length > 0 ? run.keys : (rest?.keys ?? []);
    if (query.key !== undefined) {
      const { key, limit } = query;
      if (!keys.some((one, index) => one === key && (limit === undefined || limits[index]?.name === limit))) return false;
    }
    if (tags.length > 0) {
      const has = tagsOf(rest?.metadata);
      if (!tags.every((tag) => has.includes(tag))) return false;
    }
    if (text === undefined) return true;
    return [run.run, run.workflow.name, ...keys, JSON.stringify(rest?.metadata ?? {}), run.input ?? ""].some((one) =>
      one.toLowerCase().includes(text),
    );
  };
}
