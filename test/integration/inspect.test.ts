/**
 * Foreign XState programs with Stately's own client (`@statelyai/inspect`), and Stately's own receiver for our runs: compatibility
 * in both directions, and what attackers and broken clients send.
 */
import { createWebSocketInspector, createWebSocketReceiver } from "@statelyai/inspect";
import { describe, expect, test } from "vitest";
import { assign, createActor, createMachine, fromCallback, fromPromise, setup } from "xstate";
import type { InspectFrame } from "../../src/protocol/inspect.ts";
import type { RunFrame, RunRecord } from "../../src/protocol/record.ts";
import type { StatelyMessage } from "../../src/protocol/stately.ts";
import type { RunChangeMessage, RunStatus } from "../../src/protocol/view.ts";
import { createChartModel } from "../../src/chart/index.ts";
import { RunNotFoundError } from "../../src/errors.ts";
import type { RunSource } from "../../src/server/inspect/out.ts";
import { onCleanup } from "../support/cleanup.ts";
import { openSocket, startInspectServer } from "../support/inspect-server.ts";
import { waitFor } from "../support/wait.ts";

type Server = Awaited<ReturnType<typeof startInspectServer>>;

function inspectorFor(server: Server, query = "") {
  const inspector = createWebSocketInspector({ url: `${server.url}${query}` });
  onCleanup(() => inspector.stop());
  return inspector;
}

const SECRET = "sk-test-51Habc";

const shop = setup({
  types: { events: {} as { type: "GO"; token?: string } | { type: "PING" }, input: {} as { apiKey: string } },
  actors: {
    charge: fromPromise(async ({ input }: { input: { apiKey: string } }) => ({ paid: true, apiKey: input.apiKey })),
    clock: fromCallback(() => () => undefined),
  },
  actions: { note: () => undefined },
  guards: { isOpen: () => true },
}).createMachine({
  id: "shop",
  context: ({ input }) => ({ password: SECRET, orders: 0, apiKey: input.apiKey }),
  initial: "idle",
  states: {
    idle: { on: { GO: { target: "busy", guard: "isOpen", actions: ["note", assign({ orders: 1 })] }, PING: {} } },
    busy: {
      type: "parallel",
      onDone: "closed",
      states: {
        pay: {
          initial: "charging",
          states: {
            charging: { invoke: { id: "charge", src: "charge", input: { apiKey: SECRET }, onDone: "paid" } },
            paid: { type: "final" },
          },
        },
        tick: {
          initial: "on",
          states: { on: { invoke: { id: "clock", src: "clock" }, after: { 20: "off" } }, off: { type: "final" } },
        },
      },
    },
    closed: { type: "final" },
  },
});

