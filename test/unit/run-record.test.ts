/** The life of a run in frames: its recorded facts against the machine that the engine steps. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileRunMachine } from "../../machines/run/compile.ts";
import type { Fact, MachineEvent } from "../../src/engine/facts.ts";
import { type RecordedMachine, recordedMachine, recordOf } from "../../src/history/run-record.ts";
import type { Stay, StoredFact } from "../../src/history/stored-facts.ts";
import type { RunRecord } from "../../src/protocol/record.ts";
import { createStepper, type MachineSnapshot, type StepAction } from "../../src/step/stepper.ts";
import type { LimitSpec, WorkflowSpec } from "../../src/workflow/spec.ts";
import { alphabet, step, workflow } from "../model/run-explorer.ts";

const T0 = Date.UTC(2026, 0, 1);
const at = (ms: number): string => new Date(T0 + ms).toISOString();

const limit = (name: string): LimitSpec => ({
  name,
  key: { kind: "cel", expression: "input.key" },
  maxRuns: 1,
  strategy: "CANCEL_IN_PROGRESS",
});

const PROGRAMS: readonly WorkflowSpec[] = [
  workflow([step("a")]),
  workflow([step("a", { retries: 2, timeoutMs: 500 }), step("b", { after: ["a"] }), step("c", { after: ["a"], retries: 1 })]),
  workflow([step("a", { timeoutMs: 50 }), step("b"), step("c", { after: ["a", "b"] })], { onStepFailure: "finish" }),
];

const stay = (facts: readonly unknown[], partition = 0): Stay => ({ partition, facts: facts as readonly StoredFact[] });
const created = (more: Partial<Extract<Fact, { k: "created" }>> = {}): unknown => ({
  k: "created",
  at: T0,
  wf: "w",
  ver: "1",
  phase: "active",
  input: {},
  ...more,
});
const event = (ms: number, ev: MachineEvent): unknown => ({ k: "event", at: T0 + ms, ev });

function record(
  spec: WorkflowSpec,
  stays: readonly Stay[],
  options: { machine?: RecordedMachine | undefined; maxFrames?: number } = {},
): RunRecord {
  const found = recordOf(stays, {
    id: "r",
    spec,
    machine: "machine" in options ? options.machine : recordedMachine(spec),
    ...(options.maxFrames !== undefined && { maxFrames: options.maxFrames }),
  });
  if (found === undefined) throw new Error("expected a record");
  return JSON.parse(JSON.stringify(found)) as RunRecord;
}

const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe("The record of a run", () => {
  it("has, after every event, the state, context and timers that the engine's stepper has, whatever happens", () => {
    const machines = PROGRAMS.map((spec) => ({
      spec,
      machine: recordedMachine(spec),
      stepper: createStepper(compileRunMachine(spec)),
    }));
    fc.assert(
      fc.property(fc.nat(PROGRAMS.length - 1), fc.array(fc.nat(1_000), { minLength: 1, maxLength: 50 }), (which, picks) => {
        const { spec, machine, stepper } = machines[which]!;
        const facts: unknown[] = [created()];
        const states: { snapshot: MachineSnapshot; timers: Map<string, number> }[] = [];
        const timers = new Map<string, number>();
        let now = 0;
        let snapshot = stepper.initialWith({ runId: "r" }).snapshot;
        const step = (ev: MachineEvent): boolean => {
          const next = stepper.step(snapshot, ev);
          if (next.snapshot === snapshot && next.actions.length === 0) return false;
          timers.delete(ev.type);
          ({ snapshot } = next);
          for (const { type, params } of next.actions as readonly StepAction[]) {
            if (type === "timer.set") timers.set(params.id, now + params.delayMs);
            if (type === "timer.cancel") timers.delete(params.id);
          }
          states.push({ snapshot, timers: new Map(timers) });
          return true;
        };
        step({ type: "run.admitted" });
        const events = alphabet(spec);
        for (const pick of picks) {
          now += 10;
          // The timers that are set, more often than those that may be set.
          const set = [...timers.keys()];
          const ev = pick % 5 === 0 && set.length > 0 ? { type: set[pick % set.length]! } : events[pick % events.length]!;
          if (step(ev)) facts.push(event(now, ev));
        }
        const { frames } = record(spec, [stay(facts)], { machine });
        const fed = frames.filter((frame) => frame.fed);
        expect(fed.length).toBe(states.length);
        for (const [index, { snapshot: expected, timers: due }] of states.entries()) {
          const frame = fed[index]!;
          expect(frame.value).toEqual(expected.value);
          expect(frame.context).toEqual(json(expected.context));
          expect(frame.active.toSorted()).toEqual(expected["_nodes"].map(({ id }: { id: string }) => id).toSorted());
          expect(Object.fromEntries(frame.timers.map(({ id, dueAt }) => [id, Date.parse(dueAt) - T0]))).toEqual(
            Object.fromEntries(due),
          );
        }
      }),
      { numRuns: 200 },
    );
  });

  it("tells a run's whole life: who sent what, what it did, and what it waits for", () => {
    const spec = workflow([step("a", { retries: 1, timeoutMs: 1_000 })], { limits: [limit("user")] });
    const {
      frames,
      machine,
      workflow: name,
      version,
      cut,
    } = record(spec, [
      stay([
        created({ phase: "waiting", keys: ["u1"], ev: { name: "e", seq: 7 } }),
        { k: "admitted", at: T0 + 5 },
        event(6, { type: "step.started.a", worker: "w1", attemptId: "r.a.1", attempt: 1 }),
        event(20, { type: "run.cancelled", reason: "CANCELLED_BY_CONCURRENCY_LIMIT" }),
        event(25, { type: "step.stopped.a" }),
        { k: "finished", at: T0 + 25, status: "CANCELLED", reason: "CANCELLED_BY_CONCURRENCY_LIMIT" },
      ]),
    ]);
    expect({ name, version, cut }).toEqual({ name: "w", version: "1", cut: undefined });
    expect(machine).toMatch(/^[0-9a-f]{24}$/);
    expect(frames.map(({ index, at: time, type, from, fed, status }) => [index, time, type, from, fed, status])).toEqual([
      [0, at(0), "created", "event", false, "QUEUED"],
      [1, at(0), "queued", "group:user/u1", false, "QUEUED"],
      [2, at(5), "run.admitted", "group:user/u1", true, "RUNNING"],
      [3, at(6), "step.started.a", "engine", true, "RUNNING"],
      [4, at(20), "run.cancelled", "group:user/u1", true, "RUNNING"],
      [5, at(25), "step.stopped.a", "worker:w1", true, "RUNNING"],
      [6, at(25), "run.cancelled", "engine", false, "CANCELLED"],
    ]);
    expect(frames.map(({ sent }) => sent)).toEqual([
      [{ to: "group:user/u1", type: "run.arrived" }],
      [],
      [],
      [{ to: "worker:w1", type: "dispatch", data: { step: "a", attempt: 1, attemptId: "r.a.1" } }],
      [{ to: "worker:w1", type: "stop", data: { step: "a" } }],
      [],
      [{ to: "group:user/u1", type: "run.released" }],
    ]);
    expect(frames.map(({ taken }) => taken)).toEqual([
      [],
      [],
      ["run.waiting|run.admitted|0"],
      ["run.running.a.attempt.ready|step.started.a|0"],
      ["run.running|run.cancelled|0", "run.running.a.attempt.executing|step.cancelled.a|0"],
      ["run.running.a.attempt.stopping|step.stopped.a|0", "run.running|xstate.done.state.run.running|1"],
      [],
    ]);
    expect(frames[1]?.active).toEqual(["run", "run.waiting"]);
    expect(frames[3]?.timers).toEqual([
      {
        id: "xstate.after.1000.run.running.a.attempt.executing",
        transition: "run.running.a.attempt.executing|xstate.after.1000.run.running.a.attempt.executing|0",
        startedAt: at(6),
        dueAt: at(1_006),
      },
    ]);
    expect(frames[4]?.timers.map(({ dueAt }) => dueAt)).toEqual([at(5_020)]);
    expect(frames[4]?.actions.map(({ type }) => type)).toContain("stopStep");
    expect(frames[4]?.steps["a"]).toMatchObject({ status: "STOPPING", worker: "w1", attempts: 1 });
    expect(frames.at(-1)).toMatchObject({ timers: [], value: "cancelled", active: ["run", "run.cancelled"] });
  });

  it("shows what is not fed to the machine, and how a run ends that never was one", () => {
    const spec = workflow([step("a")], { limits: [limit("user"), limit("tenant")] });
    const { frames } = record(spec, [
      stay([
        created({ phase: "scheduled", due: T0 + 50, meta: { cron: "* * * * *", tick: at(0) } }),
        { k: "moved", at: T0 + 50, to: 2, n: 1, keys: ["u", "t"] },
      ]),
      stay(
        [
          created({ at: T0 + 51, born: T0, phase: "waiting", keys: ["u", "t"] }),
          { k: "parked", at: T0 + 60, by: 0, for: 1 },
          {
            k: "finished",
            at: T0 + 70,
            status: "CANCELLED",
            reason: "CANCELLED_BY_CONCURRENCY_LIMIT",
            cause: "superseded",
            by: "r2",
          },
        ],
        2,
      ),
    ]);
    expect(frames.map(({ type, from, fed }) => [type, from, fed])).toEqual([
      ["created", "schedule", false],
      ["scheduled", "router", false],
      ["moved", "router", false],
      ["queued", "group:user/u", false],
      ["parked", "group:user/u", false],
      ["run.cancelled", "group:user/u", false],
    ]);
    expect(frames[2]?.sent.map(({ to }) => to)).toEqual(["group:user/u", "group:tenant/t"]);
    expect(frames[4]?.active).toEqual(["run", "run.waiting"]);
    expect(frames[5]).toMatchObject({
      status: "CANCELLED",
      active: ["run", "run.cancelled"],
      taken: ["run.waiting|run.cancelled|0"],
      data: { reason: "CANCELLED_BY_CONCURRENCY_LIMIT", cause: "superseded", by: "r2" },
    });
    expect(frames[5]?.sent).toEqual([
      { to: "group:user/u", type: "run.withdrawn" },
      { to: "group:tenant/t", type: "run.withdrawn" },
    ]);
  });

  it("tells what happened to a run of an unknown version, without the machine's states", () => {
    const found = recordOf(
      [
        stay([
          created(),
          event(1, { type: "step.started.a", worker: "w1", attemptId: "r.a.1", attempt: 1 }),
          event(2, { type: "xstate.done.actor.a", output: 5 }),
          { k: "finished", at: T0 + 2, status: "SUCCEEDED" },
        ]),
      ],
      { id: "r", spec: undefined, machine: undefined },
    );
    expect(found?.machine).toBe("");
    expect(found?.frames.map(({ type, status, active, taken }) => [type, status, active, taken])).toEqual([
      ["created", "QUEUED", [], []],
      ["run.admitted", "RUNNING", [], []],
      ["step.started.a", "RUNNING", [], []],
      ["xstate.done.actor.a", "RUNNING", [], []],
      ["run.succeeded", "SUCCEEDED", [], []],
    ]);
    expect(found?.frames.at(-1)?.steps).toMatchObject({ a: { status: "SUCCEEDED", output: 5, worker: "w1" } });
    expect(found?.frames.every((frame) => !("value" in frame))).toBe(true);
  });

  it("is cut at its oldest end, with the state as if it were not", () => {
    const spec = workflow([step("a", { retries: 50, timeoutMs: 10 })]);
    const facts: unknown[] = [created()];
    for (let i = 0; i < 40; i++) {
      facts.push(event(i * 10, { type: "step.started.a", worker: "w", attemptId: `r.a.${i}`, attempt: i + 1 }));
      facts.push(event(i * 10 + 5, { type: "step.returned.a" }));
    }
    const whole = record(spec, [stay(facts)]);
    const part = record(spec, [stay(facts)], { maxFrames: 10 });
    expect(part.cut).toBe(whole.frames.length - 10);
    expect(part.frames).toEqual(whole.frames.slice(-10));
  });

  it("tells a large output once, where it came, and one that is larger still in words", () => {
    const spec = workflow([step("a"), step("b")]);
    const large = "x".repeat(10_000);
    const { frames } = record(spec, [
      stay([
        created(),
        event(1, { type: "xstate.done.actor.a", output: { large } }),
        event(2, { type: "xstate.done.actor.b", output: large.repeat(10) }),
      ]),
    ]);
    expect(frames[2]?.data).toEqual({ output: { large } });
    expect(frames[2]?.steps["a"]?.output).toBe("[10012 characters of JSON: see run.get]");
    expect(frames[3]?.data).toEqual({ output: "[100002 characters of JSON: see run.get]" });
    expect(JSON.stringify(frames[3]).length).toBeLessThan(3_000);
    expect(frames[3]?.value).toBe("succeeded");
  });

  it("is undefined where the facts don't say how the run came", () => {
    expect(
      recordOf([stay([event(1, { type: "run.cancelled" })])], { id: "r", spec: undefined, machine: undefined }),
    ).toBeUndefined();
  });
});
