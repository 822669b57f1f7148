/** Runs as the rows of a table. */
import type { RunView } from "../protocol/view.ts";
import { formatAge, formatKeys, formatTook, statusCell } from "./format.ts";
import type { CellValue, Column } from "./table.ts";
import { cut } from "./terminal.ts";

export const RUN_COLUMNS: readonly Column[] = [
  { title: "ID" },
  { title: "WORKFLOW" },
  { title: "KEY" },
  { title: "STATUS" },
  { title: "REASON" },
  { title: "CREATED" },
  { title: "TOOK", align: "right" },
];

/** A run in a list. */
export function runCells(run: RunView, now: number): readonly CellValue[] {
  return [
    run.id,
    run.workflow,
    cut(formatKeys(run.keys), 40),
    statusCell(run.status),
    run.reason,
    formatAge(run.createdAt, now),
    formatTook(run.startedAt, run.finishedAt, now),
  ];
}
