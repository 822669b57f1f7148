/** The machine of a run at the cursor: what is active, what was just taken, and, when live, the timers that run. */
import type { JSX } from "preact";
import { Chart } from "../chart/chart.tsx";
import { EmptyState } from "../kit/empty-state.tsx";
import { toast } from "../kit/toast.tsx";
import type { RunStore } from "./run-store.ts";

const NONE: readonly string[] = [];

export function ChartView({ store }: { readonly store: RunStore }): JSX.Element {
  const machine = store.machine.value;
  const frame = store.frame.value;
  if (machine === undefined) {
    const why = store.machineProblem.value ?? store.recordProblem.value;
    return why === undefined ? (
      <p class="run-loading kit-muted">Loading the machine…</p>
    ) : (
      <EmptyState title="There is no chart of this run" text={why} />
    );
  }
  const onState = (state: string): void => {
    if (!store.visit(state)) toast("The run has not been in this state");
  };
  return (
    <Chart
      definition={machine}
      active={frame?.active ?? NONE}
      taken={frame?.taken ?? NONE}
      moment={frame?.index}
      timers={frame?.timers}
      steps={frame?.steps}
      at={store.past.value ? frame?.at : undefined}
      selected={store.selected.value}
      onState={onState}
    />
  );
}
