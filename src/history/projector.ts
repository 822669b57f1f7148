/**
 * The projection as it runs in the worker thread: takes messages in their order, gathers the news of runs, writes it in
 * few large transactions, and answers reads from the file after writing what is gathered. Knows no threads: messages go out
 * through `post`.
 *
 * Modes: `closed` (before `open`, after a failure, after `close`: batches are dropped, reads are refused) and `open`. A
 * failure of the file closes it for good and loses what was gathered; the service begins another thread and posts anew from
 * the positions that the file has.
 */
import { discardOf, openDatabase } from "./database.ts";
import { groupDecisions } from "./group-decisions.ts";
import { HistoryError } from "./history-error.ts";
import { factTexts } from "./fact-texts.ts";
import { decodeBatch, type RunFact, type SnapshotLine } from "./journal.ts";
import type { AnyRequest, FromWorker, JournalPosition, RequestName, Requests, ToWorker, WorkerOptions } from "./messages.ts";
import { PendingRuns } from "./pending-runs.ts";
import { createRedactor, type Redactor } from "../protocol/redact.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import { Queries } from "./queries.ts";
import type { RunListQuery } from "../protocol/view.ts";
import { MAX_COUNTED } from "./run-lists.ts";
import { RUN_STATUSES } from "./run-status.ts";
import { sealFact } from "./sealing.ts";
import { type Bounds, Store } from "./store.ts";

/** Runs deleted in one transaction: some milliseconds. */
const RETAIN_PORTION = 200;

type Waiting = Extract<ToWorker, { readonly type: "request" }>;

export class Projector {
  readonly #options: WorkerOptions;
  readonly #post: (message: FromWorker) => void;
  readonly #inbox: ToWorker[] = [];
  #scheduled = false;

  #store: Store | undefined;
  #queries: Queries | undefined;
  readonly #pending = new PendingRuns();
  #pendingChars = 0;
  /** How far the journals have been read, beyond what is committed. */
  readonly #read = new Map<number, number>();
  #commitTimer: NodeJS.Timeout | undefined;
  #checkpointTimer: NodeJS.Timeout | undefined;
  /** Snapshots whose position the reading of the journal has not reached, with the runs that they know. */
  readonly #snapshots = new Map<number, { readonly seq: number; readonly runs: ReadonlySet<string> }>();
  /** Requests that wait for a position. */
  readonly #waiting = new Map<number, Waiting>();
  #retaining: { bounds: Bounds; deleted: number; ids: number[] } | undefined;
  readonly #redactor: Redactor;

  constructor(options: WorkerOptions, post: (message: FromWorker) => void) {
    this.#options = options;
    this.#post = post;
    this.#redactor = createRedactor(options.redact);
  }

  /** Once, before anything is received. Posts `opened` or `failed`. */
  open(): void {
    this.#guard(() => {
      const sql = openDatabase(this.#options);
      this.#store = new Store(sql);
      const { eventsStream, sealKey } = this.#options;
      this.#queries = new Queries(sql, this.#store.specs, { eventsStream, sealKey, redactor: this.#redactor });
      for (const [partition, seq] of this.#store.positions) this.#read.set(partition, seq);
      this.#post({ type: "opened", positions: new Map(this.#store.positions) });
    });
  }

  /** Messages that have arrived together are dealt with together. */
  receive(message: ToWorker): void {
    this.#inbox.push(message);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#drain());
  }

  #drain(): void {
    this.#scheduled = false;
    let taken = 0;
    for (const message of this.#inbox.splice(0)) {
      if (message.type === "batch") taken += message.text.length;
      this.#guard(() => this.#handle(message));
    }
    if (taken > 0) this.#post({ type: "taken", chars: taken });
    for (const request of this.#waiting.values()) if (this.#reached(request.after)) this.#guard(() => this.#answer(request));
  }

  #handle(message: ToWorker): void {
    switch (message.type) {
      case "define":
        return this.#store?.define(this.#redactSpec(message.spec));
      case "batch":
        return this.#batch(message.partition, message.seq, message.text);
      case "request":
        if (this.#reached(message.after)) return this.#answer(message);
        this.#waiting.set(message.id, message);
        return;
      case "forget":
        this.#waiting.delete(message.id);
        return;
      case "close":
        this.#commit();
        this.#sync();
        this.#close("the history was stopped");
        this.#post({ type: "closed" });
    }
  }

