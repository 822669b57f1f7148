/** What the page knows of its server: version, node, whether it may change things. Asked again after each restart. */
import { computed, signal } from "@preact/signals";
import type { AboutView } from "../../protocol/live.ts";
import { about as fetchAbout } from "../api.ts";
import { watch } from "../live.ts";

/** Undefined until the server has answered. */
export const about = signal<AboutView | undefined>(undefined);
/** While it is not known, nothing is offered that could be refused. */
export const readOnly = computed(() => about.value?.readOnly ?? true);

export function startAbout(): () => void {
  void load();
  return watch("health", (...[event]) => {
    if (event === "hello" || event === "reset") void load();
  });
}

async function load(): Promise<void> {
  try {
    about.value = await fetchAbout();
  } catch {
    // `hello` of the next connection asks again.
  }
}
