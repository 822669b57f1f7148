/**
 * A cluster in memory, for the way of runs to their partitions: real partitions with journals that are fenced, inboxes, nodes with their
 * transfers, and routers, of which some are old and do not know it. Nothing happens by itself: each append, each publish and each
 * message is finished when the test says so, as it says.
 */
import { pino } from "pino";
import { checkCommand } from "../../src/engine/check-command.ts";
import type { Effect } from "../../src/engine/core/batch-builder.ts";
import { nextTick } from "../../src/engine/cron-ticks.ts";
import { decodeBatch, encodeBatch } from "../../src/engine/facts.ts";
import { OwnedPartitions } from "../../src/engine/owned-partitions.ts";
import { type Journal, Partition } from "../../src/engine/partition.ts";
import { PartitionCore } from "../../src/engine/partition-core.ts";
import { Placement } from "../../src/engine/placement.ts";
import { fromTransfer } from "../../src/engine/routing.ts";
import type { Creation } from "../../src/engine/run.ts";
import { type TransferSource, Transfers } from "../../src/engine/transfers.ts";
import { type CompiledWorkflow, Workflows } from "../../src/engine/workflows.ts";
import type { TransferCommand } from "../../src/protocol/commands.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { TestSlots } from "../model/recovery-world.ts";

export const PARTITIONS = 3;
const NODES = 3;
const logger = pino({ level: "silent" });
const START_MS = Date.UTC(2026, 0, 1);

const workflows = new Workflows();
const placement = new Placement(PARTITIONS);
const free = workflows.add(defineWorkflow({ name: "free" }).step("a", () => 1).spec, 1, 0);
const limited = workflows.add(
  defineWorkflow({ name: "limited", concurrency: { key: "input.k", maxRuns: 9, strategy: "GROUP_ROUND_ROBIN" } }).step(
    "a",
    () => 1,
  ).spec,
  2,
  0,
);

/** Where an event's runs go first: those of `limited` by way of their home, as if a worker had computed their keys there. */
function routesOf(seq: number): { partition: number; workflow: CompiledWorkflow; place: number }[] {
  const routes = [{ partition: (seq * 7) % PARTITIONS, workflow: free, place: 0 }];
  if (seq % 2 === 0) routes.push({ partition: placement.homeOf("limited"), workflow: limited, place: 1 });
  return routes;
}

interface Append {
  readonly partition: number;
  readonly host: Host;
  readonly finish: () => void;
}

interface Publish {
  readonly partition: number;
  readonly text: string;
  readonly resolve: (ack: { seq: number }) => void;
  readonly reject: (error: Error) => void;
}

export type PublishOutcome = "stored" | "stored, unknown" | "refused" | "late" | "stored twice";

class Host {
  readonly number: number;
  readonly partition: Partition;
  readonly node: Node;
  #read: number;
  #applied: number;
  #waiters: { seq: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  readonly #world: World;

  constructor(world: World, node: Node, number: number) {
    this.#world = world;
    this.node = node;
    this.number = number;
    const journal = world.journals[number] as string[];
    const epoch = ++world.epochs;
    journal.push(encodeBatch(0, undefined, [JSON.stringify({ k: "owner", at: START_MS, node: node.id, epoch })], epoch));
    const core = new PartitionCore({
      partition: number,
      workflows,
      placement,
      slots: new TestSlots(),
      rulesOf: () => undefined,
      nextTick,
      newRunId: () => "cron",
      maxOutputBytes: 10_000,
    });
    for (const text of journal) core.replayBatch(decodeBatch(text));
    let expected = journal.length;
    const appends: Journal = {
      append: (text) =>
        new Promise((resolve) => {
          const finish = (): void => {
            if (journal.length !== expected) return resolve({ outcome: "fenced" });
            journal.push(text);
            expected = journal.length;
            resolve({ outcome: "committed", seq: expected });
          };
          world.appends.push({ partition: number, host: this, finish });
        }),
      snapshot: () => Promise.resolve(),
    };
    this.partition = new Partition({
      core,
      journal: appends,
      effects: {
        handle: (partition, effect: Effect) => {
          if (effect.type === "handover") node.transfers.handOver(partition, effect.to, effect.n, effect.creation);
        },
        flush: () => undefined,
        committed: () => undefined,
      },
      now: () => START_MS,
      setTimer: () => () => undefined,
      logger,
      maxPayloadBytes: 1_000_000,
      snapshotEvery: Infinity,
      pump: () => undefined,
      epoch,
      onFenced: () => this.drop(),
    });
    this.#read = this.#applied = core.inboxSeq;
    this.partition.start(journal.length);
  }

