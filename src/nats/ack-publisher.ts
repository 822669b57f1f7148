/**
 * Publishing into JetStream with an acknowledgement per message, for many in flight: one subscription takes all
 * acknowledgements and one timer all timeouts. The library's own `publish` sets up a timer, three promises and a set of
 * headers per message.
 */
import { createInbox, type MsgHdrs, type NatsConnection } from "@nats-io/nats-core";
import type { Msg } from "@nats-io/nats-core";
import { NotConnectedError, StreamFullError, TimeoutError } from "../errors.ts";
import { NoResponderError } from "./no-responder.ts";
import { permissionDenied } from "./permission.ts";

/** The server's word that a message is stored. */
export interface PublishAck {
  readonly stream: string;
  readonly seq: number;
  /** A message with the same `Nats-Msg-Id` was stored within the stream's window; `seq` is that one's. */
  readonly duplicate: boolean;
}

export interface AckedPublishOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** How long to wait for the acknowledgement; about a quarter of a second exact. Default 5,000. */
  readonly timeoutMs?: number;
}

/** JetStream refused to store a message. `apiCode` is the server's `err_code`: 10071 for a wrong last sequence (the fence). */
export class JetStreamRefusedError extends Error {
  override readonly name = "JetStreamRefusedError";
  readonly code = "JETSTREAM_REFUSED";
  readonly status: number;
  readonly apiCode: number;

  constructor(doing: string, fields: ApiError) {
    super(`${doing}: JetStream refused: ${fields.description ?? "no reason given"} (${fields.err_code ?? 0})`);
    this.status = fields.code ?? 0;
    this.apiCode = fields.err_code ?? 0;
  }
}

export function isJetStreamRefusedError(error: unknown): error is JetStreamRefusedError {
  return error instanceof Error && (error as { code?: unknown }).code === "JETSTREAM_REFUSED";
}

interface Pending {
  readonly subject: string;
  readonly deadline: number;
  readonly timeoutMs: number;
  readonly resolve: (ack: PublishAck) => void;
  readonly reject: (error: Error) => void;
}

/** How often timeouts are looked for while something is in flight. */
const SWEEP_MS = 250;
const DEFAULT_TIMEOUT_MS = 5_000;

export class AckPublisher {
  readonly #nats: NatsConnection;
  readonly #pending = new Map<string, Pending>();
  #replyPrefix: string | undefined;
  #next = 0;
  #sweeper: NodeJS.Timeout | undefined;
  #stopped: string | undefined;

  constructor(nats: NatsConnection) {
    this.#nats = nats;
  }

  /** Throws what the library throws at once (too large, closed); all else is in the promise. */
  publish(subject: string, data: Uint8Array | string, options?: AckedPublishOptions): Promise<PublishAck> {
    if (this.#stopped !== undefined) throw new NotConnectedError(`publishing on ${subject}: ${this.#stopped}`);
    const prefix = (this.#replyPrefix ??= this.#listen());
    const token = (this.#next++).toString(36);
    const timeoutMs = options?.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const reply = prefix + token;
    this.#nats.publish(
      subject,
      data,
      options?.headers === undefined ? { reply } : { reply, headers: plainHeaders(options.headers) },
    );
    this.#sweeper ??= setTimeout(this.#sweep, SWEEP_MS);
    return new Promise((resolve, reject) => {
      this.#pending.set(token, { subject, deadline: performance.now() + timeoutMs, timeoutMs, resolve, reject });
    });
  }

  /** The server lets nobody of this user publish on a subject: no acknowledgement will come. `toError` makes an error of what was being done. */
  denied(subject: string, toError: (doing: string) => Error): void {
    for (const [token, pending] of this.#pending) {
      if (pending.subject !== subject) continue;
      this.#pending.delete(token);
      pending.reject(toError(`publishing on ${subject}`));
    }
  }

  /** The connection broke: for all in flight, the outcome is unknown, and no acknowledgement will come. */
  disconnected(): void {
    this.#rejectAll("the connection to NATS was lost; whether it was stored is unknown");
  }

  stop(reason: string): void {
    this.#stopped ??= reason;
    this.#rejectAll(reason);
  }

  #rejectAll(reason: string): void {
    clearTimeout(this.#sweeper);
    this.#sweeper = undefined;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const one of pending) one.reject(new NotConnectedError(`publishing on ${one.subject}: ${reason}`));
  }

  #listen(): string {
    const prefix = `${createInbox((this.#nats as { options?: { inboxPrefix?: string } }).options?.inboxPrefix)}.`;
    this.#nats.subscribe(`${prefix}*`, {
      callback: (error, message) => {
        if (error === null) return this.#receive(prefix, message);
        // The user may not listen to its own replies: nothing that is published will ever be known to be stored.
        const pending = [...this.#pending.values()];
        this.#pending.clear();
        this.#replyPrefix = undefined;
        for (const one of pending) one.reject(permissionDenied(`publishing on ${one.subject}`, error) ?? error);
      },
    });
    return prefix;
  }

