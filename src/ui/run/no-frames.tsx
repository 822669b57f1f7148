/** Stands where a view has no frames to show, and says why. */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";
import type { RunStore } from "./run-store.ts";

export function NoFrames({ store }: { readonly store: RunStore }): JSX.Element {
  const why = store.recordProblem.value;
  if (why === undefined && store.record.value === undefined) return <p class="run-loading kit-muted">Loading what happened…</p>;
  return (
    <EmptyState
      title="What happened to this run is not known"
      text={
        why ??
        "The history has nothing of it: it is older than what is kept, or the history was deleted and is being built again. State shows what the run itself still knows."
      }
    />
  );
}
