/**
 * A workflow as a machine: `compileRunMachine` turns a definition into one region per step. It is stepped, never run live:
 * its actions are data (see `src/step`), carried out by the engine. Pure: imports xstate and types only.
 *
 * What the engine tells it (`S` is a step's name; see `RunEvent`):
 * - `run.admitted`: all limits have room. `run.cancelled {reason, message?}`, `run.failed {reason, error?}`: it shall end.
 * - `step.started.S {worker, attemptId}`: S is assigned to a worker. To be told before it is sent there, since a step that
 *   was not started is withdrawn without waiting for anyone. `step.returned.S`: the worker handed it back undone.
 *   `step.lost.S`: the worker died. `step.stopped.S`: the worker confirms that the attempt has stopped.
 * - `xstate.done.actor.S {output}`, `xstate.error.actor.S {error}`: the result; it may come without a `step.started.S`.
 * - `xstate.after.…`: the event of a timer that was set and not cancelled since.
 * An event that finds nothing to do (late, twice, of a step that has ended) gives the same snapshot and no actions. Events
 * carry no attempt: those of an earlier attempt are for the engine to hold back.
 *
 * What it wants from the engine, in this order, all of it before the next event is fed:
 * - `actor.start {id: S}`: S wants a worker now. Once per attempt; again after `step.returned.S` and `step.lost.S`.
 * - `stopStep {step: S}`: S's worker shall stop it. The machine then waits for `step.stopped.S`, for a result, for
 *   `step.returned.S` or `step.lost.S`, or for the grace.
 * - `actor.stop {id: S}`: this wish is over: take S off the queue, forget which worker has it. If a worker still has it, it
 *   has been told to stop, and the grace is over.
 * - `timer.set {id, delayMs, event}` and `timer.cancel {id}`: one timer per id; setting replaces; cancelling one that is not
 *   there is normal.
 * When the snapshot's `status` is no longer `active` the run has ended: all its work has stopped or was given up, and no
 * timer is left.
 */
import { assign, createMachine, enqueueActions } from "xstate";
import type { AnyStateMachine } from "xstate";
import type { StepSpec, WorkflowSpec } from "../../src/workflow/spec.ts";
import { backoffMs } from "./backoff.ts";
import type { Ending, RunContext, RunEvent, RunInput, StepContext, StepError } from "./context.ts";

/** A step whose workers died this often fails: it probably kills them. */
export const MAX_LOSSES = 5;

type Args = { readonly context: RunContext; readonly event: RunEvent };
type Params = { readonly step: string };

const FRESH: StepContext = { attempt: 0, failures: 0, lost: 0, started: false };
const OPEN: StepContext = { ...FRESH, status: "open" };

/** The codes that become the run's reason when a step fails for good. */
const REASONS = new Set(["STEP_TIMED_OUT", "WORKER_LOST", "INPUT_INVALID"]);

function change(context: RunContext, step: string, patch: Partial<StepContext>): Pick<RunContext, "steps"> {
  return { steps: { ...context.steps, [step]: { ...stepOf(context, step), ...patch } } };
}

function stepOf(context: RunContext, step: string): StepContext {
  return context.steps[step] ?? FRESH;
}

function isUnsettled(step: StepContext | undefined): boolean {
  return step?.status === undefined || step.status === "open";
}

/** A result may come before, or without, the news that the step was started. */
function attemptsWithResult(step: StepContext): number {
  return step.started ? step.attempt : step.attempt + 1;
}

function errorOf(event: RunEvent): StepError {
  return ("error" in event && event.error) || { name: "Error", message: "the step failed without saying why" };
}

