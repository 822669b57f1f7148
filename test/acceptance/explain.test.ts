/** "Why is this run waiting?": one exact sentence for each cause. */
import { beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../support/wait.ts";
import { runCli } from "../support/process.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";

describe("the explanation of a run", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ workflows: ["limits", "steps", "triggers"], slots: 2, worker: { name: "solo" } });
  });

  const explain = async (run: { readonly id: string }) => await cluster.client.runs.explain(run.id);
  const worker = async (): Promise<string> => (await cluster.client.workers.list()).items[0]?.id ?? "";

  it("names the limit, the holders and the place in line", async () => {
    const holder = await cluster.client.run("one-at-a-time", { key: "k", gate: "limit" });
    const low = await cluster.client.run("one-at-a-time", { key: "k" }, { priority: -1 });
    const second = await cluster.client.run("one-at-a-time", { key: "k" });
    await cluster.started(holder.id);
    expect(await explain(second)).toEqual({
      id: second.id,
      status: "QUEUED",
      waitingFor: "limit",
      limit: "one-at-a-time",
      key: "k",
      maxRuns: 1,
      holders: [holder.id],
      position: 1,
      waiting: 2,
      sentence: `It waits for a slot in limit "one-at-a-time" for key "k": 1 of 1 in use by ${holder.id}; it is 1st of 2 in line.`,
    });
    expect(await explain(low)).toMatchObject({ position: 2, sentence: expect.stringMatching(/; it is 2nd of 2 in line\.$/) });
    expect((await explain(holder)).sentence).toMatch(
      new RegExp(`^It is running step "only" \\(attempt 1\\) on worker ${await worker()} for \\d+`),
    );

    const printed = await runCli(["runs", "explain", second.id, "--nats", cluster.server.url]);
    expect(printed).toMatchObject({
      code: 0,
      stdout: `It waits for a slot in limit "one-at-a-time" for key "k": 1 of 1 in use by ${holder.id}; it is 1st of 2 in line.\n`,
    });

    await cluster.open("limit");
    await Promise.all([low.result({ timeout: "10s" }), second.result({ timeout: "10s" })]);
    expect((await explain(second)).sentence).toMatch(/^It has ended: SUCCEEDED, at /);
  });

  it("names the limit that holds it up, of several", async () => {
    const holder = await cluster.client.run("per-user-and-total", { key: "ada", gate: "several" });
    const waiting = await cluster.client.run("per-user-and-total", { key: "ada" });
    expect(await explain(waiting)).toMatchObject({
      limit: "user",
      key: "ada",
      holders: [holder.id],
      position: 1,
      waiting: 1,
      sentence: `It waits for a slot in limit "user" for key "ada": 1 of 1 in use by ${holder.id}; it is 1st of 1 in line.`,
    });
    await cluster.open("several");
    await waiting.result({ timeout: "10s" });
  });

  it("says that all workers' slots are taken, and who is before it", async () => {
    const takers = [
      await cluster.client.run("prioritized", { key: "a", gate: "slots" }),
      await cluster.client.run("prioritized", { key: "b", gate: "slots" }),
    ];
    for (const { id } of takers) await cluster.started(id);
    const first = await cluster.client.run("prioritized", { key: "c" });
    const second = await cluster.client.run("prioritized", { key: "d" });
    expect(await explain(second)).toMatchObject({
      status: "RUNNING",
      waitingFor: "slot",
      step: "work",
      position: 2,
      waiting: 2,
      sentence:
        'Step "work" is ready and waits for a free slot on the one worker that serves it; it is 2nd of 2 in the fair order.',
    });
    expect(await explain(first)).toMatchObject({ position: 1, waiting: 2 });
    await cluster.open("slots");
    await second.result({ timeout: "10s" });
  });

  it("says until when it is in backoff, and why", async () => {
    const run = await cluster.client.run("patient", { key: "k", failures: 1 });
    const explanation = await waitFor(async () => {
      const one = await explain(run);
      return one.waitingFor === "backoff" && one;
    });
    const wait = Date.parse(explanation.until ?? "") - Date.now();
    expect(wait).toBeGreaterThan(20_000);
    expect(wait).toBeLessThan(60_000);
    expect(explanation.sentence).toMatch(
      new RegExp(`^Step "only" failed in attempt 1 \\(failure 1 of 1\\) and is tried again at ${explanation.until}, in \\d+`),
    );
    await run.cancel();
  });

  it("says that its group is paused", async () => {
    await cluster.client.groups.pause({ limit: "one-at-a-time", key: "paused" });
    const run = await cluster.client.run("one-at-a-time", { key: "paused" });
    expect(await explain(run)).toMatchObject({
      waitingFor: "paused",
      limit: "one-at-a-time",
      key: "paused",
      sentence: 'It waits in limit "one-at-a-time" for key "paused", which is paused; it is 1st of 1 in line.',
    });
    await cluster.client.groups.resume({ limit: "one-at-a-time", key: "paused" });
    await run.result({ timeout: "10s" });
  });

  it("says that its step was told to stop, and what it waits for", async () => {
    const run = await cluster.client.run("one-at-a-time", { key: "stop", gate: "stop", deaf: true });
    await cluster.started(run.id);
    await run.cancel();
    expect(await explain(run)).toMatchObject({
      waitingFor: "stop",
      step: "only",
      sentence: `Step "only" was told to stop since the run is ending (CANCELLED_BY_USER); it waits until worker ${await worker()} confirms that, for 5s at most.`,
    });
    await cluster.open("stop");
    await cluster.until(run.id, "CANCELLED");
  });

  it("says that no worker is there, for its step or for its key", async () => {
    await cluster.workers[0]?.stop();
    const step = await cluster.client.run("one-at-a-time", { key: "nobody" });
    expect(await explain(step)).toMatchObject({
      status: "RUNNING",
      waitingFor: "worker",
      step: "only",
      sentence: 'Step "only" is ready, but no worker serves step "only" of workflow "one-at-a-time".',
    });
    const key = await cluster.client.run("function-key", { key: "nobody" });
    expect(await explain(key)).toMatchObject({
      status: "QUEUED",
      waitingFor: "key",
      sentence: 'It waits for its concurrency key, which a worker node computes, and no worker serves workflow "function-key".',
    });
    await cluster.startWorker(["limits", "steps", "triggers"]);
    await Promise.all([step.result({ timeout: "10s" }), key.result({ timeout: "10s" })]);
  });
});
