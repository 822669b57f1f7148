/**
 * What the dashboard shows, wherever it is: the engine node of this process while that one owns the partitions, else the owner,
 * asked over NATS. Changes of runs come from NATS, whichever node decides them. The rest of the server knows only this.
 */
import { setMaxListeners } from "node:events";
import type { Logger } from "pino";
import { RequestError } from "../errors.ts";
import type { EngineStats } from "../engine/index.ts";
import { callApi } from "../nats/api.ts";
import { connectNats, type Connection, type ConnectionOptions, type Message } from "../nats/connection.ts";
import type { Names } from "../nats/subjects.ts";
import type { Operation, Operations, RunChangeMessage } from "../protocol/view.ts";
import type { ChangeNews, WatchChanges } from "./live/change-feeds.ts";

/** An engine node of this process (`startEngine` gives one). */
export interface DashboardEngine {
  readonly name: string;
  readonly ready: boolean;
  call<K extends Operation>(operation: K, request: unknown): Promise<Operations[K]["reply"]>;
  stats(): EngineStats;
}

export interface Source {
  readonly node: string;
  /** Without the password and the like; undefined until it is connected. */
  readonly natsUrl: string | undefined;
  /** Of the engine node of this process. */
  readonly stats: EngineStats | undefined;
  call<K extends Operation>(operation: K, request: unknown): Promise<Operations[K]["reply"]>;
  readonly watchChanges: WatchChanges;
  /** Undefined when the partitions are owned and answer; else why not. */
  whyNotReady(): Promise<string | undefined>;
  stop(): Promise<void>;
}

export interface SourceOptions {
  readonly node: string;
  readonly connection: ConnectionOptions;
  readonly names: Names;
  readonly engine: DashboardEngine | undefined;
  readonly logger: Logger;
}

/** Shorter than people wait: a page can say that nobody answers. */
const CALL_TIMEOUT_MS = 4_000;
const READY_TIMEOUT_MS = 2_000;

export class NatsSource implements Source {
  readonly node: string;
  readonly watchChanges: WatchChanges;
  readonly #options: SourceOptions;
  readonly #abort = new AbortController();
  readonly #connecting: Promise<void>;
  #connection: Connection | undefined = undefined;
  #refused: string | undefined = undefined;

  /** Begins to connect, and goes on trying in the background. */
  constructor(options: SourceOptions) {
    this.#options = options;
    this.node = options.node;
    this.watchChanges = (run, listener) => this.#watch(run, listener);
    this.#connecting = this.#connect();
    // Every call that waits for an engine listens to it.
    setMaxListeners(0, this.#abort.signal);
  }

  get natsUrl(): string | undefined {
    return this.#connection?.servers.join(",");
  }

  get stats(): EngineStats | undefined {
    return this.#options.engine?.stats();
  }

  async call<K extends Operation>(operation: K, request: unknown): Promise<Operations[K]["reply"]> {
    const { engine, names } = this.#options;
    if (engine?.ready === true) return await engine.call(operation, request);
    const connection = this.#connection;
    if (connection === undefined)
      throw new RequestError(`${operation}: ${this.#notConnected()}`, { operation, status: 503, reason: "NOT_CONNECTED" });
    return await callApi(connection, names, operation, request as Operations[K]["request"], {
      timeoutMs: CALL_TIMEOUT_MS,
      signal: this.#abort.signal,
    });
  }

  async whyNotReady(): Promise<string | undefined> {
    const { engine, names } = this.#options;
    const connection = this.#connection;
    if (connection === undefined) return this.#notConnected();
    if (!connection.isConnected) return `the connection to NATS at ${connection.servers.join(", ")} is lost`;
    if (engine !== undefined && !engine.ready) return "this engine node is not a member of its cluster yet";
    try {
      const timeoutMs = READY_TIMEOUT_MS;
      const answer =
        engine === undefined
          ? callApi(connection, names, "worker.list", {}, { timeoutMs, signal: this.#abort.signal })
          : engine.call("worker.list", {});
      await withDeadline(answer, timeoutMs);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#connecting;
    await this.#connection?.close();
  }

  async #connect(): Promise<void> {
    const { connection, node, logger } = this.#options;
    try {
      this.#connection = await connectNats({
        ...connection,
        name: `sluice dashboard ${node}`,
        logger,
        signal: this.#abort.signal,
      });
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      // Credentials that are refused: no waiting mends them, and what runs beside the dashboard says so too.
      this.#refused = error instanceof Error ? error.message : String(error);
      logger.error({ err: error }, "the dashboard cannot connect to NATS");
    }
  }

  #notConnected(): string {
    return this.#refused ?? "the dashboard is not connected to NATS yet";
  }

  #watch(run: string | undefined, listener: (news: ChangeNews) => void): () => void {
    const { names } = this.#options;
    let over = false;
    let end: (() => void) | undefined;
    const subscribe = (): void => {
      const connection = this.#connection;
      if (over || connection === undefined || connection.isClosed) return;
      // Subscribed once; the client renews it after a lost connection.
      const subscription = connection.subscribe(names.runChange("*", run ?? "*", "*"), (message) => {
        const news = toNews(message, names.prefix);
        if (news !== undefined && !over) listener(news);
      });
      end = () => subscription.unsubscribe();
    };
    if (this.#connection === undefined) void this.#connecting.then(subscribe);
    else subscribe();
    return () => {
      over = true;
      end?.();
    };
  }
}

/** `<prefix>.runs.<workflow>.<run>.<change>`; the message is parsed only when somebody wants to know. */
function toNews(message: Message, prefix: string): ChangeNews | undefined {
  const [, workflow, run] = message.subject.slice(prefix.length + 1).split(".");
  if (workflow === undefined || run === undefined) return undefined;
  return { workflow, run, read: () => message.json<RunChangeMessage>() };
}

async function withDeadline<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`the engine has not answered for ${timeoutMs} ms`)), timeoutMs);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
