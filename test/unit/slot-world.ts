/**
 * Engine nodes that share workers, in virtual time: real dispatchers over a network that loses, delays, doubles and reorders their
 * messages, workers and partitions as far as these matter to slots. The order of everything follows from the seed.
 */
import { pino } from "pino";
import type { SlotSource } from "../../src/engine/core/slot-source.ts";
import { Dispatcher, type HeldAttempt } from "../../src/engine/dispatcher.ts";
import type { Attempt, ReadyStep, Run } from "../../src/engine/run.ts";
import type { WorkAnswer, WorkerStatus } from "../../src/protocol/work.ts";

const logger = pino({ level: "silent" });
const HEARTBEAT_MS = 1_000;
const DEADLINE_MS = 3_000;

/** mulberry32 */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Network {
  /** Shares of the messages. */
  readonly loss: number;
  readonly doubled: number;
  readonly maxDelayMs: number;
  readonly inOrder: boolean;
}

export const GOOD: Network = { loss: 0, doubled: 0, maxDelayMs: 2, inOrder: true };
export const BAD: Network = { loss: 0.15, doubled: 0.1, maxDelayMs: 40, inOrder: false };

export interface SlotStep {
  readonly id: number;
  readonly partition: number;
  readonly flow: string;
  readonly handler: string;
  readonly durationMs: number;
  state: "waiting" | "held" | "done";
  attempt: Attempt | undefined;
}

/** What is durable of a partition. */
interface StoredPartition {
  readonly number: number;
  owner: string | undefined;
  epoch: number;
  readonly steps: Map<number, SlotStep>;
  /** Attempts whose results are in the inbox. */
  readonly results: Set<string>;
}

interface SimWorker {
  readonly id: string;
  readonly slots: number;
  readonly running: Map<string, { readonly partition: number; readonly cancel: () => void }>;
  readonly ended: Set<string>;
  readonly epochs: Map<number, number>;
  readonly handlers: readonly string[];
  alive: boolean;
}

/** A partition at its owner, in memory. */
interface OpenPartition {
  readonly slots: SlotSource;
  readonly epoch: number;
  readonly ready: Map<number, ReadyStep>;
  readonly attempts: Map<string, SlotStep>;
}

export class SimNode {
  id: string;
  readonly dispatcher: Dispatcher;
  readonly open = new Map<number, OpenPartition>();
  alive = true;
  /** Of a node that does not run: what it will do when it does again. */
  backlog: (() => void)[] | undefined = undefined;
  readonly world: SlotWorld;

  constructor(world: SlotWorld, id: string) {
    this.world = world;
    this.id = id;
    this.dispatcher = new Dispatcher(
      {
        self: () => this.id,
        ownership: {
          epochOf: (partition) => this.open.get(partition)?.epoch,
          all: false,
        },
        offer: (step, worker, refused) =>
          this.later(0, () => {
            const open = this.open.get(step.partition);
            const id = Number(step.step);
            if (open?.ready.get(id) !== step) return refused();
            open.ready.delete(id);
            this.start(open, this.step(step.partition, id), worker);
          }),
        giveBack: (held) => this.later(0, () => this.giveBack(held)),
        missing: (held) => this.later(5, () => this.giveBack(held)),
        lost: (held) => this.later(5, () => held.forEach((one) => this.giveBack(one))),
        ask: (worker) => world.after(1, () => world.status(worker, { full: true, lossy: true })),
        stop: (worker, attempts) => {
          for (const { id } of attempts) world.after(1, () => world.workers.get(worker)?.running.get(id)?.cancel());
        },
        now: () => world.now,
        transport: {
          send: (to, text) => {
            if (this.alive) world.send(this, to, text);
          },
          setTimer: (call, delayMs) => {
            let set = true;
            this.later(delayMs, () => set && call());
            return () => void (set = false);
          },
          defer: (call) => this.later(0, call),
          now: () => world.now,
          maxChars: 2_000,
        },
      },
      logger,
    );
    this.tick();
  }

  step(partition: number, id: number): SlotStep {
    return this.world.partitions[partition]?.steps.get(id) as SlotStep;
  }

  /** Does it at that time, or when it runs again. */
  later(delayMs: number, call: () => void): void {
    this.world.after(delayMs, () => this.run(call));
  }

  run(call: () => void): void {
    if (!this.alive) return;
    if (this.backlog !== undefined) this.backlog.push(call);
    else {
      call();
      this.dispatcher.pump();
    }
  }

  private tick(): void {
    this.later(HEARTBEAT_MS, () => {
      this.dispatcher.expire();
      this.tick();
    });
  }

