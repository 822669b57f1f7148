/**
 * Each example as its readers would try it: the files of `examples/` on worker nodes of their own, events published, and the
 * outcomes that the rules of its limits ask for.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { type Client, connect, type RunView } from "sluice";
import { pino } from "pino";
import { onCleanup } from "../support/cleanup.ts";
import { startTestServer } from "../support/nats.ts";
import { startCli, type TestProcess } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

let client: Client;
let url: string;
let worker: TestProcess;

beforeAll(async () => {
  url = (await startTestServer()).url;
  const engine = startCli(["engine", "--nats", url, "--data-dir", await temporaryFolder("engine")]);
  await engine.waitForOutput("the engine is ready");
  client = await connect({ servers: url, logger: pino({ level: "silent" }) });
  onCleanup(() => client.close());
  const others = ["concurrency-demo", "cancel-demo", "chat-answer", "document-ingestion"];
  worker = await startWorker(others, 50);
  // Users take turns where slots are scarce: this worker has one, and no other serves this example.
  await startWorker(["per-user-demo"], 1);
});

async function startWorker(examples: readonly string[], slots: number): Promise<TestProcess> {
  const files = examples.map((name) => `examples/${name}.ts`);
  const started = startCli(["worker", ...files, "--nats", url, "--slots", String(slots), "--name", `slots-${slots}`]);
  await started.waitForOutput("takes work");
  return started;
}

/** The runs of the workflow, in the order of their events. */
async function runsOf(workflow: string): Promise<RunView[]> {
  const runs: RunView[] = [];
  for await (const run of client.runs.list({ workflow, size: 500 })) runs.push(run);
  return runs.sort((a, b) => (a.event?.seq ?? 0) - (b.event?.seq ?? 0));
}

/** All runs of the workflow, once there are so many and all have ended. */
async function endedRunsOf(workflow: string, count: number): Promise<RunView[]> {
  return await waitFor(
    async () => {
      const runs = await runsOf(workflow);
      return runs.length >= count && runs.every(({ finishedAt }) => finishedAt !== undefined) ? runs : undefined;
    },
    { timeoutMs: 60_000, what: `${count} runs of ${workflow} to end` },
  );
}

/** How many of the spans lie over each other at most; one that ends when another begins does not lie over it. */
function mostAtOnce(spans: readonly { readonly from: string | undefined; readonly to: string | undefined }[]): number {
  const changes = spans.flatMap(({ from, to }) => [
    { at: Date.parse(from ?? ""), by: 1 },
    { at: Date.parse(to ?? ""), by: -1 },
  ]);
  expect(changes.every(({ at }) => !Number.isNaN(at))).toBe(true);
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let [now, most] = [0, 0];
  for (const { by } of changes) most = Math.max(most, (now += by));
  return most;
}

const stepSpan = (step: string) => (run: RunView) => ({ from: run.steps[step]?.startedAt, to: run.steps[step]?.finishedAt });
const byStart = (step: string) => (a: RunView, b: RunView) =>
  Date.parse(a.steps[step]?.startedAt ?? "") - Date.parse(b.steps[step]?.startedAt ?? "");

test("concurrency-demo: of twelve runs five work at once, the others wait their turn, all succeed", async () => {
  await client.publishMany(Array.from({ length: 12 }, () => ({ event: "concurrency-test", payload: { ms: 500 } })));
  const runs = await endedRunsOf("concurrency-demo", 12);
  expect(runs.map(({ status }) => status)).toEqual(Array(12).fill("SUCCEEDED"));
  expect(new Set(runs.map(({ keys }) => keys[0]?.key))).toEqual(new Set(["concurrency-key"]));
  expect(mostAtOnce(runs.map(stepSpan("step1")))).toBe(5);
  // In the order of their events, and in waves of five, five and two.
  const admitted = runs.map(({ admittedAt }) => Date.parse(admittedAt ?? ""));
  expect(admitted).toEqual(admitted.toSorted((a, b) => a - b));
  const seconds = runs.slice(5).map(({ admittedAt }) => admittedAt);
  expect(seconds.every((at) => Date.parse(at ?? "") >= Date.parse(runs[0]?.finishedAt ?? "") - 1)).toBe(true);
});

test("per-user-demo: one run per user at a time, and with one slot the users take turns", async () => {
  // The first one has the slot until all have come.
  await client.publish("per-user-test", { user_id: "A", ms: 1_500 });
  await waitFor(async () => (await runsOf("per-user-demo"))[0]?.startedAt !== undefined);
  await client.publishMany([..."AABBBCCC"].map((user_id) => ({ event: "per-user-test", payload: { user_id, ms: 50 } })));
  const runs = await endedRunsOf("per-user-demo", 9);
  expect(runs.map(({ status }) => status)).toEqual(Array(9).fill("SUCCEEDED"));
  const turns = runs.toSorted(byStart("step1")).map(({ keys }) => keys[0]?.key);
  expect(turns[0]).toBe("A");
  for (const round of [0, 3, 6]) expect(turns.slice(round, round + 3).toSorted()).toEqual(["A", "B", "C"]);
  expect(mostAtOnce(runs.map(stepSpan("step1")))).toBe(1);
});

