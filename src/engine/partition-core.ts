/**
 * The state of one partition and everything it decides: runs, groups, timers, positions. Inputs go in one at a time; facts
 * for the journal and effects for the world come out, and nothing here waits, does I/O or reads a clock. The loop around it
 * (partition.ts) writes the facts and carries out the effects once the journal has them. Recovery applies facts through
 * `replay`, without asking a policy and without effects.
 */
import type { GroupEvent } from "../../machines/group/contract.ts";
import * as contexts from "../../machines/group/context.ts";
import type { Turns } from "../../machines/fair-queue.ts";
import { hasRoom, wouldRefuse } from "../../machines/group/index.ts";
import { outputsOf } from "../../machines/run/compile.ts";
import type { RunContext } from "../../machines/run/context.ts";
import { describeRun, type RunDescription } from "../../machines/run/describe.ts";
import { toErrorData } from "../errors.ts";
import type { ErrorData, StepResult } from "../protocol/work.ts";
import type { RunChange, RunChangeMessage, RunStatus, StepStatus } from "../protocol/view.ts";
import type { StepAction } from "../step/stepper.ts";
import { checkKey } from "../workflow/expression.ts";
import type { CreatedFact, Fact, MachineEvent, Phase, Position, RunSnapshot, SnapshotLine } from "./facts.ts";
import { comparePositions } from "./facts.ts";
import { type Group, Groups, type LimitRules } from "./group.ts";
import type { Placement } from "./placement.ts";
import { type Attempt, type Creation, INLINE_INPUT_CHARS, LiveRun, type ReadyStep, Run, type TimerValue } from "./run.ts";
import { type Timer, TimerQueue } from "./timer-queue.ts";
import type { CompiledWorkflow, Workflows } from "./workflows.ts";

/** What is to be done once the journal has the batch, in order. */
export type Effect =
  | { readonly type: "assign"; readonly run: Run; readonly attempt: Attempt }
  | { readonly type: "stop"; readonly run: Run; readonly attempt: Attempt; readonly reason: string }
  | { readonly type: "change"; readonly run: Run; readonly message: RunChangeMessage }
  | { readonly type: "handover"; readonly to: number; readonly n: number; readonly creation: Creation }
  /** Runs of this workflow wait for a worker to compute their keys. */
  | { readonly type: "keys"; readonly workflow: CompiledWorkflow }
  /** Someone waits for the batch to be durable. */
  | { readonly type: "call"; readonly call: () => void };

/** The slots of the workers, as a partition sees them. Never called while facts are replayed. */
export interface SlotSource {
  /** A worker for this step now, or undefined: then the step waits in fair order, and `assign` is called on the partition later. */
  request(step: ReadyStep): string | undefined;
  /** The step does not want a worker any more. */
  withdraw(step: ReadyStep): void;
  /** The attempt does not use its worker's slot any more. */
  release(attempt: Attempt): void;
  /** The attempt is its worker's now: after a request or an offer, or in recovery, when it was handed over before. */
  adopt(attempt: Attempt, run: Run, recovered: boolean): void;
  /** The slot that a request gave is not used after all. */
  unreserve(worker: string): void;
}

export interface CoreOptions {
  readonly partition: number;
  readonly workflows: Workflows;
  readonly placement: Placement;
  readonly slots: SlotSource;
  /** Rules of a limit that this partition meets for the first time. */
  readonly rulesOf: (limit: string) => LimitRules | undefined;
  /** Next tick of the cron with that index after a time in ms, or undefined. */
  readonly nextTick: (workflow: CompiledWorkflow, index: number, afterMs: number) => number | undefined;
  /** Ids of runs that the partition itself creates (cron). */
  readonly newRunId: (atMs: number) => string;
  /** The most that outputs of one run may take together, in bytes of JSON: a step is handed all that it may read in one message. */
  readonly maxOutputBytes: number;
}

/** Everything since the last `takeBatch`. */
export interface PendingBatch {
  readonly facts: readonly string[];
  readonly effects: readonly Effect[];
  readonly sources: Readonly<Record<string, Position>> | undefined;
  readonly inboxSeq: number;
}

interface CronEntry {
  readonly workflow: string;
  readonly index: number;
  tick: number;
  timer: Timer<TimerValue> | undefined;
}

const FINAL: Record<"SUCCEEDED" | "FAILED" | "CANCELLED", RunChange> = { SUCCEEDED: "succeeded", FAILED: "failed", CANCELLED: "cancelled" };
const FUTURE_TICKS = "cron";

/** Event types that end an attempt, and how its step is told to be then. */
const OUTCOMES: readonly (readonly [prefix: string, status: StepStatus])[] = [
  ["xstate.done.actor.", "SUCCEEDED"],
  ["xstate.error.actor.", "FAILED"],
  ["step.stopped.", "CANCELLED"],
  ["step.returned.", "READY"],
  ["step.lost.", "READY"],
];

export class PartitionCore {
  readonly partition: number;
  readonly groups = new Groups();
  readonly runs = new Map<string, Run>();
  readonly #options: CoreOptions;
  readonly #timers = new TimerQueue<TimerValue>();
  readonly #keying = new Map<string, Set<Run>>();
  readonly #outbox = new Map<number, Set<Run>>();
  readonly #sent = new Map<number, number>();
  readonly #crons = new Map<string, CronEntry>();
  readonly #positions = new Map<string, Position>();
  /** Group events that decisions have brought about and that still have to be fed, in order. */
  readonly #groupEvents: (readonly [Group, GroupEvent])[] = [];
  #settling = false;
  #order = 0;
  #inboxSeq = 0;
  #now = 0;
  #nowIso = { ms: Number.NaN, text: "" };
  #replaying = false;

  #facts: string[] = [];
  #factChars = 0;
  #effects: Effect[] = [];
  #changedSources: Record<string, Position> | undefined = undefined;
  #inboxMoved = false;
  /** Of the snapshot that is being read. */
  #turns: readonly { readonly limit: string; readonly key: string; readonly turns: Turns }[] = [];

  constructor(options: CoreOptions) {
    this.#options = options;
    this.partition = options.partition;
  }

  // ---------------------------------------------------------------- batches

  /** Characters of JSON that the pending batch has so far. */
  get pendingChars(): number {
    return this.#factChars;
  }

  get pending(): boolean {
    return this.#facts.length > 0 || this.#effects.length > 0 || this.#inboxMoved || this.#changedSources !== undefined;
  }

  /** True when there is something for the journal; effects alone (reads) need no append. */
  get dirty(): boolean {
    return this.#facts.length > 0 || this.#inboxMoved || this.#changedSources !== undefined;
  }

