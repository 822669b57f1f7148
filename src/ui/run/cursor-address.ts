/** Keeps the cursor of a run and `at` in its address the same. The address follows a little later: browsers refuse to change it often. */
import { effect } from "@preact/signals";
import { route, setQuery } from "../router.tsx";
import { cursorText, parseCursor } from "./model/cursor.ts";
import type { RunStore } from "./run-store.ts";

const SETTLE_MS = 150;

/** Returns how to end it. */
export function followAddress(store: RunStore): () => void {
  let known: string | null | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const { pathname } = location;
  const unread = effect(() => {
    const at = route.value.query.get("at");
    if (at === known || location.pathname !== pathname) return;
    known = at;
    store.pause();
    store.cursor.value = parseCursor(at);
  });
  const unwrite = effect(() => {
    const at = cursorText(store.cursor.value);
    clearTimeout(timer);
    if ((at ?? null) === (known ?? null)) return;
    timer = setTimeout(() => {
      if (location.pathname !== pathname) return;
      known = at ?? null;
      setQuery({ at }, { replace: true });
    }, SETTLE_MS);
  });
  return () => {
    clearTimeout(timer);
    unread();
    unwrite();
  };
}
