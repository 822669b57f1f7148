/**
 * Gives out the slots of all workers to the steps of all nodes, in one fair order: at the moment that a slot is free, to the step whose
 * turn it is. It is at work on the node that coordinates, and only there. It knows steps as plain wants and workers by how many of their
 * slots each node has; which attempts have them is the business of their owners.
 *
 * The order is exact for wants in the order in which they arrive here: between two offers to one waiting flow, no other flow gets more
 * than one (equal weights). What is on its way adds to that: a want counts from its arrival, and steps start when their offers have
 * arrived, so between two starts of a waiting flow another one starts at most once plus as often as there are slots; with one slot, at
 * most once. A new coordinator begins with no turns remembered: then each flow may start once more.
 */
import { createFairQueue, type FairQueue } from "../../../machines/fair-queue.ts";
import type { Freed, SlotStanding, SlotWant } from "../../protocol/slots.ts";
import type { WorkerEntry, WorkerRegistry } from "./worker-registry.ts";

export interface SlotBrokerOptions {
  readonly registry: WorkerRegistry;
  /** The worker has a slot for this want, which counts as its node's from here on. */
  readonly offer: (want: SlotWant, worker: string) => void;
  /** False: its node does not answer at the moment. */
  readonly canOffer: (node: string) => boolean;
}

/** A worker's slots. Kept for as long as any node has one, whether or not the worker is still there. */
interface Account {
  readonly id: string;
  /** How many of its slots a node's attempts have, or the node was promised. */
  readonly byNode: Map<string, number>;
  /** Their sum. */
  taken: number;
  /** Slots of attempts that nobody follows at the moment: of nodes that have died, and of partitions that are on their way. */
  orphans: number;
  /** Somebody may have slots who has not said so yet: what the worker uses beyond those that are known counts as orphans. */
  unsure: boolean;
  /** It refused for lack of slots although we thought it had some: wait for its next word. */
  full: boolean;
  worker: WorkerEntry | undefined;
}

const WANTS = createFairQueue<SlotWant>({
  compare: (a, b) =>
    b.priority - a.priority ||
    a.order - b.order ||
    a.partition - b.partition ||
    a.runOrder - b.runOrder ||
    // Of one run: by step.
    compareTexts(a.handler, b.handler) ||
    // The same partition, at its owner before and after: one of them is about to take its wants back.
    compareTexts(a.node, b.node) ||
    a.id - b.id,
  flow: (want) => want.flow,
});

export class SlotBroker {
  readonly #options: SlotBrokerOptions;
  readonly #accounts = new Map<string, Account>();
  /** Of the workers that take work, in the order of the registry. */
  readonly #byHandler = new Map<string, Account[]>();
  #queue: FairQueue<SlotWant> = WANTS;
  /** Wants that no worker serves, by handler: at the head of their flow, they would hold back what waits behind them. */
  readonly #unserved = new Map<string, Set<SlotWant>>();
  /** Members that have not said yet what they have. */
  readonly #unknown = new Set<string>();
  #taken = 0;
  #dirty = false;

  constructor(options: SlotBrokerOptions) {
    this.#options = options;
    this.workersChanged();
  }

  /** Wants in the fair order. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** How many of a worker's slots are given out. */
  taken(worker: string): number {
    return this.#accounts.get(worker)?.taken ?? 0;
  }

  /** All members have said what they have. */
  get settled(): boolean {
    return this.#unknown.size === 0;
  }

  // ---------------------------------------------------------------- wants

