/** Run machines, rule by rule. What holds on every path is in test/model. */
import { describe, expect, it } from "vitest";
import { backoffMs } from "../../machines/run/backoff.ts";
import { compileRunMachine, runMachineConfig } from "../../machines/run/compile.ts";
import { describeRun } from "../../machines/run/describe.ts";
import type { RunDescription } from "../../machines/run/describe.ts";
import type { WorkflowSpec } from "../../src/workflow/spec.ts";
import { createStepper } from "../../src/step/stepper.ts";
import type { MachineSnapshot, StepAction, Stepper } from "../../src/step/stepper.ts";
import { step, workflow } from "../model/run-explorer.ts";

const boom = { name: "Error", message: "boom" };

/** A run under test: feeds events, remembers the actions of the last one. */
class TestRun {
  readonly spec: WorkflowSpec;
  readonly stepper: Stepper;
  snapshot: MachineSnapshot;
  actions: readonly StepAction[] = [];

  constructor(spec: WorkflowSpec, runId = "r1") {
    this.spec = spec;
    this.stepper = createStepper(compileRunMachine(spec));
    this.snapshot = this.stepper.initialWith({ runId }).snapshot;
  }

  send(type: string, fields: object = {}): this {
    const { snapshot, actions, error } = this.stepper.step(this.snapshot, { type, ...fields });
    expect(error).toBeUndefined();
    this.snapshot = snapshot;
    this.actions = actions;
    return this;
  }

  admit = (): this => this.send("run.admitted");
  cancel = (reason = "CANCELLED_BY_USER"): this => this.send("run.cancelled", { reason });
  start = (name: string): this => this.send(`step.started.${name}`, { worker: "w1", attemptId: `${name}.1` });
  done = (name: string, output: unknown = name): this => this.send(`xstate.done.actor.${name}`, { output });
  error = (name: string, error: object = boom): this => this.send(`xstate.error.actor.${name}`, { error });
  stopped = (name: string): this => this.send(`step.stopped.${name}`);
  returned = (name: string): this => this.send(`step.returned.${name}`);
  lost = (name: string): this => this.send(`step.lost.${name}`);
  /** The timer of a state, by what its id ends with. */
  after = (delay: string | number, state: string): this => this.send(`xstate.after.${delay}.run.running.${state}`);

  get view(): RunDescription {
    return describeRun(this.spec, this.snapshot as never);
  }

  get statuses(): Record<string, string> {
    return Object.fromEntries(Object.entries(this.view.steps).map(([name, { status }]) => [name, status]));
  }

  /** Effects other than timers, as `type:step`. */
  get effects(): string[] {
    return this.actions
      .filter(({ type }) => !type.startsWith("timer."))
      .map(({ type, params }) => `${type}:${params.id ?? params.step}`);
  }

  timer(state: string): { id: string; delayMs: number } | undefined {
    return this.actions.find(({ type, params }) => type === "timer.set" && params.id.endsWith(state))?.params;
  }
}

const run = (spec: WorkflowSpec, runId?: string): TestRun => new TestRun(spec, runId);
const single = (options: object = {}, more: object = {}): TestRun => run(workflow([step("a", options)], more));

describe("a run that waits", () => {
  it("is queued, and its steps are blocked", () => {
    const waiting = single();
    expect(waiting.view).toEqual({ status: "QUEUED", steps: { a: { status: "BLOCKED", attempts: 0 } } });
  });

  it("is cancelled with the reason given", () => {
    const waiting = single().send("run.cancelled", { reason: "CANCELLED_BY_CONCURRENCY_LIMIT", message: "superseded" });
    expect(waiting.view).toEqual({
      status: "CANCELLED",
      reason: "CANCELLED_BY_CONCURRENCY_LIMIT",
      message: "superseded",
      steps: { a: { status: "CANCELLED", attempts: 0 } },
    });
    expect(waiting.snapshot.status).toBe("done");
  });

  it("fails when its key or its input is no good", () => {
    const waiting = single().send("run.failed", { reason: "KEY_FAILED", error: boom });
    expect(waiting.view).toMatchObject({ status: "FAILED", reason: "KEY_FAILED", error: boom });
  });

  it("ignores results, also errors", () => {
    expect(single().error("a").done("a").lost("a").view.status).toBe("QUEUED");
  });
});

