/**
 * A worker of the test kit: the worker node's own execution of steps and keys, in this process and in virtual time, without a
 * connection. What it is given and what it answers go through plain calls.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Logger } from "pino";
import type { Clock } from "../clock.ts";
import type { WorkerStatus, WorkMessage, KeyAnswer, StepResult } from "../protocol/work.ts";
import { version as sluiceVersion } from "../version.ts";
import { Executor } from "../worker/executor.ts";
import { HandlerRegistry } from "../worker/handler-registry.ts";
import { InputLoader } from "../worker/input-loader.ts";
import { KeyEvaluator } from "../worker/key-evaluator.ts";
import { ResultWriter } from "../worker/result-json.ts";
import type { AnyWorkflow } from "../workflow/workflow.ts";
import { EVENTS_STREAM } from "./memory-store.ts";

/** In bytes, as a NATS server has it by default. */
export const MAX_PAYLOAD = 1_048_576;
export const HEARTBEAT_MS = 1_000;

export interface TestWorkerOptions {
  readonly id: string;
  readonly slots: number;
  readonly workflows: readonly AnyWorkflow[];
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly read: (stream: string, seq: number) => string | undefined;
  readonly deliver: (partition: number, result: StepResult) => void;
  /** Something has happened: it began or ended a step. */
  readonly onActivity: () => void;
  readonly logger: Logger;
}

type Assign = Extract<WorkMessage, { readonly type: "assign" }>["assignments"];
type Stop = Extract<WorkMessage, { readonly type: "stop" }>["attempts"][number];
type Keys = Extract<WorkMessage, { readonly type: "keys" }>;

/** The worker whose handler runs. */
const running = new AsyncLocalStorage<TestWorker>();

/** Asked within a handler: tells from then on whether it may go on, which it may not once its worker was killed. */
export function handlerLife(): () => boolean {
  const worker = running.getStore();
  return () => worker?.mode !== "dead";
}

export class TestWorker {
  readonly id: string;
  readonly workflows: readonly AnyWorkflow[];
  /** `running` takes steps, `draining` finishes those that it has, `stopped` has said goodbye, `dead` has not. */
  mode: "running" | "draining" | "stopped" | "dead" = "running";
  readonly #options: TestWorkerOptions;
  readonly #executor: Executor;
  readonly #keys: KeyEvaluator;
  readonly #startedAt: string;

  constructor(options: TestWorkerOptions) {
    this.id = options.id;
    this.workflows = options.workflows;
    this.#options = options;
    const { clock, logger, read, slots } = options;
    this.#startedAt = new Date(clock.now()).toISOString();
    const registry = new HandlerRegistry(options.workflows);
    const inputs = new InputLoader({ eventsStream: EVENTS_STREAM }, (stream, seq) => {
      const text = read(stream, seq);
      return Promise.resolve(text === undefined ? undefined : { data: Buffer.from(text) });
    });
    this.#keys = new KeyEvaluator(registry, inputs);
    this.#executor = new Executor({
      slots,
      registry,
      inputs,
      results: new ResultWriter(options.id, () => MAX_PAYLOAD, clock.now),
      deliver: (partition, result) => {
        options.onActivity();
        if (this.mode !== "dead") options.deliver(partition, JSON.parse(result.json) as StepResult);
      },
      logger,
      clock,
    });
  }

  get used(): number {
    return this.#executor.table.used;
  }

  /** Which of these it does not take, and why. The others start in the next microtask. */
  assign(assignments: Assign): ReturnType<Executor["take"]>["answer"]["refused"] {
    const { answer, start } = this.#executor.take(assignments);
    queueMicrotask(() => {
      this.#options.onActivity();
      running.run(this, start);
    });
    return answer.refused;
  }

  stop(attempt: Stop): void {
    this.#executor.stop(attempt);
  }

  /** Rejects where it gives no answer. */
  async keys(request: Keys): Promise<KeyAnswer> {
    const answer = await this.#keys.evaluate(request, MAX_PAYLOAD);
    this.#options.onActivity();
    if (answer === undefined || this.mode === "dead") throw new Error(`worker ${this.id} does not answer`);
    return JSON.parse(answer) as KeyAnswer;
  }

  /** Takes nothing new; resolves when what it has is finished. */
  async drain(): Promise<void> {
    this.mode = "draining";
    this.#executor.accepting = false;
    await this.#executor.idle();
  }

  status({ withAttempts = false } = {}): WorkerStatus {
    const { slots, deadlineMs } = this.#options;
    return {
      id: this.id,
      name: this.id,
      mode: this.mode === "dead" ? "stopped" : this.mode,
      slots,
      used: this.used,
      heartbeatMs: HEARTBEAT_MS,
      deadlineMs,
      startedAt: this.#startedAt,
      host: "test",
      pid: 0,
      sluiceVersion,
      workflows: this.workflows.map(({ spec }) => ({
        name: spec.name,
        version: spec.version,
        steps: spec.steps.map(({ name }) => name),
      })),
      ...(withAttempts && { attempts: this.#executor.table.list() }),
    };
  }
}
