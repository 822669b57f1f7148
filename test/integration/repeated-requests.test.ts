/** Requests that start runs, whose answer is lost on the way: they are asked again, and start one run each. */
import { expect, it } from "vitest";
import { startEngine } from "../../src/engine/index.ts";
import { connect, defineWorkflow, startWorker } from "../../src/index.ts";
import { createIds } from "../../src/protocol/run-ids.ts";
import { TcpProxy } from "../chaos/tcp-proxy.ts";
import { onCleanup } from "../support/cleanup.ts";
import { silent as logger } from "../support/engine-world.ts";
import { startTestServer } from "../support/nats.ts";
import { startCli } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor, within } from "../support/wait.ts";

const echo = defineWorkflow({ name: "echo" }).step("echo", ({ input }) => input);
const settings = { logger, lease: "1s", partitions: 4 } as const;

async function startEngines(url: string, names: readonly string[]) {
  const engines = [];
  for (const name of names) {
    const engine = await startEngine({ ...settings, servers: url, name, dataDir: await temporaryFolder() });
    onCleanup(() => engine.stop());
    engines.push(engine);
  }
  const worker = await startWorker({ servers: url, workflows: [echo], logger });
  onCleanup(() => worker.stop());
  return engines;
}

it("one run comes of an id, whichever nodes are asked, how often, and how late", { timeout: 60_000 }, async () => {
  const { url } = await startTestServer();
  const engines = await startEngines(url, ["a", "b"]);
  const client = await connect({ servers: url, logger });
  onCleanup(() => client.close());
  const newId = createIds();
  const [fresh, old, replay] = [newId(), newId(Date.now() - 3_600_000), newId()];

  const create = (id: string) =>
    Promise.all([...engines, ...engines].map((engine) => engine.call("run.create", { id, workflow: "echo", input: id })));
  for (const run of await create(fresh)) expect(run).toMatchObject({ id: fresh, workflow: "echo", input: fresh });
  expect(await client.runs.handle(fresh).result()).toEqual({ echo: fresh });
  // Of this one only the history knows that it has been there.
  await engines[0]?.call("run.create", { id: old, workflow: "echo", input: old });
  expect(await client.runs.handle(old).result()).toEqual({ echo: old });
  for (const run of await create(old)) expect(run).toMatchObject({ id: old, status: "SUCCEEDED" });

  const again = await Promise.all(engines.map((engine) => engine.call("run.replay", { id: fresh, newId: replay })));
  for (const run of again) expect(run).toMatchObject({ id: replay, replayOf: fresh });
  const newIds = [newId(), newId()];
  const many = await Promise.all(engines.map((engine) => engine.call("run.replayMany", { ids: [fresh, old], newIds })));
  for (const reply of many)
    expect(reply.items).toEqual([
      { id: fresh, newId: newIds[0] },
      { id: old, newId: newIds[1] },
    ]);
  expect((await client.runs.count({})).count).toBe(5);
  const unusable = engines[0]?.call("run.create", { id: "mine", workflow: "echo", input: 1 });
  await expect(unusable).rejects.toMatchObject({ status: 400 });
});

it("an event that is published by request is stored once for each id", async () => {
  const { url } = await startTestServer();
  const [a] = await startEngines(url, ["a"]);
  const publish = () => a?.call("event.publish", { id: "e1", name: "something", payload: 1 });
  expect(await publish()).toEqual(await publish());
});

it("runs start once each when the client's connection is cut amid their requests", { timeout: 60_000 }, async () => {
  const server = await startTestServer();
  const [a] = await startEngines(server.url, ["a"]);
  const proxy = await TcpProxy.listen("client", Number(new URL(server.url).port));
  onCleanup(() => proxy.close());
  const client = await connect({ servers: `nats://127.0.0.1:${proxy.port}`, timeout: "30s", logger });
  onCleanup(() => client.close());
  const watcher = await connect({ servers: server.url, logger });
  onCleanup(() => watcher.close());
  const accepted = new Promise<void>((resolve) => watcher.runs.watch({ change: () => resolve() }));
  await watcher.nodes.list(); // the server knows of the watch

  const runs = Array.from({ length: 100 }, (_, n) => client.run(echo, n));
  await within(10_000, "the first run", accepted);
  proxy.set({ mode: "cut" });
  proxy.heal();
  const started = await within(30_000, "all runs", Promise.all(runs));
  expect(await Promise.all(started.map((run) => run.result()))).toEqual(started.map((_, n) => ({ echo: n })));
  expect((await a?.call("run.count", {}))?.count).toBe(100);
});

// Killed as a process, which takes a second to start.
it("runs start once each when the node that has their requests is killed", { timeout: 60_000 }, async () => {
  const { url } = await startTestServer();
  const [a] = await startEngines(url, ["a"]);
  const args = ["engine", "--nats", url, "--data-dir", await temporaryFolder(), "--dashboard-port", "0"];
  const other = startCli(args);
  await waitFor(async () => (await a?.call("node.list", {}))?.items.length === 2, { what: "two nodes", timeoutMs: 20_000 });
  await waitFor(() => other.stderr.includes("the engine is ready"), { what: "the other to be ready", timeoutMs: 20_000 });
  const client = await connect({ servers: url, timeout: "30s", logger });
  onCleanup(() => client.close());

  // It holds what comes to it from here on.
  other.child.kill("SIGSTOP");
  const runs = Array.from({ length: 20 }, (_, n) => client.run(echo, n));
  // The requests have left: behind them goes a round trip on the same connection.
  await client.publish("other", 1);
  other.child.kill("SIGKILL");
  const started = await within(30_000, "all runs", Promise.all(runs));
  expect(await Promise.all(started.map((run) => run.result()))).toEqual(started.map((_, n) => ({ echo: n })));
  expect((await a?.call("run.count", {}))?.count).toBe(20);
});
