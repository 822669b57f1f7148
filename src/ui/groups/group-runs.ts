/**
 * What is known of the runs of one group beside their ids: step, times, priority. Asked for from the list of runs, at most
 * once a second while the group changes.
 */
import { signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { RunView } from "../../protocol/view.ts";
import { call, isAbort } from "../api.ts";

const EVERY_MS = 1_000;
const MOST = 200;

export class GroupRuns {
  readonly byId = signal<ReadonlyMap<string, RunView>>(new Map());
  readonly #limit: string;
  readonly #key: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked = 0;
  #request: AbortController | undefined;
  #again = false;

  constructor(limit: string, key: string) {
    this.#limit = limit;
    this.#key = key;
  }

  /** Something has changed. */
  refresh(): void {
    if (this.#request !== undefined) {
      this.#again = true;
      return;
    }
    this.#timer ??= setTimeout(() => void this.#load(), Math.max(0, this.#asked + EVERY_MS - performance.now()));
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#request?.abort();
  }

  async #load(): Promise<void> {
    this.#timer = undefined;
    this.#asked = performance.now();
    this.#again = false;
    const request = (this.#request = new AbortController());
    try {
      const open = { limit: this.#limit, key: this.#key, size: MOST };
      // Two questions, so that a long line does not hide who has the slots.
      const [running, queued] = await Promise.all([
        call("run.list", { ...open, status: "RUNNING" }, request.signal),
        call("run.list", { ...open, status: "QUEUED" }, request.signal),
      ]);
      this.byId.value = new Map([...running.items, ...queued.items].map((run) => [run.id, run]));
    } catch (error) {
      if (isAbort(error)) return;
      // Ids and ages are shown without; the next change asks again.
    } finally {
      this.#request = undefined;
    }
    if (this.#again) this.refresh();
  }
}

export function useGroupRuns(limit: string, key: string): GroupRuns {
  const runs = useMemo(() => new GroupRuns(limit, key), [limit, key]);
  useEffect(() => {
    runs.refresh();
    return () => runs.stop();
  }, [runs]);
  return runs;
}
