/** How many runs the workflows have, by status: asked for per workflow, again when the stream names it. */
import { signal } from "@preact/signals";
import type { Population } from "../../protocol/record.ts";
import { call } from "../api.ts";

const AT_ONCE = 4;

export class Populations {
  readonly byName = signal<ReadonlyMap<string, Population>>(new Map());
  readonly #wanted = new Set<string>();
  #running = 0;
  #stopped = false;

  /** Soon; each name once. */
  ask(names: readonly string[]): void {
    for (const name of names) this.#wanted.add(name);
    while (this.#running < AT_ONCE && this.#wanted.size > 0 && !this.#stopped) void this.#next();
  }

  stop(): void {
    this.#stopped = true;
  }

  async #next(): Promise<void> {
    const [name] = this.#wanted;
    if (name === undefined) return;
    this.#wanted.delete(name);
    this.#running++;
    try {
      const population = await call("workflow.population", { name });
      if (!this.#stopped) this.byName.value = new Map(this.byName.peek()).set(name, population);
    } catch {
      // The row stays without numbers until it is named again.
    } finally {
      this.#running--;
      this.ask([]);
    }
  }
}
