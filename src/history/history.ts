/**
 * The history: a projection of the partitions' journals into one SQL file, for lists, finished runs and what happened to a
 * run. It is a cache: without its file it begins anew from what the journals and snapshots still have.
 *
 * The work is done in a thread of its own; here is what the engine holds of it. Batches are posted after their journal
 * append (`apply`), in the order of each journal and with none left out: a batch that is not taken (too much is queued, or
 * the file cannot be written) leaves a gap, and everything above the gap is refused too, until it has been read again from
 * the journal. `HistoryFeed` (feed.ts) does that.
 *
 * Modes:
 * - `stopped`: before `start` and after `stop`. Reads are refused, batches are not taken.
 * - `opening`: the file is being opened. → `open`, `failed`.
 * - `open`: batches are taken, reads are answered. → `failed` when the file cannot be written (disk full, folder gone) or
 *   the thread ends; what was not committed is then missing here and is to be fed again.
 * - `failed`: reads are refused with the reason; every `retryMs` it is tried again. → `opening`.
 */
import type { Logger } from "pino";
import { HistoryError } from "./history-error.ts";
import { HISTORY_DEFAULTS, type HistoryOptions } from "./history-options.ts";
import type { Discard } from "./database.ts";
import type { AnyRequest, FromWorker, JournalPosition, RequestName, Requests, WorkerOptions } from "./messages.ts";
import type { DecisionQuery } from "./group-decisions.ts";
import type { GroupDecisionView, MachineDefinition, RunRecord } from "../protocol/record.ts";
import type { Page, RunEventView, RunListQuery, RunStatus } from "../protocol/view.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { RunRow } from "./run-fold.ts";
import type { Stay } from "./stored-facts.ts";
import { startThread, type Thread } from "./thread.ts";

/** Part of SQLite's word that another process has the file. */
export const LOCKED = "database is locked";

export type HistoryMode = "stopped" | "opening" | "open" | "failed";

export interface ReadOptions {
  /** Answer only once the projection has come to these places of the journals: the answer knows everything up to there. */
  readonly after?: JournalPosition | readonly JournalPosition[];
}

/** A transaction of so much news takes some 50 ms. */
const COMMIT_CHARS = 4 * 1024 * 1024;

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: HistoryError) => void;
  readonly timer: NodeJS.Timeout;
}

export class History {
  readonly #options: HistoryOptions & typeof HISTORY_DEFAULTS;
  readonly #logger: Logger;
  #mode: HistoryMode = "stopped";
  #why = "it was not started";
  #thread: Thread | undefined;
  #opened: { readonly promise: Promise<void>; readonly resolve: () => void } = settled();
  #retry: NodeJS.Timeout | undefined;
  /** Threads that are ending. */
  #ending: Promise<unknown> = Promise.resolve();
  /** The failure that was logged last, until something could be written. */
  #logged = "";
  #retain: NodeJS.Timeout | undefined;
  readonly #specs = new Map<string, WorkflowSpec>();
  readonly #taken = new Map<number, number>();
  readonly #committed = new Map<number, number>();
  readonly #synced = new Map<number, number>();
  readonly #waiting = new Map<number, Waiting>();
  #requests = 0;
  #queuedChars = 0;
  #rooms: (() => void)[] = [];

  constructor(options: HistoryOptions) {
    this.#options = { ...HISTORY_DEFAULTS, ...options };
    this.#logger = options.logger;
  }

  get mode(): HistoryMode {
    return this.#mode;
  }

  /** Why reads are refused, where they are. */
  get unavailable(): string | undefined {
    return this.#mode === "open" ? undefined : this.#why;
  }

