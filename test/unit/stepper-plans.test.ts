/**
 * Stepping along plans (`src/step/plan.ts`) against XState's own `transition()`: one machine per feature of statecharts, and
 * random ones of all features together. None has history states, since those are stepped by XState itself.
 */
import { describe, expect, it } from "vitest";
import {
  and,
  assign,
  cancel,
  createMachine,
  enqueueActions,
  fromTransition,
  initialTransition,
  not,
  or,
  raise,
  sendTo,
  spawnChild,
  stateIn,
  stopChild,
  transition,
} from "xstate";
import type { AnyMachineSnapshot, AnyStateMachine } from "xstate";
import { canonical, createStepper } from "../../src/step/stepper.ts";
import type { StepAction } from "../../src/step/stepper.ts";
import { asData as asRunData } from "../model/run-explorer.ts";

const work = fromTransition((state) => state, undefined);

function asData(actions: Parameters<typeof asRunData>[0]): StepAction[] {
  return asRunData(actions).map(({ type, params }) => {
    if (type === "xstate.sendTo") return { type: "actor.send", params: { id: params.targetId, event: params.event } };
    return { type, params };
  });
}

/** All that can be seen, with the order in which XState keeps regions and nodes, since it decides what comes first next time. */
function visible(snapshot: AnyMachineSnapshot, actions: readonly StepAction[]): string {
  const { status, output, value, context, children, tags, _nodes } = snapshot;
  const shown = {
    status,
    output,
    value,
    context,
    children: Object.keys(children),
    tags: [...tags],
    nodes: _nodes.map(({ id }) => id),
  };
  return JSON.stringify([shown, canonical(snapshot), actions]);
}

function stock(
  machine: AnyStateMachine,
  from: AnyMachineSnapshot,
  event: { type: string },
): { snapshot: AnyMachineSnapshot; actions: readonly StepAction[]; error?: unknown } {
  if (from.status !== "active") return { snapshot: from, actions: [] };
  try {
    const [snapshot, actions] = transition(machine, from, event);
    return { snapshot, actions: asData(actions) };
  } catch (error) {
    return { snapshot: from, actions: [], error };
  }
}

/** Follows events by both ways; returns the actions of each step, `undefined` where both threw (and that was the end). */
function follow(
  machine: AnyStateMachine,
  stepper: ReturnType<typeof createStepper>,
  types: readonly string[],
): (string[] | undefined)[] {
  const [first, firstActions] = initialTransition(machine);
  let theirs: AnyMachineSnapshot = first;
  const initial = stepper.initial();
  let ours = initial.snapshot;
  expect(visible(ours, initial.actions)).toBe(visible(theirs, asData(firstActions)));

  const seen: (string[] | undefined)[] = [initial.actions.map(({ type }) => type)];
  for (const [i, type] of types.entries()) {
    const event = { type, output: i, error: "no" };
    const expected = stock(machine, theirs, event);
    const step = stepper.step(ours, event);
    if (expected.error !== undefined) {
      expect((step.error as Error).message).toBe((expected.error as Error).message);
      seen.push(undefined);
      break;
    }
    const at = types.slice(0, i + 1).join();
    expect(`${at}: ${visible(step.snapshot, step.actions)}`).toBe(`${at}: ${visible(expected.snapshot, expected.actions)}`);
    // What does nothing is told by the snapshot being the same one.
    expect(step.snapshot === ours).toBe(expected.snapshot === theirs);
    seen.push(step.actions.map(({ type }) => type));
    ours = step.snapshot;
    theirs = expected.snapshot;
  }
  return seen;
}

/** All sequences of these events up to a length. */
function compare(config: object, types: readonly string[], depth = 4): (string[] | undefined)[][] {
  const machine = createMachine({ context: { n: 0 }, ...config } as never, { actors: { work } } as never) as AnyStateMachine;
  const stepper = createStepper(machine);
  let sequences: string[][] = [[]];
  for (let i = 0; i < depth; i++) sequences = sequences.flatMap((sequence) => types.map((type) => [...sequence, type]));
  return sequences.map((sequence) => follow(machine, stepper, sequence));
}

const inc = assign({ n: ({ context }: { context: { n: number } }) => context.n + 1 }) as never;
const traced = (id: string): object => ({ entry: [`in ${id}`], exit: [`out ${id}`] });

