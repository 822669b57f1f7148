/**
 * One connection to NATS: connecting for as long as it takes, publishing with and without acknowledgement, requests,
 * subscriptions, reads of single stream messages. What workers, clients and engines need of the NATS client, with its errors
 * turned into ours once. It knows no subjects and nothing of workflows.
 */
import { readFileSync } from "node:fs";
import {
  AuthorizationError,
  connect,
  credsAuthenticator,
  headers as natsHeaders,
  InvalidArgumentError,
  InvalidSubjectError,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type NodeConnectionOptions,
  NoRespondersError,
  TimeoutError as NatsTimeoutError,
  UserAuthenticationExpiredError,
} from "@nats-io/transport-node";
import type { Logger } from "pino";
import { NatsUnavailableError, NotConnectedError, OptionsError, PayloadTooLargeError, TimeoutError } from "../errors.ts";
import { optionOf, optionsOf } from "../workflow/parse-options.ts";
import { AckPublisher, type AckedPublishOptions, type PublishAck } from "./ack-publisher.ts";
import { NoResponderError } from "./no-responder.ts";
import { permissionDenied, violationIn } from "./permission.ts";
import { readStreamMessage, type StreamMessage } from "./stream-message.ts";
import { TextPublisher } from "./text-publisher.ts";

/** A message as it came: `subject`, `data`, `json()`, `string()`, `headers`, `reply`, `respond(…)`. */
export type Message = Msg;

/** How to reach NATS: the same for `connect`, `startWorker` and `startEngine`. */
export interface ConnectionOptions {
  /**
   * One address, or several of one cluster: `nats://host:4222`; `tls://host` asks for TLS; user and password, or a token, may
   * stand before an `@`. Default `nats://127.0.0.1:4222`.
   */
  readonly servers?: string | readonly string[] | undefined;
  readonly user?: string | undefined;
  readonly pass?: string | undefined;
  readonly token?: string | undefined;
  /** Path of a `.creds` file, or its text. */
  readonly creds?: string | undefined;
  /** Given, even as `{}`, it asks for TLS. Certificates and keys as paths or as texts. */
  readonly tls?: TlsOptions | undefined;
  /** What the subjects of replies begin with, for accounts whose permissions name it. Default `_INBOX`. */
  readonly inboxPrefix?: string | undefined;
}

export interface TlsOptions {
  /** For servers that expect TLS from the first byte. */
  readonly handshakeFirst?: boolean | undefined;
  readonly certFile?: string | undefined;
  readonly cert?: string | undefined;
  readonly caFile?: string | undefined;
  readonly ca?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly key?: string | undefined;
}

const text = optionOf("a non-empty string", (value): value is string => typeof value === "string" && value !== "").optional();

/** The options of a connection, to be spread into the schema of whatever connects. */
export const connectionOptionsShape = {
  servers: optionOf(
    'an address such as "nats://127.0.0.1:4222", or a list of them',
    (value): value is string | readonly string[] =>
      (typeof value === "string" && value !== "") ||
      (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string" && one !== "")),
  ).optional(),
  user: text,
  pass: text,
  token: text,
  creds: text,
  tls: optionsOf({
    handshakeFirst: optionOf("true or false", (value): value is boolean => typeof value === "boolean").optional(),
    certFile: text,
    cert: text,
    caFile: text,
    ca: text,
    keyFile: text,
    key: text,
  }).optional(),
  inboxPrefix: text,
};

/** A pino logger, or one that has its methods. */
export const loggerOption = optionOf(
  "a pino logger",
  (value): value is Logger => typeof value === "object" && value !== null && "child" in value && "warn" in value,
).optional();

export interface ConnectNatsOptions extends ConnectionOptions {
  /** Shown in the server's list of connections. */
  readonly name: string;
  readonly logger: Logger;
  /**
   * How long to try until a server answers for the first time, in ms; with one line in the log every few seconds. 0: one
   * round. Default: for ever.
   */
  readonly firstConnectTimeoutMs?: number | undefined;
  /** Aborted: gives up connecting and throws NotConnectedError. */
  readonly signal?: AbortSignal | undefined;
}

export interface PublishOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly reply?: string;
}

