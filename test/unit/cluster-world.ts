/** Engine nodes of one cluster in memory: a map that a test changes, requests between them that it disturbs, and real partitions. */
import { pino } from "pino";
import type { OwnershipView } from "../../src/engine/cluster/ownership-view.ts";
import { NodeCalls } from "../../src/engine/cluster/node-calls.ts";
import { nextTick } from "../../src/engine/cron-ticks.ts";
import { OwnedPartitions } from "../../src/engine/owned-partitions.ts";
import { Partition } from "../../src/engine/partition.ts";
import { PartitionCore } from "../../src/engine/partition-core.ts";
import { Placement } from "../../src/engine/placement.ts";
import { Workflows } from "../../src/engine/workflows.ts";
import { isSluiceError } from "../../src/errors.ts";
import { errorReply, readErrorReply } from "../../src/nats/error-reply.ts";
import { type NodeChannel, type NodeHandler, NodeSilentError } from "../../src/nats/node-channel.ts";
import type { AnyWorkflow } from "../../src/workflow/workflow.ts";
import { TestSlots } from "../model/recovery-world.ts";

/** What becomes of a request to another node. */
export type Fate =
  | "answered"
  /** The node is not there. */
  | "refused"
  /** It is done, and the answer gets lost. */
  | "lost"
  /** No answer, for as long as the test runs. */
  | "hangs";

export interface TestNode {
  readonly id: string;
  readonly owned: OwnedPartitions;
  readonly calls: NodeCalls;
  readonly view: OwnershipView;
}

/** The cluster as a node sees it: at once. */
class TestView implements OwnershipView {
  readonly self: string;
  readonly #cluster: TestCluster;

  constructor(cluster: TestCluster, self: string) {
    this.#cluster = cluster;
    this.self = self;
  }

  get coordinator(): string | undefined {
    return this.#cluster.coordinator;
  }

  get nodes(): readonly string[] {
    return this.#cluster.members;
  }

  ownerOf(partition: number): string | undefined {
    return this.#cluster.ownerOf(partition);
  }

  onChanged(listener: () => void): () => void {
    return this.#cluster.onChanged(listener);
  }
}

export class TestCluster {
  readonly nodes: readonly TestNode[];
  readonly placement: Placement;
  readonly workflows = new Workflows();
  readonly partitions: readonly Partition[];
  /** Requests between nodes, as `<from>-><to> <operation>`. */
  readonly sent: string[] = [];
  fate: (to: string, operation: string) => Fate = () => "answered";
  coordinator: string | undefined;
  members: string[];
  /** Whether a node's session is assured. */
  assured: (node: string) => boolean = () => true;
  readonly #owners: (string | undefined)[];
  readonly #listeners = new Set<() => void>();
  readonly #handlers = new Map<string, NodeHandler>();

  constructor({
    nodes = 2,
    partitions = 4,
    patienceMs = 5_000,
    workflows = [],
  }: {
    nodes?: number;
    partitions?: number;
    patienceMs?: number;
    workflows?: readonly AnyWorkflow[];
  } = {}) {
    this.placement = new Placement(partitions);
    for (const { spec } of workflows) {
      for (const [limit, home] of this.placement.plan(spec).fresh) this.placement.setHome(limit, home);
      this.workflows.add(spec, 1, 0);
    }
    this.#owners = Array.from({ length: partitions }, () => undefined);
    this.partitions = this.#owners.map((_, number) => this.#newPartition(number));
    this.members = Array.from({ length: nodes }, (_, i) => `n${i}`);
    this.coordinator = this.members[0];
    this.nodes = this.members.map((id) => this.#newNode(id, partitions, patienceMs));
    for (const { calls } of this.nodes) calls.start();
  }

  node(index: number): TestNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`there is no node ${index}`);
    return node;
  }

  /** Owners by partition, as indexes of nodes. */
  own(...owners: readonly number[]): this {
    for (const [partition, index] of owners.entries()) this.give(partition, index);
    return this;
  }

  /** undefined: nobody owns it. `inMap`: what the map says, where that differs. */
  give(partition: number, index: number | undefined): void {
    for (const { owned } of this.nodes) owned.remove(partition);
    const it = this.partitions[partition];
    if (index !== undefined && it !== undefined) this.node(index).owned.add(it, 1);
    this.#owners[partition] = index === undefined ? undefined : this.node(index).id;
    this.changed();
  }

  /** The map says so; whether the node has the partition is another matter. */
  say(partition: number, index: number | undefined): void {
    this.#owners[partition] = index === undefined ? undefined : this.node(index).id;
    this.changed();
  }

  ownerOf(partition: number): string | undefined {
    return this.#owners[partition];
  }

  onChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  stop(): void {
    for (const { calls } of this.nodes) calls.stop();
    for (const partition of this.partitions) partition.abandon();
  }

  #newNode(id: string, partitions: number, patienceMs: number): TestNode {
    const owned = new OwnedPartitions(partitions);
    const view = new TestView(this, id);
    const calls = new NodeCalls({
      view,
      owned,
      channel: this.#channel(id),
      journalSeq: (partition) => 100 + partition,
      isCurrent: () => this.assured(id),
      patienceMs,
    });
    return { id, owned, calls, view };
  }

  #channel(from: string): NodeChannel {
    return {
      serve: (node, handler) => {
        this.#handlers.set(node, handler);
        return () => this.#handlers.delete(node);
      },
      request: async (node, operation, request) => {
        this.sent.push(`${from}->${node} ${operation}`);
        const handler = this.#handlers.get(node);
        const fate = this.fate(node, operation);
        await Promise.resolve();
        if (handler === undefined || fate === "refused") throw new NodeSilentError(node, operation);
        if (fate === "hangs") return await new Promise(() => undefined);
        try {
          const answer: unknown = await handler(operation, JSON.parse(JSON.stringify(request)));
          if (fate === "lost") throw new NodeSilentError(node, operation);
          return JSON.parse(JSON.stringify(answer ?? null)) as unknown;
        } catch (error) {
          if (!isSluiceError(error)) throw error;
          const reply = errorReply(operation, error);
          throw readErrorReply(operation, request, reply.error.message, String(reply.error.status), JSON.stringify(reply));
        }
      },
    };
  }

  #newPartition(number: number): Partition {
    let seq = 0;
    const partition = new Partition({
      core: new PartitionCore({
        partition: number,
        workflows: this.workflows,
        placement: this.placement,
        slots: new TestSlots(),
        rulesOf: () => undefined,
        nextTick,
        newRunId: () => "unused",
        maxOutputBytes: 10_000,
      }),
      journal: {
        append: () => Promise.resolve({ outcome: "committed" as const, seq: ++seq }),
        snapshot: () => Promise.resolve(),
      },
      effects: { handle: () => undefined, flush: () => undefined, committed: () => undefined },
      now: () => Date.now(),
      logger: pino({ level: "silent" }),
      maxPayloadBytes: 1_000_000,
      snapshotEvery: 1_000_000,
      pump: () => undefined,
      onFenced: () => undefined,
    });
    partition.start(0);
    return partition;
  }
}
