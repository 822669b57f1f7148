/** The stepper: the same as XState's `transition()`, with actions as data; and the traps that it must not fall into. */
import { describe, expect, it, vi } from "vitest";
import {
  and,
  assign,
  cancel,
  createActor,
  createMachine,
  emit,
  enqueueActions,
  fromPromise,
  fromTransition,
  initialTransition,
  log,
  not,
  raise,
  sendTo,
  setup,
  spawnChild,
  stateIn,
  stopChild,
  transition,
} from "xstate";
import type { AnyMachineSnapshot, AnyStateMachine } from "xstate";
import { compileRunMachine } from "../../machines/run/compile.ts";
import { canonical, createStepper } from "../../src/step/stepper.ts";
import type { StepAction } from "../../src/step/stepper.ts";
import { asData, step, workflow } from "../model/run-explorer.ts";

const events = (...types: string[]): { type: string }[] => types.map((type) => ({ type }));

/** All that can be seen of a step, as text: quicker to compare a hundred thousand times than objects. */
function visible(snapshot: AnyMachineSnapshot, actions: readonly StepAction[]): string {
  return [canonical(snapshot), JSON.stringify(actions), Object.keys(snapshot.children), [...snapshot.tags]].join("\n");
}

/** All sequences of these events up to a length, by both ways; returns how many steps were compared. */
function compare(machine: AnyStateMachine, types: readonly string[], depth: number, input?: unknown): number {
  const stepper = createStepper(machine);
  const [stock, stockActions] = initialTransition(machine, input as never);
  const first = stepper.initial(input);
  let steps = 0;

  function walk(ours: AnyMachineSnapshot, theirs: AnyMachineSnapshot, path: string[]): void {
    if (path.length === depth) return;
    for (const type of types) {
      const event = { type, output: path.length, error: "no" };
      const at = [...path, type];
      const { snapshot, actions } = stepper.step(ours, event);
      const [next, nextActions] = theirs.status === "active" ? transition(machine, theirs, event) : [theirs, []];
      const [seen, expected] = [visible(snapshot, actions), visible(next, asData(nextActions))];
      if (seen !== expected) expect(seen, at.join()).toBe(expected);
      steps++;
      walk(snapshot, next, at);
    }
  }

  expect(visible(first.snapshot, first.actions)).toBe(visible(stock, asData(stockActions)));
  walk(first.snapshot, stock, []);
  return steps;
}

const work = fromTransition((state) => state, undefined);

/** A machine as users write them: nested, parallel, history, wildcards, guards of all kinds, invokes at several levels. */
const handWritten = setup({
  types: { context: {} as { n: number; log: string[] }, events: {} as { type: string; output?: unknown } },
  actors: { fetch: work, watch: work, render: work },
  actions: { unknown() {}, complain() {}, hurry() {}, flipped() {}, left(_, _params: { n: number }) {} },
  guards: { few: ({ context }) => context.n < 3, odd: ({ context }) => context.n % 2 === 1 },
  delays: { soon: ({ context }) => context.n * 10 },
}).createMachine({
  id: "order",
  context: ({ input }) => ({ n: (input as unknown as { n?: number } | undefined)?.n ?? 0, log: [] }),
  initial: "idle",
  invoke: { id: "watch", src: "watch" },
  on: { reset: ".idle", "note.*": { actions: assign(({ context, event }) => ({ log: [...context.log, event.type] })) } },
  states: {
    idle: { tags: ["calm"], on: { go: "both", hist: "both.hist" } },
    both: {
      type: "parallel",
      tags: ["busy"],
      on: { leave: "#order.ended", "*": { actions: "unknown" } },
      states: {
        hist: { type: "history", history: "deep" },
        left: {
          initial: "fetching",
          states: {
            fetching: {
              invoke: {
                id: "fetch",
                src: "fetch",
                input: ({ context }) => ({ n: context.n }),
                onDone: "shown",
                onError: { target: "waiting", actions: ["complain"] },
              },
              entry: assign({ n: ({ context }) => context.n + 1 }),
              exit: { type: "left", params: ({ context }) => ({ n: context.n }) },
              after: { 50: { target: "waiting", guard: and(["few", not("odd")]) }, soon: { actions: "hurry" } },
            },
            waiting: {
              on: { go: "fetching", "go.on": { target: "fetching", reenter: true } },
              always: { guard: not("few"), target: "shown" },
            },
            shown: { type: "final" },
          },
        },
        right: {
          initial: "dark",
          states: {
            dark: { on: { go: { target: "light", guard: "few" } } },
            light: {
              invoke: { id: "render", src: "render" },
              on: {
                go: { target: "done", guard: stateIn({ both: { left: "shown" } }) },
                flip: { actions: [raise({ type: "go.on" }), "flipped"] },
              },
            },
            done: { type: "final" },
          },
        },
      },
      onDone: "ended",
    },
    ended: { type: "final", output: ({ context }) => context.n },
  },
  output: ({ context }) => ({ n: context.n }),
});

