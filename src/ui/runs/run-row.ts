/** A run as the list keeps it: what its row shows, and no input or output, so that thousands of them are small. */
import type { RunChangeMessage, RunStatus, RunView, StepStatus } from "../../protocol/view.ts";

export interface RunRow {
  readonly id: string;
  readonly workflow: string;
  readonly status: RunStatus;
  readonly reason: string | undefined;
  readonly error: string | undefined;
  readonly keys: RunView["keys"];
  readonly event: string | undefined;
  readonly createdAt: string;
  readonly scheduledAt: string | undefined;
  readonly admittedAt: string | undefined;
  readonly startedAt: string | undefined;
  readonly finishedAt: string | undefined;
  readonly steps: readonly { readonly name: string; readonly status: StepStatus; readonly attempts: number }[];
}

export function rowOf(run: RunView): RunRow {
  return {
    id: run.id,
    workflow: run.workflow,
    status: run.status,
    reason: run.reason,
    error: run.error?.message,
    keys: run.keys,
    event: run.event?.name,
    createdAt: run.createdAt,
    scheduledAt: run.scheduledAt,
    admittedAt: run.admittedAt,
    startedAt: run.startedAt,
    finishedAt: run.finishedAt,
    steps: Object.entries(run.steps).map(([name, { status, attempts }]) => ({ name, status, attempts })),
  };
}

export function isOver(status: RunStatus): boolean {
  return status === "SUCCEEDED" || status === "FAILED" || status === "CANCELLED";
}

/** The row after a change. Changes may come late or twice: nothing comes back from its end. */
export function changedRow(row: RunRow, change: RunChangeMessage): RunRow {
  if (isOver(row.status) && !isOver(change.status)) return row;
  const over = isOver(change.status);
  const { step, stepStatus } = change;
  let { steps } = row;
  if (step !== undefined && stepStatus !== undefined) {
    const next = { name: step, status: stepStatus, attempts: change.attempt ?? 0 };
    steps = steps.some(({ name }) => name === step) ? steps.map((old) => (old.name === step ? next : old)) : [...steps, next];
  }
  if (over) steps = steps.map((old) => ({ ...old, status: endOf(old.status, change.status) }));
  return {
    ...row,
    status: change.status,
    reason: change.reason ?? row.reason,
    error: change.error?.message ?? row.error,
    admittedAt: row.admittedAt ?? (change.change === "admitted" ? change.at : undefined),
    startedAt: row.startedAt ?? (change.change === "started" ? change.at : undefined),
    finishedAt: row.finishedAt ?? (over ? change.at : undefined),
    steps,
  };
}

/** The newest change of a run says how it ended, not how each of its steps did; those that were open ended with it. */
function endOf(step: StepStatus, run: RunStatus): StepStatus {
  if (step === "SUCCEEDED" || step === "FAILED" || step === "CANCELLED") return step;
  return run === "SUCCEEDED" ? "SUCCEEDED" : "CANCELLED";
}

/** How long it waited before it was let in, or waits. */
export function waitOf(row: RunRow): { readonly from: string; readonly to: string | undefined } {
  return { from: row.scheduledAt ?? row.createdAt, to: row.startedAt ?? row.admittedAt ?? row.finishedAt };
}
