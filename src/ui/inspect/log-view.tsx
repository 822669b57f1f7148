/** Everything that happened in a program, newest last: which actor got which event from whom, and the state after it. */
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { InspectFrame } from "../../protocol/inspect.ts";
import { Button } from "../kit/button.tsx";
import { VirtualList, type VirtualListHandle } from "../kit/virtual-list.tsx";
import { clockText, shortSpan } from "../run/model/span-text.ts";
import type { InspectStore } from "./inspect-store.ts";
import { actorNames, valueText } from "./model/actor-tree.ts";
import { eventText } from "./model/event-text.ts";

export function LogView({ store }: { readonly store: InspectStore }): JSX.Element {
  const [filter, setFilter] = useState("");
  const list = useRef<VirtualListHandle>(null);
  const { frames } = store.history.value;
  const actors = store.actors.value;
  const names = useMemo(() => actorNames(actors), [actors]);
  const shown = useMemo(() => matching(frames, filter, names), [frames, filter, names]);
  const start = Date.parse(frames[0]?.at ?? "");
  const frame = store.frame.value;
  const selected = frame === undefined ? -1 : indexUpTo(shown, frame.seq);
  useEffect(() => {
    if (selected >= 0) list.current?.scrollTo(selected);
  }, [selected, shown.length]);
  return (
    <div class="inspect-log">
      <div class="inspect-log-head">
        <input
          class="kit-input"
          type="search"
          data-filter
          placeholder="Filter by actor, event, data"
          aria-label="Filter the log"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
        {store.older.value && filter === "" && (
          <Button kind="quiet" onClick={() => void store.loadOlder()}>
            Older
          </Button>
        )}
      </div>
      <VirtualList
        count={shown.length}
        handle={list}
        label="Log"
        class="inspect-log-rows"
        render={(index) => {
          const row = shown[index];
          return row === undefined ? null : (
            <LogRow
              key={row.seq}
              frame={row}
              names={names}
              start={start}
              current={row.seq === frame?.seq}
              onSelect={() => store.goTo(row.seq)}
            />
          );
        }}
      />
    </div>
  );
}

interface LogRowProps {
  readonly frame: InspectFrame;
  readonly names: ReadonlyMap<string, string>;
  /** When the first one was, ms. */
  readonly start: number;
  readonly current: boolean;
  readonly onSelect: () => void;
}

function LogRow({ frame, names, start, current, onSelect }: LogRowProps): JSX.Element {
  const { text, tone } = eventText(frame.type);
  const { snapshot } = frame;
  const at = Date.parse(frame.at);
  const state = snapshot === undefined ? "" : valueText(snapshot.value) || snapshot.status;
  return (
    <button
      type="button"
      class="inspect-row"
      aria-current={current ? "true" : undefined}
      title={`${clockText(at)}\n${frame.type}`}
      onClick={onSelect}
    >
      <span class="inspect-after">{shortSpan(at - start)}</span>
      <span class="inspect-row-actor">{names.get(frame.actor) ?? frame.actor}</span>
      <span class="inspect-row-event" data-tone={tone}>
        {text}
      </span>
      <span class="inspect-row-state">{state}</span>
    </button>
  );
}

function matching(frames: readonly InspectFrame[], filter: string, names: ReadonlyMap<string, string>): readonly InspectFrame[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return frames;
  return frames.filter((frame) => {
    const { actor, type, event, snapshot } = frame;
    const text =
      `${actor} ${names.get(actor) ?? ""} ${type} ${JSON.stringify(event) ?? ""} ${valueText(snapshot?.value)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function indexUpTo(frames: readonly InspectFrame[], seq: number): number {
  return frames.findLastIndex((frame) => frame.seq <= seq);
}
