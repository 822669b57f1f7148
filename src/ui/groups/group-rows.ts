/**
 * The rows of the groups list: pages that were loaded, the first of them live, in one order that can be held still while
 * someone points at it. Views keep their identity while nothing in them changes, so that only rows that changed are drawn
 * again. Pure: it knows no network and no DOM.
 */
import type { GroupView } from "../../protocol/view.ts";

/** Identifies a group in lists: names of limits have no spaces. */
export function groupId({ limit, key }: { readonly limit: string; readonly key: string }): string {
  return `${limit} ${key}`;
}

interface LoadedPage {
  readonly ids: readonly string[];
  /** Cursor with which this page was asked for; undefined for the first. */
  readonly cursor: string | undefined;
  readonly next: string | undefined;
}

export class GroupRows {
  #pages: LoadedPage[] = [];
  #views = new Map<string, GroupView>();
  /** What the user has changed and the engine has not confirmed yet. */
  readonly #optimistic = new Map<string, Partial<GroupView>>();
  /** With its optimistic change; made when first asked for. */
  readonly #shown = new Map<string, GroupView>();
  #order: readonly string[] = [];
  #held: readonly string[] | undefined;
  /** Ids of the last live message: others may have become stale. */
  #live: ReadonlySet<string> = new Set();
  total = 0;

  /** The ids in the order in which they are to be shown. */
  get order(): readonly string[] {
    return this.#held ?? this.#order;
  }

  get holding(): boolean {
    return this.#held !== undefined;
  }

  /** Whether releasing would change what stands in the first `count` rows. */
  orderChanged(count = Number.POSITIVE_INFINITY): boolean {
    const held = this.#held;
    if (held === undefined) return false;
    const length = Math.min(count, Math.max(held.length, this.#order.length));
    for (let i = 0; i < length; i++) if (held[i] !== this.#order[i]) return true;
    return false;
  }

  /** Cursor of what follows the last page that is loaded; undefined where that was all. */
  get next(): string | undefined {
    return this.#pages.at(-1)?.next;
  }

  get loaded(): boolean {
    return this.#pages.length > 0;
  }

  get pageCount(): number {
    return this.#pages.length;
  }

  /** The page that a row came with, as far as the newest order knows it. */
  pageOfId(id: string): { readonly number: number; readonly cursor: string | undefined } | undefined {
    const number = this.#pages.findIndex((page) => page.ids.includes(id));
    return number === -1 ? undefined : { number, cursor: this.#pages[number]?.cursor };
  }

  cursorOf(number: number): string | undefined {
    return this.#pages[number]?.cursor;
  }

  view(id: string): GroupView | undefined {
    const known = this.#shown.get(id);
    if (known !== undefined) return known;
    const view = this.#views.get(id);
    if (view === undefined) return undefined;
    const change = this.#optimistic.get(id);
    const shown = change === undefined ? view : { ...view, ...change };
    this.#shown.set(id, shown);
    return shown;
  }

  isLive(id: string): boolean {
    return this.#live.has(id);
  }

  /** Takes in a page. Page 0 is also what the live stream sends; `next` is left as it is where it is not given. */
  setPage(
    number: number,
    page: { readonly items: readonly GroupView[]; readonly total: number; readonly next?: string | undefined },
    cursor?: string,
  ): void {
    const ids = page.items.map((item) => this.put(item));
    const next = "next" in page ? page.next : this.#pages[number]?.next;
    this.#pages[number] = { ids, cursor, next };
    this.total = page.total;
    if (number === 0) this.#live = new Set(ids);
    // A group that moved up is in its new page and still in its old one: the first place counts.
    this.#order = [...new Set(this.#pages.flatMap((loaded) => loaded.ids))];
    const held = this.#held;
    if (held !== undefined) {
      const known = new Set(held);
      // What is held before anything was there holds nothing; what was asked for by scrolling belongs below.
      if (held.length === 0) this.#held = this.#order;
      else if (number > 0) this.#held = [...held, ...ids.filter((id) => !known.has(id))];
    }
    this.#forgetOthers();
  }

  clear(): void {
    this.#pages = [];
    this.#views = new Map();
    this.#shown.clear();
    this.#optimistic.clear();
    this.#order = [];
    this.#held = this.#held === undefined ? undefined : [];
    this.total = 0;
  }

  /** Takes in one group, wherever it stands. Returns its id. */
  put(view: GroupView): string {
    const id = groupId(view);
    const known = this.#views.get(id);
    if (known !== undefined && sameGroup(known, view)) return id;
    this.#views.set(id, view);
    this.#shown.delete(id);
    return id;
  }

  /** Keeps the order as it is until `release`; numbers go on changing. */
  hold(): void {
    this.#held ??= this.#order;
  }

  release(): void {
    this.#held = undefined;
    this.#forgetOthers();
  }

  /** Takes over the newest order, and goes on holding that. */
  refreshHeld(): void {
    if (this.#held !== undefined) this.#held = this.#order;
    this.#forgetOthers();
  }

  /** Shows a change before the engine has confirmed it. The returned function takes it back. */
  expect(id: string, change: Partial<GroupView>): () => void {
    this.#optimistic.set(id, change);
    this.#shown.delete(id);
    return () => {
      if (this.#optimistic.get(id) !== change) return; // a later change has taken its place
      this.#optimistic.delete(id);
      this.#shown.delete(id);
    };
  }

  #forgetOthers(): void {
    if (this.#views.size <= this.#order.length + (this.#held?.length ?? 0) + 200) return;
    const kept = new Set([...this.#order, ...(this.#held ?? [])]);
    for (const id of this.#views.keys())
      if (!kept.has(id)) {
        this.#views.delete(id);
        this.#shown.delete(id);
      }
  }
}

/** Whether two views would look the same. */
export function sameGroup(a: GroupView, b: GroupView): boolean {
  return (
    a.active === b.active &&
    a.waiting === b.waiting &&
    a.stopping === b.stopping &&
    a.maxRuns === b.maxRuns &&
    a.paused === b.paused &&
    a.overridden === b.overridden &&
    a.strategy === b.strategy &&
    a.startsPerMinute === b.startsPerMinute &&
    a.drainSeconds === b.drainSeconds &&
    a.oldestWaitingAt === b.oldestWaitingAt &&
    sameList(a.activeRuns, b.activeRuns) &&
    sameList(a.waitingRuns, b.waitingRuns) &&
    sameList(a.stoppingRuns ?? [], b.stoppingRuns ?? [])
  );
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