describe("a step", () => {
  it("wants a worker once the run is admitted", () => {
    const admitted = single().admit();
    expect(admitted.effects).toEqual(["actor.start:a"]);
    expect(admitted.actions[0]).toEqual({ type: "actor.start", params: { id: "a", src: "step" } });
    expect(admitted.statuses).toEqual({ a: "READY" });
  });

  it("runs, succeeds, and so does its run, with the outputs by step", () => {
    const started = single().admit().start("a");
    expect(started.view).toEqual({ status: "RUNNING", steps: { a: { status: "RUNNING", attempts: 1, worker: "w1" } } });
    const ended = started.done("a", { n: 1 });
    expect(ended.effects).toEqual(["actor.stop:a"]);
    expect(ended.snapshot).toMatchObject({ status: "done", value: "succeeded", output: { a: { n: 1 } } });
    expect(ended.view).toEqual({
      status: "SUCCEEDED",
      outputs: { a: { n: 1 } },
      steps: { a: { status: "SUCCEEDED", attempts: 1, output: { n: 1 }, worker: "w1" } },
    });
  });

  it("may give its result before anyone said that it was started", () => {
    expect(single().admit().done("a", 1).view.steps["a"]).toEqual({ status: "SUCCEEDED", attempts: 1, output: 1 });
    expect(single({ retries: 1 }).admit().error("a").view.steps["a"]).toMatchObject({ status: "BACKOFF", attempts: 1 });
  });

  it("starts when all its parents have succeeded, not before", () => {
    const diamond = run(
      workflow([step("a"), step("b", { after: ["a"] }), step("c", { after: ["a"] }), step("d", { after: ["b", "c"] })]),
    );
    expect(diamond.admit().effects).toEqual(["actor.start:a"]);
    expect(diamond.start("a").done("a").effects).toEqual(["actor.stop:a", "actor.start:b", "actor.start:c"]);
    expect(diamond.start("b").start("c").done("c").effects).toEqual(["actor.stop:c"]);
    expect(diamond.statuses).toEqual({ a: "SUCCEEDED", b: "RUNNING", c: "SUCCEEDED", d: "BLOCKED" });
    expect(diamond.done("b").effects).toEqual(["actor.stop:b", "actor.start:d"]);
    expect(diamond.start("d").done("d").view.status).toBe("SUCCEEDED");
  });

  it("ignores a second start", () => {
    const started = single().admit().start("a");
    const before = started.snapshot;
    expect(started.start("a").snapshot).toBe(before);
  });
});

