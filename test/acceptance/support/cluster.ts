/**
 * A cluster as users run it: a real nats-server, engine and workers as processes of their own started through the command line,
 * and a client. Everything is ended and removed with the test, or with the file when it is started outside of one.
 */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect as connectNats, type NatsConnection } from "@nats-io/transport-node";
import { type Client, connect, type ConnectOptions, type RunStatus, type RunView } from "sluice";
import { pino } from "pino";
import type { NatsServer, NatsServerOptions } from "../../../src/dev/nats-server.ts";
import { onCleanup } from "../../support/cleanup.ts";
import { startTestServer } from "../../support/nats.ts";
import { startCli, startNode, type TestProcess } from "../../support/process.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";
import { type HandlerRecord, readRecords, RECORDS_VARIABLE } from "./records.ts";
import { GATES_VARIABLE } from "./scripted.ts";

export interface WorkerStart {
  readonly slots?: number;
  readonly name?: string;
  readonly heartbeat?: string;
  readonly deadline?: string;
  readonly drainTimeout?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface EngineStart {
  readonly lease?: string;
  readonly name?: string;
  /** Its own, apart from that of the cluster's other engines. */
  readonly dataDir?: string;
  /** Facts between two snapshots. With it, the engine is a program that uses `sluice/engine`; without, the command line. */
  readonly snapshotEvery?: number;
  /** With a dashboard, on a free port that its log tells. */
  readonly dashboard?: boolean;
}

export interface ClusterStart {
  /** Workflow files, in `test/acceptance/workflows`. Without any, no worker is started. */
  readonly workflows?: readonly string[];
  readonly slots?: number;
  readonly workers?: number;
  readonly worker?: WorkerStart;
  readonly engine?: EngineStart;
  readonly server?: Partial<NatsServerOptions>;
}

const ENGINE_NODE = fileURLToPath(new URL("engine-node.mjs", import.meta.url));
const ENGINE_READY = "the engine is ready";
const WORKER_READY = "takes work";
const FINAL: readonly RunStatus[] = ["SUCCEEDED", "FAILED", "CANCELLED"];

export function workflowFile(name: string): string {
  return fileURLToPath(new URL(`../workflows/${name}.ts`, import.meta.url));
}

export class Cluster {
  readonly server: NatsServer;
  readonly folder: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #recordsFile: string;
  readonly #gates: string;
  engine!: TestProcess;
  readonly workers: TestProcess[] = [];
  client!: Client;
  nats!: NatsConnection;

  constructor(server: NatsServer, folder: string) {
    this.server = server;
    this.folder = folder;
    this.#recordsFile = join(folder, "records");
    this.#gates = folder;
    this.#env = {
      [RECORDS_VARIABLE]: this.#recordsFile,
      [GATES_VARIABLE]: this.#gates,
      SLUICE_LOG_LEVEL: "info",
      SLUICE_NATS_URL: server.url,
    };
  }

