/** Who told whom what: a lifeline per actor, a row per event. Rows are of one height, so that only those in view are drawn. Pure. */
import type { InspectActorView, InspectFrame } from "../../../protocol/inspect.ts";
import { actorNames, actorRows } from "./actor-tree.ts";
import { eventText, type EventTone } from "./event-text.ts";

export interface Lifeline {
  /** Undefined: whoever is outside of the program's actors. */
  readonly actor: string | undefined;
  readonly label: string;
  /** Its middle, px. */
  readonly x: number;
}

export interface Message {
  readonly seq: number;
  /** Indices of lifelines; the same: it told itself. */
  readonly from: number;
  readonly to: number;
  readonly text: string;
  readonly type: string;
  readonly tone: EventTone;
}

export interface Sequence {
  readonly lifelines: readonly Lifeline[];
  readonly messages: readonly Message[];
  readonly width: number;
}

const MARGIN = 44;
const LEAST_GAP = 84;
const MOST_GAP = 260;
const CHAR_PX = 6.6;

export function sequenceOf(actors: readonly InspectActorView[], frames: readonly InspectFrame[]): Sequence {
  const events = frames.filter((frame) => frame.kind === "event" || (frame.kind === "snapshot" && frame.type !== ""));
  const met = new Set<string>();
  let outside = false;
  for (const { actor, source } of events) {
    met.add(actor);
    if (source === undefined) outside = true;
    else met.add(source);
  }
  const known = actorRows(actors).map(({ actor }) => actor);
  const names = actorNames(actors);
  const order = [...known.map(({ id }) => id).filter((id) => met.has(id)), ...[...met].filter((id) => !names.has(id))];
  const heads = [
    ...(outside ? [{ actor: undefined, label: "outside" }] : []),
    ...order.map((id) => ({ actor: id, label: names.get(id) ?? id })),
  ];
  const column = new Map(heads.map(({ actor }, index) => [actor, index]));
  const messages = events.map(({ seq, actor, source, type }): Message => {
    const to = column.get(actor) ?? 0;
    return { seq, from: column.get(source) ?? to, to, type, ...eventText(type) };
  });

  // Gaps as wide as what stands in them needs.
  const gaps = heads.slice(1).map((head, index) => bounded(textPx(head.label) / 2 + textPx(heads[index]?.label ?? "") / 2 + 20));
  let right = MARGIN;
  for (const { from, to, text } of messages) {
    const px = bounded(textPx(text) + (from === to ? 36 : 24));
    const at = Math.min(from, to);
    if (at >= gaps.length) right = Math.max(right, px);
    else if (Math.abs(from - to) <= 1) gaps[at] = Math.max(gaps[at] ?? 0, px);
  }
  let x = Math.max(MARGIN, textPx(heads[0]?.label ?? "") / 2 + 12);
  const lifelines = heads.map((head, index) => {
    if (index > 0) x += gaps[index - 1] ?? LEAST_GAP;
    return { ...head, x };
  });
  return { lifelines, messages, width: x + Math.max(right, textPx(heads.at(-1)?.label ?? "") / 2 + 12) };
}

function bounded(px: number): number {
  return Math.min(MOST_GAP, Math.max(LEAST_GAP, px));
}

function textPx(text: string): number {
  return text.length * CHAR_PX;
}
