/** Where the cursor is and what happened there; where that is not how things are now, it says so, and leads back. */
import type { JSX } from "preact";
import type { RunFrame } from "../../protocol/record.ts";
import { Button } from "../kit/button.tsx";
import { describeCursor } from "./model/cursor.ts";
import { labelOf } from "./model/event-label.ts";
import { participantName } from "./model/names.ts";
import type { RunStore } from "./run-store.ts";

export function PastBar({ store }: { readonly store: RunStore }): JSX.Element {
  const life = store.life.value;
  const frame = store.frame.value;
  const past = store.past.value;
  const newer = life.frames.length - 1 - store.position.value;
  return (
    <div class="run-past" data-past={past} role="status">
      <span class="run-past-where">{describeCursor(store.cursor.value, life)}</span>
      {frame !== undefined && <What frame={frame} />}
      {life.cut > 0 && <span class="kit-muted">the first {life.cut} frames are not kept</span>}
      <span class="run-past-now">
        {past ? (
          <>
            <span class="run-past-text">
              in the past, {newer} {newer === 1 ? "frame" : "frames"} before {life.ended ? "the end" : "now"}
            </span>
            <Button
              class="run-live-button"
              onClick={() => store.goLive()}
              title={life.ended ? "To the end (L)" : "Back to live (L)"}
            >
              {life.ended ? "To the end" : "Back to live"} <kbd class="kit-key">L</kbd>
            </Button>
          </>
        ) : (
          <span class="kit-muted">{life.frames.length === 0 ? "" : life.ended ? "the end" : "live"}</span>
        )}
      </span>
    </div>
  );
}

function What({ frame }: { readonly frame: RunFrame }): JSX.Element {
  const { text, tone } = labelOf(frame.type, frame.data, frame.fed);
  const message = messageOf(frame.data);
  return (
    <span class="run-what" data-tone={tone} title={frame.type}>
      <span class="run-what-dot" aria-hidden="true" />
      {text}
      {message !== undefined && <span class="run-what-error">{message}</span>}
      <span class="kit-muted"> from {participantName(frame.from)}</span>
    </span>
  );
}

/** Of an error that the frame brought. */
function messageOf(data: unknown): string | undefined {
  const error = typeof data === "object" && data !== null && "error" in data ? data.error : undefined;
  const message = typeof error === "object" && error !== null && "message" in error ? error.message : undefined;
  return typeof message === "string" ? message : undefined;
}
