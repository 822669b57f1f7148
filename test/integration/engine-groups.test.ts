/** What the engine says of its groups: lists, rates, machines, and the log of their decisions. */
import { beforeEach, describe, expect, it } from "vitest";
import { defineWorkflow, Strategy } from "../../src/index.ts";
import type { Strategy as StrategyName } from "../../src/workflow/spec.ts";
import { type EngineWorld, Gates, startEngineWorld } from "../support/engine-world.ts";
import { waitFor } from "../support/wait.ts";

let gates = new Gates();
beforeEach(() => {
  gates = new Gates();
});

function gated(name: string, strategy: StrategyName, maxRuns = 1) {
  return defineWorkflow<{ k: string; gate?: string }>({
    name,
    grace: "5s",
    concurrency: { key: "input.k", maxRuns, strategy },
  }).step("work", ({ input, signal }) => gates.pass(input.gate ?? `${name} ${input.k}`, signal));
}

const workflows = [
  gated("robin", Strategy.GROUP_ROUND_ROBIN),
  gated("replace", Strategy.CANCEL_IN_PROGRESS),
  gated("newest", Strategy.CANCEL_NEWEST),
  gated("except-newest", Strategy.CANCEL_QUEUED_EXCEPT_NEWEST),
  gated("except-oldest", Strategy.CANCEL_QUEUED_EXCEPT_OLDEST),
  defineWorkflow({
    name: "both",
    concurrency: [
      { name: "one", key: "input.a", maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
      { name: "two", key: "input.b", maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
    ],
  }).step("work", ({ input, signal }) => gates.pass((input as { gate: string }).gate, signal)),
];

/** The log of a group, oldest first, as short lines with names for the runs. */
async function story({ call }: EngineWorld, limit: string, key: string, names: Readonly<Record<string, string>>) {
  const { items } = await call("group.decisions", { limit, key, size: 1_000 });
  const named = (text: string): string => Object.entries(names).reduce((line, [name, id]) => line.replaceAll(id, name), text);
  return items.toReversed().map(({ run, decision, why }) => `${named(run)} ${decision}: ${named(why)}`);
}

describe("the decisions of a group", () => {
  it("tell of a line: who was admitted, queued, released, and which run gave its slot up", { timeout: 60_000 }, async () => {
    const world = await startEngineWorld(workflows);
    const { client, call } = world;
    const run = async (gate: string) => (await client.run("robin", { k: "line", gate })).id;
    const a = await run("line a");
    const b = await run("line b");
    const c = await run("line c");
    const d = await run("line d");
    await call("run.cancel", { id: c });
    gates.open("line a");
    await waitFor(async () => (await client.runs.get(b)).status === "RUNNING");
    await client.groups.update({ limit: "robin", key: "line", maxRuns: 2 });
    await waitFor(async () => (await client.runs.get(d)).status === "RUNNING");
    await client.groups.pause({ limit: "robin", key: "line" });
    gates.open("line b");
    gates.open("line d");
    const e = await run("line e");
    await waitFor(async () => (await client.groups.get({ limit: "robin", key: "line" })).active === 0);
    await client.groups.resume({ limit: "robin", key: "line" });
    gates.open("line e");
    await waitFor(async () => (await client.runs.get(e)).status === "SUCCEEDED");

    const lines = await story(world, "robin", "line", { A: a, B: b, C: c, D: d, E: e });
    expect(lines.filter((line) => !/^[BD] released/.test(line) && !line.startsWith("E queued"))).toEqual([
      "A admitted: there was room",
      "B queued: no slot was free",
      "C queued: no slot was free",
      "D queued: no slot was free",
      "C cancelled: cancelled by its user",
      "A released: it succeeded",
      "B admitted: a slot became free: A ended",
      "D admitted: the limit was raised",
      "E admitted: the key was resumed",
      "E released: it succeeded",
    ]);
    expect(lines).toContain("E queued: the key is paused");
    const page = await call("group.decisions", { limit: "robin", key: "line" });
    const admitted = page.items.find(({ run, decision }) => run === b && decision === "admitted");
    expect(admitted).toMatchObject({ by: a, workflow: "robin" });
    const queued = page.items.find(({ run, decision }) => run === b && decision === "queued");
    expect(admitted?.waitedMs).toBe(Date.parse(admitted?.at ?? "") - Date.parse(queued?.at ?? ""));

    // Pages give the same log, whatever their size.
    const found = [];
    let cursor: string | undefined;
    do {
      const part = await call("group.decisions", {
        limit: "robin",
        key: "line",
        size: 3,
        ...(cursor !== undefined && { cursor }),
      });
      found.push(...part.items);
      cursor = part.next;
    } while (cursor !== undefined);
    expect(found).toEqual(page.items);
  });

  it("tell the causes of every strategy that cancels", { timeout: 60_000 }, async () => {
    const world = await startEngineWorld(workflows);
    const { client } = world;
    const start = async (workflow: string, k: string, priority = 0) => (await client.run(workflow, { k }, { priority })).id;

    const [a, b, c] = [await start("replace", "r"), await start("replace", "r"), await start("replace", "r", -1)];
    await waitFor(async () => (await client.runs.get(b)).status === "RUNNING");
    const replaced = await story(world, "replace", "r", { A: a, B: b, C: c });
    expect(replaced.filter((line) => !line.startsWith("C"))).toEqual([
      "A admitted: there was room",
      "B queued: no slot was free",
      "A cancelled: superseded by B",
      "A released: it has stopped",
      "B admitted: a slot became free: A ended",
    ]);
    expect(replaced).toContain("C cancelled: outranked by B");

    const [d, e] = [await start("newest", "n"), await start("newest", "n")];
    expect(await story(world, "newest", "n", { D: d, E: e })).toEqual([
      "D admitted: there was room",
      "E cancelled: every slot was taken",
    ]);

    const [f, g, h] = [await start("except-newest", "x"), await start("except-newest", "x"), await start("except-newest", "x")];
    expect(await story(world, "except-newest", "x", { F: f, G: g, H: h })).toEqual([
      "F admitted: there was room",
      "G queued: no slot was free",
      "H queued: no slot was free",
      "G cancelled: superseded by H",
    ]);

    const [i, j, l] = [await start("except-oldest", "o"), await start("except-oldest", "o"), await start("except-oldest", "o")];
    expect(await story(world, "except-oldest", "o", { I: i, J: j, L: l })).toEqual([
      "I admitted: there was room",
      "J queued: no slot was free",
      "L cancelled: as many wait as may",
    ]);

    await client.groups.update({ limit: "replace", key: "lowered", maxRuns: 2 });
    const [m, n] = [await start("replace", "lowered"), await start("replace", "lowered")];
    await client.groups.update({ limit: "replace", key: "lowered", maxRuns: 1 });
    await waitFor(async () => (await client.runs.get(m)).status === "CANCELLED");
    expect(await story(world, "replace", "lowered", { M: m, N: n })).toEqual([
      "M admitted: there was room",
      "N admitted: there was room",
      "M cancelled: the limit was lowered",
      "M released: it has stopped",
    ]);
  });

  it("tell of runs that need several limits in each of their groups", { timeout: 60_000 }, async () => {
    const world = await startEngineWorld(workflows);
    const { client } = world;
    const run = async (a: string, b: string, gate: string) => (await client.run("both", { a, b, gate })).id;
    const first = await run("x", "p", "both 1");
    const second = await run("y", "p", "both 2");
    gates.open("both 1");
    await waitFor(async () => (await client.runs.get(second)).status === "RUNNING");
    const names = { FIRST: first, SECOND: second };
    expect(await story(world, "two", "p", names)).toEqual([
      "FIRST admitted: there was room",
      "SECOND queued: no slot was free",
      "FIRST released: it succeeded",
      "SECOND admitted: a slot became free: FIRST ended",
    ]);
    const [queued] = await story(world, "one", "y", names);
    expect(queued).toBe('SECOND queued: limit "two" has no free slot: it waits for that one');
  });

  it("refuse a limit that no workflow has, and a cursor of something else", async () => {
    const { call } = await startEngineWorld(workflows);
    await expect(call("group.decisions", { limit: "nobody", key: "k" })).rejects.toMatchObject({ status: 404 });
    await expect(call("group.decisions", { limit: "robin", key: "k", cursor: "%%" })).rejects.toMatchObject({ status: 400 });
    await expect(call("group.list", { cursor: "%%" })).rejects.toMatchObject({ status: 400 });
  });
});

describe("lists of groups", () => {
  it(
    "put the most pressed first, page through them, find them by their key, and tell how quick they are",
    { timeout: 60_000 },
    async () => {
      const { client, call } = await startEngineWorld(workflows);
      const waiting = { calm: 1, busy: 3, Busiest: 5, single: 0 };
      for (const [k, extra] of Object.entries(waiting))
        await Promise.all(Array.from({ length: 1 + extra }, () => client.run("robin", { k, gate: `list ${k}` })));
      // The last one stays, so that the group does.
      await client.run("robin", { k: "Busiest", gate: "list last" });
      const list = await call("group.list", { limit: "robin" });
      expect(list.items.map(({ key, waiting: count }) => [key, count])).toEqual([
        ["Busiest", 6],
        ["busy", 3],
        ["calm", 1],
        ["single", 0],
      ]);
      expect(list.total).toBe(4);
      expect((await call("group.list", { text: "BUS" })).items.map(({ key }) => key)).toEqual(["Busiest", "busy"]);
      const paged = [];
      for await (const group of client.groups.list({ limit: "robin", size: 1 })) paged.push(group.key);
      expect(paged).toEqual(["Busiest", "busy", "calm", "single"]);

      gates.open("list Busiest");
      const quick = await waitFor(async () => {
        const group = await call("group.get", { limit: "robin", key: "Busiest" });
        return group.startsPerMinute > 2 && group;
      });
      expect(quick.startsPerMinute).toBeLessThanOrEqual(7);
      const slow = await call("group.get", { limit: "robin", key: "busy" });
      expect(slow.startsPerMinute).toBeCloseTo(1, 0);
      expect(slow.drainSeconds).toBeGreaterThan(150);
      expect((await call("group.get", { limit: "robin", key: "nobody" })).startsPerMinute).toBe(0);
    },
  );

  it("show the machine of a group as it is", async () => {
    const { client, call } = await startEngineWorld(workflows);
    const idle = await call("group.machine", { limit: "robin", key: "m" });
    expect(idle.active).toEqual(["group-round-robin", "group-round-robin.open"]);
    await client.run("robin", { k: "m", gate: "machine" });
    await client.run("robin", { k: "m", gate: "machine" });
    const full = await call("group.machine", { limit: "robin", key: "m" });
    expect(full.active).toEqual(["group-round-robin", "group-round-robin.full"]);
    expect(full.counts).toEqual({ active: 1, stopping: 0, waiting: 1, held: 0 });
    expect(full.group).toMatchObject({ limit: "robin", key: "m", active: 1, waiting: 1 });
    const { definition } = await call("machine.get", { hash: full.machine });
    expect(definition["id"]).toBe("group-round-robin");
    await client.groups.pause({ limit: "robin", key: "m" });
    expect((await call("group.machine", { limit: "robin", key: "m" })).active).toContain("group-round-robin.paused");
  });
});
