/**
 * The live runs of a workflow by where their machines are: how many are in each state, and which are in one. Of each node in one pass
 * over the memory of its partitions, which lets the engine go on every few milliseconds; what changes meanwhile may count before or
 * after. What the nodes say is put together for whoever asked.
 */
import { setImmediate } from "node:timers/promises";
import { decodeCursor, encodeCursor } from "../history/run-lists.ts";
import { tagOf, tagsOf } from "../history/run-tags.ts";
import type { RunListQuery, RunStatus, RunView } from "../protocol/view.ts";
import { activeIds } from "../step/record.ts";
import type { NodeCalls } from "./cluster/node-calls.ts";
import { mergePages, type PartOfPage } from "./merge-pages.ts";
import type { Partition } from "./partition.ts";
import type { Run } from "./run.ts";
import { runView } from "./views.ts";

/** At a stretch. */
const MAX_BUSY_MS = 5;
/** Runs between two looks at the clock. */
const STRIDE = 256;
const POPULATION = "live.population";
const COUNT = "live.count";
const PAGE = "live.page";

export interface LivePopulation {
  readonly states: Readonly<Record<string, number>>;
  readonly queued: number;
  readonly running: number;
  readonly openInOtherVersions: number;
}

export type StateQuery = RunListQuery & { readonly workflow: string; readonly state: string };

interface VersionRequest {
  readonly workflow: string;
  readonly version: string;
}

export interface LiveRunsOptions {
  readonly calls: NodeCalls;
  /** What the runs of one answer may take, in bytes of JSON. */
  readonly maxReplyBytes: () => number;
}

export class LiveRuns {
  readonly #calls: NodeCalls;

  constructor({ calls, maxReplyBytes }: LiveRunsOptions) {
    this.#calls = calls;
    calls.serveGather(POPULATION, (partitions, { workflow, version }: VersionRequest) =>
      livePopulation(partitions, workflow, version),
    );
    calls.serveGather(COUNT, (partitions, { query }: { readonly query: StateQuery }) => countInState(partitions, query));
    calls.serveGather(PAGE, async (partitions, { query, size }: { readonly query: StateQuery; readonly size: number }) =>
      cutTo(maxReplyBytes(), await pageInState(calls, partitions, query, size)),
    );
  }

  async population(workflow: string, version: string): Promise<LivePopulation> {
    const { parts } = await this.#calls.gather<LivePopulation>(POPULATION, { workflow, version });
    const states: Record<string, number> = {};
    let [queued, running, openInOtherVersions] = [0, 0, 0];
    for (const part of parts) {
      queued += part.queued;
      running += part.running;
      openInOtherVersions += part.openInOtherVersions;
      for (const [id, count] of Object.entries(part.states)) states[id] = (states[id] ?? 0) + count;
    }
    return { states, queued, running, openInOtherVersions };
  }

  /** How many of `query.workflow` are in `query.state` and fit the rest of the query. */
  async count(query: StateQuery): Promise<number> {
    const { parts } = await this.#calls.gather<number>(COUNT, { query });
    return parts.reduce((sum, count) => sum + count, 0);
  }

  /** A page of them, newest first. Throws HistoryError QUERY_INVALID for a cursor that is none. */
  async page(query: StateQuery, size: number): Promise<{ readonly items: readonly RunView[]; readonly next?: string }> {
    if (query.cursor !== undefined) decodeCursor(query.cursor); // refused here, before others are asked
    const { parts } = await this.#calls.gather<PartOfPage<RunView>>(PAGE, { query, size });
    const { items, more } = mergePages(parts, newestFirst, size);
    const last = items.at(-1);
    return { items, ...(more && last !== undefined && { next: encodeCursor([Date.parse(last.createdAt), last.id]) }) };
  }
}

function newestFirst(a: RunView, b: RunView): number {
  return Date.parse(b.createdAt) - Date.parse(a.createdAt) || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}

/** At least one; what the one who asks cannot show either is left out of it there. */
function cutTo(maxBytes: number, { items, more }: PartOfPage<RunView>): PartOfPage<RunView> {
  let bytes = 0;
  for (const [index, item] of items.entries()) {
    bytes += Buffer.byteLength(JSON.stringify(item)) + 1;
    if (bytes <= maxBytes) continue;
    const [first] = items;
    if (index > 0 || first === undefined) return { items: items.slice(0, index), more: true };
    const { outputs: _, ...view } = first;
    return { items: [{ ...view, input: null, steps: {} }], more: more || items.length > 1 };
  }
  return { items, more };
}

/** Runs that have no machine yet count as being in its initial state. */
async function livePopulation(partitions: readonly Partition[], workflow: string, version: string): Promise<LivePopulation> {
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

async function countInState(partitions: readonly Partition[], query: StateQuery): Promise<number> {
  let count = 0;
  await eachInState(partitions, query, () => void count++);
  return count;
}

async function pageInState(
  { reads }: NodeCalls,
  partitions: readonly Partition[],
  query: StateQuery,
  size: number,
): Promise<PartOfPage<RunView>> {
  let after = query.cursor === undefined ? undefined : decodeCursor(query.cursor);
  for (;;) {
    const newest = new Newest(size + 1);
    await eachInState(partitions, query, (run) => {
      const { createdAt } = run;
      if (after === undefined || createdAt < after[0] || (createdAt === after[0] && run.run < after[1])) newest.add(run);
    });
    const found = newest.take();
    const page = found.slice(0, size);
    const views = new Map<string, RunView>();
    await reads.all(partitions, (core) => {
      for (const { run: id } of page) {
        const run = core.runs.get(id);
        if (run !== undefined && run.rest?.moved === undefined) views.set(id, runView(core, run));
      }
    });
    // One that has ended meanwhile is in no state any more.
    const items = page.flatMap(({ run }) => views.get(run) ?? []);
    const last = page.at(-1);
    const more = found.length > size;
    if (items.length > 0 || !more || last === undefined) return { items, more };
    after = [last.createdAt, last.run];
  }
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