  /** The map says that this node owns it. */
  claim(number: number): void {
    const stored = this.world.partitions[number] as StoredPartition;
    const slots = this.dispatcher.slotsFor(number);
    const open: OpenPartition = { slots, epoch: stored.epoch, ready: new Map(), attempts: new Map() };
    for (const step of stored.steps.values()) {
      if (step.state !== "held" || step.attempt === undefined) continue;
      // Objects of another process.
      step.attempt = { ...step.attempt, over: false };
      open.attempts.set(step.attempt.id, step);
      slots.adopt(step.attempt, {} as Run, true);
    }
    this.open.set(number, open);
    for (const step of stored.steps.values()) if (step.state === "waiting") this.want(open, step);
    for (const attemptId of stored.results) this.later(1, () => this.result(number, attemptId));
    this.world.hello(this);
  }

  drop(number: number): void {
    if (!this.open.delete(number)) return;
    this.dispatcher.dropPartition(number);
  }

  want(open: OpenPartition, step: SlotStep): void {
    const ready = {
      partition: step.partition,
      run: { order: step.id, workflow: { name: "w", spec: { version: "1" } } } as unknown as Run,
      step: String(step.id),
      handler: step.handler,
      priority: 0,
      order: step.id,
      flow: step.flow,
      since: 0,
    };
    const worker = open.slots.request(ready);
    if (worker === undefined) open.ready.set(step.id, ready);
    else this.start(open, step, worker);
  }

  withdraw(partition: number, id: number): void {
    const open = this.open.get(partition);
    const ready = open?.ready.get(id);
    if (open === undefined || ready === undefined) return;
    open.ready.delete(id);
    open.slots.withdraw(ready);
    this.step(partition, id).state = "done";
  }

  private start(open: OpenPartition, step: SlotStep, worker: string): void {
    const { world } = this;
    const attempt: Attempt = {
      id: `${step.id}.${++world.attempts}`,
      step: String(step.id),
      worker,
      number: 1,
      assignedAt: 0,
      over: false,
    };
    open.slots.adopt(attempt, {} as Run, false);
    open.attempts.set(attempt.id, step);
    // The journal has it, or another owner has written.
    this.later(1, () => {
      const stored = world.partitions[step.partition] as StoredPartition;
      if (this.open.get(step.partition) !== open || attempt.over) return;
      if (stored.epoch !== open.epoch) return this.drop(step.partition);
      step.state = "held";
      step.attempt = attempt;
      const epoch = open.epoch;
      world.after(world.delay(), () => {
        const refused = world.assign(worker, attempt.id, step, epoch);
        if (refused !== undefined) this.later(world.delay(), () => this.dispatcher.answered(worker, refused));
      });
    });
  }

  private giveBack({ attempt, partition }: HeldAttempt): void {
    const open = this.open.get(partition);
    const step = open?.attempts.get(attempt.id);
    if (open === undefined || step === undefined || attempt.over) return;
    this.end(open, step, attempt);
    step.state = "waiting";
    this.want(open, step);
  }

  /** A result of the inbox. */
  result(partition: number, attemptId: string): void {
    const stored = this.world.partitions[partition] as StoredPartition;
    const open = this.open.get(partition);
    if (open === undefined || stored.epoch !== open.epoch) return;
    stored.results.delete(attemptId);
    const step = open.attempts.get(attemptId);
    if (step === undefined || step.attempt?.id !== attemptId) return;
    this.end(open, step, step.attempt);
    step.state = "done";
  }

  private end(open: OpenPartition, step: SlotStep, attempt: Attempt): void {
    attempt.over = true;
    open.attempts.delete(attempt.id);
    if (step.attempt?.id === attempt.id) step.attempt = undefined;
    open.slots.release(attempt);
  }
}

export class SlotWorld {
  now = 0;
  network: Network = GOOD;
  readonly random: () => number;
  readonly partitions: StoredPartition[];
  readonly workers = new Map<string, SimWorker>();
  nodes: SimNode[] = [];
  coordinator: string | undefined = undefined;
  attempts = 0;
  /** Nodes that hear no worker. */
  readonly deaf = new Set<SimNode>();
  /** In the order in which their handlers began. */
  readonly starts: SlotStep[] = [];
  /** Attempts that a worker had no slot for. */
  refusals = 0;
  #members: string[] = [];
  #events: { readonly at: number; readonly n: number; readonly call: () => void }[] = [];
  #n = 0;
  #steps = 0;
  #ids = 0;
  readonly #arrivals = new Map<string, number>();

  constructor({ seed = 1, partitions = 6 } = {}) {
    this.random = createRandom(seed);
    this.partitions = Array.from({ length: partitions }, (_, number) => ({
      number,
      owner: undefined,
      epoch: 0,
      steps: new Map<number, SlotStep>(),
      results: new Set<string>(),
    }));
  }

  // ---------------------------------------------------------------- time

