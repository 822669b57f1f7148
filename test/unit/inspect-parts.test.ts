/** The parts behind `/inspect`, without a socket: definitions, messages, what is kept and what goes; runs in Stately's format. */
import { createMachine } from "xstate";
import { describe, expect, test } from "vitest";
import type { RunFrame, RunRecord } from "../../src/protocol/record.ts";
import { createRedactor } from "../../src/protocol/redact.ts";
import { StatelyRun } from "../../src/protocol/stately.ts";
import { readDefinition } from "../../src/server/inspect/definition.ts";
import { isLocalOrigin, isLoopback } from "../../src/server/inspect/intake.ts";
import { parseMessage, readSnapshot, readTime } from "../../src/server/inspect/message.ts";
import { INSPECT_REDACT } from "../../src/server/inspect/mount.ts";
import { Programs } from "../../src/server/inspect/programs.ts";

const redactor = createRedactor(INSPECT_REDACT);
const redact = (value: unknown) => redactor.value(value);
const read = (definition: unknown) => readDefinition(JSON.stringify(definition), "m", redact);

describe("a definition", () => {
  test("keeps what a chart shows, and nothing of what is data", () => {
    const definition = {
      id: "m",
      context: { password: "p" },
      types: {},
      initial: "a",
      entry: [{ type: "log", params: { token: "t", level: 1 } }, "note"],
      states: {
        // States may be called what secrets are called.
        a: {
          on: { GO: { target: "token", guard: { type: "isOk", params: { secret: "s" } }, actions: "x" } },
          after: { 10: "token" },
        },
        token: { invoke: { id: "i", src: "work", input: { apiKey: "k" }, onDone: "end", onError: { target: "a" } }, always: [] },
        end: { type: "final", output: { password: "p" }, tags: ["done"] },
        h: { type: "history", history: "deep", target: "a" },
      },
    };
    const machine = read(definition)?.machine;
    const text = JSON.stringify(machine);
    for (const secret of ['"p"', '"t"', '"s"', '"k"']) expect(text).not.toContain(secret);
    expect(machine?.definition).toMatchObject({
      id: "m",
      initial: "a",
      entry: [{ type: "log", params: { token: "[redacted]", level: 1 } }, "note"],
      states: {
        a: { on: { GO: [{ target: "token", guard: { type: "isOk" }, actions: ["x"] }] }, after: { 10: ["token"] } },
        token: { invoke: [{ id: "i", src: "work", onDone: ["end"], onError: [{ target: "a" }] }] },
        end: { type: "final", tags: ["done"] },
        h: { type: "history", history: "deep" },
      },
    });
    expect(() => createMachine(machine?.definition as never)).not.toThrow();
  });

  test("is none, where there are no states and no transitions", () => {
    expect(read({ id: "promise" })).toBeUndefined();
    expect(read("text")).toBeUndefined();
    expect(read(null)).toBeUndefined();
    expect(() => readDefinition("{", "m", redact)).toThrow();
    expect(() => read({ states: Object.fromEntries(Array.from({ length: 6_000 }, (_, i) => [`s${i}`, {}])) })).toThrow(
      /too large/,
    );
  });

  test("that was cut off says so, and what is left is used", () => {
    const found = read({
      id: "m",
      initial: "a",
      states: { a: { states: "[Object]", on: { GO: "[Object]", STAY: "b" }, entry: "[Array]" }, b: "[Object]" },
    });
    expect(found?.cut).toBe(true);
    expect(found?.machine.definition).toMatchObject({ states: { a: { on: { STAY: ["b"] }, entry: [] }, b: {} } });
    expect(JSON.stringify(found?.machine)).not.toContain("[Object]");
    expect(read({ states: { a: {} } })?.cut).toBe(false);
  });

  test("has the same hash for the same machine, whoever sends it", () => {
    const one = { id: "m", initial: "a", states: { a: {} }, context: { n: 1 } };
    expect(read(one)?.machine.hash).toBe(read({ ...one, context: { n: 2 } })?.machine.hash);
    expect(read(one)?.machine.hash).not.toBe(read({ ...one, states: { a: {}, b: {} } })?.machine.hash);
  });
});

