/**
 * The whole system in this process, for scripts and tests: an embedded nats-server (a child process that ends with this one), an
 * engine node, a worker node, the dashboard and a client. What `sluice dev` runs is this with the worker in a process of its own.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pino, type Logger } from "pino";
import { connect, type Client } from "../client/connect.ts";
import { createEngine } from "../engine/index.ts";
import { loggerOption } from "../nats/connection.ts";
import { prefixOption } from "../nats/subjects.ts";
import { startDashboard } from "../server/index.ts";
import { parseWorkerOptions } from "../worker/options.ts";
import { createWorker } from "../worker/start-worker.ts";
import { isWorkflow } from "../workflow/define.ts";
import { integerOption, optionOf, optionsOf, parseOptionsOf } from "../workflow/parse-options.ts";
import type { AnyWorkflow } from "../workflow/workflow.ts";
import { startEmbeddedNats } from "./embedded-nats.ts";

export interface DevOptions {
  /** The workflows of the worker node: at least one, each name once. */
  readonly workflows: readonly AnyWorkflow[];
  /** How many steps the worker executes at once. Default 100. */
  readonly slots?: number | undefined;
  /**
   * Where everything is kept: started again on the same folder, it goes on where it was. One process at a time. Default: a temporary
   * folder, which `stop` removes.
   */
  readonly dataDir?: string | undefined;
  /** Port of the NATS server on this machine; 0 picks a free one. Default 4222, or the next free one. */
  readonly natsPort?: number | undefined;
  /** Port of the dashboard on this machine; 0 picks a free one. Default 7788, or the next free one. */
  readonly dashboardPort?: number | undefined;
  /** The address that the dashboard is bound to. Default `127.0.0.1`; any other than this machine's own asks for a password. */
  readonly dashboardHost?: string | undefined;
  /** Asked for by the dashboard. Default: none. */
  readonly dashboardPassword?: string | undefined;
  /** The dashboard shows and changes nothing. Default false. */
  readonly readOnly?: boolean | undefined;
  /**
   * Fields that are not shown, nor kept in the history: by name, at any depth, or by path (`card.number`). In place of the
   * default: `password`, `token`, `secret`, `authorization`.
   */
  readonly redact?: readonly string[] | undefined;
  /** Of engine, worker and client. Default: one that writes lines of level `warn` to standard error. */
  readonly logger?: Logger | undefined;
  /** The cluster's prefix. Default `sluice`. */
  readonly prefix?: string | undefined;
}

export interface Dev {
  /** Connected; closed by `stop`. */
  readonly client: Client;
  /** For other clients and workers. */
  readonly natsUrl: string;
  /** Where the dashboard is: `http://127.0.0.1:7788`. */
  readonly dashboardUrl: string;
  /** Has running steps finish (up to 5 s, then hands them back), and ends everything. Idempotent. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const port = integerOption(0, 65_535).optional();
const text = optionOf("a non-empty text", (value): value is string => typeof value === "string" && value !== "").optional();

const schema = optionsOf(
  {
    workflows: optionOf(
      "a list of at least one workflow made by defineWorkflow",
      (value): value is readonly AnyWorkflow[] => Array.isArray(value) && value.length > 0 && value.every(isWorkflow),
    ),
    slots: integerOption(1, 100_000).optional(),
    dataDir: optionOf("the path of a folder", (value): value is string => typeof value === "string" && value !== "").optional(),
    natsPort: port,
    dashboardPort: port,
    dashboardHost: text,
    dashboardPassword: text,
    readOnly: optionOf("true or false", (value): value is boolean => typeof value === "boolean").optional(),
    redact: optionOf(
      "a list of names of fields",
      (value): value is readonly string[] =>
        Array.isArray(value) && value.every((one: unknown) => typeof one === "string" && one !== ""),
    ).optional(),
    logger: loggerOption,
    prefix: prefixOption,
  },
  { workflows: ["workflow"], dataDir: ["dir", "folder", "storeDir"], natsPort: ["port"], slots: ["concurrency"] },
);

const DRAIN_TIMEOUT = "5s";

/**
 * Starts it all and resolves once the worker takes work.
 * @throws OptionsError (`OPTIONS_INVALID`), DefinitionError for a workflow without steps
 * @throws NatsServerError: no nats-server was found or could be fetched, a port or the data folder is in use
 */
export async function startDev(options: DevOptions): Promise<Dev> {
  const parsed = parseOptionsOf(schema, options, "startDev");
  const { workflows, slots, dataDir, natsPort, logger: given, prefix, redact } = parsed;
  // Said now, before anything is started.
  parseWorkerOptions({ workflows, ...(slots === undefined ? {} : { slots }) });
  const logger = given ?? pino({ level: "warn" }, pino.destination(2));
  const ends: (() => Promise<void>)[] = [];
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= endAll(ends));
  try {
    const folder = dataDir === undefined ? await mkdtemp(join(tmpdir(), "sluice-dev-")) : resolve(dataDir);
    if (dataDir === undefined) ends.push(() => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }));

    const nats = await startEmbeddedNats({ dataDir: folder, port: natsPort, log: (line) => logger.info(line) });
    ends.push(() => nats.stop());
    const common = { servers: nats.url, logger, ...(prefix === undefined ? {} : { prefix }) };

    const engine = createEngine({ ...common, name: "dev", dataDir: folder, redact });
    ends.push(() => engine.stop());
    const dashboard = await startDashboard({
      ...common,
      engine,
      port: parsed.dashboardPort,
      host: parsed.dashboardHost,
      password: parsed.dashboardPassword,
      readOnly: parsed.readOnly,
      redact,
    });
    ends.push(() => dashboard.stop());
    await engine.start();

    const worker = createWorker({
      ...common,
      name: "dev",
      workflows,
      drainTimeout: DRAIN_TIMEOUT,
      ...(slots === undefined ? {} : { slots }),
    });
    ends.push(() => worker.stop());
    await worker.start();

    const client = await connect({ ...common, name: "sluice dev client" });
    ends.push(() => client.close());
    return { client, natsUrl: nats.url, dashboardUrl: dashboard.url, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The last that was started first; all of them, whatever happens to one. */
async function endAll(ends: readonly (() => Promise<void>)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const end of ends.toReversed()) await end().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors, "stopping failed in several parts");
}
