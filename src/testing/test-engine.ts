/**
 * One life of the engine in the test kit: the real partitions, dispatcher and keyer over a store in memory. A crash drops it all; the
 * next life recovers from the store. It carries out effects by plain calls to workers.
 */
import type { Logger } from "pino";
import type { Clock } from "../clock.ts";
import type { Effect } from "../engine/core/batch-builder.ts";
import { nextTick } from "../engine/cron-ticks.ts";
import { Dispatcher, type HeldAttempt } from "../engine/dispatcher.ts";
import { decodeBatch, type SnapshotLine } from "../engine/facts.ts";
import type { LimitRules } from "../engine/group.ts";
import { Keyer } from "../engine/keyer.ts";
import { assignmentJson, payloadJson } from "../engine/outbound.ts";
import { type EffectHandler, type Journal, Partition } from "../engine/partition.ts";
import { PartitionCore } from "../engine/partition-core.ts";
import type { Placement } from "../engine/placement.ts";
import { toCreation } from "../engine/routing.ts";
import type { CompiledWorkflow, Workflows } from "../engine/workflows.ts";
import type { RunChangeMessage } from "../protocol/view.ts";
import type { Assignment, WorkMessage } from "../protocol/work.ts";
import { EVENTS_STREAM, type InboxEntry, type MemoryStore, type RoutedCreation } from "./memory-store.ts";
import { MAX_PAYLOAD, type TestWorker } from "./test-worker.ts";

export interface TestEngineOptions {
  readonly store: MemoryStore;
  readonly clock: Clock;
  readonly workflows: Workflows;
  readonly placement: Placement;
  readonly rules: ReadonlyMap<string, LimitRules>;
  readonly workers: ReadonlyMap<string, TestWorker>;
  readonly newRunId: () => string;
  readonly snapshotEvery: number;
  /** A journal message is stored. */
  readonly committed: (partition: number, text: string) => void;
  readonly changed: (change: RunChangeMessage) => void;
  readonly onActivity: () => void;
  readonly logger: Logger;
}

type Stop = Extract<WorkMessage, { readonly type: "stop" }>["attempts"][number];

export class TestEngine {
  readonly partitions: readonly Partition[];
  readonly dispatcher: Dispatcher;
  readonly #options: TestEngineOptions;
  readonly #keyer: Keyer;
  #stopped = false;