describe("plans do what transition() does", () => {
  it("for regions that leave, enter and complete in any order", () => {
    const region = (id: string, go: string) => ({
      ...traced(id),
      initial: "a",
      states: {
        a: { ...traced(`${id}.a`), on: { [go]: "b", both: "b" } },
        b: { ...traced(`${id}.b`), on: { back: "a", end: "c" } },
        c: { type: "final", ...traced(`${id}.c`), output: 7 },
      },
      onDone: { actions: `${id} done` },
    });
    compare(
      {
        id: "m",
        initial: "p",
        on: { out: ".q", cross: { target: ["#m.p.x.b", "#m.p.y.b"] } },
        states: {
          p: {
            type: "parallel",
            ...traced("p"),
            states: { x: region("x", "goX"), y: region("y", "goY") },
            onDone: { target: "q", actions: "all done" },
          },
          q: { ...traced("q"), on: { back: "p" } },
        },
      },
      ["goX", "goY", "both", "end", "back", "out", "cross"],
    );
  });

  it("for transitions to itself, into itself and reentering", () => {
    compare(
      {
        ...traced("root"),
        initial: "a",
        on: { top: { actions: "top" }, again: { target: ".a", reenter: true }, stay: { target: ".a" } },
        states: {
          a: {
            ...traced("a"),
            initial: "b",
            on: {
              self: "a",
              reenter: { target: "a", reenter: true },
              inner: ".c",
              innerReenter: { target: ".c", reenter: true },
              here: { actions: inc },
            },
            states: {
              b: { ...traced("b"), on: { self: { target: "b", reenter: true } } },
              c: { ...traced("c"), after: { 10: "b" } },
            },
          },
        },
      },
      ["self", "reenter", "inner", "innerReenter", "here", "top", "again", "stay"],
    );
  });

  it("for conflicts between regions, and targets beyond their own", () => {
    const region = (id: string, other: string) => ({
      ...traced(id),
      initial: "a",
      states: {
        a: { ...traced(`${id}.a`), on: { leave: "#m.q", cross: `#m.p.${other}.b`, step: "b" } },
        b: { ...traced(`${id}.b`), on: { leave: { target: "#m.q", actions: `from ${id}` } } },
      },
    });
    compare(
      {
        id: "m",
        initial: "p",
        states: {
          p: { type: "parallel", on: { leave: "q" }, states: { x: region("x", "y"), y: region("y", "z"), z: region("z", "x") } },
          q: { ...traced("q"), on: { cross: "#m.p.y.b" } },
        },
      },
      ["leave", "cross", "step"],
      5,
    );
  });

  it("for wildcards, forbidden events and guards of all kinds", () => {
    compare(
      {
        initial: "a",
        on: {
          "*": { actions: "any" },
          "x.*": [
            { guard: ({ context }: any) => context.n > 1, actions: "many" },
            { guard: stateIn("a"), actions: inc },
          ],
        },
        states: {
          a: {
            on: {
              "x.y": undefined,
              "x.z": { guard: or([not(({ context }: any) => context.n > 2), and([stateIn("a")])]), target: "b", actions: inc },
              no: {},
            },
          },
          b: { on: { "x.*": { target: "a", guard: ({ context, event }: any) => context.n < 4 && event.type !== "x.q" } } },
        },
      },
      ["x.y", "x.z", "x.q", "no", "w"],
      5,
    );
  });

  it("for chains of eventless transitions and raised events", () => {
    compare(
      {
        initial: "a",
        on: { more: { actions: [inc, raise({ type: "inner" })] }, inner: { actions: "was told" } },
        always: { guard: ({ context }: any) => context.n === 3, actions: [inc, raise({ type: "more" })] },
        states: {
          a: { on: { go: "b" }, exit: raise({ type: "late" }) },
          b: {
            entry: [inc, raise({ type: "inner" })],
            always: [
              { guard: ({ context }: any) => context.n > 6, target: "e" },
              { target: "c", actions: "passing" },
            ],
          },
          c: {
            always: { target: "d", guard: ({ context }: any) => context.n % 2 === 0 },
            on: { go: "d", late: { actions: "too late" } },
          },
          d: { on: { go: "a", inner: "c" } },
          e: { type: "final", output: 1 },
        },
        output: ({ event, context }: any) => [event, context.n],
      },
      ["go", "more", "inner"],
      7,
    );
  });

  it("for eventless transitions without a target, which run once", () => {
    compare(
      {
        initial: "a",
        states: {
          a: { always: { guard: ({ event }: any) => event.type === "go", actions: "looked" }, on: { go: { actions: inc } } },
        },
      },
      ["go", "other"],
    );
  });

  it("for nested final states, their outputs and that of the machine", () => {
    compare(
      {
        id: "m",
        initial: "a",
        states: {
          a: {
            initial: "b",
            onDone: { target: "z", actions: assign({ n: ({ event }: any) => event.output }) as never },
            states: {
              b: {
                initial: "c",
                onDone: "y",
                states: {
                  c: { on: { go: "d", skip: "#m.a.y" } },
                  d: { type: "final", output: ({ event }: any) => event.output, exit: "left d" },
                },
              },
              y: { type: "final", entry: inc, output: ({ context }: any) => context.n * 10 },
            },
          },
          z: { type: "final", ...traced("z"), output: ({ context }: any) => ({ z: context.n }) },
        },
        exit: "out",
        output: ({ event }: any) => event,
      },
      ["go", "skip"],
      3,
    );
  });

  it("for a parallel root that completes", () => {
    const region = {
      initial: "a",
      states: {
        a: { on: { go: { target: "b", guard: ({ context }: any) => context.n > 0 } } },
        b: { type: "final", entry: inc },
      },
    };
    compare(
      {
        type: "parallel",
        ...traced("root"),
        invoke: { src: "work", id: "w" },
        on: { add: { actions: inc } },
        states: { x: region, y: region },
        output: ({ context }: any) => context.n,
      },
      ["go", "add"],
    );
  });

  it("for timers and actors of states that are entered again", () => {
    compare(
      {
        id: "m",
        initial: "a",
        states: {
          a: {
            invoke: [
              { src: "work", id: "one" },
              { src: "work", id: "two", input: ({ context }: any) => context.n },
            ],
            after: { 10: "b", 20: { actions: inc } },
            on: { again: { target: "a", reenter: true, actions: inc }, go: "b" },
            entry: sendTo("one", { type: "hello" }) as never,
          },
          b: {
            entry: [spawnChild("work" as never, { id: "three" } as never), raise({ type: "x" }, { id: "late", delay: 5 })],
            exit: [stopChild("three"), cancel("late")],
            on: { go: "a", end: "c" },
          },
          c: { type: "final" },
        },
      },
      ["again", "go", "end", "xstate.after.10.m.a", "xstate.after.20.m.a", "xstate.error.actor.one"],
    );
  });

  it("for enqueued actions, initial actions and actions with params", () => {
    compare(
      {
        initial: "a",
        states: {
          a: { on: { go: "b" }, exit: function leaving() {} },
          b: {
            initial: { target: "c", actions: ["at first", inc] },
            entry: { type: "told", params: ({ context }: any) => ({ n: context.n }) },
            states: {
              c: {
                entry: enqueueActions(({ enqueue, check }: any) => {
                  if (check(stateIn("a"))) enqueue.assign({ n: 5 });
                  enqueue({ type: "named", params: { n: 1 } });
                  enqueue.raise({ type: "on" });
                }) as never,
                on: { on: "d" },
              },
              d: {},
            },
            on: { go: "a", deep: ".d" },
          },
        },
      },
      ["go", "deep", "on"],
    );
  });

  it("for what throws: guards say where, the rest as it is", () => {
    const fail = (): never => {
      throw new Error("broken");
    };
    compare(
      {
        initial: "a",
        states: {
          a: {
            on: {
              guard: { guard: fail, target: "b" },
              missing: { guard: "missing" },
              assign: { actions: ["before", assign(fail) as never] },
              always: "b",
            },
          },
          b: { always: { guard: fail, target: "a" } },
        },
      },
      ["guard", "missing", "assign", "always"],
      2,
    );
  });

  it("for endless loops, where the machine limits them", () => {
    compare(
      {
        options: { maxIterations: 10 },
        initial: "a",
        states: { a: { on: { go: "b" } }, b: { always: "c" }, c: { always: "b" } },
      },
      ["go"],
      2,
    );
  });
});