  after(delayMs: number, call: () => void): void {
    const event = { at: this.now + delayMs, n: this.#n++, call };
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#events[middle] as typeof event;
      if (other.at > event.at || (other.at === event.at && other.n > event.n)) low = middle + 1;
      else high = middle;
    }
    // The next one is the last of the list.
    this.#events.splice(low, 0, event);
  }

  /** Lets time pass; shorter, where `until` holds before. Whether it did. */
  pass(ms: number, until: () => boolean = () => false): boolean {
    const end = this.now + ms;
    for (;;) {
      if (until()) return true;
      const next = this.#events.at(-1);
      if (next === undefined || next.at > end) break;
      this.#events.pop();
      this.now = next.at;
      next.call();
    }
    this.now = end;
    return until();
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.random() * list.length)];
  }

  delay(): number {
    return 0.2 + this.random() * this.network.maxDelayMs;
  }

  // ---------------------------------------------------------------- nodes

  addNode(): SimNode {
    const node = new SimNode(this, `n${++this.#ids}`);
    this.nodes.push(node);
    this.#members.push(node.id);
    for (const worker of this.workers.keys()) this.status(worker, { full: true });
    this.#changed();
    return node;
  }

  node(id: string | undefined): SimNode | undefined {
    return this.nodes.find((one) => one.id === id && one.alive);
  }

  /** Nodes that are members and alive, whether or not they run. */
  get members(): SimNode[] {
    return this.nodes.filter(({ id, alive }) => alive && this.#members.includes(id));
  }

  setCoordinator(id: string | undefined): void {
    this.coordinator = id;
    this.#changed();
  }

  /** The partition goes from its owner, who hands it over, to another. */
  move(number: number, to: string): void {
    const stored = this.partitions[number] as StoredPartition;
    const before = this.node(stored.owner);
    before?.run(() => before.drop(number));
    stored.owner = to;
    stored.epoch++;
    const { epoch } = stored;
    this.after(this.delay() * 3, () =>
      this.node(to)?.run(() => {
        if (stored.owner === to && stored.epoch === epoch) this.node(to)?.claim(number);
      }),
    );
  }

  kill(node: SimNode): void {
    node.alive = false;
    this.after(DEADLINE_MS, () => this.#remove(node.id));
  }

  /** It does not run for so long; found missing for longer than the lease, it is removed from the map. */
  pause(node: SimNode, ms: number): void {
    if (node.backlog !== undefined) return;
    node.backlog = [];
    const { id } = node;
    if (ms > DEADLINE_MS) this.after(DEADLINE_MS, () => this.#remove(id));
    this.after(ms, () => {
      const backlog = node.backlog ?? [];
      node.backlog = undefined;
      for (const call of backlog) node.run(call);
      if (!node.alive || this.#members.includes(id)) return;
      // It finds that it was taken for dead, a little after it has gone on, and joins anew.
      node.later(3, () => {
        for (const number of [...node.open.keys()]) node.drop(number);
        node.dispatcher.setCoordinator(undefined);
        node.id = `n${++this.#ids}`;
        this.#members.push(node.id);
        this.#changed();
      });
    });
  }

  #remove(id: string): void {
    this.#members = this.#members.filter((one) => one !== id);
    const heirs = this.members.filter(({ backlog }) => backlog === undefined);
    if (this.coordinator === id) this.coordinator = (this.pick(heirs) ?? this.members[0])?.id;
    this.#changed();
    for (const stored of this.partitions) {
      const heir = this.pick(heirs.length > 0 ? heirs : this.members);
      if (stored.owner === id && heir !== undefined) this.move(stored.number, heir.id);
    }
  }

  /** Each node sees the map after a while of its own. */
  #changed(): void {
    for (const node of this.nodes)
      node.later(this.delay(), () => {
        if (!this.#members.includes(node.id)) return;
        node.dispatcher.setNodes(this.#members);
        node.dispatcher.setCoordinator(this.coordinator);
      });
  }

  send(from: SimNode, to: string, text: string): void {
    const { loss, doubled, inOrder } = this.network;
    if (this.random() < loss) return;
    const sender = from.id;
    for (let copies = this.random() < doubled ? 2 : 1; copies > 0; copies--) {
      const link = `${sender} ${to}`;
      const at = Math.max(this.now + this.delay(), inOrder ? (this.#arrivals.get(link) ?? 0) : 0);
      this.#arrivals.set(link, at);
      this.after(at - this.now, () => {
        const node = this.node(to);
        node?.run(() => {
          if (node.id === to) node.dispatcher.receive(sender, text);
        });
      });
    }
  }

  // ---------------------------------------------------------------- workers

  addWorker(slots: number, handlers: readonly string[] = ["w do"]): SimWorker {
    const id = `worker${++this.#ids}`;
    const worker: SimWorker = {
      id,
      slots,
      handlers,
      running: new Map(),
      ended: new Set(),
      epochs: new Map(),
      alive: true,
    };
    this.workers.set(id, worker);
    const beat = (): void => {
      if (!worker.alive) return;
      this.status(id, { lossy: true });
      this.after(HEARTBEAT_MS, beat);
    };
    this.status(id, { full: true });
    this.after(HEARTBEAT_MS, beat);
    return worker;
  }

  killWorker(worker: SimWorker): void {
    worker.alive = false;
    for (const { cancel } of worker.running.values()) cancel();
  }

  hello(node: SimNode): void {
    const epochs = [...node.open].map(([number, { epoch }]) => [number, epoch] as const);
    for (const worker of this.workers.values())
      this.after(this.delay(), () => {
        for (const [number, epoch] of epochs) if (epoch > (worker.epochs.get(number) ?? 0)) worker.epochs.set(number, epoch);
        this.status(worker.id, { full: true });
      });
  }

  status(id: string, { full = false, lossy = false } = {}): void {
    const worker = this.workers.get(id);
    if (worker?.alive !== true) return;
    const status: WorkerStatus = {
      id,
      name: id,
      mode: "running",
      slots: worker.slots,
      used: worker.running.size,
      heartbeatMs: HEARTBEAT_MS,
      deadlineMs: DEADLINE_MS,
      startedAt: "",
      host: "",
      pid: 0,
      sluiceVersion: "",
      workflows: [{ name: "w", version: "1", steps: worker.handlers.map((handler) => handler.slice(2)) }],
      ...(full && {
        attempts: Array.from(worker.running, ([attemptId, { partition }]) => ({ id: attemptId, partition })),
        epochs: Object.fromEntries(worker.epochs),
      }),
    };
    for (const node of this.nodes) {
      if (this.deaf.has(node) || (lossy && this.random() < this.network.loss)) continue;
      node.later(this.delay(), () => node.dispatcher.report(status));
    }
  }

  assign(id: string, attemptId: string, step: SlotStep, epoch: number): WorkAnswer["refused"] | undefined {
    const worker = this.workers.get(id);
    if (worker?.alive !== true) return undefined;
    const known = worker.epochs.get(step.partition) ?? 0;
    if (epoch < known) return [{ attemptId, reason: "epoch" }];
    worker.epochs.set(step.partition, epoch);
    if (worker.running.has(attemptId) || worker.ended.has(attemptId)) return [];
    if (worker.running.size >= worker.slots) {
      this.refusals++;
      return [{ attemptId, reason: "slots" }];
    }
    this.starts.push(step);
    let cancelled = false;
    const cancel = (): void => {
      cancelled = true;
      worker.running.delete(attemptId);
      worker.ended.add(attemptId);
    };
    worker.running.set(attemptId, { partition: step.partition, cancel });
    this.after(step.durationMs, () => {
      if (cancelled) return;
      cancel();
      this.after(1, () => {
        const stored = this.partitions[step.partition] as StoredPartition;
        stored.results.add(attemptId);
        const owner = this.node(stored.owner);
        owner?.later(this.delay(), () => owner.result(step.partition, attemptId));
      });
    });
    return [];
  }

  // ---------------------------------------------------------------- work

  submit(partition: number, flow: string, { durationMs = 5, handler = "w do" } = {}): SlotStep {
    const stored = this.partitions[partition] as StoredPartition;
    const step: SlotStep = {
      id: ++this.#steps,
      partition,
      flow,
      handler,
      durationMs,
      state: "waiting",
      attempt: undefined,
    };
    stored.steps.set(step.id, step);
    const owner = this.node(stored.owner);
    owner?.run(() => {
      const open = owner.open.get(partition);
      if (open?.epoch === stored.epoch && step.state === "waiting" && !open.ready.has(step.id)) owner.want(open, step);
    });
    return step;
  }

  unfinished(): SlotStep[] {
    return this.partitions.flatMap(({ steps }) => [...steps.values()].filter(({ state }) => state !== "done"));
  }
}

/** Nodes that own the partitions in turn, the first of them coordinates; workers; everybody knows everybody. */
export function startWorld(
  options: {
    readonly seed?: number;
    readonly nodes?: number;
    readonly workers?: readonly number[];
    readonly partitions?: number;
  } = {},
): SlotWorld {
  const { nodes = 3, workers = [4], ...rest } = options;
  const world = new SlotWorld(rest);
  for (let i = 0; i < nodes; i++) world.addNode();
  for (const slots of workers) world.addWorker(slots);
  world.setCoordinator(world.nodes[0]?.id);
  for (const { number } of world.partitions) world.move(number, world.nodes[number % nodes]?.id ?? "");
  world.pass(50);
  return world;
}
