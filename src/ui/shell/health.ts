/** The health of the whole, as the server says it; kept for all pages. */
import { signal } from "@preact/signals";
import type { HealthView } from "../../protocol/record.ts";
import { call } from "../api.ts";
import { watch } from "../live.ts";

/** Undefined until the server has answered. */
export const health = signal<HealthView | undefined>(undefined);

/** Once per page, in the shell. */
export function startHealth(): () => void {
  void load();
  return watch("health", (event, data) => {
    if (event === "health") health.value = data;
    else if (event === "reset") void load();
  });
}

async function load(): Promise<void> {
  try {
    health.value = await call("health.get", {});
  } catch {
    // The stream brings it, or the connection is what is shown.
  }
}
