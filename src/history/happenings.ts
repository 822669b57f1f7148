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
  const reader = new HappeningReader(spec);
  return stays.flatMap(({ facts, partition }) => facts.flatMap((fact) => reader.read(fact, partition)));
}

/** Reads the facts of one run in their order, and more of them when they have come. */
export class HappeningReader {
  readonly #spec: WorkflowSpec | undefined;
  #begun = false;
  #admitted = false;

  constructor(spec: WorkflowSpec | undefined) {
    this.#spec = spec;
  }

  read(fact: StoredFact, partition: number): readonly Happening[] {
    const first = !this.#begun;
    this.#begun = true;
    switch (fact.k) {
      case "created": {
        const due = fact.phase === "scheduled" && fact.due !== undefined ? { due: iso(fact.due) } : {};
        const arrival = this.#happening(fact.at, ARRIVALS[fact.phase], { ...this.#named(fact.keys), ...due }, fact);
        if (!first) return [arrival];
        return [this.#happening(fact.born ?? fact.at, "created", creationData(fact, partition), fact), arrival];
      }
      case "phase":
        return [this.#happening(fact.at, ARRIVALS[fact.phase], this.#named(fact.keys), fact)];
      case "moved":
        return [this.#happening(fact.at, "moved", { to: fact.to, ...this.#named(fact.keys) }, fact)];
      case "admitted":
        return [this.#happening(fact.at, "run.admitted", {}, fact)];
      case "parked":
        return [this.#happening(fact.at, "parked", { waitsFor: this.#limit(fact.for), heldBy: this.#limit(fact.by) }, fact)];
      case "event": {
        const { type, ...data } = fact.ev;
        return [this.#happening(fact.at, type, data, fact)];
      }
      case "finished": {
        const { k: _k, at, status, ...data } = fact;
        return [this.#happening(at, `run.${status.toLowerCase()}`, data, fact)];
      }
      default:
        return []; // of a later release
    }
  }

  #happening(at: number, type: string, data: Readonly<Record<string, unknown>>, fact: StoredFact): Happening {
    // A run that has moved may have been told of in both partitions.
    const admits = type === "run.admitted" && !this.#admitted;
    this.#admitted ||= admits;
    return { at, type, ...(Object.keys(data).length > 0 && { data }), fact, admits };
  }

  #limit(index: number): string {
    return this.#spec?.limits[index]?.name ?? String(index);
  }

  #named(keys: readonly string[] | undefined): Readonly<Record<string, unknown>> {
    const known = (keys ?? []).flatMap((key, index) => (key === "" ? [] : [{ limit: this.#limit(index), key }]));
    return known.length === 0 ? {} : { keys: known };
  }
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
