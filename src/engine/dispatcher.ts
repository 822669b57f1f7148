/**
 * The slots of the worker nodes, and who gets them: steps are assigned to workers at the moment a slot is free for them, in
 * fair order between groups, never put into a queue that workers drain. Knows workers by what they say of themselves
 * (status messages) and keeps a view of their free slots that their answers correct. In memory only: what a worker runs is
 * in the journals of the partitions.
 */
import type { Logger } from "pino";
import { createFairQueue, type FairQueue } from "../../machines/fair-queue.ts";
import type { WorkerStatus } from "../protocol/work.ts";
import type { SlotSource } from "./core/slot-source.ts";
import type { Attempt, ReadyStep, Run } from "./run.ts";

/** What the dispatcher asks of its node. */
export interface DispatcherHost {
  /** A slot was found for a step that waited. `refused` is called when the step does not want it any more. */
  offer(step: ReadyStep, worker: string, refused: () => void): void;
  /** The worker is gone or does not have it: the step goes elsewhere. */
  giveBack(held: HeldAttempt, how: "returned" | "lost"): void;
  /** After an engine's restart: the worker does not know this attempt. Give it back unless its result is on the way. */
  missing(held: HeldAttempt): void;
  /** Has the worker report all that it has. */
  ask(worker: string): void;
  /** The worker executes attempts that are over: it has to stop them. */
  stop(worker: string, attemptIds: readonly string[]): void;
  readonly now: () => number;
}

/** An attempt that a worker has, as far as is known here. */
export interface HeldAttempt {
  readonly attempt: Attempt;
  readonly run: Run;
  readonly partition: number;
  /** Known from the journal of an earlier owner, and not yet confirmed by the worker. */
  recovered: boolean;
  /** The worker had no slot for it. */
  refused?: boolean;
}

export interface WorkerEntry {
  readonly id: string;
  status: WorkerStatus | undefined;
  mode: "unknown" | "running" | "draining" | "stopped";
  lastSeenMs: number;
  deadlineMs: number;
  slots: number;
  /** Slots that were promised to steps whose partition has not confirmed yet. */
  reserved: number;
  readonly held: Map<string, HeldAttempt>;
  readonly handlers: Set<string>;
  readonly versions: Set<string>;
  /** It refused for lack of slots although we thought it had some: wait for its next word. */
  full: boolean;
}

const DEFAULT_DEADLINE_MS = 3_000;
const READY = createFairQueue<ReadyStep>({
  compare: (a, b) =>
    b.priority - a.priority ||
    a.order - b.order ||
    a.partition - b.partition ||
    a.run.order - b.run.order ||
    (a.step < b.step ? -1 : a.step > b.step ? 1 : 0),
  flow: (step) => step.flow,
});

export class Dispatcher {
  readonly workers = new Map<string, WorkerEntry>();
  readonly #host: DispatcherHost;
  readonly #logger: Logger;
  readonly #byHandler = new Map<string, WorkerEntry[]>();
  #queue: FairQueue<ReadyStep> = READY;
  /** Steps that no worker serves, by handler. */
  readonly #unserved = new Map<string, Set<ReadyStep>>();
  #dirty = false;
  readonly #workerListeners = new Set<() => void>();

  constructor(host: DispatcherHost, logger: Logger) {
    this.#host = host;
    this.#logger = logger;
  }

  /** Called when a worker comes, goes or changes what it serves. */
  onWorkersChanged(listener: () => void): void {
    this.#workerListeners.add(listener);
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /** Steps that are ready and that no worker serves, by what they are: how many runs wait for each. */
  unserved(): { readonly workflow: string; readonly step: string; readonly waiting: number }[] {
    return [...this.#unserved].map(([handler, steps]) => {
      const at = handler.indexOf(" ");
      return { workflow: handler.slice(0, at), step: handler.slice(at + 1), waiting: steps.size };
    });
  }

  /** The workers that take work, and their slots. */
  capacity(): { readonly workers: number; readonly slots: { readonly used: number; readonly total: number } } {
    const slots = { used: 0, total: 0 };
    let workers = 0;
    for (const { mode, held, slots: total } of this.workers.values()) {
      if (mode !== "running") continue;
      workers++;
      slots.used += held.size;
      slots.total += total;
    }
    return { workers, slots };
  }

  /** The slots as one partition sees them. */
  slotsFor(partition: number): SlotSource {
    return {
      request: (step) => this.#request(step),
      withdraw: (step) => this.#withdraw(step),
      release: (attempt) => this.#release(attempt),
      adopt: (attempt, run, recovered) => this.#adopt(attempt, run, partition, recovered),
      unreserve: (worker) => this.#unreserve(worker),
    };
  }

