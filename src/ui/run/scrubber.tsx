/** The whole life in one line: a tick per frame, the cursor on it, and buttons to move it. */
import { signal } from "@preact/signals";
import type { JSX, TargetedKeyboardEvent, TargetedPointerEvent } from "preact";
import { useMemo, useRef } from "preact/hooks";
import { Button } from "../kit/button.tsx";
import { describeCursor } from "./model/cursor.ts";
import { type EventTone, labelOf } from "./model/event-label.ts";
import type { Life } from "./model/life.ts";
import { nearest, placesOf, type Scale } from "./model/scrubber.ts";
import type { RunStore } from "./run-store.ts";
import { useSize } from "./use-size.ts";

const scale = signal<Scale>("frames");
const HEIGHT = 26;
const EDGE = 8;
/** Drawn in this order: what matters most comes last. */
const TONES: readonly EventTone[] = ["muted", "plain", "active", "timer", "ok", "warn", "bad"];

export function Scrubber({ store }: { readonly store: RunStore }): JSX.Element {
  const life = store.life.value;
  const places = useMemo(() => placesOf(life, scale.value), [life, scale.value]);
  const [box, width] = useSize<HTMLDivElement>();
  const empty = life.frames.length === 0;
  return (
    <div class="run-scrubber">
      <Button
        kind="quiet"
        class="run-step"
        title="To the first frame (Home)"
        aria-label="To the first frame"
        disabled={empty}
        onClick={() => store.goStart()}
      >
        <Icon d="M4 3v10M13 3 6 8l7 5z" />
      </Button>
      <Button
        kind="quiet"
        class="run-step"
        title="One frame back (←)"
        aria-label="One frame back"
        disabled={empty}
        onClick={() => store.step(-1)}
      >
        <Icon d="M11 3 4 8l7 5z" />
      </Button>
      <Button
        kind="quiet"
        class="run-step"
        title={store.playing.value ? "Pause (space)" : "Play the run's life (space)"}
        aria-label={store.playing.value ? "Pause" : "Play"}
        disabled={life.frames.length < 2}
        onClick={() => store.togglePlay()}
      >
        <Icon d={store.playing.value ? "M4 3h3v10H4zM9 3h3v10H9z" : "M4 2.5 13 8l-9 5.5z"} />
      </Button>
      <Button
        kind="quiet"
        class="run-step"
        title="One frame on (→)"
        aria-label="One frame on"
        disabled={empty}
        onClick={() => store.step(1)}
      >
        <Icon d="m5 3 7 5-7 5z" />
      </Button>
      <div class="run-track" ref={box}>
        {width > 0 && <Track store={store} life={life} places={places} width={width} />}
      </div>
      <Button
        kind="quiet"
        class="run-scale"
        aria-pressed={scale.value === "time"}
        title={
          scale.value === "time"
            ? "Frames stand where their time is; click to space them evenly"
            : "Frames are spaced evenly; click to put them where their time is"
        }
        onClick={() => {
          scale.value = scale.value === "time" ? "frames" : "time";
        }}
      >
        {scale.value === "time" ? "by time" : "by frame"}
      </Button>
    </div>
  );
}

interface TrackProps {
  readonly store: RunStore;
  readonly life: Life;
  readonly places: Float64Array;
  readonly width: number;
}

function Track({ store, life, places, width }: TrackProps): JSX.Element {
  const dragging = useRef(false);
  const length = Math.max(1, width - 2 * EDGE);
  const ticks = useMemo(() => tickPaths(life, places, length), [life, places, length]);
  const position = Math.max(0, store.position.value);
  const x = EDGE + (places[position] ?? 0) * length;
  const point = (event: TargetedPointerEvent<HTMLDivElement>): void => {
    const bounds = event.currentTarget.getBoundingClientRect();
    if (places.length > 0) store.goTo(nearest(places, (event.clientX - bounds.left - EDGE) / length));
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>): void => {
    const by = event.key === "PageUp" ? 10 : event.key === "PageDown" ? -10 : undefined;
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    store.step(by);
  };
  return (
    <div
      class="run-slider"
      role="slider"
      tabIndex={0}
      aria-label="Position in the run's life"
      aria-valuemin={1}
      aria-valuemax={Math.max(1, life.frames.length)}
      aria-valuenow={position + 1}
      aria-valuetext={describeCursor(store.cursor.value, life)}
      onKeyDown={onKeyDown}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        dragging.current = true;
        point(event);
      }}
      onPointerMove={(event) => {
        if (dragging.current) point(event);
      }}
      onPointerUp={() => {
        dragging.current = false;
      }}
      onPointerCancel={() => {
        dragging.current = false;
      }}
    >
      <svg width={width} height={HEIGHT} aria-hidden="true">
        <line class="run-track-line" x1={EDGE} x2={width - EDGE} y1={HEIGHT / 2} y2={HEIGHT / 2} />
        <line class="run-track-done" x1={EDGE} x2={x} y1={HEIGHT / 2} y2={HEIGHT / 2} />
        {ticks.map(({ tone, d }) => (
          <path key={tone} class="run-tick" data-tone={tone} data-dense={life.frames.length > length / 3 || undefined} d={d} />
        ))}
        <circle class="run-thumb" cx={x} cy={HEIGHT / 2} r={5.5} data-past={store.past.value} />
      </svg>
    </div>
  );
}

/** One path per tone, and no two ticks on one pixel: 5,000 frames are a few hundred strokes. */
function tickPaths(life: Life, places: Float64Array, length: number): { tone: EventTone; d: string }[] {
  const byTone = new Map<EventTone, { d: string; last: number }>();
  for (const [position, frame] of life.frames.entries()) {
    const { tone } = labelOf(frame.type, undefined, frame.fed);
    const x = EDGE + Math.round((places[position] ?? 0) * length * 2) / 2;
    const path = byTone.get(tone) ?? { d: "", last: -1 };
    byTone.set(tone, path);
    if (x - path.last < 1) continue;
    const tall = tone === "bad" || tone === "ok" || tone === "warn" ? 5 : 3.5;
    path.d += `M${x} ${HEIGHT / 2 - tall}v${2 * tall}`;
    path.last = x;
  }
  return TONES.flatMap((tone) => {
    const path = byTone.get(tone);
    return path === undefined ? [] : [{ tone, d: path.d }];
  });
}

function Icon({ d }: { readonly d: string }): JSX.Element {
  return (
    <svg class="run-icon" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      <path d={d} />
    </svg>
  );
}
