/** The crons of the workflows whose home is in this partition: when each has ticked last, and the run of each tick. */
import type { Creation, TimerValue } from "../run.ts";
import type { Timer } from "../timer-queue.ts";
import type { CompiledWorkflow, Workflows } from "../workflows.ts";
import type { BatchBuilder } from "./batch-builder.ts";
import type { PartitionState } from "./partition-state.ts";

export interface CronOptions {
  readonly workflows: Workflows;
  /** Next tick of the cron with that index after a time in ms, or undefined. */
  readonly nextTick: (workflow: CompiledWorkflow, index: number, afterMs: number) => number | undefined;
  /** Ids of runs that the partition itself creates (cron). */
  readonly newRunId: (atMs: number) => string;
}

/** As in the journal: the last tick (scheduled time); 0 takes the entry out. */
export interface CronTick {
  readonly wf: string;
  readonly i: number;
  readonly tick: number;
}

interface CronEntry {
  readonly workflow: string;
  readonly index: number;
  tick: number;
  timer: Timer<TimerValue> | undefined;
}

export class Crons {
  readonly #state: PartitionState;
  readonly #batch: BatchBuilder;
  readonly #create: (creation: Creation) => void;
  readonly #options: CronOptions;
  readonly #entries = new Map<string, CronEntry>();

  constructor(state: PartitionState, batch: BatchBuilder, create: (creation: Creation) => void, options: CronOptions) {
    this.#state = state;
    this.#batch = batch;
    this.#create = create;
    this.#options = options;
  }

  /** Keeps the crons of a workflow: called for its version in force, after registration and recovery. */
  set(workflow: CompiledWorkflow): void {
    const count = workflow.spec.cron.length;
    for (const [id, entry] of this.#entries)
      if (entry.workflow === workflow.name && entry.index >= count) {
        if (entry.timer) this.#state.timers.remove(entry.timer);
        this.#entries.delete(id);
        this.#batch.record({ k: "cron", wf: entry.workflow, i: entry.index, tick: 0 });
      }
    for (let index = 0; index < count; index++) {
      const id = cronId(workflow.name, index);
      let entry = this.#entries.get(id);
      if (entry === undefined) {
        entry = { workflow: workflow.name, index, tick: this.#state.now, timer: undefined };
        this.#entries.set(id, entry);
        this.#batch.record({ k: "cron", wf: entry.workflow, i: index, tick: entry.tick });
      }
      this.#arm(workflow, entry);
    }
  }

  tick(name: string, index: number): void {
    const entry = this.#entries.get(cronId(name, index));
    const workflow = this.#options.workflows.latest(name);
    const cron = workflow?.spec.cron[index];
    if (entry === undefined || workflow === undefined || cron === undefined) return;
    const { now } = this.#state;
    const due = entry.timer?.dueMs ?? now;
    entry.timer = undefined;
    entry.tick = due;
    this.#batch.record({ k: "cron", wf: name, i: index, tick: due });
    this.#create({
      run: this.#options.newRunId(now),
      workflow,
      createdAt: now,
      input: JSON.stringify(cron.input ?? {}),
      metadata: { cron: cron.expression, tick: new Date(due).toISOString() },
    });
    this.#arm(workflow, entry);
  }

  /** Applies a fact. */
  replay(fact: CronTick): void {
    if (fact.tick === 0) this.#entries.delete(cronId(fact.wf, fact.i));
    else this.restore(fact);
  }

  /** Sets no timer: `set` is called once everything is replayed. */
  restore({ wf, i, tick }: CronTick): void {
    this.#entries.set(cronId(wf, i), { workflow: wf, index: i, tick, timer: undefined });
  }

  get ticks(): CronTick[] {
    return [...this.#entries.values()].map((entry) => ({ wf: entry.workflow, i: entry.index, tick: entry.tick }));
  }

  #arm(workflow: CompiledWorkflow, entry: CronEntry): void {
    const { timers, now } = this.#state;
    if (entry.timer !== undefined) timers.remove(entry.timer);
    // A tick that was missed while no engine ran is not made up for: the next one counts from now.
    const next = this.#options.nextTick(workflow, entry.index, Math.max(entry.tick, now));
    entry.timer =
      next === undefined ? undefined : timers.add(next, { kind: "cron", workflow: entry.workflow, index: entry.index });
  }
}

function cronId(workflow: string, index: number): string {
  return `${workflow} ${index}`;
}
