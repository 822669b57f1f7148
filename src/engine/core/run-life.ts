/**
 * A run from its admission to its end: its machine is stepped here, and what the machine asks for (timers, workers, stops) is carried
 * out. It must not know how a run comes to be admitted: of the groups it only knows that they have to be told.
 */
import type { GroupEvent } from "../../../machines/group/contract.ts";
import * as contexts from "../../../machines/group/context.ts";
import { isEndOfGrace } from "../../../machines/run/compile.ts";
import { describeRun } from "../../../machines/run/describe.ts";
import { toErrorData } from "../../errors.ts";
import type { RunChange, RunStatus, StepStatus } from "../../protocol/view.ts";
import type { ErrorData } from "../../protocol/work.ts";
import type { StepAction } from "../../step/stepper.ts";
import type { MachineEvent } from "../facts.ts";
import type { Group } from "../group.ts";
import { type Attempt, LiveRun, type ReadyStep, type Run, type TimerValue } from "../run.ts";
import type { BatchBuilder } from "./batch-builder.ts";
import type { KeyQueue } from "./key-queue.ts";
import type { PartitionState } from "./partition-state.ts";
import type { RunChanges } from "./run-changes.ts";
import type { SlotSource } from "./slot-source.ts";

/** The groups, as a run that lives or ends sees them. */
export interface GroupNews {
  /** Something for this group; nothing happens before `settle`. */
  tell(group: Group, event: GroupEvent): void;
  /** Lets the groups decide on all that they were told. */
  settle(): void;
}

const FINAL: Record<"SUCCEEDED" | "FAILED" | "CANCELLED", RunChange> = {
  SUCCEEDED: "succeeded",
  FAILED: "failed",
  CANCELLED: "cancelled",
};

/** Event types that end an attempt, and how its step is told to be then. */
const OUTCOMES: readonly (readonly [prefix: string, status: StepStatus])[] = [
  ["xstate.done.actor.", "SUCCEEDED"],
  ["xstate.error.actor.", "FAILED"],
  ["step.stopped.", "CANCELLED"],
  ["step.returned.", "READY"],
  ["step.lost.", "READY"],
];

type MachineTimer = Extract<TimerValue, { readonly kind: "machine" }>;

export class RunLife {
  readonly #state: PartitionState;
  readonly #batch: BatchBuilder;
  readonly #changes: RunChanges;
  readonly #keying: KeyQueue;
  readonly #groups: GroupNews;
  readonly #slots: SlotSource;

  constructor(
    state: PartitionState,
    batch: BatchBuilder,
    changes: RunChanges,
    keying: KeyQueue,
    groups: GroupNews,
    slots: SlotSource,
  ) {
    this.#state = state;
    this.#batch = batch;
    this.#changes = changes;
    this.#keying = keying;
    this.#groups = groups;
    this.#slots = slots;
  }

  // ---------------------------------------------------------------- the machine

  /** From here on the run is a machine. */
  activate(run: Run): void {
    const state = this.#state;
    state.clearTimer(run);
    run.phase = "active";
    state.active++;
    state.starts.mark(state.now);
    for (const group of run.groups) group.started(state.now);
    this.#changes.tell(run, "admitted", "RUNNING");
    const stepper = run.workflow.stepper;
    const live = new LiveRun(stepper.initialWith({ runId: run.run }).snapshot, this.#state.now);
    run.live = live;
    const step = stepper.step(live.snapshot, { type: "run.admitted" });
    this.#advance(run, live, step.snapshot, step.actions, step.error);
  }

  /** Feeds an event to the run's machine; what it does not react to leaves no trace, unless it says something to others too (`always`). */
  feed(run: Run, ev: MachineEvent, always = this.#state.replaying): void {
    const live = run.live;
    if (live === undefined) return;
    const step = run.workflow.stepper.step(live.snapshot, ev);
    if (!always && step.error === undefined && step.snapshot === live.snapshot && step.actions.length === 0) return;
    const at = this.#state.now;
    this.#batch.recordEvent(run, ev);
    live.events.push({ at, ev });
    this.#observe(run, live, ev);
    this.#advance(run, live, step.snapshot, step.actions, step.error);
  }

  #advance(run: Run, live: LiveRun, snapshot: LiveRun["snapshot"], actions: readonly StepAction[], error: unknown): void {
    if (error !== undefined) {
      this.finish(run, "FAILED", "MACHINE_FAILED", { ...toErrorData(error), code: "MACHINE_FAILED" });
      this.#groups.settle();
      return;
    }
    live.snapshot = snapshot;
    const { runs, now } = this.#state;
    // A worker may be there at once, and then the machine steps on: not before all that this step has set can be taken back by the next.
    let wanted: string[] | undefined;
    for (const action of actions) {
      switch (action.type) {
        case "timer.set":
          this.#setTimer(run, live, action.params.id, now + action.params.delayMs, action.params.event);
          break;
        case "timer.cancel":
          this.#cancelTimer(live, action.params.id);
          break;
        case "actor.start":
          (wanted ??= []).push(action.params.id as string);
          break;
        case "actor.stop":
          wanted = wanted?.filter((step) => step !== action.params.id);
          this.#unwant(live, action.params.id);
          break;
        case "stopStep":
          this.#stop(run, live, action.params.step);
          break;
      }
    }
    for (const step of wanted ?? []) if (runs.get(run.run) === run) this.#want(run, live, step);
    if (snapshot.status !== "active" && runs.get(run.run) === run && run.live === live && live.snapshot === snapshot) {
      const description = describeRun(run.workflow.spec, snapshot);
      this.finish(run, description.status, description.reason, description.error);
      this.#groups.settle();
    }
  }

