/** What operators ask of an engine and tell it: its health, draining workers, many runs at once, events and what was rejected. */
import { beforeEach, describe, expect, it } from "vitest";
import { connectNats } from "../../src/nats/connection.ts";
import { defineWorkflow, startWorker, Strategy } from "../../src/index.ts";
import { onCleanup } from "../support/cleanup.ts";
import { Gates, silent, startEngineWorld } from "../support/engine-world.ts";
import { waitFor, within } from "../support/wait.ts";

let gates = new Gates();
beforeEach(() => {
  gates = new Gates();
});

const gated = defineWorkflow<{ k: string; gate: string }>({
  name: "gated",
  on: ["gated.wanted"],
  concurrency: { key: "input.k", maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("work", ({ input, signal }) => gates.pass(input.gate, signal));
const free = defineWorkflow<{ gate: string }>({ name: "free", grace: "5s" }).step("work", ({ input, signal }) =>
  gates.pass(input.gate, signal),
);

describe("health.get", () => {
  it("is idle, then flows, then is held back by a key, then idle again", { timeout: 60_000 }, async () => {
    const { client, call } = await startEngineWorld([gated, free]);
    expect(await call("health.get", {})).toMatchObject({
      verdict: "idle",
      sentence: "Nothing to do now.",
      live: 0,
      slots: { used: 0, total: 100 },
      rejected: 0,
    });
    await client.run("free", { gate: "f" });
    const flowing = await call("health.get", {});
    expect(flowing).toMatchObject({ verdict: "flowing", live: 1, active: 1, waiting: 0, slots: { used: 1, total: 100 } });
    expect(flowing.startsPerMinute).toBe(1);

    for (let i = 0; i < 3; i++) await client.run("gated", { k: "acme", gate: "g" });
    const held = await waitFor(async () => {
      const health = await client.health();
      return health.verdict === "held back" && health;
    });
    expect(held.sentence).toBe('2 runs wait behind limit "gated" for key "acme" (1 of 1 slot in use).');
    expect(held).toMatchObject({ live: 4, active: 2, waiting: 2, heldBackBy: [{ limit: "gated", key: "acme", waiting: 2 }] });

    gates.open("*");
    const idle = await waitFor(async () => {
      const health = await call("health.get", {});
      return health.verdict === "idle" && health;
    });
    expect(idle).toMatchObject({ live: 0, active: 0, waiting: 0, heldBackBy: [] });
    expect(idle.finishesPerMinute).toBeGreaterThan(3);
  });

  it(
    "names the step that no worker serves, counts what was rejected, and says when NATS is away",
    { timeout: 60_000 },
    async () => {
      const { client, call, worker, engine, url } = await startEngineWorld([free]);
      await worker?.stop();
      await client.run("free", { gate: "f" });
      await client.run("free", { gate: "f" });
      const health = await waitFor(async () => {
        const seen = await call("health.get", {});
        return seen.verdict === "no worker" && seen;
      });
      expect(health.sentence).toBe('No worker serves step "work" of workflow "free": 2 runs wait for one.');
      expect(health.noWorkerFor).toEqual([{ workflow: "free", step: "work", waiting: 2 }]);

      const nats = await connectNats({ servers: url, name: "test", logger: silent });
      onCleanup(() => nats.close());
      await nats.publishAcked("sluice.events.free.bad", "{ not JSON");
      await waitFor(async () => (await call("health.get", {})).rejected === 1, { timeoutMs: 15_000 });
      const { items } = await client.rejected.list();
      expect(items).toEqual([
        expect.objectContaining({
          what: "events.free.bad",
          payload: "{ not JSON",
          bytes: 10,
          reason: expect.stringMatching(/JSON/) as string,
        }),
      ]);

      await engine.stop();
      expect(await call("health.get", {})).toMatchObject({ verdict: "disconnected" });
    },
  );
});

describe("worker.drain", () => {
  it("has a worker finish what it runs, take nothing new, and end, with nothing lost", { timeout: 60_000 }, async () => {
    const { client, call, worker, url } = await startEngineWorld([free], { drainTimeout: "20s" });
    const runs = await Promise.all(Array.from({ length: 5 }, () => client.run("free", { gate: "first" })));
    await waitFor(() => worker?.used === 5);
    const drained = await client.workers.drain(worker?.id ?? "");
    expect(drained).toMatchObject({ id: worker?.id, mode: "draining", used: 5 });
    const later = await client.run("free", { gate: "second" });
    expect((await client.workers.list()).items).toMatchObject([{ mode: "draining", used: 5 }]);
    await waitFor(async () => (await call("health.get", {})).verdict === "no worker");

    gates.open("*");
    await within(10_000, "the end of the worker", worker?.closed ?? Promise.reject(new Error("no worker")));
    for (const run of runs) expect((await client.runs.get(run.id)).status).toBe("SUCCEEDED");
    expect((await client.workers.list()).items).toEqual([]);
    const other = await startWorker({ servers: url, workflows: [free], logger: silent });
    onCleanup(() => other.stop());
    expect(await within(10_000, "the later run", later.result())).toEqual({ work: null });
  });

  it("refuses a worker that nobody knows", async () => {
    const { client } = await startEngineWorld([free]);
    await expect(client.workers.drain("nobody")).rejects.toMatchObject({ status: 404, reason: "WORKER_NOT_FOUND" });
  });
});

describe("many runs at once", () => {
  it("are cancelled and replayed with an outcome for each", { timeout: 60_000 }, async () => {
    const { client } = await startEngineWorld([free, gated]);
    const ids = [];
    for (let i = 0; i < 20; i++) ids.push((await client.run("gated", { k: "one", gate: "g" })).id);
    const done = await client.run("free", { gate: "done" });
    gates.open("done");
    await done.result();
    const { items } = await client.runs.cancelMany([...ids, done.id, "nobody", done.id]);
    expect(items.map(({ id }) => id)).toEqual([...ids, done.id, "nobody"]);
    for (const { status, error } of items.slice(1, 20))
      expect({ status, error }).toEqual({ status: "CANCELLED", error: undefined });
    expect(items[20]).toEqual({ id: done.id, status: "SUCCEEDED" });
    expect(items[21]).toEqual({ id: "nobody", error: { code: "RUN_NOT_FOUND", message: 'there is no run "nobody"' } });

    gates.open("*");
    const replayed = await client.runs.replayMany([...ids.slice(0, 3), "nobody"]);
    expect(replayed.items[3]).toMatchObject({ id: "nobody", error: { code: "RUN_NOT_FOUND" } });
    for (const { id, newId } of replayed.items.slice(0, 3)) {
      const run = await waitFor(async () => {
        const view = await client.runs.get(newId ?? "");
        return view.status === "SUCCEEDED" && view;
      });
      expect(run.replayOf).toBe(id);
    }
  });
});

describe("events", () => {
  it("are published for those who cannot speak NATS, and listed in pages, by name or pattern", { timeout: 60_000 }, async () => {
    const { client, call } = await startEngineWorld([gated]);
    gates.open("*");
    const { seq } = await call("event.publish", {
      name: "gated.wanted",
      payload: { k: "ü", gate: "g" },
      metadata: { who: "Zoë" },
      priority: 3,
    });
    const run = await waitFor(async () => (await client.runs.list({ workflow: "gated" })).items[0]);
    expect(run).toMatchObject({
      input: { k: "ü", gate: "g" },
      metadata: { who: "Zoë" },
      priority: 3,
      event: { name: "gated.wanted", seq },
    });
    await expect(call("event.publish", { name: "no spaces", payload: null })).rejects.toMatchObject({ status: 400 });

    await client.publishMany(
      Array.from({ length: 500 }, (_, i) => ({ event: i % 100 === 0 ? "rare.one" : `noise.${i % 7}`, payload: i })),
    );
    const rare = await call("event.list", { name: "rare.one", size: 2 });
    expect(rare.items.map(({ payload }) => payload)).toEqual([400, 300]);
    const all = [];
    for await (const event of client.events.list({ name: "rare.*", size: 2 })) all.push(event.payload);
    expect(all).toEqual([400, 300, 200, 100, 0]);
    const everything = [];
    for await (const event of client.events.list({ size: 33 })) everything.push(event.seq);
    expect(everything).toHaveLength(501);
    expect(everything).toEqual(everything.toSorted((a, b) => b - a));
    expect((await call("event.list", { name: "gated.wanted" })).items[0]?.runs).toEqual([run.id]);
    expect((await call("event.list", { name: "nobody.published.this" })).items).toEqual([]);
  });
});