const actions = {
  openStep: assign(({ context }: Args, { step }: Params) => change(context, step, { status: "open" })),

  recordStart: assign(({ context, event }: Args, { step }: Params) => {
    const { worker, attemptId } = event as Extract<RunEvent, { type: `step.started.${string}` }>;
    return change(context, step, {
      attempt: stepOf(context, step).attempt + 1,
      started: true,
      ...(worker === undefined ? {} : { worker }),
      ...(attemptId === undefined ? {} : { attemptId }),
    });
  }),

  recordReturn: assign(({ context }: Args, { step }: Params) => {
    const { attempt, started } = stepOf(context, step);
    return change(context, step, { attempt: started ? attempt - 1 : attempt, started: false });
  }),

  recordLoss: assign(({ context }: Args, { step }: Params) =>
    change(context, step, { lost: stepOf(context, step).lost + 1, started: false }),
  ),

  recordSuccess: assign(({ context, event }: Args, { step }: Params) => {
    const { output } = event as { readonly output?: unknown };
    return change(context, step, {
      attempt: attemptsWithResult(stepOf(context, step)),
      started: false,
      status: "succeeded",
      output,
    });
  }),

  recordFailure: assign(({ context, event }: Args, { step }: Params) => {
    const before = stepOf(context, step);
    return change(context, step, {
      attempt: attemptsWithResult(before),
      failures: before.failures + 1,
      started: false,
      error: errorOf(event),
    });
  }),

  recordTimeout: assign(({ context }: Args, { step, timeoutMs }: Params & { readonly timeoutMs: number }) =>
    change(context, step, {
      failures: stepOf(context, step).failures + 1,
      started: false,
      error: {
        name: "StepTimedOutError",
        message: `step "${step}" did not finish within ${timeoutMs} ms`,
        code: "STEP_TIMED_OUT",
      },
    }),
  ),

  recordWorkersLost: assign(({ context }: Args, { step }: Params) =>
    change(context, step, {
      error: {
        name: "WorkerLostError",
        message: `step "${step}" lost its worker ${MAX_LOSSES} times`,
        code: "WORKER_LOST",
        retryable: false,
      },
    }),
  ),

  recordCancel: assign(({ context }: Args, { step }: Params) => change(context, step, { started: false, status: "cancelled" })),

  /** The step has failed for good, and so has the run, unless it is ending already. */
  failStep: assign(({ context }: Args, { step, stop }: Params & { readonly stop: boolean }) => {
    const { error = errorOf({ type: "run.admitted" }) } = stepOf(context, step);
    const reason = error.code !== undefined && REASONS.has(error.code) ? error.code : "STEP_FAILED";
    const ending: Ending = context.ending ?? { status: "FAILED", reason, error: { ...error, step }, stop };
    return { ...change(context, step, { status: "failed" }), ending };
  }),

  /** Nobody took it in time. */
  timeOutSchedule: assign(({ context }: Args, { step, scheduleTimeoutMs }: Params & { readonly scheduleTimeoutMs: number }) => ({
    ending: context.ending ?? {
      status: "CANCELLED" as const,
      reason: "SCHEDULING_TIMED_OUT",
      message: `no worker took step "${step}" within ${scheduleTimeoutMs} ms`,
      stop: true,
    },
  })),

  cancelRun: assign(({ context, event }: Args) => {
    const { reason, message } = event as Extract<RunEvent, { type: "run.cancelled" }>;
    const ending: Ending = context.ending
      ? { ...context.ending, stop: true }
      : { status: "CANCELLED", reason, ...(message === undefined ? {} : { message }), stop: true };
    return { ending };
  }),

  failRun: assign(({ context, event }: Args) => {
    const { reason, error } = event as Extract<RunEvent, { type: "run.failed" }>;
    const ending: Ending = context.ending
      ? { ...context.ending, stop: true }
      : { status: "FAILED", reason, ...(error === undefined ? {} : { error }), stop: true };
    return { ending };
  }),

  /**
   * Tells the regions that have not ended, one after the other: XState takes cubic time to resolve transitions of many
   * regions on one event (cancelling 200 executing steps: 300 ms, and 90 in this way).
   */
  endSteps: enqueueActions(({ context, enqueue }) => {
    const { steps } = context as RunContext;
    for (const step in steps) if (isUnsettled(steps[step])) enqueue.raise({ type: `step.cancelled.${step}` });
  }),

  /** Likewise the steps that come after this one. */
  tellChildren: enqueueActions(({ enqueue }, { children }: { readonly children: readonly string[] }) => {
    for (const step of children) enqueue.raise({ type: `parent.succeeded.${step}` });
  }),
};

