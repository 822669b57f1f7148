/**
 * Steps with what is to be seen of them. A contract with XState's internals: a live actor of XState tells its own inspector the
 * same microsteps, and the names of what was taken are written out here, so that another release cannot change them unseen.
 */
import { assign, createActor, createMachine, fromTransition, raise, type AnyMachineSnapshot, type AnyStateMachine } from "xstate";
import { describe, expect, it } from "vitest";
import { compileRunMachine } from "../../machines/run/compile.ts";
import { createRecorder, transitionIds } from "../../src/step/record.ts";
import type { StepSpec } from "../../src/workflow/spec.ts";
import { alphabet, step, workflow } from "../model/run-explorer.ts";

interface Microstep {
  readonly type: string;
  readonly snapshot: AnyMachineSnapshot;
  readonly _transitions: readonly object[];
}

/** What a live actor's inspector sees of each event: the ids of the transitions that it was told of, and where it ended. */
function observe(machine: AnyStateMachine): (event: { type: string }) => { taken: string[]; snapshot: AnyMachineSnapshot } {
  const ids = transitionIds(machine);
  const seen: string[] = [];
  const actor = createActor(machine, {
    input: { runId: "r" },
    clock: { setTimeout: () => 0, clearTimeout: () => undefined },
    inspect: (event) => {
      if (event.type !== "@xstate.microstep") return;
      for (const transition of (event as unknown as Microstep)._transitions) seen.push(ids.get(transition) ?? "(initial)");
    },
  });
  actor.start();
  return (event) => {
    seen.length = 0;
    actor.send(event);
    return { taken: [...seen], snapshot: actor.getSnapshot() as AnyMachineSnapshot };
  };
}

const TWO: readonly StepSpec[] = [step("a", { retries: 1, timeoutMs: 1_000 }), step("b", { after: ["a"] })];

/** A walk that is the same every time. */
function* walk(length: number, choices: number): Generator<number> {
  let state = 12_345;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    yield (state >> 8) % choices;
  }
}

