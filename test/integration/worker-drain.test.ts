/** Draining workers by their id: those of the command line, and those that users write. */
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { defineWorkflow } from "../../src/index.ts";
import { startNode, type TestProcess } from "../support/process.ts";
import { type EngineWorld, startEngineWorld } from "../support/engine-world.ts";
import { waitFor, within } from "../support/wait.ts";

const CLI = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../support/worker-program.ts", import.meta.url));

const sluice = (world: EngineWorld, ...args: readonly string[]): TestProcess =>
  startNode(["--import", "tsx", CLI, ...args], { env: { SLUICE_NATS_URL: world.url } });

it("ends `sluice worker` with exit code 0 when its work is done, and loses nothing", { timeout: 60_000 }, async () => {
  const world = await startEngineWorld([]);
  const { client } = world;
  const worker = sluice(world, "worker", "examples/per-user-demo.ts", "--name", "leaving", "--slots", "3");
  await worker.waitForOutput("takes work");
  const [{ id } = { id: "" }] = (await client.workers.list()).items;
  // Three run, one per user; the others wait for them, and for a worker that is there then.
  const runs = await Promise.all(
    Array.from({ length: 9 }, (_, i) => client.run("per-user-demo", { user_id: `u${i % 3}`, ms: i < 3 ? 1_500 : 10 })),
  );
  await waitFor(async () => (await client.workers.list()).items[0]?.used === 3);

  expect(await client.workers.drain(id)).toMatchObject({ mode: "draining", used: 3 });
  expect(await within(20_000, "the end of the worker", worker.exited)).toMatchObject({ code: 0 });
  expect(worker.stderr).toContain("an engine asks this worker to drain");
  expect((await client.workers.list()).items).toEqual([]);
  for (const run of runs.slice(0, 3))
    expect(await run.get()).toMatchObject({ status: "SUCCEEDED", steps: { step1: { attempts: 1 } } });

  const next = sluice(world, "worker", "examples/per-user-demo.ts", "--name", "next");
  for (const run of runs) await run.result({ timeout: "20s" });
  for (const run of runs.slice(3)) expect((await run.get()).steps["step1"]?.worker).toMatch(/^next-/);
  await next.stop();
});

it("is done by `sluice workers drain`, which says who ends, or that nobody has that id", { timeout: 60_000 }, async () => {
  const world = await startEngineWorld([defineWorkflow({ name: "w" }).step("s", () => 1)]);
  const id = world.worker?.id ?? "";
  const nobody = await within(30_000, "sluice workers drain", sluice(world, "workers", "drain", "nobody").exited);
  expect(nobody).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining('there is no worker "nobody"') as string });
  const drained = await within(30_000, "sluice workers drain", sluice(world, "workers", "drain", id).exited);
  expect(drained).toMatchObject({ code: 0, stdout: `${id} takes nothing new and ends\n` });
  await within(10_000, "the end of the worker", world.worker?.closed ?? Promise.reject(new Error("no worker")));
});

it("has a worker of a program of its own hand back what it cannot finish, and end", { timeout: 60_000 }, async () => {
  const world = await startEngineWorld([]);
  const { client } = world;
  const start = (name: string): TestProcess =>
    startNode(["--import", "tsx", PROGRAM], {
      env: { SLUICE_NATS_URL: world.url, WORKER_OPTIONS: JSON.stringify({ name, drainTimeout: "300ms" }) },
    });
  const worker = start("first");
  const [, id = ""] = await worker.waitForOutput(/worker (first-\S+)/);
  const run = await client.run("w", "hello");
  await worker.waitForOutput("holding");
  await client.workers.drain(id);
  await worker.waitForOutput("ended");
  expect(await within(20_000, "the end of the program", worker.exited)).toMatchObject({ code: 0 });
  // Handed back, it does not count as an attempt, and is ready for another worker.
  const back = await run.get();
  expect(back).toMatchObject({
    status: "RUNNING",
    steps: { hold: { status: "READY", attempts: 0 }, echo: { status: "SUCCEEDED" } },
  });
  const second = start("second");
  await second.waitForOutput("holding");
  await client.runs.cancel(run.id);
  await waitFor(async () => (await run.get()).status === "CANCELLED");
  await second.stop();
});
