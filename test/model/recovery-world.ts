/**
 * One partition under test, without journal, server or clock: workflows with all that recovery has to get right, a core, and slots
 * that do what the test says. Two sides fed the same inputs must write the same facts.
 */
import type { CompiledWorkflow } from "../../src/engine/workflows.ts";
import { Workflows } from "../../src/engine/workflows.ts";
import { decodeBatch, encodeBatch, type SnapshotLine } from "../../src/engine/facts.ts";
import type { LimitRules } from "../../src/engine/group.ts";
import { nextTick } from "../../src/engine/cron-ticks.ts";
import type { Effect } from "../../src/engine/core/batch-builder.ts";
import type { SlotSource } from "../../src/engine/core/slot-source.ts";
import { PartitionCore } from "../../src/engine/partition-core.ts";
import { hash, Placement } from "../../src/engine/placement.ts";
import type { Attempt } from "../../src/engine/run.ts";
import type { Stepper } from "../../src/step/stepper.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { Strategy } from "../../src/workflow/spec.ts";
import type { AnyWorkflow, ConcurrencyOptions } from "../../src/workflow/workflow.ts";

export const STRATEGIES = Object.values(Strategy);
export const START_MS = Date.UTC(2026, 0, 1);
/** L0 to L3 are held together by `pair` and `trio`, so they share one partition; M is spread by its keys. */
export const LIMITS = ["L0", "L1", "L2", "L3", "M"] as const;
export type LimitName = (typeof LIMITS)[number];
export type Rules = Record<LimitName, LimitRules>;

/** A name whose home is the partition of the domain of L0, for any number of partitions up to 3. */
function nameAtHome(prefix: string): string {
  for (let i = 0; ; i++) if (hash(`${prefix}${i}`) % 6 === hash("L0") % 6) return `${prefix}${i}`;
}

export const KEYED = nameAtHome("keyed");
export const MIXED = nameAtHome("mixed");
export const CRON = nameAtHome("cron");
export const NAMES = ["solo0", "solo1", "solo2", "solo3", "many", "pair", "trio", "free", KEYED, MIXED, CRON] as const;

/** A workflow with the rules as they are; other rules make another version. */
export function defined(name: string, rules: Rules): AnyWorkflow {
  const limit = (of: LimitName, key: ConcurrencyOptions["key"]): ConcurrencyOptions => ({ name: of, key, ...rules[of] });
  const byInput = (of: LimitName) => limit(of, "input.k");
  const ofWorker = (of: LimitName) => limit(of, () => "");
  const retried = { retries: 1, backoff: { min: "1s", factor: 2 }, timeout: "7s", scheduleTimeout: "40s" } as const;
  const base = { name, grace: "3s" } as const;
  const chain = (concurrency: readonly ConcurrencyOptions[], scheduleTimeout?: string) =>
    defineWorkflow({ ...base, concurrency, scheduleTimeout })
      .step("a", retried, () => 1)
      .step("now", { after: ["a"] }, () => 2);
  const parallel = (concurrency: readonly ConcurrencyOptions[], scheduleTimeout?: string) =>
    defineWorkflow({ ...base, concurrency, scheduleTimeout })
      .step("a", retried, () => 1)
      .step("b", { timeout: "5s" }, () => 1)
      .step("now", { after: ["a"] }, () => 2);
  switch (name) {
    case "solo0":
    case "solo3":
      return parallel([byInput(`L${name.slice(4)}` as LimitName)]);
    case "solo1":
    case "solo2":
      return chain([byInput(`L${name.slice(4)}` as LimitName)], name === "solo1" ? "25s" : undefined);
    case "many":
      return chain([byInput("M")]);
    case "pair":
      return parallel([byInput("L0"), limit("L3", "'all'")], "60s");
    case "trio":
      return chain([byInput("L1"), byInput("L2"), limit("L3", "'all'")]);
    case "free":
      return defineWorkflow({ ...base, onStepFailure: "finish" })
        .step("a", retried, () => 1)
        .step("b", { timeout: "5s" }, () => 1)
        .step("now", { after: ["a", "b"] }, () => 2);
    case KEYED:
      return chain([ofWorker("M")]);
    case MIXED:
      return chain([byInput("L1"), ofWorker("L2")]);
    default:
      return defineWorkflow({ ...base, cron: { expression: "*/2 * * * *", input: { k: "x" } }, concurrency: byInput("L0") })
        .step("a", retried, () => 1)
        .step("now", { after: ["a"] }, () => 2);
  }
}

