/**
 * The lives of runs as the journals tell them, with the times at which the server stored each fact: in order within a partition, a run
 * that moves from one partition to another put together again. Pure.
 */
import type { RunStatus } from "../../src/protocol/view.ts";
import type { Fact } from "../../src/engine/facts.ts";
import type { JournalMessage } from "./history.ts";

export interface AttemptLife {
  readonly id: string;
  readonly step: string;
  readonly worker: string;
  readonly assignedAt: number;
  /** When the journal knew its outcome, or gave it up. */
  overAt: number | undefined;
  /** `lost`, `returned`, `done`, `error`, `stopped`; `given up`: neither, but the run went on without it. */
  how: string | undefined;
}

export interface RunLife {
  readonly run: string;
  readonly workflow: string;
  readonly n: number | undefined;
  readonly eventSeq: number | undefined;
  readonly priority: number;
  keys: readonly string[];
  /** When the run was recorded for the first time. */
  readonly createdAt: number;
  /** Phases of arrival in the order in which they came: `keying`, `waiting`, `active`, `refused`… */
  readonly phases: string[];
  admittedAt: number | undefined;
  cancelledAt: number | undefined;
  finishedAt: number | undefined;
  status: RunStatus | undefined;
  reason: string | undefined;
  /** How often it was recorded as having ended. */
  ends: number;
  /** Results that were recorded, by step. */
  readonly results: Map<string, { readonly output: unknown; readonly at: number }[]>;
  readonly attempts: Map<string, AttemptLife>;
}

const OUTCOMES: readonly (readonly [prefix: string, how: string])[] = [
  ["xstate.done.actor.", "done"],
  ["xstate.error.actor.", "error"],
  ["step.stopped.", "stopped"],
  ["step.returned.", "returned"],
  ["step.lost.", "lost"],
];

export function livesOf(journal: readonly JournalMessage[]): Map<string, RunLife> {
  const lives = new Map<string, RunLife>();
  for (const { at, batch } of journal) for (const fact of batch.f) apply(lives, fact, at);
  return lives;
}

function apply(lives: Map<string, RunLife>, fact: Fact, at: number): void {
  if (!("run" in fact)) return;
  let life = lives.get(fact.run);
  if (fact.k === "created") {
    // In a second partition, after it has moved there: the same run.
    life ??= {
      run: fact.run,
      workflow: fact.wf,
      n: numberOf(fact.input),
      eventSeq: fact.ev?.seq,
      priority: fact.pri ?? 0,
      keys: [],
      createdAt: at,
      phases: [],
      admittedAt: undefined,
      cancelledAt: undefined,
      finishedAt: undefined,
      status: undefined,
      reason: undefined,
      ends: 0,
      results: new Map(),
      attempts: new Map(),
    };
    lives.set(fact.run, life);
  }
  if (life === undefined) return;
  switch (fact.k) {
    case "created":
    case "phase":
      if (fact.keys !== undefined) life.keys = fact.keys;
      life.phases.push(fact.phase);
      if (fact.phase === "active") life.admittedAt ??= at;
      return;
    case "admitted":
      life.admittedAt ??= at;
      return;
    case "event":
      observe(life, fact.ev, at);
      return;
    case "finished":
      life.ends++;
      life.finishedAt ??= at;
      life.status ??= fact.status;
      life.reason ??= fact.reason;
      for (const attempt of life.attempts.values()) giveUp(attempt, at);
      return;
    default:
      return;
  }
}

function observe(life: RunLife, ev: { readonly type: string; readonly [field: string]: unknown }, at: number): void {
  if (ev.type === "run.cancelled") life.cancelledAt ??= at;
  if (ev.type.startsWith("step.started.")) {
    const step = ev.type.slice("step.started.".length);
    for (const attempt of life.attempts.values()) if (attempt.step === step) giveUp(attempt, at);
    const id = String(ev["attemptId"]);
    life.attempts.set(id, { id, step, worker: String(ev["worker"]), assignedAt: at, overAt: undefined, how: undefined });
    return;
  }
  for (const [prefix, how] of OUTCOMES) {
    if (!ev.type.startsWith(prefix)) continue;
    const step = ev.type.slice(prefix.length);
    if (how === "done") {
      const results = life.results.get(step) ?? [];
      results.push({ output: ev["output"], at });
      life.results.set(step, results);
    }
    for (const attempt of life.attempts.values())
      if (attempt.step === step && attempt.overAt === undefined) {
        attempt.overAt = at;
        attempt.how = how;
      }
    return;
  }
}

function giveUp(attempt: AttemptLife, at: number): void {
  if (attempt.overAt !== undefined) return;
  attempt.overAt = at;
  attempt.how = "given up";
}

function numberOf(input: unknown): number | undefined {
  const n = (input as { readonly n?: unknown } | null | undefined)?.n;
  return typeof n === "number" ? n : undefined;
}