describe("stepping is the same as transition()", () => {
  it("for a hand-written machine, over all sequences of its events", () => {
    const types = [
      "go",
      "go.on",
      "flip",
      "hist",
      "reset",
      "leave",
      "note.a",
      "what",
      "xstate.done.actor.fetch",
      "xstate.error.actor.fetch",
      "xstate.after.50.order.both.left.fetching",
    ];
    expect(compare(handWritten, types, 4, { n: 1 })).toBeGreaterThan(10_000);
  }, 60_000);

  it("for errors of actors that nothing handles: the machine ends in error, its actors stopped", () => {
    const { snapshot } = createStepper(handWritten).initial();
    const {
      snapshot: failed,
      actions,
      error,
    } = createStepper(handWritten).step(snapshot, { type: "xstate.error.actor.watch", error: "boom" });
    expect([failed.status, failed.error, error]).toEqual(["error", "boom", "boom"]);
    expect(actions).toEqual([{ type: "actor.stop", params: { id: "watch" } }]);
    compare(handWritten, ["go", "xstate.error.actor.watch", "xstate.error.actor.render"], 4);
  });

  it("for actions that enqueue, raise, emit, cancel and log", () => {
    const machine = createMachine({
      context: { n: 0 },
      on: {
        go: {
          actions: enqueueActions(({ enqueue, check }) => {
            enqueue.assign({ n: ({ context }: { context: { n: number } }) => context.n + 1 });
            if (check(({ context }) => context.n > 1)) enqueue({ type: "often", params: { yes: true } });
            enqueue.raise({ type: "more" }, { id: "later", delay: 10 });
            enqueue.raise({ type: "now" });
          }),
        },
        now: { actions: [assign({ n: 10 }), "seen"] },
        stop: { actions: cancel("later") },
      },
    });
    expect(compare(machine as never, ["go", "now", "stop", "other"], 5)).toBe(4 + 16 + 64 + 256 + 1024);
  });
});

