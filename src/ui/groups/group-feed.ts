/**
 * Keeps the rows of the groups page up to date: the first page as the stream sends it (or, under a filter, asked for when the
 * stream says that something changed), the pages behind it while they are in view, and more of them when someone scrolls.
 */
import { signal } from "@preact/signals";
import type { LiveEvent, LiveMessages } from "../../protocol/live.ts";
import { ApiError, call, describeError, isAbort } from "../api.ts";
import { watch } from "../live.ts";
import { type GroupFilter, isEmptyFilter } from "./group-filter.ts";
import { GroupRows } from "./group-rows.ts";

/** As many as the stream sends. */
const FIRST_PAGE = 200;
const NEXT_PAGE = 500;
/** Rows below the view that are loaded ahead of need. */
const AHEAD = 60;
const FILTERED_MS = 500;
const TAIL_MS = 2_000;
const MAX_SINGLE = 40;

export class GroupFeed {
  readonly rows = new GroupRows();
  /** Changes with every change of the rows. */
  readonly version = signal(0);
  readonly error = signal<string | undefined>(undefined);
  /** Whether the first page of the current filter is there. */
  readonly loaded = signal(false);
  #filter: GroupFilter = {};
  #view = { first: 0, last: 0 };
  #request: AbortController | undefined;
  #more: Promise<void> | undefined;
  #lastFirst = 0;
  #again: ReturnType<typeof setTimeout> | undefined;
  #tail: ReturnType<typeof setInterval> | undefined;
  #unwatch: (() => void) | undefined;

  start(): void {
    this.#unwatch ??= watch("groups", (event, data) => this.#onLive(event, data));
    this.#tail ??= setInterval(() => {
      if (!document.hidden) void this.#refreshTail();
    }, TAIL_MS);
  }

  stop(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    clearInterval(this.#tail);
    this.#tail = undefined;
    clearTimeout(this.#again);
    this.#again = undefined;
    this.#request?.abort();
  }

  setFilter(filter: GroupFilter): void {
    if (this.loaded.value && filter.limit === this.#filter.limit && filter.text === this.#filter.text) return;
    this.#filter = filter;
    void this.#loadFirst(true);
  }

  /** The rows in view: what they need is loaded. */
  setView(first: number, last: number): void {
    this.#view = { first, last };
    void this.#loadMore();
  }

  hold(): void {
    if (this.rows.holding) return;
    this.rows.hold();
    this.#changed();
  }

  release(): void {
    if (!this.rows.holding) return;
    this.rows.release();
    this.#changed();
  }

  /** The newest order, though the mouse is still over it. */
  reorder(): void {
    this.rows.refreshHeld();
    this.#changed();
  }

  /** After an optimistic change, or an answer of the engine about one group. */
  touch(): void {
    this.#changed();
  }

  #changed(): void {
    this.version.value++;
  }

  #onLive(event: LiveEvent, data: LiveMessages[LiveEvent]): void {
    if (event === "reset" || event === "hello") {
      if (this.loaded.value) void this.#loadFirst(false);
      return;
    }
    if (event !== "groups") return;
    if (!isEmptyFilter(this.#filter)) {
      this.#loadFirstSoon();
      return;
    }
    if (!this.loaded.value) return;
    const { items, total } = data as LiveMessages["groups"];
    this.rows.setPage(0, { items, total });
    // There were fewer when the page was asked for, so it has no cursor for what follows.
    if (this.rows.next === undefined && total > this.rows.order.length && this.rows.order.length >= items.length)
      this.#loadFirstSoon();
    this.#changed();
  }

  #loadFirstSoon(): void {
    if (this.#again !== undefined) return;
    const wait = Math.max(0, this.#lastFirst + FILTERED_MS - performance.now());
    this.#again = setTimeout(() => {
      this.#again = undefined;
      void this.#loadFirst(false);
    }, wait);
  }

  async #loadFirst(anew: boolean): Promise<void> {
    if (anew) {
      this.#request?.abort();
      this.loaded.value = false;
    } else if (this.#request !== undefined) return;
    const request = (this.#request = new AbortController());
    this.#lastFirst = performance.now();
    try {
      const page = await call("group.list", { ...this.#filter, size: FIRST_PAGE }, request.signal);
      if (request.signal.aborted) return;
      if (anew) this.rows.clear();
      this.rows.setPage(0, { items: page.items, total: page.total, next: page.next });
      if (anew) this.rows.refreshHeld();
      this.loaded.value = true;
      this.error.value = undefined;
      this.#changed();
    } catch (error) {
      if (isAbort(error) || request.signal.aborted) return;
      this.error.value = describeError(error);
      // Whoever waits for the first page gets it when the server is back.
      if (!this.loaded.value) this.#again ??= setTimeout(() => this.#retry(), 1_000);
    } finally {
      if (this.#request === request) this.#request = undefined;
    }
  }

  #retry(): void {
    this.#again = undefined;
    void this.#loadFirst(true);
  }

  #loadMore(): Promise<void> {
    return (this.#more ??= this.#untilCovered().finally(() => {
      this.#more = undefined;
    }));
  }

  async #untilCovered(): Promise<void> {
    while (this.loaded.value && this.rows.next !== undefined && this.#view.last + AHEAD >= this.rows.order.length) {
      const cursor = this.rows.next;
      const filter = this.#filter;
      const number = this.rows.pageCount;
      try {
        const page = await call("group.list", { ...filter, size: NEXT_PAGE, cursor });
        if (filter !== this.#filter || this.rows.next !== cursor) continue;
        this.rows.setPage(number, { items: page.items, total: page.total, next: page.next }, cursor);
        this.#changed();
      } catch (error) {
        if (!isAbort(error)) this.error.value = describeError(error);
        return;
      }
    }
  }

  /** What is in view and not in the stream: its pages are asked for again, and rows that are on none, one by one. */
  async #refreshTail(): Promise<void> {
    if (!this.loaded.value) return;
    const { rows } = this;
    const inView = rows.order.slice(this.#view.first, this.#view.last + 1);
    if (inView.length === 0 || (isEmptyFilter(this.#filter) && inView.every((id) => rows.isLive(id)))) return;
    const pages = new Map<number, string>();
    for (const id of inView) {
      const page = rows.pageOfId(id);
      if (page?.cursor !== undefined) pages.set(page.number, page.cursor);
    }
    const filter = this.#filter;
    const seen = new Set<string>();
    try {
      for (const [number, cursor] of pages) {
        const page = await call("group.list", { ...filter, size: NEXT_PAGE, cursor });
        if (filter !== this.#filter || rows.cursorOf(number) !== cursor) return;
        for (const item of page.items) seen.add(rows.put(item));
        rows.setPage(number, { items: page.items, total: page.total, next: page.next }, cursor);
      }
      const alone = inView.filter((id) => !seen.has(id) && !rows.isLive(id)).slice(0, MAX_SINGLE);
      for (const id of alone) {
        const view = rows.view(id);
        if (view !== undefined) rows.put(await call("group.get", { limit: view.limit, key: view.key }));
      }
    } catch (error) {
      // The next round asks again; a lost connection is told of in the bar.
      if (error instanceof ApiError && error.status !== 0) this.error.value = describeError(error);
      return;
    }
    if (pages.size > 0 || inView.length > 0) this.#changed();
  }
}
