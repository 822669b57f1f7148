/**
 * A workflow as a machine: `compileRunMachine` turns a definition into one region per step. It is stepped, never run live:
 * its actions are data (see `src/step`), carried out by the engine. Pure: imports xstate and types only.
 *
 * What the engine tells it (`S` is a step's name; see `RunEvent`):
 * - `run.admitted`: all limits have room. `run.cancelled {reason}`, `run.failed {reason, error}`: it shall end.
 * - `step.started.S {worker, attemptId}`: a worker executes it. `step.returned.S`: the worker handed it back undone.
 *   `step.lost.S`: the worker died. `step.stopped.S`: the worker confirms that the attempt has stopped.
 * - `xstate.done.actor.S {output}`, `xstate.error.actor.S {error}`: the result; it may come without a `step.started.S`.
 * - `xstate.after.…`: the event of a timer that was set and not cancelled since.
 * An event that finds nothing to do (late, twice, of a step that has ended) changes nothing.
 *
 * What it wants from the engine, in this order:
 * - `actor.start {id: S}`: S wants a worker now. Once per attempt; again after `step.returned.S` and `step.lost.S`.
 * - `stopStep {step: S}`: S's worker shall stop it. The machine then waits for `step.stopped.S`, for a result, for
 *   `step.lost.S`, or for the grace.
 * - `actor.stop {id: S}`: this wish is over: take S off the queue, forget which worker has it. If a worker still has it, it
 *   is by then being told to stop (the grace is over).
 * - `timer.set {id, delayMs, event}` and `timer.cancel {id}`: one timer per id; setting replaces; cancelling one that is not
 *   there is normal.
 * When the snapshot's `status` is no longer `active` the run has ended: all its work has stopped or was given up.
 */
import { assign, createMachine, raise } from "xstate";
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

/** A result may come before, or without, the news that the step was started. */
function attemptsWithResult(step: StepContext): number {
  return step.started ? step.attempt : step.attempt + 1;
}

function errorOf(event: RunEvent): StepError {
  return ("error" in event && event.error) || { name: "Error", message: "the step failed without saying why" };
}

const isSettled = (step: StepContext): boolean => step.status !== "open";