describe("actions are data", () => {
  const only = (config: object): readonly StepAction[] =>
    createStepper(createMachine({ context: {}, ...config } as never)).initial().actions;

  it("for timers", () => {
    expect(only({ id: "m", initial: "a", states: { a: { after: { 5: "b" } }, b: {} } })).toEqual([
      { type: "timer.set", params: { id: "xstate.after.5.m.a", delayMs: 5, event: { type: "xstate.after.5.m.a" } } },
    ]);
    expect(only({ entry: [raise({ type: "x" }, { delay: 7 }), cancel("y")] })).toEqual([
      { type: "timer.set", params: { id: "x", delayMs: 7, event: { type: "x" } } },
      { type: "timer.cancel", params: { id: "y" } },
    ]);
  });

  it("for an event to itself, which comes back as a new one", () => {
    expect(only({ entry: sendTo(({ self }) => self, { type: "x" }) })).toEqual([
      { type: "timer.set", params: { id: "x", delayMs: 0, event: { type: "x" } } },
    ]);
  });

  it("for actors: invoked, spawned, sent to, stopped", () => {
    const machine = setup({ actors: { work } }).createMachine({
      initial: "a",
      states: {
        a: {
          invoke: { id: "w", src: "work", input: { n: 1 } },
          entry: spawnChild("work", { id: "s" }),
          on: { go: "b", hi: { actions: sendTo("w", { type: "hi" }) } },
        },
        b: { entry: stopChild("s") },
      },
    });
    const stepper = createStepper(machine);
    const first = stepper.initial();
    expect(first.actions).toEqual([
      { type: "actor.start", params: { id: "s", src: "work" } },
      { type: "actor.start", params: { id: "w", src: "work", input: { n: 1 } } },
    ]);
    expect(stepper.step(first.snapshot, { type: "hi" }).actions).toEqual([
      { type: "actor.send", params: { id: "w", event: { type: "hi" } } },
    ]);
    expect(stepper.step(first.snapshot, { type: "go" }).actions).toEqual([
      { type: "actor.stop", params: { id: "w" } },
      { type: "actor.stop", params: { id: "s" } },
    ]);
  });

  it("for custom actions, emitted events and logs", () => {
    expect(only({ entry: ["plain", { type: "told", params: { n: 1 } }, emit({ type: "e" }), log("text", "label")] })).toEqual([
      { type: "plain" },
      { type: "told", params: { n: 1 } },
      { type: "emit", params: { event: { type: "e" } } },
      { type: "log", params: { value: "text", label: "label" } },
    ]);
  });

  it("and nothing is carried out", () => {
    const effect = vi.fn();
    const promise = fromPromise(async () => effect());
    const machine = createMachine({
      entry: effect,
      initial: "a",
      states: { a: { invoke: { src: promise, id: "p" }, after: { 0: "b" } }, b: { entry: effect } },
    });
    const stepper = createStepper(machine);
    stepper.step(stepper.initial().snapshot, { type: "xstate.after.0.(machine).a" });
    expect(effect).not.toHaveBeenCalled();
  });

  it("for a machine whose actors have no logic here, without a word on the console", () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const stepper = createStepper(
      createMachine({ initial: "a", states: { a: { invoke: { id: "far", src: "elsewhere" }, on: { go: "b" } }, b: {} } }),
    );
    const first = stepper.initial();
    expect(first.actions).toEqual([{ type: "actor.start", params: { id: "far", src: "elsewhere" } }]);
    expect(stepper.step(first.snapshot, { type: "go" }).actions).toEqual([{ type: "actor.stop", params: { id: "far" } }]);
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });
});

describe("a broken machine", () => {
  const machine = setup({ actors: { work }, actions: { never() {}, before() {} } }).createMachine({
    context: ({ input }) => {
      if ((input as unknown) === "bad") throw new Error("bad input");
      return { n: 0 };
    },
    invoke: { id: "w", src: "work" },
    on: {
      guard: {
        guard: () => {
          throw new Error("in guard");
        },
        actions: "never",
      },
      assign: {
        actions: [
          "before",
          assign(() => {
            throw new Error("in assign");
          }),
        ],
      },
      fine: { actions: assign({ n: 1 }) },
    },
  });

  it.each([
    ["guard", /in guard/],
    ["assign", /in assign/],
  ])("gives the error of its %s as a value, and stops its actors", (type, message) => {
    const stepper = createStepper(machine);
    const { snapshot } = stepper.initial();
    const { snapshot: broken, error, actions } = stepper.step(snapshot, { type });
    expect((error as Error).message).toMatch(message);
    expect(broken).toMatchObject({ status: "error", error, value: {} });
    expect(actions).toEqual([{ type: "actor.stop", params: { id: "w" } }]);
    expect(stepper.step(broken, { type: "fine" })).toEqual({ snapshot: broken, actions: [] });
    expect(snapshot.status).toBe("active");
    expect(stepper.step(snapshot, { type: "fine" }).snapshot.context).toEqual({ n: 1 });
  });

  it("gives the error of its initial step as well", () => {
    const { snapshot, error } = createStepper(machine).initial("bad");
    expect([snapshot.status, (error as Error).message]).toEqual(["error", "bad input"]);
  });
});

describe("a finished machine", () => {
  it("refuses every event, also where its root would take it", () => {
    const stepper = createStepper(
      createMachine({ initial: "a", on: { again: ".a" }, states: { a: { on: { go: "b" } }, b: { type: "final" } } }),
    );
    const { snapshot } = stepper.step(stepper.initial().snapshot, { type: "go" });
    expect(snapshot.status).toBe("done");
    const after = stepper.step(snapshot, { type: "again" });
    expect(after.snapshot).toBe(snapshot);
    expect(after.actions).toEqual([]);
  });
});

