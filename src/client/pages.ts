/**
 * A list that comes in pages: awaited it is one page, iterated it is everything.
 */
import type { Page } from "../protocol/view.ts";

/** `await list` gives the page that was asked for; `for await (const item of list)` goes through it and all that follow. */
export class Pages<T> implements PromiseLike<Page<T>>, AsyncIterable<T> {
  readonly #load: (cursor: string | undefined) => Promise<Page<T>>;
  #first: Promise<Page<T>> | undefined;

  /** `load` is called with no cursor for the page that was asked for. */
  constructor(load: (cursor: string | undefined) => Promise<Page<T>>) {
    this.#load = load;
  }

  then<A = Page<T>, B = never>(onFulfilled?: ((page: Page<T>) => A | PromiseLike<A>) | null, onRejected?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<A | B> {
    this.#first ??= this.#load(undefined);
    return this.#first.then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<Page<T> | B> {
    return this.then(undefined, onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<Page<T>> {
    return this.then().finally(onFinally);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (let page: Page<T> = await this.then(); ; page = await this.#load(page.next)) {
      yield* page.items;
      if (page.next === undefined) return;
    }
  }
}
