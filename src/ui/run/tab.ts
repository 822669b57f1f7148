/** The five views of a run, by the names that its address has for them. */
import { computed } from "@preact/signals";
import { route, setQuery } from "../router.tsx";

export const TABS = ["chart", "timeline", "sequence", "log", "state"] as const;
export type Tab = (typeof TABS)[number];

export const TAB_NAMES: Readonly<Record<Tab, string>> = {
  chart: "Chart",
  timeline: "Timeline",
  sequence: "Sequence",
  log: "Log",
  state: "State",
};

/** What the address names; undefined: whatever suits the width. */
export const tabOfAddress = computed<Tab | undefined>(() => TABS.find((tab) => tab === route.value.query.get("tab")));

export function showTab(tab: Tab): void {
  setQuery({ tab }, { replace: true });
}
