/** What starts runs: events from any NATS client, calls, schedules, crons, replays; and the order in which keys take effect. */
import { headers } from "@nats-io/transport-node";
import { RunCancelledError } from "sluice";
import { beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../support/wait.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";
import { now } from "./support/records.ts";

describe("events", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ workflows: ["triggers"] });
  });

  it("come from any NATS client, with JetStream's acknowledgement, metadata and priority in headers", async () => {
    const h = headers();
    h.set("Sluice-Metadata", '{"tenant":"a"}');
    h.set("Sluice-Priority", "7");
    h.set("Nats-Msg-Id", "once");
    const first = (await cluster.nats.request("sluice.events.plain", '{"x":1}', { headers: h, timeout: 5_000 })).json<{
      stream: string;
      seq: number;
      duplicate?: boolean;
    }>();
    const again = (await cluster.nats.request("sluice.events.plain", '{"x":1}', { headers: h, timeout: 5_000 })).json<{
      stream: string;
      seq: number;
      duplicate?: boolean;
    }>();
    expect(first).toMatchObject({ stream: "SLUICE_EVENTS", seq: expect.any(Number) });
    expect(again).toMatchObject({ seq: first.seq, duplicate: true });
    // Behind the second one in the stream: whatever that had started would be there by now.
    await cluster.nats.request("sluice.events.plain", '{"x":2}');
    const runs = await cluster.ended("plain", 2);
    expect(runs).toHaveLength(2);
    expect(runs[0]).toMatchObject({
      status: "SUCCEEDED",
      priority: 7,
      metadata: { tenant: "a" },
      event: { name: "plain", seq: first.seq },
      input: { x: 1 },
      outputs: { work: { input: { x: 1 }, metadata: { tenant: "a" }, event: "plain" } },
    });
  });

  it("start the workflows whose patterns match, each once", async () => {
    for (const event of ["order", "order.created", "order.paid", "order.paid.late", "other"])
      await cluster.client.publish(event, { n: 1 });
    await cluster.ended("any-tokens", 3);
    await cluster.ended("one-token", 2);
    const started = async (workflow: string) => (await cluster.runs(workflow)).map((run) => run.event?.name);
    expect(await started("any-tokens")).toEqual(["order.created", "order.paid", "order.paid.late"]);
    expect(await started("one-token")).toEqual(["order.created", "order.paid"]);
    expect(await started("matches-twice")).toEqual(["order.created", "order.paid"]);
    // Those that nobody waits for are kept.
    const events = (await cluster.client.events.list({ size: 10 })).items.map(({ name, runs }) => [name, runs.length]);
    expect(events.slice(0, 5)).toEqual([
      ["other", 0],
      ["order.paid.late", 1],
      ["order.paid", 3],
      ["order.created", 3],
      ["order", 0],
    ]);
  });

  it("take effect in their order within a key, be it an expression or a function", async () => {
    const events = Array.from({ length: 60 }, (_, n) => ({ event: "keyed", payload: { key: `k${n % 3}`, n } }));
    await cluster.client.publishMany(events);
    for (const workflow of ["cel-key", "function-key"]) {
      await cluster.ended(workflow, 60);
      for (const key of ["k0", "k1", "k2"]) {
        const started = cluster.starts(workflow).filter(({ keys }) => keys[0] === key);
        expect(started.map(({ n }) => n)).toEqual(Array.from({ length: 20 }, (_, i) => 3 * i + Number(key[1])));
      }
    }
  });

  it("may be keyed by their name and metadata, by an expression and a function at once", async () => {
    await cluster.client.publish("mixed.a", { n: 1 }, { metadata: { tenant: "t1" } });
    const [run] = await cluster.ended("mixed-keys", 1);
    expect(run).toMatchObject({
      status: "SUCCEEDED",
      keys: [
        { limit: "mixed-cel", key: "mixed.a/t1" },
        { limit: "mixed-function", key: "mixed-keys/t1" },
      ],
    });
  });

  it("have what happens to their runs published, for anyone to subscribe to", async () => {
    const changes: string[] = [];
    cluster.nats.subscribe("sluice.runs.limited.*.*", {
      callback: (_, message) => {
        const { id, change, status, step, stepStatus } = message.json<{
          id: string;
          change: string;
          status: string;
          step?: string;
          stepStatus?: string;
        }>();
        expect(message.subject).toBe(`sluice.runs.limited.${id}.${change}`);
        changes.push([change, status, step, stepStatus].filter((part) => part !== undefined).join(" "));
      },
    });
    await cluster.nats.flush();
    const holder = await cluster.client.run("limited", { key: "k", gate: "changes" });
    await cluster.started(holder.id);
    const run = await cluster.client.run("limited", { key: "k" });
    await cluster.open("changes");
    await run.result({ timeout: "10s" });
    await waitFor(() => changes.filter((change) => change.startsWith("succeeded")).length === 2, { what: "both ends" });
    const life = [
      "started RUNNING first RUNNING",
      "step RUNNING first SUCCEEDED",
      "step RUNNING second RUNNING",
      "step RUNNING second SUCCEEDED",
      "succeeded SUCCEEDED",
    ];
    expect(changes).toEqual(["admitted RUNNING", life[0], "queued QUEUED", ...life.slice(1), "admitted RUNNING", ...life]);
  });
});

