/**
 * A run as its users see it, from its facts. Pure: it knows no SQL and no threads.
 */
import type { RunEventView, RunStatus, RunView } from "../protocol/view.ts";
import type { ErrorData, PayloadRef } from "../protocol/work.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import { happeningsOf } from "./happenings.ts";
import { StepFold } from "./step-fold.ts";
import { currentPartition, type Stay, type StoredCreated, type StoredFact } from "./stored-facts.ts";

/** A run out of the history. */
export interface RunRow {
  /** `input` is undefined where `inputRef` is given, and to be put in from there. */
  readonly view: RunView;
  /** Where the input is: a message of that stream. Of an inbox, it is a CreateCommand, whose `input` counts. */
  readonly inputRef?: PayloadRef;
  /** That has the run, or has had it last. */
  readonly partition: number;
}

export interface FoldOptions {
  readonly id: string;
  /** Absent where the workflow's version is not known (any more): then steps are those that ran, and limits have numbers. */
  readonly spec: WorkflowSpec | undefined;
  /** Stream whose messages are the inputs of runs that events started. */
  readonly eventsStream: string;
  /** What a list shows: no input, no outputs, no steps. */
  readonly row?: boolean | undefined;
}

/** Undefined where the facts don't say how the run came. */
export function foldRun(stays: readonly Stay[], options: FoldOptions): RunRow | undefined {
  const { id, spec, eventsStream, row = false } = options;
  const steps = new StepFold(spec);
  let created: StoredCreated | undefined;
  let input: { readonly value: unknown } | undefined;
  let ref: PayloadRef | undefined;
  let keys: readonly string[] = [];
  let admittedAt: number | undefined;
  let finished: Extract<StoredFact, { readonly k: "finished" }> | undefined;
  let error: ErrorData | undefined;

  const admit = (at: number): void => {
    admittedAt ??= at;
    steps.admitted();
  };
  for (const { facts } of stays) {
    for (const fact of facts) {
      switch (fact.k) {
        case "created":
          created = created === undefined ? fact : { ...created, ...fact, at: created.at };
          if (fact.input !== undefined) input = { value: fact.input };
          ref = fact.ref ?? ref;
          keys = fact.keys ?? keys;
          if (fact.phase === "active") admit(fact.at);
          break;
        case "phase":
          keys = fact.keys ?? keys;
          if (fact.phase === "active") admit(fact.at);
          break;
        case "moved":
          if (fact.keys.length > 0) keys = fact.keys;
          break;
        case "admitted":
          admit(fact.at);
          break;
        case "event":
          steps.event(fact.at, fact.ev);
          break;
        case "finished":
          finished = fact;
          error = fact.error;
          break;
        case "parked":
          break;
      }
    }
  }
  if (created === undefined) return undefined;

  const status: RunStatus = finished?.status ?? (admittedAt === undefined ? "QUEUED" : "RUNNING");
  const reason = finished === undefined ? steps.ending?.reason : finished.reason;
  error ??= finished === undefined ? steps.ending?.error : undefined;
  const inputRef =
    input === undefined
      ? (ref ?? (created.ev === undefined ? undefined : { stream: eventsStream, seq: created.ev.seq }))
      : undefined;
  const view: RunView = {
    id,
    workflow: created.wf,
    version: created.ver,
    status,
    ...(reason !== undefined && { reason }),
    input: row || (input === undefined && inputRef === undefined) ? null : input?.value,
    ...(!row && status === "SUCCEEDED" && { outputs: steps.outputs() }),
    ...(error !== undefined && { error }),
    keys: keys.flatMap((key, index) => (key === "" ? [] : [{ limit: spec?.limits[index]?.name ?? String(index), key }])),
    priority: created.pri ?? 0,
    metadata: created.meta ?? {},
    ...(created.ev !== undefined && { event: created.ev }),
    createdAt: iso(created.born ?? created.at),
    ...(created.due !== undefined && { scheduledAt: iso(created.due) }),
    ...(admittedAt !== undefined && { admittedAt: iso(admittedAt) }),
    ...(steps.startedAt !== undefined && { startedAt: iso(steps.startedAt) }),
    ...(finished !== undefined && { finishedAt: iso(finished.at) }),
    ...(created.replayOf !== undefined && { replayOf: created.replayOf }),
    steps: row ? {} : steps.views(finished !== undefined),
  };
  return { view, ...(inputRef !== undefined && !row && { inputRef }), partition: currentPartition(stays) };
}

/** What happened to a run, oldest first. */
export function eventsOf(stays: readonly Stay[], spec: WorkflowSpec | undefined): readonly RunEventView[] {
  return happeningsOf(stays, spec).map(({ at, type, data }) => ({ at: iso(at), type, ...(data !== undefined && { data }) }));
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