const guards = {
  parentsSucceeded: ({ context }: Args, { steps }: { readonly steps: readonly string[] }): boolean =>
    steps.every((step) => context.steps[step]?.status === "succeeded"),
  /** Its last attempt has failed. */
  mayRetry: ({ context }: Args, { step, retries }: Params & { readonly retries: number }): boolean => {
    const { failures, error } = stepOf(context, step);
    return context.ending === null && failures <= retries && error?.retryable !== false;
  },
  maySurviveLoss: ({ context }: Args, { step }: Params): boolean => stepOf(context, step).lost + 1 < MAX_LOSSES,
  runEnds: ({ context }: Args): boolean => context.ending !== null,
  stopsExecuting: ({ context }: Args): boolean => context.ending?.stop === true,
  notStopping: ({ context }: Args): boolean => context.ending?.stop !== true,
  endsFailed: ({ context }: Args): boolean => context.ending?.status === "FAILED",
  endsCancelled: ({ context }: Args): boolean => context.ending?.status === "CANCELLED",
};

/** The region of one step. Everything in it is JSON. */
function region(spec: WorkflowSpec, s: StepSpec) {
  const step = s.name;
  const params = { step };
  const children = spec.steps.filter((other) => other.after.includes(step)).map((other) => other.name);
  const to = (state: string): string => `#run.running.${step}.${state}`;
  const act = (type: keyof typeof actions | "stopStep") => ({ type, params });
  const cancelled = { target: to("cancelled"), actions: [act("recordCancel")] };
  const tried = { target: to("deciding") };

  const blocked = {
    description: `until ${s.after.join(", ")} ${s.after.length > 1 ? "have" : "has"} succeeded`,
    on: {
      [`parent.succeeded.${step}`]: {
        guard: { type: "parentsSucceeded", params: { steps: [...s.after] } },
        target: "attempt",
        actions: [act("openStep")],
      },
      [`step.cancelled.${step}`]: cancelled,
    },
  };

  const ready = {
    description: "wants a worker",
    on: {
      [`step.started.${step}`]: { target: "executing", actions: [act("recordStart")] },
      [`step.cancelled.${step}`]: cancelled,
    },
    after: {
      [s.scheduleTimeoutMs]: {
        target: to("cancelled"),
        actions: [
          act("recordCancel"),
          { type: "timeOutSchedule", params: { step, scheduleTimeoutMs: s.scheduleTimeoutMs } },
          { type: "endSteps" },
        ],
      },
    },
  };

  const lost = [
    { guard: "runEnds", target: to("cancelled"), actions: [act("recordLoss"), act("recordCancel")] },
    { guard: { type: "maySurviveLoss", params }, target: to("attempt"), reenter: true, actions: [act("recordLoss")] },
    { target: to("deciding"), actions: [act("recordLoss"), act("recordWorkersLost")] },
  ];

  const executing = {
    on: {
      [`step.cancelled.${step}`]: { guard: "stopsExecuting", target: "stopping" },
      // Without having been told to, and without a result.
      [`step.stopped.${step}`]: lost,
    },
    ...(s.timeoutMs !== undefined && {
      after: {
        [s.timeoutMs]: {
          target: "timedOut",
          actions: [{ type: "recordTimeout", params: { step, timeoutMs: s.timeoutMs } }],
        },
      },
    }),
  };

  const timedOut = {
    description: "told to stop; its failure is recorded, and a result comes too late",
    entry: [act("stopStep")],
    on: {
      [`xstate.done.actor.${step}`]: tried,
      [`xstate.error.actor.${step}`]: tried,
      [`step.stopped.${step}`]: tried,
      [`step.returned.${step}`]: tried,
      [`step.lost.${step}`]: tried,
    },
    after: { [spec.graceMs]: tried },
  };

  const stopping = {
    description: "told to stop, since the run ends",
    entry: [act("stopStep")],
    on: {
      [`xstate.error.actor.${step}`]: cancelled,
      [`step.stopped.${step}`]: cancelled,
      [`step.returned.${step}`]: { ...cancelled, actions: [act("recordReturn"), act("recordCancel")] },
      [`step.lost.${step}`]: { ...cancelled, actions: [act("recordLoss"), act("recordCancel")] },
    },
    after: { [spec.graceMs]: cancelled },
  };

  const attempt = {
    invoke: { id: step, src: "step" },
    initial: "ready",
    on: {
      [`xstate.done.actor.${step}`]: {
        target: "succeeded",
        actions: [act("recordSuccess"), ...(children.length > 0 ? [{ type: "tellChildren", params: { children } }] : [])],
      },
      [`xstate.error.actor.${step}`]: { target: "deciding", actions: [act("recordFailure")] },
      [`step.returned.${step}`]: [
        { guard: "runEnds", target: "cancelled", actions: [act("recordReturn"), act("recordCancel")] },
        { target: "attempt", reenter: true, actions: [act("recordReturn")] },
      ],
      [`step.lost.${step}`]: lost,
    },
    states: { ready, executing, ...(s.timeoutMs !== undefined && { timedOut }), stopping },
  };

  return {
    initial: s.after.length > 0 ? "blocked" : "attempt",
    states: {
      ...(s.after.length > 0 && { blocked }),
      attempt,
      deciding: {
        description: "left at once",
        always: [
          ...(s.retries > 0 ? [{ guard: { type: "mayRetry", params: { step, retries: s.retries } }, target: "backoff" }] : []),
          {
            target: "failed",
            actions: [{ type: "failStep", params: { step, stop: spec.onStepFailure === "cancel" } }, { type: "endSteps" }],
          },
        ],
      },
      ...(s.retries > 0 && {
        backoff: {
          on: { [`step.cancelled.${step}`]: cancelled },
          after: { [`backoff.${step}`]: "attempt" },
        },
      }),
      succeeded: { type: "final" },
      failed: { type: "final" },
      cancelled: { type: "final" },
    },
  };
}

