/**
 * Runs by id, wherever they are: live ones are read at their owner once what it has decided is durable, ended ones from the history of
 * this node, not before that knows all that the owners have written. What is here is looked at first; others are asked once for
 * all that is not.
 */
import { setTimeout as delay } from "node:timers/promises";
import { RequestError } from "../errors.ts";
import type { Names } from "../nats/subjects.ts";
import type { Explanation, Operation, RunStatus, RunView } from "../protocol/view.ts";
import type { PayloadRef } from "../protocol/work.ts";
import type { NodeCalls } from "./cluster/node-calls.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { explainFromAnywhere } from "./explain.ts";
import type { After, HistoryPort, RecordedRun } from "./history-port.ts";
import type { OwnedPartitions } from "./owned-partitions.ts";
import type { Partition } from "./partition.ts";
import type { PartitionCore } from "./partition-core.ts";
import type { Run } from "./run.ts";
import { refuse } from "./run-pages.ts";
import { runView } from "./views.ts";

/** What can be read of a live run. */
interface LiveValues {
  readonly view: { readonly view: RunView; readonly ref: PayloadRef | undefined };
  /** The view without what the run has done. */
  readonly source: { readonly view: RunView; readonly ref: PayloadRef | undefined };
  readonly explanation: Explanation;
  readonly status: RunStatus;
}
type What = keyof LiveValues;

export type SeenRun<W extends What> =
  | { readonly type: "live"; readonly partition: number; readonly value: LiveValues[W] }
  | { readonly type: "recorded"; readonly run: RecordedRun }
  | { readonly type: "unknown" }
  /** It could not be found out. */
  | { readonly type: "failed"; readonly error: unknown };

interface LiveRun {
  readonly id: string;
  readonly partition: number;
  /** It goes on in another partition, which may have it already. */
  readonly moved: boolean;
  /** Absent where it is more than one message takes: the history has it too. */
  readonly value?: unknown;
}

export interface RunReadsOptions {
  readonly calls: NodeCalls;
  readonly partitions: OwnedPartitions;
  readonly names: Names;
  readonly dispatcher: Dispatcher;
  readonly history: () => HistoryPort | undefined;
  readonly journalSeq: (partition: number) => number;
  /** What the runs of one answer may take, in bytes of JSON. */
  readonly maxReplyBytes: () => number;
}

interface RunsRequest {
  readonly ids: readonly string[];
  readonly what: What;
}

const LIVE = "runs.live";
const SEQS = "runs.seqs";
/** A run is nowhere while it passes from one node to another. */
const TRANSIT_TRIES = 6;
const TRANSIT_WAIT_MS = 40;
/** Of the history, at once. */
const AT_ONCE = 256;

export class RunReads {
  readonly #options: RunReadsOptions;

  constructor(options: RunReadsOptions) {
    this.#options = options;
    options.calls.serveGather(LIVE, async (partitions, { ids, what }: RunsRequest) =>
      this.#cutTo(options.maxReplyBytes(), await this.#live(partitions, ids, what)),
    );
    options.calls.serveGather(SEQS, () => null);
  }

  /** `at`: where it is, most likely. Throws what `failed` would be. */
  async one<W extends What>(
    what: W,
    operation: Operation,
    id: string,
    at?: number,
  ): Promise<Exclude<SeenRun<W>, { type: "failed" }>> {
    const seen = (await this.many(what, operation, [id], at)).get(id) ?? { type: "unknown" };
    if (seen.type === "failed") throw seen.error;
    return seen;
  }

