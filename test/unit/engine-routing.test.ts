/** Which runs an event or a call starts, and where they go. */
import { describe, expect, test } from "vitest";
import { Placement } from "../../src/engine/placement.ts";
import { readHeaders, routeCall, routeEvent, toCreation } from "../../src/engine/routing.ts";
import { Workflows } from "../../src/engine/workflows.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";

const placement = new Placement(8);
const workflows = new Workflows();
const free = defineWorkflow({ name: "free", on: "a.*" }).step("s", () => 1).spec;
const limited = defineWorkflow({ name: "limited", on: "a.b", concurrency: { key: "input.k" } }).step("s", () => 1).spec;
const keyed = defineWorkflow<{ k: string }>({ name: "keyed", on: "a.>", concurrency: { key: (ctx) => ctx.input.k } }).step(
  "s",
  () => 1,
).spec;
for (const [index, spec] of [free, limited, keyed].entries()) workflows.add(spec, 10 + index, 0);

let runs = 0;
const routing = { workflows, placement, newRunId: () => `r${++runs}`, eventsStream: "events" };
const event = (seq: number, text: string) => routeEvent(routing, { name: "a.b", seq, timeMs: 1_000.7, text });

describe("an event", () => {
  test("starts one run of each workflow that it matches, each at the partition of its groups", () => {
    const routes = event(20, '{"k":"x"}');
    expect(routes.map(({ creation, position }) => [creation.workflow.name, position])).toEqual([
      ["free", [20, 0]],
      ["keyed", [20, 1]],
      ["limited", [20, 2]],
    ]);
    const [ofFree, ofKeyed, ofLimited] = routes;
    expect(ofFree?.partition).toBe(placement.partitionOf(free, "20.0", []));
    expect([ofKeyed?.partition, ofKeyed?.creation.keys]).toEqual([placement.homeOf("keyed"), undefined]);
    expect([ofLimited?.partition, ofLimited?.creation.keys]).toEqual([placement.ofGroup("limited", "x"), ["x"]]);
    expect(ofLimited?.creation).toMatchObject({ createdAt: 1_000, input: '{"k":"x"}', event: { name: "a.b", seq: 20 } });
    expect(ofLimited?.creation.ref).toBeUndefined();
  });

  test("starts only what was in force at its place", () => {
    expect(event(11, "{}").map(({ creation }) => creation.workflow.name)).toEqual(["free"]);
    expect(event(10, "{}")).toEqual([]);
  });

  test("with a large payload says where that can be read again", () => {
    const [route] = event(20, JSON.stringify({ k: "x", text: "long ".repeat(200) }));
    expect(route?.creation.ref).toEqual({ stream: "events", seq: 20 });
  });

  test("whose key cannot be computed goes home, where the run fails", () => {
    const route = event(20, "{}").find(({ creation }) => creation.workflow.name === "limited");
    expect([route?.partition, route?.creation.keys]).toEqual([placement.homeOf("limited"), undefined]);
  });
});

describe("a call", () => {
  const workflow = workflows.latest("limited");
  if (workflow === undefined) throw new Error("it was added");

  test("goes to the partition of its group, or home while it is scheduled", () => {
    const call = { run: "r", createdAt: 1, input: { k: "x" } };
    expect(routeCall(placement, workflow, call)).toEqual({
      partition: placement.ofGroup("limited", "x"),
      command: { type: "create", workflow: "limited", version: limited.version, keys: ["x"], ...call },
    });
    expect(routeCall(placement, workflow, { ...call, notBefore: 5 }).partition).toBe(placement.homeOf("limited"));
  });

  test("becomes a run when its partition reads it", () => {
    const { command } = routeCall(placement, workflow, { run: "r", input: { k: "x" }, priority: 2, metadata: { m: 1 } });
    const ref = { stream: "p1", seq: 7 };
    expect(toCreation(command, workflow, ref, 99)).toEqual({
      run: "r",
      workflow,
      createdAt: 99,
      input: '{"k":"x"}',
      keys: ["x"],
      priority: 2,
      metadata: { m: 1 },
    });
    expect(toCreation({ ...command, input: "long ".repeat(200) }, workflow, ref, 99).ref).toBe(ref);
  });
});

describe("headers", () => {
  const read = (headers: Record<string, string>) => readHeaders((name) => headers[name]);

  test("say what a run has besides its payload", () => {
    expect(read({})).toEqual({});
    expect(read({ "Sluice-Metadata": '{"a":1}', "Sluice-Scope": "s", "Sluice-Priority": "-3", traceparent: "00-1" })).toEqual({
      metadata: { a: 1, scope: "s" },
      priority: -3,
      traceparent: "00-1",
    });
  });

  test.each([
    [{ "Sluice-Metadata": "{" }, "Sluice-Metadata"],
    [{ "Sluice-Metadata": "[1]" }, "Sluice-Metadata"],
    [{ "Sluice-Metadata": JSON.stringify({ a: "x".repeat(40_000) }) }, "Sluice-Metadata"],
    [{ "Sluice-Priority": "" }, "Sluice-Priority"],
    [{ "Sluice-Priority": "1.5" }, "Sluice-Priority"],
    [{ "Sluice-Priority": "1e9" }, "Sluice-Priority"],
  ])("that cannot be used are named: %j", (headers, name) => {
    expect(() => read(headers as Record<string, string>)).toThrow(name);
  });
});
