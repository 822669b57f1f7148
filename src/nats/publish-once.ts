/**
 * Storing one message exactly once, through the loss of servers: where a stream has no leader for a while, or an acknowledgement was
 * lost, the message is sent again with the same id, which the server knows again.
 */
import { isNotConnectedError, isTimeoutError, RequestError } from "../errors.ts";
import type { PublishAck } from "./ack-publisher.ts";
import type { Connection, PublishOptions } from "./connection.ts";
import { nuid } from "./ids.ts";
import { isNoResponderError } from "./no-responder.ts";

const FIRST_WAIT_MS = 50;
const MAX_WAIT_MS = 500;
/** A leader that is gone never answers. */
const ATTEMPT_MS = 3_000;

export interface PublishOnceOptions extends Pick<PublishOptions, "headers"> {
  /** The server keeps one message of an id, whoever sends it again: for as long as the stream's window says. Default: one of its own. */
  readonly id?: string | undefined;
  /** Default 10,000. */
  readonly timeoutMs?: number;
}

/**
 * @throws RequestError: with status 503 when no server took it in time, and it is certain that none will; with 504 (`OUTCOME_UNKNOWN`) when
 * one may have. What else `Connection.publishAcked` rejects with.
 */
export async function publishOnce(
  connection: Pick<Connection, "publishAcked" | "isClosed">,
  subject: string,
  data: Uint8Array | string,
  { headers: given, id = nuid(), timeoutMs = 10_000 }: PublishOnceOptions = {},
): Promise<PublishAck> {
  const headers = { ...given, "Nats-Msg-Id": id };
  const deadline = performance.now() + timeoutMs;
  let unknown = false;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, MAX_WAIT_MS)) {
    try {
      return await connection.publishAcked(subject, data, { headers, timeoutMs: ATTEMPT_MS });
    } catch (error) {
      const lost = isTimeoutError(error) || isNotConnectedError(error);
      if (!lost && !isNoResponderError(error)) throw error;
      unknown ||= lost;
      if (connection.isClosed || performance.now() + waitMs >= deadline) {
        const operation = `publishing on ${subject}`;
        throw unknown
          ? new RequestError(
              `${operation}: it is not known whether it was stored`,
              { operation, status: 504, reason: "OUTCOME_UNKNOWN" },
              { cause: error },
            )
          : new RequestError(
              `${operation}: no stream takes it now`,
              { operation, status: 503, reason: "NO_STREAM" },
              { cause: error },
            );
      }
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
