/** Lists that several nodes have parts of are the lists that one node with all of it gives; runs are read wherever they are. */
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import * as contexts from "../../machines/group/context.ts";
import type { Entry } from "../../machines/group/contract.ts";
import type { Dispatcher } from "../../src/engine/dispatcher.ts";
import { GroupViews } from "../../src/engine/group-views.ts";
import type { After, HistoryPort } from "../../src/engine/history-port.ts";
import { LiveRuns } from "../../src/engine/live-runs.ts";
import { mergePages } from "../../src/engine/merge-pages.ts";
import { RunReads } from "../../src/engine/run-reads.ts";
import { createNames } from "../../src/nats/subjects.ts";
import type { RunView } from "../../src/protocol/view.ts";
import { defineWorkflow } from "../../src/index.ts";
import { TestCluster, type TestNode } from "./cluster-world.ts";

const clusters: TestCluster[] = [];
const workflow = defineWorkflow({ name: "w" }).step("a", () => 1);
const newCluster = (options: ConstructorParameters<typeof TestCluster>[0] = {}): TestCluster => {
  const cluster = new TestCluster({ workflows: [workflow], ...options });
  clusters.push(cluster);
  return cluster;
};
afterEach(() => {
  for (const cluster of clusters.splice(0)) cluster.stop();
});

const owners = fc.array(fc.nat(2), { minLength: 4, maxLength: 4 });

describe("pages of several nodes", () => {
  it("are put together to the pages of the whole, also where parts are cut", () => {
    const byNumber = (a: number, b: number): number => a - b;
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(200), { maxLength: 60 }),
        fc.array(fc.nat(2), { minLength: 60, maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 3, maxLength: 3 }),
        (all, homes, size, fits) => {
          const found: number[] = [];
          for (let after = -1, pages = 0; ; pages++) {
            expect(pages).toBeLessThan(100);
            const parts = [0, 1, 2].map((node) => {
              const mine = all.filter((n, i) => homes[i] === node && n > after).sort(byNumber);
              const items = mine.slice(0, Math.min(size, fits[node] ?? 1));
              return { items, more: mine.length > items.length };
            });
            const page = mergePages(parts, byNumber, size);
            found.push(...page.items);
            expect(page.items.length).toBeLessThanOrEqual(size);
            if (!page.more) break;
            expect(page.items.length).toBeGreaterThan(0);
            after = page.items.at(-1) ?? 0;
          }
          expect(found).toEqual([...all].sort(byNumber));
        },
      ),
    );
  });
});

let order = 0;
function fillGroups(cluster: TestCluster, groups: readonly { partition: number; active: number; waiting: readonly number[] }[]) {
  const entry = (createdAt: number): Entry =>
    ({ run: `r${++order}`, priority: 0, order, flow: "f", gated: false, createdAt }) as unknown as Entry;
  for (const [index, { partition, active, waiting }] of groups.entries()) {
    const core = cluster.partitions[partition]?.core;
    core?.groups.setRules("limit", { maxRuns: 2, strategy: "GROUP_ROUND_ROBIN" });
    const group = core?.groups.open("limit", `k${index}`);
    for (let i = 0; i < active; i++) group?.apply((context) => contexts.admit(context, entry(0)));
    for (const since of waiting) group?.apply((context) => contexts.enqueue(context, entry(since)));
  }
}

const groupViews = (cluster: TestCluster, maxReplyBytes = 1_000_000): GroupViews[] =>
  cluster.nodes.map(
    ({ calls }) =>
      new GroupViews({
        calls,
        workflows: cluster.workflows,
        placement: () => cluster.placement,
        send: () => Promise.resolve(),
        maxReplyBytes: () => maxReplyBytes,
      }),
  );

async function allGroups(views: GroupViews, size: number, text?: string): Promise<string[]> {
  const found: string[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await views.list({ size, ...(text !== undefined && { text }), ...(cursor !== undefined && { cursor }) });
    found.push(
      JSON.stringify([
        page.total,
        ...page.items.map(({ key, waiting, active, waitingRuns }) => [key, waiting, active, waitingRuns]),
      ]),
    );
    if (page.next === undefined) return found;
    cursor = page.next;
  }
}