describe("A recorded step", () => {
  it("takes the transitions that XState tells its inspector of, on a long walk through a run machine", () => {
    const spec = workflow([...TWO, step("c", { after: ["a"], retries: 2 })]);
    const events = alphabet(spec).filter(({ type }) => type !== "run.failed");
    let compared = 0;
    for (let round = 0; round < 40; round++) {
      const real = compileRunMachine(spec).provide({ actors: { step: fromTransition((state) => state, undefined) } } as never);
      const live = observe(real);
      const recorder = createRecorder(compileRunMachine(spec));
      let { snapshot } = recorder.initialWith({ runId: "r" });
      for (const choice of walk(30 + round, events.length)) {
        const event = compared % 7 === 0 ? { type: "run.admitted" } : events[(choice + round) % events.length]!;
        const recorded = recorder.step(snapshot, event);
        const expected = snapshot.status === "active" ? live(event) : { taken: [], snapshot };
        expect(recorded.taken, event.type).toEqual(expected.taken);
        expect(recorded.snapshot.value).toEqual(expected.snapshot.value);
        expect(recorder.active(recorded.snapshot).length).toBe(recorded.snapshot["_nodes"].length);
        ({ snapshot } = recorded);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(1_000);
  });

  it("names states and transitions as charts do", () => {
    const recorder = createRecorder(compileRunMachine(workflow(TWO)));
    const initial = recorder.initialWith({ runId: "r" });
    expect(initial.taken).toEqual([]);
    expect(recorder.active(initial.snapshot)).toEqual(["run", "run.waiting"]);

    const path: [object, readonly string[]][] = [
      [{ type: "run.admitted" }, ["run.waiting|run.admitted|0"]],
      [{ type: "step.started.a" }, ["run.running.a.attempt.ready|step.started.a|0"]],
      [
        { type: "xstate.error.actor.a", error: { name: "Error", message: "no" } },
        ["run.running.a.attempt|xstate.error.actor.a|0", "run.running.a.deciding||0"],
      ],
      [
        { type: "xstate.after.backoff.a.run.running.a.backoff" },
        ["run.running.a.backoff|xstate.after.backoff.a.run.running.a.backoff|0"],
      ],
      [{ type: "step.started.b" }, []],
      [
        { type: "xstate.done.actor.a", output: 1 },
        ["run.running.a.attempt|xstate.done.actor.a|0", "run.running.b.blocked|parent.succeeded.b|0"],
      ],
      [
        { type: "xstate.done.actor.b", output: 2 },
        ["run.running.b.attempt|xstate.done.actor.b|0", "run.running|xstate.done.state.run.running|2"],
      ],
    ];
    let { snapshot } = initial;
    for (const [event, taken] of path) {
      const next = recorder.step(snapshot, event as never);
      expect(next.taken).toEqual(taken);
      ({ snapshot } = next);
    }
    expect(recorder.active(snapshot)).toEqual(["run", "run.succeeded"]);
    expect(snapshot.status).toBe("done");
  });

  it("tells which of several transitions a timer's event would take now", () => {
    const machine = createMachine(
      {
        id: "m",
        context: { late: false },
        initial: "a",
        states: {
          a: {
            after: { 100: [{ guard: "isLate", target: "c" }, { target: "b" }] },
            on: { delay: { actions: assign({ late: true }) } },
          },
          b: {},
          c: {},
        },
      },
      { guards: { isLate: ({ context }) => context.late } },
    );
    const recorder = createRecorder(machine);
    const { snapshot, actions } = recorder.initialWith({});
    const [timer] = actions;
    expect(timer).toMatchObject({ type: "timer.set", params: { id: "xstate.after.100.m.a", delayMs: 100 } });
    const { event } = timer!.params as { event: { type: string } };
    expect(recorder.transitionFor(snapshot, event)).toBe("m.a|xstate.after.100.m.a|1");
    const delayed = recorder.step(snapshot, { type: "delay" }).snapshot;
    expect(recorder.transitionFor(delayed, event)).toBe("m.a|xstate.after.100.m.a|0");
    expect(recorder.transitionFor(delayed, { type: "unheard of" })).toBeUndefined();
  });

  it("leaves out what was selected and then gave way to an inner transition", () => {
    const region = (target: string) => ({
      initial: "one",
      states: { one: { on: { go: target } }, two: {} },
    });
    const machine = createMachine({
      id: "m",
      initial: "both",
      states: { both: { type: "parallel", states: { x: region("#m.over"), y: region("two") } }, over: {} },
    });
    const recorder = createRecorder(machine);
    const step = recorder.step(recorder.initialWith({}).snapshot, { type: "go" });
    expect(step.snapshot.value).toBe("over");
    expect(step.taken).toEqual(["m.both.x.one|go|0"]);
  });

  it("follows raised events and eventless transitions in their order", () => {
    const machine = createMachine({
      id: "m",
      initial: "a",
      states: {
        a: { on: { go: { target: "b", actions: raise({ type: "on" }) } } },
        b: { always: { target: "c" } },
        c: { on: { "*": "d" } },
        d: {},
      },
    });
    const recorder = createRecorder(machine);
    expect(recorder.step(recorder.initialWith({}).snapshot, { type: "go" }).taken).toEqual(["m.a|go|0", "m.b||0", "m.c|*|0"]);
  });

  it("is an error without transitions where the machine breaks", () => {
    const machine = createMachine({
      id: "m",
      initial: "a",
      states: {
        a: {
          on: {
            go: {
              target: "b",
              actions: assign(() => {
                throw new Error("broken");
              }),
            },
          },
        },
        b: {},
      },
    });
    const recorder = createRecorder(machine);
    const step = recorder.step(recorder.initialWith({}).snapshot, { type: "go" });
    expect(step.error).toMatchObject({ message: "broken" });
    expect(step.taken).toEqual([]);
    expect(recorder.active(step.snapshot)).toEqual(["m", "m.a"]);
  });
});
