/** What a group decided about which run, when and why, newest first; older ones as one scrolls. */
import type { JSX } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { GroupDecisionView } from "../../protocol/record.ts";
import { call, describeError, isAbort } from "../api.ts";
import { RunLink } from "../kit/links.tsx";
import { Duration, Time } from "../kit/time.tsx";
import { VirtualList } from "../kit/virtual-list.tsx";

export interface DecisionLogProps {
  readonly limit: string;
  readonly groupKey: string;
  /** Changes when the group has. */
  readonly change: unknown;
}

const PAGE = 100;
const EVERY_MS = 700;
const ROW = 30;
const NARROW_ROW = 50;

interface Log {
  readonly items: readonly GroupDecisionView[];
  readonly next: string | undefined;
  readonly loaded: boolean;
  readonly error: string | undefined;
}

const NOTHING: Log = { items: [], next: undefined, loaded: false, error: undefined };

export function DecisionLog({ limit, groupKey, change, narrow }: DecisionLogProps & { readonly narrow: boolean }): JSX.Element {
  const { log, more } = useDecisions(limit, groupKey, change);
  const onView = useCallback((_first: number, last: number) => more(last), [more]);
  return (
    <section class="groups-section groups-log" aria-label="Decisions">
      <h2>
        Decisions <span class="kit-muted">newest first</span>
      </h2>
      {log.error !== undefined && <p class="groups-error">{log.error}</p>}
      {log.loaded && log.items.length === 0 ? (
        <p class="kit-muted">No decision is known yet.</p>
      ) : (
        <VirtualList
          class="groups-log-list"
          role="list"
          label="Decisions"
          count={log.items.length}
          rowHeight={narrow ? NARROW_ROW : ROW}
          render={(index) => <Decision key={idOf(log.items[index])} decision={log.items[index]} />}
          onView={onView}
        />
      )}
    </section>
  );
}

function Decision({ decision }: { readonly decision: GroupDecisionView | undefined }): JSX.Element | null {
  if (decision === undefined) return null;
  const { at, run, decision: what, why, by, waitedMs } = decision;
  return (
    <div class="groups-decision" role="listitem" data-decision={what} data-run={run}>
      <span class="groups-decision-at">
        <Time at={at} />
      </span>
      <span class="groups-decision-what" data-decision={what}>
        {what}
      </span>
      <RunLink id={run} />
      <span class="groups-decision-why">
        <Why why={why} by={by} />
        {waitedMs !== undefined && waitedMs > 0 && (
          <span class="kit-muted">
            {" "}
            · waited <Duration ms={waitedMs} />
          </span>
        )}
      </span>
    </div>
  );
}

/** The run that is to blame is a link, wherever the sentence names it. */
function Why({ why, by }: { readonly why: string; readonly by: string | undefined }): JSX.Element {
  if (by === undefined) return <>{why}</>;
  const at = why.indexOf(by);
  if (at === -1)
    return (
      <>
        {why} <RunLink id={by} />
      </>
    );
  return (
    <>
      {why.slice(0, at)}
      <RunLink id={by} />
      {why.slice(at + by.length)}
    </>
  );
}

function useDecisions(limit: string, key: string, change: unknown): { readonly log: Log; readonly more: (last: number) => void } {
  const [log, setLog] = useState<Log>(NOTHING);
  const current = useRef(log);
  current.current = log;
  const asking = useRef(false);
  const asked = useRef(0);

  useEffect(() => setLog(NOTHING), [limit, key]);
  useEffect(() => {
    const request = new AbortController();
    const load = async () => {
      asked.current = performance.now();
      try {
        const page = await call("group.decisions", { limit, key, size: PAGE }, request.signal);
        setLog((before) => merge(before, page));
      } catch (error) {
        if (!isAbort(error)) setLog((before) => ({ ...before, error: describeError(error) }));
      }
    };
    // The history is a moment behind the group, so the last change of a burst is asked for a little later, too.
    const timer = setTimeout(() => void load(), Math.max(0, asked.current + EVERY_MS - performance.now()));
    const later = setTimeout(() => void load(), EVERY_MS * 2);
    return () => {
      clearTimeout(timer);
      clearTimeout(later);
      request.abort();
    };
  }, [limit, key, change]);

  const more = useCallback(
    (last: number) => {
      const { next, items } = current.current;
      if (next === undefined || last < items.length - 30 || asking.current) return;
      asking.current = true;
      void call("group.decisions", { limit, key, size: PAGE, cursor: next })
        .then((page) => setLog((before) => ({ ...before, items: unique([...before.items, ...page.items]), next: page.next })))
        .catch((error: unknown) => setLog((before) => ({ ...before, error: describeError(error) })))
        .finally(() => {
          asking.current = false;
        });
    },
    [limit, key],
  );
  return { log, more };
}

/** New ones before those that are known; all anew where there is a gap between them. */
function merge(before: Log, page: { readonly items: readonly GroupDecisionView[]; readonly next?: string }): Log {
  const known = new Set(before.items.map(idOf));
  const overlaps = page.items.some((item) => known.has(idOf(item)));
  if (!before.loaded || !overlaps) return { items: page.items, next: page.next, loaded: true, error: undefined };
  return { items: unique([...page.items, ...before.items]), next: before.next, loaded: true, error: undefined };
}

function unique(items: readonly GroupDecisionView[]): readonly GroupDecisionView[] {
  return [...new Map(items.map((item) => [idOf(item), item])).values()];
}

function idOf(item: GroupDecisionView | undefined): string {
  return item === undefined ? "" : `${item.at} ${item.run} ${item.decision}`;
}
