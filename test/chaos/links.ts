/** The links of one program to each server of the cluster: a proxy each, so that any of them can be disturbed alone. */
import { onCleanup } from "../support/cleanup.ts";
import type { NatsCluster } from "./nats-cluster.ts";
import { TcpProxy } from "./tcp-proxy.ts";

export class Links {
  readonly proxies: readonly TcpProxy[];

  private constructor(proxies: readonly TcpProxy[]) {
    this.proxies = proxies;
  }

  /** Closed with the test. */
  static async open(name: string, { servers }: NatsCluster): Promise<Links> {
    const links = new Links(
      await Promise.all(servers.map((server) => TcpProxy.listen(`${name}~${server.name}`, server.ports.client))),
    );
    onCleanup(async () => await Promise.all(links.proxies.map((proxy) => proxy.close())));
    return links;
  }

  get urls(): string[] {
    return this.proxies.map(({ port }) => `nats://127.0.0.1:${port}`);
  }
}
