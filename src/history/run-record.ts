/**
 * The life of a run, frame by frame: its facts replayed through the machine of the version that it is pinned to. Where that
 * is not known any more, the frames tell what happened without the machine's states. Pure: it knows no SQL and no threads.
 */
import { compileRunMachine } from "../../machines/run/compile.ts";
import type { RunFrame, RunRecord } from "../protocol/record.ts";
import type { RunStatus } from "../protocol/view.ts";
import { describeMachine } from "../step/definition.ts";
import { createRecorder, type Recorder } from "../step/record.ts";
import type { MachineSnapshot, StepAction } from "../step/stepper.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { MachineEvent } from "./journal.ts";
import { type Happening, HappeningReader } from "./happenings.ts";
import { Participants } from "./participants.ts";
import { StepFold } from "./step-fold.ts";
import type { Stay, StoredCreated } from "./stored-facts.ts";

/** A workflow version, ready to record. Make one per version and keep it. */
export interface RecordedMachine {
  readonly hash: string;
  readonly recorder: Recorder;
}

export function recordedMachine(spec: WorkflowSpec): RecordedMachine {
  const machine = compileRunMachine(spec);
  return { hash: describeMachine(machine).hash, recorder: createRecorder(machine) };
}

export const MAX_FRAMES = 5_000;
/** A step's output is in every frame after it, twice. One of more characters of JSON is told of there, and not repeated. */
const MAX_REPEATED_CHARS = 4_096;
/** In the frame where it came it may be longer. */
const MAX_DATA_CHARS = 65_536;

interface PendingTimer {
  readonly event: MachineEvent;
  readonly startedAt: number;
  readonly dueAt: number;
}

export interface RecordOptions {
  readonly id: string;
  readonly spec: WorkflowSpec | undefined;
  readonly machine: RecordedMachine | undefined;
  readonly maxFrames?: number;
}

/** Undefined where the facts don't say how the run came. */
export function recordOf(stays: readonly Stay[], options: RecordOptions): RunRecord | undefined {
  const life = new RunLife(options);
  const frames = life.tell(stays);
  const head = life.head;
  return head && { ...head, frames, ...(life.cut > 0 && { cut: life.cut }) };
}

/** The frames of one run, made as its facts come. */
export class RunLife {
  readonly #options: RecordOptions;
  readonly #maxFrames: number;
  readonly #replay: Replay | undefined;
  readonly #participants: Participants;
  readonly #steps: StepFold;
  readonly #reader: HappeningReader;
  #created: StoredCreated | undefined;
  #status: RunStatus = "QUEUED";
  #told = 0;

  constructor(options: RecordOptions) {
    const { id, spec, machine, maxFrames = MAX_FRAMES } = options;
    this.#options = options;
    this.#maxFrames = maxFrames;
    this.#replay = machine === undefined ? undefined : new Replay(machine.recorder, id);
    this.#participants = new Participants(spec);
    this.#steps = new StepFold(spec);
    this.#reader = new HappeningReader(spec);
  }

