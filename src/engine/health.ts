/**
 * The health of the cluster and of all that hangs on it, at a cost that does not grow with the number of runs: what it needs is counted
 * by the partitions and known to the dispatchers of their owners. Asked several times a second by every page that is open: nobody is
 * waited for who does not answer soon.
 */
import type { HealthView } from "../protocol/record.ts";
import type { Gathered, NodeCalls } from "./cluster/node-calls.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { HELD_BACK_MS, type HeldBack, type Unserved, verdictOf } from "./health-verdict.ts";
import type { HistoryPort } from "./history-port.ts";
import type { OwnedPartitions } from "./owned-partitions.ts";
import type { Partition } from "./partition.ts";
import { byPressure, type Place } from "./pressed-groups.ts";
import { shownRate } from "./rate.ts";
import { iso } from "./views.ts";

export interface HealthSources {
  readonly connection: { readonly isConnected: boolean };
  readonly partitions: OwnedPartitions;
  readonly calls: NodeCalls;
  readonly dispatcher: Dispatcher;
  readonly history: () => HistoryPort | undefined;
  readonly journalSeq: (partition: number) => number;
  /** Whether the server does not take the journal of a partition that is here. */
  readonly isRefused: (partition: number) => boolean;
  /** How many messages are kept aside as rejected. */
  readonly countRejected: () => Promise<number>;
}

const SHOWN = 3;
/** So many of the most pressed keys of a partition are looked at for those that have waited for a while. */
const PRESSED = 20;
const SHOWN_STEPS = 20;
const REJECTED_EVERY_MS = 5_000;
const PART = "health.part";
/** So long it waits for other nodes; what they have is missing then, and said to be. */
const ANSWER_MS = 700;
/** An answer of other nodes is good for all who ask within that time. */
const SHARED_MS = 200;

/** What one node knows. */
interface HealthPart {
  readonly live: number;
  readonly active: number;
  readonly scheduled: number;
  readonly keying: number;
  readonly starts: number;
  readonly finishes: number;
  readonly stepsWaiting: number;
  readonly refused: number;
  readonly unserved: readonly { readonly workflow: string; readonly step?: string | undefined; readonly waiting: number }[];
  readonly heldBack: readonly (HeldBack & { readonly place: Place })[];
}

export class Health {
  readonly #sources: HealthSources;
  readonly #startedMs = Date.now();
  /** Places that the journals had reached at some time and the history has not, oldest first, by partition. */
  readonly #ahead: { readonly seq: number; readonly atMs: number }[][] = [];
  #rejected = 0;
  #rejectedAtMs = 0;
  #countingRejected: Promise<void> | undefined = undefined;
  #told: { readonly atMs: number; readonly told: Promise<Gathered<HealthPart>> } | undefined = undefined;