describe("a step that fails", () => {
  it("is tried again after its backoff, as often as it has retries", () => {
    const failing = single({ retries: 2 }).admit().start("a").error("a");
    expect(failing.statuses).toEqual({ a: "BACKOFF" });
    expect(failing.effects).toEqual(["actor.stop:a"]);
    expect(failing.after("backoff.a", "a.backoff").effects).toEqual(["actor.start:a"]);
    failing.start("a").error("a").after("backoff.a", "a.backoff").start("a");
    expect(failing.view.steps["a"]).toMatchObject({ status: "RUNNING", attempts: 3 });
    expect(failing.error("a").view).toMatchObject({
      status: "FAILED",
      reason: "STEP_FAILED",
      error: { ...boom, step: "a" },
      steps: { a: { status: "FAILED", attempts: 3, error: boom } },
    });
  });

  it("is not tried again when the error says so", () => {
    expect(
      single({ retries: 5 })
        .admit()
        .start("a")
        .error("a", { ...boom, retryable: false }).view.status,
    ).toBe("FAILED");
  });

  it("no longer shows its error once it has succeeded", () => {
    const failing = single({ retries: 1 }).admit().start("a").error("a");
    expect(failing.view.steps["a"]!.error).toEqual(boom);
    expect(failing.after("backoff.a", "a.backoff").start("a").done("a").view.steps["a"]!.error).toBeUndefined();
  });

  it.each(["STEP_TIMED_OUT", "WORKER_LOST", "INPUT_INVALID"])("gives its run the reason %s when that is its code", (code) => {
    expect(
      single()
        .admit()
        .start("a")
        .error("a", { ...boom, code }).view.reason,
    ).toBe(code);
  });

  it("keeps a code of the user's own in the error", () => {
    const { reason, error } = single()
      .admit()
      .start("a")
      .error("a", { ...boom, code: "QUOTA" }).view;
    expect([reason, error!.code]).toEqual(["STEP_FAILED", "QUOTA"]);
  });

  it("survives an error event that says nothing", () => {
    expect(single().admit().start("a").send("xstate.error.actor.a").view.error).toMatchObject({ name: "Error", step: "a" });
  });
});

describe("backoff", () => {
  const spec = { factor: 2, minMs: 1000, maxMs: 10_000 };

  it("grows by its factor up to its maximum, less up to half", () => {
    for (const [failures, full] of [
      [1, 1000],
      [2, 2000],
      [3, 4000],
      [4, 8000],
      [5, 10_000],
      [2000, 10_000],
    ] as const) {
      const delays = Array.from({ length: 200 }, (_, i) => backoffMs(spec, `run${i}`, "a", failures));
      expect(Math.max(...delays)).toBeLessThanOrEqual(full);
      expect(Math.min(...delays)).toBeGreaterThanOrEqual(full / 2);
      expect(new Set(delays).size).toBeGreaterThan(100);
    }
  });

  it("is the same in a replay, and differs between runs, steps and failures", () => {
    const delay = (runId: string, name: string): number =>
      run(workflow([step(name, { retries: 1, backoff: spec })]), runId)
        .admit()
        .start(name)
        .error(name)
        .timer("backoff")!.delayMs;
    expect(delay("r1", "a")).toBe(delay("r1", "a"));
    expect(delay("r1", "a")).toBe(backoffMs(spec, "r1", "a", 1));
    expect(new Set([delay("r1", "a"), delay("r2", "a"), delay("r1", "b")]).size).toBe(3);
  });

  it("of nothing is nothing, however often it failed", () => {
    expect(backoffMs({ factor: 10, minMs: 0, maxMs: 0 }, "r", "a", 5000)).toBe(0);
  });
});

describe("an attempt that times out", () => {
  const timedOut = (options: object = {}): TestRun =>
    single({ timeoutMs: 1000, ...options })
      .admit()
      .start("a")
      .after(1000, "a.attempt.executing");

  it("has a timer from its start", () => {
    expect(single({ timeoutMs: 1000 }).admit().start("a").timer("executing")!.delayMs).toBe(1000);
    expect(single().admit().start("a").timer("executing")).toBeUndefined();
  });

  it("is told to stop, and waited for", () => {
    const stopping = timedOut();
    expect(stopping.effects).toEqual(["stopStep:a"]);
    expect(stopping.timer("timedOut")!.delayMs).toBe(5000);
    expect(stopping.view).toMatchObject({ status: "RUNNING", steps: { a: { status: "STOPPING" } } });
  });

  it.each([
    ["its worker confirms", (r: TestRun) => r.stopped("a")],
    ["it fails", (r: TestRun) => r.error("a")],
    ["it succeeds, too late", (r: TestRun) => r.done("a")],
    ["it is handed back", (r: TestRun) => r.returned("a")],
    ["its worker dies", (r: TestRun) => r.lost("a")],
    ["the grace is over", (r: TestRun) => r.after(5000, "a.attempt.timedOut")],
  ])("is over when %s", (_when, confirm) => {
    expect(confirm(timedOut()).view).toMatchObject({
      status: "FAILED",
      reason: "STEP_TIMED_OUT",
      error: { code: "STEP_TIMED_OUT", step: "a" },
      steps: { a: { status: "FAILED", attempts: 1 } },
    });
    const retrying = confirm(timedOut({ retries: 1 }));
    expect(retrying.statuses).toEqual({ a: "BACKOFF" });
    expect(retrying.effects).toEqual(["actor.stop:a"]);
  });
});

