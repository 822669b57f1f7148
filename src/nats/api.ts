/**
 * Asking an engine: one request of the API, with the waiting and retrying that its callers would otherwise all do. The other
 * end is service.ts.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  EngineUnavailableError,
  isNotConnectedError,
  isTimeoutError,
  NotConnectedError,
  RequestError,
  TimeoutError,
} from "../errors.ts";
import type { Operation, Operations } from "../protocol/view.ts";
import type { Connection } from "./connection.ts";
import { isNoResponderError } from "./no-responder.ts";
import { readErrorReply } from "./error-reply.ts";
import type { Names } from "./subjects.ts";

export interface CallOptions {
  /** How long to wait in all, for an engine and for its answer, in ms. */
  readonly timeoutMs: number;
  /** Called each time that no engine was there and it waits for one. */
  readonly onWaiting?: (() => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Asked again where the answer was lost, these would be done twice. */
const NOT_REPEATABLE: ReadonlySet<Operation> = new Set<Operation>(["run.create", "run.replay"]);
/** An engine that has the request but dies never answers; whatever can be asked again is, after this. */
const ATTEMPT_TIMEOUT_MS = 3_000;
const FIRST_WAIT_MS = 50;
const MAX_WAIT_MS = 500;

/**
 * Sends a request and gives the reply. While NATS is away, no engine answers, or the engine says that it cannot now (503), it
 * waits and asks again.
 * @throws EngineUnavailableError when no engine has answered in time
 * @throws NotConnectedError when NATS was away for all of that time, or was lost after a request that must not be sent twice
 * @throws TimeoutError when an engine has the request but its answer did not come
 * @throws RunNotFoundError, WorkflowNotFoundError, InputInvalidError, RequestError: what the engine answered
 */
export async function callApi<K extends Operation>(
  connection: Connection,
  names: Names,
  operation: K,
  request: Operations[K]["request"],
  options: CallOptions,
): Promise<Operations[K]["reply"]> {
  const subject = names.api(operation);
  const data = JSON.stringify(request);
  const deadline = performance.now() + options.timeoutMs;
  let waitMs = FIRST_WAIT_MS;
  for (;;) {
    options.signal?.throwIfAborted();
    const leftMs = deadline - performance.now();
    let problem: unknown;
    if (!connection.isConnected) {
      if (connection.isClosed) throw new NotConnectedError(`${operation}: the connection is closed`);
      problem = new NotConnectedError(`${operation}: not connected to NATS at ${connection.servers.join(", ")}`);
    } else {
      const repeatable = !NOT_REPEATABLE.has(operation);
      try {
        const timeoutMs = Math.max(1, Math.ceil(repeatable ? Math.min(leftMs, ATTEMPT_TIMEOUT_MS) : leftMs));
        const message = await connection.request(subject, data, { timeoutMs });
        if (message.headers?.has("Nats-Service-Error-Code") !== true) return message.json<Operations[K]["reply"]>();
        const error = readErrorReply(
          operation,
          request,
          message.headers.get("Nats-Service-Error"),
          message.headers.get("Nats-Service-Error-Code"),
          message.string(),
        );
        if (!(error instanceof RequestError && error.status === 503)) throw error;
        problem = error;
      } catch (error) {
        const wait =
          isNoResponderError(error) ||
          (repeatable && (isTimeoutError(error) || (isNotConnectedError(error) && !connection.isClosed)));
        if (!wait) throw explain(operation, error, options.timeoutMs);
        problem = error;
      }
    }
    if (performance.now() + waitMs >= deadline) throw explain(operation, problem, options.timeoutMs, connection);
    options.onWaiting?.();
    await delay(waitMs, undefined, { ...(options.signal === undefined ? {} : { signal: options.signal }) });
    waitMs = Math.min(waitMs * 2, MAX_WAIT_MS);
  }
}

function explain(operation: Operation, error: unknown, timeoutMs: number, connection?: Connection): unknown {
  if (isNoResponderError(error)) {
    const where = connection === undefined ? "" : ` at ${connection.servers.join(", ")}`;
    return new EngineUnavailableError(
      `${operation}: no engine answers on NATS${where}; waited ${timeoutMs} ms. Start one with "sluice engine" or "sluice dev"`,
      {
        cause: error,
      },
    );
  }
  if (isTimeoutError(error)) return new TimeoutError(operation, timeoutMs, { cause: error });
  if (error instanceof RequestError && error.status === 503) {
    return new EngineUnavailableError(`${operation}: the engine could not serve it for ${timeoutMs} ms: ${error.message}`, {
      cause: error,
    });
  }
  return error;
}
