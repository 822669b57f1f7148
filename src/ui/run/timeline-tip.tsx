/** What a bar of the timeline stands for, to the millisecond. */
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Life } from "./model/life.ts";
import { workerName } from "./model/names.ts";
import { clockText, spanText } from "./model/span-text.ts";
import type { Segment, SegmentKind } from "./model/timeline.ts";

export interface TipAt {
  readonly step: string;
  readonly segment: Segment;
  readonly clientX: number;
  readonly clientY: number;
}

const NAMES: Readonly<Record<SegmentKind, string>> = {
  scheduled: "scheduled: waits for its time",
  keying: "waits for its key",
  waiting: "waits in line for a slot of its group",
  active: "active: holds its slots",
  ready: "wants a worker",
  running: "runs",
  stopping: "is being stopped",
  backoff: "waits to be tried again",
};

export function SegmentTip({ life, tip }: { readonly life: Life; readonly tip: TipAt }): JSX.Element {
  const element = useRef<HTMLDivElement>(null);
  const { segment, step } = tip;
  useLayoutEffect(() => {
    const box = element.current;
    if (box === null) return;
    const left = Math.min(tip.clientX + 12, innerWidth - box.offsetWidth - 8);
    const below = tip.clientY + 18;
    const top = below + box.offsetHeight > innerHeight - 8 ? tip.clientY - box.offsetHeight - 12 : below;
    box.style.transform = `translate(${Math.max(8, left)}px, ${Math.max(8, top)}px)`;
  });
  const from = life.startMs + segment.from;
  const to = segment.to === undefined ? undefined : life.startMs + segment.to;
  return (
    <div class="timeline-tip" ref={element} role="tooltip">
      <strong>
        {step === "" ? "The run" : step}
        {segment.attempt !== undefined && <span class="kit-muted"> · attempt {segment.attempt}</span>}
      </strong>
      <span>
        {NAMES[segment.kind]}
        {segment.outcome !== undefined && segment.outcome !== "admitted" && (
          <>
            {" → "}
            <span class="timeline-outcome" data-outcome={segment.outcome}>
              {segment.outcome}
            </span>
          </>
        )}
      </span>
      <span class="timeline-tip-time">{to === undefined ? "so far" : spanText(to - from)}</span>
      <span class="kit-muted kit-mono">
        {clockText(from)} → {to === undefined ? "now" : clockText(to)}
      </span>
      <span class="kit-muted kit-mono">
        +{spanText(segment.from)} → {segment.to === undefined ? "" : `+${spanText(segment.to)}`}
      </span>
      {segment.workMs !== undefined && (
        <span class="kit-muted">{spanText(segment.workMs)} of it in the handler, by its worker's clock</span>
      )}
      {segment.worker !== undefined && <span class="kit-muted">on worker {workerName(segment.worker)}</span>}
      {segment.error !== undefined && <span class="timeline-tip-error">{segment.error.message.slice(0, 240)}</span>}
    </div>
  );
}
