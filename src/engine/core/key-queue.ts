/**
 * The runs that wait for a worker to compute their keys, per workflow, oldest first; which worker is asked, and when, is the keyer's. And
 * those that have their keys, and wait until it is decided where their groups are.
 */
import type { Run } from "../run.ts";
import type { BatchBuilder } from "./batch-builder.ts";
import type { PartitionState } from "./partition-state.ts";

export class KeyQueue {
  readonly #state: PartitionState;
  readonly #batch: BatchBuilder;
  readonly #queues = new Map<string, Set<Run>>();
  /** Those that have all their keys. */
  readonly held = new Set<Run>();

  constructor(state: PartitionState, batch: BatchBuilder) {
    this.#state = state;
    this.#batch = batch;
  }

  add(run: Run): void {
    if (hasItsKeys(run)) {
      this.held.add(run);
      return;
    }
    let queue = this.#queues.get(run.workflow.name);
    if (queue === undefined) this.#queues.set(run.workflow.name, (queue = new Set()));
    queue.add(run);
    if (!this.#state.replaying) this.#batch.effect({ type: "keys", workflow: run.workflow });
  }

  delete(run: Run): void {
    this.held.delete(run);
    this.#queues.get(run.workflow.name)?.delete(run);
  }

  /** The next runs of a workflow, all of one version. */
  head(workflow: string, max: number): Run[] {
    const head: Run[] = [];
    for (const run of this.#queues.get(workflow) ?? []) {
      if (head.length >= max || (head[0] !== undefined && head[0].workflow.spec.version !== run.workflow.spec.version)) break;
      head.push(run);
    }
    return head;
  }

  /** How many wait, by workflow, and of which version the next one is. */
  counts(): ReadonlyMap<string, { readonly waiting: number; readonly version: string }> {
    const counts = new Map<string, { readonly waiting: number; readonly version: string }>();
    for (const [workflow, queue] of this.#queues) {
      const [next] = queue;
      if (next !== undefined) counts.set(workflow, { waiting: queue.size, version: next.workflow.spec.version });
    }
    return counts;
  }

  /** All of them, those of one workflow in their order. */
  all(): Run[] {
    return [...[...this.#queues.values()].flatMap((queue) => [...queue]), ...this.held];
  }

  /** After the last replayed fact: asks again for all that wait. */
  resume(): void {
    for (const queue of this.#queues.values()) {
      const [first] = queue;
      if (first !== undefined) this.#batch.effect({ type: "keys", workflow: first.workflow });
    }
  }
}

function hasItsKeys({ rest, workflow }: Run): boolean {
  const { keys } = rest ?? {};
  return keys !== undefined && keys.length > 0 && keys.length === workflow.spec.limits.length && !keys.includes("");
}
