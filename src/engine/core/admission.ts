/**
 * Runs and their groups: a run arrives, and each decision of a group takes effect, one after the other, until none is left. What a
 * group decides is its machine's; what becomes of a run that was admitted or cancelled is `RunLife`'s.
 */
import type { GroupEvent } from "../../../machines/group/contract.ts";
import { hasRoom, wouldRefuse } from "../../../machines/group/index.ts";
import type { StepAction } from "../../step/stepper.ts";
import type { Fact, Phase } from "../facts.ts";
import type { Group } from "../group.ts";
import type { Run } from "../run.ts";
import type { BatchBuilder } from "./batch-builder.ts";
import type { Limits } from "./limits.ts";
import type { PartitionState } from "./partition-state.ts";
import type { RunChanges } from "./run-changes.ts";
import type { GroupNews, RunLife } from "./run-life.ts";

export class Admission implements GroupNews {
  readonly #state: PartitionState;
  readonly #batch: BatchBuilder;
  readonly #changes: RunChanges;
  readonly #limits: Limits;
  readonly #life: RunLife;
  /** Group events that decisions have brought about and that still have to be fed, in order. */
  readonly #news: (readonly [Group, GroupEvent])[] = [];
  #settling = false;
  /** What groups are being told, and so what has made room for those who are admitted; and whether it is a limit that was raised. */
  #cause: GroupEvent | undefined = undefined;
  #raised = false;

  constructor(state: PartitionState, batch: BatchBuilder, changes: RunChanges, limits: Limits, life: RunLife) {
    this.#state = state;
    this.#batch = batch;
    this.#changes = changes;
    this.#limits = limits;
    this.#life = life;
  }

  // ---------------------------------------------------------------- a run arrives

  /** The run comes to its groups, which admit it, let it wait, or refuse it. */
  arrive(run: Run, keys: readonly string[], fresh: boolean): void {
    const limits = run.workflow.spec.limits;
    if (limits.length === 0) {
      this.join(run, keys);
      if (fresh) {
        this.#batch.recordCreated(run, "active", undefined);
        this.#state.add(run);
      } else this.#batch.record({ k: "phase", at: this.#state.now, run: run.run, phase: "active" });
      this.#life.activate(run);
      return;
    }
    for (const limit of limits) this.#limits.ensureRules(limit.name, run.workflow);
    this.join(run, keys);
    const mustWait = run.groups.some((group) => !hasRoom(group.context));
    const refusing = run.gated ? run.groups.find((group) => wouldRefuse(group.context, run, mustWait)) : undefined;
    if (refusing !== undefined) {
      this.#recordArrival(run, "refused", keys, fresh);
      for (const group of run.groups) this.#state.groups.close(group);
      run.groups = [];
      this.#life.finish(run, "CANCELLED", "CANCELLED_BY_CONCURRENCY_LIMIT", undefined, "full");
      return;
    }
    const [only] = run.groups;
    const settling = this.#settling;
    this.#settling = true;
    if (!run.gated && only !== undefined) this.#arriveAt(only, run, keys, fresh);
    else this.#arriveGated(run, keys, fresh);
    this.#settling = settling;
  }

