/**
 * The text in the groups page's filter box: `limit:<name>` and free text that is looked for in the key. It is what stands in
 * the address, so it is read and written here only. Pure.
 */

export interface GroupFilter {
  readonly limit?: string;
  readonly text?: string;
}

/** Words with `limit:` name the limit (the last one counts); all the rest, joined by spaces, is looked for in the key. */
export function parseGroupFilter(query: string): GroupFilter {
  let limit: string | undefined;
  const words: string[] = [];
  for (const word of query.trim().split(/\s+/)) {
    if (word.startsWith("limit:")) limit = word.slice("limit:".length) || limit;
    else if (word.startsWith("key:")) words.push(word.slice("key:".length));
    else words.push(word);
  }
  const text = words.join(" ").trim();
  return { ...(limit !== undefined && { limit }), ...(text !== "" && { text }) };
}

export function isEmptyFilter(filter: GroupFilter): boolean {
  return filter.limit === undefined && filter.text === undefined;
}
