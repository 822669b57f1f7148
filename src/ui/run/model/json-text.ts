/** JSON in one line, cut where it is too long for its place, without writing all of a large value. Pure. */

export const REDACTED = /^\[redacted\]$/i;

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
  const entries = Object.entries(value);
  if (entries.length === 0) return put(list ? "[]" : "{}");
  if (depth >= 4) return put(list ? "[…]" : "{…}");
  if (!put(list ? "[" : "{ ")) return false;
  for (const [index, [name, child]] of entries.entries()) {
    if (index > 0 && !put(", ")) return false;
    if (!list && !put(`${name}: `)) return false;
    if (!write(child, depth + 1, put)) return false;
  }
  return put(list ? "]" : " }");
}
