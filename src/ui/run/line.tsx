/** The line in which a run waits: who holds the slots of its group, who is before it. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { GroupView } from "../../protocol/view.ts";
import { call, isAbort } from "../api.ts";
import { RunLink, GroupLink, shortId } from "../kit/links.tsx";
import { watch } from "../live.ts";
import { durationText } from "../kit/time-text.ts";
import type { RunStore } from "./run-store.ts";

/** Of those before it; the ones next to it are told apart from the rest. */
const SHOWN_BEFORE = 8;
const SHOWN_SLOTS = 12;

export function Line({ store }: { readonly store: RunStore }): JSX.Element | null {
  const { limit, key, position, waiting } = store.explanation.value ?? {};
  const group = useGroup(limit, key);
  if (limit === undefined || key === undefined || group === undefined) return null;
  const index = group.waitingRuns.indexOf(store.id);
  const place = index >= 0 ? index + 1 : position;
  const before = index >= 0 ? group.waitingRuns.slice(0, index) : group.waitingRuns;
  const shown = before.length <= SHOWN_BEFORE ? before : before.slice(0, SHOWN_BEFORE - 2);
  const near = before.length <= SHOWN_BEFORE || index < 0 ? [] : before.slice(-2);
  const left = Math.max(0, (place ?? before.length + 1) - 1 - shown.length - near.length);
  const behind = place === undefined ? 0 : Math.max(0, Math.max(waiting ?? 0, group.waiting) - place);
  const free = Math.max(0, group.maxRuns - group.active);
  return (
    <section class="run-line" aria-label="The line of its group">
      <div class="run-line-slots">
        <span class="run-line-name">
          <GroupLink limit={limit} groupKey={key} />{" "}
          <span class="kit-muted">{group.paused ? "paused" : `${group.active} of ${group.maxRuns}`}</span>
        </span>
        <ol class="run-line-runs" aria-label="Runs that hold its slots">
          {group.activeRuns.slice(0, SHOWN_SLOTS).map((id) => (
            <li key={id} class="run-slot" data-filled="true" data-stopping={group.stoppingRuns?.includes(id)}>
              <RunLink id={id}>{shortId(id)}</RunLink>
            </li>
          ))}
          {group.active > SHOWN_SLOTS && <li class="kit-muted">+{group.active - SHOWN_SLOTS}</li>}
          {Array.from({ length: Math.min(free, SHOWN_SLOTS - Math.min(group.active, SHOWN_SLOTS)) }, (_, slot) => (
            <li key={`free-${slot}`} class="run-slot kit-muted">
              free
            </li>
          ))}
        </ol>
      </div>
      <span class="run-line-arrow" aria-hidden="true">
        ◂
      </span>
      <ol class="run-line-runs run-line-queue" aria-label="Runs in line before it">
        {shown.map((id, at) => (
          <Waiting key={id} id={id} place={at + 1} />
        ))}
        {left > 0 && <li class="kit-muted run-line-more">{left} more</li>}
        {near.map((id, at) => (
          <Waiting key={id} id={id} place={before.length - near.length + at + 1} />
        ))}
        <li class="run-waiting" data-own="true" aria-current="true">
          {place !== undefined && <span class="run-place">{place}</span>} this run
        </li>
        {behind > 0 && <li class="kit-muted run-line-more">{behind} behind it</li>}
      </ol>
      <span class="run-line-rate kit-muted">
        {group.startsPerMinute > 0 ? `${rate(group.startsPerMinute)} starts a minute` : "nothing has started of late"}
        {place !== undefined &&
          group.startsPerMinute > 0 &&
          !group.paused &&
          ` · its turn in about ${durationText((place / group.startsPerMinute) * 60_000)}`}
      </span>
    </section>
  );
}

function Waiting({ id, place }: { readonly id: string; readonly place: number }): JSX.Element {
  return (
    <li class="run-waiting">
      <span class="run-place">{place}</span> <RunLink id={id}>{shortId(id)}</RunLink>
    </li>
  );
}

function rate(perMinute: number): string {
  return perMinute >= 10 ? String(Math.round(perMinute)) : perMinute.toFixed(1);
}

function useGroup(limit: string | undefined, key: string | undefined): GroupView | undefined {
  const [group, setGroup] = useState<GroupView>();
  useEffect(() => {
    if (limit === undefined || key === undefined) return undefined;
    const abort = new AbortController();
    const load = async (): Promise<void> => {
      try {
        setGroup(await call("group.get", { limit, key }, abort.signal));
      } catch (error) {
        // The sentence says as much as is known without it.
        if (!isAbort(error)) setGroup(undefined);
      }
    };
    void load();
    const unwatch = watch(`group:${limit}/${key}`, (...[event, data]) => {
      if (event === "group") setGroup(data);
      else if (event === "reset") void load();
    });
    return () => {
      abort.abort();
      unwatch();
    };
  }, [limit, key]);
  return group;
}
