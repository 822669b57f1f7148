/** An actor's machine at the cursor: what is active, and the transition that led there where that is certain. */
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { activeIds, createChartModel } from "../../chart/index.ts";
import type { InspectActorView } from "../../protocol/inspect.ts";
import type { MachineDefinition } from "../../protocol/record.ts";
import { Chart } from "../chart/chart.tsx";
import { EmptyState } from "../kit/empty-state.tsx";
import type { InspectStore } from "./inspect-store.ts";
import { actorName } from "./model/actor-tree.ts";
import { stateAt } from "./model/history.ts";
import { takenOf } from "./model/taken.ts";

interface Props {
  readonly store: InspectStore;
  readonly actor: InspectActorView | undefined;
}

export function ActorChart({ store, actor }: Props): JSX.Element {
  const machine = actor?.machine === undefined ? undefined : store.machines.value.get(actor.machine);
  if (actor === undefined) return <EmptyState title="No actors yet" text="The program has not said of any." />;
  if (machine === undefined)
    return actor.machine !== undefined ? (
      <div aria-busy="true" />
    ) : (
      <EmptyState
        title={`${actorName(actor)} is no state machine`}
        text={
          actor.registered
            ? "A promise, a callback or the like: it has events and an outcome, but no states to draw. See the log and its state."
            : "It was there before its program connected, and its client does not tell of it again: only its events are known."
        }
      />
    );
  return <MachineChart store={store} actor={actor} machine={machine} />;
}

function MachineChart({
  store,
  actor,
  machine,
}: {
  readonly store: InspectStore;
  readonly actor: InspectActorView;
  readonly machine: MachineDefinition;
}): JSX.Element {
  const model = useMemo(() => createChartModel(machine.definition), [machine.hash]);
  const cursor = store.cursor.value;
  const state = stateAt(store.history.value, actor.id, cursor);
  // Live, the latest state is known even where its frame is not loaded.
  const value = state?.snapshot.value ?? (cursor === "live" ? actor.value : undefined);
  const before = state?.before?.value;
  const type = state?.frame.type ?? "";
  const key = JSON.stringify([value, before, type]);
  const active = useMemo(() => activeIds(model, value), [model, key]);
  const taken = useMemo(() => takenOf(model, type, before, value), [model, key]);
  return <Chart definition={machine} active={active} taken={taken} moment={state?.frame.seq} />;
}