  #setTimer(run: Run, live: LiveRun, id: string, dueMs: number, event: MachineEvent): void {
    this.#cancelTimer(live, id);
    const { now, elapsed } = this.#state;
    // The end of a grace gives the slot away though a handler may be at work: a clock that jumps must not bring it about.
    const grace = isEndOfGrace(event.type) && { notBeforeMs: elapsed() + dueMs - now };
    this.#arm(live, dueMs, { kind: "machine", run, id, event, ...grace });
  }

  #arm(live: LiveRun, dueMs: number, value: MachineTimer): void {
    // By the order of the runs: a snapshot does not tell which of two timers was set first.
    live.setTimer(value.id, this.#state.timers.add(dueMs, value, value.run.order));
  }

  /** A timer of a run's machine is due, by the partition's time. */
  timerDue(value: MachineTimer): void {
    const { live } = value.run;
    live?.deleteTimer(value.id);
    const { now, elapsed } = this.#state;
    const leftMs = value.notBeforeMs === undefined ? 0 : Math.ceil(value.notBeforeMs - elapsed());
    if (leftMs > 0 && live !== undefined) this.#arm(live, now + leftMs, value);
    else this.feed(value.run, value.event);
  }

  #cancelTimer(live: LiveRun, id: string): void {
    const timer = live.timers.get(id);
    if (timer === undefined) return;
    live.deleteTimer(id);
    this.#state.timers.remove(timer);
  }

  // ---------------------------------------------------------------- its steps and their attempts

  /** What an event says of the attempts of its run, by its type. The same live and in recovery. */
  #observe(run: Run, live: LiveRun, ev: MachineEvent): void {
    const { type } = ev;
    if (type.startsWith("step.started.")) {
      const step = type.slice("step.started.".length);
      const before = live.attempts.get(step);
      if (before !== undefined) this.over(before);
      live.deleteReady(step);
      live.executions++;
      live.attempts.set(step, {
        id: String(ev["attemptId"]),
        step,
        worker: String(ev["worker"]),
        number: Number(ev["attempt"]),
        assignedAt: this.#state.now,
        over: false,
      });
      this.#changes.tell(run, live.started ? "step" : "started", "RUNNING", step, "RUNNING");
      live.started = true;
      return;
    }
    const outcome = OUTCOMES.find(([prefix]) => type.startsWith(prefix));
    if (outcome === undefined) return;
    const [prefix, status] = outcome;
    const step = type.slice(prefix.length);
    const attempt = live.attempts.get(step);
    if (attempt === undefined) return;
    if (typeof ev["startedAt"] === "number") attempt.startedAt = ev["startedAt"];
    attempt.finishedAt = typeof ev["finishedAt"] === "number" ? ev["finishedAt"] : this.#state.now;
    this.over(attempt);
    this.#changes.tell(run, "step", "RUNNING", step, status, status === "FAILED" ? (ev["error"] as ErrorData) : undefined);
  }

  #want(run: Run, live: LiveRun, step: string): void {
    const before = live.attempts.get(step);
    if (before !== undefined) this.over(before);
    const ready: ReadyStep = {
      partition: this.#state.partition,
      run,
      step,
      handler: `${run.workflow.name} ${step}`,
      priority: run.priority,
      order: run.groups.length === 0 ? run.createdAt : run.order,
      flow: run.flow,
      since: this.#state.now,
    };
    if (this.#state.replaying) live.setReady(step, ready);
    else this.request(ready);
  }

  /** Asks for a worker, who may be there at once. */
  request(ready: ReadyStep): void {
    const worker = this.#slots.request(ready);
    if (worker !== undefined) this.start(ready, worker);
    else ready.run.live?.setReady(ready.step, ready);
  }

  /** The step's wish for a worker, or its attempt, is over: done, or given up after the grace. */
  #unwant(live: LiveRun, step: string): void {
    const attempt = live.attempts.get(step);
    if (attempt !== undefined) this.over(attempt);
    const ready = live.ready.get(step);
    if (ready === undefined) return;
    live.deleteReady(step);
    if (!this.#state.replaying) this.#slots.withdraw(ready);
  }

  /** The step has a worker's slot. */
  start(ready: ReadyStep, worker: string): void {
    const { run, step } = ready;
    const live = run.live;
    if (live === undefined) return;
    const number = stepAttempts(live, step) + 1;
    const attemptId = `${run.run}.${step}.${live.executions + 1}`;
    this.feed(run, { type: `step.started.${step}`, worker, attemptId, attempt: number });
    const attempt = live.attempts.get(step);
    if (attempt?.id === attemptId) {
      this.#slots.adopt(attempt, run, false);
      this.#batch.effect({ type: "assign", run, attempt });
    } else this.#slots.unreserve(worker);
  }

  #stop(run: Run, live: LiveRun, step: string): void {
    const attempt = live.attempts.get(step);
    if (attempt === undefined || attempt.over || this.#state.replaying) return;
    const context = live.snapshot.context as { ending?: { reason?: string } | null };
    this.#batch.effect({ type: "stop", run, attempt, reason: context.ending?.reason ?? "STEP_TIMED_OUT" });
  }

  /** After a recovery: nobody knows whether its workers were told to stop before. */
  stopAgain(run: Run): void {
    const { live } = run;
    if (live === undefined) return;
    const { running } = live.snapshot.value as { readonly running?: Readonly<Record<string, unknown>> };
    for (const { step } of live.attempts.values()) {
      const region = running?.[step];
      const state = typeof region === "object" ? (region as { readonly attempt?: unknown } | null)?.attempt : region;
      if (state === "stopping" || state === "timedOut") this.#stop(run, live, step);
    }
  }

  /** The attempt's slot is free. */
  over(attempt: Attempt): void {
    if (attempt.over) return;
    attempt.over = true;
    if (!this.#state.replaying) this.#slots.release(attempt);
  }

  // ---------------------------------------------------------------- its end

  /** Wherever the run is: one that is active is told to stop, and ends later. */
  cancel(run: Run, reason: string): void {
    if (run.live === undefined) {
      this.finish(run, "CANCELLED", reason);
      return;
    }
    // A run that is ending anyway ignores this, but its groups don't: recovery has to learn of it.
    const news = run.groups.some((group) => !group.context.stopping.has(run));
    for (const group of run.groups) this.#groups.tell(group, { type: "run.stopping", entry: run });
    this.feed(run, { type: "run.cancelled", reason }, news);
  }

  /** The run has ended: it leaves memory, and its slots are free. */
  finish(run: Run, status: RunStatus, reason?: string, error?: ErrorData, cause?: string, by?: string): void {
    if (this.#state.runs.get(run.run) !== run) return;
    this.#batch.record({
      k: "finished",
      at: this.#state.now,
      run: run.run,
      status,
      ...(reason !== undefined && { reason }),
      ...(error !== undefined && { error }),
      ...(cause !== undefined && { cause }),
      ...(by !== undefined && { by }),
    });
    this.#changes.tell(run, FINAL[status as keyof typeof FINAL], status, undefined, undefined, error, reason);
    this.remove(run);
  }

  /** The same live and in recovery. */
  remove(run: Run): void {
    const { runs, timers, replaying, finishes, now } = this.#state;
    runs.delete(run.run);
    finishes.mark(now);
    if (run.live !== undefined) this.#state.active--;
    this.#keying.delete(run);
    this.#state.clearTimer(run);
    const { live } = run;
    if (live !== undefined) {
      for (const [id, timer] of live.timers) {
        live.deleteTimer(id);
        timers.remove(timer);
      }
      for (const step of live.ready.keys()) this.#unwant(live, step);
      for (const attempt of live.attempts.values()) this.over(attempt);
    }
    const held = run.phase === "active";
    for (const group of run.groups) {
      if (!replaying)
        this.#groups.tell(group, held ? { type: "run.released", entry: run } : { type: "run.withdrawn", entry: run });
      else {
        group.apply((context) => (held ? contexts.release(context, run) : contexts.withdraw(context, run)));
        this.#state.groups.close(group);
      }
    }
  }
}

function stepAttempts(live: LiveRun, step: string): number {
  const context = live.snapshot.context as {
    readonly steps?: Readonly<Record<string, { readonly attempt?: number } | undefined>>;
  };
  return context.steps?.[step]?.attempt ?? 0;
}