  takeBatch(): PendingBatch {
    const batch = { facts: this.#facts, effects: this.#effects, sources: this.#changedSources, inboxSeq: this.#inboxSeq };
    this.#facts = [];
    this.#factChars = 0;
    this.#effects = [];
    this.#changedSources = undefined;
    this.#inboxMoved = false;
    return batch;
  }

  /** Calls back once everything that is decided so far is durable. */
  afterCommit(call: () => void): void {
    this.#effects.push({ type: "call", call });
  }

  get inboxSeq(): number {
    return this.#inboxSeq;
  }

  /** How far each source has been read. */
  get positions(): ReadonlyMap<string, Position> {
    return this.#positions;
  }

  get nextTimerMs(): number | undefined {
    return this.#timers.nextDueMs;
  }

  // ---------------------------------------------------------------- inputs

  /** Sets the time of everything that follows, in ms since the epoch. Never goes back. */
  setTime(nowMs: number): void {
    if (nowMs > this.#now) this.#now = nowMs;
  }

  /** The inbox has been read up to here. */
  readInbox(seq: number): void {
    if (seq <= this.#inboxSeq) return;
    this.#inboxSeq = seq;
    this.#inboxMoved = true;
  }

  /** A run from a source. Returns false when the source repeats itself: it is here already. */
  accept(source: string, position: Position, creation: Creation): boolean {
    const known = this.#positions.get(source);
    if (known !== undefined && comparePositions(position, known) <= 0) return false;
    this.#positions.set(source, position);
    (this.#changedSources ??= {})[source] = position;
    this.create(creation);
    return true;
  }

  create(creation: Creation): void {
    if (this.runs.has(creation.run)) return;
    const scheduled = creation.notBefore !== undefined && creation.notBefore > this.#now;
    const run = new Run(creation, scheduled ? "scheduled" : "keying");
    // While its input is at hand: a large one is let go of as soon as the run waits.
    const keys = keysOf(creation);
    if (!keys.ok) {
      this.#recordCreated(run, "keying", undefined);
      this.#add(run);
      this.#finish(run, "FAILED", "KEY_FAILED", keys.error);
      return;
    }
    if (keys.keys.length > 0) run.rest = { ...run.rest, keys: keys.keys };
    if (scheduled) {
      this.#recordCreated(run, "scheduled", keys.keys);
      this.#add(run);
      this.#change(run, "queued", "QUEUED");
      this.#dropInput(run);
      return;
    }
    this.#route(run, true);
  }

  /** Results from a worker. Those that nobody waits for are counted as false in the answer, and change nothing. */
  result(result: StepResult): boolean {
    const run = this.runs.get(result.run);
    const live = run?.live;
    const attempt = live?.attempts.get(result.step);
    if (run === undefined || live === undefined || attempt === undefined || attempt.id !== result.attemptId || attempt.over) return false;
    const times = { ...(result.startedAt !== undefined && { startedAt: result.startedAt }), ...(result.finishedAt !== undefined && { finishedAt: result.finishedAt }) };
    switch (result.outcome) {
      case "succeeded": {
        const error = this.#outputError(run, result.output);
        if (error === undefined) this.#feed(run, { type: `xstate.done.actor.${result.step}`, output: result.output, ...times });
        else this.#feed(run, { type: `xstate.error.actor.${result.step}`, error, ...times });
        break;
      }
      case "failed":
        this.#feed(run, { type: `xstate.error.actor.${result.step}`, error: result.error, ...times });
        break;
      case "stopped":
        this.#feed(run, { type: `step.stopped.${result.step}`, ...times });
        break;
      case "returned":
        this.#feed(run, { type: `step.returned.${result.step}` });
        break;
    }
    this.#over(attempt);
    return true;
  }

  /** The worker did not take the attempt, or is gone (`lost`): the step wants a worker again. */
  giveBack(runId: string, attemptId: string, how: "returned" | "lost"): void {
    const run = this.runs.get(runId);
    for (const attempt of run?.live?.attempts.values() ?? []) {
      if (run === undefined || attempt.id !== attemptId || attempt.over) continue;
      this.#feed(run, { type: `step.${how}.${attempt.step}` });
      this.#over(attempt);
      return;
    }
  }

  /** A slot was found for a step that waited for one. False when it does not want it any more. */
  assign(step: ReadyStep, worker: string): boolean {
    if (step.run.live?.ready.get(step.step) !== step) return false;
    this.#start(step, worker);
    return true;
  }

  /** Cancels a run; unknown and ended ones are left alone (false). */
  cancel(runId: string, reason = "CANCELLED_BY_USER"): boolean {
    const run = this.runs.get(runId);
    if (run === undefined || run.rest?.moved !== undefined) return false;
    this.#cancel(run, reason, undefined, undefined);
    this.#settle();
    return true;
  }

  setRules(limit: string, rules: LimitRules): void {
    const old = this.groups.rules.get(limit);
    if (old !== undefined && old.maxRuns === rules.maxRuns && old.strategy === rules.strategy) return;
    this.#record({ k: "limit", name: limit, maxRuns: rules.maxRuns, strategy: rules.strategy });
    this.groups.setRules(limit, rules);
    for (const group of this.groups.of(limit)) {
      if (group.context.strategy !== rules.strategy) group.apply((context) => contexts.setStrategy(context, rules.strategy));
      this.#tell(group, { type: "limit.changed", maxRuns: group.settings?.maxRuns ?? rules.maxRuns });
    }
    this.#settle();
  }

  /** Settings of one group by its operators; `maxRuns: null` takes the override back. False when no workflow has such a limit. */
  setGroup(limit: string, key: string, change: { readonly maxRuns?: number | null; readonly paused?: boolean }): boolean {
    if (!this.#ensureRules(limit, undefined)) return false;
    const group = this.groups.open(limit, key);
    this.#record({ k: "group", limit, key, ...change });
    this.#applySettings(group, change);
    if (change.maxRuns !== undefined) this.#tell(group, { type: "limit.changed", maxRuns: this.#maxRuns(group) });
    if (change.paused !== undefined) this.#tell(group, { type: change.paused ? "group.paused" : "group.resumed" });
    this.#settle();
    this.groups.close(group);
    return true;
  }

  /** Answers of a worker to a batch of runs that wait for their keys, in the order of the batch. */
  keyed(answers: readonly ({ readonly run: string; readonly keys: Readonly<Record<number, unknown>> } | { readonly run: string; readonly error: ErrorData })[]): void {
    for (const answer of answers) {
      const run = this.runs.get(answer.run);
      if (run === undefined || run.phase !== "keying" || run.rest?.moved !== undefined) continue;
      this.#keying.get(run.workflow.name)?.delete(run);
      if ("error" in answer) {
        const reason = answer.error.code === "INPUT_INVALID" ? "INPUT_INVALID" : "KEY_FAILED";
        this.#finish(run, "FAILED", reason, answer.error);
        continue;
      }
      const given = run.rest?.keys;
      const keys: string[] = [];
      let failed: ErrorData | undefined;
      for (const [index, limit] of run.workflow.spec.limits.entries()) {
        const key = limit.key.kind === "function" ? checkKey(answer.keys[index]) : checkKey(given?.[index]);
        if (key.ok) keys.push(key.key);
        else failed ??= keyError(limit.name, key.message);
      }
      if (failed === undefined) this.#place(run, keys, false);
      else this.#finish(run, "FAILED", "KEY_FAILED", failed);
      this.#settle();
    }
  }

  /** The next runs of a workflow that wait for their keys, oldest first, all of one version. */
  keyingHead(workflow: string, max: number): Run[] {
    const head: Run[] = [];
    for (const run of this.#keying.get(workflow) ?? []) {
      if (head.length >= max || (head[0] !== undefined && head[0].workflow.spec.version !== run.workflow.spec.version)) break;
      head.push(run);
    }
    return head;
  }

  /** Partition `to` has journaled everything up to `n` of what went there. */
  confirmed(to: number, n: number): void {
    const moved = this.#outbox.get(to);
    let any = false;
    for (const run of moved ?? []) {
      if (run.rest?.moved === undefined || run.rest.moved.n > n) break;
      moved?.delete(run);
      this.runs.delete(run.run);
      any = true;
    }
    if (any) this.#record({ k: "confirmed", to, n });
  }

  /** Fires what is due at the time that was set. */
  fireTimers(max: number): number {
    let fired = 0;
    for (; fired < max; fired++) {
      const timer = this.#timers.takeDue(this.#now);
      if (timer === undefined) break;
      this.#fire(timer.value);
    }
    return fired;
  }

  /** Keeps the crons of a workflow whose home is here: called for its version in force, after registration and recovery. */
  setCrons(workflow: CompiledWorkflow): void {
    const count = workflow.spec.cron.length;
    for (const [id, entry] of this.#crons)
      if (entry.workflow === workflow.name && entry.index >= count) {
        if (entry.timer) this.#timers.remove(entry.timer);
        this.#crons.delete(id);
        this.#record({ k: "cron", wf: entry.workflow, i: entry.index, tick: 0 });
      }
    for (let index = 0; index < count; index++) {
      const id = cronId(workflow.name, index);
      let entry = this.#crons.get(id);
      if (entry === undefined) {
        entry = { workflow: workflow.name, index, tick: this.#now, timer: undefined };
        this.#crons.set(id, entry);
        this.#record({ k: "cron", wf: entry.workflow, i: index, tick: entry.tick });
      }
      this.#armCron(workflow, entry);
    }
  }

  // ---------------------------------------------------------------- a run's way

  /** Finds the partition of a run that is to start now, and the keys that are not known yet. `fresh`: nothing is recorded of it yet. */
  #route(run: Run, fresh: boolean): void {
    const given = run.rest?.keys ?? [];
    if (!given.includes("")) {
      this.#place(run, given, fresh);
      this.#settle();
      return;
    }
    const home = this.#options.placement.homeOf(run.workflow.name);
    if (home !== this.partition) {
      this.#move(run, home, given, fresh);
      return;
    }
    run.phase = "keying";
    if (fresh) {
      this.#recordCreated(run, "keying", given);
      this.#add(run);
      this.#change(run, "queued", "QUEUED");
    } else this.#record({ k: "phase", at: this.#now, run: run.run, phase: "keying" });
    this.#awaitKey(run);
    this.#dropInput(run);
  }

  #place(run: Run, keys: readonly string[], fresh: boolean): void {
    const to = this.#options.placement.partitionOf(run.workflow.spec, run.run, keys);
    if (to !== this.partition && keys.length > 0) this.#move(run, to, keys, fresh);
    else this.#arrive(run, keys, fresh);
  }

  #move(run: Run, to: number, keys: readonly string[], fresh: boolean): void {
    if (fresh) {
      this.#recordCreated(run, "keying", keys);
      this.#add(run);
    }
    const n = (this.#sent.get(to) ?? 0) + 1;
    this.#record({ k: "moved", at: this.#now, run: run.run, to, n, keys });
    this.#noteMoved(run, to, n, keys);
    if (!this.#replaying) this.#effects.push({ type: "handover", to, n, creation: toCreation(run, keys) });
  }

  #noteMoved(run: Run, to: number, n: number, keys: readonly string[]): void {
    this.#keying.get(run.workflow.name)?.delete(run);
    run.phase = "keying";
    run.rest = { ...run.rest, keys, moved: { to, n } };
    this.#sent.set(to, n);
    let moved = this.#outbox.get(to);
    if (moved === undefined) this.#outbox.set(to, (moved = new Set()));
    moved.add(run);
  }

  /** The run comes to its groups, which admit it, let it wait, or refuse it. */
  #arrive(run: Run, keys: readonly string[], fresh: boolean): void {
    const limits = run.workflow.spec.limits;
    if (limits.length === 0) {
      this.#join(run, keys);
      if (fresh) {
        this.#recordCreated(run, "active", undefined);
        this.#add(run);
      } else this.#record({ k: "phase", at: this.#now, run: run.run, phase: "active" });
      this.#activate(run);
      return;
    }
    for (const limit of limits) this.#ensureRules(limit.name, run.workflow);
    this.#join(run, keys);
    const mustWait = run.groups.some((group) => !hasRoom(group.context));
    const refusing = run.gated ? run.groups.find((group) => wouldRefuse(group.context, run, mustWait)) : undefined;
    if (refusing !== undefined) {
      this.#recordArrival(run, "refused", keys, fresh);
      for (const group of run.groups) this.groups.close(group);
      run.groups = [];
      this.#finish(run, "CANCELLED", "CANCELLED_BY_CONCURRENCY_LIMIT", undefined, "full");
      return;
    }
    const [only] = run.groups;
    const settling = this.#settling;
    this.#settling = true;
    if (!run.gated && only !== undefined) {
      const decisions = only.step({ type: "run.arrived", entry: run });
      const admitted = decisions.some((decision) => decision.type === "admit" && decision.params.entry === run);
      const refused = decisions.some((decision) => decision.type === "cancel" && decision.params.entry === run);
      this.#recordArrival(run, admitted ? "active" : refused ? "refused" : "waiting", keys, fresh);
      if (!admitted && !refused) this.#wait(run);
      for (const decision of decisions) this.#decide(only, decision, run);
    } else this.#arriveGated(run, keys, fresh);
    this.#settling = settling;
  }

  /** A run that needs several slots takes all of them or none. */
  #arriveGated(run: Run, keys: readonly string[], fresh: boolean): void {
    // All of its groups learn of the run before a proposal of any of them is answered.
    const decisions = run.groups.map((group) => [group, group.step({ type: "run.arrived", entry: run })] as const);
    const willing = decisions.filter(([, made]) => made.some((decision) => decision.type === "propose"));
    const all = willing.length === run.groups.length;
    this.#recordArrival(run, all ? "active" : "waiting", keys, fresh, all ? undefined : willing.map(([group]) => run.groups.indexOf(group)));
    if (!all) this.#wait(run);
    for (const [group] of willing) this.#follow(group, { type: all ? "run.confirmed" : "run.parked", entry: run });
    for (const [group, made] of decisions) for (const decision of made) if (decision.type !== "propose") this.#decide(group, decision, run);
    if (all) this.#activate(run);
  }

  #join(run: Run, keys: readonly string[]): void {
    const limits = run.workflow.spec.limits;
    run.order = ++this.#order;
    run.groups = limits.map((limit, index) => this.groups.open(limit.name, keys[index] ?? ""));
    run.flow = run.groups[0]?.id ?? run.workflow.name;
    run.gated = run.groups.length > 1;
    if (run.rest?.keys !== undefined) {
      const { keys: _, moved: __, ...rest } = run.rest;
      run.rest = Object.keys(rest).length === 0 ? undefined : rest;
    }
  }

  #recordArrival(run: Run, phase: Phase, keys: readonly string[], fresh: boolean, held: readonly number[] = []): void {
    run.phase = phase;
    if (fresh) {
      this.#recordCreated(run, phase, keys, held);
      this.#add(run);
    } else this.#record({ k: "phase", at: this.#now, run: run.run, phase, keys, ...(held.length > 0 && { held }) });
  }

  #wait(run: Run): void {
    const timeoutMs = run.workflow.spec.scheduleTimeoutMs;
    if (timeoutMs !== undefined) run.timer = this.#timers.add(this.#now + timeoutMs, { kind: "expired", run }, run.order);
    this.#dropInput(run);
    if (!this.#replaying) this.#change(run, "queued", "QUEUED");
  }

  /** Large inputs are read again when they are needed. */
  #dropInput(run: Run): void {
    if (run.input !== undefined && run.input.length > INLINE_INPUT_CHARS && (run.ref !== undefined || run.event !== undefined)) run.input = undefined;
  }

