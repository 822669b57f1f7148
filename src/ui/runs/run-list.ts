/**
 * The runs that match a filter, newest first, as rows by index, of which only those around the view are in memory. The list is
 * a chain of blocks, one per page of `run.list`: a block keeps the cursor that brings it (for ever) and its rows (while they
 * are near the view). A jump beyond the chain walks there in large steps.
 *
 * At the top the list is live: new runs come in, what no longer matches goes. Scrolled down, nothing moves under the reader:
 * rows change in place, and new runs are only counted. Knows nothing of how it is shown.
 */
import { batch, signal } from "@preact/signals";
import type { LiveMessages } from "../../protocol/live.ts";
import type { RunListQuery } from "../../protocol/view.ts";
import { call, isAbort } from "../api.ts";
import { changedRow, rowOf, type RunRow } from "./run-row.ts";

interface Block {
  /** Brings this block; undefined for the first. */
  readonly cursor: string | undefined;
  readonly next: string | undefined;
  readonly size: number;
  /** Undefined while it is out of view. */
  readonly rows: readonly RunRow[] | undefined;
  /** Shown as they were, until they have been fetched again. */
  readonly stale?: boolean;
}

const PAGE = 200;
/** The most that one request may ask for. */
const STRIDE = 1_000;
/** Rows beyond the view that are kept ready. */
const MARGIN = 150;
const MOST_ROWS = 6_000;
const REFRESH_MS = { top: 500, scrolled: 1_500 };
/** A list that is expensive to fetch is fetched less often: at most this share of the time is spent on it. */
const SHARE = 4;

export class RunList {
  /** Goes up whenever rows have changed. */
  readonly version = signal(0);
  /** Rows that there are, as far as is known; an estimate until the end was seen. */
  readonly count = signal(0);
  /** Matches in all, counted by the server; `atLeast`: it stopped counting. */
  readonly matches = signal<{ readonly count: number; readonly atLeast: boolean } | undefined>(undefined);
  /** Runs that came while the list was scrolled down; `more`: at least so many. */
  readonly fresh = signal<{ readonly count: number; readonly more: boolean }>({ count: 0, more: false });
  readonly error = signal<unknown>(undefined);
  readonly loaded = signal(false);

  readonly #query: () => RunListQuery;
  #blocks: Block[] = [];
  #view = { first: 0, last: 50, atTop: true };
  #abort = new AbortController();
  #filling = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #refreshedAt = 0;
  #refreshCost = 0;
  #refreshing = false;
  /** Index of each row that is in memory, made when asked for. */
  #places: Map<string, number> | undefined;

  /** `query` is asked for at each beginning: `since:1h` moves on. */
  constructor(query: () => RunListQuery) {
    this.#query = query;
  }

  #asked: RunListQuery = {};

  row(index: number): RunRow | undefined {
    let start = 0;
    for (const block of this.#blocks) {
      if (index < start + block.size) return block.rows?.[index - start];
      start += block.size;
    }
    return undefined;
  }

  indexOf(id: string): number {
    this.#places ??= this.#indexed();
    return this.#places.get(id) ?? -1;
  }

  /** Everything anew, from the top. */
  async reload(): Promise<void> {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#filling = false;
    this.#view = { first: 0, last: this.#view.last - this.#view.first, atTop: true };
    await this.#refresh();
  }

  stop(): void {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  /** What the reader sees; loads what is missing there. */
  see(first: number, last: number, atTop: boolean): void {
    const arrived = atTop && !this.#view.atTop;
    this.#view = { first, last, atTop };
    if (arrived && this.fresh.value.count > 0) this.#schedule();
    void this.#fill();
  }

  /** Takes a message of the stream. */
  take(message: LiveMessages["runs"]): void {
    const changes = new Map(message.changes.map((change) => [change.id, change]));
    let known = 0;
    this.#blocks = this.#blocks.map((block) => {
      if (block.rows === undefined || !block.rows.some(({ id }) => changes.has(id))) return block;
      const rows = block.rows.map((row) => {
        const change = changes.get(row.id);
        if (change === undefined) return row;
        known++;
        return changedRow(row, change);
      });
      return { ...block, rows };
    });
    if (known > 0) this.version.value++;
    const moves = this.#asked.status !== undefined || this.#asked.state !== undefined;
    if (known < message.changes.length || message.more > 0 || (moves && this.#view.atTop)) this.#schedule();
  }

  /** Looks whether there is more by now. */
  recheck(): void {
    this.#schedule();
  }

  /** Something was missed. The rows stay where they are and are fetched again. */
  reset(): void {
    this.#blocks = this.#blocks.map((block) => ({ ...block, stale: true }));
    this.#schedule();
    void this.#fill();
  }

  #schedule(): void {
    if (this.#timer !== undefined) return;
    const pause = Math.max(this.#view.atTop ? REFRESH_MS.top : REFRESH_MS.scrolled, this.#refreshCost * SHARE);
    const wait = Math.max(0, this.#refreshedAt + pause - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#refreshing) this.#schedule();
      else void this.#refresh();
    }, wait);
  }

  /** The first page: at the top it becomes the list, below it is only compared. */
  async #refresh(): Promise<void> {
    const { signal } = this.#abort;
    const began = performance.now();
    const asked = this.#query();
    this.#refreshing = true;
    try {
      const [page] = await Promise.all([call("run.list", { ...asked, size: PAGE }, signal), this.#countMatches(asked, signal)]);
      if (signal.aborted) return;
      const rows = page.items.map(rowOf);
      batch(() => {
        this.loaded.value = true;
        this.error.value = undefined;
        if (this.#view.atTop || this.#blocks.length === 0) {
          this.#asked = asked;
          this.#blocks = [{ cursor: undefined, next: page.next, size: rows.length, rows }];
          this.fresh.value = { count: 0, more: false };
          this.#changed();
        } else this.#compare(rows, page.next !== undefined);
      });
      void this.#fill();
    } catch (error) {
      if (!isAbort(error)) this.error.value = error;
    } finally {
      this.#refreshing = false;
      this.#refreshedAt = performance.now();
      this.#refreshCost = this.#refreshedAt - began;
    }
  }

  #compare(rows: readonly RunRow[], more: boolean): void {
    const top = this.#blocks[0]?.rows?.[0];
    // Without its first row in memory, the list is far below: whatever is newer than it was.
    const since = top?.createdAt ?? this.#topAt;
    const at = rows.findIndex(({ id, createdAt }) => id === top?.id || createdAt <= since);
    this.fresh.value = { count: at === -1 ? rows.length : at, more: at === -1 && more };
  }

  #topAt = "";

  async #countMatches(query: RunListQuery, signal: AbortSignal): Promise<void> {
    try {
      const counted = await call("run.count", query, signal);
      if (!signal.aborted) this.matches.value = counted;
    } catch {
      // The list itself says what is wrong; without a count, its length is what was seen so far.
    }
  }

