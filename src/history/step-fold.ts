/**
 * What became of a run's steps, from the events that its machine was fed. It says what the machine of
 * machines/run/compile.ts would (a test holds the two equal), without building that machine: the history shows runs of
 * versions that no worker serves any more, fifty at a time.
 */
import type { ErrorData } from "../protocol/work.ts";
import type { StepStatus, StepView } from "../protocol/view.ts";
import type { StepSpec, WorkflowSpec } from "../workflow/spec.ts";
import type { MachineEvent } from "./journal.ts";

/** As in the machine: a step whose workers died this often fails. */
const MAX_LOSSES = 5;
const REASONS = new Set(["STEP_TIMED_OUT", "WORKER_LOST", "INPUT_INVALID"]);
/** Timer events end with the id of the state that set them. */
const TIMER = /\.run\.running\.([^.]+)\.(?:attempt\.)?([a-zA-Z]+)$/;

type Mode = "blocked" | "ready" | "executing" | "timedOut" | "stopping" | "backoff" | "succeeded" | "failed" | "cancelled";

const STATUS: Readonly<Record<Mode, StepStatus>> = {
  blocked: "BLOCKED",
  ready: "READY",
  executing: "RUNNING",
  timedOut: "STOPPING",
  stopping: "STOPPING",
  backoff: "BACKOFF",
  succeeded: "SUCCEEDED",
  failed: "FAILED",
  cancelled: "CANCELLED",
};

/** At no worker now. */
const WAITING: ReadonlySet<StepStatus> = new Set(["BLOCKED", "READY", "BACKOFF"]);

interface Step {
  readonly spec: StepSpec | undefined;
  mode: Mode;
  attempts: number;
  failures: number;
  lost: number;
  started: boolean;
  output?: unknown;
  error?: ErrorData;
  worker?: string;
  startedAt?: number;
  finishedAt?: number;
}

/** What ends the run, other than success. */
export interface Ending {
  readonly status: "CANCELLED" | "FAILED";
  readonly reason: string;
  readonly error?: ErrorData;
  readonly stop: boolean;
}

export class StepFold {
  ending: Ending | undefined;
  /** When the first attempt was given to a worker. */
  startedAt: number | undefined;
  readonly #spec: WorkflowSpec | undefined;
  readonly #steps = new Map<string, Step>();

  /** Without a spec, the steps are those that the events name. */
  constructor(spec: WorkflowSpec | undefined) {
    this.#spec = spec;
    for (const step of spec?.steps ?? []) this.#steps.set(step.name, fresh(step, "blocked"));
  }

  admitted(): void {
    for (const step of this.#steps.values()) if (step.mode === "blocked" && step.spec?.after.length === 0) step.mode = "ready";
  }

  event(at: number, ev: MachineEvent): void {
    const { type } = ev;
    if (type === "run.cancelled" || type === "run.failed") {
      if (this.ending?.stop === true) return;
      this.#end(type === "run.failed" ? "FAILED" : "CANCELLED", String(ev["reason"]), ev["error"] as ErrorData | undefined, true);
    } else if (type.startsWith("xstate.after.")) {
      const [, name, state] = TIMER.exec(type) ?? [];
      if (name !== undefined) this.#timer(at, name, this.#step(name), state as Mode);
    } else {
      const name = type.slice(type.lastIndexOf(".") + 1);
      this.#outcome(at, type.slice(0, -name.length - 1), ev, name, this.#step(name));
    }
  }

  #outcome(at: number, kind: string, ev: MachineEvent, name: string, step: Step): void {
    const { mode } = step;
    const atWorker = mode === "ready" || mode === "executing" || mode === "stopping";
    if (kind === "step.started") {
      if (mode !== "ready") return;
      step.mode = "executing";
      step.attempts++;
      step.started = true;
      step.startedAt = at;
      delete step.finishedAt;
      this.startedAt ??= at;
      if (typeof ev["worker"] === "string") step.worker = ev["worker"];
      return;
    }
    if (mode !== "timedOut" && !atWorker) return;
    if (typeof ev["startedAt"] === "number") step.startedAt = ev["startedAt"];
    step.finishedAt = typeof ev["finishedAt"] === "number" ? ev["finishedAt"] : at;
    // The time-out is recorded as its failure; what comes after it only says that the attempt is over.
    if (mode === "timedOut") return this.#decide(name, step);
    switch (kind) {
      case "xstate.done.actor":
        countResult(step);
        step.mode = "succeeded";
        step.output = ev["output"];
        this.#unblock();
        return;
      case "xstate.error.actor":
        if (mode === "stopping") return cancel(step);
        countResult(step);
        step.failures++;
        step.error = (ev["error"] as ErrorData | undefined) ?? { name: "Error", message: "the step failed without saying why" };
        return this.#decide(name, step);
      case "step.stopped":
        if (mode === "stopping") return cancel(step);
        // Nobody told it to stop: its worker does not have it any more.
        return mode === "executing" ? this.#lose(name, step) : undefined;
      case "step.returned":
        if (step.started) step.attempts--;
        delete step.startedAt;
        delete step.finishedAt;
        return this.#again(step);
      case "step.lost":
        return this.#lose(name, step);
      default:
    }
  }

