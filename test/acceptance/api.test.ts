/** The operations as any NATS client can use them: JSON in, JSON out, lists in pages; and two clusters on one server. */
import type { RunView } from "sluice";
import { beforeAll, describe, expect, it } from "vitest";
import { startCli } from "../support/process.ts";
import { type Cluster, startCluster, workflowFile } from "./support/cluster.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ workflows: ["strategies"] });
});

interface List<T> {
  readonly items: readonly T[];
  readonly next?: string;
}

const ask = async <T>(operation: string, request: unknown = {}): Promise<T> =>
  (await cluster.nats.request(`sluice.api.${operation}`, JSON.stringify(request), { timeout: 5_000 })).json<T>();

describe("the NATS service", () => {
  it("is found as a micro service named sluice, with an endpoint for each operation", async () => {
    const ping = (await cluster.nats.request("$SRV.PING.sluice", "", { timeout: 5_000 })).json<{ name: string; type: string }>();
    expect(ping).toMatchObject({ name: "sluice", type: "io.nats.micro.v1.ping_response" });
    const info = (await cluster.nats.request("$SRV.INFO.sluice", "", { timeout: 5_000 })).json<{
      endpoints: { subject: string }[];
    }>();
    const operations = [
      "run.create",
      "run.get",
      "run.list",
      "run.cancel",
      "run.replay",
      "run.explain",
      "run.events",
      "group.list",
      "group.get",
      "group.update",
      "group.pause",
      "group.resume",
      "workflow.list",
      "workflow.get",
      "worker.list",
      "event.list",
    ];
    expect(info.endpoints.map(({ subject }) => subject)).toEqual(
      expect.arrayContaining(operations.map((operation) => `sluice.api.${operation}`)),
    );
  });

  it("starts a run, shows it, what happened to it, and its replay", async () => {
    const created = await ask<RunView>("run.create", {
      workflow: "round-robin",
      input: { key: "api", n: 1 },
      priority: 2,
      metadata: { by: "hand" },
    });
    expect(created).toMatchObject({
      workflow: "round-robin",
      priority: 2,
      metadata: { by: "hand" },
      input: { key: "api", n: 1 },
    });
    await cluster.until(created.id, "SUCCEEDED");
    const run = await ask<RunView>("run.get", { id: created.id });
    expect(run).toEqual({
      id: created.id,
      workflow: "round-robin",
      version: expect.stringMatching(/^[0-9a-f]{12}$/),
      status: "SUCCEEDED",
      input: { key: "api", n: 1 },
      outputs: { work: { n: 1, attemptId: expect.any(String) } },
      keys: [{ limit: "round-robin", key: "api" }],
      priority: 2,
      metadata: { by: "hand" },
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      admittedAt: expect.any(String),
      startedAt: expect.any(String),
      finishedAt: expect.any(String),
      steps: {
        work: {
          status: "SUCCEEDED",
          attempts: 1,
          output: { n: 1, attemptId: expect.any(String) },
          startedAt: expect.any(String),
          finishedAt: expect.any(String),
          worker: expect.any(String),
        },
      },
    });
    const { items } = await ask<List<{ type: string }>>("run.events", { id: created.id });
    expect(items.map(({ type }) => type)).toEqual([
      "created",
      "run.admitted",
      "step.started.work",
      "xstate.done.actor.work",
      "run.succeeded",
    ]);
    expect(await ask("run.replay", { id: created.id })).toMatchObject({ replayOf: created.id });
    expect(await ask("run.explain", { id: created.id })).toMatchObject({
      id: created.id,
      status: "SUCCEEDED",
      sentence: expect.stringMatching(/^It has ended: SUCCEEDED/),
    });
  });

  it("lists in pages that together are everything, each once", async () => {
    await cluster.client.publishMany(
      Array.from({ length: 45 }, (_, n) => ({ event: "round-robin-5", payload: { key: `page-${n % 4}`, n } })),
    );
    await cluster.ended("round-robin-5", 45);
    for (const [operation, query, count] of [
      ["run.list", { workflow: "round-robin-5" }, 45],
      ["run.list", { workflow: "round-robin-5", key: "page-1", limit: "round-robin-5" }, 11],
      ["run.list", { workflow: "round-robin-5", status: ["SUCCEEDED", "FAILED"] }, 45],
      ["run.list", { workflow: "round-robin-5", status: "QUEUED" }, 0],
      ["event.list", { name: "round-robin-5" }, 45],
    ] as const) {
      const ids: unknown[] = [];
      let pages = 0;
      for (let cursor: string | undefined; pages === 0 || cursor !== undefined; pages++) {
        const page: List<{ id?: string; seq?: number }> = await ask(operation, {
          ...query,
          size: 10,
          ...(cursor !== undefined && { cursor }),
        });
        ids.push(...page.items.map(({ id, seq }) => id ?? seq));
        cursor = page.next;
      }
      expect([operation, query, ids.length, new Set(ids).size]).toEqual([operation, query, count, count]);
      expect(pages).toBeLessThanOrEqual(Math.floor(count / 10) + 2);
    }
  });

  it("shows workflows with their definitions, and workers with what they serve", async () => {
    const { items: workflows } = await ask<List<{ name: string; spec: { limits: unknown[] } }>>("workflow.list");
    expect(workflows.map(({ name }) => name)).toContain("cancel-newest");
    expect(await ask("workflow.get", { name: "cancel-newest" })).toMatchObject({
      name: "cancel-newest",
      spec: {
        on: ["cancel-newest"],
        limits: [{ name: "cancel-newest", maxRuns: 1, strategy: "CANCEL_NEWEST", key: { kind: "cel", expression: "input.key" } }],
      },
    });
    const { items: workers } =
      await ask<List<{ mode: string; slots: number; used: number; workflows: { name: string }[] }>>("worker.list");
    expect(workers).toMatchObject([{ mode: "running", slots: 100, used: 0 }]);
    expect(workers[0]?.workflows.map(({ name }) => name)).toContain("cancel-newest");
  });
});

describe("two clusters on one server", () => {
  it("have nothing in common", async () => {
    const options = {
      cwd: cluster.folder,
      env: {
        SLUICE_PREFIX: "other",
        SLUICE_NATS_URL: cluster.server.url,
        SLUICE_LOG_LEVEL: "info",
        SLUICE_TEST_RECORDS: `${cluster.folder}/other-records`,
        SLUICE_TEST_GATES: cluster.folder,
      },
    };
    await startCli(["engine", "--partitions", "2"], options).waitForOutput("the engine is ready");
    await startCli(["worker", workflowFile("strategies")], options).waitForOutput("takes work");
    const other = await cluster.connect({ prefix: "other" });
    expect((await other.workers.list()).items).toHaveLength(1);
    const before = (await cluster.client.runs.list({ size: 1_000 })).items.length;
    const { seq } = (await cluster.nats.request("other.events.round-robin", '{"key":"k","n":1}', { timeout: 5_000 })).json<{
      seq: number;
    }>();
    const run = await other.run("round-robin", { key: "k", n: 2 });
    await run.result({ timeout: "10s" });
    expect((await other.runs.list()).items.map(({ event }) => event?.seq)).toEqual([undefined, seq]);
    expect((await cluster.client.runs.list({ size: 1_000 })).items).toHaveLength(before);
    await expect(cluster.client.runs.get(run.id)).rejects.toMatchObject({ code: "RUN_NOT_FOUND" });
  });
});
