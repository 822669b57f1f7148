/**
 * One foreign program: its actors and what they went through, within bounds. Session ids (`x:0`) are its own; two programs with
 * the same ones never meet.
 */
import type { InspectFrame, InspectFramesReply, InspectProgramView } from "../../protocol/inspect.ts";
import type { MachineDefinition } from "../../protocol/record.ts";
import { Actor, frameView, type KeptFrame } from "./actor.ts";
import { readDefinition } from "./definition.ts";
import { readSnapshot, readTime, type InspectMessage } from "./message.ts";
import { Repeats } from "./repeats.ts";

export interface ProgramLimits {
  /** Frames kept per actor; more make the page's memory grow, fewer lose the beginning sooner. Default 2,000. */
  readonly framesPerActor: number;
  /** Actors kept per program; ended ones go first. Default 200. */
  readonly actorsPerProgram: number;
}

/** Where a connection comes from; only connections from the same place can go on with each other's programs. */
export interface ProgramSource {
  readonly name: string | undefined;
  readonly origin: string | undefined;
  readonly peer: string;
}

const MAX_PROBLEMS = 20;

export class Program {
  readonly id: string;
  readonly source: ProgramSource;
  readonly connectedAt: string;
  endedAt: string | undefined;
  reconnects = 0;
  /** Of actors, frames and definitions. */
  bytes = 0;
  readonly #limits: ProgramLimits;
  readonly #redact: (value: unknown) => unknown;
  readonly #now: () => number;
  readonly #actors = new Map<string, Actor>();
  readonly #machines = new Map<string, { readonly machine: MachineDefinition; readonly bytes: number }>();
  readonly #problems = new Map<string, number>();
  readonly #repeats = new Repeats();
  #seq = 0;
  #revision = 0;
  #frames = 0;
  #droppedActors = 0;
  #droppedFrames = 0;
  #name: string | undefined;

  constructor(
    id: string,
    source: ProgramSource,
    parts: { readonly limits: ProgramLimits; readonly redact: (value: unknown) => unknown; readonly now: () => number },
  ) {
    this.id = id;
    this.source = source;
    this.#limits = parts.limits;
    this.#redact = parts.redact;
    this.#now = parts.now;
    this.connectedAt = new Date(parts.now()).toISOString();
  }

  get connected(): boolean {
    return this.endedAt === undefined;
  }

  /** Whether a connection that begins with this message is this program again: only it can know what it repeats. */
  isContinuedBy(message: InspectMessage): boolean {
    const actor = this.#actors.get(message.sessionId);
    if (message.type === "@xstate.actor") return actor?.registration === registrationOf(message);
    return actor?.status === "active";
  }

  /** It is back. What it sent before, it may send again. */
  resume(): void {
    this.endedAt = undefined;
    this.reconnects += 1;
    this.#repeats.expect();
  }

