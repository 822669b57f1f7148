/** The record of all runs, folded from what is in the journals, as the history does it in production. */
import { decodeBatch } from "../engine/facts.ts";
import { eventsOf, foldRun } from "../history/run-fold.ts";
import { staysOf, type StoredFact } from "../history/stored-facts.ts";
import type { RunEventView, RunView } from "../protocol/view.ts";
import type { PayloadRef } from "../protocol/work.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import { EVENTS_STREAM } from "./memory-store.ts";

export interface RunLogOptions {
  readonly spec: (workflow: string, version: string) => WorkflowSpec | undefined;
  /** The input that is stored there. */
  readonly payload: (ref: PayloadRef) => unknown;
}

interface Recorded {
  readonly facts: (number | StoredFact)[];
  workflow: string;
  version: string;
  /** Of a run that has ended; it does not change any more. */
  view?: RunView;
}

export class RunLog {
  readonly #options: RunLogOptions;
  readonly #runs = new Map<string, Recorded>();

  constructor(options: RunLogOptions) {
    this.#options = options;
  }

  /** Takes in a journal message. */
  apply(partition: number, text: string): void {
    for (const fact of decodeBatch(text).f) {
      if (!("run" in fact)) continue;
      const { run, ...stored } = fact;
      let recorded = this.#runs.get(run);
      if (recorded === undefined) this.#runs.set(run, (recorded = { facts: [], workflow: "", version: "" }));
      if (fact.k === "created") ({ wf: recorded.workflow, ver: recorded.version } = fact);
      recorded.facts.push(partition, stored);
      delete recorded.view;
    }
  }

  get ids(): readonly string[] {
    return [...this.#runs.keys()];
  }

  view(id: string): RunView | undefined {
    const recorded = this.#runs.get(id);
    if (recorded === undefined || recorded.view !== undefined) return recorded?.view;
    const spec = this.#options.spec(recorded.workflow, recorded.version);
    const row = foldRun(staysOf(recorded.facts), { id, spec, eventsStream: EVENTS_STREAM });
    if (row === undefined) return undefined;
    const view = row.inputRef === undefined ? row.view : { ...row.view, input: this.#options.payload(row.inputRef) };
    if (view.finishedAt !== undefined) recorded.view = view;
    return view;
  }

  events(id: string): readonly RunEventView[] | undefined {
    const recorded = this.#runs.get(id);
    return recorded && eventsOf(staysOf(recorded.facts), this.#options.spec(recorded.workflow, recorded.version));
  }
}