  /** Steps that want a worker: how many go before this one, or that nobody serves it. For explanations. */
  standing(step: ReadyStep): {
    readonly served: boolean;
    readonly position: number;
    readonly waiting: number;
    readonly workers: number;
  } {
    const workers = this.#byHandler.get(handlerOf(step))?.length ?? 0;
    const served = this.#queue.has(step);
    return { served, position: served ? this.#queue.rank(step) + 1 : 0, waiting: this.#queue.size, workers };
  }

  #request(step: ReadyStep): string | undefined {
    const handler = handlerOf(step);
    const worker = this.#pick(step, handler);
    if (worker !== undefined && (this.#queue.size === 0 || !this.#dirty)) {
      // Nothing that waits could have this slot: all of it was tried when a slot was freed last.
      worker.reserved++;
      // Whoever takes a worker's last slot begins the competition for the next one, and has had its turn. Before that there is none.
      if (this.#queue.size > 0 || freeSlots(worker) === 0) this.#queue = this.#queue.charge(step.flow);
      return worker.id;
    }
    if (this.#byHandler.has(handler)) {
      this.#queue = this.#queue.add(step);
      if (worker !== undefined) this.#dirty = true;
    } else {
      let unserved = this.#unserved.get(handler);
      if (unserved === undefined) this.#unserved.set(handler, (unserved = new Set()));
      unserved.add(step);
    }
    return undefined;
  }

  #withdraw(step: ReadyStep): void {
    this.#queue = this.#queue.remove(step);
    const handler = handlerOf(step);
    const unserved = this.#unserved.get(handler);
    if (unserved?.delete(step) === true && unserved.size === 0) this.#unserved.delete(handler);
  }

  #adopt(attempt: Attempt, run: Run, partition: number, recovered: boolean): void {
    const worker = this.workers.get(attempt.worker) ?? this.#open(attempt.worker);
    if (!recovered && worker.reserved > 0) worker.reserved--;
    worker.held.set(attempt.id, { attempt, run, partition, recovered });
  }

