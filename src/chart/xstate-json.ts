/** A definition as text that `createMachine` takes, for people to paste elsewhere: keys in the order in which one reads them. */
const ORDER = [
  "id",
  "description",
  "type",
  "initial",
  "history",
  "target",
  "tags",
  "entry",
  "exit",
  "invoke",
  "always",
  "on",
  "after",
  "onDone",
  "states",
];

export function toXStateJson(definition: unknown): string {
  return JSON.stringify(inOrder(definition), null, 2) ?? "null";
}

function inOrder(value: unknown, isState = true): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value) || !isState) return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => [
    key,
    key === "states" && typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).map(([name, state]) => [name, inOrder(state)]))
      : inner,
  ]);
  const place = (key: string): number => (ORDER.includes(key) ? ORDER.indexOf(key) : ORDER.length);
  return Object.fromEntries(entries.sort(([a], [b]) => place(a) - place(b)));
}
