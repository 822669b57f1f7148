/**
 * The groups of one partition: one per concurrency key of a limit, each a machine that is stepped purely. Groups come into
 * being with their first run and leave memory when nothing holds or waits for a slot and nobody has given them settings of
 * their own.
 */
import type { GroupContext, GroupEvent } from "../../machines/group/contract.ts";
import * as contexts from "../../machines/group/context.ts";
import { groupMachine, groupState } from "../../machines/group/index.ts";
import { createStepper, type MachineSnapshot, type StepAction, type Stepper } from "../step/stepper.ts";
import type { Strategy } from "../workflow/spec.ts";
import { PressedGroups, pressureLevel } from "./pressed-groups.ts";
import { Rate } from "./rate.ts";

/** The rules of a limit in force in this partition. */
export interface LimitRules {
  readonly maxRuns: number;
  readonly strategy: Strategy;
}

/** What operators have set for one group. */
export interface GroupSettings {
  readonly maxRuns?: number;
  readonly paused?: boolean;
}

const steppers = new Map<Strategy, Stepper>();

function stepperOf(strategy: Strategy): Stepper {
  let stepper = steppers.get(strategy);
  if (stepper === undefined) {
    stepper = createStepper(groupMachine(strategy));
    steppers.set(strategy, stepper);
  }
  return stepper;
}

export class Group {
  readonly id: string;
  readonly limit: string;
  readonly key: string;
  /** How many runs wait for each slot. */
  waitingPerSlot = 0;
  settings: GroupSettings | undefined = undefined;
  #context: GroupContext;
  /** Restored from the context when first needed: recovery changes the context directly. */
  #snapshot: MachineSnapshot | undefined = undefined;
  /** The first admission; most groups have but one in their life, and need no average. */
  #firstStartMs = 0;
  #starts: Rate | undefined = undefined;
  readonly #pressed: PressedGroups;
  #level = 0;

  #alone: readonly [Group] | undefined = undefined;

  constructor(id: string, limit: string, key: string, rules: LimitRules, among: PressedGroups) {
    this.id = id;
    this.limit = limit;
    this.key = key;
    this.#pressed = among;
    this.#context = contexts.createContext({ limit, key, maxRuns: rules.maxRuns, strategy: rules.strategy });
  }

  /** This group as a list: one for all the runs that need no other. */
  get alone(): readonly [Group] {
    return (this.#alone ??= [this]);
  }

  get context(): GroupContext {
    return this.#context;
  }

  /** Feeds an event to the machine and returns its decisions in order. */
  step(event: GroupEvent): readonly StepAction[] {
    const stepper = stepperOf(this.#context.strategy);
    this.#snapshot ??= stepper.restore(groupState(this.#context), this.#context);
    const step = stepper.step(this.#snapshot, event);
    if (step.error !== undefined) throw new Error(`the ${this.#context.strategy} machine failed`, { cause: step.error });
    this.#snapshot = step.snapshot;
    this.#become(step.snapshot.context as GroupContext);
    return step.actions;
  }

  /** Applies a fact without asking the policy (recovery), or changes the strategy. */
  apply(change: (context: GroupContext) => GroupContext): void {
    this.#become(change(this.#context));
    this.#snapshot = undefined;
  }

  #become(context: GroupContext): void {
    this.#context = context;
    this.waitingPerSlot = contexts.queuedCount(context) / context.maxRuns;
    const level = pressureLevel(this.waitingPerSlot);
    if (level === this.#level) return;
    this.#pressed.move(this, this.#level, level);
    this.#level = level;
  }

  /** A run was admitted. */
  started(nowMs: number): void {
    if (this.#firstStartMs === 0) {
      this.#firstStartMs = nowMs;
      return;
    }
    if (this.#starts === undefined) {
      this.#starts = new Rate();
      this.#starts.mark(this.#firstStartMs);
    }
    this.#starts.mark(nowMs);
  }

  /** Admissions, as a moving average over about a minute. */
  startsPerMinute(nowMs: number): number {
    if (this.#starts !== undefined) return this.#starts.perMinute(nowMs);
    if (this.#firstStartMs === 0) return 0;
    const once = new Rate();
    once.mark(this.#firstStartMs);
    return once.perMinute(nowMs);
  }

  get idle(): boolean {
    const { active, waiting, held } = this.#context;
    return active.size === 0 && waiting.size === 0 && held.size === 0 && this.settings === undefined;
  }
}

export class Groups {
  readonly #groups = new Map<string, Group>();
  readonly #rules = new Map<string, LimitRules>();
  /** Those that runs wait for. */
  readonly pressed = new PressedGroups();

  get size(): number {
    return this.#groups.size;
  }

  [Symbol.iterator](): IterableIterator<Group> {
    return this.#groups.values();
  }

  get rules(): ReadonlyMap<string, LimitRules> {
    return this.#rules;
  }

  find(limit: string, key: string): Group | undefined {
    return this.#groups.get(groupId(limit, key));
  }

  open(limit: string, key: string): Group {
    const id = groupId(limit, key);
    let group = this.#groups.get(id);
    if (group === undefined) {
      const rules = this.#rules.get(limit);
      if (rules === undefined) throw new Error(`limit ${limit} has no rules in this partition`);
      group = new Group(id, limit, key, rules, this.pressed);
      this.#groups.set(id, group);
    }
    return group;
  }

  /** Lets an idle group leave memory. */
  close(group: Group): void {
    if (group.idle) this.#groups.delete(group.id);
  }

  setRules(limit: string, rules: LimitRules): void {
    this.#rules.set(limit, rules);
  }

  /** The groups of a limit by key, so that a change of its rules reaches them in the same order after a recovery. */
  of(limit: string): Group[] {
    return [...this.#groups.values()].filter((group) => group.limit === limit).sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

/** `limit` is one token without spaces, so the id is unambiguous. */
export function groupId(limit: string, key: string): string {
  return `${limit} ${key}`;
}
