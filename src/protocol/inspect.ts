/**
 * What the page of foreign XState programs is told (`/api/inspect/...`): programs that have connected to `/inspect`, their
 * actors, what these went through. Plain JSON, redacted. A program is one life of a process or page; the ids of its actors are
 * XState's (`x:0`) and mean nothing outside of it.
 */
import type { MachineDefinition } from "./record.ts";

export interface InspectProgramView {
  readonly id: string;
  /** What it was given in the address (`?name=`), else the name of its first actor. */
  readonly name: string;
  readonly connected: boolean;
  /** Of a page; programs in Node.js have none. */
  readonly origin?: string;
  readonly connectedAt: string;
  readonly endedAt?: string;
  /** How often it has come back. */
  readonly reconnects: number;
  readonly actors: number;
  readonly frames: number;
  /** The last frame's number; 0 where there is none. */
  readonly lastSeq: number;
  readonly bytes: number;
  /** What was let go to stay within bounds. */
  readonly dropped: { readonly actors: number; readonly frames: number };
  /** Messages that could not be understood, by reason, most frequent first. */
  readonly problems: readonly { readonly reason: string; readonly count: number }[];
  /** Its client cuts definitions off at a depth (`serializationDepthLimit`): charts lack what is deeper. */
  readonly cutDefinitions: boolean;
}

export type InspectStatus = "active" | "done" | "error" | "stopped";

export interface InspectActorView {
  readonly id: string;
  readonly name: string;
  readonly parent?: string;
  /** Hash of its machine's definition; absent for promises, callbacks and the like. */
  readonly machine?: string;
  readonly status: InspectStatus;
  /** XState's state value, now. */
  readonly value?: unknown;
  /** False where only its events were seen: it was there before this program connected. */
  readonly registered: boolean;
  readonly startedAt: string;
  readonly frames: number;
  /** Frames left out at the beginning. */
  readonly cut: number;
  readonly lastSeq: number;
  /** Its definition was cut off at a depth by its client. */
  readonly cutDefinition: boolean;
}

export interface InspectSnapshot {
  readonly status: InspectStatus;
  readonly value?: unknown;
  readonly context?: unknown;
  readonly output?: unknown;
  readonly error?: unknown;
  readonly tags?: readonly string[];
  readonly input?: unknown;
}

/** One thing that happened to an actor, and the state after it where that is known. */
export interface InspectFrame {
  /** 1, 2, 3, … over all the actors of a program. */
  readonly seq: number;
  /** Grows whenever this frame is completed; `after` in requests means this number. */
  readonly revision: number;
  readonly actor: string;
  readonly at: string;
  readonly kind: "registered" | "event" | "snapshot";
  /** Type of the event; empty where there was none. */
  readonly type: string;
  readonly event?: unknown;
  /** The actor that sent it. */
  readonly source?: string;
  readonly snapshot?: InspectSnapshot;
}

/** `GET /api/inspect/programs` */
export interface InspectProgramsReply {
  readonly items: readonly InspectProgramView[];
}

/** `GET /api/inspect/actors?program=` */
export interface InspectActorsReply {
  readonly program: InspectProgramView;
  readonly items: readonly InspectActorView[];
}

/**
 * `GET /api/inspect/frames?program=&actor=&after=&before=&size=`: of one actor, or of all; in order of `seq`. `before` pages to
 * older ones (the newest `size` of those with a lower `seq`); `after` gives what is new or completed since that revision.
 */
export interface InspectFramesReply {
  readonly items: readonly InspectFrame[];
  readonly revision: number;
  /** There are older ones: ask with `before` and the first one's `seq`. */
  readonly more: boolean;
}

/** `GET /api/inspect/machine?program=&hash=` */
export type InspectMachineReply = MachineDefinition;
