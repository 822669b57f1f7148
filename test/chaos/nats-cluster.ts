/**
 * Three nats-servers with JetStream that form one cluster, as processes that can be killed, paused, started again and robbed of
 * their disk. Their routes to each other go through proxies, one per pair and direction; what clients connect through is made here too. It
 * knows nothing of Sluice.
 */
import { createServer, type AddressInfo } from "node:net";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createWriteStream } from "node:fs";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { onCleanup } from "../support/cleanup.ts";
import { startProcess, type TestProcess } from "../support/process.ts";
import { waitFor } from "../support/wait.ts";
import { TcpProxy } from "./tcp-proxy.ts";

const run = promisify(execFile);
/** Nobody listens there: servers that tell each other of routes beside the proxies find nothing. */
const NOWHERE = "127.0.0.1:1";
const READY_MS = 60_000;

interface Ports {
  readonly client: number;
  readonly route: number;
  readonly monitor: number;
}

/** One server. Calls are not queued: one at a time. */
export class ClusterServer {
  readonly index: number;
  readonly ports: Ports;
  /** From it to each of the others. */
  readonly routes: readonly TcpProxy[];
  readonly #binary: string;
  readonly #folder: string;
  #process: TestProcess | undefined;

  constructor(index: number, binary: string, folder: string, ports: Ports, routes: readonly TcpProxy[]) {
    this.index = index;
    this.ports = ports;
    this.routes = routes;
    this.#binary = binary;
    this.#folder = folder;
  }

  get name(): string {
    return `nats-${this.index}`;
  }

  get running(): boolean {
    return this.#process !== undefined && !this.#process.ended;
  }

