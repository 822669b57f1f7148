/**
 * One run, for whoever started it or knows its id: waiting for its outputs, cancelling it, following it.
 */
import { NotConnectedError, RunCancelledError, RunFailedError, TimeoutError } from "../errors.ts";
import type { RunChangeMessage, RunStatus, RunView } from "../protocol/view.ts";
import { parseDuration, type Duration } from "../workflow/duration.ts";
import { watchRun, type RunEnd, type WatchTransport } from "./run-watch.ts";

export interface ResultOptions {
  /** How long to wait. Default: for ever. */
  readonly timeout?: Duration | undefined;
  /** Aborted: stops waiting and rejects with its reason. The run goes on. */
  readonly signal?: AbortSignal | undefined;
}

/** What a handle needs of its client. */
export interface RunTransport extends WatchTransport {
  cancel(run: string): Promise<RunView>;
  /** Calls back when the client is closed. */
  onClose(listener: () => void): () => void;
}

export class RunHandle<TOutputs = Readonly<Record<string, unknown>>> implements AsyncIterable<RunChangeMessage> {
  readonly id: string;
  readonly #transport: RunTransport;
  readonly #workflow: string | undefined;
  #end: Promise<RunEnd> | undefined;
  #watching: { readonly stop: () => void; waiters: number } | undefined;

  /** Made by the client. `workflow` spares the server a wildcard. */
  constructor(transport: RunTransport, id: string, workflow: string | undefined) {
    this.#transport = transport;
    this.id = id;
    this.#workflow = workflow;
  }

  /**
   * Waits for the run's end, through reconnects and engine restarts, and gives its outputs by step.
   * @throws RunFailedError, RunCancelledError: how it ended
   * @throws RunNotFoundError; TimeoutError, after `timeout`; NotConnectedError, when the client is closed meanwhile
   */
  async result(options: ResultOptions = {}): Promise<TOutputs> {
    const end = await this.#await(options);
    if (end.status === "FAILED") {
      const step = (end.error as { readonly step?: unknown } | undefined)?.step;
      throw new RunFailedError({
        runId: this.id,
        workflow: end.workflow,
        reason: end.reason ?? "STEP_FAILED",
        step: typeof step === "string" ? step : undefined,
        error: end.error as ConstructorParameters<typeof RunFailedError>[0]["error"],
      });
    }
    if (end.status === "CANCELLED")
      throw new RunCancelledError({ runId: this.id, workflow: end.workflow, reason: end.reason ?? "CANCELLED_BY_USER" });
    return (end.outputs ?? {}) as TOutputs;
  }

  /** Cancels it; one that has ended stays as it is. Resolves once that is recorded, which may be before its steps have stopped. */
  cancel(): Promise<RunView> {
    return this.#transport.cancel(this.id);
  }

  /** Its status now. */
  async status(): Promise<RunStatus> {
    return (await this.get()).status;
  }

  /** All of it now: input, steps, keys, times. */
  get(): Promise<RunView> {
    return this.#transport.get(this.id);
  }

  /**
   * Its changes: first the run as it is now, then each change, the last one being its end. Over a lost connection some in between
   * may be missing, the end never.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<RunChangeMessage, void, undefined> {
    const queue: RunChangeMessage[] = [];
    let over = false;
    let error: unknown;
    let wake: (() => void) | undefined;
    const finish = (reason?: unknown): void => {
      over = true;
      error = reason;
      wake?.();
    };
    const stop = watchRun(
      this.#transport,
      { id: this.id, workflow: this.#workflow },
      {
        change: (change) => {
          queue.push(change);
          wake?.();
        },
        ended: () => finish(),
        failed: finish,
      },
    );
    const forget = this.#transport.onClose(() => finish(closedWhileWaiting(this.id)));
    try {
      for (;;) {
        const next = queue.shift();
        if (next !== undefined) yield next;
        else if (error !== undefined) throw error;
        else if (over) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      stop();
      forget();
    }
  }

  /** One watch for all who wait; it ends with the last of them. */
  #await({ timeout, signal }: ResultOptions): Promise<RunEnd> {
    const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout, "timeout");
    signal?.throwIfAborted();
    this.#end ??= this.#watch();
    const watching = this.#watching;
    if (watching !== undefined) watching.waiters++;
    if (timeoutMs === undefined && signal === undefined) return this.#end;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", aborted);
      };
      const giveUp = (error: unknown): void => {
        settle();
        if (watching !== undefined && --watching.waiters === 0 && this.#watching === watching) {
          watching.stop();
          this.#watching = undefined;
          this.#end = undefined;
        }
        reject(error as Error);
      };
      const aborted = (): void => giveUp(signal?.reason);
      const timer =
        timeoutMs === undefined
          ? undefined
          : setTimeout(() => giveUp(new TimeoutError(`waiting for run ${this.id}`, timeoutMs)), timeoutMs);
      signal?.addEventListener("abort", aborted);
      (this.#end as Promise<RunEnd>).then(resolve, reject).finally(settle);
    });
  }

  #watch(): Promise<RunEnd> {
    return new Promise((resolve, reject) => {
      const stop = watchRun(
        this.#transport,
        { id: this.id, workflow: this.#workflow },
        {
          ended: (end) => {
            this.#watching = undefined;
            forget();
            resolve(end);
          },
          failed: (error) => {
            this.#watching = undefined;
            // Another time it may be there.
            this.#end = undefined;
            forget();
            reject(error as Error);
          },
        },
      );
      const forget = this.#transport.onClose(() => {
        stop();
        this.#watching = undefined;
        this.#end = undefined;
        reject(closedWhileWaiting(this.id));
      });
      this.#watching = {
        stop: () => {
          stop();
          forget();
        },
        waiters: 0,
      };
    });
  }
}

function closedWhileWaiting(run: string): NotConnectedError {
  return new NotConnectedError(`the client was closed while it waited for run ${run}`);
}
