/** What stands in the place of a run that is not there, or cannot be asked for. */
import type { JSX } from "preact";
import { Button } from "../kit/button.tsx";
import { EmptyState } from "../kit/empty-state.tsx";
import { Link } from "../router.tsx";
import type { Problem, RunStore } from "./run-store.ts";

export function MissingRun({ store, problem }: { readonly store: RunStore; readonly problem: Problem }): JSX.Element {
  if (problem.kind === "failed") {
    return (
      <EmptyState
        title="This run cannot be shown"
        text={`${problem.text}. The page goes on trying.`}
        action={<Button onClick={() => store.refresh()}>Try now</Button>}
      />
    );
  }
  return (
    <EmptyState
      title="There is no such run"
      text={
        <>
          No run has the id <code class="run-missing-id">{store.id}</code>. Either it was cut when it was copied, or the run is
          older than what the history keeps, or it belongs to another cluster than this one. The list shows what there is:
        </>
      }
      commands={["sluice runs list"]}
      action={<Link href="/runs">All runs</Link>}
    />
  );
}