  get pid(): number {
    if (this.#process === undefined) throw new Error(`${this.name} was never started`);
    return this.#process.pid;
  }

  async start(): Promise<void> {
    const storeDir = join(this.#folder, this.name);
    await mkdir(storeDir, { recursive: true });
    const file = join(this.#folder, `${this.name}.conf`);
    await writeFile(file, this.#configuration(storeDir));
    const started = startProcess(this.#binary, ["--config", file]);
    const log = createWriteStream(join(this.#folder, `${this.name}.log`), { flags: "a" });
    started.child.stderr?.pipe(log);
    this.#process = started;
    await waitFor(() => started.ended || this.#answers("?js-server-only=true"), {
      timeoutMs: READY_MS,
      intervalMs: 50,
      what: `${this.name} to start`,
    });
    if (started.ended) throw new Error(`${this.name} ended at its start:\n${started.stderr.slice(-2_000)}`);
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  async stop(): Promise<void> {
    if (this.running) await this.#process?.stop();
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    process.kill(this.pid, signal);
  }

  /** Its disk is new. Only while it does not run. */
  async wipe(): Promise<void> {
    await rm(join(this.#folder, this.name), { recursive: true, force: true });
  }

  /** From now on no file of it can grow: what it writes is refused, as on a full disk. It takes a new start to write again. */
  async fillDisk(): Promise<void> {
    await run("prlimit", ["--pid", String(this.pid), "--fsize=1"]);
  }

  /** Resolves once it has everything that the others have. */
  async caughtUp(timeoutMs: number): Promise<void> {
    await waitFor(() => this.#answers(""), { timeoutMs, intervalMs: 500, what: `${this.name} to catch up` });
  }

  async #answers(query: string): Promise<boolean> {
    const response = await fetch(`http://127.0.0.1:${this.ports.monitor}/healthz${query}`, {
      signal: AbortSignal.timeout(2_000),
    });
    const text = await response.text();
    if (response.ok) return true;
    throw new Error(text);
  }

  #configuration(storeDir: string): string {
    return [
      `server_name: ${this.name}`,
      "host: 127.0.0.1",
      `port: ${this.ports.client}`,
      `http: "127.0.0.1:${this.ports.monitor}"`,
      `jetstream { store_dir: ${JSON.stringify(storeDir)} }`,
      "cluster {",
      "  name: chaos",
      `  listen: "127.0.0.1:${this.ports.route}"`,
      `  advertise: "${NOWHERE}"`,
      "  no_advertise: true",
      `  routes: [${this.routes.map(({ port }) => `"nats://127.0.0.1:${port}"`).join(", ")}]`,
      "}",
      "",
    ].join("\n");
  }
}

export class NatsCluster {
  readonly servers: readonly ClusterServer[];

  private constructor(servers: readonly ClusterServer[]) {
    this.servers = servers;
  }

  /** Starts `count` servers whose files are in `folder`; resolves once JetStream answers. Ended with the test. */
  static async start(binary: string, folder: string, count = 3): Promise<NatsCluster> {
    const free = await freePorts(count * 3);
    const ports = Array.from({ length: count }, (_, index): Ports => {
      const [client = 0, route = 0, monitor = 0] = free.slice(index * 3);
      return { client, route, monitor };
    });
    const servers = await Promise.all(
      ports.map(async (own, index) => {
        const routes = ports.map(async ({ route }, other) =>
          other === index ? [] : [await TcpProxy.listen(`nats-${index}~nats-${other}`, route)],
        );
        return new ClusterServer(index, binary, folder, own, (await Promise.all(routes)).flat());
      }),
    );
    onCleanup(async () => await Promise.all(servers.flatMap(({ routes }) => routes.map((route) => route.close()))));
    const cluster = new NatsCluster(servers);
    await Promise.all(servers.map((server) => server.start()));
    await cluster.caughtUp(READY_MS);
    return cluster;
  }

  /** Addresses without a proxy, for those who only watch. */
  get urls(): string[] {
    return this.servers.map(({ ports }) => `nats://127.0.0.1:${ports.client}`);
  }

  /** What connects two servers: whichever dialled first, both ways are listed. */
  routesBetween(one: ClusterServer, other: ClusterServer): TcpProxy[] {
    const names = [`${one.name}~${other.name}`, `${other.name}~${one.name}`];
    return [...one.routes, ...other.routes].filter(({ name }) => names.includes(name));
  }

  /** Resolves once every server has everything: then any one may be lost. */
  async caughtUp(timeoutMs: number): Promise<void> {
    await Promise.all(this.servers.map((server) => server.caughtUp(timeoutMs)));
    await waitFor(() => this.#replicated(), { timeoutMs, intervalMs: 500, what: "all streams to be replicated" });
  }

  /** What each server itself holds of a stream: first and last sequence and number of messages, as one text. */
  async streamStates(stream: string): Promise<string[]> {
    return await Promise.all(
      this.servers.map(async (server) => {
        const { account_details = [] } = await reportOf(server);
        const details = account_details.flatMap(({ stream_detail = [] }) => stream_detail);
        const state = details.find(({ name }) => name === stream)?.state;
        return state === undefined ? "nothing" : `${state.first_seq} to ${state.last_seq}, ${state.messages} messages`;
      }),
    );
  }

  /** Whether each stream has a leader that knows all its followers to be current. */
  async #replicated(): Promise<boolean> {
    const led = new Set<string>();
    const known = new Set<string>();
    for (const server of this.servers) {
      const { name } = server;
      const { account_details = [] } = await reportOf(server);
      for (const { stream_detail = [] } of account_details)
        for (const { name: stream, cluster } of stream_detail) {
          known.add(stream);
          if (cluster?.leader === name && (cluster.replicas ?? []).every(({ current }) => current === true)) led.add(stream);
        }
    }
    const missing = [...known].filter((stream) => !led.has(stream));
    if (missing.length > 0) throw new Error(`not current everywhere: ${missing.join(", ")}`);
    return true;
  }
}

async function reportOf({ ports }: ClusterServer): Promise<JetStreamReport> {
  const response = await fetch(`http://127.0.0.1:${ports.monitor}/jsz?streams=true`, { signal: AbortSignal.timeout(2_000) });
  return (await response.json()) as JetStreamReport;
}

/** What is used here of a server's `/jsz`. */
interface JetStreamReport {
  readonly account_details?: readonly {
    readonly stream_detail?: readonly {
      readonly name: string;
      readonly state?: { readonly first_seq: number; readonly last_seq: number; readonly messages: number };
      readonly cluster?: { readonly leader?: string; readonly replicas?: readonly { readonly current?: boolean }[] };
    }[];
  }[];
}

/** Ports that were free a moment ago; all different. */
async function freePorts(count: number): Promise<number[]> {
  const listeners = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer();
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = listeners.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(listeners.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
