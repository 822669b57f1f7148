/**
 * A run as its users see it, from its facts. Pure: it knows no SQL and no threads.
 */
import type { RunEventView, RunStatus, RunView } from "../protocol/view.ts";
import type { ErrorData, PayloadRef } from "../protocol/work.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
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
}

/** Undefined where the facts don't say how the run came. */
export function foldRun(stays: readonly Stay[], options: FoldOptions): RunRow | undefined {
  const { id, spec, eventsStream } = options;
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
    input: input === undefined && inputRef === undefined ? null : input?.value,
    ...(status === "SUCCEEDED" && { outputs: steps.outputs() }),
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
    steps: steps.views(finished !== undefined),
  };
  return { view, ...(inputRef !== undefined && { inputRef }), partition: currentPartition(stays) };
}

const ARRIVALS = {
  scheduled: "scheduled",
  keying: "keying",
  waiting: "queued",
  refused: "queued",
  active: "run.admitted",
} as const;

/** What happened to a run, oldest first. */
export function eventsOf(stays: readonly Stay[], spec: WorkflowSpec | undefined): readonly RunEventView[] {
  const events: RunEventView[] = [];
  const push = (at: number, type: string, data: Readonly<Record<string, unknown>>): void => {
    events.push({ at: iso(at), type, ...(Object.keys(data).length > 0 && { data }) });
  };
  const limit = (index: number): string => spec?.limits[index]?.name ?? String(index);
  const named = (keys: readonly string[] | undefined): Readonly<Record<string, unknown>> => {
    const known = (keys ?? []).flatMap((key, index) => (key === "" ? [] : [{ limit: limit(index), key }]));
    return known.length === 0 ? {} : { keys: known };
  };
  for (const { facts, partition } of stays) {
    for (const fact of facts) {
      switch (fact.k) {
        case "created":
          if (events.length === 0) push(fact.born ?? fact.at, "created", creationData(fact, partition));
          push(fact.at, ARRIVALS[fact.phase], {
            ...named(fact.keys),
            ...(fact.phase === "scheduled" && fact.due !== undefined && { due: iso(fact.due) }),
          });
          break;
        case "phase":
          push(fact.at, ARRIVALS[fact.phase], named(fact.keys));
          break;
        case "moved":
          push(fact.at, "moved", { to: fact.to, ...named(fact.keys) });
          break;
        case "admitted":
          push(fact.at, "run.admitted", {});
          break;
        case "parked":
          push(fact.at, "parked", { waitsFor: limit(fact.for), heldBy: limit(fact.by) });
          break;
        case "event": {
          const { type, ...data } = fact.ev;
          push(fact.at, type, data);
          break;
        }
        case "finished": {
          const { k: _k, at, status, ...data } = fact;
          push(at, `run.${status.toLowerCase()}`, data);
          break;
        }
      }
    }
  }
  return events;
}

function creationData(fact: StoredCreated, partition: number): Readonly<Record<string, unknown>> {
  return {
    workflow: fact.wf,
    version: fact.ver,
    partition,
    ...(fact.pri !== undefined && { priority: fact.pri }),
    ...(fact.ev !== undefined && { event: fact.ev }),
    ...(fact.replayOf !== undefined && { replayOf: fact.replayOf }),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
