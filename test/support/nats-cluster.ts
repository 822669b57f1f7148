/** Several real nats-servers that are one NATS cluster, on free ports of this machine; gone at the end of the test. */
import { createServer } from "node:net";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import { startTestServer } from "./nats.ts";

export interface TestNatsCluster {
  readonly servers: readonly NatsServer[];
  /** The addresses of all, for `servers`. */
  readonly urls: readonly string[];
  /** Starts one more of those that were announced at the beginning. */
  add(): Promise<NatsServer>;
}

/** `running` of `size` servers are started, and know of the others. */
export async function startTestNatsCluster(size = 3, running = size): Promise<TestNatsCluster> {
  const ports = await freePorts(size);
  const routes = ports.map((port) => `nats://127.0.0.1:${port}`).join(", ");
  const start = (index: number): Promise<NatsServer> =>
    startTestServer({
      config: `server_name: n${index}\ncluster { name: test, listen: "127.0.0.1:${ports[index]}", routes: [${routes}] }`,
    });
  const servers = await Promise.all(Array.from({ length: running }, (_, index) => start(index)));
  return {
    servers,
    get urls() {
      return servers.map(({ url }) => url);
    },
    async add() {
      const server = await start(servers.length);
      servers.push(server);
      return server;
    },
  };
}

/** Ports that nobody listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const probes = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<{ readonly port: number; readonly close: () => Promise<void> }>((resolve, reject) => {
          const probe = createServer();
          probe.on("error", reject);
          probe.listen(0, "127.0.0.1", () => {
            const address = probe.address();
            const port = typeof address === "object" && address !== null ? address.port : 0;
            resolve({ port, close: () => new Promise((done) => probe.close(() => done())) });
          });
        }),
    ),
  );
  await Promise.all(probes.map((probe) => probe.close()));
  return probes.map(({ port }) => port);
}
