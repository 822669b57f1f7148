/**
 * The runs that have gone to other partitions, each kept until the other one has it in its journal: only then may it be forgotten
 * here. Why a run goes is not known here.
 */
import type { Run } from "../run.ts";
import type { BatchBuilder } from "./batch-builder.ts";
import type { KeyQueue } from "./key-queue.ts";
import type { PartitionState } from "./partition-state.ts";
import { toCreation } from "./run-facts.ts";

export class Outbox {
  readonly #state: PartitionState;
  readonly #batch: BatchBuilder;
  readonly #keying: KeyQueue;
  /** By partition, in the order in which they went. */
  readonly #moved = new Map<number, Set<Run>>();
  /** How many have ever gone to each partition. */
  readonly #sent = new Map<number, number>();

  constructor(state: PartitionState, batch: BatchBuilder, keying: KeyQueue) {
    this.#state = state;
    this.#batch = batch;
    this.#keying = keying;
  }

  send(run: Run, to: number, keys: readonly string[]): void {
    const n = (this.#sent.get(to) ?? 0) + 1;
    this.#batch.record({ k: "moved", at: this.#state.now, run: run.run, to, n, keys });
    this.note(run, to, n, keys);
    if (!this.#state.replaying) this.#batch.effect({ type: "handover", to, n, creation: toCreation(run, keys) });
  }

  /** It has gone there as the nth. The same live and in recovery. */
  note(run: Run, to: number, n: number, keys: readonly string[]): void {
    this.#keying.delete(run);
    run.phase = "keying";
    run.rest = { ...run.rest, keys, moved: { to, n } };
    this.#sent.set(to, n);
    let moved = this.#moved.get(to);
    if (moved === undefined) this.#moved.set(to, (moved = new Set()));
    moved.add(run);
  }

  /** Partition `to` has journaled everything up to `n` of what went there. */
  confirmed(to: number, n: number): void {
    const moved = this.#moved.get(to);
    let any = false;
    for (const run of moved ?? []) {
      if (run.rest?.moved === undefined || run.rest.moved.n > n) break;
      moved?.delete(run);
      this.#state.runs.delete(run.run);
      any = true;
    }
    if (any) this.#batch.record({ k: "confirmed", to, n });
  }

  /**
   * The run comes back. Whoever hands it on has it in its journal, and before it all that went there earlier: the confirmation is only
   * late. Without this the run would be taken for one that is here, and be lost.
   */
  returned(run: Run): void {
    const moved = run.rest?.moved;
    if (moved !== undefined) this.confirmed(moved.to, moved.n);
  }

  /** All of them, those for one partition in their order. */
  all(): Run[] {
    return [...this.#moved.values()].flatMap((queue) => [...queue]);
  }

  /** How many wait for a confirmation. */
  get size(): number {
    let size = 0;
    for (const moved of this.#moved.values()) size += moved.size;
    return size;
  }

  /** How many have ever gone to each partition, for the snapshot. */
  get counts(): Record<string, number> {
    return Object.fromEntries(this.#sent);
  }

  restoreCounts(counts: Readonly<Record<string, number>>): void {
    for (const [to, n] of Object.entries(counts)) this.#sent.set(Number(to), n);
  }

  /** After the last replayed fact: hands over again what nobody has confirmed. */
  resume(): void {
    for (const [to, moved] of this.#moved)
      for (const run of moved)
        if (run.rest?.moved !== undefined)
          this.#batch.effect({ type: "handover", to, n: run.rest.moved.n, creation: toCreation(run, run.rest.keys ?? []) });
  }
}
