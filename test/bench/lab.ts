/** Where a sample is taken: servers and a folder of its own, the processes that it starts, and clocks that they share. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NatsConnection } from "@nats-io/transport-node";
import { findNatsServerBinary } from "../../dist/src/dev/nats-server-finder.js";
import { type NatsServer, startNatsServer } from "../../dist/src/dev/nats-server.js";
import { Child, type Usage } from "./child.ts";

export const binary = await findNatsServerBinary({ log: (line: string) => console.error(line) });

export interface Lab {
  /** The first of them. */
  readonly server: NatsServer;
  /** The addresses of all, with commas between them. */
  readonly urls: string;
  readonly folder: string;
  /** Starts a process and does not wait for it. */
  launch(script: string, ...args: string[]): Child;
  /** Starts a process; resolves once it is ready. */
  start(script: string, ...args: string[]): Promise<Child>;
}

/** Servers and a folder of their own; everything that was started is ended with them. */
export async function withLab(
  run: (lab: Lab) => Promise<void>,
  { servers: count = 1 }: { readonly servers?: number } = {},
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const servers = await startServers(folder, count);
  const children: Child[] = [];
  const launch = (script: string, ...args: string[]): Child => {
    const child = new Child(script, args);
    children.push(child);
    return child;
  };
  try {
    await run({
      server: servers[0] as NatsServer,
      urls: servers.map(({ url }) => url).join(","),
      folder,
      launch,
      start: async (script, ...args) => {
        const child = launch(script, ...args);
        await child.ready();
        return child;
      },
    });
  } finally {
    for (const child of children.reverse()) await child.kill();
    await Promise.all(servers.map((server) => server.stop()));
    await rm(folder, { recursive: true, force: true });
  }
}

async function startServers(folder: string, count: number): Promise<NatsServer[]> {
  const options = (name: string) => ({ binary: binary.path, port: 0, storeDir: join(folder, name) });
  if (count === 1) return [await startNatsServer(options("nats"))];
  const ports = await Promise.all(Array.from({ length: count }, freePort));
  const routes = ports.map((port) => `nats://127.0.0.1:${port}`).join(", ");
  const config = (i: number): string =>
    `server_name: n${i}\ncluster { name: bench, listen: "127.0.0.1:${ports[i]}", routes: [${routes}] }`;
  return await Promise.all(ports.map((_, i) => startNatsServer({ ...options(`nats-${i}`), config: config(i) })));
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** Asks until it is so. What a benchmark waits for comes, or its own end does. */
export async function until(condition: () => Promise<boolean> | boolean, intervalMs = 50): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, intervalMs));
}

export const cpuMs = (before: Usage, after: Usage): number =>
  (after.cpu.user - before.cpu.user + after.cpu.system - before.cpu.system) / 1_000;
/** Comparable between the processes of one machine, in ms. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Counts runs that have ended with success, as anyone could. */
export function countSucceeded(
  nats: NatsConnection,
  workflow: string,
): { reach(count: number): Promise<number>; count(): number } {
  let count = 0;
  let target = Infinity;
  let reached: (at: number) => void = () => undefined;
  nats.subscribe(`sluice.runs.${workflow}.*.succeeded`, {
    callback: () => {
      if (++count >= target) reached(now());
    },
  });
  return {
    count: () => count,
    reach: (wanted) => {
      target = wanted;
      return count >= wanted ? Promise.resolve(now()) : new Promise((resolve) => (reached = resolve));
    },
  };
}