  /** One message of the inbox; false when there is none. */
  deliver(): boolean {
    const message = this.#world.inboxes[this.number]?.[this.#read];
    if (message === undefined) return false;
    const seq = ++this.#read;
    const command = JSON.parse(message) as TransferCommand;
    checkCommand(command);
    this.partition.enqueue({
      type: "transfer",
      seq,
      source: command.source,
      items: command.items.map(({ position, run }) => {
        const workflow = workflows.get(run.workflow, run.version);
        return { position, creation: workflow && fromTransfer(run, workflow) };
      }),
      bytes: message.length,
      applied: () => {
        this.#applied = seq;
        for (const waiter of this.#waiters) if (waiter.seq <= seq) waiter.resolve();
        this.#waiters = this.#waiters.filter((waiter) => waiter.seq > seq);
      },
    });
    return true;
  }

  reaches(seq: number): Promise<void> {
    if (this.#applied >= seq) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ seq, resolve, reject }));
  }

  leave(): void {
    if (this.node.hosts.get(this.number) !== this) return;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new Error("it leaves"));
    this.node.hosts.delete(this.number);
    this.node.owned.remove(this.number);
  }

  drop(): void {
    this.partition.abandon();
    this.leave();
  }
}

class Router {
  readonly node: Node;
  readonly #world: World;
  readonly #life: number;
  readonly #source: TransferSource;
  #read: number;

  constructor(world: World, node: Node) {
    this.#world = world;
    this.node = node;
    this.#life = ++world.routers;
    this.#read = world.saved;
    this.#source = node.transfers.open("events");
  }

  /** One event; false when there is none. */
  route(): boolean {
    const { world, seq } = { world: this.#world, seq: this.#read + 1 };
    if (seq > world.events) return false;
    for (const { partition, workflow, place } of routesOf(seq)) {
      const creation: Creation = {
        run: `e${seq}_${place}_${this.#life}`,
        workflow,
        createdAt: START_MS,
        input: JSON.stringify({ k: `k${seq % 5}` }),
        event: { name: "x", seq },
        ...(workflow === limited && { keys: [`k${seq % 5}`] }),
      };
      this.#source.send(partition, [seq, place], creation);
    }
    this.#read = seq;
    return true;
  }

  get durable(): number {
    const { pending } = this.#source;
    return pending === undefined ? this.#read : Math.min(this.#read, pending[0] - 1);
  }

  end(): void {
    this.#source.end();
  }
}

class Node {
  readonly id: string;
  readonly owned = new OwnedPartitions(PARTITIONS);
  readonly hosts = new Map<number, Host>();
  readonly transfers: Transfers;

  constructor(world: World, id: string) {
    this.id = id;
    this.transfers = new Transfers({
      owned: this.owned,
      publish: (partition, text) => new Promise((resolve, reject) => world.publishes.push({ partition, text, resolve, reject })),
      applied: (partition, seq) => this.hosts.get(partition)?.reaches(seq) ?? Promise.reject(new Error("not here")),
      maxPayloadBytes: () => world.maxPayloadBytes,
      setTimer: (call) => {
        world.timers.add(call);
        return () => world.timers.delete(call);
      },
      logger,
    });
  }