describe("a step that nobody takes", () => {
  it("has a timer from when it is ready", () => {
    expect(single({ scheduleTimeoutMs: 70 }).admit().timer("ready")!.delayMs).toBe(70);
  });

  it("cancels its run, other steps stopped first", () => {
    const two = run(workflow([step("a"), step("b"), step("c", { after: ["a"] })]))
      .admit()
      .start("b");
    two.after(300_000, "a.attempt.ready");
    expect(two.effects).toEqual(["actor.stop:a", "stopStep:b"]);
    expect(two.view).toMatchObject({
      status: "RUNNING",
      steps: { a: { status: "CANCELLED" }, b: { status: "STOPPING" }, c: { status: "CANCELLED" } },
    });
    expect(two.stopped("b").view).toMatchObject({ status: "CANCELLED", reason: "SCHEDULING_TIMED_OUT" });
  });
});

describe("a step that comes back", () => {
  it("undone wants a worker again, and that was no attempt", () => {
    const returned = single().admit().start("a").returned("a");
    expect(returned.effects).toEqual(["actor.stop:a", "actor.start:a"]);
    expect(returned.view.steps["a"]).toEqual({ status: "READY", attempts: 0 });
    expect(returned.start("a").view.steps["a"]).toMatchObject({ attempts: 1 });
  });

  it("since its worker died wants another, and uses up no retry", () => {
    const lost = single({ retries: 1 }).admit().start("a").lost("a");
    expect(lost.effects).toEqual(["actor.stop:a", "actor.start:a"]);
    expect(lost.start("a").error("a").statuses).toEqual({ a: "BACKOFF" });
    expect(lost.view.steps["a"]!.attempts).toBe(2);
  });

  it("for the fifth time fails, whatever retries it has", () => {
    const unlucky = single({ retries: 9 }).admit();
    for (let i = 1; i <= 4; i++) expect(unlucky.start("a").lost("a").statuses).toEqual({ a: "READY" });
    expect(unlucky.start("a").lost("a").view).toMatchObject({
      status: "FAILED",
      reason: "WORKER_LOST",
      error: { code: "WORKER_LOST" },
    });
  });

  it("having stopped unasked counts as lost", () => {
    const stopped = single().admit().start("a").stopped("a");
    expect(stopped.effects).toEqual(["actor.stop:a", "actor.start:a"]);
    expect(stopped.snapshot.context.steps.a.lost).toBe(1);
  });
});

