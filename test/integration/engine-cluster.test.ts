/** Several engine nodes on one cluster: they share the partitions, and every one of them answers for all. */
import { expect, it } from "vitest";
import { createEngine, type Engine, startEngine } from "../../src/engine/index.ts";
import { connect, defineWorkflow, type RunHandle, startWorker, Strategy } from "../../src/index.ts";
import { onCleanup } from "../support/cleanup.ts";
import { Gates, silent as logger } from "../support/engine-world.ts";
import { startTestServer } from "../support/nats.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor, within } from "../support/wait.ts";

const PARTITIONS = 6;
const echo = defineWorkflow({ name: "echo", on: ["echo"] }).step("echo", ({ input }) => input);

async function startNode(url: string, name: string, lease = "1s"): Promise<Engine> {
  const engine = await startEngine({
    servers: url,
    logger,
    lease,
    partitions: PARTITIONS,
    dataDir: await temporaryFolder(),
    name,
  });
  onCleanup(() => engine.stop());
  return engine;
}

/** How many partitions each node has, by name; they all say the same. */
async function owned(engine: Engine): Promise<Record<string, number>> {
  const { items } = await engine.call("node.list", {});
  return Object.fromEntries(
    items.map(({ name, partitions }) => [name, partitions.filter(({ state }) => state === "owned").length]),
  );
}

async function whenShared(engine: Engine, shares: Readonly<Record<string, number>>): Promise<void> {
  await waitFor(async () => JSON.stringify(await owned(engine)) === JSON.stringify(shares), {
    what: `shares ${JSON.stringify(shares)}`,
    timeoutMs: 15_000,
  });
}

it("spreads the partitions over those that come, and gives them back when one goes", { timeout: 60_000 }, async () => {
  const { url } = await startTestServer();
  const first = await startNode(url, "a");
  expect(await owned(first)).toEqual({ a: 6 });
  const second = await startNode(url, "b");
  await whenShared(first, { a: 3, b: 3 });
  const third = await startNode(url, "c");
  await whenShared(third, { a: 2, b: 2, c: 2 });
  const worker = await startWorker({ servers: url, workflows: [echo], logger });
  onCleanup(() => worker.stop());
  const client = await connect({ servers: url, logger });
  onCleanup(() => client.close());

  const runs = await Promise.all(Array.from({ length: 60 }, (_, i) => client.run(echo, i)));
  expect(await within(10_000, "60 runs", Promise.all(runs.map((run) => run.result())))).toEqual(
    Array.from({ length: 60 }, (_, i) => ({ echo: i })),
  );
  await client.publishMany(Array.from({ length: 60 }, (_, i) => ({ event: "echo", payload: i })));
  await waitFor(async () => (await third.call("run.count", { status: "SUCCEEDED" })).count === 120, { what: "120 runs" });
  for (const engine of [first, second, third]) {
    expect((await engine.call("run.count", {})).count).toBe(120);
    for (const run of runs.slice(0, 5)) expect((await engine.call("run.get", { id: run.id })).status).toBe("SUCCEEDED");
  }

  await first.stop();
  await whenShared(second, { b: 3, c: 3 });
  expect(await within(10_000, "a run afterwards", (await client.run(echo, "later")).result())).toEqual({ echo: "later" });
});