  own(world: World, number: number): void {
    this.hosts.get(number)?.drop();
    const host = new Host(world, this, number);
    this.hosts.set(number, host);
    this.owned.add(host.partition, world.epochs);
  }
}

export class World {
  readonly journals: string[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly inboxes: string[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly timers = new Set<() => void>();
  readonly appends: Append[] = [];
  readonly publishes: Publish[] = [];
  readonly late: Publish[] = [];
  readonly nodes: Node[] = [];
  /** By partition. */
  readonly owners: Node[] = [];
  epochs = 0;
  routers = 0;
  saved = 0;
  events: number;
  maxPayloadBytes = 1_500;
  /** The one that is in office. */
  router: Router;
  /** Those that are not, and go on for a while. */
  readonly oldRouters: Router[] = [];
  #ids = 0;

  constructor(events: number) {
    this.events = events;
    for (let i = 0; i < NODES; i++) this.nodes.push(new Node(this, `n${++this.#ids}`));
    for (let number = 0; number < PARTITIONS; number++) {
      const node = this.nodes[number % NODES] as Node;
      this.owners[number] = node;
      node.own(this, number);
    }
    this.router = new Router(this, this.nodes[0] as Node);
  }

  settled(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  store({ partition, text }: Publish): { seq: number } {
    const inbox = this.inboxes[partition] as string[];
    inbox.push(text);
    return { seq: inbox.length };
  }

  finishPublish(index: number, outcome: PublishOutcome): void {
    const [publish] = this.publishes.splice(index, 1);
    if (publish === undefined) return;
    switch (outcome) {
      case "stored":
        return publish.resolve(this.store(publish));
      case "stored twice": {
        const ack = this.store(publish);
        this.store(publish);
        return publish.resolve(ack);
      }
      case "stored, unknown":
        this.store(publish);
        return publish.reject(new Error("no acknowledgement came"));
      case "late":
        this.late.push(publish);
        return publish.reject(new Error("no acknowledgement came"));
      case "refused":
        return publish.reject(new Error("the stream is full"));
    }
  }

  finishAppend(index: number): void {
    this.appends.splice(index, 1)[0]?.finish();
  }

  fireTimers(): void {
    for (const call of [...this.timers]) {
      this.timers.delete(call);
      call();
    }
  }

  /** The partition goes to another node; the old owner ends in peace, and says that it is gone before or after that. */
  async handOver(number: number, to: Node, { leaves }: { leaves: "first" | "last" }): Promise<void> {
    const from = this.owners[number];
    const host = from?.hosts.get(number);
    if (from === to || host === undefined) return this.takeOver(number, to);
    if (leaves === "first") host.leave();
    let over = false;
    void host.partition.stop({ snapshot: false }).then(() => (over = true));
    for (let i = 0; !over && i < 1_000; i++) {
      for (let at = this.appends.length - 1; at >= 0; at--) if (this.appends[at]?.host === host) this.finishAppend(at);
      await this.settled();
    }
    host.leave();
    this.owners[number] = to;
    to.own(this, number);
  }

  /** Nobody has it for a while. */
  leaveAlone(number: number): void {
    this.owners[number]?.hosts.get(number)?.drop();
  }

  /** Another node claims it; the old owner does not know yet, until the fence says so. */
  takeOver(number: number, to: Node): void {
    const from = this.owners[number];
    if (from === to && from.hosts.has(number)) return;
    this.owners[number] = to;
    to.own(this, number);
  }

  /** The router goes on elsewhere; the old one is over at once, or goes on until it is told. */
  moveRouter(to: Node, { old }: { old: "over" | "goes on" }): void {
    if (old === "over" || to === this.router.node) this.router.end();
    else this.oldRouters.push(this.router);
    // A node has one router at most: it drops the old one before it claims the role anew.
    for (const other of [...this.oldRouters]) if (other.node === to) this.endOld(other);
    this.router = new Router(this, to);
  }

  endOld(router: Router): void {
    router.end();
    this.oldRouters.splice(this.oldRouters.indexOf(router), 1);
  }

  /** By compare-and-set: only the one in office can. */
  save(): void {
    this.saved = Math.max(this.saved, this.router.durable);
  }

  /** A process dies, and starts anew under another id. What it has sent may arrive still. */
  kill(index: number): void {
    const node = this.nodes[index] as Node;
    const fresh = new Node(this, `n${++this.#ids}`);
    const others = this.nodes.filter((other) => other !== node);
    node.transfers.stop();
    for (const host of [...node.hosts.values()]) host.drop();
    for (const router of [...this.oldRouters]) if (router.node === node) this.endOld(router);
    this.nodes[index] = fresh;
    for (let number = 0; number < PARTITIONS; number++)
      if (this.owners[number] === node) this.takeOver(number, others[number % others.length] as Node);
    if (this.router.node === node) this.moveRouter(others[0] as Node, { old: "over" });
  }

  /** From here on all goes well, until nothing is left to do. */
  async heal(): Promise<void> {
    for (let number = 0; number < PARTITIONS; number++) this.takeOver(number, this.owners[number] as Node);
    for (let idle = 0, round = 0; idle < 3; round++) {
      if (round > 20_000) throw new Error("it does not come to rest");
      let busy = false;
      while (this.publishes.length > 0) {
        this.finishPublish(0, "stored");
        busy = true;
      }
      while (this.appends.length > 0) {
        this.finishAppend(0);
        busy = true;
      }
      if (this.timers.size > 0) {
        this.fireTimers();
        busy = true;
      }
      for (const node of this.nodes) for (const host of node.hosts.values()) if (host.deliver()) busy = true;
      if (this.router.route()) busy = true;
      await this.settled();
      idle = busy ? 0 : idle + 1;
    }
  }

  /** What is wrong, in words; empty when nothing is. */
  problems(): string[] {
    const problems: string[] = [];
    const found = new Map<string, string[]>();
    for (const [number, journal] of this.journals.entries()) {
      const moved = new Set<string>();
      const last = new Map<string, readonly [number, number]>();
      const created: string[] = [];
      for (const text of journal)
        for (const fact of decodeBatch(text).f) {
          if (fact.k === "moved") moved.add(fact.run);
          if (fact.k !== "created") continue;
          const [, seq = 0, place = 0] = /^e(\d+)_(\d+)_/.exec(fact.run)?.map(Number) ?? [];
          const before = last.get(fact.wf);
          if (before !== undefined && (seq < before[0] || (seq === before[0] && place <= before[1])))
            problems.push(`p${number}: ${fact.run} came after ${fact.wf} ${before.join(".")}`);
          last.set(fact.wf, [seq, place]);
          created.push(fact.run);
        }
      for (const run of created) {
        if (moved.has(run)) continue;
        const id = run.replace(/_\d+$/, "");
        found.set(id, [...(found.get(id) ?? []), `${run}@p${number}`]);
      }
    }
    for (let seq = 1; seq <= this.events; seq++)
      for (const { place } of routesOf(seq)) {
        const runs = found.get(`e${seq}_${place}`) ?? [];
        if (runs.length !== 1) problems.push(`e${seq}_${place}: ${runs.length === 0 ? "is lost" : runs.join(", ")}`);
      }
    return problems;
  }
}
