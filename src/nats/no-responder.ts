/**
 * What the NATS server answers when nobody listens on a subject: for a request, no engine or worker is there; for a publish
 * into a stream, no stream takes the subject now (it does not exist, or it has no leader yet).
 */

/** Internal: callers turn it into what it means to them (no engine answers, retry later). */
export class NoResponderError extends Error {
  override readonly name = "NoResponderError";
  readonly code = "NO_RESPONDER";
}

export function isNoResponderError(error: unknown): error is NoResponderError {
  return error instanceof Error && (error as { code?: unknown }).code === "NO_RESPONDER";
}