describe("when a step fails for good", () => {
  const abc = (options: object = {}): TestRun =>
    run(workflow([step("a"), step("b", { retries: 1 }), step("c", { after: ["a"] }), step("d")], options)).admit();

  it("what executes is stopped, and the rest is cancelled", () => {
    const failing = abc().start("a").start("b").error("a");
    expect(failing.effects).toEqual(["actor.stop:a", "stopStep:b", "actor.stop:d"]);
    expect(failing.statuses).toEqual({ a: "FAILED", b: "STOPPING", c: "CANCELLED", d: "CANCELLED" });
    expect(failing.view).toMatchObject({ status: "RUNNING", reason: "STEP_FAILED" });
    expect(failing.error("b").view).toMatchObject({
      status: "FAILED",
      error: { step: "a" },
      steps: { b: { status: "CANCELLED" } },
    });
  });

  it("what waits to retry is cancelled", () => {
    const failing = abc().start("a").start("b").error("b").error("a");
    expect(failing.view).toMatchObject({ status: "FAILED", steps: { b: { status: "CANCELLED", attempts: 1 } } });
  });

  it("under `finish` what executes may finish its attempt, and the rest is cancelled", () => {
    const failing = abc({ onStepFailure: "finish" }).start("a").start("b").error("a");
    expect(failing.effects).toEqual(["actor.stop:a", "actor.stop:d"]);
    expect(failing.statuses).toEqual({ a: "FAILED", b: "RUNNING", c: "CANCELLED", d: "CANCELLED" });
    expect(failing.done("b").view).toMatchObject({
      status: "FAILED",
      reason: "STEP_FAILED",
      steps: { b: { status: "SUCCEEDED" } },
    });
  });

  it("under `finish` nothing is retried or started again", () => {
    const failed = abc({ onStepFailure: "finish" }).start("a").start("b").error("a").error("b");
    expect(failed.view).toMatchObject({ status: "FAILED", error: { step: "a" }, steps: { b: { status: "FAILED" } } });
    expect(abc({ onStepFailure: "finish" }).start("a").start("b").error("a").lost("b").statuses["b"]).toBe("CANCELLED");
    expect(abc({ onStepFailure: "finish" }).start("a").start("b").error("a").returned("b").statuses["b"]).toBe("CANCELLED");
  });

  it("under `finish` a cancellation still stops what executes, and the run stays failed", () => {
    const failing = abc({ onStepFailure: "finish" }).start("a").start("b").error("a").cancel();
    expect(failing.effects).toEqual(["stopStep:b"]);
    expect(failing.stopped("b").view).toMatchObject({ status: "FAILED", reason: "STEP_FAILED" });
  });

  it("children of a parent that succeeds meanwhile don't start", () => {
    const failing = run(workflow([step("a"), step("b"), step("c", { after: ["b"] })], { onStepFailure: "finish" }));
    failing.admit().start("a").start("b").error("a").done("b");
    expect(failing.effects).toEqual(["actor.stop:b"]);
    expect(failing.view).toMatchObject({ status: "FAILED", steps: { c: { status: "CANCELLED" } } });
  });
});

describe("a run that is cancelled", () => {
  it("ends at once when nothing executes, withdrawing what wants a worker", () => {
    const cancelled = single().admit().cancel();
    expect(cancelled.effects).toEqual(["actor.stop:a"]);
    expect(cancelled.view).toMatchObject({
      status: "CANCELLED",
      reason: "CANCELLED_BY_USER",
      steps: { a: { status: "CANCELLED" } },
    });
  });

  it.each([
    ["confirms", (r: TestRun) => r.stopped("a"), "CANCELLED"],
    ["reports an error", (r: TestRun) => r.error("a"), "CANCELLED"],
    ["hands it back", (r: TestRun) => r.returned("a"), "CANCELLED"],
    ["dies", (r: TestRun) => r.lost("a"), "CANCELLED"],
    ["keeps silent for the grace", (r: TestRun) => r.after(5000, "a.attempt.stopping"), "CANCELLED"],
    ["has finished it meanwhile", (r: TestRun) => r.done("a"), "SUCCEEDED"],
  ])("ends when the worker that is told to stop %s", (_what, confirm, status) => {
    const stopping = single({ retries: 3 }).admit().start("a").cancel();
    expect(stopping.effects).toEqual(["stopStep:a"]);
    expect(stopping.timer("stopping")!.delayMs).toBe(5000);
    expect(stopping.view.status).toBe("RUNNING");
    expect(confirm(stopping).view).toMatchObject({ status: "CANCELLED", reason: "CANCELLED_BY_USER", steps: { a: { status } } });
    expect(stopping.snapshot.output).toBeUndefined();
  });

  it("keeps its first reason", () => {
    const twice = single().admit().start("a").cancel("CANCELLED_BY_CONCURRENCY_LIMIT");
    const before = twice.snapshot;
    expect(twice.cancel("CANCELLED_BY_USER").snapshot).toBe(before);
    expect(twice.stopped("a").view.reason).toBe("CANCELLED_BY_CONCURRENCY_LIMIT");
  });

  it("while an attempt that timed out is being stopped waits for that", () => {
    const both = single({ timeoutMs: 1000, retries: 1 }).admit().start("a").after(1000, "a.attempt.executing").cancel();
    expect(both.effects).toEqual([]);
    expect(both.stopped("a").view).toMatchObject({ status: "CANCELLED", reason: "CANCELLED_BY_USER" });
  });

  it("never changes again", () => {
    const ended = single().admit().start("a").cancel().stopped("a");
    const before = ended.snapshot;
    for (const late of [ended.done, ended.error, ended.lost, ended.start, ended.returned])
      expect(late("a").snapshot).toBe(before);
    expect(ended.admit().cancel().snapshot).toBe(before);
  });

  it("may also be failed from outside, with its steps stopped first", () => {
    const failed = single().admit().start("a").send("run.failed", { reason: "MACHINE_FAILED", error: boom });
    expect(failed.effects).toEqual(["stopStep:a"]);
    expect(failed.stopped("a").view).toMatchObject({ status: "FAILED", reason: "MACHINE_FAILED", error: boom });
  });
});