  async prepare(): Promise<void> {
    await writeFile(this.#recordsFile, "");
  }

  /** Starts an engine and does not wait for it. */
  launchEngine({ lease, name, dataDir = "engine", snapshotEvery, dashboard }: EngineStart = {}): TestProcess {
    if (snapshotEvery !== undefined) {
      const env = {
        SLUICE_TEST_DATA_DIR: join(this.folder, dataDir),
        SLUICE_TEST_LEASE: lease ?? "3s",
        SLUICE_TEST_SNAPSHOT_EVERY: String(snapshotEvery),
      };
      return startNode([ENGINE_NODE], { cwd: this.folder, env: { ...this.#env, ...env } });
    }
    const args = ["engine", "--data-dir", join(this.folder, dataDir)];
    if (lease !== undefined) args.push("--lease", lease);
    if (name !== undefined) args.push("--name", name);
    if (dashboard === true) args.push("--dashboard-port", "0");
    return startCli(args, { cwd: this.folder, env: this.#env });
  }

  /** Starts an engine and waits until it answers. It is the cluster's from then on. */
  async startEngine(options: EngineStart = {}): Promise<TestProcess> {
    const engine = this.launchEngine(options);
    this.engine = engine;
    await engine.waitForOutput(ENGINE_READY);
    return engine;
  }

  /** Starts a worker and does not wait for it. */
  launchWorker(files: readonly string[], { slots, name, heartbeat, deadline, drainTimeout, env }: WorkerStart = {}): TestProcess {
    const args = ["worker", ...files.map(workflowFile)];
    if (slots !== undefined) args.push("--slots", String(slots));
    if (name !== undefined) args.push("--name", name);
    if (heartbeat !== undefined) args.push("--heartbeat", heartbeat);
    if (deadline !== undefined) args.push("--deadline", deadline);
    if (drainTimeout !== undefined) args.push("--drain-timeout", drainTimeout);
    return startCli(args, { cwd: this.folder, env: { ...this.#env, ...env } });
  }

  async startWorker(files: readonly string[], options: WorkerStart = {}): Promise<TestProcess> {
    const worker = this.launchWorker(files, options);
    this.workers.push(worker);
    await worker.waitForOutput(WORKER_READY);
    return worker;
  }

  /** A client of its own for whoever needs one; closed with the test. */
  async connect(options: ConnectOptions = {}): Promise<Client> {
    const client = await connect({ servers: this.server.url, logger: pino({ level: "silent" }), timeout: "30s", ...options });
    onCleanup(async () => await client.close());
    return client;
  }

  /** What handlers saw, in order of time. */
  records(workflow?: string): HandlerRecord[] {
    const all = readRecords(this.#recordsFile);
    return workflow === undefined ? all : all.filter((entry) => entry.workflow === workflow);
  }

  /** Starts of executions, in order of time. */
  starts(workflow: string, step?: string): HandlerRecord[] {
    return this.records(workflow).filter((entry) => entry.what === "start" && (step === undefined || entry.step === step));
  }

  async open(gate: string): Promise<void> {
    await writeFile(join(this.#gates, gate), "");
  }

  async close(gate: string): Promise<void> {
    await rm(join(this.#gates, gate), { force: true });
  }

  /** All runs of a workflow, oldest first. */
  async runs(workflow: string): Promise<RunView[]> {
    const found: RunView[] = [];
    for await (const run of this.client.runs.list({ workflow, size: 1_000 })) found.push(run);
    return found.reverse();
  }

  /** The runs of a workflow once there are `count`, and all have ended; in the order of their `n`. */
  async ended(workflow: string, count: number, timeoutMs = 20_000): Promise<RunView[]> {
    let last: RunView[] = [];
    await waitFor(
      async () => {
        last = await this.runs(workflow);
        return last.length >= count && last.every((run) => FINAL.includes(run.status));
      },
      { timeoutMs, intervalMs: 25, what: `${count} runs of ${workflow} to end` },
    ).catch((error: Error) => {
      const listed = new Set(last.map(({ id }) => id));
      const unlisted = [...new Set(this.starts(workflow).map(({ run }) => run))].filter((run) => !listed.has(run));
      throw new Error(
        `${error.message}; there are ${last.length}: ${JSON.stringify(tally(last))}; handlers also saw ${JSON.stringify(unlisted)}`,
        { cause: error },
      );
    });
    return last.sort((a, b) => numberOf(a) - numberOf(b));
  }

  /** Waits until the run has this status. */
  async until(id: string, status: RunStatus, timeoutMs = 10_000): Promise<RunView> {
    return await waitFor(
      async () => {
        const run = await this.client.runs.get(id);
        if (run.status === status) return run;
        if (FINAL.includes(run.status)) throw new Error(`it is ${run.status} (${run.reason})`);
        return undefined;
      },
      { timeoutMs, what: `run ${id} to be ${status}` },
    );
  }

  /** Waits until the handler of this run's step has started (for the `times`-th time). */
  async started(run: string, step?: string, times = 1): Promise<HandlerRecord> {
    return await waitFor(
      () =>
        this.records().filter(
          (entry) => entry.what === "start" && entry.run === run && (step === undefined || entry.step === step),
        )[times - 1],
      { what: `a handler of run ${run} to start ${times > 1 ? `${times} times` : ""}` },
    );
  }
}

/** What the test called the run. */
export function numberOf(run: RunView): number {
  return (run.input as { n?: number } | null)?.n ?? 0;
}

/** How many runs have which status and reason. */
export function tally(runs: readonly RunView[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, reason } of runs) {
    const name = reason === undefined ? status : `${status} ${reason}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** Starts everything; resolves once it answers. */
export async function startCluster(options: ClusterStart = {}): Promise<Cluster> {
  const { workflows = [], slots, workers = 1, worker, engine, server } = options;
  const cluster = new Cluster(await startTestServer(server), await temporaryFolder("acceptance"));
  await cluster.prepare();
  await cluster.startEngine(engine);
  cluster.client = await cluster.connect();
  cluster.nats = await connectNats({
    servers: cluster.server.url,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  });
  onCleanup(async () => await cluster.nats.close());
  if (workflows.length > 0)
    await Promise.all(
      Array.from({ length: workers }, () => cluster.startWorker(workflows, { ...worker, ...(slots !== undefined && { slots }) })),
    );
  return cluster;
}