  #timer(at: number, name: string, step: Step, state: Mode): void {
    if (step.mode !== state) return;
    switch (state) {
      case "ready":
        cancel(step);
        this.ending ??= { status: "CANCELLED", reason: "SCHEDULING_TIMED_OUT", stop: true };
        return this.#endSteps();
      case "executing":
        step.mode = "timedOut";
        step.failures++;
        step.started = false;
        step.error = {
          name: "StepTimedOutError",
          message: `step "${name}" did not finish within ${step.spec?.timeoutMs ?? 0} ms`,
          code: "STEP_TIMED_OUT",
        };
        return;
      case "timedOut":
        step.finishedAt = at;
        return this.#decide(name, step);
      case "stopping":
        step.finishedAt = at;
        return cancel(step);
      case "backoff":
        step.mode = "ready";
        return;
      default:
    }
  }

  #lose(name: string, step: Step): void {
    step.lost++;
    if (step.mode === "stopping" || this.ending !== undefined || step.lost < MAX_LOSSES) return this.#again(step);
    step.error = {
      name: "WorkerLostError",
      message: `step "${name}" lost its worker ${MAX_LOSSES} times`,
      code: "WORKER_LOST",
      retryable: false,
    };
    this.#decide(name, step);
  }

  /** Wants a worker again, unless the run ends. */
  #again(step: Step): void {
    step.started = false;
    step.mode = this.ending === undefined ? "ready" : "cancelled";
  }

  /** An attempt has failed: another one, or the end of the run. */
  #decide(name: string, step: Step): void {
    const retries = step.spec?.retries ?? 0;
    if (retries > 0 && this.ending === undefined && step.failures <= retries && step.error?.retryable !== false) {
      step.mode = "backoff";
      return;
    }
    step.mode = "failed";
    const code = step.error?.code;
    const error = { ...(step.error ?? { name: "Error", message: "" }), step: name };
    const stop = this.#spec?.onStepFailure !== "finish";
    this.ending ??= { status: "FAILED", reason: code !== undefined && REASONS.has(code) ? code : "STEP_FAILED", error, stop };
    this.#endSteps();
  }

  #end(status: Ending["status"], reason: string, error: ErrorData | undefined, stop: boolean): void {
    this.ending =
      this.ending === undefined ? { status, reason, ...(error !== undefined && { error }), stop } : { ...this.ending, stop };
    this.#endSteps();
  }

  #endSteps(): void {
    for (const step of this.#steps.values()) {
      if (step.mode === "blocked" || step.mode === "ready" || step.mode === "backoff") cancel(step);
      else if (step.mode === "executing" && this.ending?.stop === true) step.mode = "stopping";
    }
  }

  #unblock(): void {
    if (this.ending !== undefined) return;
    for (const step of this.#steps.values())
      if (step.mode === "blocked" && step.spec?.after.every((parent) => this.#steps.get(parent)?.mode === "succeeded") === true)
        step.mode = "ready";
  }

  #step(name: string): Step {
    let step = this.#steps.get(name);
    if (step === undefined) this.#steps.set(name, (step = fresh(undefined, "ready")));
    return step;
  }

  /** By name, in the order of the workflow. `ended`: steps that are not through will not be any more. */
  views(ended: boolean): Record<string, StepView> {
    const views: Record<string, StepView> = {};
    for (const [name, step] of this.#steps) {
      const over = step.mode === "succeeded" || step.mode === "failed" || step.mode === "cancelled";
      const status = ended && !over ? "CANCELLED" : STATUS[step.mode];
      views[name] = {
        status,
        attempts: step.attempts,
        ...(step.output !== undefined && { output: step.output }),
        ...(step.error !== undefined && status !== "SUCCEEDED" && { error: step.error }),
        ...(step.startedAt !== undefined && { startedAt: new Date(step.startedAt).toISOString() }),
        ...(step.finishedAt !== undefined && { finishedAt: new Date(step.finishedAt).toISOString() }),
        ...(step.worker !== undefined && !WAITING.has(status) && { worker: step.worker }),
      };
    }
    return views;
  }

  /** Outputs by step, for a run that succeeded. */
  outputs(): Record<string, unknown> {
    const outputs: Record<string, unknown> = {};
    for (const [name, step] of this.#steps) outputs[name] = step.output;
    return outputs;
  }
}

function fresh(spec: StepSpec | undefined, mode: Mode): Step {
  return { spec, mode, attempts: 0, failures: 0, lost: 0, started: false };
}

/** A result may come without the news that the attempt was started. */
function countResult(step: Step): void {
  if (!step.started) step.attempts++;
  step.started = false;
}

function cancel(step: Step): void {
  step.started = false;
  step.mode = "cancelled";
}