  /** A slot at once, for a want that need not wait since nothing that waits could have it. */
  take(node: string, handler: string, version: string, flow: string): string | undefined {
    // All that waits was tried when a slot was freed last.
    if (this.#queue.size > 0 && this.#dirty) return undefined;
    const account = this.#pick(handler, version);
    if (account === undefined) return undefined;
    this.#count(account, node, 1);
    // Whoever takes a worker's last slot begins the competition for the next one, and has had its turn. Before that there is none.
    if (this.#queue.size > 0 || freeSlots(account) === 0) this.#queue = this.#queue.charge(flow);
    return account.id;
  }

  /** It waits for its turn, since `take` gave it nothing; else `wake` is to be called. */
  wait(want: SlotWant): void {
    if (this.#byHandler.has(want.handler)) this.#queue = this.#queue.add(want);
    else this.#park(want);
  }

  withdraw(want: SlotWant): void {
    this.#queue = this.#queue.remove(want);
    const unserved = this.#unserved.get(want.handler);
    if (unserved?.delete(want) === true && unserved.size === 0) this.#unserved.delete(want.handler);
  }

  standing(want: SlotWant): SlotStanding {
    const workers = this.#byHandler.get(want.handler)?.length ?? 0;
    const served = this.#queue.has(want);
    return { served, position: served ? this.#queue.rank(want) + 1 : 0, waiting: this.#queue.size, workers };
  }

  /** Gives free slots to the wants, in fair order. Cheap where nothing has changed. */
  pump(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    const { canOffer, offer } = this.#options;
    while (this.#queue.size > 0 && this.#anyFree()) {
      let found: Account | undefined;
      const next = this.#queue.takeFirst(
        ({ node, handler, version }) => canOffer(node) && (found = this.#pick(handler, version)) !== undefined,
      );
      if (next === undefined || found === undefined) return;
      this.#queue = next.queue;
      this.#count(found, next.item.node, 1);
      offer(next.item, found.id);
    }
  }

  /** What was held back may be possible now. */
  wake(): void {
    this.#dirty = true;
  }

  // ---------------------------------------------------------------- slots that nodes have

  /** An attempt that was given before this broker knew of it. */
  hold(node: string, worker: string): void {
    this.#learn(this.#open(worker), node, 1);
  }

  free(node: string, worker: string, how: Freed): void {
    const account = this.#accounts.get(worker);
    if (account === undefined || !this.#count(account, node, -1)) return;
    if (how === "released") account.full = false;
    this.#dirty = true;
    if (this.#taken === 0 && this.#queue.size === 0) this.#queue = this.#queue.rest();
    this.#close(account);
  }

  /** The worker goes on with them, but the node does not know of it any more. */
  abandon(node: string, worker: string, count: number): void {
    const account = this.#accounts.get(worker);
    if (account === undefined) return;
    const its = Math.min(count, account.byNode.get(node) ?? 0);
    this.#count(account, node, -its);
    account.orphans += its;
    this.#dirty = true;
    this.#close(account);
  }

  full(worker: string): void {
    const account = this.#accounts.get(worker);
    if (account !== undefined) account.full = true;
  }

  // ---------------------------------------------------------------- nodes

  /** A member says all that it has; whatever was thought before is forgotten. */
  know(node: string, held: ReadonlyMap<string, number>): void {
    for (const worker of held.keys()) this.#open(worker);
    for (const account of [...this.#accounts.values()]) {
      this.#learn(account, node, (held.get(account.id) ?? 0) - (account.byNode.get(node) ?? 0));
      this.#close(account);
    }
    this.#unknown.delete(node);
    this.#dirty = true;
  }

  /** A member that has not said yet what it has. */
  expect(node: string): void {
    this.#unknown.add(node);
  }

  /** Not a member any more. Its wants are to be withdrawn. What its attempts have is free once their workers say so, or new owners hold it. */
  forget(node: string): void {
    this.#unknown.delete(node);
    for (const account of [...this.#accounts.values()]) {
      this.abandon(node, account.id, account.byNode.get(node) ?? 0);
      account.byNode.delete(node);
    }
    this.#dirty = true;
  }

  // ---------------------------------------------------------------- workers

  /** A worker has said how it is; the registry knows it. */
  reported(worker: WorkerEntry): void {
    const account = this.#open(worker.id);
    account.full = false;
    this.#doubt(account);
    if (this.settled) account.unsure = false;
    this.#dirty = true;
  }

  /** Workers have come, gone, or changed what they serve. */
  workersChanged(): void {
    const { registry } = this.#options;
    this.#byHandler.clear();
    for (const account of [...this.#accounts.values()]) {
      if (registry.workers.has(account.id)) continue;
      account.worker = undefined;
      account.orphans = 0;
      this.#close(account);
    }
    for (const worker of registry.workers.values()) {
      const account = this.#open(worker.id);
      account.worker = worker;
      if (worker.mode !== "running") continue;
      for (const handler of worker.handlers) {
        const list = this.#byHandler.get(handler);
        if (list === undefined) this.#byHandler.set(handler, [account]);
        else list.push(account);
      }
    }
    for (const [handler, wants] of this.#unserved) {
      if (!this.#byHandler.has(handler)) continue;
      this.#unserved.delete(handler);
      for (const want of [...wants].sort((a, b) => a.order - b.order)) this.#queue = this.#queue.add(want);
    }
    for (const want of [...this.#queue]) {
      if (this.#byHandler.has(want.handler)) continue;
      this.#queue = this.#queue.remove(want);
      this.#park(want);
    }
    this.#dirty = true;
  }

  // ---------------------------------------------------------------- accounts

  #open(id: string): Account {
    let account = this.#accounts.get(id);
    if (account === undefined) {
      account = { id, byNode: new Map(), taken: 0, orphans: 0, unsure: true, full: false, worker: undefined };
      this.#doubt(account);
      this.#accounts.set(id, account);
    }
    return account;
  }

  /** What the worker itself says that it uses. Results that are on their way make it too much, until it says so again. */
  #doubt(account: Account): void {
    const used = this.#options.registry.workers.get(account.id)?.status?.used;
    const beyond = Number.isInteger(used) ? Math.max(0, (used ?? 0) - account.taken) : 0;
    account.orphans = account.unsure ? beyond : Math.min(account.orphans, beyond);
  }

  #learn(account: Account, node: string, more: number): void {
    this.#count(account, node, more);
    account.orphans = Math.max(0, account.orphans - Math.max(0, more));
  }

  /** Lets go of what says nothing any more. */
  #close(account: Account): void {
    if (account.worker === undefined && account.taken === 0 && !this.#options.registry.workers.has(account.id))
      this.#accounts.delete(account.id);
  }

  /** False where the node has not that many. */
  #count(account: Account, node: string, by: number): boolean {
    if (by === 0) return true;
    const count = (account.byNode.get(node) ?? 0) + by;
    if (count < 0) return false;
    account.byNode.set(node, count);
    account.taken += by;
    this.#taken += by;
    return true;
  }

  #park(want: SlotWant): void {
    let unserved = this.#unserved.get(want.handler);
    if (unserved === undefined) this.#unserved.set(want.handler, (unserved = new Set()));
    unserved.add(want);
  }

  #anyFree(): boolean {
    for (const account of this.#accounts.values()) if (freeSlots(account) > 0) return true;
    return false;
  }

  /** The worker with most free slots that serves it, of the same version of the workflow where there is one. */
  #pick(handler: string, version: string): Account | undefined {
    let best: Account | undefined;
    let bestFree = 0;
    let bestSame = false;
    for (const account of this.#byHandler.get(handler) ?? []) {
      const free = freeSlots(account);
      if (free <= 0) continue;
      const same = account.worker?.versions.has(version) === true;
      if (best === undefined || (same && !bestSame) || (same === bestSame && free > bestFree)) {
        best = account;
        bestFree = free;
        bestSame = same;
      }
    }
    return best;
  }
}

function freeSlots({ worker, full, taken, orphans }: Account): number {
  return worker?.mode === "running" && !full ? worker.slots - taken - orphans : 0;
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
