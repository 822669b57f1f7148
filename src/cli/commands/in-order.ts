/** Many things done at once, their results in the order in which they were asked for, each as soon as it can be. */

/** At most `limit` calls of `action` are under way, results that wait for an earlier one included. `action` must not reject. */
export async function* inOrder<T, R>(items: AsyncIterable<T>, limit: number, action: (item: T) => Promise<R>): AsyncGenerator<R> {
  const underWay: Promise<R>[] = [];
  let ended = false;
  let wake: () => void = () => undefined;
  const change = (): Promise<void> => new Promise((resolve) => (wake = resolve));

  const take = async (): Promise<void> => {
    try {
      for await (const item of items) {
        while (underWay.length >= limit) await change();
        underWay.push(action(item));
        wake();
      }
    } finally {
      ended = true;
      wake();
    }
  };

  const taken = take();
  for (;;) {
    const next = underWay[0];
    if (next !== undefined) {
      const result = await next;
      void underWay.shift();
      wake();
      yield result;
    } else if (ended) break;
    else await change();
  }
  await taken;
}
