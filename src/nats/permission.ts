/**
 * What the NATS server says when the user of a connection may not do something, as an error of ours. It tells the subject and
 * nothing of who asked, so whoever waits on that subject has to be told.
 */
import { PermissionViolationError } from "@nats-io/nats-core";
import { PermissionDeniedError } from "../errors.ts";

/** The server's refusal in an error, or in what caused it. */
export function violationIn(error: unknown): PermissionViolationError | undefined {
  for (let one = error; one instanceof Error; one = one.cause) if (one instanceof PermissionViolationError) return one;
  return undefined;
}

/** Undefined where the error is something else. `doing` begins its message. */
export function permissionDenied(doing: string, error: unknown): PermissionDeniedError | undefined {
  const violation = violationIn(error);
  if (violation === undefined) return undefined;
  const action = violation.operation === "publish" ? "publish" : "subscribe";
  return new PermissionDeniedError(doing, { action, subject: violation.subject }, { cause: error });
}
