/** A run as its users see it, derived from its snapshot: statuses and reasons, not states. Pure. */
import type { WorkflowSpec } from "../../src/workflow/spec.ts";
import { outputsOf } from "./compile.ts";
import type { RunContext, StepContext, StepError } from "./context.ts";

export type RunStatus = "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED";
export type StepStatus = "BLOCKED" | "READY" | "RUNNING" | "BACKOFF" | "STOPPING" | "SUCCEEDED" | "FAILED" | "CANCELLED";

export interface StepDescription {
  readonly status: StepStatus;
  /** Executions that were started. */
  readonly attempts: number;
  readonly output?: unknown;
  /** Of the last failed attempt, unless it has succeeded since. */
  readonly error?: StepError;
  /** That has the attempt, or had the last one. */
  readonly worker?: string;
}

export interface RunDescription {
  readonly status: RunStatus;
  /** Upper snake case. While the run is still `RUNNING`: why it is ending. */
  readonly reason?: string;
  readonly message?: string;
  /** With the name of the failed step, where it was a step. */
  readonly error?: StepError;
  readonly outputs?: { readonly [step: string]: unknown };
  readonly steps: { readonly [step: string]: StepDescription };
}

/** The part of a snapshot that it reads. */
export interface RunSnapshot {
  readonly value: unknown;
  readonly context: RunContext;
  readonly status: string;
  readonly error?: unknown;
}

const STATES: { readonly [state: string]: StepStatus } = {
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

export function describeRun(spec: WorkflowSpec, snapshot: RunSnapshot): RunDescription {
  const { context } = snapshot;
  const status = statusOf(snapshot);
  const regions = snapshot.status === "active" ? regionsOf(snapshot.value) : undefined;

  const steps: { [step: string]: StepDescription } = {};
  for (const { name } of spec.steps) {
    const step = context.steps[name];
    if (step !== undefined) steps[name] = describeStep(step, regions?.[name], status, context);
  }

  // A machine that broke (it should not) has failed its run, whatever state it was in.
  const broken = snapshot.status === "error" ? { reason: "MACHINE_FAILED", error: asError(snapshot.error) } : undefined;
  const { reason, message, error } = { ...context.ending, ...broken };
  const outputs = status === "SUCCEEDED" ? outputsOf(context) : undefined;
  return {
    status,
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    ...(error === undefined ? {} : { error }),
    ...(outputs === undefined ? {} : { outputs }),
    steps,
  };
}

function statusOf({ status, value, context }: RunSnapshot): RunStatus {
  if (status === "error") return "FAILED";
  if (status === "done") return context.ending?.status ?? "SUCCEEDED";
  return value === "waiting" ? "QUEUED" : "RUNNING";
}

function regionsOf(value: unknown): { readonly [step: string]: unknown } | undefined {
  return (value as { readonly running?: { readonly [step: string]: unknown } }).running;
}

function describeStep(step: StepContext, region: unknown, run: RunStatus, { ending }: RunContext): StepDescription {
  const { attempt, output, error, worker } = step;
  const status = stepStatus(step, region, run, ending !== null);
  return {
    status,
    attempts: attempt,
    ...(output === undefined ? {} : { output }),
    ...(error === undefined || status === "SUCCEEDED" ? {} : { error }),
    ...(worker === undefined || WAITING.has(status) ? {} : { worker }),
  };
}

function stepStatus(step: StepContext, region: unknown, run: RunStatus, ending: boolean): StepStatus {
  if (step.status !== undefined && step.status !== "open") return STATES[step.status] ?? "CANCELLED";
  // A blocked step of a run that is ending, or has ended, won't start any more, though its region need not say so.
  if (run !== "QUEUED" && run !== "RUNNING") return "CANCELLED";
  if (step.status === undefined && ending) return "CANCELLED";
  const state = typeof region === "string" ? region : (region as { readonly attempt?: string } | undefined)?.attempt;
  return STATES[state ?? "blocked"] ?? "BLOCKED";
}

function asError(error: unknown): StepError {
  const { name = "Error", message = String(error) } = (error ?? {}) as Partial<StepError>;
  return { name, message };
}