describe("groups", () => {
  it("are listed by pages that are those of one node, for any split among nodes", async () => {
    const anyGroup = fc.record({
      partition: fc.nat(3),
      active: fc.nat(2),
      waiting: fc.array(fc.nat(5), { maxLength: 6 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyGroup, { maxLength: 40 }),
        owners,
        fc.integer({ min: 1, max: 12 }),
        fc.constantFrom(undefined, "1"),
        async (groups, split, size, text) => {
          const cluster = new TestCluster({ nodes: 3 });
          try {
            fillGroups(cluster, groups);
            const views = groupViews(cluster);
            cluster.own(0, 0, 0, 0);
            const whole = await allGroups(views[0]!, size, text);
            cluster.own(...split);
            for (const one of views) expect(await allGroups(one, size, text)).toEqual(whole);
          } finally {
            cluster.stop();
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("show fewer of their runs where the page would be too much for one message", async () => {
    const cluster = newCluster().own(0, 0, 1, 1);
    const waiting = Array.from({ length: 80 }, (_, i) => i);
    fillGroups(
      cluster,
      Array.from({ length: 12 }, (_, i) => ({ partition: i % 4, active: 2, waiting })),
    );
    const [views] = groupViews(cluster, 8_000);
    const page = await views!.list({ size: 12 });
    expect(Buffer.byteLength(JSON.stringify(page.items))).toBeLessThan(8_000);
    expect(page.items.map((group) => group.waiting)).toEqual(Array.from({ length: 12 }, () => 80));
  });

  it("are read at their owner, and refused where there is no such limit", async () => {
    const cluster = newCluster().own(1, 1, 1, 1);
    for (let partition = 0; partition < 4; partition++)
      cluster.partitions[partition]?.core.groups.setRules("limit", { maxRuns: 3, strategy: "CANCEL_NEWEST" });
    const [views] = groupViews(cluster);
    expect(await views!.get("limit", "x")).toMatchObject({ key: "x", maxRuns: 3, active: 0 });
    expect(await views!.machine("limit", "x")).toMatchObject({ counts: { active: 0, waiting: 0 } });
    await expect(views!.get("none", "x")).rejects.toMatchObject({ status: 404, reason: "LIMIT_NOT_FOUND" });
    await expect(views!.list({ cursor: "??" })).rejects.toMatchObject({ status: 400 });
    expect(cluster.sent.filter((text) => text.endsWith("groups.list"))).toEqual([]);
  });
});

/** Creates a run of `w` in a partition. */
function create(cluster: TestCluster, partition: number, run: string, createdAt: number): void {
  const compiled = cluster.workflows.latest("w");
  if (compiled === undefined) throw new Error("there is no w");
  cluster.partitions[partition]?.core.create({ run, workflow: compiled, createdAt, input: JSON.stringify({ run }) });
}

describe("live runs", () => {
  it("are counted, and listed by state, as on one node, for any split among nodes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ partition: fc.nat(3), createdAt: fc.nat(20) }), { maxLength: 30 }),
        owners,
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(1_000_000, 1_500),
        async (runs, split, size, maxReplyBytes) => {
          const cluster = new TestCluster({ nodes: 3, workflows: [workflow] }).own(...split);
          try {
            for (const [i, { partition, createdAt }] of runs.entries()) create(cluster, partition, `r${i}`, createdAt);
            const live = cluster.nodes.map(({ calls }) => new LiveRuns({ calls, maxReplyBytes: () => maxReplyBytes }))[0]!;
            const { version } = workflow.spec;
            const population = await live.population("w", version);
            expect(population).toMatchObject({ running: runs.length, openInOtherVersions: 0 });
            expect(population.states["run"] ?? 0).toBe(runs.length);
            const query = { workflow: "w", state: "run" };
            expect(await live.count(query)).toBe(runs.length);
            const found: string[] = [];
            for (let cursor: string | undefined; ;) {
              const page = await live.page({ ...query, ...(cursor !== undefined && { cursor }) }, size);
              found.push(...page.items.map(({ id }) => id));
              if (page.next === undefined) break;
              cursor = page.next;
            }
            const expected = runs
              .map(({ createdAt }, i) => ({ id: `r${i}`, createdAt }))
              .sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
            expect(found).toEqual(expected.map(({ id }) => id));
          } finally {
            cluster.stop();
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

/** A history that knows these runs, and what it was asked to know first. */
class TestHistory {
  readonly runs = new Map<string, Partial<RunView>>();
  readonly afters: (readonly After[] | undefined)[] = [];

  get port(): HistoryPort {
    return {
      run: (id: string, after?: readonly After[]) => {
        this.afters.push(after);
        const view = this.runs.get(id);
        return Promise.resolve(view === undefined ? undefined : { view: { id, steps: {}, ...view } as RunView });
      },
    } as unknown as HistoryPort;
  }
}

function runReads(cluster: TestCluster, history: TestHistory, maxReplyBytes = 1_000_000): RunReads[] {
  const dispatcher = { askStanding: () => Promise.resolve({ served: false, waiting: 0, workers: 0 }) } as unknown as Dispatcher;
  return cluster.nodes.map(
    ({ calls, owned }: TestNode) =>
      new RunReads({
        calls,
        partitions: owned,
        names: createNames(),
        dispatcher,
        history: () => history.port,
        journalSeq: (partition) => 100 + partition,
        maxReplyBytes: () => maxReplyBytes,
      }),
  );
}

describe("runs by id", () => {
  const ended = { status: "SUCCEEDED", finishedAt: "2026-01-01T00:00:00.000Z" } as const;

  it("are read here without a message, elsewhere with one for all of them, and ended ones from the history", async () => {
    const cluster = newCluster({ nodes: 3 }).own(0, 0, 1, 2);
    const history = new TestHistory();
    history.runs.set("over", ended);
    const [reads] = runReads(cluster, history);
    for (const [run, partition] of [
      ["here", 0],
      ["there", 2],
      ["far", 3],
    ] as const)
      create(cluster, partition, run, 1);
    expect(await reads!.one("status", "run.get", "here")).toEqual({ type: "live", partition: 0, value: "RUNNING" });
    expect(await reads!.one("status", "run.get", "over")).toMatchObject({ type: "recorded" });
    expect(cluster.sent).toEqual([]);
    const many = await reads!.many("status", "run.cancelMany", ["here", "there", "far", "over", "none"]);
    expect([...many].map(([id, seen]) => [id, seen.type]).sort()).toEqual([
      ["far", "live"],
      ["here", "live"],
      ["none", "unknown"],
      ["over", "recorded"],
      ["there", "live"],
    ]);
    expect(cluster.sent).toEqual(["n0->n1 runs.live", "n0->n2 runs.live"]);
    // That it is nowhere was said by a history that knows all that the owners had written.
    expect(history.afters.at(-1)).toEqual([0, 1, 2, 3].map((partition) => ({ partition, seq: 100 + partition })));
    expect(await reads!.one("view", "run.get", "there")).toMatchObject({
      value: { view: { id: "there", input: { run: "there" } } },
    });
    expect(await reads!.one("explanation", "run.explain", "far")).toMatchObject({
      value: { sentence: expect.stringContaining("no worker serves") as string },
    });
  });

  it("are asked for where they are expected, and only then everywhere", async () => {
    const cluster = newCluster({ nodes: 3 }).own(0, 0, 1, 2);
    const [reads] = runReads(cluster, new TestHistory());
    create(cluster, 2, "new", 1);
    expect(await reads!.one("status", "run.create", "new", 2)).toMatchObject({ type: "live" });
    expect(cluster.sent).toEqual(["n0->n1 runs.live"]);
  });

  it("are read at the next owner when their partition moves", async () => {
    const cluster = newCluster({ nodes: 3 }).own(0, 0, 1, 2);
    const [reads] = runReads(cluster, new TestHistory());
    create(cluster, 2, "r", 1);
    cluster.give(2, undefined);
    const seen = reads!.one("status", "run.get", "r");
    await expect.poll(() => cluster.sent.length).toBeGreaterThan(0);
    cluster.give(2, 2);
    expect(await seen).toEqual({ type: "live", partition: 2, value: "RUNNING" });
  });

  it("are looked for again while they are open and nowhere: they pass from one partition to another", async () => {
    const cluster = newCluster().own(0, 0, 1, 1);
    const history = new TestHistory();
    history.runs.set("r", { status: "RUNNING" });
    const [reads] = runReads(cluster, history);
    const seen = reads!.one("status", "run.cancel", "r");
    await expect.poll(() => history.afters.length).toBeGreaterThan(1);
    create(cluster, 3, "r", 1);
    expect(await seen).toMatchObject({ type: "live", partition: 3 });
  });

  it("that are more than one message takes are read from the history", async () => {
    const cluster = newCluster().own(0, 0, 1, 1);
    const history = new TestHistory();
    history.runs.set("r", { status: "RUNNING" });
    const [reads] = runReads(cluster, history, 100);
    create(cluster, 3, "r", 1);
    expect(await reads!.one("view", "run.get", "r")).toMatchObject({ type: "recorded", run: { view: { status: "RUNNING" } } });
    expect(history.afters.at(-1)).toHaveLength(4);
  });

  it("that were cancelled and still stop are read at their owner", async () => {
    const cluster = newCluster().own(0, 0, 1, 1);
    const history = new TestHistory();
    history.runs.set("r", { ...ended, status: "CANCELLED", steps: { a: { status: "STOPPING", attempts: 1 } } });
    const [reads] = runReads(cluster, history);
    create(cluster, 3, "r", 1);
    expect(await reads!.one("status", "run.get", "r")).toMatchObject({ type: "live" });
  });
});
