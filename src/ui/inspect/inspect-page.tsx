/** Any XState program, live: the programs that have connected, their actors, and one actor's chart, messages, log and state. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { EmptyState } from "../kit/empty-state.tsx";
import { route, setQuery } from "../router.tsx";
import { InspectStore } from "./inspect-store.ts";
import { NoPrograms } from "./no-programs.tsx";
import { ProgramView } from "./program-view.tsx";
import { ProgramTree } from "./program-tree.tsx";
import "./inspect.css";

export function InspectPage(): JSX.Element {
  const [store] = useState(() => {
    const made = new InspectStore();
    const { query } = route.peek();
    made.chosen.value = query.get("program") ?? undefined;
    made.cursor.value = parseCursor(query.get("at"));
    return made;
  });
  const { query } = route.value;
  const chosen = query.get("program") ?? undefined;
  useEffect(() => store.start(), [store]);
  useEffect(() => store.choose(chosen), [store, chosen]);
  useEffect(
    // The cursor is in the address, so that a link shows the same moment; moving it is no step of the history.
    () => store.cursor.subscribe((cursor) => setQuery({ at: cursor === "live" ? undefined : cursor }, { replace: true })),
    [store],
  );

  const programs = store.programs.value;
  const problem = store.problem.value;
  if (programs === undefined)
    return problem === undefined ? (
      <div class="inspect-page" aria-busy="true" />
    ) : (
      <EmptyState title="The programs cannot be shown" text={problem} />
    );
  if (programs.length === 0) return <NoPrograms />;
  const program = store.program.value;
  return (
    <div class="inspect-page">
      <ProgramTree store={store} />
      {program === undefined ? (
        <EmptyState
          title="That program is not here any more"
          text="Programs that have ended are let go when there are many others, and when the dashboard is started anew."
        />
      ) : (
        <ProgramView key={program.id} store={store} program={program} />
      )}
    </div>
  );
}

function parseCursor(text: string | null): number | "live" {
  return text !== null && /^\d{1,12}$/.test(text) ? Number(text) : "live";
}
