/**
 * Engine nodes as members of a cluster, in virtual time, without NATS and without partitions: the bucket is a map that can be away, slow to
 * answer, or quicker for another; what nodes take and give back is written down.
 */
import { pino } from "pino";
import { createMembership, type Membership } from "../../src/engine/cluster/membership.ts";
import type { MembershipOptions } from "../../src/engine/cluster/membership-options.ts";
import type { MapBucket } from "../../src/engine/cluster/map-store.ts";
import type { ClusterMap, Role } from "../../src/engine/cluster/cluster-map.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";

export class MemoryBucket {
  readonly entries = new Map<string, { text: string | undefined; revision: number }>();
  revision = 0;
  /** Successful writes, by key. */
  readonly writes: string[] = [];

  map(): ClusterMap {
    return JSON.parse(this.entries.get("map")?.text ?? '{"v":1,"nodes":{},"owners":{}}') as ClusterMap;
  }

  get(key: string): { value: unknown; revision: number } | undefined {
    const entry = this.entries.get(key);
    return entry?.text === undefined ? undefined : { value: JSON.parse(entry.text) as unknown, revision: entry.revision };
  }

  compareAndSet(key: string, value: unknown, revision: number): number | undefined {
    if ((this.entries.get(key)?.revision ?? 0) !== revision) return undefined;
    return this.#set(key, JSON.stringify(value));
  }

  delete(key: string): void {
    this.#set(key, undefined);
  }

  #set(key: string, text: string | undefined): number {
    this.revision++;
    this.entries.set(key, { text, revision: this.revision });
    this.writes.push(key);
    return this.revision;
  }
}

export const TTL_MS = 3_000;

/** One process: what it owns, and how it stands to the rest of the world. */
export class TestNode {
  readonly name: string;
  readonly world: ClusterWorld;
  readonly membership: Membership;
  /** What runs here, with the epoch that it was taken under. */
  readonly running = new Map<Role, number>();
  readonly log: string[] = [];
  outcasts = 0;
  info: unknown = undefined;
  /** Cannot reach NATS. */
  cutOff = false;
  /** Its next writes get through, but their answer does not. */
  losesAnswers = 0;
  /** How taking and giving back go; by default at once. */
  taking: (role: Role) => Promise<void> = () => Promise.resolve();
  givingBack: (role: Role) => Promise<void> = () => Promise.resolve();
  readonly #held: (() => void)[] = [];
  #paused = false;

