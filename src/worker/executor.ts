/**
 * Executes attempts: takes assignments into slots, calls handlers, turns their ends into results, aborts them when told to.
 * Whatever a handler does, the executor goes on.
 */
import type { Logger } from "pino";
import { type Clock, systemClock } from "../clock.ts";
import type { Assignment, WorkAnswer, WorkMessage } from "../protocol/work.ts";
import type { StepHandler } from "../workflow/workflow.ts";
import { Attempt, type Abort } from "./attempt.ts";
import { AttemptTable } from "./attempt-table.ts";
import { HandlerContext } from "./handler-context.ts";
import { EpochTable } from "./epoch-table.ts";
import type { HandlerRegistry, ServedWorkflow } from "./handler-registry.ts";
import type { InputLoader, LoadedInput } from "./input-loader.ts";
import type { Result } from "./result-outbox.ts";
import { sinceStart, type ResultWriter } from "./result-json.ts";

export interface ExecutorOptions {
  readonly slots: number;
  readonly registry: HandlerRegistry;
  readonly inputs: InputLoader;
  readonly results: ResultWriter;
  readonly deliver: (partition: number, result: Result) => void;
  readonly logger: Logger;
  /** Default: the system's. */
  readonly clock?: Clock;
}

interface Start {
  readonly attempt: Attempt;
  readonly workflow: ServedWorkflow;
  readonly handler: StepHandler;
}

type StopRequest = Extract<WorkMessage, { readonly type: "stop" }>["attempts"][number];

