/**
 * Several engine nodes as processes, and which of them owns a partition: as the nodes say themselves where they share the
 * partitions out; else the one that is ready has them all, and the others stand by.
 */
import type { NatsConnection } from "@nats-io/transport-node";
import type { Child } from "./child.ts";
import { type Lab, until } from "./lab.ts";

export interface EngineSettings {
  readonly count: number;
  readonly lease: string;
  readonly partitions: number;
  /** Copies of each stream. */
  readonly replicas: number;
}

interface ListedNode {
  readonly pid: number;
  readonly coordinator?: boolean;
  readonly partitions: readonly { readonly partition: number; readonly state: string }[];
}

export class Engines {
  readonly #lab: Lab;
  readonly #nats: NatsConnection;
  readonly #settings: EngineSettings;
  readonly #children: { child: Child; ready: boolean; readonly name: string }[] = [];

  constructor(lab: Lab, nats: NatsConnection, settings: EngineSettings) {
    this.#lab = lab;
    this.#nats = nats;
    this.#settings = settings;
  }

  get all(): readonly Child[] {
    return this.#children.map(({ child }) => child);
  }

  /** Starts all; resolves once every partition has its owner, and every node its share. */
  async start(): Promise<void> {
    for (let i = 0; i < this.#settings.count; i++) this.#children.push({ ...this.#launch(`engine-${i}`), name: `engine-${i}` });
    await this.settled();
  }

  /** How the nodes are told to share the partitions: false where one of them has all. */
  async shares(): Promise<boolean> {
    return (await this.#nodes()) !== undefined;
  }

  /** Resolves once every partition has its owner, and every node its share. */
  async settled(): Promise<void> {
    const { count, partitions } = this.#settings;
    await until(async () => {
      if (!this.#children.some(({ ready }) => ready)) return false;
      const nodes = await this.#nodes();
      if (nodes === undefined) return true;
      const owned = nodes.flatMap((node) => node.partitions.filter(({ state }) => state === "owned"));
      const least = Math.min(...nodes.map((node) => node.partitions.length));
      return nodes.length === count && owned.length === partitions && least >= Math.floor(partitions / count);
    });
  }

  /** The process that has the partition, and all the partitions that it has. */
  async ownerOf(partition: number): Promise<{ readonly child: Child; readonly partitions: readonly number[] }> {
    const nodes = await this.#nodes();
    const all = Array.from({ length: this.#settings.partitions }, (_, i) => i);
    const node = nodes?.find((one) => one.partitions.some((owned) => owned.partition === partition));
    const found = this.#children.find(({ child, ready }) => (node === undefined ? ready : child.process.pid === node.pid));
    if (found === undefined) throw new Error(`nobody has partition ${partition}`);
    return { child: found.child, partitions: node?.partitions.map((owned) => owned.partition) ?? all };
  }

  /** Starts a process in the place of one that was killed. */
  async replace(killed: Child): Promise<void> {
    const place = this.#children.findIndex(({ child }) => child === killed);
    const before = this.#children[place];
    if (before === undefined) return;
    this.#children[place] = { ...this.#launch(before.name), name: before.name };
    await this.#children[place]?.child.next("launched");
    await this.settled();
  }

  #launch(name: string): { child: Child; ready: boolean } {
    const { lease, partitions, replicas } = this.#settings;
    const { urls, folder } = this.#lab;
    const child = this.#lab.launch("engine-process.ts", urls, `${folder}/${name}`, lease, String(partitions), String(replicas));
    child.on((message) => {
      const own = this.#children.find((one) => one.child === child);
      if (own !== undefined && ("ready" in message || "lost" in message)) own.ready = "ready" in message;
    });
    return { child, ready: false };
  }

  /** Undefined where engines know no such list. */
  async #nodes(): Promise<readonly ListedNode[] | undefined> {
    try {
      const reply = await this.#nats.request("sluice.api.node.list", "{}", { timeout: 2_000 });
      if (reply.headers?.get("Nats-Service-Error-Code") !== undefined && reply.headers.get("Nats-Service-Error-Code") !== "")
        return [];
      return reply.json<{ readonly items: readonly ListedNode[] }>().items;
    } catch (error) {
      if (/no responders/i.test(String(error))) return undefined;
      return [];
    }
  }
}
