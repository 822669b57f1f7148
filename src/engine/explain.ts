/**
 * Why a run is where it is: one sentence, exact, from the state of its owner. Pure.
 */
import { position } from "../../machines/group/index.ts";
import type { Explanation } from "../protocol/view.ts";
import { formatDuration } from "../workflow/duration.ts";
import type { SlotStanding } from "../protocol/slots.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Group } from "./group.ts";
import type { PartitionCore } from "./partition-core.ts";
import type { ReadyStep, Run } from "./run.ts";
import { iso } from "./views.ts";

const SHOWN_HOLDERS = 10;

/** What it asks about workers. */
export interface ExplainSlots {
  pickForKeys(workflow: string, version: string): string | undefined;
  standing(step: ReadyStep): SlotStanding;
}

/** The same as `explain`, exact also where another node gives out the slots: that one is asked, where it matters. */
export async function explainFromAnywhere(
  core: PartitionCore,
  run: Run,
  dispatcher: Dispatcher,
  now: () => number,
): Promise<Explanation> {
  const wanted = wantedStep(core, run);
  if (wanted === undefined) return explain(core, run, dispatcher, now());
  const standing = await dispatcher.askStanding(wanted);
  const slots: ExplainSlots = {
    pickForKeys: (workflow, version) => dispatcher.pickForKeys(workflow, version),
    standing: (step) => (step === wanted ? standing : dispatcher.standing(step)),
  };
  return explain(core, run, slots, now());
}

export function explain(core: PartitionCore, run: Run, slots: ExplainSlots, nowMs: number): Explanation {
  if (run.live !== undefined) return explainActive(core, run, slots, nowMs);
  const base = { id: run.run, status: "QUEUED" as const };
  if (run.phase === "scheduled") {
    const due = run.rest?.notBefore ?? nowMs;
    return {
      ...base,
      waitingFor: "schedule",
      until: iso(due),
      sentence: `It is scheduled for ${iso(due)}, ${ago(due - nowMs)}.`,
    };
  }
  if (run.phase === "keying" && core.isHeld(run)) {
    const sentence = "It waits for a moment: whether a limit that it needs moves to another partition is being decided.";
    return { ...base, waitingFor: "key", sentence };
  }
  if (run.phase === "keying") {
    const { name, version } = run.workflow.spec;
    const worker = slots.pickForKeys(name, version);
    const sentence =
      worker === undefined
        ? `It waits for its concurrency key, which a worker node computes, and no worker serves workflow "${name}".`
        : `It waits for its concurrency key, which worker ${worker} is asked to compute.`;
    return { ...base, waitingFor: "key", sentence };
  }
  return explainWaiting(run, base);
}

function explainWaiting(run: Run, base: { readonly id: string; readonly status: "QUEUED" }): Explanation {
  const full =
    run.groups.find((group) => group.context.paused || group.context.active.size >= group.context.maxRuns) ?? run.groups[0];
  if (full === undefined) return { ...base, sentence: "It is about to be admitted." };
  const { limit, key, context } = full;
  const place = position(context, run);
  const line = { position: (place ?? 0) + 1, waiting: context.waiting.size + context.held.size };
  const others = run.groups.filter(
    (group) => group !== full && (group.context.paused || group.context.active.size >= group.context.maxRuns),
  );
  const also =
    others.length === 0
      ? ""
      : ` It also needs a slot in ${others.map(named).join(" and ")}, where ${others.length === 1 ? "there is none free" : "none is free"} either.`;
  const common = { ...base, limit, key, maxRuns: context.maxRuns, ...line };
  if (context.paused)
    return {
      ...common,
      waitingFor: "paused",
      sentence: `It waits in ${named(full)}, which is paused; it is ${ordinal(line.position)} of ${line.waiting} in line.${also}`,
    };
  const holders: string[] = [];
  for (const entry of context.active) if (holders.push(entry.run) >= SHOWN_HOLDERS) break;
  const more = context.active.size > holders.length ? ` and ${context.active.size - holders.length} more` : "";
  const stopping = context.stopping.size > 0 ? ` (${context.stopping.size} of them being stopped)` : "";
  return {
    ...common,
    waitingFor: "limit",
    holders,
    sentence: `It waits for a slot in ${named(full)}: ${context.active.size} of ${context.maxRuns} in use by ${holders.join(", ")}${more}${stopping}; it is ${ordinal(line.position)} of ${line.waiting} in line.${also}`,
  };
}

