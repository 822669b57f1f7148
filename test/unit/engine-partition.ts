/** A partition's core with a workflow's view of time, for tests: inputs in, what became true out, in short. */
import { nextTick } from "../../src/engine/cron-ticks.ts";
import { decodeBatch, type Fact } from "../../src/engine/facts.ts";
import type { Effect } from "../../src/engine/core/batch-builder.ts";
import { PartitionCore } from "../../src/engine/partition-core.ts";
import { Placement } from "../../src/engine/placement.ts";
import type { Creation } from "../../src/engine/run.ts";
import { Workflows } from "../../src/engine/workflows.ts";
import type { AnyWorkflow } from "../../src/workflow/workflow.ts";
import { TestSlots } from "../model/recovery-world.ts";

export const START_MS = Date.UTC(2026, 0, 1);

export class Partition {
  readonly slots = new TestSlots();
  readonly core: PartitionCore;
  readonly placement: Placement;
  /** What was recorded, as `replayBatch` takes it. */
  readonly journal: string[] = [];
  readonly #workflows = new Workflows();
  #nowMs = START_MS;
  #crons = 0;

  constructor(
    workflows: readonly AnyWorkflow[],
    { partition = 0, partitions = 1, elapsed }: { partition?: number; partitions?: number; elapsed?: () => number } = {},
  ) {
    const placement = (this.placement = new Placement(partitions));
    for (const { spec } of workflows) {
      for (const [limit, home] of placement.plan(spec).fresh) placement.setHome(limit, home);
      this.#workflows.add(spec, 1, START_MS);
    }
    this.core = new PartitionCore({
      partition,
      workflows: this.#workflows,
      placement,
      slots: this.slots,
      rulesOf: () => undefined,
      nextTick,
      newRunId: () => `cron${++this.#crons}`,
      maxOutputBytes: 10_000,
      ...(elapsed && { elapsed }),
    });
    this.core.setTime(this.#nowMs);
  }

  creation(run: string, workflow: string, input: unknown = {}, more: Partial<Creation> = {}): Creation {
    const compiled = this.#workflows.latest(workflow);
    if (compiled === undefined) throw new Error(`there is no ${workflow}`);
    return { run, workflow: compiled, createdAt: this.#nowMs, input: JSON.stringify(input), ...more };
  }

  create(run: string, workflow: string, input: unknown = {}, more: Partial<Creation> = {}): string[] {
    this.core.create(this.creation(run, workflow, input, more));
    return this.news();
  }

  /** Gives a worker to the step of a run, and returns the attempt's id. */
  assign(run: string, step = "a"): string {
    const ready = this.core.runs.get(run)?.live?.ready.get(step);
    if (ready === undefined || !this.core.assign(ready, "w1")) throw new Error(`${run} ${step} wants no worker`);
    this.news();
    return this.core.runs.get(run)?.live?.attempts.get(step)?.id ?? "";
  }

  result(attemptId: string, outcome: "succeeded" | "failed" | "stopped", step = "a"): { taken: boolean; news: string[] } {
    const [run = ""] = attemptId.split(".");
    const base = { attemptId, run, step, worker: "w1" };
    const error = { name: "Error", message: "no" };
    const taken = this.core.result(
      outcome === "failed"
        ? { ...base, outcome, error }
        : outcome === "succeeded"
          ? { ...base, outcome, output: 1 }
          : { ...base, outcome },
    );
    return { taken, news: this.news() };
  }

  pass(ms: number): string[] {
    this.core.setTime((this.#nowMs += ms));
    this.core.fireTimers(1_000);
    return this.news();
  }

  setCrons(workflow: string): void {
    this.core.setCrons(this.creation("", workflow).workflow);
  }

  effects: readonly Effect[] = [];

  /** What has become true since the last time, in short. */
  news(): string[] {
    const { facts, effects } = this.core.takeBatch();
    this.effects = effects;
    const batch = `{"v":1,"in":0,"f":[${facts.join(",")}]}`;
    this.journal.push(batch);
    return decodeBatch(batch)
      .f.map(short)
      .filter((text) => text !== "");
  }
}

function short(fact: Fact): string {
  switch (fact.k) {
    case "created":
    case "phase":
      return `${fact.run} ${fact.phase}`;
    case "admitted":
      return `${fact.run} admitted`;
    case "event":
      return `${fact.run} ${fact.ev.type}`;
    case "finished":
      return `${fact.run} ${fact.status}${fact.reason === undefined ? "" : ` ${fact.reason}`}`;
    case "moved":
      return `${fact.run} moved to ${fact.to} as ${fact.n} with ${fact.keys.join()}`;
    case "confirmed":
      return `confirmed ${fact.n} by ${fact.to}`;
    default:
      return "";
  }
}