  constructor(options: TestEngineOptions) {
    this.#options = options;
    const { clock, logger, store } = options;
    this.dispatcher = new Dispatcher(
      {
        self: () => "test",
        ownership: { epochOf: () => 1, all: true },
        offer: (step, worker, refused) => this.partitions[step.partition]?.enqueue({ type: "assign", step, worker, refused }),
        giveBack: (held) => this.#giveBack(held, "returned"),
        // Messages in memory are neither late nor lost, so a worker never executes what is over.
        ask: () => undefined,
        stop: () => undefined,
        // Results that were stored before are in front of this.
        missing: (held) => this.#giveBack(held, "returned"),
        lost: (held) => {
          for (const one of held) this.#giveBack(one, "lost");
        },
        now: clock.now,
      },
      logger,
    );
    this.dispatcher.setCoordinator("test");
    this.#keyer = new Keyer({
      dispatcher: this.dispatcher,
      ask: (worker, message) => {
        const asked = options.workers.get(worker);
        if (asked === undefined) return Promise.reject(new Error(`there is no worker ${worker}`));
        return asked.keys(JSON.parse(message) as Extract<WorkMessage, { readonly type: "keys" }>);
      },
      payloadOf: (run) => payloadJson(run, { eventsStream: EVENTS_STREAM }),
      logger,
      setTimer: clock.setTimer,
    });
    this.partitions = store.partitions.map((_, number) => this.#recover(number));
  }

  /** Takes up work: what is stored and not applied yet comes first. */
  start(): void {
    const { store, workers, workflows, rules } = this.#options;
    for (const partition of this.partitions) partition.start(store.partition(partition.number).journal.length);
    for (const [limit, rule] of rules) this.setRules(limit, rule);
    for (const workflow of workflows.all) this.setCrons(workflow);
    for (const partition of this.partitions) {
      const { inbox, routed } = store.partition(partition.number);
      for (const creation of [...routed]) this.deliver(partition.number, creation);
      for (const entry of [...inbox.values()]) this.command(partition.number, entry);
    }
    for (const worker of workers.values())
      if (worker.mode !== "dead" && worker.mode !== "stopped") this.dispatcher.report(worker.status({ withAttempts: true }));
  }

  /** Everything in memory is gone. */
  crash(): void {
    this.#stopped = true;
    this.#keyer.stop();
    for (const partition of this.partitions) partition.abandon();
  }

  /** Finishes what is in flight and writes snapshots. */
  async stop(): Promise<void> {
    await Promise.all(this.partitions.map((partition) => partition.stop()));
    this.#stopped = true;
    this.#keyer.stop();
  }

  deliver(partition: number, routed: RoutedCreation): void {
    const { position, creation } = routed;
    const { store } = this.#options;
    this.partitions[partition]?.enqueue({
      type: "creation",
      source: "events",
      position,
      creation,
      accepted: () => store.partition(partition).routed.delete(routed),
    });
  }

  command(partition: number, { seq, command, applied }: InboxEntry): void {
    const { store, workflows, clock } = this.#options;
    this.partitions[partition]?.enqueue({
      type: "command",
      seq,
      command,
      bytes: 0,
      toCreation: (create) => {
        const workflow = workflows.get(create.workflow, create.version);
        return workflow && toCreation(create, workflow, { stream: `p${partition}`, seq }, clock.now());
      },
      applied: () => {
        store.partition(partition).inbox.delete(seq);
        applied();
      },
    });
  }

  setRules(limit: string, rules: LimitRules): void {
    for (const partition of this.partitions)
      if (partition.core.groups.rules.has(limit)) partition.enqueue({ type: "rules", limit, rules });
  }

  setCrons(workflow: CompiledWorkflow): void {
    this.partitions[this.#options.placement.homeOf(workflow.name)]?.enqueue({ type: "crons", workflow });
  }

  #giveBack(held: HeldAttempt, how: "returned" | "lost"): void {
    this.partitions[held.partition]?.enqueue({ type: "give back", run: held.run.run, attemptId: held.attempt.id, how });
  }

  #recover(number: number): Partition {
    const { store, clock, workflows, placement, rules, newRunId, snapshotEvery, logger } = this.#options;
    const stored = store.partition(number);
    const core = new PartitionCore({
      partition: number,
      workflows,
      placement,
      slots: this.dispatcher.slotsFor(number),
      rulesOf: (limit) => rules.get(limit),
      nextTick,
      newRunId,
      maxOutputBytes: MAX_PAYLOAD / 2,
    });
    for (const line of stored.snapshot?.lines ?? []) core.replaySnapshotLine(JSON.parse(line) as SnapshotLine);
    if (stored.snapshot !== undefined) core.endSnapshot();
    for (const text of stored.journal.slice(stored.snapshot?.journalSeq ?? 0)) core.replayBatch(decodeBatch(text));
    const journal: Journal = {
      append: async (text) => {
        if (this.#stopped) return { outcome: "stopped" };
        this.#options.onActivity();
        stored.journal.push(text);
        this.#options.committed(number, text);
        return await Promise.resolve({ outcome: "committed", seq: stored.journal.length });
      },
      snapshot: (lines, journalSeq) => {
        stored.snapshot = { lines, journalSeq };
        return Promise.resolve();
      },
    };
    return new Partition({
      core,
      journal,
      effects: this.#effects(),
      now: clock.now,
      setTimer: clock.setTimer,
      logger,
      maxPayloadBytes: MAX_PAYLOAD,
      snapshotEvery,
      pump: () => this.dispatcher.pump(),
      onFenced: () => undefined,
    });
  }

  #effects(): EffectHandler {
    const assignments = new Map<string, Assignment[]>();
    const stops: { readonly worker: string; readonly stop: Stop }[] = [];
    return {
      handle: (partition, effect) => {
        switch (effect.type) {
          case "assign": {
            const { worker } = effect.attempt;
            const assignment = JSON.parse(
              assignmentJson(partition, effect.run, effect.attempt, { eventsStream: EVENTS_STREAM }),
            ) as Assignment;
            assignments.set(worker, [...(assignments.get(worker) ?? []), assignment]);
            return;
          }
          case "stop": {
            const { run, attempt, reason } = effect;
            const stop = {
              attemptId: attempt.id,
              partition: partition.number,
              run: run.run,
              step: attempt.step,
              reason,
              graceMs: run.workflow.spec.graceMs,
            };
            stops.push({ worker: attempt.worker, stop });
            return;
          }
          default:
            this.#carryOut(partition, effect);
        }
      },
      flush: () => {
        for (const [id, list] of assignments) this.#assign(id, list);
        assignments.clear();
        for (const { worker, stop } of stops.splice(0)) this.#worker(worker)?.stop(stop);
      },
      // The record was told when the message was stored: what is stored counts, whoever is told of it.
      committed: () => undefined,
    };
  }

  #carryOut(partition: Partition, effect: Exclude<Effect, { readonly type: "assign" | "stop" }>): void {
    switch (effect.type) {
      case "change":
        this.#options.changed(effect.message);
        return;
      case "handover": {
        const { to, n, creation } = effect;
        const accepted = (): void => partition.enqueue({ type: "confirmed", to, n });
        this.partitions[to]?.enqueue({ type: "creation", source: `p${partition.number}`, position: [n, 0], creation, accepted });
        return;
      }
      case "keys":
        this.#keyer.want(partition, effect.workflow);
        return;
      case "call":
        effect.call();
    }
  }

  #assign(id: string, assignments: readonly Assignment[]): void {
    const refused = this.#worker(id)?.assign(assignments);
    if (refused !== undefined && refused.length > 0) queueMicrotask(() => this.dispatcher.answered(id, refused));
  }

  /** A dead one gets no messages, and a stopped one takes none. */
  #worker(id: string): TestWorker | undefined {
    const worker = this.#options.workers.get(id);
    return worker === undefined || worker.mode === "dead" || worker.mode === "stopped" ? undefined : worker;
  }
}
