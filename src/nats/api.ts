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
import { createIds } from "../protocol/run-ids.ts";
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

/** An engine that has the request but dies never answers: another is asked after this. */
const ATTEMPT_TIMEOUT_MS = 3_000;
const FIRST_WAIT_MS = 50;
const MAX_WAIT_MS = 500;

const newId = createIds();
/** By these the engine knows a request again that would be done twice. All others come to the same when they are repeated. */
const IDENTIFY: { readonly [K in Operation]?: (request: Operations[K]["request"]) => Operations[K]["request"] } = {
  "run.create": (request) => ({ id: newId(), ...request }),
  "run.replay": (request) => ({ newId: newId(), ...request }),
  "run.replayMany": (request) => ({ newIds: request.ids.map(() => newId()), ...request }),
  "event.publish": (request) => ({ id: newId(), ...request }),
};

/**
 * Sends a request and gives the reply. While NATS is away, no engine answers, or the engine says that it cannot now (503), it
 * waits and asks again. Where the answer is lost, it asks again too, of whichever engine: what was done is not done twice.
 * @throws EngineUnavailableError when no engine has answered in time
 * @throws NotConnectedError when NATS was away at the end of that time
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
  const data = JSON.stringify(IDENTIFY[operation]?.(request) ?? request);
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
      try {
        const timeoutMs = Math.max(1, Math.ceil(Math.min(leftMs, ATTEMPT_TIMEOUT_MS)));
        const message = await connection.request(subject, data, { timeoutMs });
        if (message.headers?.has("Nats-Service-Error-Code") !== true) return message.json<Operations[K]["reply"]>();
        const error = readErrorReply(
          operation,
          request,
          message.headers.get("Nats-Service-Error"),
          message.headers.get("Nats-Service-Error-Code"),
          message.string(),
        );
        // Of the second kind is what the engine had to leave open: whether a server has stored it.
        const again = error instanceof RequestError && (error.status === 503 || error.reason === "OUTCOME_UNKNOWN");
        if (!again) throw error;
        problem = error;
      } catch (error) {
        const lost = isTimeoutError(error) || (isNotConnectedError(error) && !connection.isClosed);
        if (!lost && !isNoResponderError(error)) throw explain(operation, error, options.timeoutMs);
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
