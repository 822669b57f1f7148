/** What happened to a run, one after the other and by name: its facts as its users read them. Pure. */
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { Stay, StoredCreated, StoredFact } from "./stored-facts.ts";

export interface Happening {
  readonly at: number;
  /** Machine event or fact: `created`, `queued`, `run.admitted`, `step.started.<step>`, … */
  readonly type: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly fact: StoredFact;
  /** From here on the run is a machine. */
  readonly admits: boolean;
}

const ARRIVALS = {
  scheduled: "scheduled",
  keying: "keying",
  waiting: "queued",
  refused: "queued",
  active: "run.admitted",
} as const;

/** Oldest first. The arrival in the first partition makes two: that it was created, and what became of it there. */
export function happeningsOf(stays: readonly Stay[], spec: WorkflowSpec | undefined): readonly Happening[] {
  const happenings: Happening[] = [];
  let admitted = false;
  const push = (at: number, type: string, data: Readonly<Record<string, unknown>>, fact: StoredFact): void => {
    // A run that has moved may have been told of in both partitions.
    const admits = type === "run.admitted" && !admitted;
    admitted ||= admits;
    happenings.push({ at, type, ...(Object.keys(data).length > 0 && { data }), fact, admits });
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
          if (happenings.length === 0) push(fact.born ?? fact.at, "created", creationData(fact, partition), fact);
          push(
            fact.at,
            ARRIVALS[fact.phase],
            {
              ...named(fact.keys),
              ...(fact.phase === "scheduled" && fact.due !== undefined && { due: iso(fact.due) }),
            },
            fact,
          );
          break;
        case "phase":
          push(fact.at, ARRIVALS[fact.phase], named(fact.keys), fact);
          break;
        case "moved":
          push(fact.at, "moved", { to: fact.to, ...named(fact.keys) }, fact);
          break;
        case "admitted":
          push(fact.at, "run.admitted", {}, fact);
          break;
        case "parked":
          push(fact.at, "parked", { waitsFor: limit(fact.for), heldBy: limit(fact.by) }, fact);
          break;
        case "event": {
          const { type, ...data } = fact.ev;
          push(fact.at, type, data, fact);
          break;
        }
        case "finished": {
          const { k: _k, at, status, ...data } = fact;
          push(at, `run.${status.toLowerCase()}`, data, fact);
          break;
        }
      }
    }
  }
  return happenings;
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
