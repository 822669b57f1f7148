/** What a read of the history can fail with, as values that a caller can tell apart by `code`. */

export type HistoryErrorCode =
  /** The file cannot be used now (disk full, folder not writable, in use, stopped); the message says why. It is retried. */
  | "HISTORY_UNAVAILABLE"
  /** The projection has not come to the position that was asked for in time. */
  | "HISTORY_BEHIND"
  /** A filter or cursor of a list is not usable; the message says which. */
  | "QUERY_INVALID";

export class HistoryError extends Error {
  override readonly name = "HistoryError";
  readonly code: HistoryErrorCode;

  constructor(code: HistoryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
