/**
 * The slots of the worker nodes, as one engine node sees them: steps are assigned to workers at the moment a slot is free for them, in
 * an order that is fair between groups wherever these are, never put into a queue that workers drain. Which step is next is decided on
 * the node that coordinates: this one, by direct calls, or another, over a link. What this node's partitions have given to workers it keeps
 * for itself. In memory only: what a worker runs is in the journals of the partitions.
 */
import type { Logger } from "pino";
import type { SlotStanding } from "../protocol/slots.ts";
import type { WorkAnswer, WorkerStatus } from "../protocol/work.ts";
import type { SlotSource } from "./core/slot-source.ts";
import type { Attempt, ReadyStep, Run } from "./run.ts";
import { type ExecutedAttempt, type HeldAttempt, Holdings, type Ownership } from "./slots/holdings.ts";
import { type LocalWant, PartitionSlots, type SlotDesk } from "./slots/partition-slots.ts";
import type { SlotTransport } from "./slots/slot-client.ts";
import { SlotSupply } from "./slots/slot-supply.ts";
import { type WorkerEntry, WorkerRegistry } from "./slots/worker-registry.ts";

export type { HeldAttempt } from "./slots/holdings.ts";
export type { WorkerEntry } from "./slots/worker-registry.ts";

/** What the dispatcher asks of its node. */
export interface DispatcherHost {
  /** This node's id, by which others name it; must not change while there is a coordinator. */
  readonly self: () => string;
  readonly ownership: Ownership;
  /** A slot was found for a step that waited. `refused` is called when the step does not want it any more. */
  offer(step: ReadyStep, worker: string, refused: () => void): void;
  /** The worker did not take it: the step goes elsewhere. */
  giveBack(held: HeldAttempt): void;
  /** The worker does not know this attempt of an earlier owner. Give it back unless its result is on the way. */
  missing(held: HeldAttempt): void;
  /** The worker is gone. They are lost unless their results are on the way. */
  lost(held: readonly HeldAttempt[]): void;
  /** Has the worker report all that it has; to all nodes, where not all partitions are here. */
  ask(worker: string): void;
  /** The worker executes attempts that are over: it has to stop them. */
  stop(worker: string, attempts: readonly ExecutedAttempt[]): void;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** Needed where there can be other nodes. */
  readonly transport?: SlotTransport;
}

export class Dispatcher {
  readonly #host: DispatcherHost;
  readonly #logger: Logger;
  readonly #registry: WorkerRegistry;
  readonly #holdings = new Holdings();
  readonly #partitions = new Map<number, PartitionSlots>();
  readonly #desk: SlotDesk;
  readonly #supply: SlotSupply;
  #lastWant = 0;
  /** Wants of this node, by what a worker must serve. */
  readonly #wanted = new Map<string, number>();