describe("a message", () => {
  test("of XState's own kinds that say nothing more is passed over", () => {
    expect(parseMessage('{"type":"@xstate.microstep","_transitions":[]}')).toBe("ignored");
    expect(parseMessage('{"type":"@statelyai.connected"}')).toBe("ignored");
  });

  test("has what it needs, or a reason why not", () => {
    expect(parseMessage('{"type":"@xstate.event","sessionId":"a","event":{"type":"E"},"sourceId":null}')).toMatchObject({
      ok: true,
    });
    expect(parseMessage('{"type":"@xstate.event","sessionId":"a","event":"E"}')).toMatchObject({
      ok: false,
      reason: expect.stringContaining("@xstate.event: 'event'") as unknown,
    });
    expect(parseMessage('{"type":"@xstate.other"}')).toEqual({ ok: false, reason: "of an unknown type (@xstate.other)" });
  });

  test("has a snapshot of which only what is one is taken", () => {
    expect(readSnapshot({ status: "done", value: { a: "b" }, context: 1, children: { c: {} }, more: 1 })).toEqual({
      status: "done",
      fields: { value: { a: "b" }, context: 1 },
      children: new Set(["c"]),
    });
    expect(readSnapshot({ status: "odd", value: 7, tags: [] })).toEqual({ status: "active", fields: {}, children: undefined });
    expect(readSnapshot("nothing")).toEqual({ status: "active", fields: {}, children: undefined });
  });

  test("has a time, by its own clock where that is one", () => {
    expect(readTime("1700000000000", 0)).toBe("2023-11-14T22:13:20.000Z");
    expect(readTime(1_700_000_000_000, 0)).toBe("2023-11-14T22:13:20.000Z");
    for (const odd of ["soon", "", "1e300", Number.NaN, Infinity, null, undefined])
      expect(readTime(odd, 5)).toBe("1970-01-01T00:00:00.005Z");
  });
});

test.each<[string, boolean]>([
  ["http://localhost:5173", true],
  ["https://localhost", true],
  ["http://127.0.0.1:8080", true],
  ["http://[::1]:3000", true],
  ["http://app.localhost:3000", true],
  ["http://localhost.example", false],
  ["http://evillocalhost", false],
  ["http://127.0.0.1.example", false],
  ["https://example.org", false],
  ["file://", false],
  ["null", false],
  ["", false],
])("the origin %j is of this machine: %s", (origin, local) => expect(isLocalOrigin(origin)).toBe(local));

test.each<[string, boolean]>([
  ["127.0.0.1", true],
  ["127.8.8.8", true],
  ["::1", true],
  ["::ffff:127.0.0.1", true],
  ["10.0.0.1", false],
  ["::ffff:10.0.0.1", false],
  ["128.127.0.1", false],
  ["", false],
])("the peer %j is this machine: %s", (peer, loopback) => expect(isLoopback(peer)).toBe(loopback));

describe("what is kept", () => {
  const source = { name: undefined, origin: undefined, peer: "loopback" };
  const registration = (sessionId: string, fields: object = {}) =>
    JSON.stringify({ type: "@xstate.actor", sessionId, name: sessionId, createdAt: "1", definition: '{"id":"x"}', ...fields });
  const snapshot = (sessionId: string, fields: object) =>
    JSON.stringify({
      type: "@xstate.snapshot",
      sessionId,
      createdAt: "2",
      event: { type: "E" },
      snapshot: { status: "active" },
      ...fields,
    });

  test("of actors that have ended goes before what lives, and parents stay with their children", () => {
    const programs = new Programs({ redact, limits: { actorsPerProgram: 3 } });
    const input = programs.connect(source);
    input.take(registration("root"));
    input.take(registration("done", { parentId: "root", snapshot: { status: "done" } }));
    input.take(registration("child", { parentId: "root" }));
    input.take(registration("next", { parentId: "root" }));
    expect(
      programs
        .list()[0]
        ?.actors()
        .map(({ id }) => id),
    ).toEqual(["root", "child", "next"]);
    input.take(registration("more", { parentId: "root" }));
    expect(
      programs
        .list()[0]
        ?.actors()
        .map(({ id }) => id),
    ).toEqual(["root", "next", "more"]);
    expect(programs.list()[0]?.view().dropped).toEqual({ actors: 2, frames: 2 });
  });

  test("is counted to the byte: what goes takes its bytes along", () => {
    const programs = new Programs({ redact, limits: { framesPerActor: 5, actorsPerProgram: 2, bytes: 1e9 } });
    const input = programs.connect(source);
    const machine = (id: string) => JSON.stringify({ id, initial: "a", states: { a: {} } });
    for (let round = 0; round < 50; round++) {
      input.take(registration(`a${round}`, { definition: machine(`m${round}`) }));
      for (let index = 0; index < 20; index++)
        input.take(snapshot(`a${round}`, { snapshot: { status: "active", value: "a", context: { round, index } } }));
    }
    const [program] = programs.list();
    const kept = program?.actors().flatMap(({ frames }) => frames) ?? [];
    expect(kept).toHaveLength(10);
    const texts = kept.reduce(
      (sum, one) => sum + 200 + one.type.length + (one.event?.length ?? 0) + (one.snapshot?.length ?? 0),
      0,
    );
    const machines = (program?.actors() ?? []).reduce(
      (sum, { machine: hash }) => sum + JSON.stringify(program?.machine(hash ?? "")).length * 2,
      0,
    );
    expect(program?.bytes).toBe(texts + machines);
  });

  test("of programs that have ended goes first when all of it is too much", () => {
    const programs = new Programs({ redact, limits: { bytes: 100_000 } });
    const ended = programs.connect(source);
    ended.take(snapshot("a", { snapshot: { status: "active", context: "x".repeat(30_000) } }));
    ended.end();
    const live = programs.connect({ ...source, name: "live" });
    for (let index = 0; index < 20; index++)
      live.take(snapshot("b", { event: { type: `E${index}` }, snapshot: { status: "active", context: "y".repeat(30_000) } }));
    expect(programs.bytes).toBeLessThanOrEqual(100_000);
    const all = programs.list();
    expect(all.map((program) => program.view().name)).toEqual(["live"]);
    expect(all[0]?.frames({ size: 10 }).items.at(-1)?.type).toBe("E19");
  });

  test("does not mix up parents that point at each other", () => {
    const programs = new Programs({ redact });
    const input = programs.connect(source);
    input.take(registration("a", { parentId: "b" }));
    input.take(registration("b", { parentId: "a" }));
    input.take(registration("a", { parentId: "a", createdAt: "2" }));
    const parents = programs
      .list()[0]
      ?.actors()
      .map(({ id, parent }) => [id, parent]);
    expect(parents).toEqual([
      ["a", "b"],
      ["b", undefined],
    ]);
  });

  test("can be forgotten, but not while its program is there", () => {
    const programs = new Programs({ redact });
    const changes: string[] = [];
    programs.onChange((id) => changes.push(id));
    const input = programs.connect(source);
    input.take(registration("a"));
    expect(programs.forget()).toBe(0);
    input.end();
    input.take(registration("b"));
    expect(programs.list()[0]?.actors()).toHaveLength(1);
    expect(programs.forget()).toBe(1);
    expect(programs.list()).toEqual([]);
    expect(new Set(changes).size).toBe(1);
  });

  test("of two that could be the same program is nothing mixed up", () => {
    const programs = new Programs({ redact });
    for (const name of ["one", "two"]) {
      const input = programs.connect(source);
      input.take(registration("x:0", { name }));
      input.end();
    }
    // An event of x:0 might be of either.
    programs.connect(source).take(snapshot("x:0", {}));
    expect(programs.list()).toHaveLength(3);
    // Its registration can only be of the one, and only from where that was.
    programs.connect({ ...source, peer: "10.0.0.1" }).take(registration("x:0", { name: "one" }));
    expect(programs.list()).toHaveLength(4);
    programs.connect(source).take(registration("x:0", { name: "one" }));
    expect(programs.list()).toHaveLength(4);
  });
});

