/**
 * The timeline of a run: a lane for the run itself (its waiting, then its being active) and one per step, each with its
 * segments. Times are ms since the start of the life, as the engine recorded them. Pure.
 */
import type { RunFrame } from "../../../protocol/record.ts";
import type { StepStatus, StepView } from "../../../protocol/view.ts";
import type { ErrorData } from "../../../protocol/work.ts";
import { isOver, type Life } from "./life.ts";

export type SegmentKind =
  /** Of the run, before it is admitted. */
  | "scheduled"
  | "keying"
  | "waiting"
  /** Of the run, from then on. */
  | "active"
  /** Of a step: wants a worker, has one, is told to stop, waits to be tried again. */
  | "ready"
  | "running"
  | "stopping"
  | "backoff";

export type Outcome =
  | "succeeded"
  | "failed"
  | "timed out"
  | "lost"
  | "returned"
  | "stopped"
  | "cancelled"
  | "admitted"
  | "told to stop";

export interface Segment {
  readonly kind: SegmentKind;
  readonly from: number;
  /** Absent: it still goes on. */
  readonly to?: number;
  /** Position of the frame with which it begins, and of the one with which it ends. */
  readonly begins: number;
  readonly ends?: number;
  readonly attempt?: number;
  readonly worker?: string;
  readonly outcome?: Outcome;
  /** Of an attempt that gave a result: how long its handler took, by the clock of its worker. */
  readonly workMs?: number;
  readonly error?: ErrorData;
}

export interface Lane {
  /** Empty for the run's own. */
  readonly step: string;
  readonly status: StepStatus | undefined;
  readonly attempts: number;
  readonly segments: readonly Segment[];
}

/** Something that concerns all of the run at one moment. */
export interface TimelineMark {
  readonly at: number;
  readonly position: number;
  readonly kind: "cancel" | "fail" | "end";
  readonly text: string;
}

export interface Timeline {
  readonly lanes: readonly Lane[];
  readonly marks: readonly TimelineMark[];
  /** From the first frame to the last, ms. */
  readonly lengthMs: number;
  readonly open: boolean;
}

const KIND: Partial<Record<StepStatus, SegmentKind>> = {
  READY: "ready",
  RUNNING: "running",
  STOPPING: "stopping",
  BACKOFF: "backoff",
};

const RUN_KIND: Readonly<Record<string, SegmentKind>> = {
  scheduled: "scheduled",
  keying: "keying",
  queued: "waiting",
  parked: "waiting",
  "run.admitted": "active",
};

export function timelineOf(life: Life): Timeline {
  const { frames, times, startMs } = life;
  const run = new LaneBuilder("");
  const steps = new Map<string, LaneBuilder>();
  const marks: TimelineMark[] = [];
  let before: RunFrame | undefined;
  for (const [position, frame] of frames.entries()) {
    const at = (times[position] ?? startMs) - startMs;
    runLane(run, frame, at, position);
    if (isOver(frame.status) && !isOver(before?.status)) marks.push(endMark(frame, at, position));
    else if (frame.fed && (frame.type === "run.cancelled" || frame.type === "run.failed"))
      marks.push(endingMark(frame, at, position));
    for (const [name, view] of Object.entries(frame.steps)) {
      let lane = steps.get(name);
      if (lane === undefined) steps.set(name, (lane = new LaneBuilder(name)));
      const previous = before?.steps[name];
      if (previous === undefined || differs(previous, view)) stepLane(lane, frame, previous, view, at, position);
    }
    before = frame;
  }
  return { lanes: [run, ...steps.values()].map((lane) => lane.done()), marks, lengthMs: life.endMs - startMs, open: !life.ended };
}

class LaneBuilder {
  readonly #step: string;
  readonly #segments: Segment[] = [];
  #open: Segment | undefined;
  status: StepStatus | undefined;
  attempts = 0;

  constructor(step: string) {
    this.#step = step;
  }

  get open(): Segment | undefined {
    return this.#open;
  }

  begin(segment: Segment): void {
    this.#open = segment;
  }