  /** Loads what the view needs, one request after the other, until there is nothing left to load. */
  async #fill(): Promise<void> {
    if (this.#filling) return;
    this.#filling = true;
    const { signal } = this.#abort;
    try {
      while (!signal.aborted && (await this.#fillOne(signal)));
    } catch (error) {
      if (!isAbort(error)) this.error.value = error;
    } finally {
      if (!signal.aborted) this.#filling = false;
    }
  }

  async #fillOne(signal: AbortSignal): Promise<boolean> {
    const from = Math.max(0, this.#view.first - MARGIN);
    const to = this.#view.last + MARGIN;
    let start = 0;
    for (const [index, block] of this.#blocks.entries()) {
      if ((block.rows === undefined || block.stale === true) && start < to && start + block.size > from) {
        await this.#fetch(index, block.cursor, block.size, signal);
        return true;
      }
      start += block.size;
    }
    const last = this.#blocks.at(-1);
    if (last?.next === undefined || to < start) return false;
    await this.#fetch(this.#blocks.length, last.next, to - start > STRIDE ? STRIDE : PAGE, signal);
    return true;
  }

  async #fetch(index: number, cursor: string | undefined, size: number, signal: AbortSignal): Promise<void> {
    const request = { ...this.#asked, size, ...(cursor !== undefined && { cursor }) };
    const page = await call("run.list", request, signal);
    if (signal.aborted) return;
    const before = this.#blocks[index];
    // The chain was begun anew meanwhile: this belongs to the old one.
    if (index > this.#blocks.length || (before ?? this.#blocks.at(-1))?.[before === undefined ? "next" : "cursor"] !== cursor)
      return;
    const block: Block = {
      cursor,
      // The next block begins where it did, unless it is not there yet.
      next: index + 1 < this.#blocks.length ? before?.next : page.next,
      size: page.items.length,
      rows: page.items.map(rowOf),
    };
    this.#blocks = [...this.#blocks.slice(0, index), block, ...this.#blocks.slice(index + 1)];
    this.error.value = undefined;
    this.#forget();
    this.#changed();
  }

  /** Rows far from the view leave memory; their blocks stay. */
  #forget(): void {
    const center = (this.#view.first + this.#view.last) / 2;
    let start = 0;
    const near = this.#blocks
      .map((block, index) => {
        const distance = Math.abs(start + block.size / 2 - center);
        start += block.size;
        return { index, distance, size: block.rows === undefined ? 0 : block.size };
      })
      .sort((a, b) => a.distance - b.distance);
    let kept = 0;
    const gone = new Set<number>();
    for (const { index, size } of near) {
      kept += size;
      if (kept > MOST_ROWS && size > 0) gone.add(index);
    }
    if (gone.size > 0)
      this.#blocks = this.#blocks.map((block, index) => (gone.has(index) ? { ...block, rows: undefined } : block));
  }

  #changed(): void {
    this.#topAt = this.#blocks[0]?.rows?.[0]?.createdAt ?? this.#topAt;
    this.#places = undefined;
    const extent = this.#blocks.reduce((sum, { size }) => sum + size, 0);
    const complete = this.#blocks.at(-1)?.next === undefined;
    batch(() => {
      this.count.value = complete ? extent : Math.max(extent + 1, this.matches.value?.count ?? 0);
      this.version.value++;
    });
  }

  #indexed(): Map<string, number> {
    const places = new Map<string, number>();
    let start = 0;
    for (const block of this.#blocks) {
      for (const [index, row] of (block.rows ?? []).entries()) places.set(row.id, start + index);
      start += block.size;
    }
    return places;
  }
}
