/** Pages that several nodes gave of one order, each of what it has, as the page of the whole. Pure. */

export interface PartOfPage<T> {
  /** In order, the first ones that this node has. */
  readonly items: readonly T[];
  /** It has others, which come after these. */
  readonly more: boolean;
}

/**
 * The first `size` of all. Fewer where a part ends before: what it left out comes next, so nothing that comes later may be shown.
 */
export function mergePages<T>(
  parts: readonly PartOfPage<T>[],
  compare: (a: T, b: T) => number,
  size: number,
): { readonly items: readonly T[]; readonly more: boolean } {
  const ends = parts.flatMap(({ items, more }) => (more ? (items.at(-1) ?? []) : []));
  const known = parts
    .flatMap(({ items }) => items)
    .filter((item) => ends.every((end) => compare(item, end) <= 0))
    .sort(compare);
  const total = parts.reduce((sum, { items }) => sum + items.length, 0);
  const items = known.slice(0, size);
  return { items, more: items.length < total || parts.some(({ more }) => more) };
}
