/**
 * What engine nodes ask of each other to answer a request: of the owner of a partition, of the coordinator, of all. Partitions move and
 * nodes die while they are asked; whoever asks here gets the answer of whoever owns it then, or an error when there was nobody for too
 * long. Everything asked here can be asked again: an answer may be lost after its work was done.
 */
import { RequestError } from "../../errors.ts";
import { type NodeChannel, NodeSilentError } from "../../nats/node-channel.ts";
import type { OwnedPartitions } from "../owned-partitions.ts";
import type { Partition } from "../partition.ts";
import { OwnedReads } from "./owned-reads.ts";
import type { OwnershipView } from "./ownership-view.ts";

export interface NodeCallsOptions {
  readonly view: OwnershipView;
  readonly owned: OwnedPartitions;
  readonly channel: NodeChannel;
  /** Last durable message of the journal of a partition that is owned here. */
  readonly journalSeq: (partition: number) => number;
  /** False while another node may own what is here (the session may have run out): then nothing is read here. Default: true. */
  readonly isCurrent?: () => boolean;
  /** How long a request waits for an owner that answers, in ms. Shorter than a failover takes, requests fail during one. */
  readonly patienceMs: number;
}

/** Answers for all partitions: of each exactly once. */
export interface Gathered<T> {
  /** One for each node that answered. */
  readonly parts: readonly T[];
  /** By partition: how far its journal was when it was asked. */
  readonly seqs: ReadonlyMap<number, number>;
  /** Nobody answered for these in time; empty, but where that was asked for. */
  readonly missing: readonly number[];
}

export interface GatherOptions {
  /** Default: all. */
  readonly partitions?: Iterable<number>;
  /** Instead of the patience of all requests; when it is over, what is there is given. */
  readonly partialAfterMs?: number;
}

/** An owner that has the request and dies never answers. */
const ATTEMPT_MS = 3_000;
const FIRST_WAIT_MS = 20;
const MAX_WAIT_MS = 250;

interface GatherReply {
  /** Partitions that the answer is about, with how far their journals are. */
  readonly covers: readonly (readonly [partition: number, journalSeq: number])[];
  readonly part: unknown;
}

/** There was nothing to be had from this node; perhaps from another, or later. */
const NOTHING = Symbol("nothing");

export class NodeCalls {
  readonly reads: OwnedReads;
  readonly #options: NodeCallsOptions;
  readonly #handlers = new Map<string, (request: never) => Promise<unknown>>();
  /** Called with every change of the map or of what is owned here. */
  readonly #waiters = new Set<() => void>();
  readonly #ends: (() => void)[];
  #served: { readonly node: string; readonly end: () => void } | undefined = undefined;
  #stopped = false;

