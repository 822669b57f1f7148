/** One actor of a foreign program: its definition, its present state, and what happened to it, as far as that is kept. */
import type { InspectActorView, InspectFrame, InspectSnapshot, InspectStatus } from "../../protocol/inspect.ts";

/** Events and snapshots are kept as JSON texts: their size is known exactly, and nobody can change them. */
export interface KeptFrame {
  readonly seq: number;
  revision: number;
  readonly actor: string;
  readonly at: string;
  readonly kind: InspectFrame["kind"];
  readonly type: string;
  readonly event: string | undefined;
  readonly source: string | undefined;
  snapshot: string | undefined;
}

/** What an object and its short fields take besides the texts, roughly. */
const FRAME_BYTES = 200;
/** Events that may wait for the snapshot that they led to. */
const MAX_PENDING = 50;

export class Actor {
  readonly id: string;
  readonly startedAt: string;
  name: string;
  parent: string | undefined;
  machine: string | undefined;
  cutDefinition = false;
  registered = false;
  /** What tells its registration from any other; the same again means the same actor. */
  registration: string | undefined;
  status: InspectStatus = "active";
  value: unknown;
  readonly frames: KeptFrame[] = [];
  /** Frames let go. */
  dropped = 0;
  bytes = 0;
  lastSeq = 0;
  /** Of the frame that changed last. */
  revision = 0;
  /** What its client said its state was when it registered it: often a later one, until the first real one comes. */
  #provisional: KeptFrame | undefined;
  #pending: KeptFrame[] = [];

  constructor(id: string, startedAt: string) {
    this.id = id;
    this.name = id;
    this.startedAt = startedAt;
  }

  add(frame: KeptFrame): void {
    this.frames.push(frame);
    this.bytes += bytesOf(frame);
    this.lastSeq = frame.seq;
    this.revision = frame.revision;
    if (frame.kind === "registered") this.#provisional = frame;
    if (frame.kind === "event") {
      this.#pending.push(frame);
      if (this.#pending.length > MAX_PENDING) this.#pending.shift();
    }
  }

  /** The event that this snapshot came of: completes it, and gives it; undefined where none was seen. */
  complete(event: string | undefined, snapshot: string, revision: number): KeptFrame | undefined {
    // Earlier ones were not taken (the actor had stopped), or are handled later (raised in between).
    const index = event === undefined ? -1 : this.#pending.findIndex((frame) => frame.event === event);
    const [frame] = index === -1 ? [] : this.#pending.splice(index, 1);
    if (frame === undefined) return undefined;
    frame.snapshot = snapshot;
    frame.revision = revision;
    this.revision = revision;
    this.bytes += snapshot.length;
    return frame;
  }

  /** A real state has come: what was said at registration is not shown as one any more. Gives the frame that has changed. */
  forgetProvisional(revision: number): void {
    const frame = this.#provisional;
    this.#provisional = undefined;
    if (frame?.snapshot === undefined) return;
    if (this.frames.includes(frame)) this.bytes -= frame.snapshot.length;
    frame.snapshot = undefined;
    frame.revision = revision;
    this.revision = revision;
  }

  /** Lets the oldest frame go; gives the bytes that this frees. */
  dropOldest(): number {
    const frame = this.frames.shift();
    if (frame === undefined) return 0;
    this.dropped += 1;
    const bytes = bytesOf(frame);
    this.bytes -= bytes;
    return bytes;
  }

  view(): InspectActorView {
    return {
      id: this.id,
      name: this.name,
      ...(this.parent === undefined ? {} : { parent: this.parent }),
      ...(this.machine === undefined ? {} : { machine: this.machine }),
      status: this.status,
      ...(this.value === undefined ? {} : { value: this.value }),
      registered: this.registered,
      startedAt: this.startedAt,
      frames: this.frames.length,
      cut: this.dropped,
      lastSeq: this.lastSeq,
      cutDefinition: this.cutDefinition,
    };
  }
}

export function frameView(frame: KeptFrame): InspectFrame {
  const { seq, revision, actor, at, kind, type, event, source, snapshot } = frame;
  return {
    seq,
    revision,
    actor,
    at,
    kind,
    type,
    ...(event === undefined ? {} : { event: JSON.parse(event) as unknown }),
    ...(source === undefined ? {} : { source }),
    ...(snapshot === undefined ? {} : { snapshot: JSON.parse(snapshot) as InspectSnapshot }),
  };
}

function bytesOf(frame: KeptFrame): number {
  return FRAME_BYTES + frame.type.length + (frame.event?.length ?? 0) + (frame.snapshot?.length ?? 0);
}