test("cancel-demo: of ten runs of one user, each while the one before works, only the last succeeds; another user is left alone", async () => {
  await client.publish("cancel-test", { user_id: "bob", ms: 100 });
  for (let n = 1; n <= 10; n += 1) {
    await client.publish("cancel-test", { user_id: "ada", ms: n === 10 ? 50 : 30_000 });
    await waitFor(
      async () =>
        (await runsOf("cancel-demo")).filter(({ keys, startedAt }) => keys[0]?.key === "ada" && startedAt !== undefined)
          .length === n,
      {
        what: `run ${n} to start`,
      },
    );
  }
  const runs = await endedRunsOf("cancel-demo", 11);
  const ada = runs.filter(({ keys }) => keys[0]?.key === "ada");
  expect(ada.map(({ status }) => status)).toEqual([...Array(9).fill("CANCELLED"), "SUCCEEDED"]);
  expect(new Set(ada.slice(0, 9).map(({ reason }) => reason))).toEqual(new Set(["CANCELLED_BY_CONCURRENCY_LIMIT"]));
  expect(mostAtOnce(ada.map(stepSpan("step1")))).toBe(1);
  expect(ada.at(-1)?.steps).toMatchObject({
    step1: { status: "SUCCEEDED", attempts: 1 },
    step2: { status: "SUCCEEDED", attempts: 1 },
  });
  expect(ada[0]?.steps["step2"]).toMatchObject({ attempts: 0 });
  expect(runs.find(({ keys }) => keys[0]?.key === "bob")).toMatchObject({ status: "SUCCEEDED" });
});

describe("chat-answer", () => {
  test("a newer message stops the answer that is being written, in its conversation only", async () => {
    await client.publish("message.sent", {
      conversation_id: "c1",
      text: "How do I reset my password and what else should I know about it?",
    });
    await client.publish("message.sent", { conversation_id: "c2", text: "What is new?" });
    await waitFor(async () => {
      const runs = await runsOf("chat-answer");
      return runs.length === 2 && runs.every(({ steps }) => steps["write"]?.status === "RUNNING");
    });
    await client.publish("message.sent", { conversation_id: "c1", text: "Never mind. What about invoices?" });
    const runs = await endedRunsOf("chat-answer", 3);
    expect(runs.map(({ status, keys }) => [keys[0]?.key, status])).toEqual([
      ["c1", "CANCELLED"],
      ["c2", "SUCCEEDED"],
      ["c1", "SUCCEEDED"],
    ]);
    const [old, , newer] = runs;
    expect(old).toMatchObject({
      reason: "CANCELLED_BY_CONCURRENCY_LIMIT",
      steps: { retrieve: { status: "SUCCEEDED" }, write: { status: "CANCELLED" } },
    });
    expect(newer?.outputs?.["write"]).toMatchObject({
      sources: ["About invoices"],
      text: expect.stringContaining("What about invoices?") as unknown,
    });
    // The newer answer did not begin before the old one had stopped, and did not have to wait for the grace deadline.
    const waited = Date.parse(newer?.admittedAt ?? "") - Date.parse(newer?.createdAt ?? "");
    expect(waited).toBeLessThan(4_000);
  });
});

describe("document-ingestion", () => {
  test("each tenant has two documents in work, whatever others upload; steps run in parallel; failures are tried again", async () => {
    const upload = (tenant_id: string, name: string) => ({
      event: "document.uploaded",
      payload: { tenant_id, url: `https://example.com/${name}` },
    });
    await client.publishMany([
      ...Array.from({ length: 6 }, (_, index) => upload("acme", `report-${index}`)),
      upload("beta", "flaky"),
      upload("beta", "missing"),
    ]);
    const runs = await endedRunsOf("document-ingestion", 8);
    const acme = runs.filter(({ keys }) => keys[0]?.key === "acme");
    expect(acme.map(({ status }) => status)).toEqual(Array(6).fill("SUCCEEDED"));
    expect(mostAtOnce(acme.map(({ admittedAt, finishedAt }) => ({ from: admittedAt, to: finishedAt })))).toBe(2);
    expect(new Set(acme.map(({ outputs }) => (outputs?.["store"] as { id: string } | undefined)?.id)).size).toBe(6);
    for (const { steps } of acme) {
      const [title, paragraphs] = [steps["embed-title"], steps["embed-paragraphs"]];
      expect(mostAtOnce([title, paragraphs].map((step) => ({ from: step?.startedAt, to: step?.finishedAt })))).toBe(2);
    }

    const [flaky, missing] = runs.filter(({ keys }) => keys[0]?.key === "beta");
    expect(flaky).toMatchObject({
      status: "SUCCEEDED",
      steps: { fetch: { attempts: 2 }, store: { attempts: 1, output: { vectors: 4 } } },
    });
    expect(missing).toMatchObject({
      status: "FAILED",
      reason: "STEP_FAILED",
      steps: {
        fetch: { status: "FAILED", attempts: 1, error: { message: "404 Not Found: https://example.com/missing" } },
        store: { status: "CANCELLED", attempts: 0 },
      },
    });
    // Beta did not wait for acme's six.
    expect(Date.parse(flaky?.admittedAt ?? "")).toBeLessThan(Date.parse(acme[2]?.admittedAt ?? ""));
  });

  test("inputs that the schema refuses fail their run, and say why", async () => {
    const run = await client.run("document-ingestion", { tenant_id: "acme", url: "not an address" });
    await expect(run.result()).rejects.toMatchObject({ code: "RUN_FAILED", reason: "INPUT_INVALID" });
  });
});

test("what the handlers logged is in the worker's log, with the run", async () => {
  await worker.waitForOutput('"msg":"answered"');
  const line = worker.stderr.split("\n").find((text) => text.includes('"msg":"answered"')) ?? "{}";
  expect(JSON.parse(line)).toMatchObject({ workflow: "chat-answer", step: "write", runId: expect.any(String) as string });
});
