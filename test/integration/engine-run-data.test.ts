/** What the dashboard is told of runs, by a real engine node: records, lists by every filter, populations; and secrets. */
import { readdir, readFile } from "node:fs/promises";
import { createMachine } from "xstate";
import { describe, expect, it } from "vitest";
import { connect, defineWorkflow, startWorker } from "../../src/index.ts";
import { startEngine } from "../../src/engine/index.ts";
import type { RunListQuery } from "../../src/protocol/view.ts";
import { onCleanup } from "../support/cleanup.ts";
import { Gates, silent, startEngineWorld, type EngineWorld } from "../support/engine-world.ts";
import { startTestServer } from "../support/nats.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor, within } from "../support/wait.ts";

interface Input {
  readonly user: string;
  readonly gate: string;
  readonly text?: string;
}

function gated(gates: Gates) {
  return defineWorkflow({
    name: "gated",
    on: ["thing.done", "thing.other"],
    concurrency: { key: "input.user", maxRuns: 1, strategy: "GROUP_ROUND_ROBIN" },
  })
    .step("first", async (ctx) => {
      await gates.pass((ctx.input as Input).gate, ctx.signal);
      return { ok: true };
    })
    .step("second", { after: ["first"] }, () => ({ done: true }));
}

async function idsOf(world: EngineWorld, query: RunListQuery): Promise<readonly string[]> {
  return (await world.call("run.list", query)).items.map(({ id }) => id);
}

describe("The record of a run", () => {
  it("is as fresh as its owner, names states of the machine that can be asked for, and is the same after the end", async () => {
    const gates = new Gates();
    const workflow = gated(gates);
    const world = await startEngineWorld([workflow]);
    const run = await world.client.run(workflow, { user: "u", gate: "g" });
    await waitFor(async () => (await run.status()) === "RUNNING");
    const live = await waitFor(async () => {
      const record = await world.call("run.record", { id: run.id });
      return record.frames.at(-1)?.type === "step.started.first" && record;
    });
    expect(live.frames.map(({ type }) => type)).toEqual(["created", "run.admitted", "step.started.first"]);
    expect(live.frames.at(-1)?.value).toEqual({ running: { first: { attempt: "executing" }, second: "blocked" } });

    const { definition, name } = await world.call("machine.get", { hash: live.machine });
    expect(name).toBe("gated");
    expect(await world.call("machine.get", { workflow: "gated" })).toMatchObject({ hash: live.machine });
    const ids = new Set([...(createMachine(definition) as unknown as { idMap: Map<string, unknown> }).idMap.keys()]);
    for (const { active } of live.frames) for (const id of active) expect(ids).toContain(id);

    gates.open("*");
    await within(10_000, "the result", run.result());
    const { frames } = await world.call("run.record", { id: run.id });
    expect(frames.slice(0, 3)).toEqual(live.frames);
    expect(frames.at(-1)).toMatchObject({ type: "run.succeeded", status: "SUCCEEDED", active: ["run", "run.succeeded"] });
    expect(frames.at(-1)?.sent).toEqual([{ to: "group:gated/u", type: "run.released" }]);
    expect((await world.call("run.record", { id: run.id, after: 2 })).frames).toEqual(frames.slice(3));
  });

  it("is refused for a run that nobody knows, and so are machines", async () => {
    const world = await startEngineWorld([]);
    await expect(world.call("run.record", { id: "nobody" })).rejects.toMatchObject({ code: "RUN_NOT_FOUND" });
    await expect(world.call("machine.get", { hash: "none" })).rejects.toMatchObject({ status: 404 });
    await expect(world.call("machine.get", { workflow: "none" })).rejects.toMatchObject({ code: "WORKFLOW_NOT_FOUND" });
    await expect(world.call("machine.get", {})).rejects.toMatchObject({ status: 400 });
  });
});

