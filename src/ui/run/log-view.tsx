/** The log: every frame of the life in a row, a box to filter them, and all of what the one at the cursor says below. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { RunFrame } from "../../protocol/record.ts";
import { Button } from "../kit/button.tsx";
import { CopyButton } from "../kit/copy-button.tsx";
import { JsonView } from "../kit/json-view.tsx";
import { useKeys } from "../kit/keys.tsx";
import { VirtualList, type VirtualListHandle } from "../kit/virtual-list.tsx";
import { exactText } from "../kit/time-text.ts";
import { previewOf } from "./model/json-text.ts";
import { filterLog, logRow } from "./model/log.ts";
import { participantName } from "./model/names.ts";
import { clockText, shortSpan, spanText } from "./model/span-text.ts";
import { NoFrames } from "./no-frames.tsx";
import type { RunStore } from "./run-store.ts";
import "./log.css";

const open = signal(true);
const NOTHING = "–";

export function LogView({ store }: { readonly store: RunStore }): JSX.Element {
  return store.life.value.frames.length === 0 ? <NoFrames store={store} /> : <Log store={store} />;
}

function Log({ store }: { readonly store: RunStore }): JSX.Element {
  const life = store.life.value;
  const [filter, setFilter] = useState("");
  const texts = useRef(new WeakMap<RunFrame, string>());
  const list = useRef<VirtualListHandle>(null);
  const box = useRef<HTMLInputElement>(null);
  const positions = useMemo(() => filterLog(life, filter, texts.current), [life, filter]);
  const position = store.position.value;
  const row = useMemo(() => rowOf(positions, position), [positions, position]);
  useEffect(() => {
    if (row !== undefined) list.current?.scrollTo(row.at);
  }, [row?.at, open.value]);
  useKeys({
    "/": { does: "filter the log", run: () => box.current?.focus() },
    Enter: { does: "open or close the details of the log", run: () => (open.value = !open.value) },
  });
  const frame = store.frame.value;
  return (
    <div class="log">
      <div class="log-tools">
        <input
          ref={box}
          class="kit-input log-filter"
          type="search"
          placeholder="Filter: words in type, sender or data; -word leaves out"
          aria-label="Filter the log"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
        <span class="kit-muted log-count">
          {positions.length === life.frames.length
            ? `${life.frames.length} frames`
            : `${positions.length} of ${life.frames.length}`}
        </span>
      </div>
      <div class="log-head" aria-hidden="true">
        <span>#</span>
        <span>time</span>
        <span>Δ</span>
        <span>what</span>
        <span>from</span>
        <span>data</span>
      </div>
      <VirtualList
        class="log-list"
        label="Frames of the run"
        count={positions.length}
        rowHeight={26}
        handle={list}
        render={(index) => (
          <Row
            key={positions[index]}
            store={store}
            position={positions[index] ?? 0}
            lit={row?.exact === true && index === row.at}
          />
        )}
      />
      {positions.length === 0 && <p class="log-none kit-muted">No frame has all of these words.</p>}
      {open.value && frame !== undefined ? (
        <Details frame={frame} startMs={life.startMs} />
      ) : (
        <Button kind="quiet" class="log-open" onClick={() => (open.value = true)}>
          Show details <kbd class="kit-key">Enter</kbd>
        </Button>
      )}
    </div>
  );
}

/** Where the cursor is in a filtered list: on a row, or else after the last one before it. */
function rowOf(positions: readonly number[], position: number): { readonly at: number; readonly exact: boolean } | undefined {
  if (positions.length === 0) return undefined;
  let low = 0;
  let high = positions.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((positions[middle] ?? 0) <= position) low = middle;
    else high = middle - 1;
  }
  return { at: low, exact: positions[low] === position };
}

function Row({
  store,
  position,
  lit,
}: {
  readonly store: RunStore;
  readonly position: number;
  readonly lit: boolean;
}): JSX.Element | null {
  const life = store.life.value;
  const row = logRow(life, position);
  if (row === undefined) return null;
  const { frame, label, afterMs, deltaMs } = row;
  const ms = life.times[position] ?? 0;
  return (
    <div
      class="log-row"
      data-position={position}
      data-lit={lit}
      data-later={position > store.position.value}
      data-tone={label.tone}
      aria-current={lit ? "true" : undefined}
      onClick={() => store.goTo(position)}
    >
      <span class="log-index">{frame.index + 1}</span>
      <time dateTime={frame.at} title={exactText(ms)}>
        {clockText(ms)}
      </time>
      <span class="log-delta" title={`${spanText(afterMs)} after start`}>
        {position === 0 ? NOTHING : `+${shortSpan(deltaMs)}`}
      </span>
      <span class="log-what" title={frame.type}>
        <span class="log-dot" aria-hidden="true" />
        {label.text}
      </span>
      <span class="log-from" title={frame.from}>
        {participantName(frame.from)}
      </span>
      <code class="log-data">{previewOf(frame.data)}</code>
    </div>
  );
}

function Details({ frame, startMs }: { readonly frame: RunFrame; readonly startMs: number }): JSX.Element {
  const { type, data, from, sent, taken, actions, timers, at } = frame;
  return (
    <section class="log-details" aria-label="The frame at the cursor">
      <div class="log-details-head">
        <code>{type}</code>
        <span class="kit-muted" title={from}>
          from {participantName(from)} · {spanText(Date.parse(at) - startMs)} after start
        </span>
        <span class="log-details-tools">
          <CopyButton text={() => JSON.stringify(frame, undefined, 2)} title="Copy the whole frame as JSON">
            Copy frame
          </CopyButton>
          <Button kind="quiet" aria-label="Close the details" title="Close (Enter)" onClick={() => (open.value = false)}>
            ✕
          </Button>
        </span>
      </div>
      <div class="log-details-body">
        {data === undefined ? <p class="kit-muted">It carried no data.</p> : <JsonView value={data} open={3} />}
        {sent.length > 0 && (
          <List name="Sent">
            {sent.map((message, index) => (
              <li key={index}>
                <code>{message.type}</code> <span class="kit-muted">to</span> {message.to}{" "}
                <code class="kit-muted">{previewOf(message.data, 90)}</code>
              </li>
            ))}
          </List>
        )}
        {taken.length > 0 && (
          <List name="Transitions">
            {taken.map((id, index) => (
              <li key={index}>
                <code>{id}</code>
              </li>
            ))}
          </List>
        )}
        {actions.length > 0 && (
          <List name="Actions">
            {actions.map((action, index) => (
              <li key={index}>
                <code>{action.type}</code> <code class="kit-muted">{previewOf(action.params, 90)}</code>
              </li>
            ))}
          </List>
        )}
        {timers.length > 0 && (
          <List name="Timers">
            {timers.map((timer) => (
              <li key={timer.id}>
                <code>{timer.id}</code> <span class="kit-muted">due</span> {clockText(Date.parse(timer.dueAt))}{" "}
                <span class="kit-muted">({shortSpan(Date.parse(timer.dueAt) - Date.parse(at))} later)</span>
              </li>
            ))}
          </List>
        )}
      </div>
    </section>
  );
}

function List({ name, children }: { readonly name: string; readonly children: preact.ComponentChildren }): JSX.Element {
  return (
    <div class="log-list-of">
      <h3>{name}</h3>
      <ul>{children}</ul>
    </div>
  );
}
