/**
 * Brings runs to their partitions: those that the router makes of events, and those that one partition hands over to another. In memory
 * where the target is owned here, else through its inbox. What a lane between a source and a target promises, and how, is in
 * transfer-lane.ts; here is which lanes there are, and who is told when a partition comes or goes.
 */
import type { Logger } from "pino";
import { type Clock, systemClock } from "../clock.ts";
import { comparePositions, type Position, type Source } from "./facts.ts";
import type { Partition } from "./partition.ts";
import type { Creation } from "./run.ts";
import { TransferLane, type TransferTarget } from "./transfer-lane.ts";

/** As of `OwnedPartitions`. */
export interface TransferTargets {
  readonly count: number;
  get(number: number): TransferTarget | undefined;
  onChanged(listener: (number: number, owned: unknown) => void): () => void;
}

export interface TransfersOptions {
  readonly owned: TransferTargets;
  /** Puts a message into a partition's inbox. Resolves once it is stored; rejects also where that is unknown. */
  readonly publish: (partition: number, text: string) => Promise<{ readonly seq: number }>;
  /** Resolves once a partition that is owned here has applied its inbox up to `seq`, durably. Rejects when it leaves. */
  readonly applied: (partition: number, seq: number) => Promise<unknown>;
  /** The server's largest message, in bytes. */
  readonly maxPayloadBytes: () => number;
  /** Default: real timers. */
  readonly setTimer?: Clock["setTimer"];
  readonly logger: Logger;
}

/**
 * One life of a source: a router from its start to its end, or a partition as long as it is owned here. Who takes the source over opens
 * it anew, from what was confirmed.
 */
export class TransferSource {
  readonly #name: Source;
  readonly #makeLane: (source: Source, partition: number) => TransferLane;
  readonly #lanes = new Map<number, TransferLane>();
  #ended = false;
  /** What had not arrived when it ended, or came afterwards: the first of that. */
  #lost: Position | undefined = undefined;

  constructor(name: Source, makeLane: (source: Source, partition: number) => TransferLane) {
    this.#name = name;
    this.#makeLane = makeLane;
  }

  /**
   * Positions grow from call to call, for each partition. `accepted` is called once the run can no longer get lost: the target has it
   * in its journal, or it stands in the target's inbox. It may be called twice.
   */
  send(partition: number, position: Position, creation: Creation, accepted?: () => void): void {
    if (this.#ended) {
      this.#lost ??= position;
      return;
    }
    let lane = this.#lanes.get(partition);
    if (lane === undefined) this.#lanes.set(partition, (lane = this.#makeLane(this.#name, partition)));
    lane.send({ type: "creation", source: this.#name, position, creation, accepted });
  }

  /** Resolves when there is room for more on the way to that partition; undefined when there is already. */
  room(partition: number): Promise<void> | undefined {
    return this.#lanes.get(partition)?.room();
  }

  /** Position of the first one of all that can still get lost; undefined when there is none. */
  get pending(): Position | undefined {
    if (this.#ended) return this.#lost;
    let first: Position | undefined;
    for (const lane of this.#lanes.values()) {
      const { pending } = lane;
      if (pending !== undefined && (first === undefined || comparePositions(pending, first) < 0)) first = pending;
    }
    return first;
  }

  /** The partition has come to this node, or has left it. */
  moved(partition: number): void {
    this.#lanes.get(partition)?.moved();
  }

  /** Nothing goes from here any more. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#lost = this.pending;
    this.#ended = true;
    for (const lane of this.#lanes.values()) lane.end();
    this.#lanes.clear();
  }
}

export class Transfers {
  readonly #options: TransfersOptions;
  readonly #sources = new Map<Source, TransferSource>();
  /** Per life of a partition, not by its number: what a former life still sends must not mix with the next one's. */
  readonly #ofPartition = new WeakMap<Partition, TransferSource>();
  readonly #unlisten: () => void;
  #stopped = false;

  constructor(options: TransfersOptions) {
    this.#options = options;
    this.#unlisten = options.owned.onChanged((number, owned) => {
      if (owned === undefined) this.#end(`p${number}`);
      for (const source of this.#sources.values()) source.moved(number);
    });
  }

  /** A source begins a new life: one that is still open under that name ends. */
  open(name: Source): TransferSource {
    this.#end(name);
    const source = new TransferSource(name, (source, partition) => this.#lane(source, partition));
    if (this.#stopped) source.end();
    else this.#sources.set(name, source);
    return source;
  }

  /** A run goes on in partition `to`, as the nth from `from`. */
  handOver(from: Partition, to: number, n: number, creation: Creation): void {
    let source = this.#ofPartition.get(from);
    if (source === undefined) this.#ofPartition.set(from, (source = this.open(`p${from.number}`)));
    source.send(to, [n, 0], creation, () => from.enqueue({ type: "confirmed", to, n }));
  }

  /** Idempotent. */
  stop(): void {
    this.#stopped = true;
    this.#unlisten();
    for (const name of [...this.#sources.keys()]) this.#end(name);
  }

  #end(name: Source): void {
    this.#sources.get(name)?.end();
    this.#sources.delete(name);
  }

  #lane(source: Source, partition: number): TransferLane {
    const { owned, publish, applied, maxPayloadBytes, setTimer = systemClock.setTimer, logger } = this.#options;
    return new TransferLane({
      source,
      partition,
      target: () => owned.get(partition),
      publish,
      applied,
      maxPayloadBytes,
      setTimer,
      now: () => performance.now(),
      logger,
    });
  }
}