  /** A run that needs one slot. */
  #arriveAt(group: Group, run: Run, keys: readonly string[], fresh: boolean): void {
    const decisions = group.step({ type: "run.arrived", entry: run });
    const admitted = decisions.some((decision) => decision.type === "admit" && decision.params.entry === run);
    const refused = decisions.some((decision) => decision.type === "cancel" && decision.params.entry === run);
    this.#recordArrival(run, admitted ? "active" : refused ? "refused" : "waiting", keys, fresh);
    if (!admitted && !refused) this.wait(run);
    for (const decision of decisions) this.#decide(group, decision, run);
  }

  /** A run that needs several slots takes all of them or none. */
  #arriveGated(run: Run, keys: readonly string[], fresh: boolean): void {
    // All of its groups learn of the run before a proposal of any of them is answered.
    const decisions = run.groups.map((group) => [group, group.step({ type: "run.arrived", entry: run })] as const);
    const willing = decisions.filter(([, made]) => made.some((decision) => decision.type === "propose"));
    const all = willing.length === run.groups.length;
    const held = all ? undefined : willing.map(([group]) => run.groups.indexOf(group));
    this.#recordArrival(run, all ? "active" : "waiting", keys, fresh, held);
    if (!all) this.wait(run);
    for (const [group] of willing) this.#follow(group, { type: all ? "run.confirmed" : "run.parked", entry: run });
    for (const [group, made] of decisions)
      for (const decision of made) if (decision.type !== "propose") this.#decide(group, decision, run);
    if (all) this.#life.activate(run);
  }

  /** The same live and in recovery, like `wait`. */
  join(run: Run, keys: readonly string[]): void {
    const limits = run.workflow.spec.limits;
    run.order = ++this.#state.order;
    const [only] = limits;
    run.groups =
      limits.length === 1 && only !== undefined
        ? this.#state.groups.open(only.name, keys[0] ?? "").alone
        : limits.map((limit, index) => this.#state.groups.open(limit.name, keys[index] ?? ""));
    run.flow = run.groups[0]?.id ?? run.workflow.name;
    run.gated = run.groups.length > 1;
    if (run.rest?.keys !== undefined) {
      const { keys: _, moved: __, ...rest } = run.rest;
      run.rest = Object.keys(rest).length === 0 ? undefined : rest;
    }
  }

  wait(run: Run): void {
    const { timers, now } = this.#state;
    const timeoutMs = run.workflow.spec.scheduleTimeoutMs;
    if (timeoutMs !== undefined) run.timer = timers.add(now + timeoutMs, { kind: "expired", run }, run.order);
    run.dropLargeInput();
    this.#changes.tell(run, "queued", "QUEUED");
  }

  #recordArrival(run: Run, phase: Phase, keys: readonly string[], fresh: boolean, held: readonly number[] = []): void {
    run.phase = phase;
    const paused = phase === "waiting" ? pausedOf(run) : NONE;
    if (fresh) {
      this.#batch.recordCreated(run, phase, keys, held, paused);
      this.#state.add(run);
    } else {
      const because = { ...(held.length > 0 && { held }), ...(paused.length > 0 && { paused }) };
      this.#batch.record({ k: "phase", at: this.#state.now, run: run.run, phase, keys, ...because });
    }
  }

  // ---------------------------------------------------------------- groups decide

  tell(group: Group, event: GroupEvent): void {
    this.#news.push([group, event]);
  }

  /** Feeds what has come up for groups until nothing is left. Not re-entrant: decisions take effect in their order. */
  settle(): void {
    if (this.#settling) return;
    this.#settling = true;
    try {
      for (;;) {
        const next = this.#news.shift();
        if (next === undefined) break;
        const [group, event] = next;
        this.#cause = event;
        this.#raised = event.type === "limit.changed" && event.maxRuns > group.context.maxRuns;
        this.#follow(group, event);
        this.#state.groups.close(group);
      }
    } finally {
      this.#settling = false;
      this.#cause = undefined;
      this.#raised = false;
    }
  }

  #follow(group: Group, event: GroupEvent): void {
    for (const decision of group.step(event)) this.#decide(group, decision, undefined);
  }

  #decide(group: Group, decision: StepAction, newcomer: Run | undefined): void {
    if (decision.params === undefined) return;
    const run = decision.params.entry as Run;
    switch (decision.type) {
      case "admit":
        if (run === newcomer) this.#life.activate(run);
        else this.#admit(run);
        return;
      case "propose":
        this.#answer(group, run);
        return;
      case "cancel": {
        const { active, cause, by } = decision.params as { active: boolean; cause: string; by?: string };
        if (active) {
          for (const other of run.groups) if (other !== group) this.tell(other, { type: "run.stopping", entry: run });
          const reason = "CANCELLED_BY_CONCURRENCY_LIMIT";
          this.#life.feed(run, { type: "run.cancelled", reason, cause, ...(by !== undefined && { by }) }, true);
        } else {
          // This group has let it go already.
          run.groups = run.groups.filter((other) => other !== group);
          this.#life.finish(run, "CANCELLED", "CANCELLED_BY_CONCURRENCY_LIMIT", undefined, cause, by);
        }
        return;
      }
    }
  }

  #admit(run: Run): void {
    this.#batch.record(this.#admittedFact(run.run, this.#state.now));
    this.#life.activate(run);
  }

  #admittedFact(run: string, at: number): Fact {
    const cause = this.#cause;
    if (cause?.type === "run.released") return { k: "admitted", at, run, by: cause.entry.run };
    if (this.#raised) return { k: "admitted", at, run, why: "raised" };
    return cause?.type === "group.resumed" ? { k: "admitted", at, run, why: "resumed" } : { k: "admitted", at, run };
  }

  /** A group would admit a run that needs other limits too: all of them or none. */
  #answer(group: Group, run: Run): void {
    const { runs, now } = this.#state;
    if (runs.get(run.run) !== run) {
      // Another of its groups has just cancelled it.
      this.#follow(group, { type: "run.withdrawn", entry: run });
      return;
    }
    const full = run.groups.find((other) => other !== group && !hasRoom(other.context));
    if (full === undefined) {
      // Recorded and begun first: told of its answer, the group goes on to its next run, which must come after this one everywhere.
      this.#batch.record(this.#admittedFact(run.run, now));
      for (const other of run.groups) if (other !== group) this.#follow(other, { type: "run.taken", entry: run });
      this.#life.activate(run);
      this.#follow(group, { type: "run.confirmed", entry: run });
      return;
    }
    this.#batch.record({ k: "parked", at: now, run: run.run, by: run.groups.indexOf(group), for: run.groups.indexOf(full) });
    this.#follow(full, { type: "run.offered", entry: run });
    this.#follow(group, { type: "run.parked", entry: run });
  }
}

const NONE: readonly number[] = [];

/** By index of the limit. */
function pausedOf({ groups }: Run): readonly number[] {
  return groups.some((group) => group.context.paused)
    ? groups.flatMap((group, index) => (group.context.paused ? [index] : []))
    : NONE;
}