describe("Stately's client", () => {
  test("shows its actors, with every state in order and the first one right", async () => {
    const server = await startInspectServer();
    const inspector = inspectorFor(server);
    const actor = createActor(shop, { inspect: inspector.inspect, input: { apiKey: SECRET } });
    actor.start();
    actor.send({ type: "GO", token: SECRET });
    await waitFor(() => actor.getSnapshot().status === "done");
    const program = await server.program(({ actors, frames }) => actors === 3 && frames >= 10);
    expect(program).toMatchObject({ name: "shop", connected: true, problems: [], cutDefinitions: false });

    const { items: actors } = await waitFor(async () => {
      const reply = await server.actors(program.id);
      return reply.items[0]?.status === "done" ? reply : undefined;
    });
    expect(actors.map(({ name, parent, status }) => ({ name, parent, status }))).toEqual([
      { name: "shop", parent: undefined, status: "done" },
      { name: "charge", parent: actors[0]?.id, status: "done" },
      // XState does not say that a callback was stopped; its parent has it no more.
      { name: "clock", parent: actors[0]?.id, status: "stopped" },
    ]);
    expect(actors[0]).toMatchObject({ value: "closed", registered: true });
    expect(actors[1]?.machine).toBeUndefined();

    const { items: frames, more } = await server.frames(program.id, `actor=${actors[0]?.id}`);
    expect(more).toBe(false);
    const states = frames.flatMap(({ type, snapshot }) => (snapshot === undefined ? [] : [[type, snapshot.value]]));
    // The client registers an actor with whatever its state is when it gets to it; the first real one is what counts.
    expect(states).toEqual([
      ["xstate.init", "idle"],
      ["GO", { busy: { pay: "charging", tick: "on" } }],
      ["xstate.done.actor.charge", { busy: { pay: "paid", tick: "on" } }],
      ["xstate.after.20.shop.busy.tick.on", "closed"],
    ]);
    const done = frames.find(({ type }) => type === "xstate.done.actor.charge");
    expect(done?.source).toBe(actors[1]?.id);
  });

  test("gives a definition that a chart can be drawn from", async () => {
    const server = await startInspectServer();
    createActor(shop, { inspect: inspectorFor(server).inspect, input: { apiKey: SECRET } }).start();
    const program = await server.program(({ actors }) => actors > 0);
    const { items } = await server.actors(program.id);
    const machine = await server.get<{ definition: unknown }>(`machine?program=${program.id}&hash=${items[0]?.machine}`);
    const model = createChartModel(machine.definition);
    expect([...model.nodes.keys()].sort()).toEqual(
      [
        "shop",
        "shop.busy",
        "shop.busy.pay",
        "shop.busy.pay.charging",
        "shop.busy.pay.paid",
        "shop.busy.tick",
        "shop.busy.tick.off",
        "shop.busy.tick.on",
        "shop.closed",
        "shop.idle",
      ].sort(),
    );
    expect([...model.nodes.values()].flatMap(({ problems }) => problems)).toEqual([]);
    expect(model.edges.get("shop.idle|GO|0")).toMatchObject({ guard: "isOpen", targets: ["shop.busy"] });
  });

  test("leaks nothing of what is secret, wherever it puts it", async () => {
    const server = await startInspectServer();
    const actor = createActor(shop, { inspect: inspectorFor(server).inspect, input: { apiKey: SECRET } });
    actor.start();
    actor.send({ type: "GO", token: SECRET });
    const program = await server.program(({ actors, frames }) => actors === 3 && frames >= 10);
    const { items: actors } = await server.actors(program.id);
    const all = [
      program,
      actors,
      await server.frames(program.id),
      await server.get(`machine?program=${program.id}&hash=${actors[0]?.machine}`),
    ];
    const text = JSON.stringify(all);
    expect(text).toContain("[redacted]");
    expect(text).not.toContain(SECRET);
    // Nor is it kept anywhere behind what is told.
    const stored = server.programs.list().flatMap((one) => one.actors().flatMap(({ frames }) => frames));
    expect(stored.length).toBeGreaterThan(5);
    expect(JSON.stringify(stored)).not.toContain(SECRET);
  });

  test("may be several programs with the same ids, which never meet", async () => {
    const server = await startInspectServer();
    const [first, second] = [inspectorFor(server, "?name=one"), inspectorFor(server, "?name=two")];
    // In one process XState counts on, so the ids are made equal as two processes would have them.
    for (const [inspector, value] of [
      [first, "off"],
      [second, "on"],
    ] as const) {
      inspector.actor("x:0", { status: "active", value });
      inspector.snapshot("x:0", { status: "active", value }, { event: { type: "SET" } });
    }
    const programs = await waitFor(async () => {
      const all = await server.list();
      return all.length === 2 && all.every(({ frames }) => frames === 2) ? all : undefined;
    });
    expect(programs.map(({ name }) => name).sort()).toEqual(["one", "two"]);
    for (const { id, name } of programs)
      expect((await server.actors(id)).items).toMatchObject([{ id: "x:0", value: name === "one" ? "off" : "on" }]);
  });

  test("cuts deep machines off; that is said, and the rest is drawn", async () => {
    const server = await startInspectServer();
    const deep = (depth: number): object =>
      depth === 0 ? { on: { GO: "#deep.end" } } : { initial: "in", states: { in: deep(depth - 1) } };
    const machine = createMachine({ id: "deep", initial: "in", states: { in: deep(7), end: {} } } as never);
    createActor(machine, { inspect: inspectorFor(server).inspect }).start();
    const program = await server.program(({ cutDefinitions }) => cutDefinitions);
    const { items } = await server.actors(program.id);
    expect(items[0]).toMatchObject({ cutDefinition: true });
    const { definition } = await server.get<{ definition: unknown }>(`machine?program=${program.id}&hash=${items[0]?.machine}`);
    const model = createChartModel(definition);
    expect(model.nodes.has("deep.in.in.in")).toBe(true);
    expect(model.nodes.has("deep.end")).toBe(true);
  });

  test("goes on where it was when it comes back, and what it repeats is not counted again", async () => {
    const server = await startInspectServer();
    // Begun before it is connected, so that it has something to repeat.
    const inspector = createWebSocketInspector({ url: server.url, autoStart: false });
    onCleanup(() => inspector.stop());
    const actor = createActor(shop, { inspect: inspector.inspect, input: { apiKey: "k" } });
    actor.start();
    actor.send({ type: "PING" });
    await new Promise((resolve) => setTimeout(resolve)); // the client puts off what it is told
    inspector.start();
    const before = await server.program(({ frames }) => frames === 3);
    inspector.stop();
    const ended = await server.program(({ connected }) => !connected);
    expect(ended).toMatchObject({ id: before.id, frames: 3 });
    inspector.start();
    const back = await server.program(({ connected }) => connected);
    expect(back).toMatchObject({ id: before.id, reconnects: 1, frames: 3 });
    actor.send({ type: "PING" });
    const after = await server.program(({ frames }) => frames > 3);
    expect(after).toMatchObject({ id: before.id, frames: 4 });
    expect(await server.list()).toHaveLength(1);
  });

  test("that is another life of the same program is another program", async () => {
    const server = await startInspectServer();
    const [first, second] = [await openSocket(server.url), await openSocket(server.url)];
    first.send({ ...registration("x:0"), createdAt: "1000" });
    await server.program(({ actors }) => actors === 1);
    first.socket.close();
    await server.program(({ connected }) => !connected);
    second.send({ ...registration("x:0"), createdAt: "2000" });
    await waitFor(async () => (await server.list()).length === 2);
  });

  test("and its own receiver's messages about anything else than machines are taken as they are", async () => {
    const server = await startInspectServer();
    const inspector = inspectorFor(server);
    inspector.actor("basket", { status: "active", context: { items: 1 } });
    inspector.actor("till");
    inspector.event("basket", "add", { source: "till" });
    inspector.snapshot("basket", { status: "active", context: { items: 2 } });
    const program = await server.program(({ frames }) => frames === 4);
    const { items } = await server.frames(program.id, "actor=basket");
    expect(items.map(({ kind, type, source, snapshot }) => ({ kind, type, source, context: snapshot?.context }))).toEqual([
      // Nothing better came, so what was said at first stands.
      { kind: "registered", type: "", source: undefined, context: undefined },
      { kind: "event", type: "add", source: "till", context: undefined },
      { kind: "snapshot", type: "", source: undefined, context: { items: 2 } },
    ]);
  });
});

