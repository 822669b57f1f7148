/**
 * The engine nodes and workers of a chaos test: the built command line, each as a process of its own with links of its own to
 * the NATS servers. A node has many lives; which there were, and how they ended, is kept for the checker.
 */
import { createWriteStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { now, RECORDS_VARIABLE } from "../acceptance/support/records.ts";
import { CLI_FILE, startNode, type TestProcess } from "../support/process.ts";
import { Links } from "./links.ts";
import type { NatsCluster } from "./nats-cluster.ts";

const WORKFLOWS_FILE = fileURLToPath(new URL("workflows.ts", import.meta.url));
const CLOCK_FILE = fileURLToPath(new URL("clock-shift.mjs", import.meta.url));
/** Longer than the drain timeout of a worker, and the giving back of partitions. */
const STOP_TIMEOUT_MS = 30_000;

/** From a start to an end, on the machine's monotonic clock in ms. */
export interface Life {
  readonly pid: number;
  readonly from: number;
  to?: number;
  /** `killed` and `stopped` by the test; anything else is a fault. */
  end?: "killed" | "stopped" | "by itself";
  output?: string;
}

export class ChaosProcess {
  readonly name: string;
  readonly kind: "engine" | "worker";
  readonly links: Links;
  readonly lives: Life[] = [];
  readonly #folder: string;
  readonly #args: readonly string[];
  readonly #ready: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #clockFile: string;
  #process: TestProcess | undefined;

  constructor(options: {
    readonly name: string;
    readonly kind: "engine" | "worker";
    readonly links: Links;
    readonly folder: string;
    readonly args: readonly string[];
    readonly ready: string;
    readonly env: Readonly<Record<string, string>>;
  }) {
    this.name = options.name;
    this.kind = options.kind;
    this.links = options.links;
    this.#folder = options.folder;
    this.#args = options.args;
    this.#ready = options.ready;
    this.#clockFile = join(options.folder, `${options.name}.clock`);
    this.#env = { ...options.env, SLUICE_CHAOS_CLOCK: this.#clockFile };
  }

  get running(): boolean {
    return this.#process !== undefined && !this.#process.ended;
  }

  get pid(): number {
    return this.lives.at(-1)?.pid ?? 0;
  }

  /** Starts it, and does not wait until it is ready: that may take a NATS cluster that is not there. */
  launch(): void {
    if (this.running) return;
    const started = startNode(["--import", pathToFileURL(CLOCK_FILE).href, CLI_FILE, ...this.#args], {
      cwd: this.#folder,
      env: this.#env,
    });
    const log = createWriteStream(join(this.#folder, `${this.name}.log`), { flags: "a" });
    log.write(`--- process ${started.pid}\n`);
    for (const stream of [started.child.stdout, started.child.stderr]) stream?.on("data", (text: string) => log.write(text));
    this.#process = started;
    const life: Life = { pid: started.pid, from: now() };
    this.lives.push(life);
    const ended = (): void => {
      life.to ??= now();
      if (life.end === undefined) {
        life.end = "by itself";
        life.output = `${started.stdout}${started.stderr}`.slice(-4_000);
      }
      log.end();
    };
    started.exited.then(ended, ended);
  }

  async ready(timeoutMs = 60_000): Promise<void> {
    await this.#process?.waitForOutput(this.#ready, timeoutMs);
  }

  async kill(): Promise<void> {
    if (!this.running) return;
    this.#ending("killed");
    await this.#process?.kill();
    const life = this.lives.at(-1);
    if (life !== undefined) life.to = now();
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    this.#ending("stopped");
    await this.#process?.stop("SIGTERM", STOP_TIMEOUT_MS);
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    if (this.running) process.kill(this.pid, signal);
  }

  /** Its wall clock is off by so much from now on; over its lives. */
  async shiftClock(ms: number): Promise<void> {
    await writeFile(this.#clockFile, String(ms));
  }

  #ending(how: "killed" | "stopped"): void {
    const life = this.lives.at(-1);
    if (life !== undefined) life.end ??= how;
  }
}

export interface EngineSettings {
  readonly lease: string;
  readonly partitions: number;
  readonly snapshotEvery: number;
}

export async function createEngineProcess(
  name: string,
  nats: NatsCluster,
  folder: string,
  { lease, partitions, snapshotEvery }: EngineSettings,
): Promise<ChaosProcess> {
  const links = await Links.open(name, nats);
  const dataDir = join(folder, `${name}-data`);
  await mkdir(dataDir, { recursive: true });
  return new ChaosProcess({
    name,
    kind: "engine",
    links,
    folder,
    ready: "the engine is ready",
    env: { SLUICE_LOG_LEVEL: "info" },
    args: [
      ...["engine", "--name", name, "--nats", links.urls.join(","), "--data-dir", dataDir, "--no-dashboard"],
      ...["--lease", lease, "--partitions", String(partitions), "--replicas", String(nats.servers.length)],
      ...["--snapshot-every", String(snapshotEvery)],
    ],
  });
}

export interface WorkerSettings {
  readonly slots: number;
  readonly heartbeat: string;
  readonly deadline: string;
  readonly drainTimeout: string;
}

export async function createWorkerProcess(
  name: string,
  nats: NatsCluster,
  folder: string,
  { slots, heartbeat, deadline, drainTimeout }: WorkerSettings,
): Promise<ChaosProcess> {
  const links = await Links.open(name, nats);
  return new ChaosProcess({
    name,
    kind: "worker",
    links,
    folder,
    ready: "takes work",
    env: { SLUICE_LOG_LEVEL: "info", [RECORDS_VARIABLE]: recordsFile(folder, name) },
    args: [
      ...["worker", WORKFLOWS_FILE, "--name", name, "--nats", links.urls.join(","), "--slots", String(slots)],
      ...["--heartbeat", heartbeat, "--deadline", deadline, "--drain-timeout", drainTimeout],
    ],
  });
}

/** What the handlers of a worker saw, over all its lives. */
export function recordsFile(folder: string, worker: string): string {
  return join(folder, `${worker}.records`);
}
