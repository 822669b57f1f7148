/**
 * A list that comes in pages: awaited it is one page, iterated it is everything.
 */
import type { Page } from "../protocol/view.ts";

/** `await list` gives the page that was asked for; `for await (const item of list)` goes through it and all that follow. */
export type Pages<T> = Promise<Page<T>> & AsyncIterable<T>;

/** `load` is called at once, with no cursor, for the page that was asked for; then for each further one that is iterated to. */
export function loadPages<T>(load: (cursor: string | undefined) => Promise<Page<T>>): Pages<T> {
  const first = load(undefined);
  return Object.assign(first, {
    async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
      for (let page = await first; ; page = await load(page.next)) {
        yield* page.items;
        if (page.next === undefined) return;
      }
    },
  });
}
