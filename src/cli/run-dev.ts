/**
 * What `sluice dev` does: a nats-server, an engine node in this process and a worker node in another, until it is told to stop.
 * Whatever happens to this process, nothing stays behind: the nats-server has a watchdog, the worker notices.
 */
import { relative, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { startEmbeddedNats } from "../dev/embedded-nats.ts";
import type { NatsServer } from "../dev/nats-server.ts";
import { createEngine } from "../engine/index.ts";
import type { Dashboard } from "../server/index.ts";
import { version } from "../version.ts";
import { EXIT_FAILED, SilentExit } from "./cli-error.ts";
import type { Cli } from "./cli.ts";
import { dashboardOptions, redactOf } from "./dashboard-options.ts";
import type { DevCommandOptions } from "./commands/dev.ts";
import { removeDevRecord, writeDevRecord } from "./dev-record.ts";
import { findExampleFiles } from "./example-files.ts";
import type { WorkerReadyMessage } from "./run-worker.ts";
import { exitCodeOf, onStopSignals } from "./signals.ts";
import { renderDetails } from "./table.ts";
import { findTarget } from "./target.ts";
import { findWorkflowFiles } from "./workflow-files.ts";
import { WorkerProcess } from "./worker-process.ts";

const NATS_RESTART_MS = 250;
const MAX_NATS_RESTART_MS = 5_000;
const STARTING_TIMEOUT_MS = 3_000;
/** What is still open when everything has been stopped may not keep the process alive for longer than this. */
const LINGER_MS = 500;

export async function runDev(cli: Cli, files: readonly string[], options: DevCommandOptions): Promise<void> {
  const dev = new Dev(cli, options);
  const signals = onStopSignals((signal) => {
    dev.kill();
    process.exit(exitCodeOf(signal));
  });
  const stopped = signals.first.then(() => "stopped" as const);
  try {
    const failed = dev.start(files).then(() => dev.ended);
    // A rejection after the end is nobody's any more.
    failed.catch(() => undefined);
    if ((await Promise.race([stopped, failed])) === "stopped") cli.say("stopping (Ctrl-C again ends it at once)");
  } finally {
    await dev.stop();
    signals.dispose();
    setTimeout(() => process.exit(), LINGER_MS).unref();
  }
}

class Dev {
  readonly #cli: Cli;
  readonly #options: DevCommandOptions;
  readonly #dataFolder: string;
  #nats: NatsServer | undefined;
  #engine: ReturnType<typeof createEngine> | undefined;
  #dashboard: Dashboard | undefined;
  #worker: WorkerProcess | undefined;
  #starting: Promise<void> = Promise.resolve();
  #stopping = false;

  constructor(cli: Cli, options: DevCommandOptions) {
    this.#cli = cli;
    this.#options = options;
    this.#dataFolder = resolve(cli.folder, options.dataDir);
  }

  /** Resolves when the engine node has ended. */
  get ended(): Promise<void> {
    return this.#engine?.closed ?? Promise.resolve();
  }

  start(files: readonly string[]): Promise<void> {
    this.#starting = this.#start(files);
    return this.#starting;
  }

  /** In the order in which nothing is lost: the worker hands in its results, the engine records them, the server stores them. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#dashboard?.stop();
    await this.#worker?.stop();
    await this.#engine?.stop();
    // What was under way may have got further; fetching a nats-server is not waited for.
    await Promise.race([this.#starting.catch(() => undefined), delay(STARTING_TIMEOUT_MS, undefined, { ref: false })]);
    await this.#dashboard?.stop();
    await this.#worker?.stop();
    await this.#engine?.stop();
    await removeDevRecord(this.#dataFolder);
    await this.#nats?.stop();
  }

  /** At once, with whatever has to be synchronous for that. */
  kill(): void {
    this.#worker?.kill();
    if (this.#nats?.running === true) process.kill(this.#nats.pid, "SIGKILL");
  }

  async #start(files: readonly string[]): Promise<void> {
    const { env, folder } = this.#cli;
    const workflowFiles = files.length === 0 ? await findExampleFiles() : await findWorkflowFiles(files, folder);
    const logLevel = this.#options.logLevel ?? env.logLevel;
    const logger = await this.#cli.logger(logLevel, "warn");
    // A server that was named is used; the record of an earlier `sluice dev` in this folder is none.
    const external = this.#options.nats ?? env.natsUrl;
    const nats = external === undefined ? await this.#startNats(logger) : undefined;
    if (this.#stopping) return;
    const target = await findTarget({ ...this.#options, nats: nats?.url ?? external }, env, folder);
    const { servers, prefix } = target;
    // The server that is started here knows no users.
    const connection = nats === undefined ? target.connection : { servers };

    this.#engine = createEngine({
      ...connection,
      prefix,
      dataDir: this.#dataFolder,
      name: "dev",
      redact: redactOf(this.#options),
      logger,
    });
    const page = dashboardOptions(this.#options, env, this.#engine);
    if (page !== undefined) {
      const { startDashboard } = await import("../server/index.ts");
      this.#dashboard = await startDashboard({ ...page, ...connection, prefix, logger });
      if (this.#stopping) return;
    }
    try {
      await this.#engine.start();
    } catch (error) {
      if (!this.#stopping) throw error;
    }
    if (this.#stopping) return;

    const natsUrl = servers.join(",");
    const { slots } = this.#options;
    this.#worker = new WorkerProcess({
      files: workflowFiles,
      natsUrl,
      prefix,
      folder,
      env: env.all,
      slots,
      logLevel: logLevel ?? "info",
      logger,
    });
    const ready = await this.#worker.start();
    if (this.#stopping) return;
    if (ready === undefined) throw new SilentExit(EXIT_FAILED); // it has said why

    await writeDevRecord(this.#dataFolder, { natsUrl, prefix, pid: process.pid, dashboardUrl: this.#dashboard?.url });
    if (this.#stopping) return;
    this.#announce(natsUrl, ready, files.length === 0);
  }

  async #startNats(logger: Logger): Promise<NatsServer> {
    const nats = await startEmbeddedNats({
      dataDir: this.#dataFolder,
      port: this.#options.natsPort,
      log: (line) => this.#cli.say(line),
    });
    this.#nats = nats;
    nats.onUnexpectedExit((reason) => {
      if (this.#stopping) return;
      logger.error(`${reason}; starting it again`);
      void this.#restartNats(nats, logger);
    });
    return nats;
  }

  /** The engine and the worker wait for it, and go on. */
  async #restartNats(nats: NatsServer, logger: Logger): Promise<void> {
    for (let waitMs = NATS_RESTART_MS; ; waitMs = Math.min(waitMs * 2, MAX_NATS_RESTART_MS)) {
      await delay(waitMs);
      if (this.#stopping || nats.running) return;
      try {
        await nats.restart();
        // Stopped meanwhile, it has been told so; nobody would end this one.
        if (this.#stopping) await nats.stop();
        return;
      } catch (error) {
        logger.error({ err: error }, "nats-server could not be started again");
      }
    }
  }

  #announce(natsUrl: string, { slots, workflows }: WorkerReadyMessage, examples: boolean): void {
    const cli = this.#cli;
    const folder = relative(cli.folder, this.#dataFolder);
    const server = this.#nats === undefined ? "already running" : `nats-server ${this.#nats.version}`;
    const sluice = "npx sluice";
    cli.print(
      "",
      cli.paint("bold", `Sluice ${version}`),
      "",
      ...renderDetails(
        [
          ["dashboard", this.#dashboard?.url ?? "none (--no-dashboard)"],
          ["NATS", `${natsUrl}  (${server})`],
          ["engine", `in this process, ${process.pid}`],
          ["worker", `${slots} slots, in a process of its own`],
          ["workflows", workflows.map(({ name, on }) => (on.length === 0 ? name : `${name} (on ${on.join(", ")})`)).join(", ")],
          ["data", folder === "" || folder.startsWith("..") ? this.#dataFolder : `./${folder}`],
        ],
        cli.paint,
      ),
      "",
      "Next, in another terminal, in this folder:",
      "",
      ...(examples ? [`  ${sluice} publish per-user-test '{"user_id": "ada"}'`] : firstStep(sluice, workflows)),
      `  ${sluice} runs list`,
      ...(this.#dashboard === undefined ? [] : ["", `and watch it at ${cli.paint("bold", this.#dashboard.url)}`]),
      "",
      "Sluice is ready",
    );
  }
}

function firstStep(sluice: string, workflows: WorkerReadyMessage["workflows"]): string[] {
  const triggered = workflows.find(({ on }) => on.some((pattern) => !/[*>]/.test(pattern)));
  const event = triggered?.on.find((pattern) => !/[*>]/.test(pattern));
  if (event !== undefined) return [`  ${sluice} publish ${event} '{}'`];
  const [first] = workflows;
  return first === undefined ? [] : [`  ${sluice} run ${first.name} '{}'`];
}
