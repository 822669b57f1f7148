/** The sequence diagram: lifelines that stay in view on top, and of the messages only those that are in view. */
import type { JSX } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Life } from "./model/life.ts";
import { HEAD_CHARS, type Lifeline, type Message, type Sequence, sequenceOf, shortLabel } from "./model/sequence.ts";
import { shortSpan } from "./model/span-text.ts";
import { NoFrames } from "./no-frames.tsx";
import type { RunStore } from "./run-store.ts";
import "./sequence.css";

const ROW_PX = 26;
const HEAD_PX = 44;
/** Left of the first lifeline: the times. */
const GUTTER_PX = 76;
const OVERSCAN = 10;

export function SequenceView({ store }: { readonly store: RunStore }): JSX.Element {
  return store.life.value.frames.length === 0 ? <NoFrames store={store} /> : <Diagram store={store} />;
}

function Diagram({ store }: { readonly store: RunStore }): JSX.Element {
  const life = store.life.value;
  const sequence = useMemo(() => sequenceOf(life), [life]);
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800, width: 0 });
  const read = useCallback(() => {
    const element = box.current;
    if (element === null) return;
    const { scrollTop: top, clientHeight: height, clientWidth: width } = element;
    setView((known) => (known.top === top && known.height === height && known.width === width ? known : { top, height, width }));
  }, []);
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(read);
    observer.observe(element);
    return () => observer.disconnect();
  }, [read]);

  const position = store.position.value;
  const lit = { from: sequence.rowOf[position] ?? 0, to: sequence.rowOf[position + 1] ?? 0 };
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    keepInView(element, lit.from * ROW_PX, lit.to * ROW_PX);
    const [message] = sequence.messages.slice(lit.from, lit.to);
    if (message !== undefined) keepBeside(element, sequence, message);
  }, [lit.from, lit.to]);

  const first = Math.max(0, Math.floor(view.top / ROW_PX) - OVERSCAN);
  const last = Math.min(sequence.messages.length, Math.ceil((view.top + view.height) / ROW_PX) + OVERSCAN);
  const width = Math.max(sequence.width + GUTTER_PX, view.width);
  const height = sequence.messages.length * ROW_PX;
  return (
    <div class="sequence" ref={box} onScroll={read} tabIndex={0} role="group" aria-label="Messages of the run">
      <div class="sequence-space" style={{ width: `${width}px`, height: `${HEAD_PX + height + ROW_PX}px` }}>
        <Heads lifelines={sequence.lifelines} width={width} />
        <svg
          class="sequence-rows"
          width={width}
          height={(last - first) * ROW_PX}
          style={{ transform: `translateY(${first * ROW_PX}px)` }}
          aria-hidden="true"
        >
          <rect
            class="sequence-lit"
            x={0}
            y={(lit.from - first) * ROW_PX}
            width={width}
            height={Math.max(0, lit.to - lit.from) * ROW_PX}
          />
          {sequence.lifelines.map((line) => (
            <line
              key={line.id}
              class="sequence-line"
              data-kind={line.kind}
              x1={GUTTER_PX + line.x}
              x2={GUTTER_PX + line.x}
              y1={0}
              y2={(last - first) * ROW_PX}
            />
          ))}
          {sequence.messages.slice(first, last).map((message, index) => (
            <Row
              key={first + index}
              life={life}
              sequence={sequence}
              message={message}
              row={first + index}
              y={index * ROW_PX}
              position={position}
              onClick={() => store.goTo(message.position)}
              width={width}
            />
          ))}
        </svg>
      </div>
    </div>
  );
}

function keepInView(element: HTMLElement, top: number, bottom: number): void {
  const room = element.clientHeight - HEAD_PX;
  if (top < element.scrollTop + ROW_PX) element.scrollTop = Math.max(0, top - ROW_PX * 2);
  else if (bottom > element.scrollTop + room - ROW_PX) element.scrollTop = bottom - room + ROW_PX * 2;
}