  #batch(partition: number, seq: number, text: string): void {
    if (this.#store === undefined || seq <= (this.#read.get(partition) ?? 0)) return;
    const snapshot = this.#snapshots.get(partition);
    if (snapshot !== undefined && seq > snapshot.seq) this.#endSnapshot(this.#store, partition);
    const known = seq <= (snapshot?.seq ?? 0) ? snapshot?.runs : undefined;
    const seal = this.#sealing(text);
    try {
      const facts = decodeBatch(text).f;
      const texts = factTexts(text, facts.length);
      for (const [index, fact] of facts.entries())
        if (known === undefined || !("run" in fact && known.has(fact.run)))
          this.#pending.add(partition, fact, seal, texts?.[index]);
    } catch (error) {
      this.#post({
        type: "warning",
        message: "left a journal message out of the history: it cannot be read",
        fields: { partition, seq, error: String(error) },
      });
    }
    this.#read.set(partition, seq);
    if (seq === snapshot?.seq) this.#endSnapshot(this.#store, partition);
    this.#pendingChars += text.length;
    if (this.#pendingChars >= this.#options.commitChars) this.#commit();
    else this.#commitTimer ??= setTimeout(() => this.#guard(() => this.#commit()), this.#options.commitMs);
  }

  /** Undefined where nothing in this text is to be hidden: the usual case, told without a look at what it says. */
  #sealing(text: string): ((fact: RunFact) => boolean) | undefined {
    const { sealKey } = this.#options;
    return this.#redactor.mayApply(text) ? (fact) => sealFact(fact, this.#redactor, sealKey) : undefined;
  }

  /** Inputs of crons are inputs. */
  #redactSpec(spec: WorkflowSpec): WorkflowSpec {
    const cron = spec.cron.map((one) => ("input" in one ? { ...one, input: this.#redactor.value(one.input) } : one));
    return { ...spec, cron };
  }

  #commit(): void {
    const store = this.#store;
    clearTimeout(this.#commitTimer);
    this.#commitTimer = undefined;
    if (store === undefined) return;
    const positions = new Map<number, number>();
    for (const [partition, seq] of this.#read) if (seq !== store.positions.get(partition)) positions.set(partition, seq);
    if (positions.size === 0) return;
    store.commit(this.#pending, positions);
    this.#pending.clear();
    this.#pendingChars = 0;
    this.#checkpointTimer ??= setTimeout(() => this.#guard(() => this.#sync()), this.#options.checkpointMs);
    this.#post({ type: "committed", positions });
  }

  #sync(): void {
    clearTimeout(this.#checkpointTimer);
    this.#checkpointTimer = undefined;
    if (this.#store === undefined) return;
    this.#store.checkpoint();
    if (this.#store.unknown > 0) {
      this.#post({
        type: "warning",
        message: "left facts out of the history: it does not know their runs",
        fields: { runs: this.#store.unknown },
      });
      this.#store.unknown = 0;
    }
    this.#post({ type: "synced", positions: new Map(this.#store.positions) });
  }

  #reached(after: readonly JournalPosition[] | undefined): boolean {
    return (
      this.#store === undefined ||
      after === undefined ||
      after.every(({ partition, seq }) => (this.#read.get(partition) ?? 0) >= seq)
    );
  }

  #answer({ id, request }: Waiting): void {
    this.#waiting.delete(id);
    try {
      if (this.#store === undefined || this.#queries === undefined)
        throw new HistoryError("HISTORY_UNAVAILABLE", "the history is not open");
      this.#commit();
      if (request.name === "retain") return this.#retain(id, request.args);
      this.#post({ type: "reply", id, value: this.#carryOut(request, this.#store, this.#queries) });
    } catch (error) {
      const code = error instanceof HistoryError ? error.code : "HISTORY_UNAVAILABLE";
      this.#post({ type: "refusal", id, code, message: messageOf(error) });
      if (isOfFile(error)) throw error;
    }
  }

  #carryOut(
    request: Exclude<AnyRequest, { readonly name: "retain" }>,
    store: Store,
    queries: Queries,
  ): Requests[RequestName]["reply"] {
    switch (request.name) {
      case "run":
        return queries.run(request.args.id);
      case "list":
        return queries.list(request.args);
      case "rows":
        return JSON.stringify(queries.rows(request.args.ns, request.args.fields));
      case "scan":
        return queries.scan(request.args.query, request.args.size);
      case "count":
        return countOf(store, request.args) ?? queries.count(request.args);
      case "statuses":
        return store.counts.byStatus(request.args.workflow, request.args.version);
      case "events":
        return queries.events(request.args.id);
      case "stays":
        return queries.stays(request.args.id);
      case "record":
        return queries.record(request.args.id, request.args.after);
      case "machine":
        return store.specs.machine(request.args);
      case "decisions":
        return groupDecisions(store.sql, store.specs, request.args);
      case "runsOfEvents":
        return queries.runsOfEvents(request.args.seqs);
      case "flush":
        return this.#sync() ?? undefined;
      case "snapshot":
        return this.#snapshot(store, request.args) ?? undefined;
    }
  }

  #snapshot(store: Store, { partition, seq, lines }: Requests["snapshot"]["args"]): void {
    if (seq <= (this.#read.get(partition) ?? 0)) return;
    const runs = new PendingRuns();
    for (const text of lines) {
      const line = JSON.parse(text) as SnapshotLine;
      if (line.s !== "run") continue;
      const seal = this.#sealing(text);
      const { created, events, moved, admittedAt } = line;
      const { run, at, keys = [] } = created;
      runs.add(partition, { ...created }, seal);
      if (admittedAt !== undefined && created.phase !== "active") runs.add(partition, { k: "admitted", at: admittedAt, run });
      for (const event of events ?? []) runs.add(partition, { k: "event", at: event.at, run, ev: event.ev }, seal);
      if (moved !== undefined) runs.add(partition, { k: "moved", at, run, to: moved.to, n: moved.n, keys });
    }
    store.commitSnapshot(partition, runs);
    this.#queries?.forget();
    this.#snapshots.set(partition, { seq, runs: new Set([...runs.values()].map((run) => run.id)) });
  }

  /** The journal was read up to the snapshot: it tells nothing more of how runs ended before. */
  #endSnapshot(store: Store, partition: number): void {
    const snapshot = this.#snapshots.get(partition);
    if (snapshot === undefined) return;
    this.#commit();
    this.#snapshots.delete(partition);
    const runs = store.dropEnded(partition, snapshot.runs);
    this.#queries?.forget();
    if (runs > 0)
      this.#post({
        type: "warning",
        message: "took runs out of the history: the part of the journal with their end is gone",
        fields: { partition, runs },
      });
  }

  #retain(id: number, bounds: Bounds): void {
    if (this.#retaining !== undefined) {
      this.#retaining.bounds = bounds;
      this.#retaining.ids.push(id);
      return;
    }
    this.#retaining = { bounds, deleted: 0, ids: [id] };
    this.#retainPortion();
  }

  /** Between portions, whatever has come in is dealt with. */
  #retainPortion(): void {
    const retaining = this.#retaining;
    if (retaining === undefined || this.#store === undefined) return;
    const { bounds } = retaining;
    const deleted = this.#store.deleteFinished(bounds, RETAIN_PORTION);
    retaining.deleted += deleted;
    if (deleted > 0) this.#queries?.forget();
    const shrinks = this.#store.shrink(bounds.maxBytes);
    if (deleted === RETAIN_PORTION || shrinks) {
      setImmediate(() => this.#guard(() => this.#retainPortion()));
      return;
    }
    this.#retaining = undefined;
    for (const id of retaining.ids) this.#post({ type: "reply", id, value: retaining.deleted });
  }

  /** What the file cannot do ends here. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#close(messageOf(error));
      const discard = discardOf(error);
      this.#post({ type: "failed", message: messageOf(error), ...(discard !== undefined && { discard }) });
    }
  }

  #close(why: string): void {
    clearTimeout(this.#commitTimer);
    clearTimeout(this.#checkpointTimer);
    this.#commitTimer = this.#checkpointTimer = undefined;
    for (const id of [...this.#waiting.keys(), ...(this.#retaining?.ids ?? [])])
      this.#post({ type: "refusal", id, code: "HISTORY_UNAVAILABLE", message: why });
    this.#waiting.clear();
    this.#retaining = undefined;
    this.#pending.clear();
    this.#pendingChars = 0;
    this.#read.clear();
    this.#snapshots.clear();
    const store = this.#store;
    this.#store = this.#queries = undefined;
    try {
      store?.close();
    } catch {
      // It is given up anyway.
    }
  }
}

/** Where only workflow and status are asked for, it is known. */
function countOf(store: Store, query: RunListQuery): Requests["count"]["reply"] | undefined {
  const { workflow, status, size: _size, cursor: _cursor, fields: _fields, ...others } = query;
  if (Object.keys(others).length > 0) return undefined;
  const byStatus = store.counts.byStatus(workflow);
  const statuses = status === undefined ? RUN_STATUSES : new Set([status].flat());
  let count = 0;
  for (const one of statuses) count += byStatus[one] ?? 0;
  return { count: Math.min(count, MAX_COUNTED), atLeast: count > MAX_COUNTED };
}

/** Errors of SQLite have its codes; anything else is about the one request. */
function isOfFile(error: unknown): boolean {
  return String((error as { code?: unknown } | null)?.code ?? "").startsWith("SQLITE_");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
