/** The programs, and the actors of the one that is shown, with the state of each at the cursor. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { InspectProgramView } from "../../protocol/inspect.ts";
import { describeError } from "../api.ts";
import { Button } from "../kit/button.tsx";
import { ConfirmButton } from "../kit/confirm-button.tsx";
import { Time } from "../kit/time.tsx";
import { toast } from "../kit/toast.tsx";
import { Link, navigate, route } from "../router.tsx";
import { readOnly } from "../shell/about.ts";
import type { InspectStore } from "./inspect-store.ts";
import { actorNames, actorRows, valueText } from "./model/actor-tree.ts";
import { stateAt } from "./model/history.ts";
import { HowTo } from "./no-programs.tsx";
import { shownActor } from "./shown-actor.ts";

export function ProgramTree({ store }: { readonly store: InspectStore }): JSX.Element {
  const [howTo, setHowTo] = useState(false);
  const programs = store.programs.value ?? [];
  const shown = store.program.value;
  return (
    <nav class="inspect-tree" aria-label="Programs and actors">
      <div class="inspect-tree-head">
        <h2>Programs</h2>
        <Button kind="quiet" aria-expanded={howTo} onClick={() => setHowTo(!howTo)}>
          {howTo ? "Close" : "Add one"}
        </Button>
      </div>
      {howTo && <HowTo />}
      <ul>
        {programs.map((program) => (
          <li key={program.id}>
            <div class="inspect-program-row">
              <Program program={program} shown={program.id === shown?.id} />
              {!program.connected && !readOnly.value && <Forget store={store} program={program} />}
            </div>
            {program.id === shown?.id && <Actors store={store} program={program.id} />}
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Program({ program, shown }: { readonly program: InspectProgramView; readonly shown: boolean }): JSX.Element {
  const { id, name, connected, origin, connectedAt, endedAt, actors } = program;
  return (
    <Link href={`/inspect?program=${encodeURIComponent(id)}`} class="inspect-program" aria-current={shown ? "page" : undefined}>
      <span class="inspect-live" data-live={connected} aria-hidden="true" />
      <span class="inspect-name" title={name}>
        {name}
      </span>
      <span class="kit-muted" title={origin}>
        {connected ? (
          `${actors} ${actors === 1 ? "actor" : "actors"}`
        ) : (
          <>
            ended <Time at={endedAt ?? connectedAt} />
          </>
        )}
      </span>
    </Link>
  );
}

/** Only of a program that has ended: what it recorded is here and nowhere else, so it asks. */
function Forget({ store, program }: { readonly store: InspectStore; readonly program: InspectProgramView }): JSX.Element {
  const forget = async (): Promise<void> => {
    try {
      await store.forget(program.id);
      if (route.value.query.get("program") === program.id) navigate("/inspect", { replace: true });
    } catch (error) {
      toast(describeError(error), "bad");
    }
  };
  return (
    <ConfirmButton
      kind="quiet"
      class="inspect-forget"
      aria-label={`Forget ${program.name}`}
      title="Forget this program, which has ended"
      question={`Forget ${program.name}?`}
      detail={<p>All that was recorded of it goes from this dashboard. Programs that are connected stay.</p>}
      confirm="Forget it"
      onConfirm={() => void forget()}
    >
      ✕
    </ConfirmButton>
  );
}

function Actors({ store, program }: { readonly store: InspectStore; readonly program: string }): JSX.Element {
  const history = store.history.value;
  const cursor = store.cursor.value;
  const actors = store.actors.value;
  const names = actorNames(actors);
  const chosen = shownActor(actors, route.value.query.get("actor"))?.id;
  return (
    <ul class="inspect-actors">
      {actorRows(actors).map(({ actor, depth }) => {
        const state = stateAt(history, actor.id, cursor);
        const past = cursor !== "live";
        const status = past ? (state?.snapshot.status ?? "absent") : actor.status;
        const text = valueText(past ? state?.snapshot.value : actor.value) || (status === "absent" ? "not yet" : status);
        return (
          <li key={actor.id}>
            <Link
              href={hrefOf(program, actor.id)}
              class="inspect-actor"
              title={`${actor.id}: ${text}`}
              aria-current={actor.id === chosen ? "page" : undefined}
            >
              <span class="inspect-indent" style={{ width: `${10 + depth * 14}px` }} />
              <span class="inspect-dot" data-actor-status={status} aria-hidden="true" />
              <span class="inspect-name">{names.get(actor.id)}</span>
              <span class="inspect-value" data-actor={actor.id}>
                {text}
              </span>
            </Link>
          </li>
        );
      })}
    </ul>
  );
}

/** The tab and the cursor stay. */
function hrefOf(program: string, actor: string): string {
  const query = new URLSearchParams(route.value.query);
  query.set("program", program);
  query.set("actor", actor);
  return `/inspect?${query.toString()}`;
}
