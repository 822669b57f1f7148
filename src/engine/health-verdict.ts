/**
 * How the whole is, in one word and one sentence: what people see on top of every page. Pure. The first that is true counts, the
 * worst first: no connection, partitions that NATS refuses, partitions on their way, just started, nobody to do the work, the history behind, limits
 * that hold runs back; else it flows or has nothing to do.
 */
import type { HealthVerdict, HealthView } from "../protocol/record.ts";
import { formatDuration } from "../workflow/duration.ts";

/** A key that runs wait for. */
export interface HeldBack {
  readonly limit: string;
  readonly key: string;
  readonly waiting: number;
  readonly active: number;
  readonly maxRuns: number;
  readonly paused: boolean;
  /** For how long the next in line has waited. */
  readonly waitedMs: number;
}

/** Runs that no worker can help. Without a step: a worker has to compute their keys. */
export interface Unserved {
  readonly workflow: string;
  readonly step: string | undefined;
  readonly waiting: number;
}

export interface HealthFacts {
  readonly connected: boolean;
  /** Partitions that stand still, since the server does not take their journals. */
  readonly refused: number;
  /** Partitions that no engine node answers for at the moment, of so many. */
  readonly moving: number;
  readonly partitions: number;
  /** Since the engine took over. */
  readonly uptimeMs: number;
  readonly live: number;
  readonly active: number;
  /** Of those that are not admitted: for their time, and behind limits. */
  readonly scheduled: number;
  readonly behindLimits: number;
  readonly startsPerMinute: number;
  readonly workers: number;
  readonly slots: { readonly used: number; readonly total: number };
  /** Steps that wait for a free slot of the workers that serve them. */
  readonly stepsWaiting: number;
  /** Most pressed first. */
  readonly heldBack: readonly HeldBack[];
  readonly unserved: readonly Unserved[];
  readonly historyBehindMs: number;
  /** Why there is no history, if so. */
  readonly historyGone: string | undefined;
}

/** Workers report within moments of an engine's start; until then nobody can say that one is missing. */
const SETTLING_MS = 3_000;
/** The history writes several times a second; this far behind, what it shows is old. */
const BEHIND_MS = 5_000;
/** A wait that is shorter is a turn in the line and no reason to call it held back. */
export const HELD_BACK_MS = 1_000;

export function verdictOf(facts: HealthFacts): Pick<HealthView, "verdict" | "sentence"> {
  const [missing, ...others] = facts.unserved;
  if (!facts.connected)
    return say("disconnected", "The engine has no connection to NATS: nothing starts or ends until it is back.");
  if (facts.refused > 0) return say("stuck", stuck(facts));
  if (facts.moving > 0) return say("starting", moving(facts));
  if (facts.uptimeMs < SETTLING_MS && facts.live > facts.scheduled && (missing !== undefined || facts.workers === 0))
    return say("starting", "The engine has just started and waits for workers to report.");
  if (missing !== undefined) return say("no worker", noWorker(missing, others));
  if (facts.historyGone !== undefined)
    return say("behind", `The history is not available, so runs that have ended are not shown: ${facts.historyGone}.`);
  if (facts.historyBehindMs >= BEHIND_MS)
    return say("behind", `The history is ${shortly(facts.historyBehindMs)} behind: lists and ended runs are as they were then.`);
  const [held] = facts.heldBack;
  if (held !== undefined && held.waitedMs >= HELD_BACK_MS) return say("held back", heldBack(held, facts.behindLimits));
  if (facts.live > facts.scheduled) return say("flowing", flowing(facts));
  return say("idle", idle(facts));
}

function say(verdict: HealthVerdict, sentence: string): Pick<HealthView, "verdict" | "sentence"> {
  return { verdict, sentence };
}

function stuck({ refused: count, partitions }: HealthFacts): string {
  const which =
    count === partitions ? "All partitions stand" : `${count} of ${partitions} partitions ${count === 1 ? "stands" : "stand"}`;
  const whose = count === 1 ? "its journal" : "their journals";
  const [goes, it] = count === 1 ? ["goes", "It"] : ["go", "They"];
  return (
    `${which} still: NATS does not take ${whose}, most likely since a stream or its disk is full. ` +
    `Raise "partitionMaxBytes" (--partition-max-bytes) or free disk space of the NATS servers; "sluice nodes list" names what is refused. ` +
    `${it} ${goes} on by ${count === 1 ? "itself" : "themselves"} once there is room.`
  );
}

function moving({ moving: count, partitions }: HealthFacts): string {
  const which =
    count === partitions ? "All partitions are" : `${count} of ${partitions} partitions ${count === 1 ? "is" : "are"}`;
  return `${which} on the way to another engine node: what is there waits for a moment.`;
}

function noWorker({ workflow, step, waiting }: Unserved, others: readonly Unserved[]): string {
  const what =
    step === undefined
      ? `No worker serves workflow "${workflow}", whose concurrency keys a worker computes`
      : `No worker serves step "${step}" of workflow "${workflow}"`;
  const more = others.reduce((sum, other) => sum + other.waiting, 0);
  const also =
    others.length === 0 ? "" : `, and ${more} more for ${others.length} other ${others.length === 1 ? "step" : "steps"}`;
  return `${what}: ${runs(waiting)} ${waiting === 1 ? "waits" : "wait"} for one${also}.`;
}

function heldBack({ limit, key, waiting, active, maxRuns, paused }: HeldBack, behindLimits: number): string {
  const slots = `${active} of ${maxRuns} ${maxRuns === 1 ? "slot" : "slots"} in use`;
  const group = `limit "${limit}" for key "${key}"${paused ? ", which is paused" : ""}`;
  if (behindLimits <= waiting) return `${runs(waiting)} ${waiting === 1 ? "waits" : "wait"} behind ${group} (${slots}).`;
  return `${behindLimits} runs wait behind limits, most of all behind ${group} (${waiting} waiting, ${slots}).`;
}

function flowing({ active, behindLimits, startsPerMinute, slots, stepsWaiting }: HealthFacts): string {
  const rate = startsPerMinute > 0 ? `, ${startsPerMinute} ${startsPerMinute === 1 ? "start" : "starts"} per minute` : "";
  const waiting = behindLimits > 0 ? `, ${behindLimits} in line behind limits` : "";
  const full =
    stepsWaiting > 0 && slots.used >= slots.total
      ? `; all ${slots.total} worker slots are in use, and ${stepsWaiting} ${stepsWaiting === 1 ? "step waits" : "steps wait"} for one`
      : "";
  return `${runs(active)} ${active === 1 ? "is" : "are"} active${waiting}${rate}${full}.`;
}

function idle({ scheduled, workers }: HealthFacts): string {
  const later = scheduled === 0 ? "" : `; ${runs(scheduled)} ${scheduled === 1 ? "waits for its" : "wait for their"} time`;
  return `Nothing to do now${later}${workers === 0 ? "; no worker is connected" : ""}.`;
}

function runs(count: number): string {
  return `${count} ${count === 1 ? "run" : "runs"}`;
}

function shortly(ms: number): string {
  return formatDuration(Math.round(ms / 1_000) * 1_000);
}