describe("schedules", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ workflows: ["triggers"] });
  });

  it("start runs at their time, are listed until then, and can be cancelled", async () => {
    const before = now();
    const at = new Date(Date.now() + 700);
    const delayed = await cluster.client.run("plain", { n: 1 }, { delay: "500ms" });
    const timed = await cluster.client.run("plain", { n: 2 }, { at });
    const cancelled = await cluster.client.run("plain", { n: 3 }, { delay: "600ms" });
    const far = await cluster.client.run("limited", { key: "far" }, { delay: "1h" });
    const listed = async (): Promise<string[]> => (await cluster.client.schedules.list()).items.map(({ id }) => id).sort();
    expect(await listed()).toEqual([delayed.id, timed.id, cancelled.id, far.id].sort());
    expect(await timed.get()).toMatchObject({ status: "QUEUED", scheduledAt: at.toISOString() });
    expect(await cluster.client.runs.explain(timed.id)).toMatchObject({
      waitingFor: "schedule",
      until: at.toISOString(),
      sentence: expect.stringContaining(`It is scheduled for ${at.toISOString()}, in `),
    });
    expect(await cluster.client.schedules.cancel(cancelled.id)).toMatchObject({
      status: "CANCELLED",
      reason: "CANCELLED_BY_USER",
    });

    await Promise.all([delayed.result({ timeout: "10s" }), timed.result({ timeout: "10s" })]);
    const started = async (run: string): Promise<number> => (await cluster.started(run)).at - before;
    expect(await started(delayed.id)).toBeGreaterThan(495);
    expect(await started(delayed.id)).toBeLessThan(1_500);
    expect(await started(timed.id)).toBeGreaterThan(690);
    await expect(cancelled.result({ timeout: "5s" })).rejects.toBeInstanceOf(RunCancelledError);
    expect(cluster.starts("plain").some(({ run }) => run === cancelled.id)).toBe(false);
    expect(await listed()).toEqual([far.id]);
  });

  it("compute their keys when their time has come, and hold no slot before", async () => {
    const scheduled = await cluster.client.run("limited", { key: "s" }, { delay: "300ms" });
    const direct = await cluster.client.run("limited", { key: "s" });
    await direct.result({ timeout: "10s" });
    expect(await scheduled.status()).toBe("QUEUED");
    await scheduled.result({ timeout: "10s" });
  });
});

