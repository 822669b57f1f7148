/**
 * What changed between two JSON values, as one tree to read: every field of either, with its mark. Lists are matched at both
 * ends, so that one more at the front or the end is one change. Pure.
 */
export type Mark = "same" | "added" | "removed" | "changed";

export interface DiffNode {
  readonly name: string;
  /** `steps/write/attempt`, with `~1` for a slash (RFC 6901). */
  readonly path: string;
  readonly mark: Mark;
  /** The value as it is; of what was removed, as it was. */
  readonly value: unknown;
  /** Of changed scalars, and where the kind of value is another. */
  readonly before?: unknown;
  /** Something in it changed. */
  readonly touched: boolean;
  readonly children?: readonly DiffNode[];
}

/** Undefined `before`: there is nothing to compare with, so all of it is `same`. */
export function diffJson(before: unknown, after: unknown, name = "", path = ""): DiffNode {
  if (before === undefined || Object.is(before, after)) return plain(after, "same", name, path);
  const lists = Array.isArray(before) && Array.isArray(after);
  if (lists || (isObject(before) && isObject(after))) {
    const children = lists ? diffLists(before, after, path) : diffObjects(before as Nested, after as Nested, path);
    const touched = children.some((child) => child.touched);
    return { name, path, mark: "same", value: after, touched, children };
  }
  if (!isNested(before) && !isNested(after)) return plain(after, "same", name, path, { before, changed: before !== after });
  return { ...plain(after, "changed", name, path), before, touched: true };
}

/** All of a value with one mark, down to its leaves. */
function plain(value: unknown, mark: Mark, name: string, path: string, was?: { before: unknown; changed: boolean }): DiffNode {
  if (was?.changed === true) return { name, path, mark: "changed", value, before: was.before, touched: true };
  const touched = mark !== "same";
  if (!isNested(value)) return { name, path, mark, value, touched };
  const children = Object.entries(value).map(([key, child]) => plain(child, mark, key, join(path, key)));
  return { name, path, mark, value, touched, children };
}

type Nested = Readonly<Record<string, unknown>>;

function diffObjects(before: Nested, after: Nested, path: string): DiffNode[] {
  const nodes = Object.entries(after).map(([key, value]) =>
    Object.hasOwn(before, key)
      ? diffJson(before[key] === undefined ? null : before[key], value, key, join(path, key))
      : plain(value, "added", key, join(path, key)),
  );
  for (const [key, value] of Object.entries(before))
    if (!Object.hasOwn(after, key)) nodes.push(plain(value, "removed", key, join(path, key)));
  return nodes;
}

function diffLists(before: readonly unknown[], after: readonly unknown[], path: string): DiffNode[] {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && equal(before[head], after[head])) head++;
  let tail = 0;
  while (tail < shorter - head && equal(before[before.length - 1 - tail], after[after.length - 1 - tail])) tail++;
  const nodes: DiffNode[] = [];
  const pairs = Math.min(before.length, after.length) - head - tail;
  for (const [index, value] of after.entries()) {
    const name = String(index);
    const at = join(path, name);
    if (index < head || index >= after.length - tail) nodes.push(plain(value, "same", name, at));
    else if (index < head + pairs) nodes.push(diffJson(before[index] ?? null, value, name, at));
    else nodes.push(plain(value, "added", name, at));
  }
  for (let index = head + pairs; index < before.length - tail; index++)
    nodes.splice(index, 0, plain(before[index], "removed", String(index), join(path, `-${index}`)));
  return nodes;
}

function equal(a: unknown, b: unknown): boolean {
  return Object.is(a, b) || (isNested(a) && isNested(b) && JSON.stringify(a) === JSON.stringify(b));
}

function isNested(value: unknown): value is Nested {
  return typeof value === "object" && value !== null;
}

function isObject(value: unknown): value is Nested {
  return isNested(value) && !Array.isArray(value);
}

function join(path: string, key: string): string {
  const escaped = key.replaceAll("~", "~0").replaceAll("/", "~1");
  return path === "" ? escaped : `${path}/${escaped}`;
}
