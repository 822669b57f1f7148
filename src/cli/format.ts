/** Times, statuses and JSON as people read them. */
import { formatDuration } from "../workflow/duration.ts";
import type { NodeView, RunStatus, RunView, StepStatus, WorkerView } from "../protocol/view.ts";
import type { Cell } from "./table.ts";
import { cut, type Style } from "./terminal.ts";

type Shown = RunStatus | StepStatus | WorkerView["mode"] | NodeView["state"];

const STYLES: Readonly<Record<Shown, Style>> = {
  QUEUED: "dim",
  RUNNING: "cyan",
  SUCCEEDED: "green",
  FAILED: "red",
  CANCELLED: "yellow",
  BLOCKED: "dim",
  READY: "dim",
  BACKOFF: "magenta",
  STOPPING: "yellow",
  running: "green",
  draining: "yellow",
  stopped: "dim",
  lost: "red",
  joining: "cyan",
  member: "green",
  outcast: "red",
  withdrawing: "yellow",
  leaving: "yellow",
  left: "dim",
  silent: "red",
};

export function statusCell(status: Shown): Cell {
  return { text: status, style: STYLES[status] };
}

/** How long ago: `3s ago`; `in 5m` for what is to come. */
export function formatAge(time: string | undefined, now: number): string {
  if (time === undefined) return "";
  const ms = now - Date.parse(time);
  return ms < 0 ? `in ${rough(-ms)}` : `${rough(ms)} ago`;
}

/** `1.24s`; of what goes on, until now. */
export function formatTook(startedAt: string | undefined, finishedAt: string | undefined, now: number): string {
  if (startedAt === undefined) return "";
  return rough(Math.max(0, (finishedAt === undefined ? now : Date.parse(finishedAt)) - Date.parse(startedAt)));
}

/** Two units at most: milliseconds below a second, hundredths below ten. */
export function rough(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(2)}s`;
  const [whole] = [Math.round(ms / 1_000) * 1_000];
  const parts = formatDuration(whole).match(/\d+[a-z]+/g) ?? [];
  return parts.slice(0, 2).join("");
}

export function formatKeys(keys: RunView["keys"]): string {
  return keys.map(({ key }) => key).join(", ");
}

/** JSON on one line, cut where it is long. */
export function formatJson(value: unknown, length = 2_000): string {
  return value === undefined ? "" : cut(JSON.stringify(value) ?? "", length);
}
