/** The events that arrived, newest first: name, payload, what each one started. */
import type { JSX } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { EventView } from "../../protocol/view.ts";
import { call } from "../api.ts";
import { Button } from "../kit/button.tsx";
import { CopyButton } from "../kit/copy-button.tsx";
import { EmptyState } from "../kit/empty-state.tsx";
import { JsonView } from "../kit/json-view.tsx";
import { useKeys } from "../kit/keys.tsx";
import { RunLink } from "../kit/links.tsx";
import { Time } from "../kit/time.tsx";
import { VirtualList, type VirtualListHandle } from "../kit/virtual-list.tsx";
import { setQuery } from "../router.tsx";
import { about } from "../shell/about.ts";
import { natsCommand, sluiceCommand } from "../shell/publish-commands.ts";
import { usePages } from "./use-pages.ts";

export interface EventListProps {
  readonly name: string;
  readonly onPublish: () => void;
}

const PAGE = 100;
const ROW = 30;
const SHOWN_RUNS = 3;
const seqOf = (event: EventView): number => event.seq;

export function EventList({ name, onPublish }: EventListProps): JSX.Element {
  const load = useCallback(
    (cursor: string | undefined, signal: AbortSignal) =>
      call("event.list", { size: PAGE, ...(name !== "" && { name }), ...(cursor !== undefined && { cursor }) }, signal),
    [name],
  );
  const all = usePages(load, seqOf);
  const { loaded, error, see } = all;
  const [pointed, setPointed] = useState(false);
  const [chosen, setChosen] = useState<number | undefined>(undefined);
  const [atTop, setAtTop] = useState(true);
  // What arrives while someone points at the rows, or reads further down, waits above.
  const { items, newer, showNewer } = useHeld(all.items, pointed || !atTop || chosen !== undefined);
  const list = useRef<VirtualListHandle>(null);
  const at = items.findIndex(({ seq }) => seq === chosen);
  const move = (by: number) => {
    if (items.length === 0) return;
    const next = at === -1 ? 0 : Math.min(items.length - 1, Math.max(0, at + by));
    setChosen(items[next]?.seq);
    list.current?.scrollTo(next);
  };
  useKeys({
    j: { does: "next event", run: () => move(1) },
    k: { does: "previous event", run: () => move(-1) },
    ArrowDown: { does: "next event", run: () => move(1) },
    ArrowUp: { does: "previous event", run: () => move(-1) },
    ...(chosen !== undefined && { Escape: { does: "close the event", run: () => setChosen(undefined) } }),
  });
  const onView = useCallback(
    (_first: number, last: number, top: boolean) => {
      see(last);
      setAtTop(top);
    },
    [see],
  );
  const event = items[at];
  return (
    <div class="events-list">
      <div class="events-bar">
        <NameFilter name={name} />
        {newer > 0 && (
          <Button
            class="events-pill"
            onClick={() => {
              showNewer();
              list.current?.scrollTo(0);
            }}
          >
            {newer.toLocaleString("en")} new · show
          </Button>
        )}
        {error !== undefined && <span class="events-error">{error}</span>}
      </div>
      {loaded && items.length === 0 ? (
        <NoEvents name={name} onPublish={onPublish} />
      ) : (
        <div
          class="events-split"
          onPointerEnter={(pointer) => pointer.pointerType === "mouse" && setPointed(true)}
          onPointerLeave={() => setPointed(false)}
        >
          <VirtualList
            class="events-rows"
            role="list"
            label="Events, newest first"
            count={items.length}
            rowHeight={ROW}
            onView={onView}
            handle={list}
            render={(index) => {
              const item = items[index];
              return item === undefined ? null : (
                <EventRow
                  key={item.seq}
                  event={item}
                  chosen={item.seq === chosen}
                  onChoose={() => setChosen(item.seq === chosen ? undefined : item.seq)}
                />
              );
            }}
          />
          {event !== undefined && <EventDetail event={event} onClose={() => setChosen(undefined)} />}
        </div>
      )}
    </div>
  );
}

