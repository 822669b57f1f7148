/** The groups page without groups: what they are, and how to get some. */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";
import { Link, setQuery } from "../router.tsx";
import { about } from "../shell/about.ts";
import { Button } from "../kit/button.tsx";

export function NoGroups({ filtered }: { readonly filtered: boolean }): JSX.Element {
  if (filtered)
    return (
      <EmptyState
        title="No live group matches"
        text="Groups are there while they hold a run, or while they are paused or have a limit of their own."
        action={<Button onClick={() => setQuery({ q: undefined })}>Show all</Button>}
      />
    );
  const { prefix = "sluice", demo = false } = about.value ?? {};
  return (
    <EmptyState
      title="No live groups"
      text={
        <>
          A group is one concurrency key of one limit, and is here while it holds a run: those that have a slot, and those that
          wait. {demo ? "Publish an event of the examples a few times:" : "Start runs of a workflow that has a limit:"}
        </>
      }
      commands={
        demo
          ? [
              `for i in 1 2 3 4 5; do nats pub ${prefix}.events.per-user-test '{"user_id":"ada"}'; done`,
              `sluice publish per-user-test '{"user_id":"ada"}'`,
            ]
          : [`nats pub ${prefix}.events.<name> '{"user_id":"ada"}'`, `sluice publish <name> '{"user_id":"ada"}'`]
      }
      action={<Link href="/workflows">See which workflows have limits</Link>}
    />
  );
}
