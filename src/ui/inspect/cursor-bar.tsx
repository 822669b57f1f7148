/** Where on the program's past everybody looks, and how to move there. */
import type { JSX } from "preact";
import type { InspectProgramView } from "../../protocol/inspect.ts";
import { Button } from "../kit/button.tsx";
import type { InspectStore } from "./inspect-store.ts";
import { eventText } from "./model/event-text.ts";

export function CursorBar({
  store,
  program,
}: {
  readonly store: InspectStore;
  readonly program: InspectProgramView;
}): JSX.Element {
  const { frames } = store.history.value;
  const position = store.position.value;
  const frame = store.frame.value;
  const live = store.cursor.value === "live";
  const goTo = (index: number): void => {
    const seq = frames[index]?.seq;
    if (seq !== undefined) store.goTo(seq);
  };
  return (
    <header class="inspect-cursor">
      <h1 title={program.name}>{program.name}</h1>
      <div class="inspect-scrub">
        <Button
          kind="quiet"
          aria-label="One step back"
          title="← one step back"
          disabled={position <= 0}
          onClick={() => store.step(-1)}
        >
          ◀
        </Button>
        <input
          type="range"
          aria-label="Moment"
          aria-valuetext={
            frame === undefined ? "nothing yet" : `${position + 1} of ${frames.length}: ${eventText(frame.type).text}`
          }
          min={0}
          max={Math.max(0, frames.length - 1)}
          value={Math.max(0, position)}
          disabled={frames.length === 0}
          onInput={(event) => goTo(Number(event.currentTarget.value))}
        />
        <Button kind="quiet" aria-label="One step on" title="→ one step on" disabled={live} onClick={() => store.step(1)}>
          ▶
        </Button>
        <span class="inspect-place">{frames.length === 0 ? "nothing yet" : `${position + 1} of ${frames.length}`}</span>
      </div>
      <button
        type="button"
        class="inspect-follow"
        data-live={live && program.connected}
        disabled={live}
        title="L: back to live"
        onClick={() => store.goTo("live")}
      >
        {live ? (program.connected ? "live" : "ended") : program.connected ? "to live (L)" : "to the end (L)"}
      </button>
    </header>
  );
}
