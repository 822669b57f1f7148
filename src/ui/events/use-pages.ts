/** A list that grows at its top as things arrive and at its bottom as one scrolls. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Page } from "../../protocol/view.ts";
import { describeError, isAbort } from "../api.ts";
import { useLive } from "../live.ts";

export interface PagedList<T> {
  readonly items: readonly T[];
  readonly loaded: boolean;
  readonly error: string | undefined;
  /** Whether there is more at the bottom. */
  readonly hasMore: boolean;
  /** The last row in view. */
  readonly see: (last: number) => void;
}

interface State<T> {
  readonly items: readonly T[];
  readonly next: string | undefined;
  readonly loaded: boolean;
  readonly error: string | undefined;
}

const NOTHING = { items: [], next: undefined, loaded: false, error: undefined };
const EVERY_MS = 400;
const AHEAD = 30;

/** `load` asks for a page; another function is another list. Live through the topic `events`. */
export function usePages<T>(
  load: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>,
  idOf: (item: T) => number,
): PagedList<T> {
  const [state, setState] = useState<State<T>>(NOTHING);
  const [change, setChange] = useState(0);
  const asked = useRef(0);
  const current = useRef(state);
  current.current = state;
  const asking = useRef(false);

  useEffect(() => setState(NOTHING), [load]);
  useEffect(() => {
    const request = new AbortController();
    const ask = async () => {
      asked.current = performance.now();
      try {
        const page = await load(undefined, request.signal);
        if (!request.signal.aborted) setState((before) => merge(before, page, idOf));
      } catch (error) {
        if (!isAbort(error) && !request.signal.aborted) setState((before) => ({ ...before, error: describeError(error) }));
      }
    };
    const timer = setTimeout(() => void ask(), Math.max(0, asked.current + EVERY_MS - performance.now()));
    // What an event started is known to the history a moment later.
    const later = change === 0 ? undefined : setTimeout(() => void ask(), EVERY_MS * 3);
    return () => {
      clearTimeout(timer);
      clearTimeout(later);
      request.abort();
    };
  }, [load, change]);
  useLive("events", (...[event]) => {
    // `hello`: what came after the first page was asked for and before the stream was there has been told to nobody.
    if (event === "events" || event === "hello" || event === "reset") setChange((before) => before + 1);
  });

  const see = useCallback(
    (last: number) => {
      const { next, items } = current.current;
      if (next === undefined || asking.current || last < items.length - AHEAD) return;
      asking.current = true;
      load(next, new AbortController().signal)
        .then((page) =>
          setState((before) =>
            before.next === next ? { ...before, items: [...before.items, ...page.items], next: page.next } : before,
          ),
        )
        .catch((error: unknown) => setState((before) => ({ ...before, error: describeError(error) })))
        .finally(() => {
          asking.current = false;
        });
    },
    [load],
  );
  return { items: state.items, loaded: state.loaded, error: state.error, hasMore: state.next !== undefined, see };
}

/** New ones before those that are known, which may have changed; all anew where there is a gap between them. */
function merge<T>(before: State<T>, page: Page<T>, idOf: (item: T) => number): State<T> {
  const fresh = new Set(page.items.map(idOf));
  const rest = before.items.filter((item) => !fresh.has(idOf(item)));
  const overlaps = rest.length < before.items.length;
  if (!before.loaded || !overlaps || page.next === undefined)
    return { items: page.items, next: page.next, loaded: true, error: undefined };
  return { items: [...page.items, ...rest], next: before.next, loaded: true, error: undefined };
}