const registration = (sessionId: string, fields: object = {}) => ({
  type: "@xstate.actor",
  sessionId,
  rootId: sessionId,
  name: "m",
  createdAt: String(Date.now()),
  id: null,
  _version: "0.7.2",
  definition: '{"id":"m"}',
  snapshot: { status: "active" },
  ...fields,
});

describe("who may connect", () => {
  test.each<[string, Record<string, string>, boolean]>([
    ["a program", {}, true],
    ["a page of a development server", { origin: "http://localhost:5173" }, true],
    ["one by address", { origin: "http://127.0.0.1:3000" }, true],
    ["a page of the internet", { origin: "https://evil.example" }, false],
    ["one that only looks local", { origin: "http://localhost.evil.example" }, false],
    ["a page of a file or a sandbox", { origin: "null" }, false],
    ["a name that was turned to this address", { host: "evil.example" }, false],
  ])("%s: %o", async (_who, headers, may) => {
    const server = await startInspectServer();
    const socket = await openSocket(server.url, headers);
    expect(socket.opened).toBe(may);
    if (!may) expect(await socket.ended).toMatchObject({ opened: false, code: 403 });
    expect(await server.list()).toEqual([]);
  });

  test("pages that are allowed by name, and receivers only from no page at all", async () => {
    const server = await startInspectServer({ allowOrigins: ["https://app.example"], runs: fakeRuns().source });
    expect((await openSocket(server.url, { origin: "https://app.example" })).opened).toBe(true);
    expect((await openSocket(server.outUrl, { origin: "https://app.example" })).opened).toBe(true);
    expect((await openSocket(server.outUrl)).opened).toBe(true);
    // Other pages on this machine may show us their actors, but not read our runs.
    expect((await openSocket(server.outUrl, { origin: "http://localhost:5173" })).opened).toBe(false);
  });
});