export interface RequestOptions {
  /** Default 5,000. */
  readonly timeoutMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Subscription {
  readonly subject: string;
  unsubscribe(): void;
  /** Takes nothing new and resolves once what has arrived is handled. */
  drain(): Promise<void>;
}

export interface SubscribeOptions {
  /** Of the subscribers with the same queue, each message goes to one. */
  readonly queue?: string;
  /** The server refused the subscription (permissions). Without it, the error is logged. */
  readonly onError?: (error: Error) => void;
}

export type ConnectionEvent = "disconnected" | "reconnected" | "closed";

/** First wait between two rounds of the first connect, and the longest one. */
const FIRST_CONNECT_WAIT_MS = 250;
const FIRST_CONNECT_MAX_WAIT_MS = 2_000;
/** While NATS stays away, one line in the log this often. */
const UNREACHABLE_LOG_EVERY_MS = 5_000;
const RECONNECT_WAIT_MS = 250;
/** A server that answers no ping is left after two intervals. */
const PING_INTERVAL_MS = 10_000;
const HANDSHAKE_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 5_000;
/** A subject that is denied is logged this often, whatever is tried on it. */
const DENIED_LOG_EVERY_MS = 60_000;
const MAX_DENIED_SUBJECTS = 1_000;
const DEFAULT_REQUEST_TIMEOUT_MS = 5_000;

/**
 * Connects. Afterwards the connection looks after itself: it reconnects for ever, and its subscriptions come back with it.
 *
 * Throws NatsUnavailableError when the servers refuse the credentials (no retry mends that), or when none could be reached
 * within `firstConnectTimeoutMs`; NotConnectedError when `signal` is aborted.
 */
export async function connectNats(options: ConnectNatsOptions): Promise<Connection> {
  const logger = options.logger;
  const native = nativeOptions(options);
  const servers = native.servers as string[];
  const deadline = performance.now() + (options.firstConnectTimeoutMs ?? Infinity);
  let waitMs = FIRST_CONNECT_WAIT_MS;
  let loggedAt = -Infinity;
  for (;;) {
    if (options.signal?.aborted === true) throw new NotConnectedError("connecting to NATS was given up: it was stopped first");
    try {
      const nats = await connect(native);
      return new Connection(nats, servers, logger);
    } catch (error) {
      const reason = reasonOf(error);
      const message = isAuthorizationError(error)
        ? `NATS at ${servers.join(", ")} lets nobody in ${hasLogin(native) ? "with this login" : "without a login"}: ${reason}`
        : `cannot reach NATS at ${servers.join(", ")}: ${reason}`;
      const now = performance.now();
      if (isAuthorizationError(error) || now + waitMs > deadline)
        throw new NatsUnavailableError(message, servers, { cause: error });
      if (now - loggedAt >= UNREACHABLE_LOG_EVERY_MS) {
        loggedAt = now;
        logger.warn(`${message}; retrying`);
      }
    }
    await pause(waitMs, options.signal);
    waitMs = Math.min(waitMs * 2, FIRST_CONNECT_MAX_WAIT_MS);
  }
}

/** Made by `connectNats`. */
export class Connection {
  /** The NATS client itself, for the other files of src/nats only. */
  readonly nats: NatsConnection;
  /** Addresses as given, without credentials. */
  readonly servers: readonly string[];
  /** Resolves when the connection is closed, by `close` or because it broke for good. */
  readonly closed: Promise<void>;

  readonly #logger: Logger;
  readonly #listeners = new Map<ConnectionEvent, Set<() => void>>();
  readonly #acks: AckPublisher;
  readonly #texts: TextPublisher;
  /** When the log was last told that a subject is denied. */
  readonly #deniedAt = new Map<string, number>();
  /** Called for each request that is under way when the connection is lost. */
  readonly #requests = new Set<() => void>();
  #maxPayload: number;
  #connected = true;
  #closing: Promise<void> | undefined;
  #ended = false;

