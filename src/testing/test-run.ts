/** One run, for a test: like the client's run handle, but waiting for it moves virtual time. */
import { RunCancelledError, RunFailedError } from "../errors.ts";
import type { Explanation, RunEventView, RunStatus, RunView } from "../protocol/view.ts";
import { type Duration, parseDuration } from "../workflow/duration.ts";

/** What a handle needs of its Sluice. */
export interface TestRunHost {
  get(id: string): RunView;
  explain(id: string): Explanation;
  events(id: string): readonly RunEventView[];
  cancel(id: string): Promise<RunView>;
  /** Lets time pass until the run has ended, for that long at most. */
  finish(id: string, timeoutMs: number): Promise<RunView>;
}

/** Far beyond what a run takes, so that a test of one that never ends says so. */
const DEFAULT_TIMEOUT_MS = 86_400_000;

export class TestRun<TOutputs = Readonly<Record<string, unknown>>> {
  readonly id: string;
  readonly #host: TestRunHost;

  /** Made by the kit. */
  constructor(host: TestRunHost, id: string) {
    this.#host = host;
    this.id = id;
  }

  /**
   * Lets virtual time pass until the run has ended, and gives its outputs by step.
   * @param options.timeout virtual time to wait at most; default a day
   * @throws RunFailedError, RunCancelledError: how it ended
   * @throws Error that says why it waits, when it does not end
   */
  async result(options: { readonly timeout?: Duration } = {}): Promise<TOutputs> {
    const timeoutMs = options.timeout === undefined ? DEFAULT_TIMEOUT_MS : parseDuration(options.timeout, "timeout");
    const { workflow, status, reason, error, outputs } = await this.#host.finish(this.id, timeoutMs);
    if (status === "FAILED") {
      const step = (error as { readonly step?: unknown } | undefined)?.step;
      throw new RunFailedError({
        runId: this.id,
        workflow,
        reason: reason ?? "STEP_FAILED",
        step: typeof step === "string" ? step : undefined,
        error: error as ConstructorParameters<typeof RunFailedError>[0]["error"],
      });
    }
    if (status === "CANCELLED") throw new RunCancelledError({ runId: this.id, workflow, reason: reason ?? "CANCELLED_BY_USER" });
    return (outputs ?? {}) as TOutputs;
  }

  status(): RunStatus {
    return this.get().status;
  }

  get(): RunView {
    return this.#host.get(this.id);
  }

  explain(): Explanation {
    return this.#host.explain(this.id);
  }

  events(): readonly RunEventView[] {
    return this.#host.events(this.id);
  }

  cancel(): Promise<RunView> {
    return this.#host.cancel(this.id);
  }
}
