/**
 * How an error is told to whoever asked: its status, its code, its message. The same for the NATS service and for HTTP.
 */
import { isSluiceError, type RequestError } from "../errors.ts";

/** What an error reply has as its body; `code` is the stable code of one of Sluice's errors where it is one. */
export interface ErrorReply {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly status: number;
    readonly reason?: string;
    readonly issues?: readonly unknown[];
  };
}

/** Of the errors of Sluice, the ones that the caller can mend; others count as 500. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  DEFINITION_INVALID: 400,
  INPUT_INVALID: 400,
  OPTIONS_INVALID: 400,
  PAYLOAD_TOO_LARGE: 413,
  PERMISSION_DENIED: 403,
  RUN_NOT_FOUND: 404,
  WORKFLOW_NOT_FOUND: 404,
  ENGINE_UNAVAILABLE: 503,
  NATS_UNAVAILABLE: 503,
  NOT_CONNECTED: 503,
  REQUEST_TIMED_OUT: 503,
  STREAM_FULL: 507,
};

/** `operation`: what was asked for; begins the message of errors that are none of ours. */
export function errorReply(operation: string, error: unknown): ErrorReply {
  if (!isSluiceError(error))
    return {
      error: {
        code: "INTERNAL",
        message: `${operation}: ${error instanceof Error ? error.message : String(error)}`,
        status: 500,
      },
    };
  const fields = error as Partial<Pick<RequestError, "status" | "reason">> & { readonly issues?: readonly unknown[] };
  return {
    error: {
      code: error.code,
      message: error.message,
      status: fields.status ?? STATUS_BY_CODE[error.code] ?? 500,
      ...(typeof fields.reason === "string" ? { reason: fields.reason } : {}),
      ...(Array.isArray(fields.issues) ? { issues: fields.issues } : {}),
    },
  };
}
