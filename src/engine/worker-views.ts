/** The operations on worker nodes, as the dispatcher knows them. */
import { RequestError } from "../errors.ts";
import type { Connection } from "../nats/connection.ts";
import type { Names } from "../nats/subjects.ts";
import type { Page, WorkerView } from "../protocol/view.ts";
import type { WorkMessage } from "../protocol/work.ts";
import type { Dispatcher, WorkerEntry } from "./dispatcher.ts";
import { iso } from "./views.ts";

export interface WorkerSources {
  readonly connection: Connection;
  readonly names: Names;
  readonly dispatcher: Dispatcher;
}

const DRAIN: WorkMessage = { type: "drain" };
/** A worker that runs answers at once; one that is blocked by a handler when that lets go. */
const ANSWER_MS = 3_000;

export class WorkerViews {
  readonly #sources: WorkerSources;

  constructor(sources: WorkerSources) {
    this.#sources = sources;
  }

  list(): Page<WorkerView> {
    return { items: [...this.#sources.dispatcher.workers.values()].flatMap((worker) => this.#view(worker) ?? []) };
  }

  /** Resolves when the worker has said that it takes nothing new: it finishes what it has, hands the rest back, and ends. */
  async drain(id: string): Promise<WorkerView> {
    const { connection, names, dispatcher } = this.#sources;
    const worker = dispatcher.workers.get(id);
    const view = worker && this.#view(worker);
    if (view === undefined)
      throw new RequestError(`there is no worker "${id}"`, {
        operation: "worker.drain",
        status: 404,
        reason: "WORKER_NOT_FOUND",
      });
    try {
      await connection.request(names.work(id), JSON.stringify(DRAIN), { timeoutMs: ANSWER_MS });
    } catch (error) {
      // One that has ended in the meantime has drained.
      if (!dispatcher.workers.has(id)) return { ...view, mode: "stopped" };
      throw new RequestError(
        `worker "${id}" does not answer`,
        { operation: "worker.drain", status: 503, reason: "WORKER_SILENT" },
        { cause: error },
      );
    }
    dispatcher.drain(id);
    return { ...view, mode: "draining" };
  }

  /** Undefined for one that is known only by what it holds. */
  #view(worker: WorkerEntry): WorkerView | undefined {
    const { status, mode, lastSeenMs } = worker;
    if (status === undefined || mode === "unknown") return undefined;
    const { id, name, slots, startedAt, host, pid, sluiceVersion, workflows } = status;
    const lastSeenAt = iso(Date.now() - (performance.now() - lastSeenMs));
    const used = this.#sources.dispatcher.usedOf(worker);
    return { id, name, mode, slots, used, lastSeenAt, startedAt, host, pid, sluiceVersion, workflows };
  }
}
