/** Which runs are selected: some by id, or all that match the filter. */
import { computed, signal } from "@preact/signals";

export type Selection = { readonly kind: "some"; readonly ids: ReadonlySet<string> } | { readonly kind: "all" };

const NOTHING: Selection = { kind: "some", ids: new Set() };

export const selection = signal<Selection>(NOTHING);
export const isAnySelected = computed(() => selection.value.kind === "all" || selection.value.ids.size > 0);

export function isSelected(id: string): boolean {
  return selection.value.kind === "all" || selection.value.ids.has(id);
}

/** Of all that match, one is taken out again by selecting anew: "all but one" is not a thing that the server could be asked. */
export function toggle(id: string): void {
  const ids = new Set(selection.value.kind === "all" ? [] : selection.value.ids);
  if (!ids.delete(id)) ids.add(id);
  selection.value = { kind: "some", ids };
}

export function addAll(added: readonly string[]): void {
  const ids = new Set(selection.value.kind === "all" ? [] : selection.value.ids);
  for (const id of added) ids.add(id);
  selection.value = { kind: "some", ids };
}

export function selectAllMatches(): void {
  selection.value = { kind: "all" };
}

export function clearSelection(): void {
  selection.value = NOTHING;
}
