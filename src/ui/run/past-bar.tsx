/** Says that what is shown is not how things are now, and leads back. Its place is kept, so that nothing jumps. */
import type { JSX } from "preact";
import { Button } from "../kit/button.tsx";
import { describeCursor } from "./model/cursor.ts";
import type { RunStore } from "./run-store.ts";

export function PastBar({ store }: { readonly store: RunStore }): JSX.Element {
  const life = store.life.value;
  const past = store.past.value;
  const newer = life.frames.length - 1 - store.position.value;
  return (
    <div class="run-past" data-past={past} role="status">
      <span class="run-past-where">{describeCursor(store.cursor.value, life)}</span>
      {past ? (
        <>
          <span class="run-past-text">
            In the past; {newer} {newer === 1 ? "frame is" : "frames are"} newer
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
        <span class="kit-muted">{life.frames.length === 0 ? "" : life.ended ? "the end of the run" : "live"}</span>
      )}
      {life.cut > 0 && <span class="kit-muted">the first {life.cut} frames are not kept</span>}
    </div>
  );
}