  constructor(host: DispatcherHost, logger: Logger) {
    this.#host = host;
    this.#logger = logger;
    this.#registry = new WorkerRegistry(host.now);
    this.#supply = new SlotSupply({
      self: host.self,
      registry: this.#registry,
      transport: host.transport,
      held: () => this.#slotsHeld(),
      wants: () => this.#wants(),
      offered: (want, worker) => {
        this.#unwanted(want);
        host.offer(want.step, worker, want.slots.offered(want, worker));
      },
    });
    this.#desk = {
      take: (step) => this.#supply.take(step.handler, versionOf(step), step.flow),
      wait: (slots, step) => this.#wait(slots, step),
      withdraw: (want) => this.#withdraw(want),
      unuse: (worker) => this.#supply.free(worker, "unused"),
      adopt: (attempt, run, partition, recovered) => this.#adopt(attempt, run, partition, recovered),
      release: (attempt) => this.#release(attempt),
    };
  }

  // ---------------------------------------------------------------- the cluster

  /** The members of the cluster, this node among them. */
  setNodes(ids: Iterable<string>): void {
    this.#supply.setNodes(ids);
  }

  /** Who gives out the slots from now on; undefined: nobody knows, and steps wait. */
  setCoordinator(id: string | undefined): void {
    this.#supply.setCoordinator(id);
  }

  /** The partition has left this node: its wants, promises and attempts are forgotten, and nobody is told of them. */
  dropPartition(number: number): void {
    const slots = this.#partitions.get(number);
    if (slots === undefined) return;
    this.#partitions.delete(number);
    slots.close();
    for (const [worker, count] of this.#holdings.removePartition(number)) this.#supply.abandon(worker, count);
    this.pump();
  }

  /** A message of another node about slots. Whatever is in it, this goes on. */
  receive(from: string, text: string): void {
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch (error) {
      this.#logger.warn({ err: error, from }, "a message about slots is not JSON; ignored");
      return;
    }
    this.#supply.receive(from, message);
  }

  /** Nothing is sent after this. */
  stop(): void {
    this.#supply.setCoordinator(undefined);
  }

  /** Of each worker, how many slots this node has or was promised. */
  #slotsHeld(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const worker of this.#holdings.workers) {
      const { size } = this.#holdings.of(worker);
      if (size > 0) counts.set(worker, size);
    }
    for (const { promised } of this.#partitions.values())
      for (const [worker, count] of promised) if (count > 0) counts.set(worker, (counts.get(worker) ?? 0) + count);
    return counts;
  }

  /** All that wait, in the order in which they came. */
  #wants(): LocalWant[] {
    return [...this.#partitions.values()].flatMap(({ wants }) => [...wants.values()]).sort((a, b) => a.id - b.id);
  }

  // ---------------------------------------------------------------- partitions

  /** The slots as a partition sees them that begins here. */
  slotsFor(partition: number): SlotSource {
    this.dropPartition(partition);
    const slots = new PartitionSlots(partition, this.#desk);
    this.#partitions.set(partition, slots);
    return slots;
  }

  /** Gives free slots to the steps that wait, in fair order. Called after each round of a partition. */
  pump(): void {
    this.#supply.pump();
  }

  #wait(slots: PartitionSlots, step: ReadyStep): LocalWant {
    const { partition, handler, priority, order, flow, run } = step;
    const want: LocalWant = {
      node: this.#host.self(),
      id: ++this.#lastWant,
      partition,
      handler,
      version: versionOf(step),
      priority,
      order,
      runOrder: run.order,
      flow,
      step,
      slots,
    };
    this.#wanted.set(handler, (this.#wanted.get(handler) ?? 0) + 1);
    this.#supply.wait(want);
    return want;
  }

  #withdraw(want: LocalWant): void {
    this.#unwanted(want);
    this.#supply.withdraw(want);
  }

  #unwanted({ handler }: LocalWant): void {
    const count = this.#wanted.get(handler) ?? 0;
    if (count > 1) this.#wanted.set(handler, count - 1);
    else this.#wanted.delete(handler);
  }

  #adopt(attempt: Attempt, run: Run, partition: number, recovered: boolean): void {
    this.#registry.open(attempt.worker);
    this.#holdings.add({ attempt, run, partition, recovered });
    // Else it was promised, and counts already.
    if (recovered) this.#supply.hold(attempt.worker);
  }

  #release(attempt: Attempt): void {
    const held = this.#holdings.remove(attempt);
    // One that the worker had no slot for frees none: it would be offered the same again at once, and again.
    if (held !== undefined) this.#supply.free(attempt.worker, held.refused === true ? "unused" : "released");
  }

  // ---------------------------------------------------------------- workers

  get workers(): ReadonlyMap<string, WorkerEntry> {
    return this.#registry.workers;
  }

  /** Called when a worker comes, goes or changes what it serves. */
  onWorkersChanged(listener: () => void): void {
    this.#registry.onChanged(listener);
  }

  /** A worker that serves the workflow, for computing keys. */
  pickForKeys(workflow: string, version: string): string | undefined {
    return this.#registry.pickForKeys(workflow, version);
  }

  /** Whether the worker has this attempt of this node, as far as is known. */
  holds(worker: string, attemptId: string): boolean {
    return this.#holdings.of(worker).has(attemptId);
  }

  /** A worker says how it is. */
  report(status: WorkerStatus): void {
    if (status.mode === "stopped" && !this.#registry.workers.has(status.id)) return;
    const { worker, changed } = this.#registry.report(status);
    this.#supply.reported(worker);
    if (status.attempts !== undefined) {
      const { missing, over } = this.#holdings.reconcile(status, this.#host.ownership);
      for (const held of missing) this.#host.missing(held);
      // They would keep slots that are given to others.
      if (over.length > 0) this.#host.stop(worker.id, over);
    }
    // It executes more than is known here, perhaps since it was taken for dead meanwhile: it has to say what.
    else if (status.used > this.#known(worker.id)) this.#host.ask(worker.id);
    if (status.mode === "stopped") this.#gone(worker, "has stopped");
    if (changed || status.mode === "stopped") this.#workersChanged();
    this.pump();
  }

  /** How many of a worker's slots are known to be used, of all that this node can know; all may be where others know more. */
  #known(worker: string): number {
    return this.#host.ownership.all ? this.#holdings.of(worker).size : (this.#supply.taken(worker) ?? Infinity);
  }

  /** The worker was told to drain and has answered: it is given nothing more. */
  drain(id: string): void {
    if (this.#registry.workers.get(id)?.mode !== "running") return;
    this.#registry.drain(id);
    this.#supply.workersChanged();
  }

  /** The worker answered an assignment. */
  answered(id: string, refused: WorkAnswer["refused"]): void {
    let draining = false;
    for (const { attemptId, reason } of refused) {
      const held = this.#holdings.of(id).get(attemptId);
      if (held === undefined) continue;
      if (reason === "epoch") {
        // Another node owns the partition, and the next append here will fail: what is dropped then must not be given to others now.
        this.#logger.warn(
          { worker: id, attemptId, partition: held.partition, epoch: this.#host.ownership.epochOf(held.partition) },
          "a worker refuses work of this engine node: it knows of a later owner of the partition",
        );
        continue;
      }
      if (reason === "draining") draining = true;
      if (reason !== "handler") {
        held.refused = true;
        this.#supply.full(id);
      }
      this.#logger.debug({ worker: id, attemptId, reason }, "a worker did not take a step");
      this.#host.giveBack(held);
    }
    if (draining) this.drain(id);
  }

  /** Messages may have been lost (the connection was): of what workers hold only that counts which they report next. */
  distrust(): void {
    this.#registry.forgive();
    this.#holdings.distrust();
    this.#supply.reopen();
  }

  /** Takes workers that have been silent for too long for dead. */
  expire(): void {
    const silent = this.#registry.silent();
    for (const worker of silent) this.#gone(worker, "is silent");
    if (silent.length > 0) this.#workersChanged();
    this.pump();
  }

  #gone(worker: WorkerEntry, why: string): void {
    this.#registry.remove(worker.id);
    const held = this.#holdings.removeWorker(worker.id);
    if (why !== "has stopped" || held.length > 0)
      this.#logger.warn(
        { worker: worker.id, attempts: held.length, silentMs: this.#registry.silentMs(worker) },
        `a worker ${why}: its steps are given to others`,
      );
    // Where only this node does not hear it, it goes on with them.
    if (held.length > 0) {
      this.#supply.abandon(worker.id, held.length);
      this.#host.lost(held);
    }
  }

  #workersChanged(): void {
    this.#supply.workersChanged();
    this.#registry.announce();
  }

  // ---------------------------------------------------------------- views

  /** Steps of this node that wait for a slot of a worker that is there. */
  get waiting(): number {
    let waiting = 0;
    for (const [handler, count] of this.#wanted) if (this.#registry.serving(handler).length > 0) waiting += count;
    return waiting;
  }

  /** Steps of this node that are ready and that no worker serves, by what they are: how many runs wait for each. */
  unserved(): { readonly workflow: string; readonly step: string; readonly waiting: number }[] {
    return [...this.#wanted].flatMap(([handler, waiting]) => {
      if (this.#registry.serving(handler).length > 0) return [];
      const at = handler.indexOf(" ");
      return { workflow: handler.slice(0, at), step: handler.slice(at + 1), waiting };
    });
  }

  /** The workers that take work, and their slots. */
  capacity(): { readonly workers: number; readonly slots: { readonly used: number; readonly total: number } } {
    const slots = { used: 0, total: 0 };
    let workers = 0;
    for (const worker of this.#registry.workers.values()) {
      if (worker.mode !== "running") continue;
      workers++;
      slots.used += this.usedOf(worker);
      slots.total += worker.slots;
    }
    return { workers, slots };
  }

  /** The slots of a worker that attempts have: exact where all partitions are here, else as it has said or the coordinator counts. */
  usedOf(worker: WorkerEntry): number {
    const { size } = this.#holdings.of(worker.id);
    if (this.#host.ownership.all) return size;
    return Math.max(size, this.#supply.taken(worker.id) ?? worker.status?.used ?? 0);
  }

  /** How a step that wants a worker stands, as far as this node knows. */
  standing(step: ReadyStep): SlotStanding {
    const want = this.#wantOf(step);
    const workers = this.#registry.serving(step.handler).length;
    const unknown = { served: want !== undefined && workers > 0, position: undefined, waiting: this.waiting, workers };
    return (want && this.#supply.standing(want)) ?? unknown;
  }

  /** The same, exact: whoever gives out the slots is asked. */
  async askStanding(step: ReadyStep): Promise<SlotStanding> {
    const want = this.#wantOf(step);
    return (want && (await this.#supply.askStanding(want))) ?? this.standing(step);
  }

  #wantOf(step: ReadyStep): LocalWant | undefined {
    return this.#partitions.get(step.partition)?.wants.get(step);
  }
}

function versionOf(step: ReadyStep): string {
  return `${step.run.workflow.name} ${step.run.workflow.spec.version}`;
}