const steppers = new Map<string, Stepper>();

/** What all sides share: it is stored apart from the journals. */
export class Registry {
  readonly workflows = new Workflows();
  readonly placement: Placement;
  readonly rules: Rules;
  #seq = 0;

  constructor(partitions: number, rules: Rules) {
    this.placement = new Placement(partitions);
    this.rules = { ...rules };
    for (const name of NAMES) this.register(name);
  }

  /** The partition that the limits L0 to L3 live in. */
  get home(): number {
    return this.placement.ofGroup("L0", "");
  }

  /** The version of a workflow with the rules as they are now comes into force. */
  register(name: string): CompiledWorkflow {
    const { spec } = defined(name, this.rules);
    const { fresh, moved } = this.placement.plan(spec);
    for (const [limit, home] of [...fresh, ...moved]) this.placement.setHome(limit, home);
    const workflow = this.workflows.add(spec, ++this.#seq, START_MS);
    // Compiled once per version for all programs: most of the time would go into that.
    const stepper = steppers.get(spec.version) ?? workflow.stepper;
    steppers.set(spec.version, stepper);
    Object.defineProperty(workflow, "stepper", { value: stepper });
    return workflow;
  }
}

/** Steps named `now` get a worker at once, all others when the test gives them one. Keeps account of what is held. */
export class TestSlots implements SlotSource {
  readonly held = new Map<string, Attempt>();
  #reserved = 0;

  request({ step }: { readonly step: string }): string | undefined {
    if (step !== "now") return undefined;
    this.#reserved++;
    return "w0";
  }

  withdraw(): void {}

  release(attempt: Attempt): void {
    this.held.delete(attempt.id);
  }

  adopt(attempt: Attempt, _run: unknown, recovered: boolean): void {
    if (!recovered && attempt.step === "now") this.#reserved--;
    if (this.held.has(attempt.id)) throw new Error(`attempt ${attempt.id} was adopted twice`);
    this.held.set(attempt.id, attempt);
  }

  unreserve(): void {
    this.#reserved--;
  }

  /** Slots that were given on request and neither adopted nor given back. */
  get reserved(): number {
    return this.#reserved;
  }
}

export interface Written {
  /** As in the journal; undefined where there was nothing to write. */
  readonly text: string | undefined;
  readonly effects: readonly Effect[];
}

export class Side {
  readonly core: PartitionCore;
  readonly slots = new TestSlots();
  readonly registry: Registry;
  cronRuns: number;

  constructor(registry: Registry, partition: number, cronRuns = 0) {
    this.registry = registry;
    this.cronRuns = cronRuns;
    this.core = new PartitionCore({
      partition,
      workflows: registry.workflows,
      placement: registry.placement,
      slots: this.slots,
      rulesOf: (limit) => registry.rules[limit as LimitName],
      nextTick,
      newRunId: () => `cron${++this.cronRuns}@${partition}`,
      maxOutputBytes: 10_000,
    });
  }

  /** What one input brings about, as one batch. */
  feed(nowMs: number, input: (core: PartitionCore) => void): Written {
    this.core.setTime(nowMs);
    input(this.core);
    return this.take();
  }

  take(): Written {
    const { dirty } = this.core;
    const { inboxSeq, sources, facts, effects } = this.core.takeBatch();
    return { text: dirty ? encodeBatch(inboxSeq, sources, facts) : undefined, effects };
  }

  setCrons(): void {
    for (const workflow of this.registry.workflows.all)
      if (this.registry.placement.homeOf(workflow.name) === this.core.partition) this.core.setCrons(workflow);
  }
}

/** A fresh core with what the journal holds, not resumed yet. */
export function recovered(
  registry: Registry,
  partition: number,
  snapshot: readonly string[],
  batches: readonly string[],
  cronRuns: number,
): Side {
  const side = new Side(registry, partition, cronRuns);
  for (const line of snapshot) side.core.replaySnapshotLine(JSON.parse(line) as SnapshotLine);
  if (snapshot.length > 0) side.core.endSnapshot();
  for (const batch of batches) side.core.replayBatch(decodeBatch(batch));
  return side;
}
