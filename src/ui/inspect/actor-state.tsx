/** All that is known of an actor at the cursor: its state, its context, and what brought it there. */
import type { ComponentChildren, JSX } from "preact";
import type { InspectActorView } from "../../protocol/inspect.ts";
import { EmptyState } from "../kit/empty-state.tsx";
import { JsonView } from "../kit/json-view.tsx";
import type { InspectStore } from "./inspect-store.ts";
import { actorName, valueText } from "./model/actor-tree.ts";
import { stateAt } from "./model/history.ts";

export function ActorState({
  store,
  actor,
}: {
  readonly store: InspectStore;
  readonly actor: InspectActorView | undefined;
}): JSX.Element {
  if (actor === undefined) return <EmptyState title="No actors yet" />;
  const state = stateAt(store.history.value, actor.id, store.cursor.value);
  if (state === undefined)
    return <EmptyState title={`Nothing is known of ${actorName(actor)} here`} text="It begins later, or its past was let go." />;
  const { snapshot, frame } = state;
  const { status, value, context, output, error, tags, input } = snapshot;
  const source = store.actors.value.find(({ id }) => id === frame.source);
  return (
    <div class="inspect-state">
      <h2>
        <span class="inspect-dot" data-actor-status={status} aria-hidden="true" /> {actorName(actor)}
        <span class="kit-muted kit-mono">{actor.id}</span>
      </h2>
      <dl>
        <Entry name="Status">{status}</Entry>
        {value !== undefined && <Entry name="State">{valueText(value)}</Entry>}
        {tags !== undefined && <Entry name="Tags">{tags.join(", ")}</Entry>}
        {frame.type !== "" && (
          <Entry name="Because of">
            <code>{frame.type}</code>
            {frame.source !== undefined && <> from {source === undefined ? frame.source : actorName(source)}</>}
          </Entry>
        )}
      </dl>
      <Part name="Context" value={context} />
      <Part name="Event" value={frame.event} />
      <Part name="Input" value={input} />
      <Part name="Output" value={output} />
      <Part name="Error" value={error} />
    </div>
  );
}

function Entry({ name, children }: { readonly name: string; readonly children: ComponentChildren }): JSX.Element {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Part({ name, value }: { readonly name: string; readonly value: unknown }): JSX.Element | null {
  if (value === undefined || (typeof value === "object" && value !== null && Object.keys(value).length === 0)) return null;
  return (
    <section>
      <h3>{name}</h3>
      <JsonView value={value} />
    </section>
  );
}
