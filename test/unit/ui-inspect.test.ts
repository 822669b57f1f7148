/** What the page of foreign programs makes of what it is told: transitions, the past, trees, sequences. No browser. */
import { describe, expect, test } from "vitest";
import { createChartModel } from "../../src/chart/index.ts";
import type { InspectActorView, InspectFrame } from "../../src/protocol/inspect.ts";
import { actorName, actorNames, actorRows, valueText } from "../../src/ui/inspect/model/actor-tree.ts";
import { eventText } from "../../src/ui/inspect/model/event-text.ts";
import { moved, NO_HISTORY, positionOf, stateAt, withFrames } from "../../src/ui/inspect/model/history.ts";
import { sequenceOf } from "../../src/ui/inspect/model/sequence.ts";
import { takenOf } from "../../src/ui/inspect/model/taken.ts";

const model = createChartModel({
  id: "m",
  initial: "a",
  states: {
    a: {
      on: {
        GO: "b",
        PICK: [
          { guard: "left", target: "b" },
          { guard: "right", target: "c" },
        ],
        TWICE: [
          { guard: "left", target: "b", actions: "one" },
          { guard: "right", target: "b", actions: "two" },
        ],
        ELSE: [{ guard: "left", target: "b" }, { target: "c" }],
        NOTE: { actions: "note" },
        MAYBE: { guard: "left", actions: "note" },
        NEVER: {},
        "order.*": "b",
        "order.placed": "c",
        MOVED: "transient",
      },
      after: { 100: "b" },
    },
    b: { on: { RESET: { target: "b", reenter: true } } },
    c: {},
    transient: { always: "c" },
    both: {
      type: "parallel",
      states: {
        x: { initial: "one", states: { one: { on: { NEXT: "two" } }, two: {} } },
        y: { initial: "one", states: { one: { on: { NEXT: "two" } }, two: {} } },
      },
    },
    outer: { initial: "in", states: { in: { on: { UP: { guard: "left", target: "#m.b" } } } }, on: { UP: "c" } },
  },
  on: { CANCEL: ".c", "*": { actions: "log" } },
});

describe("the transition that was taken", () => {
  test.each<[string, unknown, unknown, readonly string[]]>([
    ["GO", "a", "b", ["m.a|GO|0"]],
    ["PICK", "a", "c", ["m.a|PICK|1"]],
    ["ELSE", "a", "c", ["m.a|ELSE|1"]],
    ["NOTE", "a", "a", ["m.a|NOTE|0"]],
    ["CANCEL", "a", "c", ["m|CANCEL|0"]],
    ["order.placed", "a", "c", ["m.a|order.placed|0"]],
    ["order.sent", "a", "b", ["m.a|order.*|0"]],
    ["xstate.after.100.m.a", "a", "b", ["m.a|xstate.after.100.m.a|0"]],
    ["RESET", "b", "b", ["m.b|RESET|0"]],
    // It can only have been that one, wherever `always` led afterwards.
    ["MOVED", "a", "c", ["m.a|MOVED|0"]],
    ["NEXT", { both: { x: "one", y: "one" } }, { both: { x: "two", y: "two" } }, ["m.both.x.one|NEXT|0", "m.both.y.one|NEXT|0"]],
    ["NEXT", { both: { x: "two", y: "one" } }, { both: { x: "two", y: "two" } }, ["m|*|0", "m.both.y.one|NEXT|0"]],
    ["UP", { outer: "in" }, "b", ["m.outer.in|UP|0"]],
    ["UP", { outer: "in" }, "c", ["m.outer|UP|0"]],
    ["UNKNOWN", "a", "a", ["m|*|0"]],
  ])("is known for %s from %j to %j", (event, before, after, taken) => {
    expect(takenOf(model, event, before, after)).toEqual(taken);
  });

  test.each<[string, string, unknown, unknown]>([
    ["two guards lead to the same state", "TWICE", "a", "b"],
    ["a guard may have said no, and nothing shows it", "MAYBE", "a", "a"],
    ["the event is forbidden", "NEVER", "a", "a"],
    ["it is the beginning", "xstate.init", "a", "a"],
    ["what was before is not known", "GO", undefined, "b"],
  ])("is not told where %s", (_why, event, before, after) => {
    expect(takenOf(model, event, before, after)).toEqual([]);
  });
});

const frame = (seq: number, fields: Partial<InspectFrame> = {}): InspectFrame => ({
  seq,
  revision: seq,
  actor: "x:0",
  at: "2026-01-31T12:00:00.000Z",
  kind: "event",
  type: `E${seq}`,
  ...fields,
});

