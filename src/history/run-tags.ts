/**
 * The metadata of runs as lists find it: `name` and `name=value` for each entry. Values that are no text are as JSON; long ones count
 * with their beginning.
 */

/** Of a run with more entries, the others are not found. */
const MAX_ENTRIES = 50;
const MAX_CHARS = 256;

export function tagsOf(metadata: Readonly<Record<string, unknown>> | undefined): readonly string[] {
  const tags: string[] = [];
  for (const name in metadata) {
    if (tags.length >= 2 * MAX_ENTRIES) break;
    const value = metadata[name];
    tags.push(tagOf(name), tagOf(`${name}=${typeof value === "string" ? value : JSON.stringify(value)}`));
  }
  return [...new Set(tags)];
}

/** As it is stored, and asked for. */
export function tagOf(text: string): string {
  return text.slice(0, MAX_CHARS);
}