describe("a compiled machine", () => {
  it("is drawn from plain JSON: only the input and the output are functions", () => {
    const { context, output, ...config } = runMachineConfig(
      workflow([step("a", { timeoutMs: 5, retries: 1 }), step("b", { after: ["a"] })]),
    );
    expect([typeof context, typeof output]).toEqual(["function", "function"]);
    expect(JSON.parse(JSON.stringify(config))).toEqual(config);
  });

  it("draws no retries and no timeout where there are none", () => {
    const { states } = runMachineConfig(workflow([step("a")])).states.running.states["a"]!;
    expect(Object.keys(states)).toEqual(["attempt", "deciding", "succeeded", "failed", "cancelled"]);
    expect(Object.keys(states.attempt.states)).toEqual(["ready", "executing", "stopping"]);
  });

  it.each(["constructor", "toString", "attempt", "running", "1", "a-b_c", "ä"])("takes a step called %s", (name) => {
    const odd = run(workflow([step(name, { retries: 1 }), step("z", { after: [name] })])).admit();
    odd.start(name).error(name).after(`backoff.${name}`, `${name}.backoff`).start(name).done(name);
    expect(odd.effects).toEqual([`actor.stop:${name}`, "actor.start:z"]);
    expect(odd.start("z").done("z").view.outputs).toEqual({ [name]: name, z: "z" });
  });

  it.each([1, 5, 20, 100])("goes through %s steps in a chain and side by side", (size) => {
    const names = Array.from({ length: size }, (_, i) => `s${i}`);
    const chain = run(workflow(names.map((name, i) => step(name, { after: names.slice(Math.max(0, i - 1), i) })))).admit();
    for (const name of names) chain.start(name).done(name);
    expect(chain.view.status).toBe("SUCCEEDED");
    const wide = run(workflow(names.map((name) => step(name)))).admit();
    for (const name of names) wide.start(name);
    expect(wide.cancel().effects).toEqual(names.map((name) => `stopStep:${name}`));
    for (const name of names) wide.stopped(name);
    expect(wide.view.status).toBe("CANCELLED");
  });

  it("is failed when the machine itself is", () => {
    const broken = single().admit();
    broken.snapshot = { ...broken.snapshot, status: "error", error: new TypeError("no") } as never;
    expect(broken.view).toMatchObject({
      status: "FAILED",
      reason: "MACHINE_FAILED",
      error: { name: "TypeError", message: "no" },
    });
  });
});
