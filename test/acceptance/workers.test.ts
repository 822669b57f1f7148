/** Workers that come, go, are told to stop, freeze; engines that restart or are frozen; and the clients that see nothing of it. */
import { RunHandle } from "sluice";
import { describe, expect, it } from "vitest";
import { waitFor, within } from "../support/wait.ts";
import { checkRecords, executionsOf } from "./support/check-records.ts";
import { type Cluster, startCluster, tally } from "./support/cluster.ts";

const of = (cluster: Cluster, run: string) => cluster.records().filter((entry) => entry.run === run);

describe("a worker that is told to stop (SIGTERM)", () => {
  it("takes nothing new, finishes what it can, hands the rest back as if it had not been tried, and ends", async () => {
    const cluster = await startCluster({ workflows: ["steps"], worker: { name: "leaving", drainTimeout: "700ms" } });
    const [leaving] = cluster.workers;
    const finishes = await cluster.client.run("one-at-a-time", { key: "a", n: 1, gate: "finishes" });
    const isHandedBack = await cluster.client.run("one-at-a-time", { key: "b", n: 2, gate: "later" });
    await cluster.started(finishes.id);
    await cluster.started(isHandedBack.id);

    leaving?.child.kill("SIGTERM");
    await leaving?.waitForOutput("draining: takes nothing new");
    await waitFor(async () => (await cluster.client.workers.list()).items[0]?.mode === "draining", {
      what: "the worker to be listed as draining",
    });
    const isNew = await cluster.client.run("one-at-a-time", { key: "c", n: 3 });
    expect(await cluster.client.runs.explain(isNew.id)).toMatchObject({ waitingFor: "worker" });
    await cluster.open("finishes");
    expect(await finishes.result({ timeout: "10s" })).toMatchObject({ only: { n: 1 } });
    expect(await within(10_000, "the worker to end", leaving?.exited ?? Promise.reject(new Error()))).toMatchObject({ code: 0 });
    expect(of(cluster, isHandedBack.id).at(-1)).toMatchObject({ what: "end", aborted: "AbortError" });
    expect(of(cluster, isNew.id)).toEqual([]);
    expect((await cluster.client.workers.list()).items).toEqual([]);

    await cluster.startWorker(["steps"], { name: "next" });
    await isNew.result({ timeout: "10s" });
    await cluster.open("later");
    const outputs = await isHandedBack.result({ timeout: "10s" });
    const [first, , second] = of(cluster, isHandedBack.id);
    expect([first?.attempt, second?.attempt]).toEqual([1, 1]);
    expect(second?.attemptId).not.toBe(first?.attemptId);
    expect(outputs).toEqual({ only: { n: 2, attemptId: second?.attemptId } });
    expect((await isHandedBack.get()).steps["only"]).toMatchObject({ attempts: 1, worker: expect.stringMatching(/^next-/) });
  });
});

describe("workers that join and leave while there is work", () => {
  it("share it, and each step runs once", async () => {
    const cluster = await startCluster({ workflows: ["load"], slots: 5, worker: { name: "first" } });
    const events = Array.from({ length: 300 }, (_, n) => ({ event: "load", payload: { key: `k${n % 20}`, n, ms: 30 } }));
    await cluster.client.publishMany(events);
    await waitFor(() => cluster.starts("load").length > 30, { what: "the first worker to work" });
    const second = await cluster.startWorker(["load"], { slots: 5, name: "second" });
    const worksIn = (process: { readonly pid: number }) =>
      waitFor(() => cluster.starts("load").filter(({ pid }) => pid === process.pid).length > 20, {
        what: `worker ${process.pid} to work`,
      });
    await worksIn(second);
    expect(await cluster.workers[0]?.stop()).toMatchObject({ code: 0 });
    const third = await cluster.startWorker(["load"], { slots: 5, name: "third" });
    await worksIn(third);
    expect(await second.stop()).toMatchObject({ code: 0 });
    expect(tally(await cluster.ended("load", 300, 30_000))).toEqual({ SUCCEEDED: 300 });
    expect(
      checkRecords(cluster.records("load"), {
        events: events.map(({ payload }) => payload.n),
        steps: ["first", "second"],
        maxRuns: 2,
      }),
    ).toEqual([]);
    expect(cluster.starts("load")).toHaveLength(600);
    expect((await cluster.client.workers.list()).items.map(({ name }) => name)).toEqual(["third"]);
  });
});

