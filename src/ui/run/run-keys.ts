/** The keys of a run's page. */
import { useKeys } from "../kit/keys.tsx";
import type { RunStore } from "./run-store.ts";
import { showTab, TAB_NAMES, TABS } from "./tab.ts";

export function useRunKeys(store: RunStore): void {
  const live = { does: "back to live", run: () => store.goLive() };
  useKeys({
    ArrowLeft: { does: "one frame back", run: () => store.step(-1) },
    ArrowRight: { does: "one frame on", run: () => store.step(1) },
    Home: { does: "to the first frame", run: () => store.goStart() },
    End: { does: "to the last frame", run: () => store.goLive() },
    " ": { does: "play the run's life, or pause", run: () => store.togglePlay() },
    l: live,
    L: live,
    ...Object.fromEntries(
      TABS.map((tab, index) => [String(index + 1), { does: `show ${TAB_NAMES[tab]}`, run: () => showTab(tab) }]),
    ),
  });
}