  constructor(world: ClusterWorld, name: string, options: Partial<MembershipOptions> = {}) {
    this.world = world;
    this.name = name;
    let ids = 0;
    const reach = async <T>(call: () => T): Promise<T> => {
      await this.#awake();
      if (this.cutOff || world.away) throw new Error("NATS is away");
      const result = call();
      await world.answers();
      await this.#awake();
      if (this.losesAnswers > 0) {
        this.losesAnswers--;
        throw new Error("the answer was lost");
      }
      return result;
    };
    const { bucket } = world;
    const port: MapBucket = {
      // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as in Bucket
      get: <T>(key: string) => reach(() => bucket.get(key) as { value: T; revision: number } | undefined),
      compareAndSet: (key, value, revision) => reach(() => bucket.compareAndSet(key, value, revision)),
      delete: (key) => reach(() => bucket.delete(key)),
    };
    this.membership = createMembership({
      bucket: port,
      node: { name, host: "host", pid: 1, version: "0" },
      newId: () => `${name}-${++ids}`,
      partitions: world.partitions,
      ttlMs: TTL_MS,
      clock: {
        now: world.clock.now,
        setTimer: (call, delayMs) => world.clock.setTimer(() => (this.#paused ? this.#held.push(call) : call()), delayMs),
      },
      isoNow: () => new Date(world.clock.now()).toISOString(),
      logger: pino({ level: "silent" }),
      announce: () => {
        if (!this.cutOff && !world.away) world.announced(this);
      },
      info: () => this.info,
      take: async (role, epoch) => {
        this.log.push(`take ${role} ${epoch}`);
        await this.taking(role);
        this.running.set(role, epoch);
      },
      giveBack: async (role) => {
        this.log.push(`give ${role}`);
        await this.givingBack(role);
        this.running.delete(role);
      },
      drop: (role) => {
        this.log.push(`drop ${role}`);
        this.running.delete(role);
      },
      onOutcast: () => this.outcasts++,
      ...options,
    });
  }

  get id(): string {
    return this.membership.self;
  }

  get roles(): Role[] {
    return [...this.running.keys()].sort((a, b) => (String(a) < String(b) ? -1 : 1));
  }

  /** As SIGSTOP: nothing goes on here, answers and timers wait. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    for (const call of this.#held.splice(0)) call();
  }

  get paused(): boolean {
    return this.#paused;
  }

  async #awake(): Promise<void> {
    while (this.#paused) await new Promise<void>((resolve) => this.#held.push(resolve));
  }
}

export class ClusterWorld {
  readonly clock = new VirtualClock(1_000_000);
  readonly bucket = new MemoryBucket();
  readonly partitions: number;
  readonly nodes: TestNode[] = [];
  /** NATS is away for all. */
  away = false;
  /** Broadcasts do not arrive: nodes find out by themselves. */
  losesNews = false;
  /** What an answer waits for on its way. */
  answers: () => Promise<void> = () => Promise.resolve();
  /** Called after each change of the world. */
  check: () => void = () => undefined;

  constructor(partitions = 8) {
    this.partitions = partitions;
  }

  add(name: string, options: Partial<MembershipOptions> = {}): TestNode {
    const node = new TestNode(this, name, options);
    this.nodes.push(node);
    return node;
  }

  async started(name: string, options: Partial<MembershipOptions> = {}): Promise<TestNode> {
    const node = this.add(name, options);
    void node.membership.start();
    await this.settle();
    return node;
  }

  announced(by: TestNode): void {
    if (this.losesNews) return;
    for (const node of this.nodes) if (node !== by && !node.cutOff && !node.paused) node.membership.poke();
  }

  /** Everything that needs no time happens. */
  async settle(): Promise<void> {
    for (let before = -1; before !== this.bucket.revision;) {
      before = this.bucket.revision;
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
      this.check();
    }
  }

  async advance(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    for (;;) {
      await this.settle();
      const next = this.clock.nextDueMs;
      if (next === undefined || next > until) break;
      this.clock.moveTo(next);
    }
    this.clock.moveTo(until);
    await this.settle();
  }

  /** Advances until the condition holds, and says how many ms that took. */
  async until(condition: () => boolean, withinMs = 60_000): Promise<number> {
    const began = this.clock.now();
    await this.settle();
    while (!condition()) {
      const next = this.clock.nextDueMs;
      if (next === undefined || next - began > withinMs) throw new Error(`did not come about within ${withinMs} ms`);
      this.clock.moveTo(next);
      await this.settle();
    }
    return this.clock.now() - began;
  }

  /** Every role runs at exactly one node, and that is the one that the map names. */
  get isWhole(): boolean {
    const { owners, nodes } = this.bucket.map();
    const roles: Role[] = [...Array.from({ length: this.partitions }, (_, partition) => partition), "coordinator"];
    return roles.every((role) => {
      const at = this.nodes.filter((node) => node.running.has(role));
      const owner = owners[role];
      return (
        at.length === 1 &&
        owner?.node === at[0]?.id &&
        !owner?.recovering &&
        owner?.epoch === at[0]?.running.get(role) &&
        nodes[owner?.node ?? ""] !== undefined
      );
    });
  }

  /** How many partitions each node runs. */
  counts(): number[] {
    return this.nodes.map((node) => node.roles.filter((role) => role !== "coordinator").length).sort((a, b) => a - b);
  }
}
