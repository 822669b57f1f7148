/**
 * Runs in the wire format of Stately's inspector (`@statelyai/inspect` 0.7.2), for its receivers and its page. Written by
 * ourselves, since the official client has no way to describe actors that are not in its process. Ids are ours (`run/<id>`),
 * definitions are sent whole, and every actor is registered before anything is said of it.
 */
import type { MachineDefinition, Participant, RunFrame, RunRecord } from "./record.ts";
import type { RunStatus } from "./view.ts";

/** The version of the package whose format this is; receivers look for such a field. */
export const STATELY_VERSION = "0.7.2";

interface StatelyBase {
  readonly sessionId: string;
  readonly rootId: string;
  /** Milliseconds since the epoch, as a text. */
  readonly createdAt: string;
  readonly id: null;
  readonly _version: string;
}

interface StatelySnapshot {
  readonly status: "active" | "done";
  readonly value?: unknown;
  readonly context: unknown;
  readonly children: Readonly<Record<string, never>>;
  readonly historyValue: Readonly<Record<string, never>>;
  readonly tags: readonly never[];
}

type StatelyEvent = Readonly<Record<string, unknown>> & { readonly type: string };

export type StatelyMessage =
  | (StatelyBase & {
      readonly type: "@xstate.actor";
      readonly name: string;
      readonly parentId?: string;
      /** JSON of the machine's configuration, as a text. */
      readonly definition: string;
      readonly snapshot: StatelySnapshot;
    })
  | (StatelyBase & { readonly type: "@xstate.event"; readonly event: StatelyEvent; readonly sourceId?: string })
  | (StatelyBase & { readonly type: "@xstate.snapshot"; readonly event: StatelyEvent; readonly snapshot: StatelySnapshot });

/** One run on its way to one receiver: knows what this was told already. */
export class StatelyRun {
  readonly #session: string;
  readonly #known = new Set<Participant>();
  #registered = false;
  #next = 0;

  constructor(run: string) {
    this.#session = `run/${run}`;
  }

  /** Index of the last frame that was told: a record of those after it is enough. */
  get told(): number | undefined {
    return this.#next === 0 ? undefined : this.#next - 1;
  }

  /** What is new in the record since the last call, in order; at first, everything. */
  messages(record: RunRecord, machine: MachineDefinition): readonly StatelyMessage[] {
    const frames = record.frames.filter(({ index }) => index >= this.#next);
    const [first] = frames;
    if (first === undefined) return [];
    const messages: StatelyMessage[] = [];
    if (!this.#registered) {
      this.#registered = true;
      messages.push({
        type: "@xstate.actor",
        ...this.#base(this.#session, first.at),
        name: `${record.workflow} ${record.id}`,
        definition: JSON.stringify(machine.definition),
        // The first state that it had, and not the latest: what follows leads from there.
        snapshot: snapshotOf(record.frames.find(({ value }) => value !== undefined) ?? first),
      });
    }
    for (const frame of frames) {
      for (const participant of [frame.from, ...frame.sent.map(({ to }) => to)]) {
        if (this.#known.has(participant)) continue;
        this.#known.add(participant);
        messages.push(this.#participant(participant, first.at));
      }
    }
    for (const frame of frames) messages.push(...this.#frame(frame));
    this.#next = (frames.at(-1) as RunFrame).index + 1;
    return messages;
  }

  *#frame(frame: RunFrame): Generator<StatelyMessage> {
    const base = this.#base(this.#session, frame.at);
    const event = eventOf(frame.type, frame.data);
    yield { type: "@xstate.event", ...base, event, sourceId: this.#sessionOf(frame.from) };
    for (const { to, type, data } of frame.sent) {
      yield {
        type: "@xstate.event",
        ...this.#base(this.#sessionOf(to), frame.at),
        event: eventOf(type, data),
        sourceId: this.#session,
      };
    }
    // Before its machine exists there is nothing to show of it.
    if (frame.value !== undefined) yield { type: "@xstate.snapshot", ...base, event, snapshot: snapshotOf(frame) };
  }

  #participant(participant: Participant, at: string): StatelyMessage {
    return {
      type: "@xstate.actor",
      ...this.#base(this.#sessionOf(participant), at),
      name: participant,
      parentId: this.#session,
      definition: JSON.stringify({ id: participant }),
      snapshot: { status: "active", context: {}, children: {}, historyValue: {}, tags: [] },
    };
  }

  #sessionOf(participant: Participant): string {
    return `${this.#session}#${participant}`;
  }

  #base(sessionId: string, at: string): StatelyBase {
    return { sessionId, rootId: this.#session, createdAt: String(Date.parse(at)), id: null, _version: STATELY_VERSION };
  }
}

const ENDED: ReadonlySet<RunStatus> = new Set(["SUCCEEDED", "FAILED", "CANCELLED"]);

function snapshotOf(frame: RunFrame): StatelySnapshot {
  return {
    status: ENDED.has(frame.status) ? "done" : "active",
    ...(frame.value === undefined ? {} : { value: frame.value }),
    context: frame.context ?? {},
    children: {},
    historyValue: {},
    tags: [],
  };
}

function eventOf(type: string, data: unknown): StatelyEvent {
  if (data === undefined) return { type };
  return typeof data === "object" && data !== null && !Array.isArray(data) ? { ...data, type } : { type, data };
}
