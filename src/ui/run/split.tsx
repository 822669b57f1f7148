/** Two panes and the line between them: moved with the pointer or the arrow keys, kept for the next page. */
import { signal } from "@preact/signals";
import type { ComponentChildren, JSX, TargetedKeyboardEvent, TargetedPointerEvent } from "preact";
import { useRef } from "preact/hooks";

const KEY = "sluice.run.split";
const LEAST = 0.2;
const MOST = 0.8;
const EVEN = 0.48;

const share = signal(stored());

export function Split({ left, right }: { readonly left: ComponentChildren; readonly right: ComponentChildren }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const onPointerDown = (event: TargetedPointerEvent<HTMLDivElement>): void => {
    event.preventDefault();
    event.currentTarget.focus();
    event.currentTarget.setPointerCapture(event.pointerId);
  };
  const onPointerMove = (event: TargetedPointerEvent<HTMLDivElement>): void => {
    const bounds = box.current?.getBoundingClientRect();
    if (bounds === undefined || !event.currentTarget.hasPointerCapture(event.pointerId)) return;
    set((event.clientX - bounds.left) / bounds.width);
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>): void => {
    const by = event.key === "ArrowLeft" ? -0.02 : event.key === "ArrowRight" ? 0.02 : undefined;
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    set(share.value + by);
  };
  return (
    <div
      class="run-split"
      ref={box}
      style={{ gridTemplateColumns: `minmax(0, ${share.value}fr) 7px minmax(0, ${1 - share.value}fr)` }}
    >
      <div class="run-pane">{left}</div>
      <div
        class="run-divider"
        role="separator"
        aria-orientation="vertical"
        aria-label="Width of the chart"
        aria-valuemin={LEAST * 100}
        aria-valuemax={MOST * 100}
        aria-valuenow={Math.round(share.value * 100)}
        tabIndex={0}
        onPointerDown={onPointerDown}
        onPointerMove={onPointerMove}
        onDblClick={() => set(EVEN)}
        onKeyDown={onKeyDown}
      />
      <div class="run-pane">{right}</div>
    </div>
  );
}

function set(value: number): void {
  share.value = Math.min(MOST, Math.max(LEAST, value));
  try {
    localStorage.setItem(KEY, share.value.toFixed(3));
  } catch {
    // Storage may be off; then it lasts as long as the page.
  }
}

function stored(): number {
  try {
    const value = Number(localStorage.getItem(KEY));
    return value >= LEAST && value <= MOST ? value : EVEN;
  } catch {
    return EVEN;
  }
}
