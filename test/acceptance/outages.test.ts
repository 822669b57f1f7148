/** What is missing at the start, and what goes away in the middle: everything says so, waits, and goes on when it is back. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect, isEngineUnavailableError, isNatsUnavailableError } from "sluice";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { startTestServer } from "../support/nats.ts";
import { runCli } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor, within } from "../support/wait.ts";
import { Cluster, startCluster } from "./support/cluster.ts";

const silent = pino({ level: "silent" });

describe("without a NATS server at the start", () => {
  it("engine and worker say so and wait, and so does a client for as long as it may; all go on when it comes", async () => {
    const server = await startTestServer();
    await server.stop();
    const cluster = new Cluster(server, await temporaryFolder("acceptance"));
    await cluster.prepare();
    const engine = cluster.launchEngine();
    const worker = cluster.launchWorker(["steps"]);
    const impatient = await connect({ servers: server.url, timeout: "300ms", logger: silent }).catch((thrown: unknown) => thrown);
    expect(isNatsUnavailableError(impatient)).toBe(true);
    expect(impatient).toMatchObject({ message: `cannot reach NATS at ${server.url}: connection refused` });
    const listed = await runCli(["runs", "list", "--nats", server.url, "--timeout", "300ms"]);
    expect(listed).toMatchObject({ code: 1, stdout: "" });
    expect(listed.stderr).toMatch(new RegExp(`^error: cannot reach NATS at ${server.url}: connection refused[^\\n]*\\n$`));

    const patient = cluster.connect();
    for (const one of [engine, worker]) await one.waitForOutput(new RegExp(`"level":40.*${server.url}`));
    await server.restart();
    cluster.client = await within(20_000, "the client to connect", patient);
    await engine.waitForOutput("the engine is ready");
    await worker.waitForOutput("takes work");
    const run = await cluster.client.run("one-at-a-time", { key: "k", n: 1 });
    expect(await run.result({ timeout: "10s" })).toMatchObject({ only: { n: 1 } });
  });
});

describe("without an engine", () => {
  it("a worker waits and says so, a client's calls fail with what is missing, and go through when it comes in time", async () => {
    const server = await startTestServer();
    const cluster = new Cluster(server, await temporaryFolder("acceptance"));
    await cluster.prepare();
    const worker = cluster.launchWorker(["steps"]);
    await worker.waitForOutput(`no engine answers on NATS at ${server.url}; waiting for one to register the workflows`);
    const impatient = await cluster.connect({ timeout: "300ms" });
    const error = await impatient.workflows.list().catch((thrown: unknown) => thrown);
    expect(isEngineUnavailableError(error)).toBe(true);
    expect(error).toMatchObject({ message: expect.stringContaining(`no engine answers on NATS at ${server.url}`) });
    const patient = await cluster.connect();
    const workflows = patient.workflows.list();
    await cluster.startEngine();
    await within(20_000, "the list", workflows);
    await worker.waitForOutput("takes work");
  });
});

describe("without a folder that can be written", () => {
  it("an engine says so, and runs go on without a history", async () => {
    const cluster = new Cluster(await startTestServer(), await temporaryFolder("acceptance"));
    await cluster.prepare();
    await writeFile(join(cluster.folder, "file"), "");
    await cluster.startEngine({ dataDir: "file/below" });
    expect(cluster.engine.stderr).toMatch(/"level":(40|50).*file\/below/);
    await cluster.startWorker(["steps"]);
    cluster.client = await cluster.connect({ timeout: "1s" });
    const run = await cluster.client.run("one-at-a-time", { key: "k", gate: "no-history" });
    const result = run.result({ timeout: "20s" });
    await cluster.started(run.id);
    expect(await run.status()).toBe("RUNNING");
    await cluster.open("no-history");
    expect(await result).toMatchObject({ only: { attemptId: expect.any(String) } });
    await expect(cluster.client.runs.list()).rejects.toMatchObject({ message: expect.stringMatching(/history/) });
  });
});

describe("a NATS server that goes away for longer than a worker's deadline", () => {
  it("has work given up and done again, publishes wait, and nothing is lost or done twice", async () => {
    const cluster = await startCluster({ workflows: ["steps", "limits"], worker: { heartbeat: "250ms", deadline: "1s" } });
    const running = await cluster.client.run("one-at-a-time", { key: "k", n: 1, gate: "outage" });
    const waiting = await cluster.client.run("one-at-a-time", { key: "k", n: 2 });
    const results = Promise.all([running.result({ timeout: "60s" }), waiting.result({ timeout: "60s" })]);
    const backoff = await cluster.client.run("retrying", { n: 3, steps: { only: { failures: 2 } } });
    await cluster.started(running.id);

    await cluster.server.kill();
    const published = Promise.all(
      Array.from({ length: 20 }, (_, n) => cluster.client.publish("prioritized", { key: `p${n}`, n })),
    );
    await cluster.workers[0]?.waitForOutput("no contact with NATS for longer than the deadline");
    const given = await waitFor(() => cluster.records().find((entry) => entry.run === running.id && entry.what === "end"), {
      what: "the handler to be aborted",
    });
    expect(given).toMatchObject({ outcome: "threw", aborted: "AbortError" });
    await cluster.server.restart();

    await within(30_000, "the events to be acknowledged", published);
    const again = await cluster.started(running.id, "only", 2);
    expect(again.attempt).toBe(1); // that it was cut off is no failure of the step
    await cluster.open("outage");
    expect(await results).toMatchObject([{ only: { n: 1, attemptId: again.attemptId } }, { only: { n: 2 } }]);
    expect(await backoff.result({ timeout: "20s" })).toMatchObject({ only: { n: 3 } });
    const runs = await cluster.ended("prioritized", 20);
    expect(runs.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => "SUCCEEDED"));
    expect(cluster.starts("prioritized")).toHaveLength(20);
    expect(cluster.engine.ended).toBe(false);
  });
});
