/** A machine's state value as rows to read: one per state, nested, with what the frame entered and left. Pure. */
export interface StateRow {
  readonly name: string;
  /** Names from the root, joined by dots: XState's id of the state where the machine gives it none of its own. */
  readonly path: string;
  readonly depth: number;
  readonly mark: "same" | "entered" | "left";
  /** It has no states in it that are active. */
  readonly leaf: boolean;
}

/** `before` undefined: nothing to compare with. */
export function stateRows(value: unknown, before: unknown, root = ""): StateRow[] {
  const rows: StateRow[] = [];
  const compares = before !== undefined;
  walk(childrenOf(value), compares ? childrenOf(before) : undefined, root, 0, rows);
  return rows;
}

type States = ReadonlyMap<string, unknown>;

function walk(now: States, before: States | undefined, path: string, depth: number, rows: StateRow[]): void {
  for (const [name, value] of now) {
    const known = before === undefined || before.has(name);
    const children = childrenOf(value);
    const own = path === "" ? name : `${path}.${name}`;
    rows.push({ name, path: own, depth, mark: known ? "same" : "entered", leaf: children.size === 0 });
    walk(children, before === undefined ? undefined : childrenOf(before.get(name)), own, depth + 1, rows);
  }
  for (const [name, value] of before ?? []) {
    if (now.has(name)) continue;
    const own = path === "" ? name : `${path}.${name}`;
    const children = childrenOf(value);
    rows.push({ name, path: own, depth, mark: "left", leaf: children.size === 0 });
    walk(new Map(), children, own, depth + 1, rows);
  }
}

/** `"a"` stands for `{ a: {} }`. */
function childrenOf(value: unknown): States {
  if (typeof value === "string") return new Map([[value, undefined]]);
  if (typeof value !== "object" || value === null) return new Map();
  return new Map(Object.entries(value));
}
