/** Lists from the client, as far as they were asked for: one page, or all of them. */
import type { Pages } from "../../client/pages.ts";
import type { Page } from "../../protocol/view.ts";

/** `next` is there where more would follow. */
export async function collect<T>(pages: Pages<T>, how: "page" | "all"): Promise<Page<T>> {
  if (how === "page") return await pages;
  const items: T[] = [];
  for await (const item of pages) items.push(item);
  return { items };
}
