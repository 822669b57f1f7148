/**
 * Has worker nodes compute keys that are functions: in batches, one batch of a workflow and partition at a time, so that the
 * keys take effect in the order of the runs. Nothing here is durable; what is not answered is asked again.
 */
import type { Logger } from "pino";
import { type Clock, systemClock } from "../clock.ts";
import type { KeyAnswer, WorkMessage } from "../protocol/work.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Partition } from "./partition.ts";
import type { Run } from "./run.ts";
import type { CompiledWorkflow } from "./workflows.ts";

export interface KeyerOptions {
  readonly dispatcher: Dispatcher;
  /** Sends a request to a worker; rejects when it does not answer in time. */
  readonly ask: (worker: string, message: string) => Promise<KeyAnswer>;
  /** The fields of a run's payload as JSON members. */
  readonly payloadOf: (run: Run) => string;
  readonly logger: Logger;
  /** Default: real timers. */
  readonly setTimer?: Clock["setTimer"];
}

const BATCH = 250;
const BATCH_CHARS = 250_000;
const RETRY_MS = 200;

export class Keyer {
  readonly #options: KeyerOptions;
  /** What is asked for at the moment, or waits for a worker. */
  readonly #busy = new Map<string, Partition>();
  readonly #waiting = new Map<string, { readonly partition: Partition; readonly workflow: CompiledWorkflow }>();
  #stopped = false;

  constructor(options: KeyerOptions) {
    this.#options = options;
    options.dispatcher.onWorkersChanged(() => {
      for (const [id, { partition, workflow }] of [...this.#waiting]) {
        this.#waiting.delete(id);
        this.want(partition, workflow);
      }
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  /** The partition has left this node: nothing is asked for it any more. */
  drop(number: number): void {
    for (const [id, { partition }] of this.#waiting) if (partition.number === number) this.#waiting.delete(id);
    for (const [id, partition] of this.#busy) if (partition.number === number) this.#busy.delete(id);
  }

  /** Runs of this workflow wait for their keys in this partition. */
  want(partition: Partition, workflow: CompiledWorkflow): void {
    const id = `${partition.number} ${workflow.name}`;
    if (this.#busy.get(id) === partition || this.#stopped) return;
    const runs = partition.core.keyingHead(workflow.name, BATCH);
    const [first] = runs;
    if (first === undefined) return;
    const { spec } = first.workflow;
    const worker = this.#options.dispatcher.pickForKeys(spec.name, spec.version);
    if (worker === undefined) {
      this.#waiting.set(id, { partition, workflow });
      return;
    }
    this.#waiting.delete(id);
    this.#busy.set(id, partition);
    void this.#ask(id, partition, workflow, worker, runs);
  }

  async #ask(id: string, partition: Partition, workflow: CompiledWorkflow, worker: string, runs: readonly Run[]): Promise<void> {
    const { ask, payloadOf, logger } = this.#options;
    const spec = runs[0]?.workflow.spec ?? workflow.spec;
    const items: string[] = [];
    let chars = 0;
    for (const run of runs) {
      const item = `{"run":"${run.run}"${payloadOf(run)}}`;
      if (items.length > 0 && chars + item.length > BATCH_CHARS) break;
      items.push(item);
      chars += item.length;
    }
    const head: Pick<Extract<WorkMessage, { type: "keys" }>, "type" | "workflow" | "version"> = {
      type: "keys",
      workflow: spec.name,
      version: spec.version,
    };
    try {
      const answer = await ask(worker, `${JSON.stringify(head).slice(0, -1)},"items":[${items.join(",")}]}`);
      partition.enqueue({
        type: "keyed",
        answer,
        done: () => this.#next(id, partition, workflow),
      });
    } catch (error) {
      logger.warn(
        { err: error, worker, workflow: spec.name, runs: runs.length },
        "a worker did not answer with keys; asking again",
      );
      const { setTimer = systemClock.setTimer } = this.#options;
      setTimer(() => this.#next(id, partition, workflow), RETRY_MS);
    }
  }

  #next(id: string, partition: Partition, workflow: CompiledWorkflow): void {
    // Else it has left this node meanwhile.
    if (this.#busy.get(id) !== partition) return;
    this.#busy.delete(id);
    this.want(partition, workflow);
  }
}
