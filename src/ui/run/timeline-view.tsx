/** The timeline: lanes of the run and its steps over a time axis that can be zoomed and moved, and the cursor as a line in it. */
import type { JSX, TargetedPointerEvent, TargetedWheelEvent } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "../kit/button.tsx";
import { positionAtTime, timeAt } from "./model/life.ts";
import { shortSpan } from "./model/span-text.ts";
import { axisLength, panned, ticksOf, type View, zoomed } from "./model/time-axis.ts";
import { type Lane, type Segment, timelineOf } from "./model/timeline.ts";
import { NoFrames } from "./no-frames.tsx";
import type { RunStore } from "./run-store.ts";
import { LaneBars } from "./timeline-bars.tsx";
import { SegmentTip, type TipAt } from "./timeline-tip.tsx";
import { useSize } from "./use-size.ts";
import "./timeline.css";

export const LANE_PX = 32;
const AXIS_PX = 26;
/** Movements below this are clicks. */
const DRAG_PX = 3;

export function TimelineView({ store }: { readonly store: RunStore }): JSX.Element {
  const life = store.life.value;
  return life.frames.length === 0 ? <NoFrames store={store} /> : <Timeline store={store} />;
}

function Timeline({ store }: { readonly store: RunStore }): JSX.Element {
  const life = store.life.value;
  const timeline = useMemo(() => timelineOf(life), [life]);
  const [plot, width] = useSize<HTMLDivElement>();
  // What people have zoomed to; undefined: all of it, however long it gets.
  const [zoom, setZoom] = useState<View>();
  const [tip, setTip] = useState<TipAt>();
  const [nowMs, setNowMs] = useState(timeline.lengthMs);
  const drag = useRef<{ x: number; moved: boolean } | undefined>(undefined);
  const shownMs = timeline.open ? Math.max(timeline.lengthMs, nowMs) : timeline.lengthMs;
  const length = axisLength(shownMs, timeline.open);
  const view: View = zoom === undefined ? { from: 0, to: length } : { from: zoom.from, to: Math.min(zoom.to, length) };
  const x = (at: number): number => ((at - view.from) / (view.to - view.from)) * width;
  const at = (px: number): number => view.from + (px / width) * (view.to - view.from);
  const cursorMs = timeAt(life, store.position.value) - life.startMs;
  const following = store.cursor.value === "live" && timeline.open;

  const growing = useGrowth(timeline.open, life.startMs, timeline.lengthMs, length, setNowMs);
  const localX = (event: { readonly clientX: number }): number =>
    event.clientX - (plot.current?.getBoundingClientRect().left ?? 0);
  const goTo = (px: number): void => store.goTo(positionAtTime(life, life.startMs + at(px)));

  const onPointerDown = (event: TargetedPointerEvent<HTMLDivElement>): void => {
    if (event.button !== 0) return;
    drag.current = { x: event.clientX, moved: false };
    event.currentTarget.setPointerCapture(event.pointerId);
    // On a bar, a click means its beginning; elsewhere the line comes at once.
    if (!(event.target instanceof Element) || event.target.closest("[data-begins]") === null) goTo(localX(event));
  };
  const onPointerMove = (event: TargetedPointerEvent<HTMLDivElement>): void => {
    const dragged = drag.current;
    if (dragged === undefined) return;
    if (Math.abs(event.clientX - dragged.x) >= DRAG_PX) dragged.moved = true;
    if (dragged.moved) {
      setTip(undefined);
      goTo(localX(event));
    }
  };
  const onPointerUp = (event: TargetedPointerEvent<HTMLDivElement>): void => {
    const clicked = drag.current?.moved === false;
    drag.current = undefined;
    if (!clicked) return;
    // The capture has made the plot the target.
    const bar = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-begins]");
    const begins = bar?.getAttribute("data-begins");
    if (begins !== null && begins !== undefined) store.goTo(Number(begins));
  };
  const zoomBy = (
    factor: number,
    around = cursorMs >= view.from && cursorMs <= view.to ? cursorMs : (view.from + view.to) / 2,
  ): void => {
    const next = zoomed(view, factor, around, length);
    setZoom(next.to - next.from >= length * 0.999 ? undefined : next);
  };
  const onWheel = (event: TargetedWheelEvent<HTMLDivElement>): void => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoomBy(Math.exp(event.deltaY * 0.004), at(localX(event)));
    } else if (zoom !== undefined && (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))) {
      event.preventDefault();
      const px = event.deltaX === 0 ? event.deltaY : event.deltaX;
      setZoom(panned(view, (px / width) * (view.to - view.from), length));
    }
  };
  // Moving the cursor draws none of them again.
  const bars = useMemo(
    () =>
      timeline.lanes.map((lane, index) => (
        <g key={lane.step} transform={`translate(0 ${AXIS_PX + index * LANE_PX})`} data-lane={lane.step}>
          <line class="timeline-rule" x1={0} x2={width} y1={LANE_PX - 0.5} y2={LANE_PX - 0.5} />
          <LaneBars lane={lane} x={x} width={width} endMs={shownMs} grow={growing.current} tip={setTip} />
        </g>
      )),
    [timeline, view.from, view.to, width, shownMs],
  );
  const admitted = timeline.lanes[0]?.segments.find(({ kind }) => kind === "active")?.from;
  const height = AXIS_PX + timeline.lanes.length * LANE_PX;

  return (
    <div class="timeline">
      <div class="timeline-tools">
        <span class="kit-muted timeline-hint">drag to move the cursor · Ctrl + wheel to zoom</span>
        <Button kind="quiet" aria-label="Zoom in" title="Zoom in" onClick={() => zoomBy(0.6)}>
          +
        </Button>
        <Button kind="quiet" aria-label="Zoom out" title="Zoom out" disabled={zoom === undefined} onClick={() => zoomBy(1 / 0.6)}>
          −
        </Button>
        {admitted !== undefined && admitted > length * 0.25 && (
          <Button
            kind="quiet"
            title="Without its wait"
            onClick={() => setZoom({ from: Math.max(0, admitted - (length - admitted) * 0.05), to: length })}
          >
            Active part
          </Button>
        )}
        <Button kind="quiet" title="The whole life" disabled={zoom === undefined} onClick={() => setZoom(undefined)}>
          All
        </Button>
      </div>
      <div class="timeline-body">
        <div class="timeline-names" style={{ paddingTop: `${AXIS_PX}px` }}>
          {timeline.lanes.map((lane) => (
            <LaneName key={lane.step} lane={lane} />
          ))}
        </div>
        <div
          class="timeline-plot"
          ref={plot}
          onPointerDown={onPointerDown}
          onPointerMove={onPointerMove}
          onPointerUp={onPointerUp}
          onPointerCancel={() => (drag.current = undefined)}
          onPointerLeave={() => setTip(undefined)}
          onWheel={onWheel}
        >
          {width > 0 && (
            <svg width={width} height={height} role="img" aria-label={describe(timeline.lanes)}>
              <Patterns />
              {ticksOf(view, width).map((tick) => (
                <g key={tick.at} class="timeline-tick" transform={`translate(${x(tick.at).toFixed(1)} 0)`}>
                  <line y1={AXIS_PX - 5} y2={height} />
                  <text x={4} y={AXIS_PX - 9}>
                    {tick.text}
                  </text>
                </g>
              ))}
              {bars}
              {timeline.marks.map((mark) => (
                <g
                  key={mark.position}
                  class="timeline-mark"
                  data-kind={mark.kind}
                  transform={`translate(${x(mark.at).toFixed(1)} 0)`}
                >
                  <title>{mark.text}</title>
                  <line y1={AXIS_PX} y2={height} />
                  {mark.kind !== "end" && <path d={`M0 ${AXIS_PX + 1}l5 5-5 5-5-5z`} data-begins={mark.position} />}
                </g>
              ))}
              {!following && (
                <rect
                  class="timeline-veil"
                  x={Math.max(0, x(cursorMs))}
                  y={AXIS_PX}
                  width={Math.max(0, width - Math.max(0, x(cursorMs)))}
                  height={height - AXIS_PX}
                />
              )}
              {!following && (
                <g class="timeline-cursor" transform={`translate(${x(cursorMs).toFixed(1)} 0)`} data-past={store.past.value}>
                  <line y1={AXIS_PX - 4} y2={height} />
                  <path d={`M-5 ${AXIS_PX - 10}h10v5l-5 5-5-5z`} />
                </g>
              )}
            </svg>
          )}
          {timeline.open && width > 0 && (
            <div class="timeline-now" ref={(element) => void (growing.current.now = element)} data-following={following} />
          )}
        </div>
        {tip !== undefined && <SegmentTip life={life} tip={tip} />}
      </div>
      <Legend />
    </div>
  );

  function useGrowth(open: boolean, startMs: number, lengthMs: number, length: number, onTick: (ms: number) => void) {
    const grow = useRef<Growth>({ bars: new Map(), now: null });
    const scale = useRef({ x, width, length });
    scale.current = { x, width, length };
    useEffect(() => {
      if (!open) return undefined;
      let request = 0;
      const draw = (): void => {
        const { x, width, length } = scale.current;
        const ms = Math.max(lengthMs, Date.now() - startMs);
        // Only the bars that are open are touched, and only their width; the axis grows in steps.
        for (const [bar, from] of grow.current.bars)
          bar.setAttribute("width", String(Math.max(1, Math.min(x(ms), width + 20) - Math.max(-20, x(from)))));
        const line = grow.current.now;
        if (line !== null) line.style.transform = `translateX(${Math.min(x(ms), width + 20)}px)`;
        if (ms > length * 0.985) onTick(ms);
        request = requestAnimationFrame(draw);
      };
      request = requestAnimationFrame(draw);
      return () => cancelAnimationFrame(request);
    }, [open, startMs, lengthMs]);
    return grow;
  }
}

