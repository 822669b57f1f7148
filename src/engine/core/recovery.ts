/**
 * Makes of the facts in the journal what they once came from, and takes up the work again after the last one. A fact is applied as it
 * stands: no policy is asked, nothing is recorded, and no effect comes of it. How the journal is read is not known here.
 */
import * as contexts from "../../../machines/group/context.ts";
import type { Batch, CreatedFact, Fact } from "../facts.ts";
import { Run } from "../run.ts";
import type { Workflows } from "../workflows.ts";
import type { Admission } from "./admission.ts";
import type { Crons } from "./crons.ts";
import type { KeyQueue } from "./key-queue.ts";
import type { Limits } from "./limits.ts";
import type { Outbox } from "./outbox.ts";
import type { PartitionState } from "./partition-state.ts";
import { fromCreated } from "./run-facts.ts";
import type { RunLife } from "./run-life.ts";
import type { SlotSource } from "./slot-source.ts";

/** Those that have something to recover. */
export interface RecoveredRooms {
  readonly keying: KeyQueue;
  readonly outbox: Outbox;
  readonly crons: Crons;
  readonly limits: Limits;
  readonly admission: Admission;
  readonly life: RunLife;
}

export class Recovery {
  readonly #state: PartitionState;
  readonly #rooms: RecoveredRooms;
  readonly #workflows: Workflows;
  readonly #slots: SlotSource;

  constructor(state: PartitionState, rooms: RecoveredRooms, workflows: Workflows, slots: SlotSource) {
    this.#state = state;
    this.#rooms = rooms;
    this.#workflows = workflows;
    this.#slots = slots;
  }

  /** Applies what a journal message says. */
  replayBatch(batch: Pick<Batch, "in" | "src" | "f">): void {
    const state = this.#state;
    const { now } = state;
    state.replaying = true;
    try {
      for (const fact of batch.f) this.#replay(fact);
      if (batch.in > state.inboxSeq) state.inboxSeq = batch.in;
      for (const [source, position] of Object.entries(batch.src ?? {})) state.positions.set(source, position);
    } finally {
      state.replaying = false;
      state.now = Math.max(state.now, now);
    }
  }

  #replay(fact: Fact): void {
    if ("at" in fact) this.#state.now = fact.at;
    switch (fact.k) {
      case "created":
        this.replayCreated(fact);
        return;
      case "limit":
        this.#rooms.limits.replayRules(fact.name, { maxRuns: fact.maxRuns, strategy: fact.strategy });
        return;
      case "group":
        this.#rooms.limits.replayGroup(fact.limit, fact.key, fact);
        return;
      case "confirmed":
        this.#rooms.outbox.confirmed(fact.to, fact.n);
        return;
      case "cron":
        this.#rooms.crons.replay(fact);
        return;
      case "owner":
        return;
      default: {
        const run = this.#state.runs.get(fact.run);
        if (run !== undefined) this.replayOf(run, fact);
      }
    }
  }

  /** What has happened to a run that is here. */
  replayOf(run: Run, fact: Exclude<Fact, { k: "created" | "limit" | "group" | "confirmed" | "cron" | "owner" }>): void {
    const { keying, outbox, life } = this.#rooms;
    switch (fact.k) {
      case "phase":
        this.#state.clearTimer(run);
        keying.delete(run);
        run.phase = fact.phase;
        if (fact.phase === "keying") keying.add(run);
        else this.#replayArrival(run, fact.keys ?? [], fact.held);
        return;
      case "admitted":
        for (const group of run.groups) group.apply((context) => contexts.admit(context, run));
        life.activate(run);
        return;
      case "parked":
        run.groups[fact.for]?.apply((context) => contexts.offer(context, run));
        run.groups[fact.by]?.apply((context) => contexts.hold(context, run));
        return;
      case "event":
        if (fact.ev.type === "run.cancelled")
          for (const group of run.groups) group.apply((context) => contexts.markStopping(context, run));
        life.feed(run, fact.ev);
        return;
      case "moved":
        this.#state.clearTimer(run);
        outbox.note(run, fact.to, fact.n, fact.keys);
        return;
      case "finished":
        life.remove(run);
        return;
    }
  }

  replayCreated(fact: CreatedFact): void {
    const workflow = this.#workflows.get(fact.wf, fact.ver);
    if (workflow === undefined) throw new Error(`workflow "${fact.wf}" is not known in version ${fact.ver}`);
    const run = new Run(fromCreated(fact, workflow), fact.phase);
    this.#state.add(run);
    if (fact.phase === "scheduled" || fact.phase === "keying") {
      if (fact.keys !== undefined) run.rest = { ...run.rest, keys: fact.keys };
      if (fact.phase === "keying") this.#rooms.keying.add(run);
      return;
    }
    this.#replayArrival(run, fact.keys ?? [], fact.held);
  }

  #replayArrival(run: Run, keys: readonly string[], held: readonly number[] = []): void {
    const { admission, life } = this.#rooms;
    if (run.phase === "refused") {
      // No group has taken it in.
      this.#state.order++;
      return;
    }
    const active = run.phase === "active";
    admission.join(run, keys);
    for (const [index, group] of run.groups.entries())
      group.apply((context) =>
        active
          ? contexts.admit(context, run)
          : held.includes(index)
            ? contexts.hold(context, run)
            : contexts.enqueue(context, run),
      );
    if (active) life.activate(run);
    else admission.wait(run);
  }

  /** After the last replayed fact: takes up again what waits for workers, keys and other partitions. */
  resume(): void {
    const { keying, outbox, limits, admission, life } = this.#rooms;
    const { runs, groups } = this.#state;
    for (const run of runs.values()) {
      const { live } = run;
      if (live === undefined) continue;
      for (const attempt of live.attempts.values()) if (!attempt.over) this.#slots.adopt(attempt, run, true);
      life.stopAgain(run);
    }
    // Groups whose policy has more to say than was recorded (a batch that was lost) decide now.
    for (const group of [...groups]) admission.tell(group, { type: "limit.changed", maxRuns: limits.maxRuns(group) });
    admission.settle();
    const waiting = [...runs.values()]
      .filter((run) => run.live !== undefined && run.live.ready.size > 0)
      .sort((a, b) => a.order - b.order);
    for (const run of waiting)
      for (const ready of [...(run.live?.ready.values() ?? [])])
        if (ready.run.live?.ready.get(ready.step) === ready) life.request(ready);
    keying.resume();
    outbox.resume();
  }
}