describe("Lists of runs", () => {
  it("are filtered by tag, event, text and state, counted, and spread over the states of their workflow", async () => {
    const gates = new Gates();
    const workflow = gated(gates);
    const world = await startEngineWorld([workflow]);
    const { client } = world;
    const running = await client.run(
      workflow,
      { user: "u1", gate: "a", text: "Needle in a call" },
      { metadata: { team: "red", n: 1 } },
    );
    const waiting = await client.run(workflow, { user: "u1", gate: "b" }, { metadata: { team: "blue" } });
    await client.publish("thing.done", { user: "u2", gate: "c", text: 'a NEEDLE in an event, and "quotes"' });
    await client.publish("thing.other", { user: "u3", gate: "open", text: "nothing" });
    gates.open("open");
    const all = { workflow: "gated" };
    await waitFor(async () => (await world.call("run.count", { ...all, status: "SUCCEEDED" })).count === 1);
    await waitFor(async () => (await idsOf(world, { ...all, state: "run.running.first.attempt.executing" })).length === 2);
    const [ofOther = ""] = await idsOf(world, { event: "thing.other" });
    const [ofDone = ""] = await idsOf(world, { event: "thing.done" });
    expect(new Set([ofOther, ofDone, running.id, waiting.id])).toEqual(new Set(await idsOf(world, all)));

    expect(await idsOf(world, { tag: "team" })).toEqual([waiting.id, running.id]);
    expect(await idsOf(world, { tag: "team=red" })).toEqual([running.id]);
    expect(await idsOf(world, { tag: ["team=red", "n=1"] })).toEqual([running.id]);
    expect(await idsOf(world, { tag: ["team=blue", "n"] })).toEqual([]);
    expect(await idsOf(world, { tag: "team", status: "QUEUED", key: "u1" })).toEqual([waiting.id]);
    expect(await idsOf(world, { event: "thing.none" })).toEqual([]);

    expect(new Set(await idsOf(world, { text: "needle" }))).toEqual(new Set([running.id, ofDone]));
    expect(await idsOf(world, { text: '"QUOTES"' })).toEqual([ofDone]);
    expect(await idsOf(world, { text: running.id.slice(-9).toLowerCase() })).toEqual([running.id]);
    expect(await idsOf(world, { text: "u3" })).toEqual([ofOther]);
    expect(await world.call("run.count", { text: "needle" })).toEqual({ count: 2, atLeast: false });

    expect(await idsOf(world, { ...all, state: "run.waiting" })).toEqual([waiting.id]);
    expect(new Set(await idsOf(world, { ...all, state: "run.running" }))).toEqual(new Set([running.id, ofDone]));
    expect(await idsOf(world, { ...all, state: "run.running", event: "thing.done" })).toEqual([ofDone]);
    expect(await world.call("run.count", { ...all, state: "run" })).toEqual({ count: 3, atLeast: false });
    const first = await world.call("run.list", { ...all, state: "run", size: 2 });
    const second = await world.call("run.list", { ...all, state: "run", size: 2, cursor: first.next ?? "" });
    expect(second.next).toBeUndefined();
    expect(new Set([...first.items, ...second.items].map(({ id }) => id))).toEqual(new Set([running.id, waiting.id, ofDone]));
    await expect(world.call("run.list", { state: "run" })).rejects.toMatchObject({ status: 400 });

    const { items } = await world.call("run.list", { ...all, fields: "row" });
    expect(items).toHaveLength(4);
    for (const item of items) expect(item).toMatchObject({ input: null, steps: {}, workflow: "gated" });

    const population = await world.call("workflow.population", { name: "gated" });
    expect(population.states).toMatchObject({
      run: 3,
      "run.waiting": 1,
      "run.running": 2,
      "run.running.first.attempt.executing": 2,
      "run.running.second.blocked": 2,
    });
    expect(population.statuses).toEqual({ QUEUED: 1, RUNNING: 2, SUCCEEDED: 1, FAILED: 0, CANCELLED: 0 });
    expect(population.openInOtherVersions).toBe(0);
    expect(population.machine).toBe((await world.call("machine.get", { workflow: "gated" })).hash);
    await expect(world.call("workflow.population", { name: "none" })).rejects.toMatchObject({ code: "WORKFLOW_NOT_FOUND" });
    gates.open("*");
    await within(10_000, "the result", waiting.result());
  });
});

describe("Secrets", () => {
  const login = defineWorkflow({ name: "login", on: ["user.login"] })
    .step("check", ({ input }) => ({ token: `token-of-${(input as { password: string }).password}`, user: "u" }))
    .step("fail", { after: ["check"] }, ({ input }) => {
      if ((input as { fail?: boolean }).fail === true) throw Object.assign(new Error("no"), { secret: "very-hidden-1" });
    });

  it("are not in the history's file nor in records, and programs get them all the same, also after a restart", async () => {
    const server = await startTestServer();
    const dataDir = await temporaryFolder();
    const options = { servers: server.url, logger: silent, partitions: 2, dataDir };
    const first = await startEngine(options);
    onCleanup(() => first.stop());
    const client = await connect({ servers: server.url, logger: silent });
    onCleanup(() => client.close());
    const worker = await startWorker({ servers: server.url, workflows: [login], logger: silent });
    onCleanup(() => worker.stop());

    const run = await client.run(
      login,
      { password: "very-hidden-2" },
      { metadata: { Authorization: "very-hidden-3", team: "red" } },
    );
    const outputs = { check: { token: "token-of-very-hidden-2", user: "u" }, fail: undefined };
    expect(await within(10_000, "the result", run.result())).toMatchObject({ check: outputs.check });
    const failing = await client.run(login, { password: "very-hidden-4", fail: true });
    await expect(within(10_000, "the failure", failing.result())).rejects.toMatchObject({ code: "RUN_FAILED" });
    const replayed = await client.runs.replay(run.id);
    const again = await waitFor(async () => {
      const view = await client.runs.get(replayed.id);
      return view.status === "SUCCEEDED" && view;
    });
    expect(again.outputs).toMatchObject({ check: outputs.check });

    const record = await first.call("run.record", { id: run.id });
    expect(JSON.stringify(record)).not.toContain("very-hidden");
    expect(record.frames.at(-1)?.context).toMatchObject({ steps: { check: { output: { token: "[redacted]", user: "u" } } } });
    expect((await first.call("run.list", { tag: "Authorization=[redacted]" })).items).toHaveLength(2);
    expect((await first.call("run.list", { text: "very-hidden" })).items).toHaveLength(0);
    await first.stop();

    for (const file of await readdir(dataDir))
      if (file.startsWith("history")) expect((await readFile(`${dataDir}/${file}`)).includes("very-hidden"), file).toBe(false);

    const second = await startEngine(options);
    onCleanup(() => second.stop());
    const view = await client.runs.get(run.id);
    expect(view).toMatchObject({
      input: { password: "very-hidden-2" },
      metadata: { Authorization: "very-hidden-3", team: "red" },
      outputs: { check: outputs.check },
    });
    expect(JSON.stringify(await client.runs.events(run.id)).includes("token-of-very-hidden-2")).toBe(true);
  });
});