/** What grows while the run goes on: bars, by when they began, and the line of now. */
export interface Growth {
  readonly bars: Map<SVGRectElement, number>;
  now: HTMLElement | null;
}

function LaneName({ lane }: { readonly lane: Lane }): JSX.Element {
  const busy = lane.segments.filter(({ kind }) => kind === (lane.step === "" ? "active" : "running"));
  const open = busy.some(({ to }) => to === undefined);
  const total = busy.reduce((sum, { from, to = from }) => sum + to - from, 0);
  return (
    <div
      class="timeline-name"
      style={{ height: `${LANE_PX}px` }}
      data-run={lane.step === "" || undefined}
      data-status={lane.status}
    >
      <span class="timeline-step" title={lane.step === "" ? "the run" : `${lane.step}: ${lane.status?.toLowerCase() ?? ""}`}>
        {lane.step === "" ? "run" : lane.step}
      </span>
      <span class="timeline-total kit-muted" title="time at work">
        {lane.attempts > 1 && <span title={`${lane.attempts} attempts`}>{lane.attempts}× </span>}
        {busy.length > 0 && !open && shortSpan(total)}
      </span>
    </div>
  );
}

function Legend(): JSX.Element {
  const kinds = [
    ["waiting", "waits"],
    ["running", "runs"],
    ["backoff", "backoff"],
    ["stopping", "is being stopped"],
  ] as const;
  return (
    <p class="timeline-legend kit-muted">
      {kinds.map(([kind, text]) => (
        <span key={kind}>
          <i data-kind={kind} aria-hidden="true" /> {text}
        </span>
      ))}
    </p>
  );
}

function Patterns(): JSX.Element {
  return (
    <defs>
      <pattern id="timeline-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <line class="timeline-hatch" x1="0" y1="0" x2="0" y2="6" />
      </pattern>
      <pattern id="timeline-stripes" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">
        <rect class="timeline-stripes-back" width="8" height="8" />
        <line class="timeline-stripes" x1="0" y1="0" x2="0" y2="8" />
      </pattern>
    </defs>
  );
}

function describe(lanes: readonly Lane[]): string {
  const text = (segment: Segment): string =>
    `${segment.kind}${segment.attempt === undefined ? "" : ` attempt ${segment.attempt}`}${segment.to === undefined ? " still" : ` ${shortSpan(segment.to - segment.from)}`}`;
  return `Timeline. ${lanes.map(({ step, segments }) => `${step === "" ? "run" : step}: ${segments.slice(0, 12).map(text).join(", ")}`).join("; ")}`;
}