it("plans are forgotten when there are too many, and nobody notices", () => {
  const regions = Array.from({ length: 13 }, (_, i) => `r${i}`);
  const region = (i: number) => ({
    initial: "off",
    states: { off: { on: { [`t${i}`]: "on" } }, on: { entry: inc, on: { [`t${i}`]: "off" } } },
  });
  const stepper = createStepper(
    createMachine({
      context: { n: 0 },
      type: "parallel",
      states: Object.fromEntries(regions.map((key, i) => [key, region(i)])),
    } as never),
  );
  let { snapshot } = stepper.initial();
  const on = regions.map(() => false);
  let entered = 0;
  for (let i = 1; i < 2 ** 14; i++) {
    // The Gray code, round twice: so large a configuration gets its plans when it comes again.
    const toggled = Math.min(31 - Math.clz32(i & -i), 12);
    on[toggled] = !on[toggled];
    if (on[toggled]) entered++;
    snapshot = stepper.step(snapshot, { type: `t${toggled}` }).snapshot;
    expect(regions.map((key) => (snapshot.value as Record<string, string>)[key])).toEqual(on.map((is) => (is ? "on" : "off")));
    expect(snapshot.context).toEqual({ n: entered });
  }
});

/** Small numbers from a seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const TYPES = ["e0", "e1", "e2", "f.a", "f.b"];

/** Any tree of states with any transitions between them: most make no sense, and all must be made sense of as XState does. */
function randomConfig(random: (below: number) => number): object {
  const paths: string[] = [];
  const holes: ((pick: () => string) => void)[] = [];
  const some = <T>(make: () => T): T[] => Array.from({ length: random(3) }, make);

  function action(id: string): unknown {
    return [
      `act ${random(4)}`,
      inc,
      raise({ type: TYPES[random(TYPES.length)]! }, random(2) ? { id: `t${random(2)}`, delay: 5 } : {}),
      { type: "told", params: ({ context }: any) => ({ id, n: context.n }) },
      cancel(`t${random(2)}`),
    ][random(5)];
  }

  function transitionOf(id: string): object {
    const made: any = { actions: some(() => action(id)), reenter: random(3) === 0 };
    const [modulo, rest] = [2 + random(3), random(2)];
    if (random(2))
      made.guard = random(4)
        ? ({ context }: any) => context.n % modulo === rest
        : not(({ context }: any) => context.n % modulo === rest);
    const targets = [0, 1, 1, 1, 1, 2][random(6)]!;
    if (targets > 0) holes.push((pick) => (made.target = Array.from({ length: targets }, pick)));
    return made;
  }

  function node(path: string, depth: number): any {
    paths.push(path);
    const made: any = {
      id: path,
      entry: [`in ${path}`, ...some(() => action(path))],
      exit: [`out ${path}`, ...some(() => action(path))],
    };
    const kind = depth === 0 ? 2 + random(2) : depth > 2 ? random(2) : random(4);
    if (random(4) === 0) made.tags = [`tag ${random(3)}`];
    if (kind === 0 && depth > 0)
      return { id: path, type: "final", entry: made.entry, output: random(2) ? ({ context }: any) => context.n : 5 };
    if (random(4) === 0) made.invoke = { src: "work", id: `w.${path}` };
    if (random(4) === 0) made.after = { 10: transitionOf(path) };
    if (random(5) === 0) made.always = [transitionOf(path)];
    made.on = {};
    for (const type of [...TYPES, "f.*", "*"])
      if (random(type.endsWith("*") ? 8 : 3) === 0) made.on[type] = some(() => transitionOf(path));
    if (kind < 2) return made;
    const keys = ["a", "b", "c"].slice(0, 1 + random(3));
    made.states = Object.fromEntries(keys.map((key) => [key, node(`${path}-${key}`, depth + 1)]));
    if (kind === 3) made.type = "parallel";
    else made.initial = keys[random(keys.length)];
    if (random(2)) made.onDone = transitionOf(path);
    return made;
  }

  const root = node("r", 0);
  for (const fill of holes) fill(() => `#${paths[1 + random(paths.length - 1)]!}`);
  return { ...root, options: { maxIterations: 20 }, output: ({ event }: any) => event };
}

describe("random machines", () => {
  it("go the same way as with transition()", () => {
    const base = Number(process.env["SEED"] ?? 1);
    let steps = 0;
    let threw = 0;
    for (let seed = base; seed < base + Number(process.env["MACHINES"] ?? 250); seed++) {
      const random = randomOf(seed);
      const machine = createMachine(
        { context: { n: 0 }, ...randomConfig(random) } as never,
        { actors: { work } } as never,
      ) as AnyStateMachine;
      const stepper = createStepper(machine);
      const events = [...TYPES, "f.c", "xstate.after.10.r-a", "xstate.done.actor.w.r"];
      for (let i = 0; i < 10; i++) {
        const sequence = Array.from({ length: 12 }, () => events[random(events.length)]!);
        try {
          const seen = follow(machine, stepper, sequence);
          steps += seen.length;
          if (seen.includes(undefined)) threw++;
        } catch (error) {
          throw new Error(`seed ${seed}: ${sequence.join()}`, { cause: error });
        }
      }
    }
    expect(steps).toBeGreaterThan(threw);
  }, 120_000);
});
