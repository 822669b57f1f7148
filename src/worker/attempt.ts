/**
 * One execution of a step on this worker, and the reasons for which its signal is aborted.
 */
import { RunCancelledError, TimeoutError } from "../errors.ts";
import type { Assignment } from "../protocol/work.ts";

/**
 * Why an attempt was told to stop, and so what its result is: `stop` (the engine said so) ends as `stopped`, `return` (the worker
 * stops, or was cut off) as `returned`.
 */
export interface Abort {
  readonly kind: "stop" | "return";
  readonly reason: string;
}

export class Attempt {
  readonly assignment: Assignment;
  startedAt = 0;
  abort: Abort | undefined = undefined;
  /** Takes the timer back that is set while an aborted handler has time left to end. */
  endGrace: (() => void) | undefined = undefined;
  readonly #now: () => number;
  #controller: AbortController | undefined = undefined;

  constructor(assignment: Assignment, now: () => number = Date.now) {
    this.assignment = assignment;
    this.#now = now;
  }

  /** Made when first asked for: most handlers never do. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.abort !== undefined) this.#controller.abort(this.#reason(this.abort));
    }
    return this.#controller.signal;
  }

  /** Aborts the signal. A second time it changes only what the result will be: being stopped wins over being handed back. */
  stop(abort: Abort): void {
    if (this.abort === undefined) {
      this.abort = abort;
      this.#controller?.abort(this.#reason(abort));
    } else if (abort.kind === "stop" && this.abort.kind === "return") this.abort = abort;
  }

  #reason({ kind, reason }: Abort): Error {
    const { run, workflow, step } = this.assignment;
    if (kind === "return") {
      const why = reason === "shutdown" ? "the worker is being stopped" : "the worker was cut off from NATS";
      return new DOMException(`step "${step}" of run ${run} is handed back: ${why}`, "AbortError");
    }
    if (isTimeout(reason))
      return new TimeoutError(`step "${step}" of run ${run}`, Math.max(0, Math.round(this.#now() - this.startedAt)));
    return new RunCancelledError({ runId: run, workflow, reason });
  }
}

function isTimeout(reason: string): boolean {
  return /^(STEP_)?TIMED_OUT$|^(step[._ ])?timeout$/i.test(reason);
}
