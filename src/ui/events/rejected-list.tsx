/** What arrived and could not be used: what it was, why, and how it begins. */
import type { JSX } from "preact";
import { useCallback, useState } from "preact/hooks";
import type { RejectedView } from "../../protocol/record.ts";
import { call } from "../api.ts";
import { CopyButton } from "../kit/copy-button.tsx";
import { EmptyState } from "../kit/empty-state.tsx";
import { Time } from "../kit/time.tsx";
import { VirtualList } from "../kit/virtual-list.tsx";
import { natsCommand } from "../shell/publish-commands.ts";
import { usePages } from "./use-pages.ts";

const PAGE = 100;
const ROW = 30;
const seqOf = (rejected: RejectedView): number => rejected.seq;
const load = (cursor: string | undefined, signal: AbortSignal) =>
  call("rejected.list", { size: PAGE, ...(cursor !== undefined && { cursor }) }, signal);

export function RejectedList(): JSX.Element {
  const { items, loaded, error, see } = usePages(load, seqOf);
  const [chosen, setChosen] = useState<number | undefined>(undefined);
  const onView = useCallback((_first: number, last: number) => see(last), [see]);
  if (error !== undefined && !loaded) return <EmptyState title="What was rejected cannot be listed" text={error} />;
  if (loaded && items.length === 0)
    return (
      <EmptyState
        title="Nothing was rejected"
        text="What arrives and is not JSON, or has a header that cannot be used, is kept here with the reason. It never blocks what follows. To see it, publish something that is not JSON:"
        commands={[natsCommand("user.created", "not JSON")]}
      />
    );
  const one = items.find(({ seq }) => seq === chosen);
  return (
    <div class="events-list">
      <div class="events-split">
        <VirtualList
          class="events-rows"
          role="list"
          label="Rejected, newest first"
          count={items.length}
          rowHeight={ROW}
          onView={onView}
          render={(index) => {
            const item = items[index];
            if (item === undefined) return null;
            const { seq, at, what, reason, payload } = item;
            return (
              <div
                key={seq}
                class="events-row events-rejected"
                role="listitem"
                data-rejected={seq}
                aria-current={seq === chosen ? "true" : undefined}
              >
                <span class="events-at">
                  <Time at={at} />
                </span>
                <button
                  type="button"
                  class="events-name"
                  aria-expanded={seq === chosen}
                  onClick={() => setChosen(seq === chosen ? undefined : seq)}
                >
                  {what}
                </button>
                <span class="events-reason">{reason}</span>
                <code class="events-preview">{payload.slice(0, 300)}</code>
              </div>
            );
          }}
        />
        {one !== undefined && (
          <aside class="events-detail" aria-label={`Rejected ${one.seq}`}>
            <h2>{one.what}</h2>
            <p class="kit-muted">
              number {one.seq} · <Time at={one.at} /> · {one.bytes.toLocaleString("en")} bytes
            </p>
            <p class="events-error">{one.reason}</p>
            <h3>
              {one.payload.length < one.bytes ? "Beginning of the payload" : "Payload"} <CopyButton text={one.payload} />
            </h3>
            <pre class="events-raw">{one.payload}</pre>
          </aside>
        )}
      </div>
    </div>
  );
}
