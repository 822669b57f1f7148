/** The messages between a program's actors, from top to bottom; those after the cursor are faint. */
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { EmptyState } from "../kit/empty-state.tsx";
import type { InspectStore } from "./inspect-store.ts";
import { sequenceOf, type Message, type Sequence } from "./model/sequence.ts";

const ROW = 26;
const HEAD = 30;
const OVERSCAN = 10;

export function SequenceView({ store }: { readonly store: InspectStore }): JSX.Element {
  const actors = store.actors.value;
  const { frames } = store.history.value;
  const sequence = useMemo(() => sequenceOf(actors, frames), [actors, frames]);
  const seq = store.frame.value?.seq ?? 0;
  const current = sequence.messages.findLastIndex((message) => message.seq <= seq);
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });

  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const read = (): void => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(read);
    observer.observe(element);
    element.addEventListener("scroll", read, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", read);
    };
  }, [sequence.messages.length === 0]);

  // The cursor's message stays in view.
  useEffect(() => {
    const element = box.current;
    if (element === null || current < 0) return;
    const y = current * ROW;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + ROW > element.scrollTop + element.clientHeight - HEAD)
      element.scrollTop = y + ROW - element.clientHeight + HEAD + ROW;
  }, [current, sequence.messages.length]);

  if (sequence.messages.length === 0) return <EmptyState title="No messages yet" />;
  const from = Math.max(0, Math.floor(view.top / ROW) - OVERSCAN);
  const to = Math.min(sequence.messages.length, Math.ceil((view.top + view.height) / ROW) + OVERSCAN);
  const height = sequence.messages.length * ROW + 12;
  return (
    <div class="inspect-sequence" ref={box} tabIndex={0} role="group" aria-label="Messages between actors">
      <div class="inspect-lifelines" style={{ width: `${sequence.width}px`, height: `${HEAD}px` }}>
        {sequence.lifelines.map(({ actor, label, x }) => (
          <span key={actor ?? ""} class="inspect-lifeline" title={actor} style={{ left: `${x}px` }}>
            {label}
          </span>
        ))}
      </div>
      <svg width={sequence.width} height={height} role="presentation">
        {sequence.lifelines.map(({ actor, x }) => (
          <line key={actor ?? ""} class="inspect-line" x1={x} x2={x} y1={0} y2={height} />
        ))}
        {sequence.messages.slice(from, to).map((message, index) => (
          <Arrow
            key={message.seq}
            message={message}
            sequence={sequence}
            y={(from + index) * ROW + ROW / 2 + 4}
            current={from + index === current}
            later={from + index > current}
            onSelect={() => store.goTo(message.seq)}
          />
        ))}
      </svg>
    </div>
  );
}

interface ArrowProps {
  readonly message: Message;
  readonly sequence: Sequence;
  readonly y: number;
  readonly current: boolean;
  readonly later: boolean;
  readonly onSelect: () => void;
}

function Arrow({ message, sequence, y, current, later, onSelect }: ArrowProps): JSX.Element {
  const { from, to, text, type, tone } = message;
  const x1 = sequence.lifelines[from]?.x ?? 0;
  const x2 = sequence.lifelines[to]?.x ?? 0;
  const self = from === to;
  const direction = x2 > x1 ? -1 : 1;
  const head = self
    ? `M${x1 + 7},${y + 1} l-6,4 l6,4 z`
    : `M${x2 + direction * 7},${y - 4} l${-direction * 6},4 l${direction * 6},4 z`;
  return (
    <g class="inspect-message" data-tone={tone} data-current={current} data-later={later} onClick={onSelect}>
      <title>{type}</title>
      <rect class="inspect-message-row" x={0} y={y - ROW / 2} width="100%" height={ROW} />
      {self ? (
        <>
          <path class="inspect-arrow" d={`M${x1},${y - 5} h18 v10 h-12`} />
          <text x={x1 + 25} y={y + 4}>
            {text}
          </text>
        </>
      ) : (
        <>
          <line class="inspect-arrow" x1={x1} x2={x2 + direction * 5} y1={y} y2={y} />
          <text x={(x1 + x2) / 2} y={y - 4} text-anchor="middle">
            {text}
          </text>
        </>
      )}
      <path class="inspect-arrow-head" d={head} />
    </g>
  );
}