describe("a worker that freezes for longer than its deadline, and wakes up", () => {
  it("has its step run elsewhere, and its own result comes to nothing", async () => {
    const cluster = await startCluster({ workflows: ["steps"], worker: { name: "frozen", heartbeat: "250ms", deadline: "1s" } });
    const [frozen] = cluster.workers;
    const run = await cluster.client.run("one-at-a-time", { key: "k", n: 1, gate: "freeze" });
    const next = await cluster.client.run("one-at-a-time", { key: "k", n: 2, gate: "next" });
    await cluster.started(run.id);
    const other = await cluster.startWorker(["steps"], { name: "other" });
    frozen?.child.kill("SIGSTOP");
    const again = await cluster.started(run.id, "only", 2);
    expect(again).toMatchObject({ pid: other.pid, attempt: 2 });
    await cluster.open("freeze");
    expect(await run.result({ timeout: "10s" })).toEqual({ only: { n: 1, attemptId: again.attemptId } });

    frozen?.child.kill("SIGCONT");
    await waitFor(() => of(cluster, run.id).filter(({ what }) => what === "end").length === 2, {
      what: "the frozen handler to end",
    });
    await waitFor(async () => (await cluster.client.workers.list()).items.length === 2, { what: "the worker to be back" });
    await cluster.open("next");
    expect(await next.result({ timeout: "10s" })).toMatchObject({ only: { n: 2 } });
    expect(await run.get()).toMatchObject({ status: "SUCCEEDED", outputs: { only: { attemptId: again.attemptId } } });
    expect(await cluster.client.groups.get({ limit: "one-at-a-time", key: "k" })).toMatchObject({ active: 0, waiting: 0 });
  });
});

describe("a client", () => {
  it("sees its run through a kill -9 of the engine, and starts another while none is there", async () => {
    const cluster = await startCluster({ workflows: ["steps"], engine: { lease: "500ms" } });
    const run = await cluster.client.run("diamond-of-gates", {
      n: 1,
      steps: { top: { gate: "top" }, bottom: { gate: "bottom" } },
    });
    expect(run).toBeInstanceOf(RunHandle);
    const seen: string[] = [];
    const followed = (async () => {
      for await (const { change, step, stepStatus } of run)
        seen.push([change, step, stepStatus].filter((part) => part !== undefined).join(" "));
    })();
    const result = run.result({ timeout: "30s" });
    await cluster.started(run.id, "top");
    await cluster.engine.kill();
    await cluster.open("top");
    const meanwhile = cluster.client.run("one-at-a-time", { key: "k", n: 2 });
    await cluster.startEngine({ lease: "500ms" });
    await cluster.started(run.id, "bottom");
    await cluster.open("bottom");
    expect(await result).toMatchObject({ top: { n: 1 }, bottom: { n: 1 } });
    expect(await (await meanwhile).result({ timeout: "10s" })).toMatchObject({ only: { n: 2 } });
    await within(5_000, "the changes to end", followed);
    expect(seen.at(-1)).toBe("succeeded");
    // One that asks only now is told at once.
    expect(await cluster.client.runs.handle(run.id).result({ timeout: "5s" })).toMatchObject({ bottom: { n: 1 } });
    for (const { step, attempt } of of(cluster, run.id)) expect([step, attempt]).toEqual([step, 1]);
  });
});

describe("an engine that freezes, and wakes up when another has taken over", () => {
  it("writes nothing any more, and nothing is lost or done twice", async () => {
    const cluster = await startCluster({
      workflows: ["load"],
      workers: 2,
      slots: 10,
      engine: { lease: "500ms", name: "frozen" },
    });
    const other = cluster.launchEngine({ lease: "500ms", name: "other", dataDir: "other" });
    await other.waitForOutput("the engine is ready");
    const frozen = cluster.engine;
    const publish = async (from: number, to: number): Promise<unknown> =>
      await cluster.client.publishMany(
        Array.from({ length: to - from }, (_, i) => ({
          event: "load",
          payload: { key: `k${(from + i) % 20}`, n: from + i, ms: 10 },
        })),
      );
    await publish(0, 200);
    await waitFor(() => cluster.starts("load", "second").length > 20, { what: "the engines to work" });
    frozen.child.kill("SIGSTOP");
    await publish(200, 300);
    await other.waitForOutput("gives no sign of life");
    await publish(300, 400);
    frozen.child.kill("SIGCONT");
    await frozen.waitForOutput("was taken for dead");
    await publish(400, 500);
    expect(tally(await cluster.ended("load", 500, 30_000))).toEqual({ SUCCEEDED: 500 });
    const records = await waitFor(() => executionsOf(cluster.records("load")).problems.length === 0 && cluster.records("load"), {
      what: "all to have ended",
    });
    expect(
      checkRecords(records, { events: Array.from({ length: 500 }, (_, n) => n), steps: ["first", "second"], maxRuns: 2 }),
    ).toEqual([]);
    expect(other.ended).toBe(false);
  });
});