/** While `hold`, only what was there when it began (and what is older). */
function useHeld(
  items: readonly EventView[],
  hold: boolean,
): { readonly items: readonly EventView[]; readonly newer: number; readonly showNewer: () => void } {
  const [newest, setNewest] = useState<number | undefined>(undefined);
  const first = items[0]?.seq;
  useEffect(() => setNewest(hold ? first : undefined), [hold]);
  if (!hold || newest === undefined) return { items, newer: 0, showNewer: () => undefined };
  const shown = items.filter(({ seq }) => seq <= newest);
  return { items: shown, newer: items.length - shown.length, showNewer: () => setNewest(first) };
}

interface EventRowProps {
  readonly event: EventView;
  readonly chosen: boolean;
  readonly onChoose: () => void;
}

function EventRow({ event, chosen, onChoose }: EventRowProps): JSX.Element {
  const { seq, name, at, payload, runs } = event;
  return (
    <div class="events-row" role="listitem" data-event={seq} aria-current={chosen ? "true" : undefined}>
      <span class="events-at">
        <Time at={at} />
      </span>
      <button type="button" class="events-name" aria-expanded={chosen} onClick={onChoose}>
        {name}
      </button>
      <code class="events-preview">{preview(payload)}</code>
      <span class="events-runs">
        {runs.slice(0, SHOWN_RUNS).map((id) => (
          <RunLink key={id} id={id} />
        ))}
        {runs.length > SHOWN_RUNS && <span class="kit-muted">and {runs.length - SHOWN_RUNS} more</span>}
        {runs.length === 0 && (
          <span class="kit-muted" title="No workflow runs on this event, or the history does not know it yet">
            nothing
          </span>
        )}
      </span>
    </div>
  );
}

function EventDetail({ event, onClose }: { readonly event: EventView; readonly onClose: () => void }): JSX.Element {
  const { seq, name, at, payload, metadata, runs } = event;
  return (
    <aside class="events-detail" aria-label={`Event ${seq}`}>
      <header>
        <h2>{name}</h2>
        <Button kind="quiet" aria-label="Close" onClick={onClose}>
          ✕
        </Button>
      </header>
      <p class="kit-muted">
        number {seq} · <Time at={at} />
      </p>
      <h3>
        Payload <CopyButton text={() => JSON.stringify(payload, null, 2)} />
        <CopyButton text={() => natsCommand(name, JSON.stringify(payload).replaceAll("'", "'\\''"))}>Copy as nats pub</CopyButton>
      </h3>
      <JsonView value={payload} open={3} />
      {metadata !== undefined && (
        <>
          <h3>Metadata</h3>
          <JsonView value={metadata} />
        </>
      )}
      <h3>{runs.length === 0 ? "It started nothing" : `It started ${runs.length === 1 ? "a run" : `${runs.length} runs`}`}</h3>
      <ul class="events-started">
        {runs.map((id) => (
          <li key={id}>
            <RunLink id={id}>{id}</RunLink>
          </li>
        ))}
      </ul>
    </aside>
  );
}

const TYPING_MS = 200;

function NameFilter({ name }: { readonly name: string }): JSX.Element {
  const [text, setText] = useState(name);
  const sent = useRef(name);
  useEffect(() => {
    // Not what was typed a moment ago: more may have been typed since.
    if (name !== sent.current) setText(name);
    sent.current = name;
  }, [name]);
  useEffect(() => {
    if (text.trim() === sent.current) return undefined;
    const timer = setTimeout(() => {
      sent.current = text.trim();
      setQuery({ name: text.trim() }, { replace: true });
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <input
      data-filter
      type="search"
      class="kit-input"
      aria-label="Name of the event"
      placeholder="name of the event"
      spellcheck={false}
      value={text}
      onInput={(event) => setText(event.currentTarget.value)}
    />
  );
}

function NoEvents({ name, onPublish }: EventListProps): JSX.Element {
  const payload = '{"user_id": "ada"}';
  const isDemo = about.value?.demo === true;
  const wanted = name === "" ? (isDemo ? "per-user-test" : "<name>") : name;
  return (
    <EmptyState
      title={name === "" ? "No event has arrived" : `No event “${name}” is stored`}
      text="Any NATS client can publish one, in any language:"
      commands={[natsCommand(wanted, payload), sluiceCommand(wanted, payload)]}
      action={
        <Button kind="primary" onClick={onPublish}>
          Publish an event here
        </Button>
      }
    />
  );
}

/** The beginning of a payload, in one line. */
export function preview(payload: unknown): string {
  return (JSON.stringify(payload) ?? "").slice(0, 300);
}
