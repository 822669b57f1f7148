/**
 * Results as JSON texts, made when a handler ends: what it returned is fixed then, checked for size once, and never
 * serialized again.
 */
import { toErrorData } from "../errors.ts";
import { formatDuration } from "../workflow/duration.ts";
import type { Assignment, ErrorData } from "../protocol/work.ts";
import type { Attempt } from "./attempt.ts";

/** What a result's text must leave free in a message: the engine stores it beside other things. */
export function maxResultBytes(maxPayload: number): number {
  return maxPayload - Math.min(16_384, Math.floor(maxPayload / 4));
}

/** Turns attempts into the texts of `StepResult`s. Never throws. */
export class ResultWriter {
  readonly #worker: string;
  /** Of the server, in bytes; may change when it reconnects. */
  readonly #maxPayload: () => number;

  readonly #now: () => number;

  constructor(worker: string, maxPayload: () => number, now: () => number = Date.now) {
    this.#worker = JSON.stringify(worker);
    this.#maxPayload = maxPayload;
    this.#now = now;
  }

  succeeded(attempt: Attempt, output: unknown): string {
    let json: string | undefined;
    try {
      json = output === undefined ? "null" : JSON.stringify(output);
    } catch (error) {
      return this.failedWith(attempt, outputInvalid(attempt.assignment, error instanceof Error ? error.message : String(error)));
    }
    if (json === undefined)
      return this.failedWith(attempt, outputInvalid(attempt.assignment, `a ${typeof output} has no JSON form`));
    const text = `${this.#head(attempt)},"outcome":"succeeded","output":${json}}`;
    const maxBytes = maxResultBytes(this.#maxPayload());
    // A character has at most three bytes, so that short texts need no counting.
    if (text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes) return this.tooLarge(attempt, Buffer.byteLength(json));
    return text;
  }

  tooLarge(attempt: Attempt, sizeBytes: number): string {
    const maxBytes = maxResultBytes(this.#maxPayload());
    return this.failedWith(attempt, {
      name: "PayloadTooLargeError",
      code: "OUTPUT_TOO_LARGE",
      message: `the output of step "${attempt.assignment.step}" has ${sizeBytes} bytes as JSON, more than the ${maxBytes} that the NATS server (max_payload ${this.#maxPayload()}) leaves for it; store it elsewhere and return a reference`,
      retryable: false,
    });
  }

  failed(attempt: Attempt, thrown: unknown): string {
    return this.failedWith(attempt, toErrorData(thrown));
  }

  failedWith(attempt: Attempt, error: ErrorData): string {
    const text = `${this.#head(attempt)},"outcome":"failed","error":${JSON.stringify(error)}}`;
    if (Buffer.byteLength(text) <= maxResultBytes(this.#maxPayload())) return text;
    const { name, code, message, retryable } = error;
    const short = {
      name,
      message: message.slice(0, 256),
      ...(code === undefined ? {} : { code }),
      ...(retryable === undefined ? {} : { retryable }),
    };
    return `${this.#head(attempt)},"outcome":"failed","error":${JSON.stringify(short)}}`;
  }

  stopped(attempt: Attempt): string {
    return `${this.#head(attempt)},"outcome":"stopped"}`;
  }

  returned(attempt: Attempt, reason: string): string {
    return `${this.#head(attempt)},"outcome":"returned","reason":${JSON.stringify(reason)}}`;
  }

  /** For an attempt that this worker does not know. */
  unknown(attemptId: string, run: string, step: string): string {
    return `{"attemptId":${JSON.stringify(attemptId)},"run":${JSON.stringify(run)},"step":${JSON.stringify(step)},"worker":${this.#worker},"outcome":"stopped"}`;
  }

  #head(attempt: Attempt): string {
    const { attemptId, run, step } = attempt.assignment;
    const times = attempt.startedAt === 0 ? "" : `,"startedAt":${attempt.startedAt},"finishedAt":${this.#now()}`;
    return `{"attemptId":${JSON.stringify(attemptId)},"run":${JSON.stringify(run)},"step":${JSON.stringify(step)},"worker":${this.#worker}${times}`;
  }
}

function outputInvalid({ step }: Assignment, problem: string): ErrorData {
  const why = problem.split("\n", 1)[0];
  return {
    name: "OutputInvalidError",
    code: "OUTPUT_INVALID",
    message: `the output of step "${step}" cannot be written as JSON: ${why}`,
    retryable: false,
  };
}

/** For logs. */
export function sinceStart(attempt: Attempt): string {
  return attempt.startedAt === 0 ? "0ms" : formatDuration(Math.max(0, Date.now() - attempt.startedAt));
}
