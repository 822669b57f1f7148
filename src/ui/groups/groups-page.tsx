/**
 * The page "Groups": one row per concurrency key, most pressed first, live. Rows stay where they are while someone points at
 * them, works in them or has chosen one by keyboard; a note says when the order has changed meanwhile.
 */
import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "../kit/button.tsx";
import { useKeys } from "../kit/keys.tsx";
import { VirtualList, type VirtualListHandle } from "../kit/virtual-list.tsx";
import { navigate, pathTo, route, setQuery } from "../router.tsx";
import { readOnly } from "../shell/about.ts";
import { changeGroup, type GroupChange } from "./group-actions.ts";
import { GroupFeed } from "./group-feed.ts";
import { isEmptyFilter, parseGroupFilter } from "./group-filter.ts";
import { GroupRow } from "./group-row.tsx";
import { NoGroups } from "./no-groups.tsx";
import { MarkTips } from "./mark-tip.tsx";
import { useMedia } from "./use-media.ts";
import "./groups.css";

const ROW = { wide: 34, narrow: 92 };
const TYPING_MS = 200;

export function GroupsPage(): JSX.Element {
  const feed = useMemo(() => new GroupFeed(), []);
  useEffect(() => {
    feed.start();
    return () => feed.stop();
  }, [feed]);
  const query = route.value.query.get("q") ?? "";
  const filter = useMemo(() => parseGroupFilter(query), [query]);
  useEffect(() => feed.setFilter(filter), [feed, filter]);

  const narrow = useMedia("(max-width: 860px)");
  const [selected, setSelected] = useState<string | undefined>(undefined);
  const [editing, setEditing] = useState<string | undefined>(undefined);
  const [pointed, setPointed] = useState(false);
  const [focused, setFocused] = useState(false);
  const held = pointed || focused || selected !== undefined || editing !== undefined;
  useEffect(() => (held ? feed.hold() : feed.release()), [feed, held]);

  const version = feed.version.value;
  const { rows } = feed;
  const order = rows.order;
  const list = useRef<VirtualListHandle>(null);
  const loaded = feed.loaded.value;
  const isReadOnly = readOnly.value;

  const change = useCallback(
    (id: string, what: GroupChange) => {
      const group = rows.view(id);
      if (group === undefined) return;
      void changeGroup(group, what, {
        expect: (expected) => {
          const takeBack = rows.expect(id, expected);
          feed.touch();
          return () => {
            takeBack();
            feed.touch();
          };
        },
        put: (view) => {
          rows.put(view);
          feed.touch();
        },
      });
    },
    [feed, rows],
  );
  const move = (by: number) => {
    if (order.length === 0) return;
    const at = selected === undefined ? -1 : order.indexOf(selected);
    const next = Math.min(order.length - 1, Math.max(0, at === -1 ? 0 : at + by));
    setSelected(order[next]);
    list.current?.scrollTo(next);
  };
  const onSelected = (run: (id: string) => void) => () => {
    if (selected !== undefined) run(selected);
  };
  useKeys({
    j: { does: "next group", run: () => move(1) },
    k: { does: "previous group", run: () => move(-1) },
    ArrowDown: { does: "next group", run: () => move(1) },
    ArrowUp: { does: "previous group", run: () => move(-1) },
    Enter: {
      does: "open the group",
      run: onSelected((id) => {
        const group = rows.view(id);
        if (group !== undefined) navigate(pathTo("groups", group.limit, group.key));
      }),
    },
    ...(!isReadOnly && {
      p: {
        does: "pause or resume the group",
        run: onSelected((id) => change(id, { kind: rows.view(id)?.paused === true ? "resume" : "pause" })),
      },
      e: { does: "change the group's limit", run: onSelected((id) => setEditing(id)) },
    }),
    ...(selected !== undefined && { Escape: { does: "let the groups move again", run: () => setSelected(undefined) } }),
  });

  const onView = useCallback((first: number, last: number) => feed.setView(first, last), [feed]);
  const rest = rows.next === undefined ? 0 : Math.max(0, rows.total - order.length);
  const render = (index: number): JSX.Element => {
    const id = order[index];
    const group = id === undefined ? undefined : rows.view(id);
    if (id === undefined || group === undefined)
      return <div key={`row ${index}`} class="groups-row" data-loading role="listitem" />;
    return (
      <GroupRow
        key={id}
        id={id}
        group={group}
        selected={id === selected}
        editing={id === editing}
        readOnly={isReadOnly}
        onChange={change}
        onEdit={setEditing}
      />
    );
  };

  return (
    <div class="groups-page" data-version={version}>
      <div class="groups-head">
        <h1>Groups</h1>
        <FilterBox query={query} />
        <span class="kit-muted groups-total" aria-live="off">
          {loaded ? `${rows.total.toLocaleString("en")} ${isEmptyFilter(filter) ? "live" : "found"}` : ""}
        </span>
        {rows.orderChanged(200) && (
          <Button class="groups-pill" onClick={() => feed.reorder()}>
            Order changed · update
          </Button>
        )}
      </div>
      {feed.error.value !== undefined && !loaded && <p class="groups-error">{feed.error.value}</p>}
      {loaded && order.length === 0 ? (
        <NoGroups filtered={!isEmptyFilter(filter)} />
      ) : (
        <>
          <div class="groups-columns" aria-hidden="true">
            <span>Key · limit</span>
            <span>Strategy</span>
            <span>Slots</span>
            <span>Waiting, in order</span>
            <span class="groups-number">Oldest</span>
            <span class="groups-number" title="Runs admitted per minute, as a moving average">
              Starts/min
            </span>
            <span class="groups-number" title="Until all that waits now is admitted, at this rate">
              Drains in
            </span>
            <span />
          </div>
          <div
            class="groups-hold"
            data-held={held}
            onPointerEnter={(event) => event.pointerType === "mouse" && setPointed(true)}
            onPointerLeave={() => setPointed(false)}
            onFocusIn={(event) => setFocused(event.target !== list.current?.element)}
            onFocusOut={(event) => {
              if (!(event.relatedTarget instanceof Node) || !event.currentTarget.contains(event.relatedTarget)) setFocused(false);
            }}
          >
            <MarkTips class="groups-tips">
              <VirtualList
                class="groups-list"
                role="list"
                label="Groups, most pressed first"
                count={order.length + rest}
                rowHeight={narrow ? ROW.narrow : ROW.wide}
                render={render}
                onView={onView}
                handle={list}
              />
            </MarkTips>
          </div>
        </>
      )}
    </div>
  );
}

/** What is typed goes to the address when the typing pauses; what the address says comes back into the box. */
function FilterBox({ query }: { readonly query: string }): JSX.Element {
  const text = useSignal(query);
  const sent = useRef(query);
  useEffect(() => {
    // Not what was typed a moment ago: more may have been typed since.
    if (query !== sent.current) text.value = query;
    sent.current = query;
  }, [query, text]);
  useSignalEffect(() => {
    const typed = text.value;
    if (typed === sent.current) return undefined;
    const timer = setTimeout(() => {
      sent.current = typed;
      setQuery({ q: typed }, { replace: true });
    }, TYPING_MS);
    return () => clearTimeout(timer);
  });
  return (
    <input
      data-filter
      class="kit-input groups-filter"
      type="search"
      aria-label="Filter: limit:<name>, or text in the key"
      placeholder="limit:per-user  or text in the key"
      spellcheck={false}
      value={text.value}
      onInput={(event) => {
        text.value = event.currentTarget.value;
      }}
    />
  );
}
