/**
 * The views of a run's life. Where there is room, the chart stands beside one of the others, and the line between them can be
 * moved; elsewhere one is shown at a time.
 */
import { signal } from "@preact/signals";
import type { JSX, TargetedMouseEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { RunView } from "../../protocol/view.ts";
import { Tabs } from "../kit/tabs.tsx";
import { ChartView } from "./chart-view.tsx";
import { LogView } from "./log-view.tsx";
import { PastBar } from "./past-bar.tsx";
import type { RunStore } from "./run-store.ts";
import { Scrubber } from "./scrubber.tsx";
import { SequenceView } from "./sequence-view.tsx";
import { Split } from "./split.tsx";
import { StateView } from "./state-view.tsx";
import { showTab, type Tab, TAB_NAMES, tabOfAddress, TABS } from "./tab.ts";
import { TimelineView } from "./timeline-view.tsx";

const WIDE = matchMedia("(min-width: 1100px)");
const wide = signal(WIDE.matches);
WIDE.addEventListener("change", () => {
  wide.value = WIDE.matches;
});

export interface ViewsProps {
  readonly store: RunStore;
  readonly run: RunView;
}

export function Views({ store, run }: ViewsProps): JSX.Element {
  const tab = tabOfAddress.value ?? (wide.value ? "timeline" : "chart");
  const beside = wide.value && tab !== "chart";
  const panel = useRef<HTMLDivElement>(null);
  // After a click the arrow keys are for the frames again, not for the tabs.
  const onClick = (event: TargetedMouseEvent<HTMLDivElement>): void => {
    if (event.detail > 0) panel.current?.focus({ preventScroll: true });
  };
  useEffect(() => {
    panel.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div class="run-views" data-past={store.past.value || undefined}>
      <div class="run-bar">
        <div class="run-tabs" onClick={onClick}>
          <Tabs
            label="Views of the run"
            tabs={TABS.map((id, index) => ({ id, label: TAB_NAMES[id], hint: `${TAB_NAMES[id]} (${index + 1})` }))}
            active={tab}
            onSelect={showTab}
          />
        </div>
        <Scrubber store={store} />
      </div>
      <PastBar store={store} />
      <div class="run-panels" ref={panel} tabIndex={-1} role="tabpanel" aria-label={TAB_NAMES[tab]}>
        {beside ? (
          <Split left={<ChartView store={store} />} right={<View tab={tab} store={store} run={run} />} />
        ) : (
          <View tab={tab} store={store} run={run} />
        )}
      </div>
    </div>
  );
}

function View({ tab, store, run }: ViewsProps & { readonly tab: Tab }): JSX.Element {
  switch (tab) {
    case "chart":
      return <ChartView store={store} />;
    case "timeline":
      return <TimelineView store={store} />;
    case "sequence":
      return <SequenceView store={store} />;
    case "log":
      return <LogView store={store} />;
    case "state":
      return <StateView store={store} run={run} />;
  }
}
