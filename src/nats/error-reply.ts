/**
 * How an error is told to whoever asked: its status, its code, its message; and the error that they make of it. The same for the
 * NATS service, between engine nodes, and for HTTP.
 */
import {
  InputInvalidError,
  isSluiceError,
  RequestError,
  RunNotFoundError,
  WorkflowNotFoundError,
  type InputIssue,
} from "../errors.ts";

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

/**
 * The error that an answer tells of. `line` and `status` are its headers; `body` says more where it comes from Sluice. `request` is what
 * was asked, for the name or id that the error is about.
 */
export function readErrorReply(operation: string, request: unknown, line: string, status: string, body: string): Error {
  let reply: ErrorReply["error"] = { code: "", message: line, status: Number(status) || 500 };
  try {
    reply = { ...reply, ...(JSON.parse(body) as ErrorReply).error };
  } catch {
    // An error of some other service implementation: the headers say it.
  }
  const fields = request as { readonly id?: string; readonly name?: string; readonly workflow?: string };
  const cause = new RequestError(reply.message, {
    operation,
    status: reply.status,
    reason: reply.reason ?? (reply.code === "" ? undefined : reply.code),
  });
  switch (reply.code) {
    case "RUN_NOT_FOUND":
      return new RunNotFoundError(fields.id ?? "", { cause });
    case "WORKFLOW_NOT_FOUND":
      return new WorkflowNotFoundError(fields.workflow ?? fields.name ?? "", { cause });
    case "INPUT_INVALID":
      return new InputInvalidError(fields.workflow ?? "", (reply.issues ?? []) as readonly InputIssue[]);
    default:
      return cause;
  }
}