export class Executor {
  readonly table: AttemptTable;
  readonly epochs = new EpochTable();
  readonly #options: ExecutorOptions;
  readonly #clock: Clock;
  /** False: every assignment is refused as `draining`. */
  accepting = true;
  #whenIdle: (() => void)[] = [];

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.table = new AttemptTable(options.slots);
  }

  /**
   * Decides at once which assignments it takes. The handlers start with `start()`, in the order of the assignments; so that an
   * answer can leave before handlers that compute for long.
   */
  take(assignments: readonly Assignment[]): { readonly answer: WorkAnswer; readonly start: () => void } {
    const taken: string[] = [];
    const refused: WorkAnswer["refused"][number][] = [];
    const starts: Start[] = [];
    const { table } = this;
    for (const assignment of assignments) {
      const { attemptId, partition, epoch } = assignment;
      if (!this.epochs.accepts(partition, epoch)) {
        refused.push({ attemptId, reason: "epoch" });
        continue;
      }
      if (table.knows(attemptId)) {
        taken.push(attemptId);
        continue;
      }
      const workflow = this.#options.registry.workflow(assignment.workflow);
      const handler = workflow?.internals.handlers.get(assignment.step);
      if (!this.accepting) refused.push({ attemptId, reason: "draining" });
      else if (workflow === undefined || handler === undefined) refused.push({ attemptId, reason: "handler" });
      else if (table.free <= 0) refused.push({ attemptId, reason: "slots" });
      else {
        const attempt = new Attempt(assignment, this.#clock.now);
        table.add(attempt);
        taken.push(attemptId);
        starts.push({ attempt, workflow, handler });
      }
    }
    return { answer: { taken, refused, free: this.accepting ? table.free : 0 }, start: () => this.#startAll(starts) };
  }

  /** Aborts an attempt as the engine asked; unknown ones are confirmed as stopped. What an earlier owner asks is left alone. */
  stop(request: StopRequest): void {
    const { table } = this;
    if (!this.epochs.accepts(request.partition, request.epoch)) return;
    const attempt = table.get(request.attemptId);
    if (attempt === undefined) {
      // The result of one that has ended is on its way, or was there before the request.
      if (table.hasEnded(request.attemptId)) return;
      const json = this.#options.results.unknown(request.attemptId, request.run, request.step);
      this.#options.deliver(request.partition, { attemptId: request.attemptId, json, ifTooLarge: () => json });
      return;
    }
    this.#abort(attempt, { kind: "stop", reason: request.reason }, request.graceMs);
  }

  /** Aborts everything, to be handed back. */
  returnAll(reason: string, graceMs: number): void {
    for (const attempt of [...this.table.running()]) this.#abort(attempt, { kind: "return", reason }, graceMs);
  }

  /** Resolves once nothing runs. */
  idle(): Promise<void> {
    if (this.table.used === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  #abort(attempt: Attempt, abort: Abort, graceMs: number): void {
    try {
      attempt.stop(abort);
    } catch (error) {
      this.#options.logger.error({ err: error, ...idsOf(attempt) }, "a listener of a step's abort signal threw");
    }
    attempt.endGrace ??= this.#clock.setTimer(() => this.#giveUp(attempt, graceMs), graceMs);
  }

  /** The handler ignores its signal: its slot is given away, and what it returns one day is dropped. */
  #giveUp(attempt: Attempt, graceMs: number): void {
    const { abort } = attempt;
    if (abort === undefined || !this.table.remove(attempt, abort.kind === "return")) return;
    this.#options.logger.warn(
      { ...idsOf(attempt), reason: abort.reason, graceMs },
      `a handler still runs ${graceMs} ms after its signal was aborted: its slot is given away, and what it returns will be dropped`,
    );
    if (abort.kind === "return") this.#deliver(attempt, this.#options.results.returned(attempt, abort.reason));
    this.#wakeIfIdle();
  }

  #startAll(starts: readonly Start[]): void {
    for (let i = 0; i < starts.length; i++) {
      const start = starts[i] as Start;
      const input = this.#load(start);
      if (input instanceof Promise) {
        // Fetch the others meanwhile, and start all that follow in their order.
        const loads = starts.slice(i + 1).map((later) => this.#load(later));
        void this.#startInOrder(starts.slice(i), [input, ...loads]);
        return;
      }
      this.#run(start, input);
    }
  }

  async #startInOrder(starts: readonly Start[], inputs: readonly (LoadedInput | Promise<LoadedInput>)[]): Promise<void> {
    for (let i = 0; i < starts.length; i++)
      this.#run(starts[i] as Start, await (inputs[i] as LoadedInput | Promise<LoadedInput>));
  }

  #load({ workflow, attempt }: Start): LoadedInput | Promise<LoadedInput> {
    try {
      return this.#options.inputs.load(workflow, attempt.assignment);
    } catch (error) {
      // A schema that throws, against its contract.
      return {
        ok: false,
        error: {
          name: "Error",
          code: "INPUT_INVALID",
          message: `the input could not be checked: ${String(error)}`,
          retryable: false,
        },
      };
    }
  }

  #run({ attempt, handler }: Start, input: LoadedInput): void {
    const { results, logger } = this.#options;
    // Told to stop before it began.
    if (attempt.abort !== undefined) return this.#ended(attempt);
    if (!input.ok) {
      return this.#end(
        attempt,
        "error" in input ? results.failedWith(attempt, input.error) : results.returned(attempt, input.unavailable),
      );
    }
    attempt.startedAt = this.#clock.now();
    let returned: unknown;
    try {
      returned = handler(new HandlerContext(attempt, input.value, logger));
    } catch (error) {
      return this.#failed(attempt, error);
    }
    if (isThenable(returned)) {
      // `Promise.resolve` also tames thenables that call back twice or throw.
      Promise.resolve(returned).then(
        (output) => this.#succeeded(attempt, output),
        (error: unknown) => this.#failed(attempt, error),
      );
    } else this.#succeeded(attempt, returned);
  }

  #succeeded(attempt: Attempt, output: unknown): void {
    if (attempt.abort !== undefined) return this.#ended(attempt);
    this.#end(attempt, this.#options.results.succeeded(attempt, output));
  }

  #failed(attempt: Attempt, thrown: unknown): void {
    if (attempt.abort !== undefined) return this.#ended(attempt);
    this.#end(attempt, this.#options.results.failed(attempt, thrown));
  }

  /** After its signal was aborted, however it ended. */
  #ended(attempt: Attempt): void {
    const { results, logger } = this.#options;
    attempt.endGrace?.();
    if (this.table.get(attempt.assignment.attemptId) !== attempt) {
      logger.info(
        { ...idsOf(attempt), after: sinceStart(attempt) },
        "a handler that had been given up has ended; what it returned is dropped",
      );
      return;
    }
    const { abort } = attempt;
    this.#end(attempt, abort?.kind === "return" ? results.returned(attempt, abort.reason) : results.stopped(attempt));
  }

  #end(attempt: Attempt, json: string): void {
    if (!this.table.remove(attempt, true)) return;
    this.#deliver(attempt, json);
    this.#wakeIfIdle();
  }

  #deliver(attempt: Attempt, json: string): void {
    const { deliver, results } = this.#options;
    deliver(attempt.assignment.partition, {
      attemptId: attempt.assignment.attemptId,
      json,
      ifTooLarge: () => results.tooLarge(attempt, Buffer.byteLength(json)),
    });
  }

  #wakeIfIdle(): void {
    if (this.table.used > 0 || this.#whenIdle.length === 0) return;
    const callbacks = this.#whenIdle;
    this.#whenIdle = [];
    for (const callback of callbacks) callback();
  }
}

function idsOf(attempt: Attempt): { runId: string; workflow: string; step: string; attempt: number; attemptId: string } {
  const { run, workflow, step, attempt: number, attemptId } = attempt.assignment;
  return { runId: run, workflow, step, attempt: number, attemptId };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
