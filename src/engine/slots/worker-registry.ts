/**
 * The workers that are there, as they say themselves: their mode, their slots, what they serve, and when they were last heard of. Every
 * node keeps its own, from the status messages that all of them hear. What the workers execute is not its business.
 */
import type { WorkerStatus } from "../../protocol/work.ts";

export interface WorkerEntry {
  readonly id: string;
  /** Undefined for one that is only known by what it was given. */
  status: WorkerStatus | undefined;
  mode: "unknown" | "running" | "draining" | "stopped";
  /** By the clock of this node. */
  lastSeenMs: number;
  deadlineMs: number;
  slots: number;
  /** Workflow and step, with a space between. */
  readonly handlers: Set<string>;
  /** Workflow and version, with a space between. */
  readonly versions: Set<string>;
}

const DEFAULT_DEADLINE_MS = 3_000;

export class WorkerRegistry {
  readonly workers = new Map<string, WorkerEntry>();
  readonly #now: () => number;
  readonly #byHandler = new Map<string, WorkerEntry[]>();
  readonly #listeners = new Set<() => void>();

  /** `now`: monotonic, in ms. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Called when a worker comes, goes, or changes what it serves or how many slots it has. */
  onChanged(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** The one of this id; one that was not heard of yet has its deadline to say something. */
  open(id: string): WorkerEntry {
    const known = this.workers.get(id);
    if (known !== undefined) return known;
    const worker: WorkerEntry = {
      id,
      status: undefined,
      mode: "unknown",
      lastSeenMs: this.#now(),
      deadlineMs: DEFAULT_DEADLINE_MS,
      slots: 0,
      handlers: new Set(),
      versions: new Set(),
    };
    this.workers.set(id, worker);
    return worker;
  }

  /** What a worker says of itself. `changed`: call `announce` when all that follows from it is done. */
  report(status: WorkerStatus): { readonly worker: WorkerEntry; readonly changed: boolean } {
    const worker = this.open(status.id);
    const before = offerOf(worker);
    worker.lastSeenMs = this.#now();
    worker.deadlineMs = status.deadlineMs;
    worker.status = status;
    worker.mode = status.mode;
    worker.slots = status.slots;
    worker.handlers.clear();
    worker.versions.clear();
    for (const workflow of status.workflows) {
      worker.versions.add(`${workflow.name} ${workflow.version}`);
      for (const step of workflow.steps) worker.handlers.add(`${workflow.name} ${step}`);
    }
    return { worker, changed: before !== offerOf(worker) };
  }

  /** Takes note of what has changed, and tells. */
  announce(): void {
    this.#byHandler.clear();
    for (const worker of this.workers.values()) {
      if (worker.mode !== "running") continue;
      for (const handler of worker.handlers) {
        const list = this.#byHandler.get(handler);
        if (list === undefined) this.#byHandler.set(handler, [worker]);
        else list.push(worker);
      }
    }
    for (const listener of this.#listeners) listener();
  }

  /** It takes nothing new. */
  drain(id: string): void {
    const worker = this.workers.get(id);
    if (worker === undefined || worker.mode !== "running") return;
    worker.mode = "draining";
    this.announce();
  }

  /** Those that have been silent for longer than their deadline. */
  silent(): WorkerEntry[] {
    const now = this.#now();
    return [...this.workers.values()].filter(({ lastSeenMs, deadlineMs }) => now - lastSeenMs > deadlineMs);
  }

  silentMs(worker: WorkerEntry): number {
    return this.#now() - worker.lastSeenMs;
  }

  remove(id: string): void {
    this.workers.delete(id);
  }

  /** What they said may have been lost on the way: all of them have their deadline again. */
  forgive(): void {
    for (const worker of this.workers.values()) worker.lastSeenMs = this.#now();
  }

  /** Those that serve it and take work. */
  serving(handler: string): readonly WorkerEntry[] {
    return this.#byHandler.get(handler) ?? NONE;
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
}

const NONE: readonly WorkerEntry[] = [];

function offerOf({ mode, slots, handlers, versions }: WorkerEntry): string {
  return `${mode} ${slots} ${[...handlers].join()} ${[...versions].join()}`;
}
