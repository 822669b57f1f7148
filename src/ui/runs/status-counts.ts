/** How many runs there are in each status, for a filter without its status: what the counters show. */
import { signal } from "@preact/signals";
import type { RunListQuery, RunStatus } from "../../protocol/view.ts";
import { call } from "../api.ts";
import { STATUSES } from "./filter.ts";

export interface Counted {
  readonly count: number;
  readonly atLeast: boolean;
}

export type Counts = Partial<Readonly<Record<RunStatus, Counted>>>;

const PAUSE_MS = 1_500;
/** Counting many runs takes time: at most this share of it is spent on that. */
const SHARE = 5;

export class StatusCounts {
  readonly counts = signal<Counts>({});

  readonly #query: () => RunListQuery;
  readonly #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #notBefore = 0;
  #busy = false;

  /** `before` is shown until the first answer. */
  constructor(query: () => RunListQuery, before: Counts = {}) {
    this.#query = query;
    this.counts.value = before;
  }

  /** Soon; several calls are one. */
  refresh(): void {
    if (this.#timer !== undefined || this.#abort.signal.aborted) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        if (this.#busy) this.refresh();
        else void this.#count();
      },
      Math.max(0, this.#notBefore - performance.now()),
    );
  }

  stop(): void {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  async #count(): Promise<void> {
    const began = performance.now();
    const { signal } = this.#abort;
    this.#busy = true;
    try {
      const query = this.#query();
      const counted = await Promise.all(
        STATUSES.map(async (status) => [status, await call("run.count", { ...query, status }, signal)] as const),
      );
      if (!signal.aborted) this.counts.value = Object.fromEntries(counted);
    } catch {
      // The list says what is wrong.
    } finally {
      this.#busy = false;
      const now = performance.now();
      this.#notBefore = now + Math.max(PAUSE_MS, (now - began) * SHARE);
    }
  }
}
