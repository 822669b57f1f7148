/**
 * The dashboard's server: puts its parts together, listens, and ends. It works with an engine node in this process or without
 * one, and from the first moment: before an engine answers, the page is there and says so.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { createAdaptorServer } from "@hono/node-server";
import { pino, type Logger } from "pino";
import { systemClock } from "../clock.ts";
import { OptionsError } from "../errors.ts";
import { createNames } from "../nats/subjects.ts";
import type { AboutView } from "../protocol/live.ts";
import { createRedactor, redactChange, redactReply } from "../protocol/redact.ts";
import { version } from "../version.ts";
import { Access } from "./access.ts";
import { createApp, type App } from "./app.ts";
import { INSPECT_REDACT, mountInspect } from "./inspect/mount.ts";
import type { WatchChanges } from "./live/change-feeds.ts";
import { createFeeds } from "./live/feeds.ts";
import { LiveHub } from "./live/hub.ts";
import { Metrics } from "./metrics.ts";
import { parseDashboardOptions, type DashboardOptions, type DashboardSettings } from "./options.ts";
import { NatsSource, type Source } from "./source.ts";
import { StaticFiles } from "./static-files.ts";
import { Upgrades } from "./upgrades.ts";

export interface Dashboard {
  /** For people: `http://127.0.0.1:7788`. */
  readonly url: string;
  readonly port: number;
  /** Ends streams and connections at once and gives the port back. Idempotent. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export const DEFAULT_PORT = 7788;
const PORTS_TRIED = 100;
const MAX_BODY_BYTES = 1024 * 1024;
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
const MAX_STREAMS = 200;
/** What answers are under way may take so long to end. */
const STOP_TIMEOUT_MS = 1_000;
/** Served by the workers of the examples, and by no others. */
const DEMO_WORKFLOW = "per-user-demo";

/**
 * Listens, and connects to NATS in the background. Resolves once the page can be opened.
 * @throws OptionsError (`OPTIONS_INVALID`): an option cannot be used, or the port that was asked for is taken
 */
export async function startDashboard(options: DashboardOptions = {}): Promise<Dashboard> {
  const settings = parseDashboardOptions(options);
  const logger = (settings.logger ?? pino({ level: "warn" }, pino.destination(2))).child({ component: "dashboard" });
  const server = new DashboardServer(settings, logger);
  await server.start();
  return server;
}

class DashboardServer implements Dashboard {
  readonly #settings: DashboardSettings;
  readonly #logger: Logger;
  readonly #source: Source;
  readonly #hub: LiveHub;
  readonly #upgrades: Upgrades;
  readonly #app: App;
  readonly #server: Server;
  readonly #startedAt = Date.now();
  #stopping: Promise<void> | undefined = undefined;

