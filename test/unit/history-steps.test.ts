/** What the history says of steps, against the machine that the engine steps: both are fed the same events. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileRunMachine } from "../../machines/run/compile.ts";
import { describeRun } from "../../machines/run/describe.ts";
import { StepFold } from "../../src/history/step-fold.ts";
import type { MachineEvent } from "../../src/engine/facts.ts";
import { createStepper, type MachineSnapshot, type StepAction } from "../../src/step/stepper.ts";
import type { StepSpec, WorkflowSpec } from "../../src/workflow/spec.ts";

const NAMES = ["a", "b", "c", "d"];
const BACKOFF = { factor: 2, minMs: 10, maxMs: 100 };

const stepSpec = (index: number): fc.Arbitrary<StepSpec> =>
  fc
    .record({ after: fc.subarray(NAMES.slice(0, index)), retries: fc.integer({ min: 0, max: 2 }), timed: fc.boolean() })
    .map(({ after, retries, timed }) => ({
      name: NAMES[index] ?? "",
      after,
      retries,
      backoff: BACKOFF,
      ...(timed && { timeoutMs: 1_000 }),
      scheduleTimeoutMs: 60_000,
    }));

const spec: fc.Arbitrary<WorkflowSpec> = fc
  .record({
    steps: fc.integer({ min: 1, max: 4 }).chain((count) => fc.tuple(...NAMES.slice(0, count).map((_, index) => stepSpec(index)))),
    onStepFailure: fc.constantFrom("cancel" as const, "finish" as const),
  })
  .map(({ steps, onStepFailure }) => ({
    name: "w",
    version: "v1",
    on: [],
    cron: [],
    steps,
    limits: [],
    onStepFailure,
    graceMs: 5_000,
  }));

/** What happens next: a kind, and a number that picks the step or timer. */
const happening = fc.tuple(
  fc.constantFrom(
    "start",
    "start",
    "start",
    "done",
    "done",
    "error",
    "fatal",
    "stopped",
    "returned",
    "lost",
    "timer",
    "timer",
    "cancel",
    "fail",
  ),
  fc.nat(50),
);

/** The run as its partition holds it: only events that the machine reacts to are recorded. */
class Live {
  readonly fold: StepFold;
  readonly #spec: WorkflowSpec;
  readonly #stepper;
  readonly #timers = new Map<string, MachineEvent>();
  #snapshot: MachineSnapshot;
  #attempts = 0;
  #at = 1_000;

  constructor(spec: WorkflowSpec) {
    this.#spec = spec;
    this.fold = new StepFold(spec);
    this.#stepper = createStepper(compileRunMachine(spec));
    this.#snapshot = this.#stepper.initialWith({ runId: "r" }).snapshot;
    const step = this.#stepper.step(this.#snapshot, { type: "run.admitted" });
    this.#snapshot = step.snapshot;
    this.#take(step.actions);
    this.fold.admitted();
  }

  happens(kind: string, pick: number): void {
    const names = this.#spec.steps.map(({ name }) => name);
    const step = names[pick % names.length] ?? "";
    const timers = [...this.#timers.keys()];
    const timer = timers[pick % Math.max(timers.length, 1)];
    switch (kind) {
      case "start":
        return this.#feed({
          type: `step.started.${step}`,
          worker: `w${pick}`,
          attemptId: `r.${step}.${++this.#attempts}`,
          attempt: 1,
        });
      case "done":
        return this.#feed({ type: `xstate.done.actor.${step}`, output: { pick } });
      case "error":
        return this.#feed({ type: `xstate.error.actor.${step}`, error: { name: "Error", message: `no ${pick}` } });
      case "fatal":
        return this.#feed({ type: `xstate.error.actor.${step}`, error: { name: "Error", message: "no", retryable: false } });
      case "cancel":
        return this.#feed({ type: "run.cancelled", reason: "CANCELLED_BY_USER" });
      case "fail":
        return this.#feed({ type: "run.failed", reason: "MACHINE_FAILED", error: { name: "Error", message: "x" } });
      case "timer":
        if (timer === undefined) return;
        this.#feed(this.#timers.get(timer) ?? { type: "none" });
        this.#timers.delete(timer);
        return;
      default:
        return this.#feed({ type: `step.${kind}.${step}` });
    }
  }

  get ended(): boolean {
    return this.#snapshot.status !== "active";
  }

  described(): unknown {
    const { steps, ...run } = describeRun(this.#spec, this.#snapshot as never);
    return JSON.parse(JSON.stringify({ steps, reason: run.reason, error: run.error })) as unknown;
  }

  folded(): unknown {
    const views = Object.entries(this.fold.views(this.ended)).map(([name, { startedAt: _s, finishedAt: _f, ...view }]) => [
      name,
      view,
    ]);
    return JSON.parse(
      JSON.stringify({ steps: Object.fromEntries(views), reason: this.fold.ending?.reason, error: this.fold.ending?.error }),
    ) as unknown;
  }

  #feed(ev: MachineEvent): void {
    const before = this.#snapshot;
    const step = this.#stepper.step(before, ev);
    expect(step.error).toBeUndefined();
    if (step.snapshot === before && step.actions.length === 0) return;
    this.#snapshot = step.snapshot;
    this.#take(step.actions);
    this.fold.event(this.#at++, JSON.parse(JSON.stringify(ev)) as MachineEvent);
  }

  #take(actions: readonly StepAction[]): void {
    for (const { type, params } of actions) {
      if (type === "timer.set") this.#timers.set(params.id, params.event);
      if (type === "timer.cancel") this.#timers.delete(params.id);
    }
  }
}

describe("Steps in the history", () => {
  it("are what the run's machine says they are, after every event, whatever happens", () => {
    fc.assert(
      fc.property(spec, fc.array(happening, { minLength: 1, maxLength: 60 }), (workflow, happenings) => {
        const live = new Live(workflow);
        expect(live.folded()).toEqual(live.described());
        for (const [kind, pick] of happenings) {
          live.happens(kind, pick);
          expect(live.folded()).toEqual(live.described());
        }
      }),
      { numRuns: 300 },
    );
  });

  it("end cancelled where the run has ended before they were through", () => {
    const workflow = fc.sample(spec, { numRuns: 1, seed: 1 })[0];
    const fold = new StepFold(workflow);
    expect(Object.values(fold.views(false)).map(({ status }) => status)).toEqual(workflow?.steps.map(() => "BLOCKED"));
    expect(Object.values(fold.views(true)).map(({ status }) => status)).toEqual(workflow?.steps.map(() => "CANCELLED"));
  });

  it("are told by their events alone where the workflow's version is not known", () => {
    const fold = new StepFold(undefined);
    fold.admitted();
    fold.event(1_000, { type: "step.started.a", worker: "w1" });
    fold.event(2_000, { type: "xstate.done.actor.a", output: 5, startedAt: 1_100, finishedAt: 1_900 });
    expect(fold.views(true)).toEqual({
      a: {
        status: "SUCCEEDED",
        attempts: 1,
        output: 5,
        worker: "w1",
        startedAt: "1970-01-01T00:00:01.100Z",
        finishedAt: "1970-01-01T00:00:01.900Z",
      },
    });
  });
});