  /** What stands around the frames. Undefined where the facts, so far, don't say how the run came. */
  get head(): Omit<RunRecord, "frames" | "cut"> | undefined {
    const { id, machine } = this.#options;
    if (this.#created === undefined) return undefined;
    return { id, workflow: this.#created.wf, version: this.#created.ver, machine: machine?.hash ?? "" };
  }

  /** How many frames are before the newest that are kept. */
  get cut(): number {
    return Math.max(0, this.#told - this.#maxFrames);
  }

  /** Frames for the facts that come next in the run's life; of very many, the newest. */
  tell(stays: readonly Stay[]): RunFrame[] {
    const happenings = stays.flatMap(({ facts, partition }) =>
      facts.flatMap((fact) => {
        if (fact.k === "created") this.#created ??= fact;
        return this.#reader.read(fact, partition);
      }),
    );
    const from = this.#told + Math.max(0, happenings.length - this.#maxFrames);
    const frames: RunFrame[] = [];
    for (const happening of happenings) {
      const index = this.#told++;
      const step = this.#apply(happening);
      const news = this.#participants.of(happening, step.actions);
      if (index >= from) frames.push(this.#frame(index, happening, step, news));
    }
    return frames;
  }

  #apply({ at, fact, admits }: Happening): Replayed {
    if (admits) {
      this.#status = "RUNNING";
      this.#steps.admitted();
      return this.#replay?.step(at, { type: "run.admitted" }) ?? NOTHING;
    }
    if (fact.k === "event") {
      const ev = shortened(fact.ev, MAX_REPEATED_CHARS);
      this.#steps.event(at, ev);
      return this.#replay?.step(at, ev) ?? NOTHING;
    }
    if (fact.k !== "finished") return NOTHING;
    this.#status = fact.status;
    return this.#replay?.end(at, fact) ?? NOTHING;
  }

  #frame(
    index: number,
    { at, type, data, fact, admits }: Happening,
    step: Replayed,
    news: Pick<RunFrame, "from" | "sent">,
  ): RunFrame {
    const replay = this.#replay;
    return {
      index,
      at: iso(at),
      type,
      ...(data !== undefined && { data: shortened(data, MAX_DATA_CHARS) }),
      ...news,
      fed: admits || fact.k === "event",
      status: this.#status,
      ...(replay !== undefined && { value: replay.value }),
      active: replay?.active ?? [],
      taken: step.taken,
      actions: step.actions.map(({ type: action, params }) => ({ type: action, ...(params !== undefined && { params }) })),
      timers: replay?.timers() ?? [],
      steps: this.#steps.views(fact.k === "finished"),
      context: replay?.context ?? null,
    };
  }
}

interface Replayed {
  readonly taken: readonly string[];
  readonly actions: readonly StepAction[];
}

const NOTHING: Replayed = { taken: [], actions: [] };

/** The machine of one run, and its timers. */
class Replay {
  readonly #recorder: Recorder;
  #snapshot: MachineSnapshot;
  readonly #timers = new Map<string, PendingTimer>();
  #started = false;

  constructor(recorder: Recorder, runId: string) {
    this.#recorder = recorder;
    this.#snapshot = recorder.initialWith({ runId }).snapshot;
  }

  step(at: number, event: MachineEvent): Replayed {
    this.#started = true;
    // The timer that has fired is none any more.
    for (const [id, timer] of this.#timers) if (timer.event.type === event.type) this.#timers.delete(id);
    const { snapshot, actions, taken } = this.#recorder.step(this.#snapshot, event);
    this.#snapshot = snapshot;
    for (const { type, params } of actions) {
      if (type === "timer.cancel") this.#timers.delete(params.id);
      else if (type === "timer.set")
        this.#timers.set(params.id, { event: params.event, startedAt: at, dueAt: at + params.delayMs });
    }
    if (snapshot.status !== "active") this.#timers.clear();
    return { taken, actions };
  }

  /** One that never was a machine ends as the machine would, had it been one. */
  end(at: number, fact: Extract<Happening["fact"], { readonly k: "finished" }>): Replayed {
    this.#timers.clear();
    if (this.#started || fact.status === "SUCCEEDED") return NOTHING;
    const { reason = "", error } = fact;
    const type = fact.status === "FAILED" ? "run.failed" : "run.cancelled";
    return this.step(at, { type, reason, ...(error !== undefined && { error }) });
  }

  get active(): readonly string[] {
    return this.#recorder.active(this.#snapshot);
  }

  get context(): unknown {
    return this.#snapshot.context;
  }

  get value(): unknown {
    return this.#snapshot.value;
  }

  timers(): RunFrame["timers"] {
    return [...this.#timers].map(([id, { event, startedAt, dueAt }]) => {
      const transition = this.#recorder.transitionFor(this.#snapshot, event);
      return { id, ...(transition !== undefined && { transition }), startedAt: iso(startedAt), dueAt: iso(dueAt) };
    });
  }
}

/** The same with its output, if that is large, told of in words. */
function shortened<T extends Readonly<Record<string, unknown>>>(event: T, maxChars: number): T {
  const output = event["output"];
  if (typeof output !== "string" && (typeof output !== "object" || output === null)) return event;
  const chars = JSON.stringify(output).length;
  return chars <= maxChars ? event : { ...event, output: `[${chars} characters of JSON: see run.get]` };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
