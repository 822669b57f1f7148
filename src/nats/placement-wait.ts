/**
 * Waiting for JetStream to take a stream: a cluster may have no leader yet, too few servers for the copies that are wanted, or no
 * room. All of that passes, so it is tried again, with a line in the log that says what is missing. What no waiting mends is thrown.
 */
import type { Logger } from "pino";
import { NatsUnavailableError } from "../errors.ts";
import type { Connection } from "./connection.ts";
import { permissionDenied } from "./permission.ts";

export interface WaitOptions {
  readonly connection: Connection;
  readonly replicas: number;
  readonly logger: Logger;
  readonly signal?: AbortSignal | undefined;
}

/** What it says in the log, by the server's `err_code`. */
const PASSING: Readonly<Record<number, string>> = {
  10004: "the NATS cluster is incomplete",
  10005: "the NATS cluster has not enough servers with JetStream for the copies that are wanted",
  10008: "JetStream has no leader now",
  10009: "JetStream has no leader now",
  10023: "the NATS servers have not enough room for the streams",
  10028: "the NATS servers have not enough memory for the streams",
  10047: "the NATS servers have not enough room for the streams",
};
/** Of several servers only: this one is alone. */
const NOT_CLUSTERED = 10074;
const FIRST_WAIT_MS = 250;
const MAX_WAIT_MS = 2_000;
const LOG_EVERY_MS = 5_000;

/**
 * Repeats `attempt` until it succeeds.
 * @throws NatsUnavailableError: the server runs alone, and several copies are wanted
 * @throws PermissionDeniedError
 */
export async function untilPlaced<T>(doing: string, attempt: () => Promise<T>, options: WaitOptions): Promise<T> {
  const { connection, replicas, logger, signal } = options;
  let loggedAt = -Infinity;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, MAX_WAIT_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (signal?.aborted === true || connection.isClosed) throw error;
      const code = (error as { code?: unknown }).code;
      const fail = (why: string): NatsUnavailableError =>
        new NatsUnavailableError(`${doing}: ${why}`, connection.servers, { cause: error });
      if (code === NOT_CLUSTERED)
        throw fail(`expected a NATS cluster, since 'replicas' is ${replicas}; the server at ${connection.server} runs alone`);
      const denied = permissionDenied(doing, error);
      if (denied !== undefined) throw denied;
      const now = performance.now();
      if (now - loggedAt >= LOG_EVERY_MS) {
        loggedAt = now;
        const why = PASSING[Number(code)] ?? "JetStream does not answer yet";
        logger.warn({ err: error, replicas, doing }, `${why}; waiting`);
      }
    }
    await pause(waitMs, signal);
  }
}

/** Ends early when the signal is aborted. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}
