/** Machines as definitions: whoever builds them from the JSON gets the same states and transitions as the real ones have. */
import { createMachine, and, not, raise, type AnyStateMachine } from "xstate";
import { describe, expect, it } from "vitest";
import { cancelDemo } from "../../examples/cancel-demo.ts";
import { chatAnswer } from "../../examples/chat-answer.ts";
import { concurrencyDemo } from "../../examples/concurrency-demo.ts";
import { documentIngestion } from "../../examples/document-ingestion.ts";
import { perUserDemo } from "../../examples/per-user-demo.ts";
import { groupMachine } from "../../machines/group/index.ts";
import { compileRunMachine } from "../../machines/run/compile.ts";
import { describeMachine } from "../../src/step/definition.ts";
import { transitionIds } from "../../src/step/record.ts";
import { Strategy, type WorkflowSpec } from "../../src/workflow/spec.ts";
import { step, workflow } from "../model/run-explorer.ts";

const nameOf = (implementation: unknown): unknown =>
  typeof implementation === "string" ? implementation : (implementation as { type?: unknown }).type;

/** All that a chart shows of a machine, in its order. */
function chartOf(machine: AnyStateMachine): unknown {
  const ids = transitionIds(machine);
  const nodes = [...(machine as unknown as { idMap: Map<string, any> }).idMap.values()].toSorted((a, b) => a.order - b.order);
  return nodes.map((node) => ({
    id: node.id,
    type: node.type,
    initial: node.initial?.target?.map((target: { id: string }) => target.id),
    description: node.description,
    entry: node.entry.map(nameOf),
    exit: node.exit.map(nameOf),
    invoke: node.invoke.map(({ id, src }: { id: string; src: unknown }) => [id, src]),
    transitions: [...[...node.transitions.values()].flat(), ...(node.always ?? [])].map((transition: any) => ({
      id: ids.get(transition),
      type: transition.eventType,
      to: transition.target?.map((target: { id: string }) => target.id),
      guard: transition.guard === undefined ? undefined : nameOf(transition.guard),
      actions: transition.actions.map(nameOf),
      description: transition.description,
      reenter: transition.reenter,
    })),
  }));
}

/** As the browser gets it. */
const rebuilt = (machine: AnyStateMachine): AnyStateMachine =>
  createMachine(JSON.parse(JSON.stringify(describeMachine(machine).definition)));

describe("The definition of a machine", () => {
  const examples = { cancelDemo, chatAnswer, concurrencyDemo, documentIngestion, perUserDemo };

  it.each(Object.entries(examples))("gives the chart of the example %s", (_, { spec }) => {
    const machine = compileRunMachine(spec);
    expect(chartOf(rebuilt(machine))).toEqual(chartOf(machine));
  });

  it.each(Object.values(Strategy))("gives the chart of groups with %s", (strategy) => {
    const machine = groupMachine(strategy) as unknown as AnyStateMachine;
    expect(chartOf(rebuilt(machine))).toEqual(chartOf(machine));
  });

  it("keeps steps whose names mean something in a machine's configuration apart from that", () => {
    const names = ["states", "on", "invoke", "context", "input", "output", "params", "always", "entry", "types"];
    const machine = compileRunMachine(
      workflow(names.map((name, index) => step(name, { retries: 1, timeoutMs: 50, after: names.slice(0, index) }))),
    );
    const chart = chartOf(rebuilt(machine)) as readonly { readonly id: string }[];
    expect(chart).toEqual(chartOf(machine));
    for (const name of names) expect(chart.map(({ id }) => id)).toContain(`run.running.${name}.attempt.ready`);
  });

  it("names numeric and named delays as the machine does", () => {
    const machine = compileRunMachine(workflow([step("a", { retries: 1, scheduleTimeoutMs: 1_000, timeoutMs: 2_000 })]));
    const types = [...transitionIds(rebuilt(machine)).values()].filter((id) => id.includes("xstate.after."));
    expect(types).toEqual(
      expect.arrayContaining([
        "run.running.a.attempt.ready|xstate.after.1000.run.running.a.attempt.ready|0",
        "run.running.a.attempt.executing|xstate.after.2000.run.running.a.attempt.executing|0",
        "run.running.a.backoff|xstate.after.backoff.a.run.running.a.backoff|0",
      ]),
    );
  });

  it("has params as they are, and no function and nothing computed", () => {
    const { definition } = describeMachine(compileRunMachine(workflow([step("a", { retries: 2 })])));
    expect(JSON.parse(JSON.stringify(definition))).toEqual(definition);
    expect(JSON.stringify(definition)).toContain('"guard":{"type":"mayRetry","params":{"step":"a","retries":2}}');
    const group = describeMachine(groupMachine("CANCEL_IN_PROGRESS")).definition;
    expect(JSON.parse(JSON.stringify(group))).toEqual(group);
    expect(JSON.stringify(group)).toContain('"actions":[{"type":"admit"},"activate"]');
    expect(JSON.stringify(group)).toContain('"description":"There is room"');
  });

  it("names what is written inline, and how guards are combined", () => {
    const isLate = (): boolean => true;
    const machine = createMachine({
      initial: "a",
      states: {
        a: {
          entry: [raise({ type: "go" }, { delay: 10, id: "soon" }), function shout() {}],
          on: { go: { target: "b", guard: and(["isEarly", not(isLate)]) } },
        },
        b: {},
      },
    });
    const { a } = describeMachine(machine).definition["states"] as { a: unknown };
    expect(a).toEqual({
      entry: [{ type: "xstate.raise", params: { event: { type: "go" }, delay: 10, id: "soon" } }, { type: "shout" }],
      on: {
        go: {
          target: "b",
          guard: { type: "and", params: { guards: ["isEarly", { type: "not", params: { guards: [{ type: "isLate" }] } }] } },
        },
      },
    });
  });

  it("has the same hash for machines that look the same, and for no others", () => {
    const hash = (spec: WorkflowSpec): string => describeMachine(compileRunMachine(spec)).hash;
    const one = workflow([step("a"), step("b", { after: ["a"] })]);
    expect(hash({ ...one, version: "2", limits: [] })).toBe(hash(one));
    expect(hash(workflow([step("a"), step("b")]))).not.toBe(hash(one));
    expect(new Set(Object.values(Strategy).map((strategy) => describeMachine(groupMachine(strategy)).hash)).size).toBe(5);
  });
});