  constructor(sources: HealthSources) {
    this.#sources = sources;
    sources.calls.serveGather(PART, (partitions) => this.#part(partitions));
  }

  /** About once a second: notes how far the journals are, so that it can be told since when the history is behind. */
  tick(): void {
    const { partitions, journalSeq } = this.#sources;
    const nowMs = Date.now();
    for (const { number } of partitions) this.#note(number, journalSeq(number), nowMs);
  }

  #note(partition: number, seq: number, nowMs: number): void {
    const ahead = (this.#ahead[partition] ??= []);
    this.#forget(partition, ahead);
    if (seq <= this.#taken(partition) || seq <= (ahead.at(-1)?.seq ?? 0)) return;
    // Far behind, the newest places don't matter: what counts is since when.
    if (ahead.length >= 600) ahead.pop();
    ahead.push({ seq, atMs: nowMs });
  }

  async get(): Promise<HealthView> {
    const { connection, dispatcher, history } = this.#sources;
    const nowMs = Date.now();
    const connected = connection.isConnected;
    if (connected) await this.#refreshRejected(nowMs);
    const { parts, missing, seqs } = await this.#ask();
    for (const [partition, seq] of seqs) this.#note(partition, seq, nowMs);
    const sum = (count: (part: HealthPart) => number): number => parts.reduce((all, part) => all + count(part), 0);
    const live = sum((part) => part.live);
    const active = sum((part) => part.active);
    const scheduled = sum((part) => part.scheduled);
    const unserved = mergeUnserved(parts.flatMap((part) => part.unserved));
    const heldBack = lasting(parts.flatMap((part) => part.heldBack));
    const { workers, slots } = dispatcher.capacity();
    const historyBehindMs = this.#historyBehindMs(nowMs);
    const rates = {
      startsPerMinute: shownRate(sum((part) => part.starts)),
      finishesPerMinute: shownRate(sum((part) => part.finishes)),
    };
    return {
      ...verdictOf({
        connected,
        uptimeMs: nowMs - this.#startedMs,
        live,
        active,
        scheduled,
        behindLimits: live - active - scheduled - sum((part) => part.keying),
        refused: sum((part) => part.refused),
        moving: missing.length,
        partitions: this.#sources.partitions.count,
        ...rates,
        workers,
        slots,
        stepsWaiting: sum((part) => part.stepsWaiting),
        heldBack,
        unserved,
        historyBehindMs,
        historyGone: history() === undefined ? "it could not be opened" : history()?.unavailable,
      }),
      at: iso(nowMs),
      live,
      waiting: live - active - scheduled,
      active,
      ...rates,
      slots,
      heldBackBy: heldBack.slice(0, SHOWN).map(({ limit, key, waiting }) => ({ limit, key, waiting })),
      noWorkerFor: unserved
        .slice(0, SHOWN_STEPS)
        .map(({ workflow, step, waiting }) => ({ workflow, step: step ?? "(concurrency key)", waiting })),
      historyBehindMs,
      rejected: this.#rejected,
    };
  }

  /** Alone, what is here; else what the others say too, asked once for all who want to know at the same time. */
  #ask(): Promise<Gathered<HealthPart>> {
    const { calls, connection } = this.#sources;
    const nowMs = performance.now();
    if (!calls.alone && this.#told !== undefined && nowMs - this.#told.atMs < SHARED_MS) return this.#told.told;
    const partialAfterMs = connection.isConnected ? ANSWER_MS : 0;
    const told = calls.gather<HealthPart>(PART, {}, { partialAfterMs });
    this.#told = { atMs: nowMs, told };
    return told;
  }

  #part(partitions: readonly Partition[]): HealthPart {
    const { dispatcher } = this.#sources;
    const nowMs = Date.now();
    let [live, active, scheduled, keying, starts, finishes] = [0, 0, 0, 0, 0, 0];
    const unserved: Unserved[] = dispatcher.unserved();
    for (const { core } of partitions) {
      const counts = core.counts(nowMs);
      live += counts.live;
      active += counts.active;
      scheduled += counts.scheduled;
      starts += counts.startsPerMinute;
      finishes += counts.finishesPerMinute;
      for (const [workflow, { waiting, version }] of counts.keying) {
        keying += waiting;
        if (dispatcher.pickForKeys(workflow, version) === undefined) unserved.push({ workflow, step: undefined, waiting });
      }
    }
    const top = partitions
      .flatMap(({ core }) => core.groups.pressed.top(PRESSED))
      .sort(byPressure)
      .slice(0, 2 * PRESSED);
    const heldBack = top.map(({ group: { context }, sinceMs, perSlot, taken, id }) => ({
      place: { perSlot, sinceMs, taken, id },
      limit: context.limit,
      key: context.key,
      waiting: context.waiting.size + context.held.size,
      active: context.active.size,
      maxRuns: context.maxRuns,
      paused: context.paused,
      waitedMs: nowMs - sinceMs,
    }));
    const refused = partitions.filter(({ number }) => this.#sources.isRefused(number)).length;
    return { live, active, scheduled, keying, starts, finishes, stepsWaiting: dispatcher.waiting, refused, unserved, heldBack };
  }

  #taken(partition: number): number {
    return this.#sources.history()?.committed(partition) ?? Infinity;
  }

  #forget(partition: number, ahead: { readonly seq: number }[]): void {
    const taken = this.#taken(partition);
    let done = 0;
    while (done < ahead.length && (ahead[done]?.seq ?? 0) <= taken) done++;
    if (done > 0) ahead.splice(0, done);
  }

  #historyBehindMs(nowMs: number): number {
    let since = nowMs;
    for (const [partition, ahead] of this.#ahead.entries()) {
      this.#forget(partition, ahead);
      since = Math.min(since, ahead[0]?.atMs ?? nowMs);
    }
    return nowMs - since;
  }

  /** The first answer waits for the count; later ones have the one from some seconds ago. */
  async #refreshRejected(nowMs: number): Promise<void> {
    if (nowMs - this.#rejectedAtMs < REJECTED_EVERY_MS) return;
    const first = this.#rejectedAtMs === 0;
    this.#countingRejected ??= this.#sources
      .countRejected()
      .then((count) => {
        this.#rejected = count;
      })
      // It is asked again; what is known stays.
      .catch(() => undefined)
      .finally(() => {
        this.#rejectedAtMs = Date.now();
        this.#countingRejected = undefined;
      });
    if (first) await this.#countingRejected;
  }
}

/** Those where the next in line has waited longest for come first among the most pressed, so that a moment's line is not named. */
function lasting(held: HealthPart["heldBack"]): readonly HeldBack[] {
  const sorted = held.toSorted((a, b) => byPressure(a.place, b.place));
  const last = sorted.filter(({ waitedMs }) => waitedMs >= HELD_BACK_MS);
  return last.length > 0 ? last : sorted;
}

/** The same step may wait on several nodes. The most waiting first. */
function mergeUnserved(all: HealthPart["unserved"]): readonly Unserved[] {
  const merged = new Map<string, Unserved>();
  for (const { workflow, step, waiting } of all) {
    const key = `${workflow} ${step ?? ""}`;
    merged.set(key, { workflow, step, waiting: waiting + (merged.get(key)?.waiting ?? 0) });
  }
  return [...merged.values()].sort((a, b) => b.waiting - a.waiting);
}

/** Of an engine node that does not own the partitions: it starts, stands by, or has ended. */
export function unreadyHealth(verdict: "starting" | "disconnected", sentence: string): HealthView {
  return {
    verdict,
    sentence,
    at: iso(Date.now()),
    live: 0,
    waiting: 0,
    active: 0,
    startsPerMinute: 0,
    finishesPerMinute: 0,
    slots: { used: 0, total: 0 },
    heldBackBy: [],
    noWorkerFor: [],
    historyBehindMs: 0,
    rejected: 0,
  };
}
