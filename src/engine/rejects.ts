/** Puts aside what cannot be used, with the reason, in the stream of rejected messages: it never disappears, and blocks nothing. */
import type { Logger } from "pino";
import type { Connection } from "../nats/connection.ts";
import { publishOnce } from "../nats/publish-once.ts";
import type { Names } from "../nats/subjects.ts";
import type { Counters } from "./counters.ts";

export interface Rejected {
  readonly data: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Rejects {
  readonly #connection: Pick<Connection, "publishAcked" | "isClosed">;
  readonly #names: Pick<Names, "rejected">;
  readonly #counters: Counters;
  readonly #logger: Logger;

  constructor(
    connection: Pick<Connection, "publishAcked" | "isClosed">,
    names: Pick<Names, "rejected">,
    counters: Counters,
    logger: Logger,
  ) {
    this.#connection = connection;
    this.#names = names;
    this.#counters = counters;
    this.#logger = logger;
  }

  /** `what`: as in `names.rejected`. Through the loss of servers, once. Never rejects. */
  async put(what: string, message: Rejected, reason: string): Promise<void> {
    this.#counters.rejected++;
    this.#logger.warn({ what, reason }, "something that cannot be used was put aside in sluice.rejected");
    const { "Nats-Msg-Id": id, ...headers } = message.headers ?? {};
    const safe = reason.replace(/[\r\n]+/g, " ").slice(0, 1_000);
    try {
      await publishOnce(this.#connection, this.#names.rejected(what), message.data, {
        headers: { ...headers, ...(id !== undefined && { "Sluice-Msg-Id": id }), "Sluice-Reason": encodeHeader(safe) },
      });
    } catch (error) {
      this.#logger.error({ err: error, what, reason }, "something that cannot be used could not be put aside either");
    }
  }
}

/** Header values are ASCII by custom; others would be garbled by some clients. */
function encodeHeader(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