/** The run, and whoever it speaks with, if there is room for both. */
function keepBeside(element: HTMLElement, { lifelines }: Sequence, message: Message): void {
  const run = lifelines.find(({ kind }) => kind === "run")?.x ?? 0;
  const xs = [run, lifelines[message.from]?.x ?? 0, lifelines[message.to]?.x ?? 0];
  const left = Math.max(Math.min(...xs) - 50, run + GUTTER_PX + 50 - element.clientWidth);
  const right = Math.max(...xs) + GUTTER_PX + 70 - element.clientWidth;
  if (element.scrollLeft > left) element.scrollLeft = Math.max(0, left);
  else if (element.scrollLeft < right) element.scrollLeft = Math.min(right, Math.max(left, run - 50));
}

function Heads({ lifelines, width }: { readonly lifelines: readonly Lifeline[]; readonly width: number }): JSX.Element {
  return (
    <div class="sequence-heads" style={{ width: `${width}px`, height: `${HEAD_PX}px` }}>
      {lifelines.map((line) => (
        <div
          key={line.id}
          class="sequence-head"
          data-kind={line.kind}
          style={{ left: `${GUTTER_PX + line.x}px` }}
          title={titleOf(line)}
        >
          <span>{shortLabel(line.label, HEAD_CHARS)}</span>
          <small>{line.kind === line.label ? "" : line.kind}</small>
        </div>
      ))}
    </div>
  );
}

interface RowProps {
  readonly life: Life;
  readonly sequence: Sequence;
  readonly message: Message;
  readonly row: number;
  readonly y: number;
  readonly position: number;
  readonly width: number;
  readonly onClick: () => void;
}

function Row({ life, sequence, message, row, y, position, width, onClick }: RowProps): JSX.Element {
  const from = GUTTER_PX + (sequence.lifelines[message.from]?.x ?? 0);
  const to = GUTTER_PX + (sequence.lifelines[message.to]?.x ?? 0);
  const self = message.from === message.to;
  const middle = y + ROW_PX / 2;
  const firstOfFrame = sequence.rowOf[message.position] === row;
  const state = message.position === position ? "lit" : message.position > position ? "later" : "done";
  const right = to >= from ? 1 : -1;
  // The label stands on the arrow; its line leaves room for it by standing lower.
  const line = middle + 6;
  return (
    <g class="sequence-row" data-tone={message.tone} data-state={state} data-position={message.position} onClick={onClick}>
      <rect class="sequence-hit" x={0} y={y} width={width} height={ROW_PX} />
      {firstOfFrame && (
        <text class="sequence-time" x={GUTTER_PX - 12} y={middle + 4}>
          {message.position === 0 ? "0" : `+${shortSpan((life.times[message.position] ?? 0) - life.startMs)}`}
        </text>
      )}
      {self ? (
        <>
          <path class="sequence-arrow" d={`M${from} ${middle - 5}h16a3 3 0 0 1 3 3v5a3 3 0 0 1 -3 3h-10`} />
          <path class="sequence-point" d={`M${from + 1} ${middle + 6}l7 -3.5v7z`} />
          <text class="sequence-label" x={from + 26} y={middle + 4}>
            {message.timer ? "◷ " : ""}
            {shortLabel(message.label)}
          </text>
        </>
      ) : (
        <>
          <line class="sequence-arrow" x1={from} x2={to - right * 5} y1={line} y2={line} data-reply={message.reply} />
          <path class="sequence-point" d={`M${to - right} ${line}l${-7 * right} -3.5v7z`} />
          <text class="sequence-label" data-middle="true" x={(from + to) / 2} y={line - 5}>
            {shortLabel(message.label)}
          </text>
        </>
      )}
      <title>{message.type}</title>
    </g>
  );
}

function titleOf({ kind, label, detail }: Lifeline): string {
  if (kind === "group") return `group ${label} of limit ${detail ?? ""}`;
  return kind === "worker" ? `worker ${detail ?? label}` : label;
}
