/**
 * How the command line fails: an exit code, and one readable line on standard error. Errors from elsewhere are put into such
 * a line here.
 */
import { isSluiceError } from "../errors.ts";

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** Something could not be done; the message is the line to print. */
export class CliError extends Error {
  override readonly name: string = "CliError";
  readonly exitCode: number = EXIT_FAILED;
}

/** The command was typed wrongly. */
export class UsageError extends CliError {
  override readonly name = "UsageError";
  override readonly exitCode = EXIT_USAGE;
}

/** Everything that had to be said is said: ends the command with this code. */
export class SilentExit extends Error {
  override readonly name = "SilentExit";
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** What to print for anything that was thrown. A program's own fault keeps its stack, since a person has to look at it. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof CliError || isSluiceError(error) || isSystemError(error)) return error.message;
  return error.stack ?? error.message;
}

/** Errors with a code are expected ones: the operating system's, and those of the embedded NATS server. */
function isSystemError(error: Error): boolean {
  return (
    typeof (error as { readonly code?: unknown }).code === "string" &&
    !String((error as NodeJS.ErrnoException).code).startsWith("ERR_")
  );
}
