/** One clock for all times on the page: it ticks once a second, and not while the tab is hidden. */
import { signal } from "@preact/signals";

export const now = signal(Date.now());

let timer: ReturnType<typeof setInterval> | undefined;
function run(): void {
  clearInterval(timer);
  timer = undefined;
  if (document.hidden) return;
  now.value = Date.now();
  timer = setInterval(() => {
    now.value = Date.now();
  }, 1_000);
}
document.addEventListener("visibilitychange", run);
run();