describe("what cannot be used", () => {
  test("is counted by its reason, and what follows is taken", async () => {
    const server = await startInspectServer();
    const socket = await openSocket(server.url);
    for (const message of [
      "{",
      "[]",
      "null",
      "7",
      "{}",
      { type: "@xstate.transition", sessionId: "x:0" },
      { type: "@xstate.event", sessionId: "x:0" },
      { type: "@xstate.event", sessionId: "x:0", event: { type: 7 } },
      { type: "@xstate.actor" },
      { ...registration("x:1"), definition: "{not json" },
      { ...registration("x:2"), definition: { states: nested(200) } },
      `{"type":"@xstate.event","sessionId":"x:0","event":{"type":"E","a":${"[".repeat(20_000)}${"]".repeat(20_000)}}}`,
    ])
      socket.send(message);
    socket.socket.send(Buffer.from([1, 2, 3]));
    socket.send({ ...registration("ok"), name: "fine" });
    const program = await server.program(({ frames }) => frames >= 3);
    const { items } = await server.actors(program.id);
    expect(items.map(({ id }) => id)).toContain("ok");
    const reasons = new Map(program.problems.map(({ reason, count }) => [reason, count]));
    expect(reasons.get("not JSON")).toBe(1);
    expect(reasons.get("not a JSON object")).toBe(3);
    expect(reasons.get("without a type")).toBe(1);
    expect(reasons.get("not text")).toBe(1);
    expect([...reasons.keys()].filter((reason) => reason.startsWith("a definition that cannot be used"))).toHaveLength(2);
    expect([...reasons.values()].reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(12);
  });

  test("is harmless, whatever it is called", async () => {
    const server = await startInspectServer();
    const socket = await openSocket(server.url);
    socket.send(
      `{"type":"@xstate.actor","sessionId":"__proto__","name":"constructor","definition":"{\\"id\\":\\"__proto__\\",\\"states\\":{\\"__proto__\\":{\\"on\\":{\\"__proto__\\":\\"x\\"}},\\"a\\":{}}}","snapshot":{"status":"active","context":{"__proto__":{"polluted":true}},"children":{"__proto__":{}}}}`,
    );
    const program = await server.program(({ frames }) => frames === 1);
    expect((await server.actors(program.id)).items).toMatchObject([{ id: "__proto__", name: "constructor" }]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test("is not looked at where it is too long, and ends the connection where it is far too long", async () => {
    const server = await startInspectServer({ limits: { messageBytes: 10_000 } });
    const socket = await openSocket(server.url);
    socket.send(registration("a"));
    socket.send({ ...registration("b"), snapshot: { status: "active", context: "x".repeat(20_000) } });
    socket.send(registration("c"));
    const program = await server.program(({ actors }) => actors === 2);
    expect(program.problems).toEqual([{ reason: "longer than 10 kB", count: 1 }]);
    socket.send("x".repeat(200_000));
    expect((await socket.ended).code).toBe(1009);
    const ended = await server.program(({ connected }) => !connected);
    expect(ended.problems.map(({ reason }) => reason)).toContain("so long that the connection was ended");
  });

  test("is let go where it is too much: 10,000 actors, and more than the memory for all", async () => {
    const server = await startInspectServer({ limits: { bytes: 2_000_000, framesPerActor: 50, programs: 3 } });
    const socket = await openSocket(server.url);
    socket.send(registration("root"));
    for (let index = 0; index < 10_000; index++) socket.send(registration(`x:${index}`, { parentId: "root", rootId: "root" }));
    const program = await server.program(({ dropped, actors }) => dropped.actors === 9_801 && actors === 200);
    const { items } = await server.actors(program.id);
    expect(items.some(({ id }) => id === "root")).toBe(true);
    expect(items.some(({ id }) => id === "x:9999")).toBe(true);

    for (let index = 0; index < 2_000; index++) {
      socket.send({
        type: "@xstate.snapshot",
        sessionId: "root",
        snapshot: { status: "active", value: "a", context: { index, text: "y".repeat(5_000) } },
        event: { type: "E" },
      });
    }
    const last = await waitFor(async () => {
      const { items: frames } = await server.frames(program.id, "actor=root&size=1");
      const context = frames[0]?.snapshot?.context as { index?: number } | undefined;
      return context?.index === 1_999 ? frames[0] : undefined;
    });
    expect(last?.seq).toBeGreaterThan(10_000);
    expect(server.programs.bytes).toBeLessThan(2_000_000);
    expect((await server.frames(program.id, "actor=root&size=5000")).items.length).toBeLessThanOrEqual(50);

    for (let index = 0; index < 5; index++) {
      const another = await openSocket(server.url);
      another.send(registration(`other-${index}`));
      another.socket.close();
      await another.ended;
    }
    await waitFor(async () => (await server.list()).length === 3);
  });
});

function nested(depth: number): object {
  let state: object = {};
  for (let level = 0; level < depth; level++) state = { a: { states: state } };
  return state;
}

test("pages of frames go back from the newest, and on from what was seen", async () => {
  const server = await startInspectServer();
  const socket = await openSocket(server.url);
  socket.send(registration("a"));
  for (let index = 0; index < 25; index++) socket.send({ type: "@xstate.event", sessionId: "a", event: { type: `E${index}` } });
  const program = await server.program(({ frames }) => frames === 26);
  const types = (frames: readonly InspectFrame[]) => frames.map(({ type }) => type);
  const newest = await server.frames(program.id, "size=3");
  expect(types(newest.items)).toEqual(["E22", "E23", "E24"]);
  expect(newest.more).toBe(true);
  const older = await server.frames(program.id, `size=2&before=${newest.items[0]?.seq}`);
  expect(types(older.items)).toEqual(["E20", "E21"]);
  // A snapshot completes an event that was there before: it comes again.
  socket.send({ type: "@xstate.snapshot", sessionId: "a", event: { type: "E23" }, snapshot: { status: "active", value: "b" } });
  const news = await waitFor(async () => {
    const reply = await server.frames(program.id, `after=${newest.revision}&size=10`);
    return reply.items.length > 0 ? reply : undefined;
  });
  expect(news.items.map(({ type, snapshot }) => [type, snapshot?.value])).toContainEqual(["E23", "b"]);
  expect((await server.frames(program.id, `after=${news.revision}`)).items).toEqual([]);
  expect((await server.get<{ error: { code: string } }>("frames?program=none")).error.code).toBe("PROGRAM_NOT_FOUND");
});

// -------------------------------------------------------------------------------------------------- our runs, for receivers

const MACHINE = { hash: "m1", name: "answer", definition: { id: "answer", initial: "queued", states: { queued: {}, done: {} } } };

function frame(index: number, type: string, value: unknown, fields: Partial<RunFrame> = {}): RunFrame {
  return {
    index,
    at: new Date(1_700_000_000_000 + index).toISOString(),
    type,
    from: "engine",
    sent: [],
    fed: true,
    status: "RUNNING",
    value,
    active: [],
    taken: [],
    actions: [],
    timers: [],
    steps: {},
    context: { n: index },
    ...fields,
  };
}

/** Runs that a test makes up and changes. */
function fakeRuns() {
  const records = new Map<string, RunRecord>();
  const statuses = new Map<string, RunStatus>();
  const listeners = new Set<(change: RunChangeMessage) => void>();
  const source: RunSource = {
    call: (async (operation: string, request: { id?: string }) => {
      if (operation === "machine.get") return MACHINE;
      if (operation === "run.list")
        return { items: [...records.keys()].filter((id) => statuses.get(id) === "RUNNING").map((id) => ({ id })) };
      const record = records.get(request.id ?? "");
      if (record === undefined) throw new RunNotFoundError(request.id ?? "");
      return record;
    }) as unknown as RunSource["call"],
    onRunChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return {
    source,
    listeners,
    set(id: string, frames: readonly RunFrame[], status: RunStatus = "RUNNING"): void {
      records.set(id, { id, workflow: "answer", version: "1", machine: "m1", frames });
      statuses.set(id, status);
      const change: RunChangeMessage = { id, workflow: "answer", change: "step", at: "", status };
      for (const listener of listeners) listener(change);
    },
  };
}

describe("Stately's receiver", () => {
  function receive(url: string): StatelyMessage[] {
    const messages: StatelyMessage[] = [];
    const receiver = createWebSocketReceiver({ server: url });
    const subscription = receiver.subscribe((message) => void messages.push(message as unknown as StatelyMessage));
    onCleanup(() => subscription.unsubscribe());
    return messages;
  }

  test("gets a run with its definition first, then what happened, then what happens", async () => {
    const runs = fakeRuns();
    const frames = [
      frame(0, "created", undefined, { from: "event", fed: false, status: "QUEUED" }),
      frame(1, "run.admitted", "queued", {
        from: "group:answer/ada",
        sent: [{ to: "worker:w1", type: "dispatch", data: { step: "a" } }],
      }),
    ];
    runs.set("r1", frames);
    runs.set("r2", frames);
    const server = await startInspectServer({ runs: runs.source, everyMs: 20 });
    const messages = receive(`${server.outUrl}?run=r1`);
    await waitFor(() => messages.length === 8);
    expect(messages.map(({ type, sessionId }) => [type, sessionId])).toEqual([
      ["@xstate.actor", "run/r1"],
      ["@xstate.actor", "run/r1#event"],
      ["@xstate.actor", "run/r1#group:answer/ada"],
      ["@xstate.actor", "run/r1#worker:w1"],
      ["@xstate.event", "run/r1"],
      ["@xstate.event", "run/r1"],
      ["@xstate.event", "run/r1#worker:w1"],
      ["@xstate.snapshot", "run/r1"],
    ]);
    const [registered] = messages;
    if (registered?.type !== "@xstate.actor") throw new Error("expected the run's registration first");
    expect(createMachine(JSON.parse(registered.definition) as never).id).toBe("answer");
    expect(registered.snapshot).toMatchObject({ status: "active", value: "queued" });
    expect(messages[6]).toMatchObject({ event: { type: "dispatch", step: "a" }, sourceId: "run/r1", rootId: "run/r1" });
    expect(typeof registered.createdAt).toBe("string");

    runs.set("r1", [...frames, frame(2, "xstate.done.actor.a", "done", { from: "worker:w1", status: "SUCCEEDED" })], "SUCCEEDED");
    await waitFor(() => messages.length === 10);
    expect(messages[9]).toMatchObject({ type: "@xstate.snapshot", snapshot: { status: "done", value: "done" } });
    // Nothing of other runs.
    expect(new Set(messages.map(({ rootId }) => rootId))).toEqual(new Set(["run/r1"]));
  });

  test("gets all that are live, as many as may be at once, and those that come later when others have ended", async () => {
    const runs = fakeRuns();
    for (const id of ["a", "b", "c"]) runs.set(id, [frame(0, "run.admitted", "queued")]);
    const server = await startInspectServer({ runs: runs.source, maxRuns: 2, everyMs: 20 });
    const messages = receive(server.outUrl);
    const roots = () => new Set(messages.map(({ rootId }) => rootId));
    await waitFor(() => roots().size === 2);
    const [first] = [...roots()].map((root) => root.slice("run/".length));
    runs.set(first ?? "", [frame(0, "run.admitted", "queued"), frame(1, "end", "done", { status: "SUCCEEDED" })], "SUCCEEDED");
    await waitFor(() => messages.some((message) => message.type === "@xstate.snapshot" && message.snapshot.status === "done"));
    runs.set("d", [frame(0, "run.admitted", "queued")]);
    await waitFor(() => roots().has("run/d"));
  });

  test("is told, where there is no such run, and is forgotten when it goes", async () => {
    const runs = fakeRuns();
    runs.set("a", [frame(0, "run.admitted", "queued")]);
    const server = await startInspectServer({ runs: runs.source });
    const none = await openSocket(`${server.outUrl}?run=none`);
    expect(await none.ended).toMatchObject({ code: 4404, reason: 'there is no run "none"' });
    const socket = await openSocket(server.outUrl);
    await waitFor(() => runs.listeners.size === 1);
    socket.socket.close();
    await waitFor(() => runs.listeners.size === 0);
    const loud = await openSocket(server.outUrl);
    loud.send("x".repeat(100_000));
    expect((await loud.ended).code).toBe(1009);
  });
});