describe("replay", () => {
  it("starts a new run with the same input, priority and metadata", async () => {
    const cluster = await startCluster({ workflows: ["triggers"] });
    const run = await cluster.client.run("plain", { x: [1, 2] }, { metadata: { a: 1 }, priority: 3 });
    const output = await run.result({ timeout: "10s" });
    const replayed = await cluster.client.runs.replay(run.id);
    expect(replayed).toMatchObject({
      replayOf: run.id,
      workflow: "plain",
      input: { x: [1, 2] },
      metadata: { a: 1 },
      priority: 3,
    });
    expect(replayed.id).not.toBe(run.id);
    expect(await cluster.client.runs.handle(replayed.id).result({ timeout: "10s" })).toEqual(output);
    expect(await run.get()).not.toHaveProperty("replayOf");
  });
});

describe("a large input", () => {
  it("is there for handlers, lists and replays after engines have gone behind snapshots, whatever started its run", async () => {
    const cluster = await startCluster({ workflows: ["triggers"] });
    const input = { text: "x".repeat(2_000), key: "k" };
    const called = await cluster.client.run("plain", input);
    const { seq } = await cluster.client.publish("plain", input);
    const scheduled = await cluster.client.run("plain", input, { delay: "1500ms" });
    const keyed = await cluster.client.run("function-key", { ...input, gate: "large" });
    const waiting = await cluster.client.run("function-key", input);
    await cluster.started(keyed.id);
    await called.result({ timeout: "10s" });
    await waitFor(async () => (await cluster.runs("plain")).some((run) => run.event?.seq === seq && run.status === "SUCCEEDED"), {
      what: "the event's run to end",
    });
    // In order, so with snapshots, and with that all inboxes are emptied.
    await cluster.engine.stop();
    await cluster.startEngine();
    await cluster.open("large");
    await Promise.all([keyed.result({ timeout: "10s" }), waiting.result({ timeout: "10s" })]);
    expect(await scheduled.result({ timeout: "10s" })).toMatchObject({ work: { input } });
    for (const { id } of [called, scheduled, waiting, ...(await cluster.runs("plain")).filter((run) => run.event?.seq === seq)]) {
      expect((await cluster.client.runs.get(id)).input).toEqual(input);
      const replayed = await cluster.client.runs.replay(id);
      expect(replayed).toMatchObject({ replayOf: id, input });
      await cluster.until(replayed.id, "SUCCEEDED");
    }
  });
});

describe("a cron with seconds", () => {
  it("fires each tick once, on the second, also when another engine takes over, and does not make up for missed ones", async () => {
    const cluster = await startCluster({ workflows: ["cron"], engine: { lease: "500ms", name: "first" } });
    const ticks = (): string[] => cluster.starts("ticking").map(({ run }) => run);
    const scheduled = await cluster.client.run("later", {}, { delay: "2500ms" });
    await waitFor(() => ticks().length >= 2, { what: "two ticks" });

    const second = cluster.launchEngine({ lease: "500ms", name: "second", dataDir: "second" });
    await second.waitForOutput("the engine is ready");
    await cluster.engine.kill();
    await second.waitForOutput("gives no sign of life");
    const before = ticks().length;
    await waitFor(() => ticks().length >= before + 2, { what: "two ticks of the second engine" });
    expect(await scheduled.result({ timeout: "10s" })).toEqual({ work: "done" });

    const runs = await waitFor(
      async () => {
        const all = await cluster.runs("ticking");
        return (
          all.filter(({ status }) => status === "SUCCEEDED").length >= 4 && all.filter(({ status }) => status === "SUCCEEDED")
        );
      },
      { what: "their runs to end" },
    );
    const times = runs.map(({ metadata, createdAt, input }) => {
      const tick = String(metadata["tick"]);
      expect(input).toEqual({ from: "cron" });
      expect(tick).toMatch(/\.000Z$/);
      // Not made up for later.
      expect(Date.parse(createdAt) - Date.parse(tick)).toBeLessThan(1_000);
      expect(Date.parse(createdAt)).toBeGreaterThanOrEqual(Date.parse(tick));
      return tick;
    });
    expect(new Set(times).size).toBe(times.length);
  });
});
