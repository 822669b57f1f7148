/**
 * The attempts that the partitions of this node have given to workers, and that are not over. Only what this node owns: who else uses a
 * worker's slots is the broker's business.
 */
import type { WorkerStatus } from "../../protocol/work.ts";
import type { Attempt, Run } from "../run.ts";

/** An attempt that a worker has, as far as is known here. */
export interface HeldAttempt {
  readonly attempt: Attempt;
  readonly run: Run;
  readonly partition: number;
  /** Known from the journal of an earlier owner, and not yet confirmed by the worker. */
  recovered: boolean;
  /** The worker had no slot for it, or takes nothing new. */
  refused?: boolean;
}

/** An attempt that a worker executes. */
export interface ExecutedAttempt {
  readonly id: string;
  readonly partition: number;
}

/** What this node owns, and since which change of owner. */
export interface Ownership {
  epochOf(partition: number): number | undefined;
  /** Nobody else owns any partition. */
  readonly all: boolean;
}

const NONE: ReadonlyMap<string, HeldAttempt> = new Map();

export class Holdings {
  readonly #byWorker = new Map<string, Map<string, HeldAttempt>>();

  get workers(): Iterable<string> {
    return this.#byWorker.keys();
  }

  of(worker: string): ReadonlyMap<string, HeldAttempt> {
    return this.#byWorker.get(worker) ?? NONE;
  }

  add(held: HeldAttempt): void {
    const { worker, id } = held.attempt;
    const its = this.#byWorker.get(worker);
    if (its === undefined) this.#byWorker.set(worker, new Map([[id, held]]));
    else its.set(id, held);
  }

  /** It is over. Undefined where it was not known. */
  remove({ worker, id }: Attempt): HeldAttempt | undefined {
    const its = this.#byWorker.get(worker);
    const held = its?.get(id);
    if (held !== undefined) its?.delete(id);
    return held;
  }

  /** The worker is gone: all that it had. */
  removeWorker(worker: string): HeldAttempt[] {
    const its = this.#byWorker.get(worker);
    this.#byWorker.delete(worker);
    return its === undefined ? [] : [...its.values()];
  }

  /** The partition is another node's: how many of its attempts each worker had. */
  removePartition(partition: number): Map<string, number> {
    const counts = new Map<string, number>();
    for (const [worker, its] of this.#byWorker) {
      let count = 0;
      for (const [id, held] of its) if (held.partition === partition && its.delete(id)) count++;
      if (count > 0) counts.set(worker, count);
    }
    return counts;
  }

  /** Nothing is certain until the workers have confirmed it. */
  distrust(): void {
    for (const its of this.#byWorker.values()) for (const held of its.values()) held.recovered = true;
  }

  /**
   * Compares with all that a worker says it has. Only for partitions that the worker and this node know by the same epoch: then the worker
   * refuses what an earlier owner may still send, and an attempt is held here before the worker hears of it. So what was recovered and is
   * not there is `missing`, and what is there and not held is `over`.
   */
  reconcile(
    { id: worker, attempts = [], epochs }: WorkerStatus,
    ownership: Ownership,
  ): {
    readonly missing: HeldAttempt[];
    readonly over: ExecutedAttempt[];
  } {
    const its = this.of(worker);
    // A worker of the release before knows no epochs, and partitions only by what it was given.
    const agreed = (partition: number): boolean => {
      const own = ownership.epochOf(partition);
      return own !== undefined && (epochs === undefined || (epochs[partition] ?? 0) === own);
    };
    const known = new Set<string>();
    const over: ExecutedAttempt[] = [];
    for (const attempt of attempts) {
      const id = typeof attempt === "string" ? attempt : attempt.id;
      known.add(id);
      if (its.has(id)) continue;
      if (typeof attempt !== "string") {
        if (agreed(attempt.partition)) over.push(attempt);
      } else if (ownership.all) over.push({ id, partition: 0 });
    }
    const missing: HeldAttempt[] = [];
    for (const held of its.values()) {
      if (!held.recovered) continue;
      if (known.has(held.attempt.id)) held.recovered = false;
      else if (agreed(held.partition)) {
        held.recovered = false;
        missing.push(held);
      }
    }
    return { missing, over };
  }
}