/** The machine's config: what the visualizer draws. JSON but for `context` and `output`. */
export function runMachineConfig(spec: WorkflowSpec) {
  const steps: Record<string, StepContext> = {};
  for (const s of spec.steps) steps[s.name] = s.after.length > 0 ? FRESH : OPEN;

  return {
    id: "run",
    context: ({ input }: { input: RunInput | undefined }): RunContext => ({ runId: input?.runId ?? "", ending: null, steps }),
    output: ({ context }: { context: RunContext }) => outputsOf(context),
    initial: "waiting",
    /** An error event without a transition would put the machine itself into the status `error`; a late one is not one. */
    on: { "xstate.error.actor.*": {} },
    states: {
      waiting: {
        on: {
          "run.admitted": { target: "running" },
          "run.cancelled": { target: "cancelled", actions: [{ type: "cancelRun" }] },
          "run.failed": { target: "failed", actions: [{ type: "failRun" }] },
        },
      },
      running: {
        type: "parallel",
        on: {
          "run.cancelled": { guard: "notStopping", actions: [{ type: "cancelRun" }, { type: "endSteps" }] },
          "run.failed": { guard: "notStopping", actions: [{ type: "failRun" }, { type: "endSteps" }] },
        },
        /** All steps have ended, one way or another. */
        onDone: [
          { guard: "endsFailed", target: "failed" },
          { guard: "endsCancelled", target: "cancelled" },
          { target: "succeeded" },
        ],
        states: Object.fromEntries(spec.steps.map((s) => [s.name, region(spec, s)])),
      },
      succeeded: { type: "final" },
      failed: { type: "final" },
      cancelled: { type: "final" },
    },
  };
}

/** The outputs by step where the run has succeeded; nothing otherwise. */
export function outputsOf(context: RunContext): { [step: string]: unknown } | undefined {
  if (context.ending !== null) return undefined;
  const outputs: { [step: string]: unknown } = {};
  for (const step in context.steps) outputs[step] = context.steps[step]?.output;
  return outputs;
}

/** Never throws for a definition that was validated. Compile once per workflow version, not per run. */
export function compileRunMachine(spec: WorkflowSpec): AnyStateMachine {
  const delays = Object.fromEntries(
    spec.steps.map(({ name, backoff }) => [
      `backoff.${name}`,
      ({ context }: Args) => backoffMs(backoff, context.runId, name, stepOf(context, name).failures),
    ]),
  );
  return createMachine(runMachineConfig(spec) as never, { actions, guards, delays } as never) as AnyStateMachine;
}

/** Whether this event of a run's machine says that the grace of an attempt that was told to stop is over. */
export function isEndOfGrace(eventType: string): boolean {
  return /^xstate\.after\..*\.(?:stopping|timedOut)$/.test(eventType);
}