  constructor(settings: DashboardSettings, logger: Logger) {
    this.#settings = settings;
    this.#logger = logger;
    const names = createNames(settings.prefix);
    const token = randomBytes(24).toString("base64url");
    const access = new Access({ ...settings, token });
    const redactor = createRedactor(settings.redact);
    this.#source = new NatsSource({
      node: settings.name ?? settings.engine?.name ?? hostname(),
      connection: settings.connection,
      names,
      engine: settings.engine,
      // The engine node says the same of its own connection.
      logger: settings.engine === undefined ? logger : logger.child({}, { level: "error" }),
    });
    const source = this.#source;
    const call = source.call.bind(source);
    const watchChanges: WatchChanges = (run, listener) =>
      source.watchChanges(run, (news) => listener({ ...news, read: () => redactChange(redactor, news.read()) }));
    this.#upgrades = new Upgrades(access, logger);
    const inspectRedactor = createRedactor(settings.redact ?? INSPECT_REDACT);
    const inspect = mountInspect({
      upgrades: this.#upgrades,
      redact: (value) => inspectRedactor.value(value),
      allowRemote: settings.inspectRemote,
      allowOrigins: settings.inspectOrigins,
      runs: {
        call: async (operation, request) => redactReply(redactor, operation, await call(operation, request)),
        onRunChange: (listener) =>
          watchChanges(undefined, (news) => {
            try {
              listener(news.read());
            } catch {
              // Not JSON: published by somebody else.
            }
          }),
      },
    });
    this.#hub = new LiveHub({
      node: source.node,
      startedAt: this.#startedAt,
      feedOf: createFeeds({
        call,
        watchChanges,
        watchPrograms: (listener) => inspect.onChange(listener),
        clock: systemClock,
      }),
    });
    this.#app = createApp({
      access,
      token,
      source,
      hub: this.#hub,
      files: new StaticFiles(resolve(settings.uiDir ?? builtPage())),
      metrics: new Metrics({
        stats: () => source.stats,
        streams: () => this.#hub.streams,
        sockets: () => this.#upgrades.open,
      }),
      about: () => this.#about(),
      redact: (operation, reply) => redactReply(redactor, operation, reply),
      inspectRoutes: inspect.routes,
      logger,
      maxBodyBytes: MAX_BODY_BYTES,
      maxBufferedBytes: MAX_BUFFERED_BYTES,
      maxStreams: MAX_STREAMS,
    });
    this.#server = createAdaptorServer({ fetch: this.#app.fetch, overrideGlobalObjects: false }) as Server;
    this.#upgrades.attach(this.#server);
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    const { host } = this.#settings;
    const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
    return `http://${name}:${this.port}`;
  }

  #port = 0;

  async start(): Promise<void> {
    const { port, host } = this.#settings;
    try {
      for (let tried = port ?? DEFAULT_PORT; ; tried++) {
        const problem = await listen(this.#server, host, tried);
        if (problem === undefined) break;
        if (port === undefined && problem.code === "EADDRINUSE" && tried < DEFAULT_PORT + PORTS_TRIED) continue;
        throw cannotListen(problem, host, tried);
      }
    } catch (error) {
      await this.#source.stop();
      throw error;
    }
    this.#port = (this.#server.address() as AddressInfo).port;
    this.#logger.info({ url: this.url }, "the dashboard is ready");
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#app.stop();
    this.#hub.stop();
    this.#upgrades.stop();
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), STOP_TIMEOUT_MS);
    await Promise.all([closed, this.#source.stop()]);
    clearTimeout(timer);
  }

  async #about(): Promise<AboutView> {
    const { prefix, readOnly } = this.#settings;
    const { node, natsUrl } = this.#source;
    const workers = await this.#source.call("worker.list", {}).catch(() => ({ items: [] }));
    return {
      version,
      node,
      prefix,
      startedAt: new Date(this.#startedAt).toISOString(),
      readOnly,
      ...(natsUrl !== undefined && { natsUrl }),
      demo: workers.items.some(
        ({ mode, workflows }) => mode === "running" && workflows.some(({ name }) => name === DEMO_WORKFLOW),
      ),
    };
  }
}

/** Beside the compiled sources (`dist/src/server`, `dist/ui`), or from the sources (`src/server`, `dist/ui`). */
function builtPage(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json"))) return join(folder, "dist", "ui");
    if (folder === dirname(folder)) return join(folder, "ui");
  }
}

function listen(server: Server, host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((done) => {
    const failed = (error: NodeJS.ErrnoException): void => done(error);
    server.once("error", failed);
    server.listen({ host, port, exclusive: true }, () => {
      server.off("error", failed);
      done(undefined);
    });
  });
}

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): OptionsError {
  const received = error.code === "EADDRINUSE" ? port : host;
  const [path, expected, why]: [string, string, string] =
    error.code === "EADDRINUSE"
      ? [
          "port",
          "a port that is free",
          "something listens there already; choose another with --dashboard-port (0 picks a free one)",
        ]
      : ["host", "an address of this machine", `cannot listen on port ${port}: ${error.message}`];
  return new OptionsError(
    `expected '${path}' to be ${expected}, got ${received}: ${why} (the dashboard)`,
    { path, expected, received },
    { cause: error },
  );
}
