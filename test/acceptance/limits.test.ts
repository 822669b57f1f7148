/** Limits that are several, that change while they are in use, and priorities within them. */
import type { RunHandle } from "sluice";
import { beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../support/wait.ts";
import { executionsOf, peaks, spansOf } from "./support/check-records.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ workflows: ["limits"] });
});

/** The `n` of the executions that a key has begun, in order. */
const begun = (workflow: string, key: string): number[] =>
  cluster
    .starts(workflow)
    .filter(({ keys }) => keys.includes(key))
    .map(({ n }) => n ?? -1);

const running = (workflow: string, key: string): number =>
  cluster.records(workflow).reduce((sum, { what, keys }) => sum + (keys.includes(key) ? (what === "start" ? 1 : -1) : 0), 0);

/** Publishes runs 0, 1, 2 … of a key, each behind its own gate `<key>-<n>`, and waits until all are there. */
async function gated(workflow: string, key: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await cluster.client.publish(workflow, { key, n, gate: `${key}-${n}` });
  await waitFor(
    async () => (await cluster.runs(workflow)).filter((run) => run.keys.some((one) => one.key === key)).length === count,
    { what: `${count} runs of ${key}` },
  );
}

const openAll = async (key: string, count: number): Promise<void> => {
  for (let n = 0; n < count; n++) await cluster.open(`${key}-${n}`);
};

const allEnded = async (workflow: string, key: string, count: number) => {
  const ended = async () =>
    (await cluster.runs(workflow)).filter((run) => run.keys.some((one) => one.key === key) && run.finishedAt !== undefined);
  await waitFor(async () => (await ended()).length === count, { what: `${count} runs of ${key} to end` });
  return await ended();
};

describe("priorities within a key", () => {
  it("go before the order of events, whether they come with events or with calls", async () => {
    const first = await cluster.client.run("prioritized", { key: "p", n: 0, gate: "p" });
    await cluster.started(first.id);
    await cluster.client.publish("prioritized", { key: "p", n: 1 });
    await cluster.client.publish("prioritized", { key: "p", n: 2 }, { priority: 5 });
    await cluster.client.publish("prioritized", { key: "p", n: 3 }, { priority: -1 });
    await cluster.client.publish("prioritized", { key: "p", n: 4 }, { priority: 5 });
    await waitFor(async () => (await cluster.runs("prioritized")).length === 5, { what: "the events' runs" });
    await cluster.client.run("prioritized", { key: "p", n: 5 }, { priority: 7 });
    await cluster.open("p");
    await cluster.ended("prioritized", 6);
    expect(begun("prioritized", "p")).toEqual([0, 5, 2, 4, 1, 3]);
  });
});

describe("several limits", () => {
  it("are taken together: one per user and three in all", async () => {
    // Ada has three runs, of which one may run; Bob and Cy one each; Dan finds no room in all.
    const users = ["ada", "ada", "ada", "bob", "cy", "dan", "eve"];
    for (const [n, key] of users.entries()) await cluster.client.publish("per-user-and-total", { key, n, gate: `user-${n}` });
    await waitFor(async () => (await cluster.runs("per-user-and-total")).length === users.length, { what: "all runs" });
    await waitFor(() => cluster.starts("per-user-and-total").length === 3, { what: "three to start" });
    const started = (): number[] => cluster.starts("per-user-and-total").map(({ n }) => n ?? -1);
    expect(started()).toEqual([0, 3, 4]);
    expect(await cluster.client.groups.get({ limit: "total", key: "all" })).toMatchObject({ active: 3, waiting: 4 });
    expect(await cluster.client.groups.get({ limit: "user", key: "ada" })).toMatchObject({ active: 1, waiting: 2 });

    // Bob's slot goes to one that both limits let pass: the next in line that can, which is none of Ada's.
    await cluster.open("user-3");
    await waitFor(() => started().length === 4, { what: "a fourth to start" });
    expect(started()).toEqual([0, 3, 4, 5]);
    // Ada's goes to Eve, though Ada's second came before: users take turns for what they share.
    await cluster.open("user-0");
    await waitFor(() => started().length === 5, { what: "a fifth to start" });
    expect(started()).toEqual([0, 3, 4, 5, 6]);
    await cluster.open("user-4");
    await waitFor(() => started().length === 6, { what: "a sixth to start" });
    expect(started()).toEqual([0, 3, 4, 5, 6, 1]);

    for (const n of users.keys()) await cluster.open(`user-${n}`);
    const runs = await cluster.ended("per-user-and-total", users.length);
    expect(runs.map(({ status }) => status)).toEqual(users.map(() => "SUCCEEDED"));
    const spans = spansOf(executionsOf(cluster.records("per-user-and-total")).executions);
    expect(Math.max(...peaks(spans).values())).toBe(1);
    expect(peaks(spans.map((span) => ({ ...span, key: "all" }))).get("all")).toBe(3);
    expect(await cluster.client.groups.get({ limit: "total", key: "all" })).toMatchObject({ active: 0, waiting: 0 });
  });
});