describe("snapshots", () => {
  const spec = workflow([step("a", { retries: 1, timeoutMs: 1000 }), step("b", { after: ["a"] })]);

  it("are made per run from a cached initial one, and share nothing that changes", () => {
    const stepper = createStepper(compileRunMachine(spec));
    const [one, two] = [stepper.initialWith({ runId: "r1" }), stepper.initialWith({ runId: "r2" })];
    expect(canonical(one.snapshot)).toBe(canonical(stepper.initial({ runId: "r1" }).snapshot));
    stepper.step(one.snapshot, { type: "run.admitted" });
    expect(two.snapshot).toMatchObject({ value: "waiting", context: { runId: "r2", ending: null } });
  });

  it("are restored from value and context, and go on in the same way", () => {
    const stepper = createStepper(compileRunMachine(spec));
    let { snapshot } = stepper.initial({ runId: "r1" });
    for (const event of events(
      "run.admitted",
      "step.started.a",
      "xstate.error.actor.a",
      "xstate.after.backoff.a.run.running.a.backoff",
      "step.started.a",
      "xstate.done.actor.a",
      "step.started.b",
      "xstate.done.actor.b",
    )) {
      const { value, context, status, output } = JSON.parse(JSON.stringify(snapshot)) as AnyMachineSnapshot;
      const restored = stepper.restore(value, context, status === "active" ? undefined : { output });
      expect(canonical(restored)).toBe(canonical(snapshot));
      const [there, here] = [stepper.step(restored, event), stepper.step(snapshot, event)];
      expect(canonical(there.snapshot)).toBe(canonical(here.snapshot));
      expect(there.actions).toEqual(here.actions);
      snapshot = here.snapshot;
    }
    expect(snapshot.status).toBe("done");
    expect(canonical(stepper.restore("succeeded", snapshot.context, { output: snapshot.output }))).toBe(canonical(snapshot));
  });

  it("are canonical whatever the order of keys", () => {
    const machine = createMachine({ context: {} });
    const snapshot = createActor(machine).getSnapshot() as AnyMachineSnapshot;
    const other = (context: object): AnyMachineSnapshot => ({ ...snapshot, context });
    expect(canonical(other({ a: 1, b: { c: 2, d: [3, 4] } }))).toBe(canonical(other({ b: { d: [3, 4], c: 2 }, a: 1 })));
    expect(canonical(other({ a: [1, 2] }))).not.toBe(canonical(other({ a: [2, 1] })));
  });
});

describe("what is shared between runs", () => {
  it("leaves the machine that was given as it is", () => {
    const machine = compileRunMachine(workflow([step("a")]));
    const before = JSON.stringify(machine.definition);
    const stepper = createStepper(machine);
    stepper.step(stepper.initial().snapshot, { type: "run.admitted" });
    expect(JSON.stringify(machine.definition)).toBe(before);
    expect(stepper.machine).not.toBe(machine);
  });

  it("lets two runs have an actor of the same system id", () => {
    const machine = setup({ actors: { work } }).createMachine({
      invoke: { src: "work", systemId: "one" },
      on: { go: { actions: spawnChild("work", { id: "s", systemId: "two" }) } },
    });
    const stepper = createStepper(machine);
    for (const { snapshot } of [stepper.initial(), stepper.initial()]) {
      const { error, actions } = stepper.step(snapshot, { type: "go" });
      expect(error).toBeUndefined();
      expect(actions).toEqual([{ type: "actor.start", params: { id: "s", src: "work" } }]);
    }
  });

  it("keeps an assign that spawns in XState's hands", () => {
    const machine = setup({ actors: { work } }).createMachine({
      context: { child: null as unknown },
      on: { go: { actions: assign({ child: ({ spawn }) => spawn("work", { id: "c" }) }) } },
    });
    const stepper = createStepper(machine);
    const { snapshot, error } = stepper.step(stepper.initial().snapshot, { type: "go" });
    expect(error).toBeUndefined();
    expect(Object.keys(snapshot.children)).toEqual(["c"]);
  });

  it("does not grow with event types that the machine does not know", () => {
    const stepper = createStepper(compileRunMachine(workflow([step("a"), step("b")])));
    const { snapshot } = stepper.step(stepper.initial().snapshot, { type: "run.admitted" });
    const asked = vi.spyOn(stepper.machine.root.states["running"]! as never, "next" as never);
    for (let i = 0; i < 100; i++) expect(stepper.step(snapshot, { type: `foreign.${i}` }).snapshot).toBe(snapshot);
    expect(asked).not.toHaveBeenCalled();
  });
});