  #receive(prefix: string, message: Msg): void {
    const token = message.subject.slice(prefix.length);
    const pending = this.#pending.get(token);
    if (pending === undefined) return; // later than its timeout
    this.#pending.delete(token);
    const doing = `publishing on ${pending.subject}`;
    if (message.data.length === 0) {
      pending.reject(new NoResponderError(`${doing}: no stream takes it now`));
      return;
    }
    try {
      const answer = message.json<{
        stream?: string;
        seq?: number;
        duplicate?: boolean;
        error?: ApiError;
      }>();
      if (answer.error !== undefined) pending.reject(refusal(pending.subject, answer.error));
      else if (answer.stream === undefined || answer.seq === undefined)
        pending.reject(new JetStreamRefusedError(doing, { description: "the acknowledgement names no stream" }));
      // A server in a cluster takes a message that is sent again for a duplicate of one that it has not stored yet, and may never store.
      else if (answer.seq === 0)
        pending.reject(new NotConnectedError(`${doing}: it was sent before, and whether that will be stored is unknown`));
      else pending.resolve({ stream: answer.stream, seq: answer.seq, duplicate: answer.duplicate === true });
    } catch {
      pending.reject(new JetStreamRefusedError(doing, { description: "the acknowledgement is not JSON" }));
    }
  }

  // Timeouts are as good as equal, so the oldest come first in the map: the sweep ends at the first that has time left.
  // With timeouts of very different lengths, a short one may be found late, behind a long one; none is missed.
  readonly #sweep = (): void => {
    this.#sweeper = undefined;
    const now = performance.now();
    for (const [token, pending] of this.#pending) {
      if (pending.deadline > now) break;
      this.#pending.delete(token);
      pending.reject(new TimeoutError(`publishing on ${pending.subject}`, pending.timeoutMs));
    }
    if (this.#pending.size > 0) this.#sweeper = setTimeout(this.#sweep, SWEEP_MS);
  };
}

interface ApiError {
  readonly code?: number;
  readonly err_code?: number;
  readonly description?: string;
}

/** The stream's own limit; that of the account, of the server's disk, of its memory. */
const STORE_FAILED = 10077;
const NO_ROOM: ReadonlySet<number> = new Set([10023, 10028, 10047]);

function refusal(subject: string, error: ApiError): Error {
  const refused = new JetStreamRefusedError(`publishing on ${subject}`, error);
  const { err_code: code = 0, description = "" } = error;
  const full = NO_ROOM.has(code) || (code === STORE_FAILED && /maximum (bytes|messages)|no space/.test(description));
  return full ? new StreamFullError(subject, description, { cause: refused }) : refused;
}

const LINE_BREAK = /[\r\n]/;

/**
 * Headers for one publish. The client only ever calls `encode()` on them, and its own class spends more time on checking and
 * canonical names than the whole rest of a publish takes; names here are our own and fit.
 */
function plainHeaders(record: Readonly<Record<string, string>>): MsgHdrs {
  let text = "NATS/1.0\r\n";
  for (const name in record) {
    const value = record[name] as string;
    if (LINE_BREAK.test(value) || LINE_BREAK.test(name))
      throw new TypeError(`expected header ${JSON.stringify(name)} to have no line break, got ${JSON.stringify(value)}`);
    text += `${name}: ${value}\r\n`;
  }
  text += "\r\n";
  return { encode: () => Buffer.from(text) } as unknown as MsgHdrs;
}