  constructor(nats: NatsConnection, servers: readonly string[], logger: Logger) {
    this.nats = nats;
    this.servers = servers;
    this.#logger = logger;
    this.#maxPayload = nats.info?.max_payload ?? 1_048_576;
    this.#acks = new AckPublisher(nats);
    this.#texts = new TextPublisher(nats);
    void this.#watch();
    this.closed = nats.closed().then((error) => {
      this.#connected = false;
      this.#ended = true;
      this.#acks.stop("the connection to NATS was closed");
      if (error instanceof Error && this.#closing === undefined)
        logger.error({ err: error }, "the connection to NATS was closed");
      this.#emit("closed");
    });
  }

  /** Largest message, headers included, that the server takes, in bytes. */
  get maxPayload(): number {
    return this.#maxPayload;
  }

  /** Whether the server is there, as far as is known. */
  get isConnected(): boolean {
    return this.#connected;
  }

  get isClosed(): boolean {
    return this.#ended || this.#closing !== undefined;
  }

  /** The server that it is connected to, `host:port`. */
  get server(): string {
    return this.nats.getServer();
  }

  get serverVersion(): string {
    return this.nats.info?.version ?? "unknown";
  }

  /** Whether the server belongs to a cluster, and so keeps streams on several servers. */
  get isClustered(): boolean {
    return this.nats.info?.cluster !== undefined;
  }

  /** Calls back at every such event; returns what takes the callback away again. */
  on(event: ConnectionEvent, listener: () => void): () => void {
    let listeners = this.#listeners.get(event);
    if (listeners === undefined) this.#listeners.set(event, (listeners = new Set()));
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /**
   * Hands a message to the server, without any word of whether it arrived: while disconnected it is mostly lost.
   * Throws PayloadTooLargeError, NotConnectedError once closed.
   */
  publish(subject: string, data: Uint8Array | string, options?: PublishOptions): void {
    try {
      if (options === undefined) this.nats.publish(subject, data);
      else
        this.nats.publish(subject, data, {
          ...(options.reply === undefined ? {} : { reply: options.reply }),
          ...headersOption(options.headers),
        });
    } catch (error) {
      throw this.#translate(error, `publishing on ${subject}`, data);
    }
  }

  /**
   * Like `publish`, for many small texts: they are sent together, by `flushTexts`. `subject` is not checked, and `text` must be
   * smaller than the largest message.
   */
  addText(subject: string, text: string): void {
    this.#texts.add(subject, text);
  }

  flushTexts(): void {
    this.#texts.flush();
  }

  /**
   * Publishes into a stream and resolves with the server's acknowledgement: the message is stored. Publishes reach the server
   * in the order of the calls. Rejects with
   * - NotConnectedError: not sent, or sent and the connection was lost, or a duplicate of one that is not stored yet: the outcome is unknown;
   * - TimeoutError: no acknowledgement in time: the outcome is unknown;
   * - JetStreamRefusedError: the server did not store it (`apiCode` says why, 10071 is the fence);
   * - StreamFullError: it did not store it for want of room;
   * - PermissionDeniedError;
   * - NoResponderError: no stream takes this subject now;
   * - PayloadTooLargeError.
   */
  publishAcked(subject: string, data: Uint8Array | string, options?: AckedPublishOptions): Promise<PublishAck> {
    if (this.#connected) {
      try {
        return this.#acks.publish(subject, data, options);
      } catch (error) {
        return Promise.reject(this.#translate(error, `publishing on ${subject}`, data));
      }
    }
    return Promise.reject(new NotConnectedError(`publishing on ${subject}: not connected to NATS`));
  }

  /**
   * Asks and waits for one answer. Rejects with NoResponderError when nobody listens; TimeoutError; NotConnectedError, where it
   * was not sent or the connection was lost before the answer came; PayloadTooLargeError; PermissionDeniedError.
   */
  request(subject: string, data: Uint8Array | string, options?: RequestOptions): Promise<Message> {
    const timeoutMs = options?.timeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS;
    const doing = `the request on ${subject}`;
    if (!this.#connected) return Promise.reject(new NotConnectedError(`${doing}: not connected to NATS`));
    return new Promise((resolve, reject) => {
      // The client would leave it to its timeout.
      const lost = (): void => reject(new NotConnectedError(`${doing}: the connection to NATS was lost before the answer came`));
      this.#requests.add(lost);
      this.nats
        .request(subject, data, { timeout: timeoutMs, ...headersOption(options?.headers) })
        .then(resolve, (error: unknown) => reject(this.#translate(error, doing, data, timeoutMs)))
        .finally(() => this.#requests.delete(lost));
    });
  }

  /** Calls `handler` for every message, in order. What it throws is logged and harms nothing else. */
  subscribe(subject: string, handler: (message: Message) => void, options?: SubscribeOptions): Subscription {
    const logger = this.#logger;
    const failed = (error: Error): void => {
      const denied = permissionDenied(`subscribing to ${subject}`, error);
      if (options?.onError !== undefined) options.onError(denied ?? error);
      else if (denied === undefined) logger.error({ err: error, subject }, "the NATS server refused a subscription");
    };
    try {
      const subscription = this.nats.subscribe(subject, {
        ...(options?.queue === undefined ? {} : { queue: options.queue }),
        callback: (error, message) => {
          if (error !== null) return failed(error);
          // An exception here would end the client's reading loop, and with it the whole connection.
          try {
            handler(message);
          } catch (thrown) {
            logger.error({ err: thrown, subject }, "the handler of a NATS message threw");
          }
        },
      });
      return {
        subject,
        unsubscribe: () => {
          subscription.unsubscribe();
        },
        drain: () => subscription.drain().catch(() => undefined),
      };
    } catch (error) {
      throw this.#translate(error, `subscribing to ${subject}`, "");
    }
  }

  /** A round trip to the server: what was published before has reached it. Rejects with NotConnectedError. */
  async flush(): Promise<void> {
    try {
      await this.nats.flush();
    } catch (error) {
      throw this.#translate(error, "a round trip to NATS", "");
    }
  }

  /** One message of a stream, or undefined where it does not exist (any more). Rejects like `request`. */
  readMessage(stream: string, seq: number): Promise<StreamMessage | undefined> {
    return readStreamMessage(this, stream, seq);
  }

  /** Ends it: what was published is flushed, subscriptions handle what has arrived. Never throws, at most 5 s, any number of times. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#ended) return;
    this.#acks.stop("the connection to NATS was closed");
    if (this.#connected) await Promise.race([this.nats.drain().catch(() => undefined), pause(CLOSE_TIMEOUT_MS, undefined, true)]);
    await this.nats.close().catch(() => undefined);
    await this.closed;
  }

  async #watch(): Promise<void> {
    let downSince = 0;
    let loggedAt = 0;
    for await (const status of this.nats.status()) {
      switch (status.type) {
        case "disconnect":
          if (!this.#connected) break;
          this.#connected = false;
          downSince = loggedAt = performance.now();
          this.#acks.disconnected();
          for (const lost of this.#requests) lost();
          if (this.#closing === undefined)
            this.#logger.warn(`lost the connection to NATS at ${this.servers.join(", ")}; reconnecting`);
          this.#emit("disconnected");
          break;
        case "reconnecting": {
          const now = performance.now();
          if (this.#connected || now - loggedAt < UNREACHABLE_LOG_EVERY_MS) break;
          loggedAt = now;
          this.#logger.warn(
            `cannot reach NATS at ${this.servers.join(", ")} for ${Math.round((now - downSince) / 1_000)} s; retrying`,
          );
          break;
        }
        case "reconnect":
          this.#connected = true;
          this.#maxPayload = this.nats.info?.max_payload ?? this.#maxPayload;
          this.#logger.info(`reconnected to NATS at ${this.server}`);
          this.#emit("reconnected");
          break;
        case "error":
          this.#reported(status.error);
          break;
        default:
          break;
      }
    }
  }

  /** What the server says of no request in particular. A refusal is told to who waits, and to the log: many publish without waiting. */
  #reported(error: Error): void {
    const violation = violationIn(error);
    if (violation === undefined) return this.#logger.warn({ err: error }, "the NATS server reported an error");
    const { operation, subject } = violation;
    if (operation === "publish") this.#acks.denied(subject, (doing) => permissionDenied(doing, error) ?? error);
    const now = performance.now();
    if (now - (this.#deniedAt.get(subject) ?? -Infinity) < DENIED_LOG_EVERY_MS) return;
    if (this.#deniedAt.size >= MAX_DENIED_SUBJECTS) this.#deniedAt.clear();
    this.#deniedAt.set(subject, now);
    this.#logger.error(
      { operation, subject },
      `the NATS server does not let this user ${operation === "publish" ? "publish on" : "subscribe to"} ${subject}`,
    );
  }

  #emit(event: ConnectionEvent): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener();
      } catch (error) {
        this.#logger.error({ err: error, event }, "a listener of the NATS connection threw");
      }
    }
  }

  /** The client's errors as ours, once, with what was being done. */
  #translate(error: unknown, doing: string, data: Uint8Array | string, timeoutMs = 0): Error {
    if (!(error instanceof Error)) return new NotConnectedError(`${doing}: ${String(error)}`);
    const cause = error.cause instanceof Error ? error.cause : error;
    if (error instanceof NatsTimeoutError) return new TimeoutError(doing, timeoutMs, { cause: error });
    if (error instanceof NoRespondersError || cause instanceof NoRespondersError)
      return new NoResponderError(`${doing}: nobody answers there`, { cause: error });
    if (error.message.includes("max_payload")) {
      return new PayloadTooLargeError(
        doing,
        typeof data === "string" ? Buffer.byteLength(data) : data.byteLength,
        this.#maxPayload,
      );
    }
    const denied = permissionDenied(doing, error);
    if (denied !== undefined) return denied;
    // Mistakes of ours: no retry mends them.
    if (error instanceof InvalidSubjectError || error instanceof InvalidArgumentError) return error;
    return new NotConnectedError(`${doing}: ${error.message}`, { cause: error });
  }
}

/** Headers in the client's form; a value must have no line breaks. */
export function toHeaders(record: Readonly<Record<string, string>>): MsgHdrs {
  const headers = natsHeaders();
  for (const [key, value] of Object.entries(record)) headers.set(key, value);
  return headers;
}

function headersOption(record: Readonly<Record<string, string>> | undefined): { headers?: MsgHdrs } {
  return record === undefined ? {} : { headers: toHeaders(record) };
}

function nativeOptions(options: ConnectNatsOptions): NodeConnectionOptions {
  const given = typeof options.servers === "string" ? options.servers.split(",") : (options.servers ?? ["nats://127.0.0.1:4222"]);
  const native: NodeConnectionOptions = {
    name: options.name,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_WAIT_MS,
    pingInterval: PING_INTERVAL_MS,
    timeout: HANDSHAKE_TIMEOUT_MS,
    // Otherwise two refused logins in a row (a server that restarts with a new configuration) end the connection for good.
    ignoreAuthErrorAbort: true,
    // Traces of where every request began cost more than the request.
    noAsyncTraces: true,
  };
  native.servers = given.map((server) => takeCredentials(server.trim(), native));
  if (options.user !== undefined) native.user = options.user;
  if (options.pass !== undefined) native.pass = options.pass;
  if (options.token !== undefined) native.token = options.token;
  if (options.creds !== undefined) {
    native.authenticator = credsAuthenticator(readCreds(options.creds));
  }
  if (options.tls !== undefined) native.tls = options.tls as NonNullable<NodeConnectionOptions["tls"]>;
  if (options.inboxPrefix !== undefined) native.inboxPrefix = options.inboxPrefix;
  return native;
}

/** Moves `user:pass@` or `token@` of an address into the options, so that no address in a message or log holds a secret. */
function takeCredentials(server: string, native: NodeConnectionOptions): string {
  const match = /^(?:([a-z]+):\/\/)?(?:([^@/]*)@)?(.*?)\/*$/i.exec(server);
  const scheme = (match?.[1] ?? "nats").toLowerCase();
  const userInfo = match?.[2];
  const host = match?.[3] ?? server;
  if (scheme === "ws" || scheme === "wss")
    throw new NatsUnavailableError(`cannot use ${scheme}://${host}: expected an address like nats://host:4222`, [host]);
  if (scheme === "tls") native.tls ??= {};
  if (userInfo !== undefined && userInfo !== "") {
    const [user = "", ...pass] = userInfo.split(":").map(decodeURIComponent);
    if (pass.length > 0) {
      native.user ??= user;
      native.pass ??= pass.join(":");
    } else native.token ??= user;
  }
  return `${scheme}://${host}`;
}

function readCreds(creds: string): Uint8Array {
  if (creds.includes("-----BEGIN")) return Buffer.from(creds);
  try {
    return readFileSync(creds);
  } catch (error) {
    const expected = "the path of a .creds file, or its text";
    throw new OptionsError(
      `expected 'creds' to be ${expected}: ${(error as Error).message}`,
      { path: "creds", expected, received: creds },
      { cause: error },
    );
  }
}

function hasLogin({ user, token, authenticator }: NodeConnectionOptions): boolean {
  return user !== undefined || token !== undefined || authenticator !== undefined;
}

function isAuthorizationError(error: unknown): boolean {
  return error instanceof AuthorizationError || error instanceof UserAuthenticationExpiredError;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return error === undefined ? "connection closed" : String(error);
  const code = (error as { code?: unknown }).code;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "host not found";
  if (error instanceof NatsTimeoutError || code === "ETIMEDOUT") return "timed out";
  return error.message === "" ? (typeof code === "string" ? code : error.name) : error.message.toLowerCase();
}

/** `idle`: it does not keep the process alive. */
function pause(ms: number, signal?: AbortSignal, idle = false): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (idle) timer.unref();
    signal?.addEventListener("abort", done);
  });
}