it("answers requests that come while partitions move, and keeps limits through it", { timeout: 60_000 }, async () => {
  const { url } = await startTestServer();
  const first = await startNode(url, "a");
  const gates = new Gates();
  const active = new Map<string, number>();
  let most = 0;
  const limited = defineWorkflow({
    name: "limited",
    concurrency: { key: "input.key", maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
  }).step("work", async ({ input, signal }) => {
    const { key, gate } = input as { key: string; gate: string };
    active.set(key, (active.get(key) ?? 0) + 1);
    most = Math.max(most, active.get(key) ?? 0);
    try {
      await gates.pass(gate, signal);
    } finally {
      active.set(key, (active.get(key) ?? 0) - 1);
    }
    return key;
  });
  const worker = await startWorker({ servers: url, workflows: [limited], slots: 100, logger });
  onCleanup(() => worker.stop());
  const client = await connect({ servers: url, logger });
  onCleanup(() => client.close());
  const runs = await Promise.all(
    Array.from({ length: 40 }, (_, i) => client.run(limited, { key: `k${i % 8}`, gate: `g${i}` }, { metadata: { i } })),
  );

  const second = createEngine({
    servers: url,
    logger,
    lease: "1s",
    partitions: PARTITIONS,
    dataDir: await temporaryFolder(),
    name: "b",
  });
  onCleanup(() => second.stop());
  const joining = second.start();
  // All the time while partitions move, from both sides.
  let asked = 0;
  let moved = false;
  const asking = (async () => {
    while (!moved) {
      const run = runs[asked++ % runs.length]!;
      expect(["QUEUED", "RUNNING"]).toContain(await run.status());
      await client.groups.get({ limit: "limited", key: `k${asked % 8}` });
      await client.runs.explain(run.id);
    }
  })();
  await joining;
  await whenShared(second, { a: 3, b: 3 });
  moved = true;
  await within(20_000, "the requests", asking);
  expect(asked).toBeGreaterThan(5);
  await first.stop();
  gates.open("*");
  await within(20_000, "all runs", Promise.all(runs.map((run) => run.result())));
  expect(most).toBe(2);
});

it("takes turns between keys whose partitions are on different nodes", { timeout: 60_000 }, async () => {
  const { url } = await startTestServer();
  const first = await startNode(url, "a");
  await startNode(url, "b");
  await whenShared(first, { a: 3, b: 3 });
  const order: string[] = [];
  const gates = new Gates();
  const turns = defineWorkflow({
    name: "turns",
    on: ["turn"],
    concurrency: { key: "input.key", maxRuns: 10, strategy: Strategy.GROUP_ROUND_ROBIN },
  }).step("work", async ({ input, signal }) => {
    const { key } = input as { key: string };
    order.push(key);
    await gates.pass(`${order.length}`, signal);
  });
  const worker = await startWorker({ servers: url, workflows: [turns], slots: 1, logger });
  onCleanup(() => worker.stop());
  const client = await connect({ servers: url, logger });
  onCleanup(() => client.close());
  const keys = ["A", "B", "C", "D", "E", "F"];
  await client.publishMany(keys.flatMap((key) => Array.from({ length: 3 }, () => ({ event: "turn", payload: { key } }))));
  await waitFor(async () => (await first.call("health.get", {})).live === 18, { what: "18 live runs" });
  for (let turn = 1; turn <= 18; turn++) {
    await waitFor(() => order.length === turn, { what: `turn ${turn}` });
    gates.open(`${turn}`);
  }
  // All waited when the second turn came: from then on nobody starts twice between two starts of another.
  for (let from = 1; from + keys.length <= 18 - keys.length; from++) {
    const round = order.slice(from, from + keys.length);
    expect(new Set(round).size, `turns ${order.join(" ")}`).toBe(keys.length);
  }
});

it("gives each of several nodes that share a data folder a history of its own", { timeout: 60_000 }, async () => {
  const { url } = await startTestServer();
  const dataDir = await temporaryFolder();
  const options = { servers: url, logger, lease: "1s", partitions: PARTITIONS, dataDir } as const;
  const engines = [await startEngine({ ...options, name: "a" }), await startEngine({ ...options, name: "b" })];
  for (const engine of engines) onCleanup(() => engine.stop());
  const worker = await startWorker({ servers: url, workflows: [echo], logger });
  onCleanup(() => worker.stop());
  const client = await connect({ servers: url, logger });
  onCleanup(() => client.close());
  const runs = await Promise.all([1, 2, 3, 4].map((n) => client.run(echo, n)));
  await within(10_000, "4 runs", Promise.all(runs.map((run) => run.result())));
  for (const engine of engines)
    await waitFor(async () => (await engine.call("run.count", { status: "SUCCEEDED" })).count === 4, { what: "4 runs" });
});

it(
  "tells a node that was away of the runs that began and ended meanwhile, whatever was purged",
  { timeout: 60_000 },
  async () => {
    const { url } = await startTestServer();
    const options = { servers: url, logger, lease: "1s", partitions: 2, snapshotEvery: 100 } as const;
    const stays = await startEngine({ ...options, name: "stays", dataDir: await temporaryFolder() });
    onCleanup(() => stays.stop());
    const dataDir = await temporaryFolder();
    const leaves = await startEngine({ ...options, name: "leaves", dataDir });
    onCleanup(() => leaves.stop());
    const worker = await startWorker({ servers: url, workflows: [echo], slots: 50, logger });
    onCleanup(() => worker.stop());
    const client = await connect({ servers: url, logger });
    onCleanup(() => client.close());
    await (await client.run(echo, "before")).result();
    await leaves.stop();

    // Journals are purged behind what is synced to disk, which a history does every few seconds.
    const runs: RunHandle[] = [];
    for (const began = performance.now(); performance.now() - began < 7_000;) {
      const some = await Promise.all(Array.from({ length: 50 }, (_, i) => client.run(echo, i)));
      await within(20_000, "50 runs", Promise.all(some.map((run) => run.result())));
      runs.push(...some);
    }
    const count = runs.length + 1;
    await waitFor(async () => (await stays.call("run.count", { status: "SUCCEEDED" })).count === count, {
      what: `${count} runs`,
    });

    const back = await startEngine({ ...options, name: "leaves", dataDir });
    onCleanup(() => back.stop());
    await waitFor(async () => (await back.call("run.count", { status: "SUCCEEDED" })).count === count, {
      what: `${count} runs, there too`,
    });
    for (const run of runs.slice(0, 20)) expect((await back.call("run.get", { id: run.id })).status).toBe("SUCCEEDED");
  },
);

it("can be stopped while it starts", async () => {
  const { url } = await startTestServer();
  await startNode(url, "a");
  const second = createEngine({ servers: url, logger, partitions: PARTITIONS, dataDir: await temporaryFolder(), name: "b" });
  const started = second.start().catch((error: unknown) => error);
  await within(10_000, "the stop", second.stop());
  await started;
  expect(second.ready).toBe(false);
});

it("goes on with workers that knew the cluster from before all its data was lost", { timeout: 60_000 }, async () => {
  const before = await startTestServer();
  const { port } = before;
  let engine = await startNode(before.url, "a", "500ms");
  const worker = await startWorker({ servers: before.url, workflows: [echo], logger });
  onCleanup(() => worker.stop());
  const client = await connect({ servers: before.url, logger });
  onCleanup(() => client.close());
  // The second owner's epochs are above those that a new cluster would begin with, if it counted from one.
  await engine.stop();
  engine = await startNode(before.url, "b", "500ms");
  await within(20_000, "a run before", (await client.run(echo, "before")).result());
  await engine.stop();
  await before.stop();

  const { url } = await startTestServer({ port });
  await startNode(url, "c", "500ms");
  // Workflows are told by a worker that starts; the one from before serves them.
  await (await startWorker({ servers: url, workflows: [echo], logger, slots: 1 })).stop();
  await within(20_000, "a run after", (await client.run(echo, "after")).result());
  const { items } = await client.workers.list();
  expect(items.map(({ id }) => id)).toEqual([worker.id]);
});
