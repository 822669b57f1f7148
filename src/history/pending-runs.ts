/**
 * What has been read from the journals and is not in the file yet, by run. A run that begins and ends between two commits
 * is written once. Knows no SQL.
 */
import { withoutRun } from "./fact-texts.ts";
import type { CreatedFact, Fact, RunFact } from "./journal.ts";
import { tagsOf } from "./run-tags.ts";
import { RUN_STATUSES, type RunStatusNumber } from "./run-status.ts";

const NO_TAGS: readonly string[] = [];

/** News of one run: columns as far as the news tells, and its facts. */
export class PendingRun {
  readonly id: string;
  created: CreatedFact | undefined;
  /** JSON without the outer brackets; see stored-facts.ts. */
  facts = "";
  /** Numbers grow in the order of a run's life, so the highest counts, in whatever order the facts came. */
  status: RunStatusNumber = 0;
  /** Whether it waits for its time; undefined where the news doesn't tell. Once it does not, it never does again. */
  scheduled: boolean | undefined;
  finishedAt: number | undefined;
  keys: readonly string[] | undefined;
  tags: readonly string[] = NO_TAGS;
  #partition = -1;

  constructor(id: string) {
    this.id = id;
  }

  /** `text`: the fact as JSON, where it is known and still true. */
  add(partition: number, fact: RunFact, text?: string): void {
    switch (fact.k) {
      case "created":
        this.created = fact;
        this.scheduled = fact.phase === "scheduled" && this.scheduled !== false;
        if (fact.keys !== undefined) this.keys = fact.keys;
        if (fact.meta !== undefined) this.tags = tagsOf(fact.meta);
        if (fact.phase === "active") this.#reach(1);
        break;
      case "phase":
        this.scheduled = false;
        if (fact.keys !== undefined) this.keys = fact.keys;
        if (fact.phase === "active") this.#reach(1);
        break;
      case "admitted":
        this.scheduled = false;
        this.#reach(1);
        break;
      case "moved":
        this.scheduled = false;
        if (fact.keys.length > 0) this.keys = fact.keys;
        break;
      case "finished":
        this.scheduled = false;
        this.finishedAt = fact.at;
        this.#reach(RUN_STATUSES.indexOf(fact.status) as RunStatusNumber);
        break;
      case "event":
      case "parked":
        break;
    }
    if (partition !== this.#partition) {
      this.#partition = partition;
      this.facts += this.facts === "" ? `${partition}` : `,${partition}`;
    }
    this.facts += `,${(text === undefined ? undefined : withoutRun(text, this.id)) ?? stringified(fact)}`;
  }

  #reach(status: RunStatusNumber): void {
    if (status > this.status) this.status = status;
  }
}

/** The run's id is that of the row. Setting it to undefined leaves it out, and costs less than a copy without it. */
function stringified(fact: RunFact): string {
  (fact as { run: string | undefined }).run = undefined;
  return JSON.stringify(fact);
}

export class PendingRuns {
  readonly #runs = new Map<string, PendingRun>();

  get size(): number {
    return this.#runs.size;
  }

  /** Takes the fact over: it must not be used afterwards. Facts that are not about a run are left out. `seal` hides what must be. */
  add(partition: number, fact: Fact, seal?: (fact: RunFact) => boolean, text?: string): void {
    if (!("run" in fact)) return;
    const isSealed = seal?.(fact) === true;
    let run = this.#runs.get(fact.run);
    if (run === undefined) this.#runs.set(fact.run, (run = new PendingRun(fact.run)));
    run.add(partition, fact, isSealed ? undefined : text);
  }

  values(): IterableIterator<PendingRun> {
    return this.#runs.values();
  }

  clear(): void {
    this.#runs.clear();
  }
}