  #admit(run: Run): void {
    this.#record({ k: "admitted", at: this.#now, run: run.run });
    this.#activate(run);
  }

  /** From here on the run is a machine. */
  #activate(run: Run): void {
    if (run.timer !== undefined) {
      this.#timers.remove(run.timer);
      run.timer = undefined;
    }
    run.phase = "active";
    this.#change(run, "admitted", "RUNNING");
    const stepper = run.workflow.stepper;
    const live = new LiveRun(stepper.initialWith({ runId: run.run }).snapshot, this.#now);
    run.live = live;
    const step = stepper.step(live.snapshot, { type: "run.admitted" });
    this.#advance(run, live, step.snapshot, step.actions, step.error);
  }

  /** Feeds an event to the run's machine; what it does not react to leaves no trace, unless it says something to others too (`always`). */
  #feed(run: Run, ev: MachineEvent, always = this.#replaying): void {
    const live = run.live;
    if (live === undefined) return;
    const step = run.workflow.stepper.step(live.snapshot, ev);
    if (!always && step.error === undefined && step.snapshot === live.snapshot && step.actions.length === 0) return;
    this.#record({ k: "event", at: this.#now, run: run.run, ev });
    live.events.push({ at: this.#now, ev });
    this.#observe(run, live, ev);
    this.#advance(run, live, step.snapshot, step.actions, step.error);
  }

  #advance(run: Run, live: LiveRun, snapshot: LiveRun["snapshot"], actions: readonly StepAction[], error: unknown): void {
    if (error !== undefined) {
      this.#finish(run, "FAILED", "MACHINE_FAILED", { ...toErrorData(error), code: "MACHINE_FAILED" });
      this.#settle();
      return;
    }
    live.snapshot = snapshot;
    // A worker may be there at once, and then the machine steps on: not before all that this step has set can be taken back by the next.
    let wanted: string[] | undefined;
    for (const action of actions) {
      switch (action.type) {
        case "timer.set":
          this.#setTimer(run, live, action.params.id, this.#now + action.params.delayMs, action.params.event);
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
    for (const step of wanted ?? []) if (this.runs.get(run.run) === run) this.#want(run, live, step);
    if (snapshot.status !== "active" && this.runs.get(run.run) === run && run.live === live && live.snapshot === snapshot) {
      const description = describeRun(run.workflow.spec, snapshot);
      this.#finish(run, description.status, description.reason, description.error);
      this.#settle();
    }
  }

  /** What an event says of the attempts of its run, by its type. The same live and in recovery. */
  #observe(run: Run, live: LiveRun, ev: MachineEvent): void {
    const { type } = ev;
    if (type.startsWith("step.started.")) {
      const step = type.slice("step.started.".length);
      const before = live.attempts.get(step);
      if (before !== undefined) this.#over(before);
      live.ready.delete(step);
      live.executions++;
      live.attempts.set(step, {
        id: String(ev["attemptId"]),
        step,
        worker: String(ev["worker"]),
        number: Number(ev["attempt"]),
        assignedAt: this.#now,
        over: false,
      });
      this.#change(run, live.started ? "step" : "started", "RUNNING", step, "RUNNING");
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
    attempt.finishedAt = typeof ev["finishedAt"] === "number" ? ev["finishedAt"] : this.#now;
    this.#over(attempt);
    this.#change(run, "step", "RUNNING", step, status, status === "FAILED" ? (ev["error"] as ErrorData) : undefined);
  }

  #want(run: Run, live: LiveRun, step: string): void {
    const before = live.attempts.get(step);
    if (before !== undefined) this.#over(before);
    const ready: ReadyStep = { partition: this.partition, run, step, handler: `${run.workflow.name} ${step}`, priority: run.priority, order: run.groups.length === 0 ? run.createdAt : run.order, flow: run.flow, since: this.#now };
    live.ready.set(step, ready);
    if (this.#replaying) return;
    const worker = this.#options.slots.request(ready);
    if (worker !== undefined) this.#start(ready, worker);
  }

  /** The step's wish for a worker, or its attempt, is over: done, or given up after the grace. */
  #unwant(live: LiveRun, step: string): void {
    const attempt = live.attempts.get(step);
    if (attempt !== undefined) this.#over(attempt);
    const ready = live.ready.get(step);
    if (ready === undefined) return;
    live.ready.delete(step);
    if (!this.#replaying) this.#options.slots.withdraw(ready);
  }

  #start(ready: ReadyStep, worker: string): void {
    const { run, step } = ready;
    const live = run.live;
    if (live === undefined) return;
    const number = stepAttempts(live, step) + 1;
    const attemptId = `${run.run}.${step}.${live.executions + 1}`;
    this.#feed(run, { type: `step.started.${step}`, worker, attemptId, attempt: number });
    const attempt = live.attempts.get(step);
    if (attempt?.id === attemptId) {
      this.#options.slots.adopt(attempt, run, false);
      this.#effects.push({ type: "assign", run, attempt });
    } else this.#options.slots.unreserve(worker);
  }

  #stop(run: Run, live: LiveRun, step: string): void {
    const attempt = live.attempts.get(step);
    if (attempt === undefined || attempt.over || this.#replaying) return;
    const context = live.snapshot.context as { ending?: { reason?: string } | null };
    this.#effects.push({ type: "stop", run, attempt, reason: context.ending?.reason ?? "STEP_TIMED_OUT" });
  }

  /** The attempt's slot is free. */
  #over(attempt: Attempt): void {
    if (attempt.over) return;
    attempt.over = true;
    if (!this.#replaying) this.#options.slots.release(attempt);
  }

  #setTimer(run: Run, live: LiveRun, id: string, dueMs: number, event: MachineEvent): void {
    this.#cancelTimer(live, id);
    // By the order of the runs: a snapshot does not tell which of two timers was set first.
    live.timers.set(id, this.#timers.add(dueMs, { kind: "machine", run, id, event }, run.order));
  }

  #cancelTimer(live: LiveRun, id: string): void {
    const timer = live.timers.get(id);
    if (timer === undefined) return;
    live.timers.delete(id);
    this.#timers.remove(timer);
  }

  #fire(value: TimerValue): void {
    switch (value.kind) {
      case "machine":
        value.run.live?.timers.delete(value.id);
        this.#feed(value.run, value.event);
        return;
      case "scheduled":
        value.run.timer = undefined;
        this.#route(value.run, false);
        return;
      case "expired":
        value.run.timer = undefined;
        this.#finish(value.run, "CANCELLED", "SCHEDULING_TIMED_OUT");
        this.#settle();
        return;
      case "cron":
        this.#tick(value.workflow, value.index);
        return;
    }
  }

  #cancel(run: Run, reason: string, cause: string | undefined, by: string | undefined): void {
    if (run.live === undefined) {
      this.#finish(run, "CANCELLED", reason, undefined, cause, by);
      return;
    }
    // A run that is ending anyway ignores this, but its groups don't: recovery has to learn of it.
    const news = run.groups.some((group) => !group.context.stopping.has(run));
    for (const group of run.groups) this.#tell(group, { type: "run.stopping", entry: run });
    this.#feed(run, { type: "run.cancelled", reason, ...(cause !== undefined && { cause }), ...(by !== undefined && { by }) }, news);
  }

  /** The run has ended: it leaves memory, and its slots are free. */
  #finish(run: Run, status: RunStatus, reason?: string, error?: ErrorData, cause?: string, by?: string): void {
    if (this.runs.get(run.run) !== run) return;
    this.#record({
      k: "finished",
      at: this.#now,
      run: run.run,
      status,
      ...(reason !== undefined && { reason }),
      ...(error !== undefined && { error }),
      ...(cause !== undefined && { cause }),
      ...(by !== undefined && { by }),
    });
    this.#change(run, FINAL[status as keyof typeof FINAL], status, undefined, undefined, error, reason);
    this.#remove(run);
  }

  #remove(run: Run): void {
    this.runs.delete(run.run);
    this.#keying.get(run.workflow.name)?.delete(run);
    if (run.timer !== undefined) {
      this.#timers.remove(run.timer);
      run.timer = undefined;
    }
    const { live } = run;
    if (live !== undefined) {
      for (const timer of live.timers.values()) this.#timers.remove(timer);
      live.timers.clear();
      for (const step of live.ready.keys()) this.#unwant(live, step);
      for (const attempt of live.attempts.values()) this.#over(attempt);
    }
    const held = run.phase === "active";
    for (const group of run.groups) {
      if (!this.#replaying) this.#tell(group, held ? { type: "run.released", entry: run } : { type: "run.withdrawn", entry: run });
      else {
        group.apply((context) => (held ? contexts.release(context, run) : contexts.withdraw(context, run)));
        this.groups.close(group);
      }
    }
  }

  // ---------------------------------------------------------------- groups

  #tell(group: Group, event: GroupEvent): void {
    this.#groupEvents.push([group, event]);
  }

  /** Feeds what has come up for groups until nothing is left. Not re-entrant: decisions take effect in their order. */
  #settle(): void {
    if (this.#settling) return;
    this.#settling = true;
    try {
      for (;;) {
        const next = this.#groupEvents.shift();
        if (next === undefined) break;
        const [group, event] = next;
        for (const decision of group.step(event)) this.#decide(group, decision, undefined);
        this.groups.close(group);
      }
    } finally {
      this.#settling = false;
    }
  }

  #decide(group: Group, decision: StepAction, newcomer: Run | undefined): void {
    if (decision.params === undefined) return;
    const run = decision.params.entry as Run;
    switch (decision.type) {
      case "admit":
        if (run === newcomer) this.#activate(run);
        else this.#admit(run);
        return;
      case "propose":
        this.#answer(group, run);
        return;
      case "cancel": {
        const { active, cause, by } = decision.params as { active: boolean; cause: string; by?: string };
        if (active) {
          for (const other of run.groups) if (other !== group) this.#tell(other, { type: "run.stopping", entry: run });
          this.#feed(run, { type: "run.cancelled", reason: "CANCELLED_BY_CONCURRENCY_LIMIT", cause, ...(by !== undefined && { by }) }, true);
        } else {
          // This group has let it go already.
          run.groups = run.groups.filter((other) => other !== group);
          this.#finish(run, "CANCELLED", "CANCELLED_BY_CONCURRENCY_LIMIT", undefined, cause, by);
        }
        return;
      }
    }
  }

  /** A group would admit a run that needs other limits too: all of them or none. */
  #answer(group: Group, run: Run): void {
    if (this.runs.get(run.run) !== run) {
      // Another of its groups has just cancelled it.
      this.#follow(group, { type: "run.withdrawn", entry: run });
      return;
    }
    const full = run.groups.find((other) => other !== group && !hasRoom(other.context));
    if (full === undefined) {
      for (const other of run.groups) if (other !== group) this.#follow(other, { type: "run.taken", entry: run });
      this.#follow(group, { type: "run.confirmed", entry: run });
      this.#admit(run);
      return;
    }
    this.#record({ k: "parked", at: this.#now, run: run.run, by: run.groups.indexOf(group), for: run.groups.indexOf(full) });
    this.#follow(full, { type: "run.offered", entry: run });
    this.#follow(group, { type: "run.parked", entry: run });
  }

  #follow(group: Group, event: GroupEvent): void {
    for (const decision of group.step(event)) this.#decide(group, decision, undefined);
  }

  #ensureRules(limit: string, workflow: CompiledWorkflow | undefined): boolean {
    if (this.groups.rules.has(limit)) return true;
    const rules = this.#options.rulesOf(limit) ?? workflow?.spec.limits.find((spec) => spec.name === limit);
    if (rules === undefined) return false;
    this.#record({ k: "limit", name: limit, maxRuns: rules.maxRuns, strategy: rules.strategy });
    this.groups.setRules(limit, { maxRuns: rules.maxRuns, strategy: rules.strategy });
    return true;
  }

  #applySettings(group: Group, change: { readonly maxRuns?: number | null; readonly paused?: boolean }): void {
    const { maxRuns, paused } = { ...group.settings, ...change };
    const settings = { ...(maxRuns !== undefined && maxRuns !== null && { maxRuns }), ...(paused === true && { paused }) };
    group.settings = Object.keys(settings).length === 0 ? undefined : settings;
  }

  #maxRuns(group: Group): number {
    return group.settings?.maxRuns ?? this.groups.rules.get(group.limit)?.maxRuns ?? group.context.maxRuns;
  }

  // ---------------------------------------------------------------- cron

  #armCron(workflow: CompiledWorkflow, entry: CronEntry): void {
    if (entry.timer !== undefined) this.#timers.remove(entry.timer);
    // A tick that was missed while no engine ran is not made up for: the next one counts from now.
    const next = this.#options.nextTick(workflow, entry.index, Math.max(entry.tick, this.#now));
    entry.timer = next === undefined ? undefined : this.#timers.add(next, { kind: FUTURE_TICKS, workflow: entry.workflow, index: entry.index });
  }

  #tick(name: string, index: number): void {
    const entry = this.#crons.get(cronId(name, index));
    const workflow = this.#options.workflows.latest(name);
    const cron = workflow?.spec.cron[index];
    if (entry === undefined || workflow === undefined || cron === undefined) return;
    const due = entry.timer?.dueMs ?? this.#now;
    entry.timer = undefined;
    entry.tick = due;
    this.#record({ k: "cron", wf: name, i: index, tick: due });
    this.create({ run: this.#options.newRunId(this.#now), workflow, createdAt: this.#now, input: JSON.stringify(cron.input ?? {}), metadata: { cron: cron.expression, tick: new Date(due).toISOString() } });
    this.#armCron(workflow, entry);
  }

  // ---------------------------------------------------------------- facts

  #add(run: Run): void {
    this.runs.set(run.run, run);
    if (run.phase === "scheduled") run.timer = this.#timers.add(run.rest?.notBefore ?? this.#now, { kind: "scheduled", run });
  }

  #awaitKey(run: Run): void {
    let queue = this.#keying.get(run.workflow.name);
    if (queue === undefined) this.#keying.set(run.workflow.name, (queue = new Set()));
    queue.add(run);
    if (!this.#replaying) this.#effects.push({ type: "keys", workflow: run.workflow });
  }

  #record(fact: Fact): void {
    if (this.#replaying) return;
    this.#push(JSON.stringify(fact));
  }

  #push(text: string): void {
    this.#facts.push(text);
    this.#factChars += text.length + 1;
  }

  /** The input is a JSON text already and is put in as it is. */
  #recordCreated(run: Run, phase: Phase, keys: readonly string[] | undefined, held?: readonly number[]): void {
    if (this.#replaying) return;
    const fact = JSON.stringify(createdFact(run, phase, keys, this.#now, held));
    const large = run.input !== undefined && run.input.length > INLINE_INPUT_CHARS && (run.ref !== undefined || run.event !== undefined);
    this.#push(run.input === undefined || large ? fact : `${fact.slice(0, -1)},"input":${run.input}}`);
  }

  #change(run: Run, change: RunChange, status: RunStatus, step?: string, stepStatus?: StepStatus, error?: ErrorData, reason?: string): void {
    if (this.#replaying) return;
    let outputs: Readonly<Record<string, unknown>> | undefined;
    if (change === "succeeded" && run.live !== undefined) outputs = outputsOf(run.live.snapshot.context as RunContext);
    const attempt = step === undefined ? undefined : run.live?.attempts.get(step)?.number;
    if (this.#nowIso.ms !== this.#now) this.#nowIso = { ms: this.#now, text: new Date(this.#now).toISOString() };
    // Several for every run: spreading each field that may be absent would cost more than all else here.
    const message: { -readonly [K in keyof RunChangeMessage]: RunChangeMessage[K] } = { id: run.run, workflow: run.workflow.name, change, at: this.#nowIso.text, status };
    if (reason !== undefined) message.reason = reason;
    if (step !== undefined) message.step = step;
    if (stepStatus !== undefined) message.stepStatus = stepStatus;
    if (attempt !== undefined) message.attempt = attempt;
    if (outputs !== undefined) message.outputs = outputs;
    if (error !== undefined) message.error = error;
    this.#effects.push({ type: "change", run, message });
  }

  #outputError(run: Run, output: unknown): ErrorData | undefined {
    // Only large ones are measured: workers refuse what alone is too large.
    const steps = (run.live?.snapshot.context as { steps?: Record<string, { output?: unknown }> } | undefined)?.steps ?? {};
    if (Object.keys(steps).length < 2) return undefined;
    let bytes = jsonBytes(output);
    if (bytes < 4096) return undefined;
    for (const step of Object.values(steps)) if (step.output !== undefined) bytes += jsonBytes(step.output);
    const max = this.#options.maxOutputBytes;
    if (bytes <= max) return undefined;
    return { name: "OutputTooLargeError", code: "OUTPUT_TOO_LARGE", retryable: false, message: `expected the outputs of a run to take at most ${max} bytes of JSON together, got ${bytes}` };
  }

  describe(run: Run): RunDescription | undefined {
    return run.live === undefined ? undefined : describeRun(run.workflow.spec, run.live.snapshot);
  }

  // ---------------------------------------------------------------- recovery

  /** Applies what a journal message says. */
  replayBatch(batch: { readonly in: number; readonly src?: Readonly<Record<string, Position>>; readonly f: readonly Fact[] }): void {
    const now = this.#now;
    this.#replaying = true;
    try {
      for (const fact of batch.f) this.#replay(fact);
      if (batch.in > this.#inboxSeq) this.#inboxSeq = batch.in;
      for (const [source, position] of Object.entries(batch.src ?? {})) this.#positions.set(source, position);
    } finally {
      this.#replaying = false;
      this.setTime(now);
    }
  }

  #replay(fact: Fact): void {
    if ("at" in fact) this.#now = fact.at;
    switch (fact.k) {
      case "created":
        this.#replayCreated(fact);
        return;
      case "limit":
        this.groups.setRules(fact.name, { maxRuns: fact.maxRuns, strategy: fact.strategy });
        for (const group of this.groups.of(fact.name))
          group.apply((context) => contexts.setMaxRuns(contexts.setStrategy(context, fact.strategy), this.#maxRuns(group)));
        return;
      case "group":
        this.#replaySettings(fact.limit, fact.key, fact);
        return;
      case "confirmed":
        this.confirmed(fact.to, fact.n);
        return;
      case "cron":
        if (fact.tick === 0) this.#crons.delete(cronId(fact.wf, fact.i));
        else this.#crons.set(cronId(fact.wf, fact.i), { workflow: fact.wf, index: fact.i, tick: fact.tick, timer: undefined });
        return;
      default: {
        const run = this.runs.get(fact.run);
        if (run !== undefined) this.#replayOf(run, fact);
      }
    }
  }

  #replayOf(run: Run, fact: Exclude<Fact, { k: "created" | "limit" | "group" | "confirmed" | "cron" }>): void {
    switch (fact.k) {
      case "phase":
        if (run.timer !== undefined) this.#timers.remove(run.timer);
        run.timer = undefined;
        this.#keying.get(run.workflow.name)?.delete(run);
        run.phase = fact.phase;
        if (fact.phase === "keying") this.#awaitKey(run);
        else this.#replayArrival(run, fact.keys ?? [], fact.held);
        return;
      case "admitted":
        for (const group of run.groups) group.apply((context) => contexts.admit(context, run));
        this.#activate(run);
        return;
      case "parked":
        run.groups[fact.for]?.apply((context) => contexts.offer(context, run));
        run.groups[fact.by]?.apply((context) => contexts.hold(context, run));
        return;
      case "event":
        if (fact.ev.type === "run.cancelled") for (const group of run.groups) group.apply((context) => contexts.markStopping(context, run));
        this.#feed(run, fact.ev);
        return;
      case "moved":
        if (run.timer !== undefined) this.#timers.remove(run.timer);
        run.timer = undefined;
        this.#noteMoved(run, fact.to, fact.n, fact.keys);
        return;
      case "finished":
        this.#remove(run);
        return;
    }
  }

  #replayCreated(fact: CreatedFact): void {
    const workflow = this.#options.workflows.get(fact.wf, fact.ver);
    if (workflow === undefined) throw new Error(`workflow "${fact.wf}" is not known in version ${fact.ver}`);
    const run = new Run(
      {
        run: fact.run,
        workflow,
        createdAt: fact.born ?? fact.at,
        ...(fact.input !== undefined && { input: JSON.stringify(fact.input) }),
        ...(fact.ref !== undefined && { ref: fact.ref }),
        ...(fact.pri !== undefined && { priority: fact.pri }),
        ...(fact.meta !== undefined && { metadata: fact.meta }),
        ...(fact.ev !== undefined && { event: fact.ev }),
        ...(fact.due !== undefined && { notBefore: fact.due }),
        ...(fact.replayOf !== undefined && { replayOf: fact.replayOf }),
        ...(fact.tp !== undefined && { traceparent: fact.tp }),
      },
      fact.phase,
    );
    this.#add(run);
    if (fact.phase === "scheduled" || fact.phase === "keying") {
      if (fact.keys !== undefined) run.rest = { ...run.rest, keys: fact.keys };
      if (fact.phase === "keying") this.#awaitKey(run);
      return;
    }
    this.#replayArrival(run, fact.keys ?? [], fact.held);
  }

  #replayArrival(run: Run, keys: readonly string[], held: readonly number[] = []): void {
    if (run.phase === "refused") {
      // No group has taken it in.
      this.#order++;
      return;
    }
    const active = run.phase === "active";
    this.#join(run, keys);
    for (const [index, group] of run.groups.entries())
      group.apply((context) => (active ? contexts.admit(context, run) : held.includes(index) ? contexts.hold(context, run) : contexts.enqueue(context, run)));
    if (active) this.#activate(run);
    else this.#wait(run);
  }

  #replaySettings(limit: string, key: string, change: { readonly maxRuns?: number | null; readonly paused?: boolean }): void {
    if (!this.groups.rules.has(limit)) return;
    const group = this.groups.open(limit, key);
    this.#applySettings(group, change);
    group.apply((context) => contexts.setPaused(contexts.setMaxRuns(context, this.#maxRuns(group)), group.settings?.paused ?? false));
    this.groups.close(group);
  }

  /** The last sequence of this partition's stream up to which no run needs the inbox any more, `seq` at most. */
  oldestInboxRef(stream: string, seq: number): number {
    let last = seq;
    for (const { ref } of this.runs.values()) if (ref !== undefined && ref.stream === stream && ref.seq <= last) last = ref.seq - 1;
    return last;
  }

  /** The first event whose payload a live run still reads from the stream. */
  oldestEventRef(): number {
    let first = Number.MAX_SAFE_INTEGER;
    for (const { event, input } of this.runs.values()) if (event !== undefined && event.seq < first && (input === undefined || input.length > INLINE_INPUT_CHARS)) first = event.seq;
    return first;
  }

  /** After the last replayed fact: takes up again what waits for workers, keys and other partitions. */
  resume(): void {
    for (const run of this.runs.values()) {
      const { live } = run;
      if (live === undefined) continue;
      for (const attempt of live.attempts.values()) if (!attempt.over) this.#options.slots.adopt(attempt, run, true);
    }
    // Groups whose policy has more to say than was recorded (a batch that was lost) decide now.
    for (const group of [...this.groups]) this.#tell(group, { type: "limit.changed", maxRuns: this.#maxRuns(group) });
    this.#settle();
    const waiting = [...this.runs.values()].filter((run) => run.live !== undefined && run.live.ready.size > 0).sort((a, b) => a.order - b.order);
    for (const run of waiting)
      for (const ready of [...(run.live?.ready.values() ?? [])]) {
        if (ready.run.live?.ready.get(ready.step) !== ready) continue;
        const worker = this.#options.slots.request(ready);
        if (worker !== undefined) this.#start(ready, worker);
      }
    for (const queue of this.#keying.values()) {
      const [first] = queue;
      if (first !== undefined) this.#effects.push({ type: "keys", workflow: first.workflow });
    }
    for (const [to, moved] of this.#outbox)
      for (const run of moved)
        if (run.rest?.moved !== undefined) this.#effects.push({ type: "handover", to, n: run.rest.moved.n, creation: toCreation(run, run.rest.keys ?? []) });
  }

  // ---------------------------------------------------------------- snapshots

  /** The whole state as JSON lines; `replaySnapshot` of them gives it back. */
  *snapshotLines(): Generator<string> {
    const settings = [...this.groups].filter((group) => group.settings !== undefined);
    const head: SnapshotLine = {
      s: "head",
      v: 1,
      in: this.#inboxSeq,
      src: Object.fromEntries(this.#positions),
      order: this.#order,
      outbox: Object.fromEntries(this.#sent),
      limits: [...this.groups.rules].map(([name, rules]) => ({ name, ...rules })),
      groups: settings.map((group) => ({ limit: group.limit, key: group.key, ...group.settings })),
      crons: [...this.#crons.values()].map((entry) => ({ wf: entry.workflow, i: entry.index, tick: entry.tick })),
      turns: [...this.groups].flatMap((group) => {
        const turns = contexts.turnsOf(group.context);
        return turns === undefined ? [] : [{ limit: group.limit, key: group.key, turns }];
      }),
    };
    yield JSON.stringify(head);
    for (const run of this.#inOrder()) yield snapshotLine(run);
  }

  /** Those that have yet to arrive in the order in which they will go on, then all others in the order of their arrival. */
  #inOrder(): Run[] {
    const scheduled: Run[] = [];
    const arrived: Run[] = [];
    for (const run of this.runs.values())
      if (run.phase === "scheduled") scheduled.push(run);
      else if (run.phase !== "keying") arrived.push(run);
    const keying = [...this.#keying.values()].flatMap((queue) => [...queue]);
    const moved = [...this.#outbox.values()].flatMap((queue) => [...queue]);
    return [...scheduled, ...keying, ...moved, ...arrived.sort((a, b) => a.order - b.order)];
  }

  /** Applies the lines of a snapshot, the head first. */
  replaySnapshotLine(line: SnapshotLine): void {
    this.#replaying = true;
    try {
      if (line.s === "head") {
        if (line.v !== 1) throw new TypeError(`expected a snapshot of version 1, got ${String(line.v)}`);
        this.#inboxSeq = line.in;
        for (const [source, position] of Object.entries(line.src)) this.#positions.set(source, position);
        this.#order = line.order;
        for (const [to, n] of Object.entries(line.outbox)) this.#sent.set(Number(to), n);
        for (const limit of line.limits) this.groups.setRules(limit.name, { maxRuns: limit.maxRuns, strategy: limit.strategy });
        for (const group of line.groups) this.#replaySettings(group.limit, group.key, group);
        for (const cron of line.crons) this.#crons.set(cronId(cron.wf, cron.i), { workflow: cron.wf, index: cron.i, tick: cron.tick, timer: undefined });
        this.#turns = line.turns;
        return;
      }
      const next = this.#order;
      const now = this.#now;
      this.#now = line.created.at;
      this.#order = line.order - 1;
      this.#replayCreated(line.created);
      this.#order = next;
      const run = this.runs.get(line.created.run);
      if (run !== undefined) {
        if (line.moved !== undefined) this.#noteMoved(run, line.moved.to, line.moved.n, line.created.keys ?? []);
        for (const { at, ev } of line.events ?? []) {
          this.#now = at;
          this.#replayOf(run, { k: "event", at, run: run.run, ev });
        }
      }
      this.setTime(now);
    } finally {
      this.#replaying = false;
    }
  }

  /** After the last line of a snapshot: the turns between flows, which the runs alone don't tell. */
  endSnapshot(): void {
    for (const { limit, key, turns } of this.#turns) {
      const group = this.groups.find(limit, key);
      if (group !== undefined) group.apply((context) => contexts.restoreContext({ ...context, turns }));
    }
    this.#turns = [];
  }

}

/** What is recorded of a run that comes; without its input, which is put in as text. */
function createdFact(run: Run, phase: Phase, keys: readonly string[] | undefined, atMs: number, held: readonly number[] = []): CreatedFact {
  const ref = run.ref ?? undefined;
  const inline = run.input !== undefined && run.input.length <= INLINE_INPUT_CHARS;
  return {
    k: "created",
    at: atMs,
    run: run.run,
    wf: run.workflow.name,
    ver: run.workflow.spec.version,
    phase,
    ...(run.priority !== 0 && { pri: run.priority }),
    ...(keys !== undefined && keys.length > 0 && { keys }),
    ...(held.length > 0 && { held }),
    ...(ref !== undefined && !inline && { ref }),
    ...(run.rest?.metadata !== undefined && { meta: run.rest.metadata }),
    ...(run.event !== undefined && { ev: run.event }),
    ...(run.rest?.notBefore !== undefined && { due: run.rest.notBefore }),
    ...(run.createdAt !== atMs && { born: run.createdAt }),
    ...(run.rest?.replayOf !== undefined && { replayOf: run.rest.replayOf }),
    ...(run.rest?.traceparent !== undefined && { tp: run.rest.traceparent }),
  };
}

function snapshotLine(run: Run): string {
  const { live } = run;
  const moved = run.rest?.moved;
  const keys = run.groups.length > 0 ? run.keys : run.rest?.keys;
  const waitingSince = run.timer?.value.kind === "expired" ? run.timer.dueMs - (run.workflow.spec.scheduleTimeoutMs ?? 0) : run.createdAt;
  const held = run.gated ? run.groups.flatMap((group, index) => (group.context.held.has(run) ? [index] : [])) : [];
  const fact = JSON.stringify(createdFact(run, run.phase, keys, live?.admittedAt ?? waitingSince, held));
  const small = run.input !== undefined && (run.input.length <= INLINE_INPUT_CHARS || (run.ref === undefined && run.event === undefined));
  const line: RunSnapshot = {
    created: null as unknown as CreatedFact,
    order: run.order,
    ...(live !== undefined && live.events.length > 0 && { events: live.events }),
    ...(moved !== undefined && { moved }),
  };
  const { created: _, ...others } = line;
  const created = small ? `${fact.slice(0, -1)},"input":${run.input}}` : fact;
  return `{"s":"run","created":${created},${JSON.stringify(others).slice(1)}`;
}

function toCreation(run: Run, keys: readonly string[]): Creation {
  const { metadata, notBefore, replayOf, traceparent } = run.rest ?? {};
  return {
    run: run.run,
    workflow: run.workflow,
    createdAt: run.createdAt,
    ...(run.input !== undefined && { input: run.input }),
    ...(run.ref !== undefined && { ref: run.ref }),
    keys,
    priority: run.priority,
    ...(metadata !== undefined && { metadata }),
    ...(run.event !== undefined && { event: run.event }),
    ...(notBefore !== undefined && { notBefore }),
    ...(replayOf !== undefined && { replayOf }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** The keys of a run by index of the limit, as they were given or as they can be computed; "" where a worker has to. */
function keysOf({ workflow, input, metadata, event, keys }: Creation): ReturnType<typeof computeKeys> {
  return keys?.length === workflow.spec.limits.length ? { ok: true, keys } : computeKeys(workflow, input, metadata, event);
}

/** The keys of a run by index of the limit; "" where a worker has to compute it. `payload`: the input, where it was parsed already. */
export function computeKeys(
  workflow: CompiledWorkflow,
  input: string | undefined,
  metadata: Readonly<Record<string, unknown>> | undefined,
  event: { readonly name: string; readonly seq: number } | undefined,
  payload?: unknown,
): { readonly ok: true; readonly keys: readonly string[] } | { readonly ok: false; readonly error: ErrorData } {
  const keys: string[] = [];
  const variables = { input: payload ?? (input === undefined ? {} : (JSON.parse(input) as unknown)), metadata: metadata ?? {}, event: event ?? {} };
  for (const [index, expression] of workflow.keys.entries()) {
    const limit = workflow.spec.limits[index]?.name ?? "";
    if (expression === undefined) {
      keys.push("");
      continue;
    }
    try {
      const key = checkKey(expression(variables));
      if (!key.ok) return { ok: false, error: keyError(limit, key.message) };
      keys.push(key.key);
    } catch (thrown) {
      return { ok: false, error: keyError(limit, toErrorData(thrown).message) };
    }
  }
  return { ok: true, keys };
}

function keyError(limit: string, message: string): ErrorData {
  return { name: "KeyError", code: "KEY_FAILED", message: `key of limit "${limit}": ${message}`, retryable: false };
}

function cronId(workflow: string, index: number): string {
  return `${workflow} ${index}`;
}

function stepAttempts(live: LiveRun, step: string): number {
  const context = live.snapshot.context as { readonly steps?: Readonly<Record<string, { readonly attempt?: number } | undefined>> };
  return context.steps?.[step]?.attempt ?? 0;
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? "null");
}
