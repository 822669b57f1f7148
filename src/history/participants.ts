/**
 * Who sent a run what happened to it, and to whom it sent something because of it: the arrows of its sequence diagram. Told by
 * the facts, in their order; what was said between engine and worker follows from them.
 */
import type { Participant, RunFrame } from "../protocol/record.ts";
import type { StepAction } from "../step/stepper.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { Happening } from "./happenings.ts";

type Sent = RunFrame["sent"][number];

/** Prefixes of what a worker says of an attempt. */
const FROM_WORKER = ["xstate.done.actor.", "xstate.error.actor.", "step.stopped.", "step.returned."];

export class Participants {
  readonly #spec: WorkflowSpec | undefined;
  #keys: readonly string[] = [];
  /** By index of the limit. */
  #groups: readonly Participant[] = [];
  #holdsSlots = false;
  #waits = false;
  /** The worker that has, or had, a step. */
  readonly #workers = new Map<string, Participant>();

  constructor(spec: WorkflowSpec | undefined) {
    this.#spec = spec;
  }

  of(happening: Happening, actions: readonly StepAction[]): { readonly from: Participant; readonly sent: readonly Sent[] } {
    const from = this.#from(happening);
    return { from, sent: this.#sent(happening, actions) };
  }

  #from({ type, fact }: Happening): Participant {
    if ("keys" in fact && fact.keys !== undefined && fact.keys.length > 0) this.#learn(fact.keys);
    switch (fact.k) {
      case "created":
        if (type === "created") return creator(fact);
        return fact.phase === "scheduled" || fact.phase === "keying" ? "router" : (this.#group() ?? "router");
      case "phase":
        return fact.phase === "keying" ? "engine" : (this.#group() ?? "engine");
      case "admitted":
        return this.#group() ?? "engine";
      case "parked":
        return this.#groups[fact.by] ?? "engine";
      case "moved":
        return "router";
      case "finished":
        // Of those that waited, most are turned away or replaced by their group.
        return fact.cause === undefined ? "engine" : (this.#group() ?? "engine");
      case "event":
        return this.#sender(fact.ev.type, fact.ev["reason"]);
    }
  }

  #sender(type: string, reason: unknown): Participant {
    if (type.startsWith("xstate.after.")) return "timer";
    if (type === "run.cancelled") {
      if (reason === "CANCELLED_BY_USER") return "user";
      return reason === "CANCELLED_BY_CONCURRENCY_LIMIT" ? (this.#group() ?? "engine") : "engine";
    }
    const prefix = FROM_WORKER.find((one) => type.startsWith(one));
    return (prefix === undefined ? undefined : this.#workers.get(type.slice(prefix.length))) ?? "engine";
  }

  #sent({ type, fact }: Happening, actions: readonly StepAction[]): Sent[] {
    const sent: Sent[] = [];
    if (
      type === "created" &&
      fact.k === "created" &&
      (fact.phase === "active" || fact.phase === "waiting" || fact.phase === "refused")
    )
      for (const group of this.#known()) sent.push({ to: group, type: "run.arrived" });
    if (type === "run.admitted") this.#holdsSlots = true;
    else if (type === "queued") this.#waits = fact.k !== "created" || fact.phase !== "refused";
    if (fact.k === "event" && type.startsWith("step.started.")) {
      const step = type.slice("step.started.".length);
      const worker: Participant = `worker:${String(fact.ev["worker"])}`;
      this.#workers.set(step, worker);
      const { attempt, attemptId } = fact.ev;
      sent.push({ to: worker, type: "dispatch", data: { step, attempt, attemptId } });
    }
    for (const { type: action, params } of actions) {
      if (action !== "stopStep") continue;
      const { step } = params as { readonly step: string };
      const worker = this.#workers.get(step);
      if (worker !== undefined) sent.push({ to: worker, type: "stop", data: { step } });
    }
    // It goes where its groups are, once it is known which they are.
    if (fact.k === "moved" && !fact.keys.includes(""))
      for (const group of this.#known()) sent.push({ to: group, type: "run.arrived" });
    if (fact.k === "finished") {
      if (this.#holdsSlots) for (const group of this.#known()) sent.push({ to: group, type: "run.released" });
      else if (this.#waits) for (const group of this.#known()) sent.push({ to: group, type: "run.withdrawn" });
    }
    return sent;
  }

  #learn(keys: readonly string[]): void {
    this.#keys = keys;
    this.#groups = keys.map((key, index): Participant => `group:${this.#spec?.limits[index]?.name ?? index}/${key}`);
  }

  /** That of its first limit, which speaks for all of them. */
  #group(): Participant | undefined {
    return this.#known()[0];
  }

  #known(): readonly Participant[] {
    return this.#groups.filter((_, index) => this.#keys[index] !== "");
  }
}

function creator(fact: Extract<Happening["fact"], { readonly k: "created" }>): Participant {
  if (fact.ev !== undefined) return "event";
  if (fact.replayOf !== undefined) return "user";
  const { cron, tick } = fact.meta ?? {};
  return typeof cron === "string" && typeof tick === "string" ? "schedule" : "user";
}