describe("the past of a program", () => {
  const history = withFrames(NO_HISTORY, [
    frame(1, { kind: "registered", type: "" }),
    frame(2, { type: "xstate.init", snapshot: { status: "active", value: "a" } }),
    frame(4, { actor: "x:1", snapshot: { status: "active", value: "other" } }),
    frame(3, { snapshot: { status: "active", value: "b" } }),
    frame(6, { snapshot: { status: "done", value: "c" } }),
  ]);

  test("stands in order, without registrations that say nothing any more", () => {
    expect(history.frames.map(({ seq }) => seq)).toEqual([2, 3, 4, 6]);
  });

  test("tells what each actor was like at any moment", () => {
    expect(stateAt(history, "x:0", 5)?.snapshot.value).toBe("b");
    expect(stateAt(history, "x:0", 5)?.before?.value).toBe("a");
    expect(stateAt(history, "x:0", "live")?.snapshot.value).toBe("c");
    expect(stateAt(history, "x:1", 3)).toBeUndefined();
    expect(stateAt(history, "none", "live")).toBeUndefined();
  });

  test("is walked step by step, from either end, and never out of it", () => {
    expect(positionOf(history, "live")).toBe(3);
    expect(positionOf(history, 5)).toBe(2);
    expect(positionOf(history, 1)).toBe(0);
    expect(moved(history, "live", -1)).toBe(4);
    expect(moved(history, 2, -1)).toBe(2);
    expect(moved(history, 6, 1)).toBe("live");
    expect(positionOf(NO_HISTORY, "live")).toBe(-1);
    expect(positionOf(NO_HISTORY, 3)).toBe(-1);
    expect(moved(NO_HISTORY, "live", -1)).toBe("live");
  });

  test("takes frames that come again as completed, and lets the oldest go", () => {
    const completed = withFrames(history, [frame(4, { actor: "x:1", snapshot: { status: "done" } }), frame(7)], 3);
    expect(completed.frames.map(({ seq }) => seq)).toEqual([4, 6, 7]);
    expect(stateAt(completed, "x:1", "live")?.snapshot.status).toBe("done");
    expect(withFrames(history, [])).toBe(history);
  });
});

const actor = (id: string, fields: Partial<InspectActorView> = {}): InspectActorView => ({
  id,
  name: id,
  status: "active",
  registered: true,
  startedAt: "",
  frames: 0,
  cut: 0,
  lastSeq: 0,
  cutDefinition: false,
  ...fields,
});

describe("actors", () => {
  test("stand below whoever started them, and each stands once", () => {
    const rows = actorRows([
      actor("c", { parent: "b" }),
      actor("a"),
      actor("b", { parent: "a" }),
      actor("lost", { parent: "gone" }),
      actor("self", { parent: "self" }),
      actor("p", { parent: "q" }),
      actor("q", { parent: "p" }),
    ]);
    expect(rows.map(({ actor: { id }, depth }) => `${"-".repeat(depth)}${id}`)).toEqual([
      "a",
      "-b",
      "--c",
      "lost",
      "self",
      "p",
      "-q",
    ]);
  });

  test("have names that tell them apart", () => {
    expect(actorName(actor("x:1", { name: "0.shop.busy.paying" }))).toBe("invoked in busy › paying");
    expect(actorName(actor("x:1", { name: "" }))).toBe("x:1");
    const names = actorNames([
      actor("x:1", { name: "charge" }),
      actor("x:2", { name: "charge" }),
      actor("x:3", { name: "mail" }),
    ]);
    expect([...names.values()]).toEqual(["charge", "charge 2", "mail"]);
  });

  test("have states that are read in one line", () => {
    expect(valueText("a")).toBe("a");
    expect(valueText({ a: { b: "c" } })).toBe("a › b › c");
    expect(valueText({ p: { x: "one", y: {} } })).toBe("p › x › one, y");
    expect(valueText(undefined)).toBe("");
    expect(valueText(null)).toBe("");
  });
});

test.each([
  ["GO", "GO"],
  ["", "registered"],
  ["xstate.init", "starts"],
  ["xstate.done.actor.0.shop.busy", "done: busy"],
  ["xstate.done.state.shop.busy", "done: busy"],
  ["xstate.error.actor.charge", "error: charge"],
  ["xstate.after.250.shop.idle", "after 250 ms"],
  ["xstate.after.backoff.shop.idle", "after backoff"],
  ["xstate.snapshot.child", "snapshot: child"],
])("the event %j is called %j", (type, text) => expect(eventText(type).text).toBe(text));

test("a sequence has a lifeline for whoever says or hears something, and labels that fit between", () => {
  const sequence = sequenceOf(
    [actor("x:0", { name: "shop" }), actor("x:1", { name: "charge", parent: "x:0" }), actor("x:2", { name: "silent" })],
    [
      frame(1, { kind: "registered", type: "" }),
      frame(2, { type: "GO" }),
      frame(3, { actor: "x:1", source: "x:0", type: "xstate.init" }),
      frame(4, { actor: "x:1", source: "x:1", type: "xstate.promise.resolve" }),
      frame(5, { source: "gone", type: "an.event.with.a.rather.long.name" }),
    ],
  );
  expect(sequence.lifelines.map(({ label }) => label)).toEqual(["outside", "shop", "charge", "gone"]);
  expect(sequence.messages.map(({ from, to }) => [from, to])).toEqual([
    [0, 1],
    [1, 2],
    [2, 2],
    [3, 1],
  ]);
  const xs = sequence.lifelines.map(({ x }) => x);
  expect(xs).toEqual([...xs].sort((a, b) => a - b));
  expect(sequence.width).toBeGreaterThan(xs.at(-1) ?? 0);
  expect(sequenceOf([], []).messages).toEqual([]);
});
