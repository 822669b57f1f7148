/** One program: the cursor on top, the chart of an actor, and beside or behind it the messages, the log and the state. */
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { InspectProgramView } from "../../protocol/inspect.ts";
import { useKeys } from "../kit/keys.tsx";
import { Tabs } from "../kit/tabs.tsx";
import { route, setQuery } from "../router.tsx";
import { ActorChart } from "./actor-chart.tsx";
import { ActorState } from "./actor-state.tsx";
import { CursorBar } from "./cursor-bar.tsx";
import type { InspectStore } from "./inspect-store.ts";
import { LogView } from "./log-view.tsx";
import { ProgramNotes } from "./program-notes.tsx";
import { SequenceView } from "./sequence-view.tsx";
import { shownActor } from "./shown-actor.ts";
import { useMedia } from "../groups/use-media.ts";

const TABS = ["chart", "sequence", "log", "state"] as const;
type Tab = (typeof TABS)[number];
const LABELS: Readonly<Record<Tab, string>> = { chart: "Chart", sequence: "Sequence", log: "Log", state: "State" };

export function ProgramView({
  store,
  program,
}: {
  readonly store: InspectStore;
  readonly program: InspectProgramView;
}): JSX.Element {
  const wide = useMedia("(min-width: 1100px)");
  const actors = store.actors.value;
  const { query } = route.value;
  const actor = useMemo(() => shownActor(actors, query.get("actor")), [actors, query]);
  // Where there is room the chart is always there, and the tabs are beside it.
  const shown = wide ? TABS.slice(1) : TABS;
  const asked = query.get("tab");
  const tab = shown.find((one) => one === asked) ?? (wide ? "log" : "chart");
  const select = (one: Tab): void => setQuery({ tab: one }, { replace: true });
  useKeys({
    ArrowLeft: { does: "one step back in time", run: () => store.step(-1) },
    ArrowRight: { does: "one step on in time", run: () => store.step(1) },
    Home: { does: "to the beginning", run: () => store.goStart() },
    l: { does: "back to live", run: () => store.goTo("live") },
    L: { does: "back to live", run: () => store.goTo("live") },
    ...Object.fromEntries(TABS.map((one, index) => [String(index + 1), { does: `to ${LABELS[one]}`, run: () => select(one) }])),
  });

  const chart = <ActorChart store={store} actor={actor} />;
  return (
    <div class="inspect-main">
      <CursorBar store={store} program={program} />
      <ProgramNotes program={program} actor={actor} />
      <div class="inspect-panels" data-wide={wide}>
        {wide && (
          <section aria-label="Chart" class="inspect-chart">
            {chart}
          </section>
        )}
        <section class="inspect-side" aria-label="Details">
          <Tabs
            label="Views"
            tabs={shown.map((id) => ({ id, label: LABELS[id], hint: `key ${TABS.indexOf(id) + 1}` }))}
            active={tab}
            onSelect={select}
          />
          <div class="inspect-panel" role="tabpanel" aria-label={LABELS[tab]}>
            {tab === "chart" && chart}
            {tab === "sequence" && <SequenceView store={store} />}
            {tab === "log" && <LogView store={store} />}
            {tab === "state" && <ActorState store={store} actor={actor} />}
          </div>
        </section>
      </div>
    </div>
  );
}