/** Its step that wants a worker. */
function wantedStep(core: PartitionCore, run: Run): ReadyStep | undefined {
  if (run.live === undefined || run.live.ready.size === 0 || core.describe(run)?.reason !== undefined) return undefined;
  const [first] = run.live.ready.values();
  return first;
}

function explainActive(core: PartitionCore, run: Run, slots: ExplainSlots, nowMs: number): Explanation {
  const description = core.describe(run);
  const base = { id: run.run, status: description?.status ?? "RUNNING" };
  const steps = Object.entries(description?.steps ?? {});
  const wanted = wantedStep(core, run);
  if (wanted !== undefined) return { ...base, step: wanted.step, ...explainReady(wanted, slots) };
  const stopping = steps.find(([, { status }]) => status === "STOPPING");
  if (stopping !== undefined) {
    const [step] = stopping;
    const attempt = run.live?.attempts.get(step);
    const why = description?.reason === undefined ? "its time is over" : `the run is ending (${description.reason})`;
    return {
      ...base,
      step,
      waitingFor: "stop",
      sentence: `Step "${step}" was told to stop since ${why}; it waits until worker ${attempt?.worker ?? "?"} confirms that, for ${formatDuration(run.workflow.spec.graceMs)} at most.`,
    };
  }
  const running = steps.filter(([, { status }]) => status === "RUNNING");
  if (running.length > 0) {
    const parts = running.map(([step, { attempts }]) => {
      const attempt = run.live?.attempts.get(step);
      return `step "${step}" (attempt ${attempts}) on worker ${attempt?.worker ?? "?"} for ${formatDuration(Math.max(0, nowMs - (attempt?.assignedAt ?? nowMs)))}`;
    });
    return { ...base, step: running[0]?.[0] ?? "", sentence: `It is running ${parts.join(" and ")}.` };
  }
  const backoff = steps.find(([, { status }]) => status === "BACKOFF");
  if (backoff !== undefined) {
    const [step, { attempts, error }] = backoff;
    const due =
      [...(run.live?.timers.values() ?? [])].find((timer) => timer.value.kind === "machine" && timer.value.id.includes(step))
        ?.dueMs ?? nowMs;
    return {
      ...base,
      step,
      waitingFor: "backoff",
      until: iso(due),
      sentence: `Step "${step}" failed in attempt ${attempts}${error === undefined ? "" : ` (${error.message})`} and is tried again at ${iso(due)}, ${ago(due - nowMs)}.`,
    };
  }
  return { ...base, sentence: "It is between two steps." };
}

function explainReady(
  ready: ReadyStep,
  slots: ExplainSlots,
): Pick<Explanation, "sentence" | "waitingFor" | "position" | "waiting"> {
  const { served, position: place, waiting, workers } = slots.standing(ready);
  const { step } = ready;
  const { name } = ready.run.workflow.spec;
  if (!served)
    return {
      waitingFor: "worker",
      sentence: `Step "${step}" is ready, but no worker serves step "${step}" of workflow "${name}".`,
    };
  const wait = `Step "${step}" is ready and waits for a free slot on ${workers === 1 ? "the one worker" : `one of the ${workers} workers`} that ${workers === 1 ? "serves" : "serve"} it`;
  // The node that gives the slots out does not answer at the moment.
  if (place === undefined) return { waitingFor: "slot", sentence: `${wait}.` };
  return {
    waitingFor: "slot",
    position: place,
    waiting,
    sentence: `${wait}; it is ${ordinal(place)} of ${waiting} in the fair order.`,
  };
}

function named(group: Group): string {
  return `limit "${group.limit}" for key "${group.key}"`;
}

function ordinal(n: number): string {
  const tens = n % 100;
  const suffix = tens >= 11 && tens <= 13 ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th");
  return `${n}${suffix}`;
}

function ago(ms: number): string {
  return ms <= 0 ? "due now" : `in ${formatDuration(Math.round(ms))}`;
}
