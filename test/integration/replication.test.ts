/** How many copies of its streams and buckets a cluster has, on one NATS server and on several. */
import { Writable } from "node:stream";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect as connectNats } from "@nats-io/transport-node";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { connect, defineWorkflow, isNatsUnavailableError, startWorker } from "../../src/index.ts";
import { createEngine, type EngineOptions, startEngine } from "../../src/engine/index.ts";
import { onCleanup } from "../support/cleanup.ts";
import { startTestServer } from "../support/nats.ts";
import { startTestNatsCluster } from "../support/nats-cluster.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor, within } from "../support/wait.ts";

const silent = pino({ level: "silent" });
const echo = defineWorkflow({ name: "echo", on: "echo" }).step("echo", ({ input }) => input);

function logged(): { readonly logger: pino.Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return { logger: pino({ level: "info" }, sink), lines };
}

async function copies(url: string): Promise<Record<string, number>> {
  const nats = await connectNats({ servers: url });
  const manager = await jetstreamManager(nats);
  const found: Record<string, number> = {};
  for await (const { config } of manager.streams.list()) found[config.name] = config.num_replicas;
  await nats.close();
  return found;
}

const STREAMS = ["KV_sluice_cluster", "SLUICE_EVENTS", "SLUICE_P0", "SLUICE_P1", "SLUICE_REJECTED"];
const each = (count: number): Record<string, number> => Object.fromEntries(STREAMS.map((name) => [name, count]));

async function settings(servers: string | readonly string[], more: Partial<EngineOptions> = {}): Promise<EngineOptions> {
  return { servers, logger: silent, partitions: 2, lease: "1s", dataDir: await temporaryFolder(), ...more };
}

/** Starts and stops an engine, so that it sets up the streams. */
async function setUp(servers: readonly string[] | string, more: Partial<EngineOptions> = {}): Promise<void> {
  const engine = await startEngine(await settings(servers, more));
  await engine.stop();
}

describe("on one server", () => {
  it("there is one copy of everything", async () => {
    const server = await startTestServer();
    await setUp(server.url);
    expect(await copies(server.url)).toEqual(each(1));
  });

  it.each(["new", "set up already"])("asking for three copies is an error that says why: where it is %s", async (how) => {
    const server = await startTestServer();
    if (how !== "new") await setUp(server.url);
    const error = await startEngine(await settings(server.url, { replicas: 3 })).catch((thrown: unknown) => thrown);
    expect(isNatsUnavailableError(error)).toBe(true);
    expect(String(error)).toMatch(/expected a NATS cluster, since 'replicas' is 3; the server at 127\.0\.0\.1:\d+ runs alone/);
    // And nothing was changed: this server would take it for what is there.
    await setUp(server.url, { replicas: 1 });
    expect(await copies(server.url)).toEqual(each(1));
  });
});

describe("on a cluster of three servers", () => {
  it("there are three copies unless another number is asked for, and a later start changes what is there", async () => {
    const { urls } = await startTestNatsCluster();
    const url = urls[0] ?? "";
    await setUp(urls, { replicas: 1 });
    expect(await copies(url)).toEqual(each(1));
    await setUp(urls);
    expect(await copies(url)).toEqual(each(3));
    await setUp(urls, { replicas: 1 });
    expect(await copies(url)).toEqual(each(1));
  });

  it("runs go on when one of the servers is lost", async () => {
    const { urls, servers } = await startTestNatsCluster();
    const engine = await startEngine(await settings(urls));
    onCleanup(() => engine.stop());
    expect(await copies(urls[0] ?? "")).toEqual(each(3));
    const worker = await startWorker({ servers: urls, workflows: [echo], logger: silent });
    onCleanup(() => worker.stop());
    // Of the one that is lost, which tells it of the others: a request whose answer does not come is repeated over one of them.
    const client = await connect({ servers: urls[2], logger: silent, timeout: "30s" });
    onCleanup(() => client.close());
    expect(await (await client.run(echo, 1)).result()).toEqual({ echo: 1 });
    await servers[2]?.kill();
    expect(await (await client.run(echo, 2)).result()).toEqual({ echo: 2 });
    const ended = async (): Promise<number> => (await client.runs.count({ workflow: "echo", status: "SUCCEEDED" })).count;
    await waitFor(async () => (await ended()) === 2, { timeoutMs: 30_000, intervalMs: 100, what: "a run on two servers" });
  });

  it("an engine waits while there are fewer servers than copies, and says so", async () => {
    const cluster = await startTestNatsCluster(3, 2);
    const { logger, lines } = logged();
    const engine = createEngine(await settings(cluster.urls, { logger }));
    onCleanup(() => engine.stop());
    const started = engine.start();
    await waitFor(() => lines.some((line) => line.includes("not enough servers with JetStream for the copies")), {
      what: "the log to say what is missing",
    });
    expect(engine.ready).toBe(false);
    await cluster.add();
    await within(30_000, "the engine to start", started);
    expect(await copies(cluster.urls[0] ?? "")).toEqual(each(3));
  });

  it("an engine that waits for servers can be stopped", async () => {
    const cluster = await startTestNatsCluster(3, 2);
    const { logger, lines } = logged();
    const engine = createEngine(await settings(cluster.urls, { logger }));
    const started = engine.start().catch((error: unknown) => error);
    await waitFor(() => lines.some((line) => line.includes("not enough servers")), { what: "the engine to wait" });
    await within(5_000, "the stop", engine.stop());
    expect(await started).toBeInstanceOf(Error);
  });
});