  end(to: number, ends: number, outcome?: Outcome, more: Pick<Segment, "error" | "workMs"> = {}): void {
    if (this.#open === undefined) return;
    this.#segments.push({
      ...this.#open,
      to,
      ends,
      ...(outcome !== undefined && { outcome }),
      ...more,
    });
    this.#open = undefined;
  }

  done(): Lane {
    const segments = this.#open === undefined ? this.#segments : [...this.#segments, this.#open];
    return { step: this.#step, status: this.status, attempts: this.attempts, segments };
  }
}

function runLane(lane: LaneBuilder, frame: RunFrame, at: number, position: number): void {
  if (isOver(frame.status)) {
    const outcome = frame.status === "SUCCEEDED" ? "succeeded" : frame.status === "FAILED" ? "failed" : "cancelled";
    return lane.end(at, position, outcome);
  }
  const kind = frame.fed || !frame.type.startsWith("run.") ? kindOf(frame.type) : undefined;
  // A record that was cut begins in the middle of things.
  const found = kind ?? (lane.open === undefined && position === 0 && frame.status === "RUNNING" ? "active" : undefined);
  if (found === undefined || lane.open?.kind === found) return;
  lane.end(at, position, found === "active" ? "admitted" : undefined);
  lane.begin({ kind: found, from: at, begins: position });
}

function kindOf(type: string): SegmentKind | undefined {
  return Object.hasOwn(RUN_KIND, type) ? RUN_KIND[type] : undefined;
}

function stepLane(
  lane: LaneBuilder,
  frame: RunFrame,
  previous: StepView | undefined,
  view: StepView,
  at: number,
  position: number,
): void {
  lane.status = view.status;
  lane.attempts = view.attempts;
  if (lane.open !== undefined) {
    const error = errorOf(previous, view);
    const workMs = lane.open.kind === "running" && frame.from.startsWith("worker:") ? workOf(view) : undefined;
    lane.end(at, position, outcomeOf(frame.type, lane.open.kind, view), {
      ...(error !== undefined && { error }),
      ...(workMs !== undefined && { workMs }),
    });
  }
  const kind = KIND[view.status];
  if (kind === undefined) return;
  const attempt = kind === "ready" ? view.attempts + 1 : view.attempts;
  const worker = kind === "running" || kind === "stopping" ? view.worker : undefined;
  lane.begin({ kind, from: at, begins: position, attempt, ...(worker !== undefined && { worker }) });
}

function differs(before: StepView, after: StepView): boolean {
  return (
    before.status !== after.status ||
    before.attempts !== after.attempts ||
    (before.worker !== after.worker && after.status === "RUNNING")
  );
}

/** Of the segment that ends, by the event that ended it. */
function outcomeOf(type: string, kind: SegmentKind, after: StepView): Outcome | undefined {
  if (after.status === "SUCCEEDED") return "succeeded";
  if (type.startsWith("step.lost.")) return "lost";
  if (type.startsWith("step.returned.")) return "returned";
  if (kind === "running" && type.startsWith("xstate.after.")) return "timed out";
  if (kind === "running" && type.startsWith("xstate.error.actor.")) return "failed";
  if (kind === "running" && after.status === "STOPPING") return "told to stop";
  if (kind === "stopping") return "stopped";
  if (after.status === "CANCELLED") return "cancelled";
  if (after.status === "FAILED") return "failed";
  return undefined;
}

function workOf({ startedAt, finishedAt }: StepView): number | undefined {
  return startedAt === undefined || finishedAt === undefined
    ? undefined
    : Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt));
}

function errorOf(before: StepView | undefined, after: StepView): ErrorData | undefined {
  return after.error !== undefined &&
    after.error.message !== undefined &&
    JSON.stringify(after.error) !== JSON.stringify(before?.error)
    ? after.error
    : undefined;
}

function endMark(frame: RunFrame, at: number, position: number): TimelineMark {
  return { at, position, kind: "end", text: `run ${frame.status.toLowerCase()}` };
}

function endingMark(frame: RunFrame, at: number, position: number): TimelineMark {
  const cancel = frame.type === "run.cancelled";
  return {
    at,
    position,
    kind: cancel ? "cancel" : "fail",
    text: cancel ? `cancelled by ${senderText(frame.from)}` : "the run fails",
  };
}

function senderText(from: string): string {
  if (from === "user") return "a user";
  return from.startsWith("group:") ? `its group (${from.slice("group:".length)})` : `the ${from}`;
}
