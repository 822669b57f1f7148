/**
 * All foreign programs, within one bound of memory. A client says nothing of who it is, so a connection is known by its first
 * message: where that can only come from a program that was here before, this one goes on.
 */
import { randomBytes } from "node:crypto";
import { Program, type ProgramLimits, type ProgramSource } from "./program.ts";
import { parseMessage, type InspectMessage } from "./message.ts";

export interface InspectLimits extends ProgramLimits {
  /** Kept in all; the oldest programs that have ended go first, then the oldest frames. Default 50 MB. */
  readonly bytes: number;
  /** Programs kept, ended ones included. Default 50. */
  readonly programs: number;
  /** Longest message that is taken; longer ones are counted as problems. Default 1 MB. */
  readonly messageBytes: number;
}

export const DEFAULT_LIMITS: InspectLimits = {
  framesPerActor: 2_000,
  actorsPerProgram: 200,
  bytes: 50_000_000,
  programs: 50,
  messageBytes: 1_000_000,
};

export interface ProgramsOptions {
  readonly redact: (value: unknown) => unknown;
  readonly limits?: Partial<InspectLimits> | undefined;
  readonly now?: (() => number) | undefined;
}

/** A connection's way in. */
export interface ProgramInput {
  /** One message, as text. */
  take(text: string): void;
  /** Something came that is no text, or is too long to be looked at. */
  problem(reason: string): void;
  end(): void;
}

/** What is let go at once when there is too much, so that this does not happen with every message. */
const ROOM = 0.1;

export class Programs {
  readonly limits: InspectLimits;
  readonly #redact: (value: unknown) => unknown;
  readonly #now: () => number;
  /** Oldest first. */
  readonly #programs = new Map<string, Program>();
  readonly #listeners = new Set<(program: string) => void>();

  constructor({ redact, limits, now }: ProgramsOptions) {
    this.limits = { ...DEFAULT_LIMITS, ...limits };
    this.#redact = redact;
    this.#now = now ?? Date.now;
  }

  get bytes(): number {
    let bytes = 0;
    for (const program of this.#programs.values()) bytes += program.bytes;
    return bytes;
  }

  /** Newest first, connected ones before those that have ended. */
  list(): readonly Program[] {
    const all = [...this.#programs.values()].reverse();
    return [...all.filter((program) => program.connected), ...all.filter((program) => !program.connected)];
  }

  get(id: string): Program | undefined {
    return this.#programs.get(id);
  }

  /** Forgets programs that have ended: this one, or all of them. Gives how many. */
  forget(id?: string): number {
    let count = 0;
    for (const program of this.#programs.values()) {
      if (program.connected || (id !== undefined && program.id !== id)) continue;
      this.#remove(program);
      count += 1;
    }
    return count;
  }

  /** Calls back with the id of each program that has changed, at every change. */
  onChange(listener: (program: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** A client has connected. It is seen from its first message on. */
  connect(source: ProgramSource): ProgramInput {
    let program: Program | undefined;
    let ended = false;
    const problem = (reason: string): void => {
      program ??= this.#create(source);
      program.problem(reason);
      this.#changed(program);
    };
    return {
      problem,
      take: (text) => {
        if (ended) return;
        if (text.length > this.limits.messageBytes) return problem(`longer than ${this.limits.messageBytes / 1000} kB`);
        const parsed = parseMessage(text);
        if (parsed === "ignored") return;
        if (!parsed.ok) return problem(parsed.reason);
        program ??= this.#continued(source, parsed.message) ?? this.#create(source);
        try {
          if (!program.take(parsed.message, text)) return;
        } catch (error) {
          // Nesting deeper than the stack, for one: it was counted, and the next message is none the worse for it.
          return problem(`${parsed.message.type}: ${error instanceof Error ? error.message.slice(0, 100) : "not usable"}`);
        }
        this.#changed(program);
        if (this.bytes > this.limits.bytes) this.#makeRoom();
      },
      end: () => {
        ended = true;
        program?.end();
        if (program !== undefined) this.#changed(program);
      },
    };
  }

  #continued(source: ProgramSource, message: InspectMessage): Program | undefined {
    const same = this.list().filter(
      (program) =>
        !program.connected &&
        program.source.peer === source.peer &&
        program.source.origin === source.origin &&
        program.source.name === source.name &&
        program.isContinuedBy(message),
    );
    // A registration tells for sure; from an event alone, only where just one program can be meant.
    const [program] = same;
    if (program === undefined || (message.type !== "@xstate.actor" && same.length > 1)) return undefined;
    program.resume();
    return program;
  }

  #create(source: ProgramSource): Program {
    while (this.#programs.size >= this.limits.programs) {
      const all = [...this.#programs.values()];
      this.#remove((all.find((program) => !program.connected) ?? all[0]) as Program);
    }
    const program = new Program(randomBytes(4).toString("hex"), source, {
      limits: this.limits,
      redact: this.#redact,
      now: this.#now,
    });
    this.#programs.set(program.id, program);
    return program;
  }

  #makeRoom(): void {
    let wanted = this.bytes - this.limits.bytes * (1 - ROOM);
    for (const program of [...this.#programs.values()]) {
      if (wanted <= 0) return;
      if (program.connected) continue;
      wanted -= program.bytes;
      this.#remove(program);
    }
    for (const program of this.#programs.values()) {
      if (wanted <= 0) return;
      wanted -= program.shrink(wanted);
    }
  }

  #remove(program: Program): void {
    this.#programs.delete(program.id);
    this.#changed(program);
  }

  #changed(program: Program): void {
    for (const listener of this.#listeners) listener(program.id);
  }
}