  async many<W extends What>(
    what: W,
    operation: Operation,
    ids: readonly string[],
    at?: number,
  ): Promise<ReadonlyMap<string, SeenRun<W>>> {
    const { calls, partitions } = this.#options;
    const found = new Map<string, SeenRun<W>>();
    const take = (runs: readonly LiveRun[]): void => {
      for (const run of runs) {
        if (run.moved && found.get(run.id)?.type === "live") continue;
        const { partition, value } = run;
        found.set(run.id, { type: "live", partition, value: value as LiveValues[W] });
      }
    };
    const left = (): string[] => ids.filter((id) => !found.has(id));

    let alone = calls.alone;
    const local = await this.#live([...partitions], ids, what).catch((error: unknown) => {
      // A partition went while it was read: its next owner is asked.
      if (!(error instanceof RequestError && error.reason === "NOT_OWNER")) throw error;
      alone = false;
      return [];
    });
    take(alone ? local : local.filter(({ moved }) => !moved));
    if (found.size === ids.length) return found;

    if (alone) {
      await this.#fromHistory(operation, left(), this.#seqsHere(), found);
      return found;
    }
    if (at !== undefined) {
      const { parts } = await calls.gather<readonly LiveRun[]>(LIVE, { ids: left(), what }, { partitions: [at] });
      take(parts.flat().filter(({ moved, value }) => !moved && value !== undefined));
      if (found.size === ids.length) return found;
    }
    // What has ended stays as it is: nobody needs to be asked for it.
    await this.#ended(left(), found);
    for (let tries = 0; found.size < ids.length && tries < TRANSIT_TRIES; tries++) {
      if (tries > 0) await delay(TRANSIT_WAIT_MS * tries);
      const rest = left();
      const { parts, seqs } = await calls.gather<readonly LiveRun[]>(LIVE, { ids: rest, what });
      const live = parts.flat();
      take(live.filter(({ value }) => value !== undefined));
      const after = afterOf(seqs);
      const large = live.filter(({ id, value }) => value === undefined && !found.has(id)).map(({ id }) => id);
      await this.#fromHistory(operation, large, after, found);
      const recorded = new Map<string, SeenRun<W>>();
      await this.#fromHistory(operation, left(), after, recorded);
      for (const [id, seen] of recorded)
        if (seen.type !== "recorded" || hasEnded(seen.run.view) || tries === TRANSIT_TRIES - 1) found.set(id, seen);
    }
    return found;
  }

  /** How far journals are (all of them, if not said): what a history has to know to be as fresh as the owners. */
  async journals(of?: readonly number[]): Promise<readonly After[]> {
    const { calls, partitions, journalSeq } = this.#options;
    if (calls.alone && of === undefined) return this.#seqsHere();
    if (of?.every((number) => partitions.get(number) !== undefined) === true)
      return of.map((partition) => ({ partition, seq: journalSeq(partition) }));
    return afterOf((await calls.gather(SEQS, {}, of === undefined ? {} : { partitions: of })).seqs);
  }

  #seqsHere(): After[] {
    const { partitions, journalSeq } = this.#options;
    return Array.from(partitions, ({ number }) => ({ partition: number, seq: journalSeq(number) }));
  }

  /** Those of the runs that are in these partitions; of one that is moving, the one that it goes to where it is there. */
  async #live(partitions: readonly Partition[], ids: readonly string[], what: What): Promise<LiveRun[]> {
    const found = new Map<string, LiveRun>();
    const values = new Map<string, LiveValues[What] | Promise<LiveValues[What]>>();
    await Promise.all(
      partitions.map(async ({ core, number }) => {
        const here = ids.filter((id) => core.runs.has(id));
        if (here.length === 0) return;
        await this.#options.calls.reads.read(number, (now) => {
          for (const id of here) {
            const run = now.runs.get(id);
            if (run === undefined) continue;
            const moved = run.rest?.moved !== undefined;
            if (moved && found.has(id)) continue;
            found.set(id, { id, partition: number, moved });
            values.set(id, this.#value(now, run, what));
          }
        });
      }),
    );
    return Promise.all([...found.values()].map(async (run) => ({ ...run, value: await values.get(run.id) })));
  }

  #value(core: PartitionCore, run: Run, what: What): LiveValues[What] | Promise<LiveValues[What]> {
    const { names, dispatcher } = this.#options;
    switch (what) {
      case "view":
        return { view: runView(core, run), ref: refOf(run, names) };
      case "source": {
        const { outputs: _, ...view } = runView(core, run);
        return { view: { ...view, steps: {} }, ref: refOf(run, names) };
      }
      case "explanation":
        return explainFromAnywhere(core, run, dispatcher, Date.now);
      case "status":
        return core.describe(run)?.status ?? "QUEUED";
    }
  }

  #cutTo(maxBytes: number, runs: readonly LiveRun[]): LiveRun[] {
    let bytes = 0;
    return runs.map((run) => {
      const { value: _, ...rest } = run;
      try {
        const size = Buffer.byteLength(JSON.stringify(run)) + 1;
        if (bytes + size > maxBytes) return rest;
        bytes += size;
        return run;
      } catch {
        return rest; // nested deeper than JSON.stringify goes
      }
    });
  }

  async #ended<W extends What>(ids: readonly string[], found: Map<string, SeenRun<W>>): Promise<void> {
    const history = this.#options.history();
    if (history === undefined) return;
    await eachOf(ids, async (id) => {
      // What cannot be found out now is asked again, with what it fails with.
      const run = await history.run(id).catch(() => undefined);
      if (run !== undefined && hasEnded(run.view)) found.set(id, { type: "recorded", run });
    });
  }

  async #fromHistory<W extends What>(
    operation: Operation,
    ids: readonly string[],
    after: readonly After[],
    found: Map<string, SeenRun<W>>,
  ): Promise<void> {
    const history = this.#options.history();
    await eachOf(ids, async (id) => {
      try {
        if (history === undefined) throw noHistory(operation, `run ${id} is not live, and this engine has no history`);
        const run = await history.run(id, after).catch((error: unknown) => refuse(operation, error));
        found.set(id, run === undefined ? { type: "unknown" } : { type: "recorded", run });
      } catch (error) {
        found.set(id, { type: "failed", error });
      }
    });
  }
}

export function noHistory(operation: Operation, why = "this engine has no history"): RequestError {
  return new RequestError(`${operation}: ${why}`, { operation, status: 501, reason: "HISTORY_UNAVAILABLE" });
}

/** Nothing of it is under way any more: a run that was cancelled may still be stopping. */
function hasEnded({ finishedAt, status, steps }: RunView): boolean {
  if (finishedAt === undefined || status === "QUEUED" || status === "RUNNING") return false;
  return !Object.values(steps).some((step) => ["READY", "RUNNING", "BACKOFF", "STOPPING"].includes(step.status));
}

function refOf(run: Run, names: Names): PayloadRef | undefined {
  return run.ref ?? (run.event === undefined ? undefined : { stream: names.eventsStream, seq: run.event.seq });
}

function afterOf(seqs: ReadonlyMap<number, number>): After[] {
  return Array.from(seqs, ([partition, seq]) => ({ partition, seq }));
}

async function eachOf(ids: readonly string[], act: (id: string) => Promise<void>): Promise<void> {
  for (let from = 0; from < ids.length; from += AT_ONCE) await Promise.all(ids.slice(from, from + AT_ONCE).map(act));
}
