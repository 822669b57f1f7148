/** The groups page without groups: what they are, and how to get some. */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";
import { Link, setQuery } from "../router.tsx";
import { about } from "../shell/about.ts";
import { natsCommand, sluiceCommand } from "../shell/publish-commands.ts";
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
  const demo = about.value?.demo === true;
  const event = demo ? "per-user-test" : "<name>";
  const payload = '{"user_id": "ada"}';
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
          ? [`for i in 1 2 3 4 5; do ${natsCommand(event, payload)}; done`, sluiceCommand(event, payload)]
          : [natsCommand(event, payload), sluiceCommand(event, payload)]
      }
      action={<Link href="/workflows">See which workflows have limits</Link>}
    />
  );
}