  constructor(options: NodeCallsOptions) {
    this.#options = options;
    this.reads = new OwnedReads(options.owned, options.isCurrent);
    const changed = (): void => {
      if (this.#served !== undefined && this.#served.node !== options.view.self) this.start();
      for (const waiter of this.#waiters) waiter();
    };
    this.#ends = [options.view.onChanged(changed), options.owned.onChanged(changed)];
  }

  get self(): string {
    return this.#options.view.self;
  }

  get isCoordinator(): boolean {
    return this.#options.view.coordinator === this.self;
  }

  get partitions(): number {
    return this.#options.owned.count;
  }

  /** All partitions are here: nobody else is asked. */
  get alone(): boolean {
    return this.#options.owned.all;
  }

  /** Answers other nodes. Anew under a new id when this node has got one. */
  start(): void {
    if (this.#stopped) return;
    this.#served?.end();
    const node = this.self;
    const end = this.#options.channel.serve(node, (operation, request) => this.#handle(operation, request));
    this.#served = { node, end };
  }

  /** Fails what waits here. Idempotent. */
  stop(): void {
    this.#stopped = true;
    this.#served?.end();
    this.#served = undefined;
    for (const end of this.#ends) end();
    this.reads.stop();
    for (const waiter of this.#waiters) waiter();
  }

  /** What this node answers to others and to itself. It may be asked the same twice. */
  serve(operation: string, handler: (request: never) => Promise<unknown>): void {
    this.#handlers.set(operation, handler);
  }

  /** Answers `gather`, for those partitions of the ones asked for that are here. */
  serveGather(operation: string, handler: (partitions: readonly Partition[], request: never) => unknown): void {
    this.serve(operation, async (request: { readonly partitions: readonly number[] }): Promise<GatherReply> => {
      const partitions = this.reads.here(request.partitions);
      const part = partitions.length === 0 ? undefined : await handler(partitions, request as never);
      // One that went meanwhile may have been another's already when it was read.
      this.reads.check(partitions);
      return { covers: partitions.map(({ number }) => [number, this.#options.journalSeq(number)]), part };
    });
  }

  /** Asks one node once. Rejects with NodeSilentError, or what it answers. */
  async call<T>(node: string, operation: string, request: unknown, timeoutMs = ATTEMPT_MS): Promise<T> {
    if (node === this.self) return (await this.#handle(operation, request)) as T;
    return (await this.#options.channel.request(node, operation, request, timeoutMs)) as T;
  }

  /** Asks the owner of a partition, whoever that is by then. Throws RequestError 503 when nobody has answered for too long. */
  toOwner<T>(partition: number, operation: string, request: unknown): Promise<T> {
    const { view } = this.#options;
    return this.#toHolder(() => view.ownerOf(partition), `partition ${partition}`, operation, request);
  }

  /** The same, of the node that reads the events and gives out the slots of workers. */
  toCoordinator<T>(operation: string, request: unknown, patienceMs?: number): Promise<T> {
    const { view } = this.#options;
    return this.#toHolder(() => view.coordinator, "the coordinator", operation, request, patienceMs);
  }

  async #toHolder<T>(
    holder: () => string | undefined,
    what: string,
    operation: string,
    request: unknown,
    patienceMs = this.#options.patienceMs,
  ): Promise<T> {
    const pace = this.#pace(patienceMs);
    for (;;) {
      const node = holder();
      if (node !== undefined) {
        const answer = await this.#attempt(node, operation, request, () => holder() === node, pace.leftMs());
        if (answer !== NOTHING) return answer as T;
      }
      if (!(await pace.next())) throw unavailable(operation, `${what} is on its way to another engine node`);
    }
  }

  /**
   * Asks all members at once, and again until each has answered; one that ceases to be a member is left out. `partialAfterMs`: after
   * that, so are those that have not answered.
   */
  async toAll<T>(operation: string, request: unknown, { partialAfterMs }: { readonly partialAfterMs?: number } = {}) {
    const { view } = this.#options;
    const answers = new Map<string, T>();
    const ask = async (node: string): Promise<void> => {
      const pace = this.#pace(partialAfterMs ?? this.#options.patienceMs);
      const isMember = (): boolean => view.nodes.includes(node);
      while (isMember()) {
        const answer = await this.#attempt(node, operation, request, isMember, pace.leftMs());
        if (answer !== NOTHING) {
          answers.set(node, answer as T);
          return;
        }
        if (isMember() && !(await pace.next())) {
          if (partialAfterMs !== undefined) return;
          throw unavailable(operation, `engine node ${node} does not answer`);
        }
      }
    };
    await Promise.all(view.nodes.map(ask));
    return answers as ReadonlyMap<string, T>;
  }

  /**
   * Asks all owners at once, and again for what they did not own, until there is one answer for every partition: what is put together
   * of them is whole, and counts nothing twice. Throws RequestError 503 when a partition had no owner that answered for too long.
   */
  async gather<T>(operation: string, request: object, options: GatherOptions = {}): Promise<Gathered<T>> {
    const { view, owned, patienceMs } = this.#options;
    const { partitions, partialAfterMs } = options;
    const left = new Set(partitions ?? Array.from({ length: owned.count }, (_, number) => number));
    const parts: T[] = [];
    const seqs = new Map<number, number>();
    const pace = this.#pace(partialAfterMs ?? patienceMs);
    const ask = async (node: string, numbers: readonly number[]): Promise<void> => {
      const stillHas = (): boolean => numbers.some((number) => view.ownerOf(number) === node);
      const answer = await this.#attempt(node, operation, { ...request, partitions: numbers }, stillHas, pace.leftMs());
      if (answer === NOTHING) return;
      const { covers, part } = answer as GatherReply;
      if (covers.length > 0) parts.push(part as T);
      for (const [number, seq] of covers) {
        left.delete(number);
        seqs.set(number, seq);
      }
    };
    while (left.size > 0) {
      const byNode = new Map<string, number[]>();
      for (const number of left) {
        const node = view.ownerOf(number);
        if (node === undefined) continue;
        const numbers = byNode.get(node);
        if (numbers === undefined) byNode.set(node, [number]);
        else numbers.push(number);
      }
      await Promise.all([...byNode].map(([node, numbers]) => ask(node, numbers)));
      if (left.size === 0 || (await pace.next())) continue;
      if (partialAfterMs !== undefined) break;
      throw unavailable(operation, `partitions ${[...left].join(", ")} are on their way to another engine node`);
    }
    return { parts, seqs, missing: [...left] };
  }

  /** Asks once, for as long as `worth` is true. NOTHING where another try, or another node, may do. */
  async #attempt(node: string, operation: string, request: unknown, worth: () => boolean, leftMs: number): Promise<unknown> {
    const answer = this.call(node, operation, request, Math.max(1, Math.min(ATTEMPT_MS, leftMs))).catch((error: unknown) => {
      if (error instanceof NodeSilentError || (error instanceof RequestError && error.status === 503)) return NOTHING;
      throw error;
    });
    if (node === this.self) return await answer;
    let look: () => void = () => undefined;
    const over = new Promise<typeof NOTHING>((resolve) => {
      look = () => {
        if (this.#stopped || !worth()) resolve(NOTHING);
      };
      this.#waiters.add(look);
    });
    try {
      return await Promise.race([answer, over]);
    } finally {
      this.#waiters.delete(look);
    }
  }

  /** When to try again: at the next change, or after a while; until the time is over. Changes count from when it was made. */
  #pace(patienceMs: number): { leftMs(): number; next(): Promise<boolean> } {
    const untilMs = performance.now() + patienceMs;
    const leftMs = (): number => untilMs - performance.now();
    let waitMs = FIRST_WAIT_MS;
    return {
      leftMs,
      next: async () => {
        if (this.#stopped || leftMs() <= 0) return false;
        await this.#change(Math.max(1, Math.min(waitMs, leftMs())));
        waitMs = Math.min(2 * waitMs, MAX_WAIT_MS);
        return !this.#stopped;
      },
    };
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#waiters.add(done);
    });
  }

  async #handle(operation: string, request: unknown): Promise<unknown> {
    const handler = this.#handlers.get(operation);
    if (handler === undefined)
      throw new RequestError(`${operation}: this engine node does not know that operation`, { operation, status: 404 });
    return await handler(request as never);
  }
}

function unavailable(operation: string, why: string): RequestError {
  return new RequestError(`${operation}: ${why}`, { operation, status: 503, reason: "ENGINE_UNAVAILABLE" });
}
