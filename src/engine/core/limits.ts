/** The rules of limits and the settings of groups, and how they change. What a group does with them is its machine's. */
import * as contexts from "../../../machines/group/context.ts";
import type { Group, GroupSettings, LimitRules } from "../group.ts";
import type { CompiledWorkflow } from "../workflows.ts";
import type { BatchBuilder } from "./batch-builder.ts";
import type { PartitionState } from "./partition-state.ts";
import type { GroupNews } from "./run-life.ts";

/** By operators; `maxRuns: null` takes the override back. */
export interface SettingsChange {
  readonly maxRuns?: number | null;
  readonly paused?: boolean;
}

export class Limits {
  readonly #state: PartitionState;
  readonly #batch: BatchBuilder;
  readonly #news: GroupNews;
  readonly #rulesOf: (limit: string) => LimitRules | undefined;

  /** `rulesOf`: of a limit that this partition meets for the first time. */
  constructor(state: PartitionState, batch: BatchBuilder, news: GroupNews, rulesOf: (limit: string) => LimitRules | undefined) {
    this.#state = state;
    this.#batch = batch;
    this.#news = news;
    this.#rulesOf = rulesOf;
  }

  /** False when nobody knows such a limit. */
  ensureRules(limit: string, workflow: CompiledWorkflow | undefined): boolean {
    const { groups } = this.#state;
    if (groups.rules.has(limit)) return true;
    const rules = this.#rulesOf(limit) ?? workflow?.spec.limits.find((spec) => spec.name === limit);
    if (rules === undefined) return false;
    this.#batch.record({ k: "limit", name: limit, maxRuns: rules.maxRuns, strategy: rules.strategy });
    groups.setRules(limit, { maxRuns: rules.maxRuns, strategy: rules.strategy });
    return true;
  }

  setRules(limit: string, rules: LimitRules): void {
    const { groups } = this.#state;
    const old = groups.rules.get(limit);
    if (old !== undefined && old.maxRuns === rules.maxRuns && old.strategy === rules.strategy) return;
    this.#batch.record({ k: "limit", name: limit, maxRuns: rules.maxRuns, strategy: rules.strategy });
    groups.setRules(limit, rules);
    for (const group of groups.of(limit)) {
      if (group.context.strategy !== rules.strategy) group.apply((context) => contexts.setStrategy(context, rules.strategy));
      this.#news.tell(group, { type: "limit.changed", maxRuns: group.settings?.maxRuns ?? rules.maxRuns });
    }
    this.#news.settle();
  }

  /** False when no workflow has such a limit. */
  setGroup(limit: string, key: string, change: SettingsChange): boolean {
    if (!this.ensureRules(limit, undefined)) return false;
    const { groups } = this.#state;
    const group = groups.open(limit, key);
    this.#batch.record({ k: "group", limit, key, ...change });
    applySettings(group, change);
    if (change.maxRuns !== undefined) this.#news.tell(group, { type: "limit.changed", maxRuns: this.maxRuns(group) });
    if (change.paused !== undefined) this.#news.tell(group, { type: change.paused ? "group.paused" : "group.resumed" });
    this.#news.settle();
    groups.close(group);
    return true;
  }

  /** What is in force for the group: its own setting, or its limit's rule. */
  maxRuns(group: Group): number {
    return group.settings?.maxRuns ?? this.#state.groups.rules.get(group.limit)?.maxRuns ?? group.context.maxRuns;
  }

  replayRules(limit: string, rules: LimitRules): void {
    const { groups } = this.#state;
    groups.setRules(limit, rules);
    for (const group of groups.of(limit))
      group.apply((context) => contexts.setMaxRuns(contexts.setStrategy(context, rules.strategy), this.maxRuns(group)));
  }

  replayGroup(limit: string, key: string, change: SettingsChange): void {
    const { groups } = this.#state;
    if (!groups.rules.has(limit)) return;
    const group = groups.open(limit, key);
    applySettings(group, change);
    group.apply((context) =>
      contexts.setPaused(contexts.setMaxRuns(context, this.maxRuns(group)), group.settings?.paused ?? false),
    );
    groups.close(group);
  }
}

function applySettings(group: Group, change: SettingsChange): void {
  const { maxRuns, paused } = { ...group.settings, ...change };
  const settings: GroupSettings = {
    ...(maxRuns !== undefined && maxRuns !== null && { maxRuns }),
    ...(paused === true && { paused }),
  };
  group.settings = Object.keys(settings).length === 0 ? undefined : settings;
}
