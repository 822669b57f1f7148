/** Filters with a name, kept in this browser. */
import { signal } from "@preact/signals";

export interface SavedView {
  readonly name: string;
  readonly filter: string;
}

const KEY = "sluice.views";
export const MOST_VIEWS = 20;

export const savedViews = signal<readonly SavedView[]>(stored());

/** One of the same name is replaced. False: there are as many as there may be. */
export function saveView(view: SavedView): boolean {
  const others = savedViews.value.filter(({ name }) => name !== view.name);
  if (others.length >= MOST_VIEWS) return false;
  keep([...others, view].sort((a, b) => a.name.localeCompare(b.name)));
  return true;
}

export function removeView(name: string): void {
  keep(savedViews.value.filter((view) => view.name !== name));
}

function keep(views: readonly SavedView[]): void {
  savedViews.value = views;
  try {
    localStorage.setItem(KEY, JSON.stringify(views));
  } catch {
    // Storage may be off or full; then they last as long as the page.
  }
}

function stored(): readonly SavedView[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(value) ? value.filter(isView).slice(0, MOST_VIEWS) : [];
  } catch {
    return [];
  }
}

function isView(value: unknown): value is SavedView {
  const view = value as Partial<SavedView> | null;
  return typeof view === "object" && typeof view?.name === "string" && typeof view.filter === "string";
}