describe("a run in Stately's format", () => {
  const machine = { hash: "h", name: "m", definition: { id: "m", initial: "a", states: { a: {}, b: { type: "final" } } } };
  const frame = (index: number, fields: Partial<RunFrame> = {}): RunFrame => ({
    index,
    at: "2026-01-31T12:00:00.000Z",
    type: `E${index}`,
    from: "engine",
    sent: [],
    fed: true,
    status: "RUNNING",
    value: "a",
    active: [],
    taken: [],
    actions: [],
    timers: [],
    steps: {},
    context: {},
    ...fields,
  });
  const record = (frames: readonly RunFrame[]): RunRecord => ({ id: "r", workflow: "w", version: "1", machine: "h", frames });

  test("is told once, whether what comes next is the whole record or only what is new", () => {
    const run = new StatelyRun("r");
    expect(run.told).toBeUndefined();
    expect(run.messages(record([]), machine)).toEqual([]);
    expect(run.messages(record([frame(0), frame(1)]), machine).map(({ type }) => type)).toEqual([
      "@xstate.actor",
      "@xstate.actor",
      "@xstate.event",
      "@xstate.snapshot",
      "@xstate.event",
      "@xstate.snapshot",
    ]);
    expect(run.told).toBe(1);
    expect(run.messages(record([frame(0), frame(1), frame(2)]), machine)).toHaveLength(2);
    expect(
      run.messages(record([frame(3, { from: "worker:w" })]), machine).map(({ type, sessionId }) => [type, sessionId]),
    ).toEqual([
      ["@xstate.actor", "run/r#worker:w"],
      ["@xstate.event", "run/r"],
      ["@xstate.snapshot", "run/r"],
    ]);
    expect(run.messages(record([frame(3)]), machine)).toEqual([]);
  });

  test("keeps an event's type, whatever its data says", () => {
    const messages = new StatelyRun("r").messages(
      record([frame(0, { data: { type: "other", n: 1 } }), frame(1, { data: "text" })]),
      machine,
    );
    const events = messages.flatMap((message) => (message.type === "@xstate.event" ? [message.event] : []));
    expect(events).toEqual([
      { type: "E0", n: 1 },
      { type: "E1", data: "text" },
    ]);
  });
});
