/** Definitions on the nodes of a cluster: stored, known everywhere, and only then in force. */
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { Definitions, type DefinitionsOptions } from "../../src/engine/definitions.ts";
import { OwnedPartitions } from "../../src/engine/owned-partitions.ts";
import type { Input, Partition } from "../../src/engine/partition.ts";
import { type DefinitionMessage, DeposedError } from "../../src/engine/router.ts";
import type { BucketEntry } from "../../src/nats/bucket.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import type { WorkflowSpec } from "../../src/workflow/spec.ts";

interface Entry {
  value: unknown;
  revision: number;
}

class MemoryBucket {
  readonly entries = new Map<string, Entry>();
  #revision = 0;

  get<T>(key: string): Promise<BucketEntry<T> | undefined> {
    const entry = this.entries.get(key);
    return Promise.resolve(entry && { key, value: structuredClone(entry.value) as T, revision: entry.revision });
  }

  async list<T>(filter: string): Promise<BucketEntry<T>[]> {
    const found: (BucketEntry<T> | undefined)[] = [];
    for (const key of this.entries.keys()) if (key.startsWith(filter.replace(">", ""))) found.push(await this.get<T>(key));
    return found.filter((entry) => entry !== undefined);
  }

  compareAndSet(key: string, value: unknown, revision: number) {
    if ((this.entries.get(key)?.revision ?? 0) !== revision) return Promise.resolve(undefined);
    this.entries.set(key, { value: structuredClone(value), revision: ++this.#revision });
    return Promise.resolve(this.#revision);
  }
}

type Handler = (request: never) => Promise<unknown>;

class Cluster {
  readonly bucket = new MemoryBucket();
  readonly nodes: Node[] = [];
  /** Groups with runs, by limit. */
  readonly groups = new Map<string, number>();
  readonly rejected: string[] = [];
  readonly inForce: number[] = [];
  readonly log: string[] = [];
  /** Called when groups are counted. */
  onCount: () => Promise<void> | void = () => undefined;
  /** A node that does not answer. */
  silent: Node | undefined = undefined;

  node(): Node {
    const node = new Node(this);
    this.nodes.push(node);
    return node;
  }
}

class Node {
  readonly owned = new OwnedPartitions(4);
  readonly handlers = new Map<string, Handler>();
  readonly gathers = new Map<string, (partitions: readonly Partition[], request: unknown) => Promise<unknown>>();
  readonly defined: string[] = [];
  readonly inputs: Input[] = [];
  readonly definitions: Definitions;
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    const calls = {
      serve: (operation: string, handler: Handler) => void this.handlers.set(operation, handler),
      serveGather: (operation: string, handler: (partitions: readonly Partition[], request: unknown) => Promise<unknown>) =>
        void this.gathers.set(operation, handler),
      reads: { all: () => Promise.resolve([]) },
      toAll: async (operation: string, request: unknown) => {
        for (const node of cluster.nodes) {
          if (node === cluster.silent) throw new Error("does not answer");
          await node.handlers.get(operation)?.(request as never);
        }
        cluster.log.push("all know");
        return new Map();
      },
      gather: async (operation: string, request: { limit: string }) => {
        for (const node of cluster.nodes) if (node !== cluster.silent) await node.gathers.get(operation)?.([], request);
        await cluster.onCount();
        return { parts: [cluster.groups.get(request.limit) ?? 0] };
      },
    };
    this.definitions = new Definitions({
      connection: { publishAcked: () => Promise.reject(new Error("not here")) },
      names: { definition: (name) => name },
      bucket: cluster.bucket,
      owned: this.owned,
      partitions: 4,
      calls: calls as unknown as DefinitionsOptions["calls"],
      router: () => undefined,
      setDefinitionsSeq: (seq) => void cluster.inForce.push(seq),
      onDefined: (spec) => this.defined.push(spec.name),
      reject: (_, __, reason) => {
        cluster.rejected.push(reason);
        return Promise.resolve();
      },
      logger: pino({ level: "silent" }),
    });
  }

  /** A definition comes by in the events stream, where this node reads it. */
  passes(spec: WorkflowSpec, seq: number, epoch = 1): Promise<void> {
    const definition: DefinitionMessage = {
      text: JSON.stringify(spec),
      seq,
      timeMs: 10.5,
      epoch,
      settled: () => {
        this.#cluster.log.push(`settled before ${seq}`);
        return Promise.resolve();
      },
    };
    return this.definitions.onDefinition(definition);
  }

  own(number: number, limits: readonly string[] = []): void {
    const rules = new Map(limits.map((limit) => [limit, { maxRuns: 1, strategy: "CANCEL_NEWEST" }]));
    const partition = { number, core: { groups: { rules } }, enqueue: (input: Input) => this.inputs.push(input) };
    this.owned.add(partition as unknown as Partition, 1);
  }

  versions(): string[] {
    return this.definitions.workflows.versions.map(
      ({ name, spec, since }) => `${name} ${spec.limits[0]?.maxRuns ?? "-"}@${since}`,
    );
  }
}

const alone = (maxRuns: number): WorkflowSpec =>
  defineWorkflow({ name: "alone", concurrency: { name: "A", key: "input.k", maxRuns } }).step("s", () => 1).spec;
const both = defineWorkflow({
  name: "both",
  concurrency: [
    { name: "A", key: "input.k", maxRuns: 2 },
    { name: "B", key: "input.l" },
  ],
}).step("s", () => 1).spec;
const cron = defineWorkflow({ name: "ticking", cron: "* * * * *" }).step("s", () => 1).spec;

describe("a definition that comes by at the coordinator", () => {
  test("is stored, then known to all, then in force", async () => {
    const cluster = new Cluster();
    const [first, second] = [cluster.node(), cluster.node()];
    await first.definitions.takeOffice(1);
    await first.passes(alone(3), 5);
    expect([first.versions(), second.versions()]).toEqual([["alone 3@5"], ["alone 3@5"]]);
    expect(second.definitions.placement.toJSON()).toEqual({ A: "by key" });
    expect([second.definitions.seq, cluster.inForce, second.defined]).toEqual([5, [5], ["alone"]]);
    expect(cluster.log).toEqual(["all know"]);
  });

  test("is in force though a node does not say that it knows it, which learns both with the next one", async () => {
    const cluster = new Cluster();
    const [first, second] = [cluster.node(), cluster.node()];
    await first.definitions.takeOffice(1);
    cluster.silent = second;
    await first.passes(alone(3), 5);
    cluster.silent = undefined;
    expect([cluster.inForce, second.versions()]).toEqual([[5], []]);
    await first.passes(cron, 6);
    expect([second.versions(), second.definitions.seq]).toEqual([["alone 3@5", "ticking -@6"], 6]);
  });

  test("changes nothing of earlier events: they are settled before a limit moves, or a version returns", async () => {
    const cluster = new Cluster();
    const node = cluster.node();
    await node.definitions.takeOffice(1);
    await node.passes(alone(1), 1);
    await node.passes(alone(2), 2);
    expect(cluster.log).toEqual(["all know", "all know"]);
    await node.passes(alone(1), 3);
    await node.passes(both, 4);
    expect(cluster.log.slice(2)).toEqual(["settled before 3", "all know", "settled before 4", "all know"]);
    expect(node.definitions.placement.toJSON()).toEqual({ A: { domain: "A" }, B: { domain: "A" } });
    expect(node.definitions.workflows.latest("alone")?.spec.limits[0]?.maxRuns).toBe(1);
  });

  test("is passed over when groups of a limit that it would move have runs by then", async () => {
    const cluster = new Cluster();
    const node = cluster.node();
    await node.definitions.takeOffice(1);
    await node.passes(alone(1), 1);
    cluster.groups.set("A", 2);
    await node.passes(both, 2);
    expect([node.versions(), node.definitions.placement.toJSON()]).toEqual([["alone 1@1"], { A: "by key" }]);
    expect(cluster.rejected[0]).toMatch(/2 of its groups still have runs/);
  });

  test("has runs held, at every owner, before the groups of a limit that it moves are counted, and until that is decided", async () => {
    const cluster = new Cluster();
    const [node, owner] = [cluster.node(), cluster.node()];
    owner.own(1);
    await node.definitions.takeOffice(1);
    await node.passes(alone(1), 1);
    const moving: string[][] = [];
    cluster.onCount = () => void moving.push([...owner.definitions.placement.moving], [...node.definitions.placement.moving]);
    await node.passes(both, 2);
    expect(moving).toEqual([["A"], ["A"]]);
    expect([owner.definitions.placement.moving.size, node.definitions.placement.moving.size]).toEqual([0, 0]);
    expect(owner.definitions.placement.toJSON()).toEqual({ A: { domain: "A" }, B: { domain: "A" } });
    expect(owner.inputs).toContainEqual({ type: "homes" });
  });

  test("has them go on where it is refused, also at an owner that is not told", async () => {
    const cluster = new Cluster();
    const [node, owner] = [cluster.node(), cluster.node()];
    owner.own(1);
    await node.definitions.takeOffice(1);
    await node.passes(alone(1), 1);
    cluster.groups.set("A", 1);
    await node.passes(both, 2);
    expect(node.definitions.placement.moving.size).toBe(0);
    await expect.poll(() => owner.definitions.placement.moving.size).toBe(0);
    expect(owner.inputs).toContainEqual({ type: "homes" });
    expect(owner.definitions.placement.toJSON()).toEqual({ A: "by key" });
  });

  test("has a node that takes a partition over meanwhile hold them as well, and whoever coordinates next begin anew", async () => {
    const cluster = new Cluster();
    const [node, late] = [cluster.node(), cluster.node()];
    await node.definitions.takeOffice(1);
    await node.passes(alone(1), 1);
    cluster.silent = late;
    cluster.onCount = async () => {
      await late.definitions.refresh();
      throw new Error("it dies");
    };
    await expect(node.passes(both, 2)).rejects.toThrow("it dies");
    expect([...late.definitions.placement.moving]).toEqual(["A"]);
    await late.definitions.takeOffice(2);
    expect([...late.definitions.placement.moving]).toEqual([]);
    await expect.poll(() => node.definitions.placement.moving.size).toBe(0);
  });

  test("that no one can use is kept aside", async () => {
    const cluster = new Cluster();
    const node = cluster.node();
    await node.passes({ name: "nothing" } as unknown as WorkflowSpec, 1);
    expect([cluster.rejected.length, cluster.inForce, node.versions()]).toEqual([1, [], []]);
  });

  test("and that a former coordinator comes to later changes nothing", async () => {
    const cluster = new Cluster();
    const [former, next] = [cluster.node(), cluster.node()];
    await former.definitions.takeOffice(1);
    await next.definitions.takeOffice(2);
    cluster.nodes.splice(0, 1);
    await next.passes(both, 3, 2);
    const stored = new Map(cluster.bucket.entries);
    await expect(former.passes(both, 3, 1)).rejects.toBeInstanceOf(DeposedError);
    expect(cluster.bucket.entries).toEqual(stored);
    await expect(former.definitions.takeOffice(1)).rejects.toBeInstanceOf(DeposedError);
  });

  test("and that was stored by one that died then is told to all again", async () => {
    const cluster = new Cluster();
    const [former, next] = [cluster.node(), cluster.node()];
    await former.definitions.takeOffice(1);
    cluster.silent = next;
    await former.passes(alone(3), 5);
    cluster.silent = undefined;
    await next.definitions.takeOffice(2);
    await next.passes(alone(3), 5, 2);
    expect([next.versions(), cluster.log, cluster.inForce]).toEqual([["alone 3@5"], ["all know"], [5, 5]]);
  });
});

describe("a node", () => {
  test("finds a version that it has not heard of, at once where it has", async () => {
    const cluster = new Cluster();
    const first = cluster.node();
    await first.passes(alone(3), 5);
    const late = cluster.node();
    const { version } = alone(3);
    const [found, same] = await Promise.all([
      late.definitions.ensure("alone", version),
      late.definitions.ensure("alone", version),
    ]);
    expect([found?.since, same]).toEqual([5, found]);
    expect(late.definitions.ensure("alone", version)).toBe(found);
    expect(await late.definitions.ensure("alone", "nope")).toBeUndefined();
    expect(await late.definitions.ensure("no name>", "*")).toBeUndefined();
    expect(late.definitions.placement.toJSON()).toEqual({ A: "by key" });
  });

  test("keeps the newest rules of a limit, in whichever order it learns of them", async () => {
    const cluster = new Cluster();
    const first = cluster.node();
    await first.passes(alone(3), 5);
    await first.passes(alone(4), 6);
    const late = cluster.node();
    late.own(1, ["A"]);
    await late.definitions.ensure("alone", alone(4).version);
    await late.definitions.refresh();
    expect(late.definitions.rulesOf("A")).toMatchObject({ maxRuns: 4 });
    expect(late.inputs).toMatchObject([{ type: "rules", limit: "A", rules: { maxRuns: 4 } }]);
    expect(late.definitions.workflows.latest("alone")?.since).toBe(6);
  });

  test("gives a partition that it takes over the rules that it needs, and the crons that live there", async () => {
    const cluster = new Cluster();
    const node = cluster.node();
    await node.passes(alone(3), 5);
    await node.passes(cron, 6);
    const home = node.definitions.placement.homeOf("ticking");
    node.own(home, ["A"]);
    const partition = node.owned.get(home);
    if (partition === undefined) throw new Error("it was added");
    node.definitions.applyTo(partition);
    const [rules, ...crons] = node.inputs;
    expect(rules).toMatchObject({ type: "rules", limit: "A", rules: { maxRuns: 3 } });
    const names = (): string[] => crons.map((input) => (input.type === "crons" ? input.workflow.name : input.type));
    expect(names()).toContain("ticking");
    node.inputs.splice(0);
    node.own((home + 1) % 4);
    node.definitions.applyTo(node.owned.get((home + 1) % 4) as Partition);
    crons.splice(0, crons.length, ...node.inputs);
    expect(names()).not.toContain("ticking");
    expect(names()).not.toContain("rules");
  });

  test("keeps the newest homes, whichever it has read last", async () => {
    const cluster = new Cluster();
    const node = cluster.node();
    await node.definitions.takeOffice(1);
    await node.passes(alone(1), 1);
    const { bucket } = cluster;
    const get = bucket.get.bind(bucket);
    let answer: () => void = () => undefined;
    const late = new Promise<void>((resolve) => (answer = resolve));
    const read = get("placement");
    bucket.get = async <T>(key: string): Promise<BucketEntry<T> | undefined> => {
      if (key !== "placement") return get<T>(key);
      bucket.get = get;
      await late;
      return (await read) as BucketEntry<T>;
    };
    const refreshed = node.definitions.refresh();
    await expect.poll(() => bucket.get, { interval: 1 }).toBe(get);
    await node.passes(both, 2);
    answer();
    await refreshed;
    expect(node.definitions.placement.toJSON()).toEqual({ A: { domain: "A" }, B: { domain: "A" } });
  });

  test("reads homes that were written before there were many nodes", async () => {
    const cluster = new Cluster();
    await cluster.bucket.compareAndSet("placement", { v: "by key", A: { domain: "A" } }, 0);
    const node = cluster.node();
    await node.definitions.refresh();
    expect(node.definitions.placement.toJSON()).toEqual({ v: "by key", A: { domain: "A" } });
    await node.definitions.takeOffice(4);
    expect((await cluster.bucket.get("placement"))?.value).toEqual({
      v: 2,
      epoch: 4,
      homes: { v: "by key", A: { domain: "A" } },
    });
  });
});