  end(): void {
    this.endedAt ??= new Date(this.#now()).toISOString();
  }

  problem(reason: string): void {
    const known = this.#problems.has(reason) || this.#problems.size < MAX_PROBLEMS;
    const key = known ? reason : "other";
    this.#problems.set(key, (this.#problems.get(key) ?? 0) + 1);
  }

  /** Takes a message in; `text` is the whole of it, as it came. False where it only repeats what was there. */
  take(message: InspectMessage, text: string): boolean {
    if (!this.#repeats.isNew(text)) return false;
    switch (message.type) {
      case "@xstate.actor":
        this.#register(message);
        return true;
      case "@xstate.event":
        this.#event(message);
        return true;
      case "@xstate.snapshot":
        this.#snapshot(message);
        return true;
    }
  }

  /** Lets the oldest frames go, over all actors, until it has become smaller by so much; gives what this freed. */
  shrink(bytes: number): number {
    let freed = 0;
    while (freed < bytes) {
      let oldest: Actor | undefined;
      for (const actor of this.#actors.values()) {
        const first = actor.frames[0];
        if (first !== undefined && (oldest === undefined || first.seq < (oldest.frames[0]?.seq ?? Infinity))) oldest = actor;
      }
      if (oldest === undefined) break;
      // Several at once: looking for the oldest again after each would cost a round over all actors.
      for (let count = 0; count < 32 && freed < bytes && oldest.frames.length > 0; count++) freed += this.#dropFrame(oldest);
    }
    return freed;
  }

  view(): InspectProgramView {
    const { origin } = this.source;
    return {
      id: this.id,
      name: this.source.name ?? this.#name ?? "a program",
      connected: this.connected,
      ...(origin === undefined ? {} : { origin }),
      connectedAt: this.connectedAt,
      ...(this.endedAt === undefined ? {} : { endedAt: this.endedAt }),
      reconnects: this.reconnects,
      actors: this.#actors.size,
      frames: this.#frames,
      lastSeq: Math.max(0, ...[...this.#actors.values()].map((actor) => actor.lastSeq)),
      bytes: this.bytes,
      dropped: { actors: this.#droppedActors, frames: this.#droppedFrames },
      problems: [...this.#problems].map(([reason, count]) => ({ reason, count })).sort((a, b) => b.count - a.count),
      cutDefinitions: [...this.#actors.values()].some((actor) => actor.cutDefinition),
    };
  }

  actors(): readonly Actor[] {
    return [...this.#actors.values()];
  }

  machine(hash: string): MachineDefinition | undefined {
    return this.#machines.get(hash)?.machine;
  }

  frames(query: {
    readonly actor?: string | undefined;
    readonly after?: number | undefined;
    readonly before?: number | undefined;
    readonly size: number;
  }): InspectFramesReply {
    const { actor, after, before = Infinity, size } = query;
    const from = actor === undefined ? [...this.#actors.values()] : [this.#actors.get(actor)].filter((one) => one !== undefined);
    const wanted = (frame: KeptFrame): boolean => frame.seq < before && (after === undefined || frame.revision > after);
    const all = from.flatMap((one) => (after !== undefined && one.revision <= after ? [] : one.frames.filter(wanted)));
    // What has changed is given oldest first, so that whoever asks goes on at the last revision; pages go back from the newest.
    all.sort(after === undefined ? (a, b) => a.seq - b.seq : (a, b) => a.revision - b.revision);
    const cut = after === undefined ? all.slice(-size) : all.slice(0, size);
    const items: InspectFrame[] = cut.map(frameView).sort((a, b) => a.seq - b.seq);
    const more = cut.length < all.length;
    const revision = after !== undefined && more ? Math.max(after, ...cut.map((frame) => frame.revision)) : this.#revision;
    return { items, revision, more };
  }

  #register(message: Extract<InspectMessage, { type: "@xstate.actor" }>): void {
    const actor = this.#actor(message.sessionId, message.createdAt);
    actor.registered = true;
    const name = message.name ?? "";
    if (name !== "") actor.name = name;
    this.#name ??= actor.name;
    // Parents that point at each other would never end.
    if (message.parentId !== undefined && !this.#isAbove(actor.id, message.parentId)) actor.parent = message.parentId;
    actor.registration = registrationOf(message);
    this.#define(actor, message.definition);
    const { status, fields } = readSnapshot(message.snapshot);
    const snapshot = this.#keep(status, fields);
    this.#add(actor, message.createdAt, { kind: "registered", type: "", event: undefined, source: undefined, snapshot });
    this.#state(actor, status, fields["value"]);
  }

  #define(actor: Actor, definition: unknown): void {
    if (definition === undefined || definition === null || definition === "") return;
    let read: ReturnType<typeof readDefinition>;
    try {
      read = readDefinition(definition, actor.name, this.#redact);
    } catch (error) {
      return this.problem(`a definition that cannot be used: ${error instanceof Error ? error.message.slice(0, 100) : ""}`);
    }
    if (read === undefined) return;
    const { machine, cut } = read;
    const before = actor.machine;
    actor.machine = machine.hash;
    actor.cutDefinition = cut;
    if (!this.#machines.has(machine.hash)) {
      const bytes = JSON.stringify(machine).length * 2;
      this.#machines.set(machine.hash, { machine, bytes });
      this.bytes += bytes;
    }
    if (before !== undefined && before !== machine.hash) this.#releaseMachine(before);
  }

  #event(message: Extract<InspectMessage, { type: "@xstate.event" }>): void {
    const actor = this.#actor(message.sessionId, message.createdAt);
    this.#add(actor, message.createdAt, {
      kind: "event",
      type: message.event.type,
      event: JSON.stringify(this.#redact(message.event)),
      source: message.sourceId,
      snapshot: undefined,
    });
  }

  #snapshot(message: Extract<InspectMessage, { type: "@xstate.snapshot" }>): void {
    const actor = this.#actor(message.sessionId, message.createdAt);
    const { status, fields, children } = readSnapshot(message.snapshot);
    const snapshot = this.#keep(status, fields);
    const event = message.event === undefined ? undefined : JSON.stringify(this.#redact(message.event));
    const before = actor.bytes;
    actor.forgetProvisional(++this.#revision);
    const completed = actor.complete(event, snapshot, ++this.#revision);
    this.bytes += actor.bytes - before;
    if (completed === undefined) {
      const type = message.event?.type ?? "";
      this.#add(actor, message.createdAt, { kind: "snapshot", type, event, source: undefined, snapshot });
    }
    this.#state(actor, status, fields["value"]);
    if (children !== undefined) this.#stopOthers(actor, children);
  }

  /** XState says nothing when an actor is stopped; its parent just does not have it any more. */
  #stopOthers(parent: Actor, children: ReadonlySet<string>): void {
    for (const actor of this.#actors.values()) {
      if (actor.parent !== parent.id || actor.status !== "active") continue;
      if (!children.has(actor.name) && !children.has(actor.id)) actor.status = "stopped";
    }
  }

  #keep(status: string, fields: Record<string, unknown>): string {
    return JSON.stringify({ status, ...(this.#redact(fields) as Record<string, unknown>), ...valueOf(fields) });
  }

  #state(actor: Actor, status: Actor["status"], value: unknown): void {
    actor.status = status;
    actor.value = value;
  }

  #add(
    actor: Actor,
    createdAt: InspectMessage["createdAt"],
    rest: Pick<KeptFrame, "kind" | "type" | "event" | "source" | "snapshot">,
  ): void {
    const before = actor.bytes;
    actor.add({ seq: ++this.#seq, revision: ++this.#revision, actor: actor.id, at: readTime(createdAt, this.#now()), ...rest });
    this.bytes += actor.bytes - before;
    this.#frames += 1;
    while (actor.frames.length > this.#limits.framesPerActor) this.#dropFrame(actor);
  }

  #dropFrame(actor: Actor): number {
    const freed = actor.dropOldest();
    this.bytes -= freed;
    this.#frames -= 1;
    this.#droppedFrames += 1;
    return freed;
  }

  #actor(id: string, createdAt: InspectMessage["createdAt"]): Actor {
    const known = this.#actors.get(id);
    if (known !== undefined) return known;
    while (this.#actors.size >= this.#limits.actorsPerProgram) this.#dropActor();
    const actor = new Actor(id, readTime(createdAt, this.#now()));
    this.#actors.set(id, actor);
    return actor;
  }

  /** Ended ones first, then the oldest that has no children, so that the trees of what lives stay whole. */
  #dropActor(): void {
    const parents = new Set([...this.#actors.values()].map((actor) => actor.parent));
    let victim: Actor | undefined;
    let oldestLeaf: Actor | undefined;
    for (const actor of this.#actors.values()) {
      if (parents.has(actor.id)) continue;
      if (actor.parent !== undefined) oldestLeaf ??= actor;
      if (actor.status === "active") continue;
      victim = actor;
      break;
    }
    victim ??= oldestLeaf ?? [...this.#actors.values()][0];
    if (victim === undefined) return;
    this.#actors.delete(victim.id);
    this.bytes -= victim.bytes;
    this.#frames -= victim.frames.length;
    this.#droppedFrames += victim.frames.length;
    this.#droppedActors += 1;
    if (victim.machine !== undefined) this.#releaseMachine(victim.machine);
  }

  #releaseMachine(hash: string): void {
    for (const actor of this.#actors.values()) if (actor.machine === hash) return;
    this.bytes -= this.#machines.get(hash)?.bytes ?? 0;
    this.#machines.delete(hash);
  }

  #isAbove(id: string, of: string): boolean {
    const seen = new Set<string>();
    for (let at: string | undefined = of; at !== undefined && !seen.has(at); at = this.#actors.get(at)?.parent) {
      if (at === id) return true;
      seen.add(at);
    }
    return false;
  }
}

/** State values name states; redaction is by the names of fields, and a state may well be called "token". */
function valueOf(fields: Record<string, unknown>): { value?: unknown } {
  return fields["value"] === undefined ? {} : { value: fields["value"] };
}

function registrationOf({ sessionId, name, createdAt }: Extract<InspectMessage, { type: "@xstate.actor" }>): string {
  return JSON.stringify([sessionId, name, createdAt]);
}
