/** What can go wrong with the embedded nats-server, as values that a caller can tell apart by `code`. */

export type NatsServerErrorCode =
  /** No nats-server could be found or fetched; the message lists what was tried and what to type. */
  | "NATS_SERVER_NOT_FOUND"
  /** The port is taken by another program. */
  | "NATS_PORT_IN_USE"
  /** The data folder cannot be created or written. */
  | "NATS_DATA_NOT_WRITABLE"
  /** Another live process of Sluice runs a server on this data folder. */
  | "NATS_DATA_IN_USE"
  /** The server ended, or was not ready in time; the message ends with the last lines of its log. */
  | "NATS_SERVER_START_FAILED";

export class NatsServerError extends Error {
  override readonly name = "NatsServerError";
  readonly code: NatsServerErrorCode;

  constructor(code: NatsServerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
