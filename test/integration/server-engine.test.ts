/** The dashboard of real engine nodes: ready or not, several of them, what is counted, and stopping under load. */
import { pino } from "pino";
import { expect, test } from "vitest";
import { connect, defineWorkflow, startWorker } from "../../src/index.ts";
import { createEngine } from "../../src/engine/index.ts";
import { startDashboard } from "../../src/server/index.ts";
import { onCleanup } from "../support/cleanup.ts";
import { pageFolder, tokenOf } from "../support/dashboard-world.ts";
import { ask, EventReader } from "../support/http.ts";
import { startTestServer } from "../support/nats.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor, within } from "../support/wait.ts";

const logger = pino({ level: "silent" });
const echo = defineWorkflow({
  name: "echo",
  concurrency: { key: "input.user", maxRuns: 1, strategy: "GROUP_ROUND_ROBIN" },
}).step("echo", ({ input }) => input);
const broken = defineWorkflow({ name: "broken" }).step("break", () => {
  throw new Error("no");
});

async function node(servers: string, name: string) {
  const engine = createEngine({ servers, name, logger, lease: "500ms", partitions: 2, dataDir: await temporaryFolder(name) });
  onCleanup(async () => await engine.stop());
  const dashboard = await startDashboard({ servers, engine, port: 0, logger, uiDir: await pageFolder() });
  onCleanup(async () => await dashboard.stop());
  return { engine, dashboard, url: dashboard.url };
}

const metric = (text: string, name: string): number | undefined => {
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
};

test("an engine node is ready once it is a member, and a page of one that has ended has another answer", async () => {
  const { url: servers } = await startTestServer();
  const first = await node(servers, "first");
  expect(await ask(first.url, "/readyz")).toMatchObject({ status: 503 });
  await first.engine.start();
  await waitFor(async () => (await ask(first.url, "/readyz")).status === 200, { what: "the first to be ready" });

  const second = await node(servers, "second");
  // Not a member yet: others are asked for it.
  expect((await ask(second.url, "/readyz")).status).toBe(503);
  expect((await ask(second.url, "/healthz")).status).toBe(200);
  await within(10_000, "the second", second.engine.start());
  expect((await ask(second.url, "/readyz")).status).toBe(200);
  expect((await ask(second.url, "/api/worker.list")).status).toBe(200);

  await within(15_000, "the end of the first", first.engine.stop());
  expect((await ask(first.url, "/readyz")).status).toBe(503);
  // The first one's page goes on, with what the other says.
  expect((await ask(first.url, "/api/worker.list")).status).toBe(200);
});

test("changes are seen while runs go through, and counted", async () => {
  const { url: servers } = await startTestServer();
  const { engine, dashboard, url } = await node(servers, "one");
  await engine.start();
  const worker = await startWorker({ servers, workflows: [echo, broken], logger, slots: 7 });
  onCleanup(async () => await worker.stop());
  const client = await connect({ servers, logger });
  onCleanup(async () => await client.close());

  const reader = new EventReader(url, "/api/stream?topics=runs,workers,groups,workflows");
  expect((await reader.next("workers", ({ items }) => items.length === 1)).items[0]).toMatchObject({ slots: 7, mode: "running" });
  const runs = await Promise.all([1, 2, 3].map((n) => client.run(echo, { user: "ada", n })));
  await Promise.all(runs.map((run) => run.result()));
  const failed = await client.run(broken, {});
  await failed.result().catch(() => undefined);
  for (const { id } of runs)
    await reader.next("runs", ({ changes }) => changes.some((change: any) => change.id === id && change.status === "SUCCEEDED"));
  await reader.next("workflows", ({ names }) => names.includes("broken"));

  const { headers, text } = await ask(url, "/metrics");
  expect(headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
  const of = (name: string): number | undefined => metric(text, name);
  expect({
    ready: of("sluice_engine_ready"),
    partitions: of("sluice_partitions"),
    live: of("sluice_runs_live"),
    workers: of("sluice_workers"),
    slots: of("sluice_worker_slots"),
    used: of("sluice_worker_slots_used"),
    started: of('sluice_runs_started_total{workflow="echo"}'),
    succeeded: of('sluice_runs_finished_total{workflow="echo",status="SUCCEEDED"}'),
    failed: of('sluice_runs_finished_total{workflow="broken",status="FAILED"}'),
    rejected: of("sluice_rejected_total"),
    streams: of("sluice_dashboard_streams"),
  }).toEqual({
    ready: 1,
    partitions: 2,
    live: 0,
    workers: 1,
    slots: 7,
    used: 0,
    started: 3,
    succeeded: 3,
    failed: 1,
    rejected: 0,
    streams: 1,
  });
  const appends = of("sluice_journal_append_seconds_count");
  expect(appends).toBeGreaterThan(0);
  expect(of('sluice_journal_append_seconds_bucket{le="+Inf"}')).toBe(appends);
  expect(of("sluice_journal_append_facts_count")).toBe(appends);
  expect(of("sluice_journal_append_facts_sum")).toBeGreaterThanOrEqual(appends ?? Infinity);
  expect(of("process_resident_memory_bytes")).toBeGreaterThan(1e7);
  expect(of("process_cpu_seconds_total")).toBeGreaterThan(0);
  expect(of("sluice_event_loop_utilization")).toBeLessThanOrEqual(1);
  // Every metric says what it is.
  for (const name of new Set([...text.matchAll(/^(\w+?)(?:_bucket|_sum|_count)?[{ ]/gm)].map(([, name]) => name)))
    if (name !== undefined && !text.includes(`# HELP ${name} `)) expect.unreachable(`${name} is not described`);

  const paused = await ask(url, "/api/group.pause", {
    method: "POST",
    headers: { "content-type": "application/json", "sluice-token": await tokenOf(dashboard) },
    body: JSON.stringify({ limit: "echo", key: "ada" }),
  });
  expect({ status: paused.status, group: paused.json() }).toMatchObject({ status: 200, group: { paused: true } });
  await within(3_000, "the stop", dashboard.stop());
});

test("a call that is under way when the node ends is answered, and none hangs", async () => {
  const { url: servers } = await startTestServer();
  const { engine, url } = await node(servers, "one");
  await engine.start();
  const answers = Promise.all(Array.from({ length: 50 }, () => ask(url, "/api/group.list")));
  const stopped = engine.stop();
  const statuses = new Set((await within(15_000, "the answers", answers)).map(({ status }) => status));
  for (const status of statuses) expect([200, 503]).toContain(status);
  await stopped;
  await expect(engine.call("worker.list", {})).rejects.toMatchObject({ status: 503 });
});
