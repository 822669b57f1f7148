/** JSON in one line, cut where it is too long for its place, without writing all of a large value. Pure. */

/** `{ step: "write", attempt: 2 }`; at most about `limit` characters. */
export function previewOf(value: unknown, limit = 160): string {
  const parts: string[] = [];
  let length = 0;
  const put = (text: string): boolean => {
    parts.push(text);
    length += text.length;
    return length < limit;
  };
  write(value, 0, put);
  const text = parts.join("");
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
}

function write(value: unknown, depth: number, put: (text: string) => boolean): boolean {
  if (value === undefined) return true;
  if (typeof value === "string") return put(JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}…` : value));
  if (typeof value !== "object" || value === null) return put(String(value));
  const list = Array.isArray(value);
  // Lists may be long: their items are looked at one by one.
  const entries = list ? value.entries() : Object.entries(value);
  if ((list ? value : (entries as readonly unknown[])).length === 0) return put(list ? "[]" : "{}");
  if (depth >= 4) return put(list ? "[…]" : "{…}");
  if (!put(list ? "[" : "{ ")) return false;
  let first = true;
  for (const [name, child] of entries) {
    if (!first && !put(", ")) return false;
    first = false;
    if (!list && !put(`${name}: `)) return false;
    if (!write(child, depth + 1, put)) return false;
  }
  return put(list ? "]" : " }");
}
