/** Definitions as foreign programs send them, cut off and odd: drawn as far as they go, with what is broken marked. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { and, not, or } from "xstate";
import { createChartModel, defaultCollapsed, toMermaid, toXStateJson, visibleChart } from "../../src/chart/index.ts";
import { duration, eventLabel, guardLabel, actionLabel } from "../../src/chart/labels.ts";
import { orderRun } from "./chart-machines.ts";
import { chartText } from "./chart-text.ts";

const text = (definition: unknown): string => chartText(createChartModel(definition));

describe("a foreign definition", () => {
  it("of what is no machine is one state", () => {
    expect(text({ id: "fetchUser" })).toBe("fetchUser\n");
    expect(createChartModel({ id: "fetchUser" }).isMachine).toBe(false);
    expect(createChartModel(orderRun).isMachine).toBe(true);
  });

  it("with parts that the sender cut off is drawn as far as it goes", () => {
    const definition = {
      id: "m",
      initial: "a",
      states: {
        a: { on: { GO: "b", WAIT: "[Object]" }, invoke: "[Object]", entry: ["[Object]"] },
        b: "[Object]",
        c: { initial: "x", states: "[Object]", on: "[Object]" },
      },
    };
    expect(text(definition)).toBe(
      [
        "m (compound)",
        "  *a entry/[Object] ! the sender left out what it invokes",
        "      - GO → m.b    m.a|GO|0",
        '      - WAIT ! the sender left this transition out: "[Object]"    m.a|WAIT|0',
        '  b ! the sender left this state out: "[Object]"',
        '  c ! the sender left out the states in here: "[Object]" ! the sender left out the transitions in \'on\': "[Object]"',
        "",
      ].join("\n"),
    );
  });

  it("with targets that lead nowhere keeps the others, and the numbers of its transitions", () => {
    const definition = {
      id: "m",
      initial: "a",
      states: {
        a: { on: { GO: [{ target: "nowhere", guard: "g" }, "b", { target: ["b", "#q"] }, ".deep"] } },
        b: { initial: "gone", states: { x: {}, y: { on: { UP: "#m.a", OUT: "m.a" } } } },
      },
    };
    expect(text(definition)).toBe(
      [
        "m (compound)",
        "  *a",
        '      - GO [g] ! there is no state "nowhere"    m.a|GO|0',
        "      - GO → m.b    m.a|GO|1",
        '      - GO → m.b ! there is no state "#q"    m.a|GO|2',
        '      - GO ! there is no state ".deep"    m.a|GO|3',
        '  b (compound) ! there is no initial state "gone"',
        "    *x",
        "    y",
        "        - UP → m.a back    m.b.y|UP|0",
        '        - OUT ! there is no state "m.a"    m.b.y|OUT|0',
        "",
      ].join("\n"),
    );
  });

  it("with two states of one id, or unknown types, is marked", () => {
    const definition = {
      id: "m",
      initial: "a",
      states: { a: { id: "same" }, b: { id: "same" }, c: { type: "weird" }, d: { type: "final", states: { e: {} } } },
    };
    expect(text(definition)).toBe(
      [
        "m (compound)",
        "  *a id same",
        '  b ! another state has the id "same", too',
        '  c ! unknown type "weird"',
        '  d (compound) ! of type "final", though it has states ! no initial state is given',
        "    *e",
        "",
      ].join("\n"),
    );
  });

  it("whatever it is, never throws", () => {
    const json = fc.letrec((tie) => ({
      target: fc.oneof(fc.constantFrom("a", "b", ".a", "#m", "#m.a", "", "[Object]", "a.b", "\\"), fc.string()),
      transition: fc.oneof(
        tie("target"),
        fc.jsonValue(),
        fc.record({ target: fc.oneof(tie("target"), fc.array(tie("target"))), guard: fc.jsonValue(), actions: fc.jsonValue() }),
      ),
      transitions: fc.oneof(tie("transition"), fc.array(tie("transition")), fc.jsonValue()),
      on: fc.oneof(
        fc.dictionary(fc.constantFrom("GO", "*", "", "a.*", "xstate.done.actor.x"), tie("transitions")),
        fc.jsonValue(),
      ),
      state: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue(),
        fc.record(
          {
            id: fc.oneof(fc.constantFrom("m", "x", "m.a"), fc.jsonValue()),
            type: fc.constantFrom("parallel", "final", "history", "compound", "atomic", "?", null),
            initial: fc.oneof(fc.constantFrom("a", "b", "#x"), fc.jsonValue()),
            history: fc.constantFrom(true, "deep", "shallow", "?"),
            on: tie("on"),
            after: tie("on"),
            always: tie("transitions"),
            onDone: tie("transitions"),
            invoke: fc.oneof(fc.record({ src: fc.jsonValue(), id: fc.jsonValue(), onDone: tie("transitions") }), fc.jsonValue()),
            entry: fc.jsonValue(),
            tags: fc.jsonValue(),
            target: tie("target"),
            states: fc.oneof(fc.dictionary(fc.constantFrom("a", "b", "c.d", "__proto__", ""), tie("state")), fc.jsonValue()),
          },
          { requiredKeys: [] },
        ),
      ),
    }));
    fc.assert(
      fc.property(json.state, (definition) => {
        const model = createChartModel(definition);
        expect(model.problems).toEqual([]);
        visibleChart(model, defaultCollapsed(model));
        chartText(model);
        expect(toMermaid(model)).toMatch(/^stateDiagram-v2\n/);
        expect(typeof toXStateJson(definition)).toBe("string");
      }),
      { numRuns: 500 },
    );
  });
});

describe("labels", () => {
  const place = { sourceId: "m.fetch.a", keys: ["a", "fetch"], invokes: [] };

  it("say what happens in words", () => {
    const label = (type: string): string => eventLabel(type, place).label;
    expect(label("xstate.after.30000.m.fetch.a")).toBe("after 30s");
    expect(label("xstate.after.backoff.m.fetch.a")).toBe("after backoff");
    expect(label("xstate.done.actor.fetch")).toBe("done: fetch");
    expect(label("xstate.error.actor.write")).toBe("error: write");
    expect(label("xstate.done.state.m.fetch.a")).toBe("done");
    expect(label("")).toBe("always");
    expect(label("*")).toBe("any event");
    expect(eventLabel("step.started.fetch", place)).toMatchObject({ label: "step.started.fetch", short: "step.started" });
  });

  it("give durations as people write them", () => {
    expect([0, 250, 1_500, 30_000, 60_000, 90_000, 3_600_000, 5_400_000, 86_400_000].map(duration)).toEqual([
      "0ms",
      "250ms",
      "1.5s",
      "30s",
      "1m",
      "1m 30s",
      "1h",
      "1h 30m",
      "1d",
    ]);
  });

  it("spell out guards that are made of others", () => {
    expect(guardLabel(and(["a", not("b"), or(["c", { type: "d" }])]))).toBe("a and not b and (c or d)");
    expect(guardLabel({ type: "xstate.and", params: { guards: ["a", { type: "not", guards: ["b"] }] } })).toBe("a and not b");
    expect(guardLabel({ type: "and" })).toBe("and");
  });

  it("leave out the machinery of timers, and not what people raise", () => {
    expect(actionLabel({ type: "xstate.raise", event: { type: "xstate.after.1.m" } })).toBeUndefined();
    expect(actionLabel({ type: "xstate.cancel" })).toBeUndefined();
    expect(actionLabel({ type: "xstate.raise", event: { type: "GO" } })).toBe("raise GO");
    expect(actionLabel({ type: "xstate.assign" })).toBe("assign");
  });
});