describe("a group that is changed while it is in use", () => {
  it("admits more at once when its maxRuns is raised, and lets those that run finish when it is lowered", async () => {
    const group = { limit: "adjustable", key: "change" };
    await gated("adjustable", "change", 8);
    await waitFor(() => begun("adjustable", "change").length === 2, { what: "two to start" });
    expect(await cluster.client.groups.update({ ...group, maxRuns: 4 })).toMatchObject({ maxRuns: 4, overridden: true });
    await waitFor(() => begun("adjustable", "change").length === 4, { what: "two more to start" });

    expect(await cluster.client.groups.update({ ...group, maxRuns: 1 })).toMatchObject({ maxRuns: 1, active: 4, waiting: 4 });
    for (const n of [0, 1, 2]) {
      await cluster.open(`change-${n}`);
      await waitFor(async () => (await cluster.client.groups.get(group)).active === 3 - n, { what: `${3 - n} active` });
    }
    // One runs, and that is as many as may: nobody has followed the three.
    expect(begun("adjustable", "change")).toEqual([0, 1, 2, 3]);
    await cluster.open("change-3");
    await waitFor(() => begun("adjustable", "change").length === 5, { what: "the next one to start" });
    expect(await cluster.client.groups.get(group)).toMatchObject({ active: 1, waiting: 3 });

    // Its own maxRuns taken back, it has that of its workflow again: two.
    expect(await cluster.client.groups.update({ ...group, maxRuns: null })).toMatchObject({ maxRuns: 2 });
    await waitFor(() => begun("adjustable", "change").length === 6, { what: "one more to start" });
    await openAll("change", 8);
    await allEnded("adjustable", "change", 8);
    expect(begun("adjustable", "change")).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it("cancels the oldest beyond a lowered maxRuns under CANCEL_IN_PROGRESS", async () => {
    const group = { limit: "replaceable", key: "cut" };
    await gated("replaceable", "cut", 3);
    await waitFor(() => begun("replaceable", "cut").length === 3, { what: "three to start" });
    await cluster.client.groups.update({ ...group, maxRuns: 1 });
    await waitFor(() => running("replaceable", "cut") === 1, { what: "two to stop" });
    await openAll("cut", 3);
    const runs = await allEnded("replaceable", "cut", 3);
    expect(runs.map(({ status, reason }) => reason ?? status)).toEqual([
      "CANCELLED_BY_CONCURRENCY_LIMIT",
      "CANCELLED_BY_CONCURRENCY_LIMIT",
      "SUCCEEDED",
    ]);
  });

  it("admits nothing while it is paused, and goes on in order when it is resumed", async () => {
    const group = { limit: "adjustable", key: "pause" };
    expect(await cluster.client.groups.pause(group)).toMatchObject({ paused: true });
    await gated("adjustable", "pause", 3);
    // A run of another key passes: the engine works, and has passed over these.
    const other = await cluster.client.run("adjustable", { key: "not-paused" });
    await other.result({ timeout: "10s" });
    expect(begun("adjustable", "pause")).toEqual([]);
    expect(await cluster.client.groups.get(group)).toMatchObject({ paused: true, active: 0, waiting: 3 });
    expect(await cluster.client.groups.resume(group)).toMatchObject({ paused: false });
    await waitFor(() => begun("adjustable", "pause").length === 2, { what: "two to start" });
    await openAll("pause", 3);
    await allEnded("adjustable", "pause", 3);
    expect(begun("adjustable", "pause")).toEqual([0, 1, 2]);
  });
});

describe("a new version of a workflow", () => {
  it("leaves runs that wait on the version that they came with, and its maxRuns counts for all of them", async () => {
    await cluster.startWorker(["versioned-1"], { name: "first" });
    const [old] = (await cluster.client.workflows.get("versioned")).versions;
    const runs: RunHandle[] = [];
    for (let n = 0; n < 3; n++) runs.push(await cluster.client.run("versioned", { key: "v", n, gate: `v-${n}` }));
    await cluster.started(runs[0]?.id ?? "");

    await cluster.startWorker(["versioned-2"], { name: "second" });
    const workflow = await cluster.client.workflows.get("versioned");
    expect(workflow.versions).toHaveLength(2);
    expect(workflow.version).not.toBe(old);
    // Three at once now, of whatever version.
    for (let n = 3; n < 5; n++) runs.push(await cluster.client.run("versioned", { key: "v", n, gate: `v-${n}` }));
    await waitFor(() => begun("versioned", "v").length === 3, { what: "three to run" });
    expect(await cluster.client.groups.get({ limit: "versioned", key: "v" })).toMatchObject({
      maxRuns: 3,
      active: 3,
      waiting: 2,
    });

    await openAll("v", 5);
    const views = await cluster.ended("versioned", 5);
    expect(views.map(({ version, status, steps }) => [version, status, Object.keys(steps)])).toEqual([
      ...[0, 1, 2].map(() => [old, "SUCCEEDED", ["work"]]),
      ...[3, 4].map(() => [workflow.version, "SUCCEEDED", ["work", "more"]]),
    ]);
    // Each ran where its version is served.
    expect(views.map(({ steps }) => steps["work"]?.worker?.split("-")[0])).toEqual([
      "first",
      "first",
      "first",
      "second",
      "second",
    ]);
  });
});

describe("a group's settings", () => {
  it("are kept over a restart of the engine", async () => {
    cluster = await startCluster({ workflows: ["limits"] });
    const group = { limit: "adjustable", key: "restart" };
    await cluster.client.groups.update({ ...group, maxRuns: 3 });
    await cluster.client.groups.pause(group);
    await gated("adjustable", "restart", 4);
    await cluster.engine.stop();
    await cluster.startEngine();
    expect(await cluster.client.groups.get(group)).toMatchObject({ paused: true, maxRuns: 3, waiting: 4 });
    await cluster.client.groups.resume(group);
    await waitFor(() => begun("adjustable", "restart").length === 3, { what: "three to start" });
    await openAll("restart", 4);
    await allEnded("adjustable", "restart", 4);
    expect(begun("adjustable", "restart").toSorted()).toEqual([0, 1, 2, 3]);
  });
});
