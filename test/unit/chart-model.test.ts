/** The chart model against texts that people have read (test/unit/golden), and against XState itself. */
import { describe, expect, it } from "vitest";
import { createActor, createMachine, type AnyStateMachine } from "xstate";
import { cancelDemo } from "../../examples/cancel-demo.ts";
import { chatAnswer } from "../../examples/chat-answer.ts";
import { concurrencyDemo } from "../../examples/concurrency-demo.ts";
import { documentIngestion } from "../../examples/document-ingestion.ts";
import { perUserDemo } from "../../examples/per-user-demo.ts";
import { groupMachine } from "../../machines/group/index.ts";
import { compileRunMachine } from "../../machines/run/compile.ts";
import { activeIds, createChartModel, defaultCollapsed, toMermaid, type ChartModel } from "../../src/chart/index.ts";
import { describeMachine } from "../../src/step/definition.ts";
import { transitionIds } from "../../src/step/record.ts";
import { internalsOf } from "../../src/workflow/define.ts";
import { Strategy } from "../../src/workflow/spec.ts";
import { deep, histories, large, orderRun, parallelRoot, selves, timers } from "./chart-machines.ts";
import { chartText, visibleText } from "./chart-text.ts";

const workflows = [cancelDemo, chatAnswer, concurrencyDemo, documentIngestion, perUserDemo];
const runs = workflows.map((workflow): [string, AnyStateMachine] => [
  `run ${workflow.name}`,
  compileRunMachine(internalsOf(workflow).spec),
]);
const groups = Object.values(Strategy).map((strategy): [string, AnyStateMachine] => [
  `group ${strategy.toLowerCase().replaceAll("_", "-")}`,
  groupMachine(strategy) as unknown as AnyStateMachine,
]);
const difficult = Object.entries({ orderRun, deep: deep(5), parallelRoot, histories, selves, timers }).map(
  ([name, config]): [string, AnyStateMachine] => [name, createMachine(config as never) as AnyStateMachine],
);
const sizes: [string, AnyStateMachine][] = [
  ["large 60", createMachine(large(4, 14) as never) as AnyStateMachine],
  ["large 200", createMachine(large(10, 19) as never) as AnyStateMachine],
];

const modelOf = (machine: AnyStateMachine): ChartModel => createChartModel(describeMachine(machine).definition);

describe("the chart model", () => {
  it.each([...runs, ...groups, ...difficult])("of %s is as its text says", async (name, machine) => {
    await expect(chartText(modelOf(machine))).toMatchFileSnapshot(`golden/chart ${name}.txt`);
  });

  it.each([...runs, ...groups, ...difficult, ...sizes])(
    "of %s has the ids, sources and targets of XState's own",
    (_, machine) => {
      const model = modelOf(machine);
      const nodes = (machine as unknown as { idMap: Map<string, unknown> }).idMap;
      expect([...model.nodes.keys()].toSorted()).toEqual([...nodes.keys()].toSorted());
      const ids = transitionIds(machine);
      expect([...model.edges.keys()].toSorted()).toEqual([...ids.values()].toSorted());
      for (const [transition, id] of ids as ReadonlyMap<any, string>) {
        const edge = model.edges.get(id)!;
        expect(edge).toMatchObject({ source: transition.source.id, eventType: transition.eventType });
        expect(edge.targets).toEqual((transition.target ?? []).map((node: { id: string }) => node.id));
      }
    },
  );

  it("names the transitions that a live actor takes, and its active states", () => {
    const machine = createMachine(parallelRoot as never);
    const model = modelOf(machine);
    const taken: string[] = [];
    const ids = transitionIds(machine);
    const actor = createActor(machine, {
      inspect: (event) => {
        if (event.type !== "@xstate.microstep") return;
        for (const transition of event._transitions) taken.push(ids.get(transition) ?? "unknown");
      },
    });
    actor.start();
    taken.length = 0;
    for (const type of ["PLAY", "MUTE", "STOP"]) actor.send({ type });
    expect(taken).toEqual(["player.video.stopped|PLAY|0", "player.sound.on|MUTE|0", "player|STOP|0"]);
    for (const id of taken) expect(model.edges.has(id)).toBe(true);
    const active = activeIds(model, actor.getSnapshot().value);
    expect(active).toEqual(["player", "player.video", "player.video.stopped", "player.sound", "player.sound.off"]);
  });

  it("orders siblings from the initial state on, and marks what leads back", () => {
    const model = modelOf(
      createMachine({
        id: "m",
        initial: "c",
        states: { a: { on: { NEXT: "b" } }, b: { on: { RETRY: "c" } }, c: { on: { NEXT: "a" } }, lost: {} },
      }),
    );
    expect(model.nodes.get("m")!.children).toEqual(["m.c", "m.a", "m.b", "m.lost"]);
    expect([...model.edges.values()].filter(({ back }) => back).map(({ id }) => id)).toEqual(["m.b|RETRY|0"]);
  });
});

describe("what is visible at first", () => {
  it.each([...runs, ...sizes])("of %s is as its text says", async (name, machine) => {
    const model = modelOf(machine);
    await expect(visibleText(model, defaultCollapsed(model))).toMatchFileSnapshot(`golden/visible ${name}.txt`);
  });

  it("is at most 60 states, unless there is nothing to collapse", () => {
    for (const [groupCount, size] of [
      [10, 19],
      [3, 40],
      [100, 2],
      [59, 59],
    ] as const) {
      const model = createChartModel(large(groupCount, size));
      const shown = visibleText(model, defaultCollapsed(model)).split("\n\n")[0]!.split("\n").length;
      expect(shown).toBeLessThanOrEqual(Math.max(60, groupCount + 1));
    }
  });
});

describe("a chart as Mermaid", () => {
  it.each([...runs.slice(1, 2), ...groups.slice(0, 1), ...difficult])("of %s is as its text says", async (name, machine) => {
    await expect(toMermaid(modelOf(machine))).toMatchFileSnapshot(`golden/mermaid ${name}.txt`);
  });

  it("lets no name end a statement or begin another", () => {
    const text = toMermaid({
      id: "x",
      initial: "a",
      states: { a: { on: { 'e"; note right of s0 : "\n--': { target: "b", actions: "x:y" } } }, b: { tags: ["#"] } },
    });
    expect(text.split("\n").slice(1, -1)).toEqual([
      '  state "x" as s0 {',
      '    state "a" as s1',
      '    state "b" as s2',
      "    [*] --> s1",
      "    s1 --> s2 : e#34;#59; note right of s0 #58; #34; -- / x#58;y",
      "  }",
    ]);
  });
});