  /** Resolves when the file is open, or has failed to open: then it goes on trying, and the log says why. */
  async start(): Promise<void> {
    if (this.#mode === "stopped") {
      this.#opened = settlable();
      this.#setMode("opening", "it is being opened");
      // A thread that was stopped just now has the file still.
      await this.#ending;
      if (this.mode === "opening" && this.#thread === undefined) this.#open();
    }
    await this.#opened.promise;
  }

  /** Writes what was taken, syncs and closes the file, ends the thread. */
  async stop(): Promise<void> {
    clearTimeout(this.#retry);
    clearInterval(this.#retain);
    const thread = this.#thread;
    this.#thread = undefined;
    this.#setMode("stopped", "it was stopped");
    this.#ending = Promise.all([this.#ending, thread?.close()]);
    await this.#ending;
  }

  /** Tells a definition: before any batch with runs of it. Kept in the file. */
  define(spec: WorkflowSpec): void {
    const id = `${spec.name} ${spec.version}`;
    if (this.#specs.has(id)) return;
    this.#specs.set(id, spec);
    this.#thread?.post({ type: "define", spec });
  }

  /**
   * Takes the batch that the journal of `partition` has at `seq`, as its JSON text; `previous` is the sequence of the batch
   * before it in that journal (0: none). True: everything up to `seq` is here, now or before. False: it was not taken, and
   * nothing after it will be until it was (see `position`, `room`, and HistoryFeed).
   */
  apply(partition: number, seq: number, previous: number, text: string): boolean {
    if (this.#mode !== "open" || this.#thread === undefined) return false;
    const taken = this.#taken.get(partition) ?? 0;
    if (seq <= taken) return true;
    if (previous > taken || this.#queuedChars > this.#options.maxQueuedChars) return false;
    this.#queuedChars += text.length;
    this.#taken.set(partition, seq);
    this.#thread.post({ type: "batch", partition, seq, text });
    return true;
  }

  /**
   * Tells the open runs of a snapshot, for a history that may lack what the journal no longer has. The lines are those of the
   * snapshot, the head may be among them; `seq` is the journal sequence that it includes. Not above the partition's position
   * it changes nothing. Afterwards the journal is to be fed from `taken` on, as always: what it still has from before the
   * snapshot tells of the other runs. Rejects with HISTORY_UNAVAILABLE.
   */
  async applySnapshot(partition: number, seq: number, lines: readonly string[]): Promise<void> {
    if (seq <= this.taken(partition)) return;
    await this.#request({ name: "snapshot", args: { partition, seq, lines } }, undefined, 10 * this.#options.requestTimeoutMs);
  }

  /** Up to here the journal of the partition was taken: the next batch is the one after it. 0: nothing. */
  taken(partition: number): number {
    return this.#taken.get(partition) ?? 0;
  }

  /** Up to here it is committed to the file. */
  position(partition: number): number {
    return this.#committed.get(partition) ?? 0;
  }

  /** Up to here it survives a power cut: the journal may be purged up to here, as far as the history is concerned. */
  syncedPosition(partition: number): number {
    return this.#synced.get(partition) ?? 0;
  }

  /** Resolves when it is worth calling `apply` again: at once in mode `open` with room in the queue. Also when it is stopped. */
  async room(): Promise<void> {
    while (this.#mode !== "stopped" && (this.#mode !== "open" || this.#queuedChars > this.#options.maxQueuedChars / 2))
      await new Promise<void>((resolve) => this.#rooms.push(resolve));
  }

  /** Rejects with HISTORY_UNAVAILABLE or HISTORY_BEHIND, like all reads. */
  run(id: string, options?: ReadOptions): Promise<RunRow | undefined> {
    return this.#request({ name: "run", args: { id } }, options);
  }

  /**
   * Newest first by `createdAt` (ids decide between equals); `since` is included, `until` is not. Pages don't shift when
   * runs come in: `next` is the place after the last item. Rejects with QUERY_INVALID too.
   */
  async list(query: RunListQuery, options?: ReadOptions): Promise<Page<RunRow>> {
    return JSON.parse(await this.#request({ name: "list", args: query }, options)) as Page<RunRow>;
  }

  /** Runs by the numbers that `scan` gave, in their order; those that are gone are left out. */
  async rows(ns: readonly number[], fields?: RunListQuery["fields"]): Promise<readonly RunRow[]> {
    const args = { ns, ...(fields !== undefined && { fields }) };
    return JSON.parse(await this.#request({ name: "rows", args })) as RunRow[];
  }

  /** Of the next `size` runs of a list, those that `query.text` is in, or may be in. Rejects with QUERY_INVALID too. */
  scan(query: RunListQuery, size: number): Promise<Requests["scan"]["reply"]> {
    return this.#request({ name: "scan", args: { query, size } });
  }

  /** How many runs a list has, as far as they are counted; without `text` and `state`. Rejects with QUERY_INVALID too. */
  count(query: RunListQuery): Promise<Requests["count"]["reply"]> {
    return this.#request({ name: "count", args: query });
  }

  /** How many runs of a workflow version there are, by status. */
  statuses(workflow: string, version: string, options?: ReadOptions): Promise<Readonly<Record<RunStatus, number>>> {
    return this.#request({ name: "statuses", args: { workflow, version } }, options);
  }

  /** What happened to a run, oldest first; undefined for an unknown one. */
  events(id: string, options?: ReadOptions): Promise<readonly RunEventView[] | undefined> {
    return this.#request({ name: "events", args: { id } }, options);
  }

  /** The recorded facts of a run, by partition, in the order of its life: what its machine can be rebuilt from. */
  stays(id: string, options?: ReadOptions): Promise<readonly Stay[] | undefined> {
    return this.#request({ name: "stays", args: { id } }, options);
  }

  /** The life of a run, frame by frame (with `afterIndex`, only those after that one); undefined for an unknown one. */
  async record(id: string, options?: ReadOptions, afterIndex?: number): Promise<RunRecord | undefined> {
    const args = { id, ...(afterIndex !== undefined && { after: afterIndex }) };
    const text = await this.#request({ name: "record", args }, options);
    return text === undefined ? undefined : (JSON.parse(text) as RunRecord);
  }

  /** The machine of a workflow version that the history knows, as a definition. */
  machine(
    which: { readonly hash: string } | { readonly workflow: string; readonly version: string },
  ): Promise<MachineDefinition | undefined> {
    return this.#request({ name: "machine", args: which });
  }

  /** What a group has decided, newest first. Rejects with QUERY_INVALID too. */
  decisions(query: DecisionQuery, options?: ReadOptions): Promise<Page<GroupDecisionView>> {
    return this.#request({ name: "decisions", args: query }, options);
  }

  /** Ids of the runs that events started, by the events' sequences. Every sequence asked for is in the answer. */
  runsOfEvents(seqs: readonly number[], options?: ReadOptions): Promise<ReadonlyMap<number, readonly string[]>> {
    return this.#request({ name: "runsOfEvents", args: { seqs } }, options);
  }

  /** Writes and syncs everything that was taken. */
  async flush(): Promise<void> {
    await this.#request({ name: "flush", args: {} });
  }

  /** Takes out what retention does not keep; done by itself every `retainEveryMs`. Resolves with the number of runs. */
  retain(): Promise<number> {
    const { now, retention, requestTimeoutMs } = this.#options;
    return this.#request(
      {
        name: "retain",
        args: { cutoffMs: now() - retention.maxAgeMs, maxRuns: retention.maxRuns, maxBytes: retention.maxBytes ?? Infinity },
      },
      undefined,
      10 * requestTimeoutMs,
    );
  }

  #request<Name extends RequestName>(
    request: AnyRequest & { readonly name: Name },
    options?: ReadOptions,
    timeoutMs = this.#options.requestTimeoutMs,
  ): Promise<Requests[Name]["reply"]> {
    const thread = this.#thread;
    if (this.#mode !== "open" || thread === undefined) return Promise.reject(this.#unavailable());
    const id = ++this.#requests;
    const after = [options?.after ?? []].flat();
    return new Promise<Requests[Name]["reply"]>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        thread.post({ type: "forget", id });
        const place = after.map(({ partition, seq }) => `, position ${seq} of partition ${partition}`).join("");
        reject(
          new HistoryError("HISTORY_BEHIND", `the history has not answered within ${timeoutMs} ms (${request.name}${place})`),
        );
      }, timeoutMs);
      timer.unref();
      this.#waiting.set(id, { resolve, reject, timer });
      thread.post({ type: "request", id, request, ...(after.length > 0 && { after }) });
    });
  }

  #open(discard?: Discard): void {
    if (this.#mode !== "opening") this.#opened = settlable();
    this.#setMode("opening", "it is being opened");
    const { file, cluster, eventsStream, redact, sealKey, commitMs, checkpointMs } = this.#options;
    const options: WorkerOptions = {
      file,
      cluster,
      eventsStream,
      redact,
      ...(sealKey !== undefined && { sealKey }),
      commitMs,
      checkpointMs,
      commitChars: COMMIT_CHARS,
      ...(discard !== undefined && { discard }),
    };
    const thread = startThread(
      options,
      (message) => {
        if (this.#thread === thread) this.#receive(message, discard !== undefined);
      },
      (error) => {
        if (this.#thread === thread) this.#failed(`its thread has ended: ${error.message}`);
      },
    );
    this.#thread = thread;
    this.#queuedChars = 0;
    for (const spec of this.#specs.values()) thread.post({ type: "define", spec });
  }

  /** `anew`: the file that was there has been given up. */
  #receive(message: FromWorker, anew: boolean): void {
    switch (message.type) {
      case "opened": {
        for (const positions of [this.#taken, this.#committed, this.#synced]) replace(positions, message.positions);
        this.#setMode("open", "it is open");
        this.#retain = setInterval(() => void this.retain().catch(() => undefined), this.#options.retainEveryMs);
        this.#retain.unref();
        this.#options.onOpen();
        return;
      }
      case "failed":
        return this.#failed(message.message, anew ? undefined : message.discard);
      case "taken":
        this.#queuedChars -= message.chars;
        if (this.#queuedChars <= this.#options.maxQueuedChars / 2) this.#wake();
        return;
      case "committed":
        this.#logged = "";
        for (const [partition, seq] of message.positions) this.#committed.set(partition, seq);
        return;
      case "synced":
        for (const [partition, seq] of message.positions) this.#synced.set(partition, seq);
        return;
      case "reply":
        this.#settle(message.id)?.resolve(message.value as never);
        return;
      case "refusal":
        this.#settle(message.id)?.reject(new HistoryError(message.code, message.message));
        return;
      case "warning":
        this.#logger.warn(message.fields, message.message);
        return;
      case "closed":
        return;
    }
  }

  /** Ends the thread, and begins another one: at once where the file is given up, else after a while. */
  #failed(why: string, discard?: Discard): void {
    const { file, retryMs, mayBeTaken } = this.#options;
    const ended = this.#thread?.end();
    this.#thread = undefined;
    if (discard !== undefined) {
      this.#logger.warn(
        { file, kept: discard.keep ? `${file}.corrupt` : undefined },
        `the history begins anew, since its file could not be used: ${discard.why}`,
      );
      this.#setMode("opening", "it begins anew");
    } else {
      // Once per cause: it is tried again for as long as it takes.
      if (mayBeTaken && why.includes(LOCKED))
        this.#logger.info({ file }, "another process has this history file: another is taken");
      else if (why !== this.#logged)
        this.#logger.error(
          { file },
          `the history cannot be written, lists of runs are not available (tried again every ${retryMs / 1_000} s): ${why}`,
        );
      this.#logged = why;
      this.#setMode("failed", why);
    }
    this.#ending = (async () => {
      await ended;
      if (this.#mode === "stopped") return;
      if (discard !== undefined) this.#open(discard);
      else this.#retry = setTimeout(() => this.#open(), retryMs);
    })();
  }

  #setMode(mode: HistoryMode, why: string): void {
    this.#mode = mode;
    this.#why = why;
    clearInterval(this.#retain);
    if (mode !== "opening") this.#opened.resolve();
    if (mode !== "open") for (const id of [...this.#waiting.keys()]) this.#settle(id)?.reject(this.#unavailable());
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#rooms.splice(0)) wake();
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.timer);
    return waiting;
  }

  #unavailable(): HistoryError {
    return new HistoryError("HISTORY_UNAVAILABLE", `the history of runs is not available: ${this.#why}`);
  }
}

/** Call `start`, and `stop` in the end. */
export function createHistory(options: HistoryOptions): History {
  return new History(options);
}

function settlable(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

function settled(): { promise: Promise<void>; resolve: () => void } {
  return { promise: Promise.resolve(), resolve: () => undefined };
}

function replace(map: Map<number, number>, by: ReadonlyMap<number, number>): void {
  map.clear();
  for (const [key, value] of by) map.set(key, value);
}
