/** What `sluice runs watch` shows on a terminal: lines for its size, from a list of runs. */
import type { RunView } from "../protocol/view.ts";
import { RUN_COLUMNS, runCells } from "./run-rows.ts";
import { renderTable } from "./table.ts";
import type { Painter } from "./terminal.ts";

export interface RunsScreen {
  /** Undefined until the first list has come. */
  readonly runs: readonly RunView[] | undefined;
  /** Why the list is not up to date. */
  readonly problem: string | undefined;
  readonly filter: string | undefined;
  readonly now: number;
}

export function renderRunsScreen(
  { runs, problem, filter, now }: RunsScreen,
  { rows }: { readonly columns: number; readonly rows: number },
  paint: Painter,
): readonly string[] {
  const shown = (runs ?? []).slice(0, Math.max(0, rows - 3));
  const title = `${paint("bold", filter ?? "runs")}  ${paint("dim", "newest first; q ends it")}`;
  if (runs === undefined) return [title, problem === undefined ? paint("dim", "asking …") : paint("red", problem)];
  return [
    title,
    ...(problem === undefined ? [] : [paint("red", problem)]),
    "",
    ...(shown.length === 0
      ? [paint("dim", "no runs yet")]
      : renderTable(
          RUN_COLUMNS,
          shown.map((run) => runCells(run, now)),
          paint,
        )),
  ];
}
