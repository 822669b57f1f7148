/**
 * What a group has decided about a run, from the run's facts: when, and why, in words. Pure. A run without limits has no decisions;
 * of one with several, each of its groups tells its own story.
 */
import type { GroupDecisionView } from "../protocol/record.ts";
import type { Strategy, WorkflowSpec } from "../workflow/spec.ts";
import type { Stay, StoredFact } from "./stored-facts.ts";

/** A decision before it is shown. */
export interface Decision extends Omit<GroupDecisionView, "at" | "run" | "workflow"> {
  readonly atMs: number;
}

/** In the same millisecond things happen in this order: what makes room comes before those who get it. */
const ORDER: readonly GroupDecisionView["decision"][] = ["queued", "parked", "cancelled", "released", "admitted"];

export function rankOf(decision: GroupDecisionView["decision"]): number {
  return ORDER.indexOf(decision);
}

/** Of the group of limit number `index`, in their order. `spec`: the version of the run, where it is known. */
export function decisionsOf(stays: readonly Stay[], index: number, spec: WorkflowSpec | undefined): readonly Decision[] {
  const story = new Story(index, spec);
  for (const { facts } of stays) for (const fact of facts) story.tell(fact);
  return story.decisions;
}

class Story {
  readonly decisions: Decision[] = [];
  readonly #index: number;
  readonly #spec: WorkflowSpec | undefined;
  #queuedAt: number | undefined;
  #active = false;

  constructor(index: number, spec: WorkflowSpec | undefined) {
    this.#index = index;
    this.#spec = spec;
  }

  tell(fact: StoredFact): void {
    switch (fact.k) {
      case "created":
      case "phase":
        return this.#arrived(fact);
      case "admitted":
        return this.#admitted(fact.at, becauseOf(fact), fact.by);
      case "parked":
        if (fact.by === this.#index)
          this.#push(fact.at, "parked", `${this.#limit(fact.for)} has no free slot: it waits for that one`);
        else if (fact.for === this.#index)
          this.#push(fact.at, "queued", "its other limits have room now, but no slot was free here");
        return;
      case "event":
        if (fact.ev.type === "run.cancelled" && this.#active) this.#cancelled(fact.at, fact.ev);
        return;
      case "finished":
        return this.#finished(fact);
      case "moved":
        return;
    }
  }

  #arrived(fact: Extract<StoredFact, { readonly k: "created" | "phase" }>): void {
    if (fact.phase === "active") {
      this.#active = true;
      this.#push(fact.at, "admitted", "there was room");
    }
    if (fact.phase === "refused") this.#queuedAt = fact.at;
    if (fact.phase !== "waiting") return;
    this.#queuedAt = fact.at;
    if (fact.held?.includes(this.#index) === true) {
      const others = (this.#spec?.limits ?? []).filter(
        (_, index) => index !== this.#index && fact.held?.includes(index) !== true,
      );
      const name = others.length === 1 ? `limit "${others[0]?.name}"` : "another limit";
      this.#push(fact.at, "queued", `${name} has no free slot: it waits for that one`);
    } else this.#push(fact.at, "queued", fact.paused?.includes(this.#index) === true ? "the key is paused" : "no slot was free");
  }

  #admitted(at: number, why: string, by: string | undefined): void {
    this.#active = true;
    this.#push(at, "admitted", why, by, this.#queuedAt === undefined ? undefined : at - this.#queuedAt);
  }

  #cancelled(at: number, told: Readonly<Record<string, unknown>>): void {
    const [cause, by, reason] = [told["cause"], told["by"], told["reason"]].map((value) =>
      typeof value === "string" ? value : undefined,
    );
    this.#push(at, "cancelled", this.#why(cause, by, reason), by);
  }

  #finished({ at, status, reason, cause, by }: Extract<StoredFact, { readonly k: "finished" }>): void {
    if (this.#active) {
      const how = { SUCCEEDED: "it succeeded", FAILED: "it failed", CANCELLED: "it has stopped" }[status as "SUCCEEDED"];
      this.#push(at, "released", status === "FAILED" && reason !== undefined ? `${how} (${reason})` : how);
    } else if (this.#queuedAt !== undefined) this.#push(at, "cancelled", this.#why(cause, by, reason), by);
  }

  #why(cause: string | undefined, by: string | undefined, reason: string | undefined): string {
    switch (cause) {
      case "superseded":
        return by === undefined ? "superseded" : `superseded by ${by}`;
      case "outranked":
        return by === undefined ? "outranked" : `outranked by ${by}`;
      case "limit lowered":
        return "the limit was lowered";
      case "full":
        return WHEN_FULL[this.#spec?.limits[this.#index]?.strategy ?? "CANCEL_NEWEST"];
      default:
        return BY_REASON[reason ?? ""] ?? `cancelled (${reason ?? "for no given reason"})`;
    }
  }

  #limit(index: number): string {
    const name = this.#spec?.limits[index]?.name;
    return name === undefined ? "another limit" : `limit "${name}"`;
  }

  #push(atMs: number, decision: GroupDecisionView["decision"], why: string, by?: string, waitedMs?: number): void {
    this.decisions.push({
      atMs,
      decision,
      why,
      ...(by !== undefined && { by }),
      ...(waitedMs !== undefined && { waitedMs }),
    });
  }
}

const NO_SLOT = "every slot was taken";
/** A newcomer of the strategies that let none, or but a few, wait. */
const WHEN_FULL: Readonly<Record<Strategy, string>> = {
  CANCEL_IN_PROGRESS: NO_SLOT,
  CANCEL_NEWEST: NO_SLOT,
  CANCEL_QUEUED_EXCEPT_NEWEST: "as many wait as may",
  CANCEL_QUEUED_EXCEPT_OLDEST: "as many wait as may",
  GROUP_ROUND_ROBIN: NO_SLOT,
};

const BY_REASON: Readonly<Record<string, string>> = {
  CANCELLED_BY_USER: "cancelled by its user",
  SCHEDULING_TIMED_OUT: "it had waited as long as it may",
};

function becauseOf({ by, why }: Extract<StoredFact, { readonly k: "admitted" }>): string {
  if (why === "raised") return "the limit was raised";
  if (why === "resumed") return "the key was resumed";
  return by === undefined ? "a slot became free" : `a slot became free: ${by} ended`;
}