  #unreserve(id: string): void {
    const worker = this.workers.get(id);
    if (worker === undefined || worker.reserved === 0) return;
    worker.reserved--;
    this.#dirty = true;
  }

  #release(attempt: Attempt): void {
    const worker = this.workers.get(attempt.worker);
    const held = worker?.held.get(attempt.id);
    if (worker === undefined || held === undefined) return;
    worker.held.delete(attempt.id);
    // One that it had no slot for frees none: it would be offered the same again at once, and again.
    if (held.refused !== true) worker.full = false;
    this.#dirty = true;
    if (worker.held.size === 0 && worker.reserved === 0 && this.#queue.size === 0 && this.#idle())
      this.#queue = this.#queue.rest();
  }

  #idle(): boolean {
    for (const worker of this.workers.values()) if (worker.held.size > 0 || worker.reserved > 0) return false;
    return true;
  }

  /** Gives free slots to the steps that wait, in fair order. Called after each round of a partition. */
  pump(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    while (this.#queue.size > 0 && this.#anyFree()) {
      let found: WorkerEntry | undefined;
      const taken = this.#queue.takeFirst((step) => (found = this.#pick(step, handlerOf(step))) !== undefined);
      if (taken === undefined || found === undefined) return;
      this.#queue = taken.queue;
      const worker = found;
      worker.reserved++;
      this.#host.offer(taken.item, worker.id, () => this.#unreserve(worker.id));
    }
  }

  #anyFree(): boolean {
    for (const worker of this.workers.values()) if (freeSlots(worker) > 0) return true;
    return false;
  }

  /** The worker with most free slots that serves the step, of the same version of the workflow where there is one. */
  #pick(step: ReadyStep, handler: string): WorkerEntry | undefined {
    let best: WorkerEntry | undefined;
    let bestFree = 0;
    let bestSame = false;
    for (const worker of this.#byHandler.get(handler) ?? []) {
      const free = freeSlots(worker);
      if (free <= 0) continue;
      const same = worker.versions.has(versionOf(step));
      if (best === undefined || (same && !bestSame) || (same === bestSame && free > bestFree)) {
        best = worker;
        bestFree = free;
        bestSame = same;
      }
    }
    return best;
  }

  /** A worker that serves the workflow, for computing keys. */
  pickForKeys(workflow: string, version: string): string | undefined {
    let other: string | undefined;
    for (const worker of this.workers.values()) {
      if (worker.mode !== "running" || worker.status === undefined) continue;
      if (worker.versions.has(`${workflow} ${version}`)) return worker.id;
      if (worker.status.workflows.some((one) => one.name === workflow)) other = worker.id;
    }
    return other;
  }

  #open(id: string): WorkerEntry {
    const worker: WorkerEntry = {
      id,
      status: undefined,
      mode: "unknown",
      lastSeenMs: this.#host.now(),
      deadlineMs: DEFAULT_DEADLINE_MS,
      slots: 0,
      reserved: 0,
      held: new Map(),
      handlers: new Set(),
      versions: new Set(),
      full: false,
    };
    this.workers.set(id, worker);
    return worker;
  }

  /** A worker says how it is. */
  report(status: WorkerStatus): void {
    let worker = this.workers.get(status.id);
    if (worker === undefined) {
      if (status.mode === "stopped") return;
      worker = this.#open(status.id);
    }
    const before = `${worker.mode} ${worker.slots} ${[...worker.handlers].join()} ${[...worker.versions].join()}`;
    worker.lastSeenMs = this.#host.now();
    worker.deadlineMs = status.deadlineMs;
    worker.status = status;
    worker.mode = status.mode;
    worker.slots = status.slots;
    worker.full = false;
    worker.handlers.clear();
    worker.versions.clear();
    for (const workflow of status.workflows) {
      worker.versions.add(`${workflow.name} ${workflow.version}`);
      for (const step of workflow.steps) worker.handlers.add(`${workflow.name} ${step}`);
    }
    if (status.attempts !== undefined) this.#reconcile(worker, status.attempts);
    // It executes more than is known here, perhaps since it was taken for dead meanwhile: it has to say what.
    else if (status.used > worker.held.size) this.#host.ask(worker.id);
    if (status.mode === "stopped") this.#gone(worker, "has stopped");
    if (
      before !== `${worker.mode} ${worker.slots} ${[...worker.handlers].join()} ${[...worker.versions].join()}` ||
      !this.workers.has(worker.id)
    )
      this.#reindex();
    this.#dirty = true;
    this.pump();
  }

  #reconcile(worker: WorkerEntry, attempts: readonly string[]): void {
    const known = new Set(attempts);
    for (const held of worker.held.values()) {
      if (!held.recovered) continue;
      held.recovered = false;
      if (!known.has(held.attempt.id)) this.#host.missing(held);
    }
    // An attempt is held before its worker hears of it, so these are over, and would keep slots that are given to others.
    const over = attempts.filter((id) => !worker.held.has(id));
    if (over.length > 0) this.#host.stop(worker.id, over);
  }

  /** The worker was told to drain and has answered: it is given nothing more. */
  drain(id: string): void {
    const worker = this.workers.get(id);
    if (worker === undefined || worker.mode !== "running") return;
    worker.mode = "draining";
    this.#reindex();
  }

  /** The worker answered an assignment. */
  answered(id: string, refused: readonly { readonly attemptId: string; readonly reason: string }[]): void {
    const worker = this.workers.get(id);
    for (const { attemptId, reason } of refused) {
      const held = worker?.held.get(attemptId);
      if (worker === undefined || held === undefined) continue;
      if (reason === "slots") worker.full = held.refused = true;
      if (reason === "draining") worker.mode = "draining";
      this.#logger.debug({ worker: id, attemptId, reason }, "a worker did not take a step");
      this.#host.giveBack(held, "returned");
    }
    if (refused.some(({ reason }) => reason === "draining")) this.#reindex();
  }

  /** All that workers hold may be out of date (the connection was lost): trust only what they report next. */
  distrust(): void {
    for (const worker of this.workers.values()) {
      worker.lastSeenMs = this.#host.now();
      for (const held of worker.held.values()) held.recovered = true;
    }
  }

  /** Takes workers that have been silent for too long for dead. */
  expire(): void {
    const now = this.#host.now();
    for (const worker of [...this.workers.values()]) {
      if (now - worker.lastSeenMs <= worker.deadlineMs) continue;
      this.#gone(worker, "is silent");
      this.#reindex();
    }
    this.pump();
  }

  #gone(worker: WorkerEntry, why: string): void {
    this.workers.delete(worker.id);
    const held = [...worker.held.values()];
    if (why !== "has stopped" || held.length > 0)
      this.#logger.warn(
        { worker: worker.id, attempts: held.length, silentMs: this.#host.now() - worker.lastSeenMs },
        `a worker ${why}: its steps are given to others`,
      );
    for (const one of held) this.#host.giveBack(one, "lost");
  }

  #reindex(): void {
    this.#byHandler.clear();
    for (const worker of this.workers.values()) {
      if (worker.mode !== "running") continue;
      for (const handler of worker.handlers) {
        const list = this.#byHandler.get(handler);
        if (list === undefined) this.#byHandler.set(handler, [worker]);
        else list.push(worker);
      }
    }
    for (const [handler, steps] of this.#unserved) {
      if (!this.#byHandler.has(handler)) continue;
      this.#unserved.delete(handler);
      for (const step of [...steps].sort((a, b) => a.order - b.order)) this.#queue = this.#queue.add(step);
    }
    for (const step of [...this.#queue]) {
      const handler = handlerOf(step);
      if (this.#byHandler.has(handler)) continue;
      this.#queue = this.#queue.remove(step);
      let unserved = this.#unserved.get(handler);
      if (unserved === undefined) this.#unserved.set(handler, (unserved = new Set()));
      unserved.add(step);
    }
    this.#dirty = true;
    for (const listener of this.#workerListeners) listener();
  }
}

function freeSlots(worker: WorkerEntry): number {
  return worker.mode === "running" && !worker.full ? worker.slots - worker.held.size - worker.reserved : 0;
}

function handlerOf(step: ReadyStep): string {
  return step.handler;
}

function versionOf(step: ReadyStep): string {
  return `${step.run.workflow.name} ${step.run.workflow.spec.version}`;
}
