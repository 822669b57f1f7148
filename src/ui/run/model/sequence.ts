/**
 * The sequence diagram of a run: lifelines, and the messages between them in the order of its frames. Every message is one row
 * of one height, so that of thousands only those in view need be drawn. Pure.
 */
import type { Participant } from "../../../protocol/record.ts";
import { type EventTone, labelOf } from "./event-label.ts";
import type { Life } from "./life.ts";
import { workerName } from "./names.ts";

export interface Lifeline {
  readonly id: string;
  readonly kind: "event" | "schedule" | "user" | "router" | "engine" | "group" | "run" | "worker";
  readonly label: string;
  /** For groups the limit, for workers the whole id. */
  readonly detail?: string;
  /** Centre, px from the left edge. */
  readonly x: number;
}

export interface Message {
  /** Position of its frame. */
  readonly position: number;
  /** Indices of lifelines; equal for what the run tells itself. */
  readonly from: number;
  readonly to: number;
  readonly label: string;
  readonly type: string;
  readonly tone: EventTone;
  /** A timer of the run's own. */
  readonly timer: boolean;
  /** Sent because of the frame, not what the frame was. */
  readonly reply: boolean;
}

export interface Sequence {
  readonly lifelines: readonly Lifeline[];
  readonly messages: readonly Message[];
  /** Row of the first message of a frame, by position; and one more, for the end. */
  readonly rowOf: Uint32Array;
  readonly width: number;
}

const ORDER: readonly Lifeline["kind"][] = ["event", "schedule", "user", "router", "engine", "group", "run", "worker"];
const RUN = "run";
const MARGIN = 44;
const GAP = { least: 68, most: 320 };
const CHAR_PX = 6.4;
const LABEL_CHARS = 44;
/** Of a lifeline's name. */
export const HEAD_CHARS = 18;
/** What a self message needs to its right, beside its label. */
const LOOP_PX = 40;

export function sequenceOf(life: Life): Sequence {
  const known = new Map<string, Omit<Lifeline, "x">>();
  known.set(RUN, { id: RUN, kind: "run", label: "run" });
  const drafts: (Omit<Message, "from" | "to"> & { from: string; to: string })[] = [];
  const rowOf = new Uint32Array(life.frames.length + 1);
  const meet = (participant: Participant): string => {
    if (participant === "timer") return RUN;
    if (!known.has(participant)) known.set(participant, lifelineOf(participant));
    return participant;
  };
  for (const [position, frame] of life.frames.entries()) {
    rowOf[position] = drafts.length;
    const { text, tone } = labelOf(frame.type, frame.data, frame.fed);
    const timer = frame.from === "timer";
    drafts.push({
      position,
      from: meet(frame.from),
      to: RUN,
      label: text,
      type: frame.type,
      tone: timer && tone === "plain" ? "timer" : tone,
      timer,
      reply: false,
    });
    for (const sent of frame.sent) {
      const label = labelOf(sent.type, sent.data);
      const self = sent.to === "timer";
      drafts.push({
        position,
        from: RUN,
        to: meet(sent.to),
        label: label.text,
        type: sent.type,
        tone: label.tone,
        timer: self,
        reply: true,
      });
    }
  }
  rowOf[life.frames.length] = drafts.length;
  // The sort is stable: groups and workers stay in the order in which they came.
  const ordered = [...known.values()].sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
  const columns = new Map(ordered.map(({ id }, index) => [id, index]));
  const messages = drafts.map(({ from, to, ...rest }): Message => ({
    ...rest,
    from: columns.get(from) ?? 0,
    to: columns.get(to) ?? 0,
  }));
  const { xs, width } = placed(ordered, messages);
  return { lifelines: ordered.map((line, index) => ({ ...line, x: xs[index] ?? 0 })), messages, rowOf, width };
}

function lifelineOf(participant: Participant): Omit<Lifeline, "x"> {
  if (participant.startsWith("group:")) {
    const rest = participant.slice("group:".length);
    const slash = rest.indexOf("/");
    return {
      id: participant,
      kind: "group",
      label: slash < 0 ? rest : rest.slice(slash + 1),
      detail: slash < 0 ? "" : rest.slice(0, slash),
    };
  }
  if (participant.startsWith("worker:")) {
    const id = participant.slice("worker:".length);
    return { id: participant, kind: "worker", label: workerName(id), detail: id };
  }
  return { id: participant, kind: participant as Lifeline["kind"], label: participant };
}

/** Gaps so wide that every label stands between the lifelines that its arrow joins: the narrowest spans are served first. */
function placed(lines: readonly Omit<Lifeline, "x">[], messages: readonly Message[]): { xs: number[]; width: number } {
  const gaps: number[] = Array.from({ length: Math.max(0, lines.length - 1) }, (_, index) =>
    Math.max(GAP.least, (headPx(lines[index]) + headPx(lines[index + 1])) / 2 + 26),
  );
  let right = MARGIN;
  const needs = new Map<string, { from: number; to: number; px: number }>();
  for (const { from, to, label } of messages) {
    const low = Math.min(from, to);
    const high = from === to ? low + 1 : Math.max(from, to);
    const px = Math.min(GAP.most, textPx(label) + (from === to ? LOOP_PX : 28));
    if (high >= lines.length) {
      right = Math.max(right, px + 8);
      continue;
    }
    const key = `${low}:${high}`;
    const need = needs.get(key);
    if (need === undefined) needs.set(key, { from: low, to: high, px });
    else need.px = Math.max(need.px, px);
  }
  for (const { from, to, px } of [...needs.values()].sort((a, b) => a.to - a.from - (b.to - b.from))) {
    const wide = gaps.slice(from, to).reduce((sum, gap) => sum + gap, 0);
    const missing = (px - wide) / (to - from);
    if (missing > 0) for (let index = from; index < to; index++) gaps[index] = (gaps[index] ?? 0) + missing;
  }
  const first = Math.max(MARGIN, headPx(lines[0]) / 2 + 16);
  const xs = [first];
  for (const gap of gaps) xs.push((xs.at(-1) ?? 0) + gap);
  return { xs: xs.map(Math.round), width: Math.round((xs.at(-1) ?? 0) + Math.max(right, headPx(lines.at(-1)) / 2 + 16)) };
}

/** Names stand there in bold. */
function headPx(line: Omit<Lifeline, "x"> | undefined): number {
  return Math.min(line?.label.length ?? 0, HEAD_CHARS) * 7.8;
}

function textPx(text: string): number {
  return Math.min(text.length, LABEL_CHARS) * CHAR_PX;
}

/** Cut in the middle: keys and ids differ at their ends. */
export function shortLabel(text: string, chars = LABEL_CHARS): string {
  if (text.length <= chars) return text;
  const tail = Math.floor((chars - 1) * 0.45);
  return `${text.slice(0, chars - 1 - tail)}…${text.slice(text.length - tail)}`;
}