const actions = {
  /** blocked → attempt */
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
      },
    }),
  ),

  recordCancel: assign(({ context }: Args, { step }: Params) =>
    change(context, step, { started: false, status: "cancelled" }),
  ),

  /** The step has failed for good, and so has the run, unless it is ending already. */
  failStep: assign(({ context }: Args, { step, stop }: Params & { readonly stop: boolean }) => {
    const { error = errorOf({ type: "run.ending" }) } = stepOf(context, step);
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

  /** Tells the other regions: what does not execute is cancelled, what does is stopped where the ending says so. */
  endSteps: raise({ type: "run.ending" }),
};

const guards = {
  parentsSucceeded: ({ context }: Args, { steps }: { readonly steps: readonly string[] }): boolean =>
    context.ending === null && steps.every((step) => context.steps[step]?.status === "succeeded"),
  mayRetry: ({ context, event }: Args, { step, retries }: Params & { readonly retries: number }): boolean =>
    context.ending === null && stepOf(context, step).failures < retries && errorOf(event).retryable !== false,
  /** After a timeout, whatever event confirmed that the attempt has stopped. */
  mayRetryTimeout: ({ context }: Args, { step, retries }: Params & { readonly retries: number }): boolean =>
    context.ending === null && stepOf(context, step).failures < retries,
  maySurviveLoss: ({ context }: Args, { step }: Params): boolean => stepOf(context, step).lost + 1 < MAX_LOSSES,
  runGoesOn: ({ context }: Args): boolean => context.ending === null,
  runEnds: ({ context }: Args): boolean => context.ending !== null,
  stopsExecuting: ({ context }: Args): boolean => context.ending?.stop === true,
  notYetStopping: ({ context }: Args): boolean => context.ending?.stop !== true,
  allSucceeded: ({ context }: Args): boolean => {
    if (context.ending !== null) return false;
    for (const step in context.steps) if (context.steps[step]?.status !== "succeeded") return false;
    return true;
  },
  cancelledAndSettled: ({ context }: Args): boolean =>
    context.ending?.status === "CANCELLED" && Object.values(context.steps).every(isSettled),
  failedAndSettled: ({ context }: Args): boolean =>
    context.ending?.status === "FAILED" && Object.values(context.steps).every(isSettled),
};

/** The region of one step. Everything in it is JSON. */
function region(spec: WorkflowSpec, s: StepSpec) {
  const step = s.name;
  const params = { step };
  const to = (state: string): string => `#run.running.${step}.${state}`;
  const act = (type: keyof typeof actions) => ({ type, params });
  const fail = [{ type: "failStep", params: { step, stop: spec.onStepFailure === "cancel" } }, { type: "endSteps" }];
  const cancelled = { target: to("cancelled"), actions: [act("recordCancel")] };
  const stopStep = { type: "stopStep", params };

  /** An attempt that timed out and has now stopped, or was given up. */
  const timeout = { type: "recordTimeout", params: { step, timeoutMs: s.timeoutMs } };
  const afterTimeout = [
    { guard: { type: "mayRetryTimeout", params: { step, retries: s.retries } }, target: to("backoff"), actions: [timeout] },
    { target: to("failed"), actions: [timeout, ...fail] },
  ];

  return {
    initial: s.after.length > 0 ? "blocked" : "attempt",
    states: {
      ...(s.after.length > 0 && {
        blocked: {
          always: {
            guard: { type: "parentsSucceeded", params: { steps: [...s.after] } },
            target: "attempt",
            actions: [act("openStep")],
          },
        },
      }),
      attempt: {
        invoke: { id: step, src: "step" },
        initial: "ready",
        on: {
          [`xstate.done.actor.${step}`]: { target: "succeeded", actions: [act("recordSuccess")] },
          [`xstate.error.actor.${step}`]: [
            {
              guard: { type: "mayRetry", params: { step, retries: s.retries } },
              target: "backoff",
              actions: [act("recordFailure")],
            },
            { target: "failed", actions: [act("recordFailure"), ...fail] },
          ],
          [`step.returned.${step}`]: [
            { guard: "runGoesOn", target: "attempt", reenter: true, actions: [act("recordReturn")] },
            { target: "cancelled", actions: [act("recordReturn"), act("recordCancel")] },
          ],
          [`step.lost.${step}`]: [
            { guard: "runEnds", target: "cancelled", actions: [act("recordLoss"), act("recordCancel")] },
            {
              guard: { type: "maySurviveLoss", params },
              target: "attempt",
              reenter: true,
              actions: [act("recordLoss")],
            },
            { target: "failed", actions: [act("recordLoss"), act("recordWorkersLost"), ...fail] },
          ],
        },
        states: {
          ready: {
            on: {
              [`step.started.${step}`]: { target: "executing", actions: [act("recordStart")] },
              "run.ending": cancelled,
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
          },
          executing: {
            on: { "run.ending": { guard: "stopsExecuting", target: "stopping" } },
            ...(s.timeoutMs !== undefined && { after: { [s.timeoutMs]: "timedOut" } }),
          },
          ...(s.timeoutMs !== undefined && {
            timedOut: {
              entry: [stopStep],
              on: {
                [`xstate.done.actor.${step}`]: afterTimeout,
                [`xstate.error.actor.${step}`]: afterTimeout,
                [`step.stopped.${step}`]: afterTimeout,
                [`step.returned.${step}`]: afterTimeout,
                [`step.lost.${step}`]: afterTimeout,
              },
              after: { [spec.graceMs]: afterTimeout },
            },
          }),
          stopping: {
            entry: [stopStep],
            on: {
              [`xstate.error.actor.${step}`]: cancelled,
              [`step.stopped.${step}`]: cancelled,
              [`step.returned.${step}`]: { target: to("cancelled"), actions: [act("recordReturn"), act("recordCancel")] },
              [`step.lost.${step}`]: { target: to("cancelled"), actions: [act("recordLoss"), act("recordCancel")] },
            },
            after: { [spec.graceMs]: cancelled },
          },
        },
      },
      backoff: {
        on: { "run.ending": cancelled },
        after: { [`backoff.${step}`]: "attempt" },
      },
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
          "run.cancelled": { guard: "notYetStopping", actions: [{ type: "cancelRun" }, { type: "endSteps" }] },
          "run.failed": { guard: "notYetStopping", actions: [{ type: "failRun" }, { type: "endSteps" }] },
        },
        always: [
          { guard: "allSucceeded", target: "succeeded" },
          { guard: "failedAndSettled", target: "failed" },
          { guard: "cancelledAndSettled", target: "cancelled" },
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
