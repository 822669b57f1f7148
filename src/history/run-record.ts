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
import { type Happening, happeningsOf } from "./happenings.ts";
import { Participants } from "./participants.ts";
import { StepFold } from "./step-fold.ts";
import type { Stay } from "./stored-facts.ts";

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
  const created = stays.flatMap(({ facts }) => facts).find((fact) => fact.k === "created");
  if (created === undefined) return undefined;
  const { id, spec, machine, maxFrames = MAX_FRAMES } = options;
  const replay = machine === undefined ? undefined : new Replay(machine.recorder, id);
  const participants = new Participants(spec);
  const steps = new StepFold(spec);
  const happenings = happeningsOf(stays, spec);
  const cut = Math.max(0, happenings.length - maxFrames);
  const frames: RunFrame[] = [];
  let status: RunStatus = "QUEUED";
  for (const [index, happening] of happenings.entries()) {
    const { at, type, data, fact, admits } = happening;
    let step: Replayed = NOTHING;
    if (admits) {
      status = "RUNNING";
      steps.admitted();
      step = replay?.step(at, { type: "run.admitted" }) ?? NOTHING;
    } else if (fact.k === "event") {
      const ev = shortened(fact.ev, MAX_REPEATED_CHARS);
      steps.event(at, ev);
      step = replay?.step(at, ev) ?? NOTHING;
    } else if (fact.k === "finished") {
      status = fact.status;
      step = replay?.end(at, fact) ?? NOTHING;
    }
    const news = participants.of(happening, step.actions);
    if (index < cut) continue;
    frames.push({
      index,
      at: iso(at),
      type,
      ...(data !== undefined && { data: shortened(data, MAX_DATA_CHARS) }),
      ...news,
      fed: admits || fact.k === "event",
      status,
      ...(replay !== undefined && { value: replay.value }),
      active: replay?.active ?? [],
      taken: step.taken,
      actions: step.actions.map(({ type: action, params }) => ({ type: action, ...(params !== undefined && { params }) })),
      timers: replay?.timers() ?? [],
      steps: steps.views(fact.k === "finished"),
      context: replay?.context ?? null,
    });
  }
  return {
    id,
    workflow: created.wf,
    version: created.ver,
    machine: machine?.hash ?? "",
    frames,
    ...(cut > 0 && { cut }),
  };
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
