/**
 * The health of an engine node and of all that hangs on it, at a cost that does not grow with the number of runs: what it needs is
 * counted by the partitions and known to the dispatcher. Asked several times a second by every page that is open.
 */
import type { HealthView } from "../protocol/record.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { HELD_BACK_MS, type HeldBack, type Unserved, verdictOf } from "./health-verdict.ts";
import type { HistoryPort } from "./history-port.ts";
import type { Partition } from "./partition.ts";
import { byPressure } from "./pressed-groups.ts";
import { shownRate } from "./rate.ts";
import { iso } from "./views.ts";

export interface HealthSources {
  readonly connection: { readonly isConnected: boolean };
  readonly partitions: readonly Partition[];
  readonly dispatcher: Dispatcher;
  readonly history: () => HistoryPort | undefined;
  readonly journalSeq: (partition: number) => number;
  /** How many messages are kept aside as rejected. */
  readonly countRejected: () => Promise<number>;
}

const SHOWN = 3;
/** So many of the most pressed keys of a partition are looked at for those that have waited for a while. */
const PRESSED = 20;
const SHOWN_STEPS = 20;
const REJECTED_EVERY_MS = 5_000;

export class Health {
  readonly #sources: HealthSources;
  readonly #startedMs = Date.now();
  /** Places that the journals had reached at some time and the history has not, oldest first, by partition. */
  readonly #ahead: { readonly seq: number; readonly atMs: number }[][] = [];
  #rejected = 0;
  #rejectedAtMs = 0;
  #countingRejected: Promise<void> | undefined = undefined;

  constructor(sources: HealthSources) {
    this.#sources = sources;
  }

  /** About once a second: notes how far the journals are, so that it can be told since when the history is behind. */
  tick(): void {
    const { partitions, journalSeq } = this.#sources;
    const nowMs = Date.now();
    for (const { number } of partitions) {
      const ahead = (this.#ahead[number] ??= []);
      this.#forget(number, ahead);
      const seq = journalSeq(number);
      if (seq <= this.#taken(number) || seq === ahead.at(-1)?.seq) continue;
      // Far behind, the newest places don't matter: what counts is since when.
      if (ahead.length >= 600) ahead.pop();
      ahead.push({ seq, atMs: nowMs });
    }
  }

  async get(): Promise<HealthView> {
    const { connection, partitions, dispatcher, history } = this.#sources;
    const nowMs = Date.now();
    const connected = connection.isConnected;
    if (connected) await this.#refreshRejected(nowMs);
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
    unserved.sort((a, b) => b.waiting - a.waiting);
    const heldBack = this.#heldBack(nowMs);
    const { workers, slots } = dispatcher.capacity();
    const historyBehindMs = this.#historyBehindMs(nowMs);
    const rates = { startsPerMinute: shownRate(starts), finishesPerMinute: shownRate(finishes) };
    return {
      ...verdictOf({
        connected,
        uptimeMs: nowMs - this.#startedMs,
        live,
        active,
        scheduled,
        behindLimits: live - active - scheduled - keying,
        ...rates,
        workers,
        slots,
        stepsWaiting: dispatcher.waiting,
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

  /** Those where the next in line has waited longest for come first among the most pressed, so that a moment's line is not named. */
  #heldBack(nowMs: number): HeldBack[] {
    const top = this.#sources.partitions.flatMap(({ core }) => core.groups.pressed.top(PRESSED)).sort(byPressure);
    const held = top.map(({ group: { context }, sinceMs }) => ({
      limit: context.limit,
      key: context.key,
      waiting: context.waiting.size + context.held.size,
      active: context.active.size,
      maxRuns: context.maxRuns,
      paused: context.paused,
      waitedMs: nowMs - sinceMs,
    }));
    const lasting = held.filter(({ waitedMs }) => waitedMs >= HELD_BACK_MS);
    return lasting.length > 0 ? lasting : held;
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
