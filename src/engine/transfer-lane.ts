/**
 * The way of runs from one source (the events, or another partition) to one partition, in their order, exactly once. What the target
 * has journaled of a source it ignores when it comes again, and what is not above that it ignores too: so a run that another one of
 * the same source overtakes would be lost. Every mode, and every change between them, keeps the order:
 *
 * - `inbox`: the target is another node's, or nobody's. One message is on its way into its inbox at a time, and is repeated, the same,
 *   until the server has acknowledged it; the next one grows meanwhile. What is acknowledged is durable: the target will read it.
 * - `settling`: the target is here, and this lane does not know yet that everything of its source before is in. Its first message goes
 *   through the inbox all the same, behind whatever an earlier lane (of a router or an owner that is gone) has put there; then nothing
 *   goes until the target has applied that message.
 * - `memory`: the target is here. Runs are handed over in memory, and kept until the target has committed them.
 *
 * When the target leaves this node, everything that it has not committed goes again, through the inbox, before anything newer. Nothing
 * but what was confirmed is ever left out, so two lanes of one source (an old router that was paused, a new one) do no harm either:
 * each of them sends without gaps.
 */
import type { Logger } from "pino";
import type { Clock } from "../clock.ts";
import { isPayloadTooLargeError } from "../errors.ts";
import { comparePositions, type Position } from "./facts.ts";
import type { Input } from "./partition.ts";
import { transferredText, withoutLargeInput } from "./transferred-run.ts";

export type TransferInput = Extract<Input, { type: "creation" }>;

/** What a lane needs of a partition that is owned here. */
export interface TransferTarget {
  enqueue(input: TransferInput): void;
  committedPosition(source: string): Position | undefined;
  /** As of `Partition`. */
  room(): Promise<void> | undefined;
}

export interface TransferLaneOptions {
  readonly source: string;
  readonly partition: number;
  /** The target, while it is owned here. */
  readonly target: () => TransferTarget | undefined;
  /** Puts a message into the target's inbox. Resolves once it is stored; rejects also where that is unknown. */
  readonly publish: (partition: number, text: string) => Promise<{ readonly seq: number }>;
  /** Resolves once the target, which is owned here, has applied its inbox up to `seq`. Rejects when it leaves. */
  readonly applied: (partition: number, seq: number) => Promise<unknown>;
  readonly maxPayloadBytes: () => number;
  readonly setTimer: Clock["setTimer"];
  /** Monotonic. */
  readonly now: () => number;
  readonly logger: Logger;
}

type Mode = "inbox" | "settling" | "memory" | "ended";

interface Batch {
  readonly text: string;
  readonly count: number;
}

const MAX_BATCH_BYTES = 256 * 1024;
const MAX_BATCH_ITEMS = 1_000;
const HEAD_BYTES = 128;
const RETRY_MS = 100;
const MAX_RETRY_MS = 2_000;
const COMPLAIN_MS = 30_000;
/** What waits for an inbox, before its source is asked to hold back. */
const CROWDED_ITEMS = 5_000;
const CROWDED_CHARS = 8 * 1024 * 1024;

export class TransferLane {
  readonly #options: TransferLaneOptions;
  #mode: Mode = "inbox";
  /** Not confirmed, in their order; the first ones are in the message that is on its way. */
  #items: TransferInput[] = [];
  #head = 0;
  /** Of the inputs of those, while they wait for the inbox. */
  #chars = 0;
  #batch: Batch | undefined = undefined;
  /** Of this lane's last message, in the target's inbox; undefined before the first one. */
  #storedSeq: number | undefined = undefined;
  /** Whom items were handed to in memory. */
  #target: TransferTarget | undefined = undefined;
  /** What it waits for while it settles. */
  #settling: { readonly target: TransferTarget; readonly seq: number } | undefined = undefined;
  #cancelRetry: (() => void) | undefined = undefined;
  #failures = 0;
  #complainedAt = -Infinity;
  #roomWaiters: (() => void)[] = [];

  constructor(options: TransferLaneOptions) {
    this.#options = options;
  }

  /** In growing positions. */
  send(input: TransferInput): void {
    if (this.#mode === "ended") return;
    if (this.#mode === "memory" && this.#target !== undefined) {
      this.#trim();
      this.#items.push(input);
      this.#target.enqueue(input);
      return;
    }
    this.#keep(input);
    this.#next();
  }

  /** Resolves when there is room for more; undefined when there is already. */
  room(): Promise<void> | undefined {
    if (this.#mode === "memory") return this.#target?.room();
    if (this.#mode === "ended" || !this.#crowded(1)) return undefined;
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /** Position of the first one that is neither committed nor stored in the inbox. */
  get pending(): Position | undefined {
    this.#trim();
    return this.#items[this.#head]?.position;
  }

  /** The target has come to this node, or has left it. */
  moved(): void {
    if (this.#mode === "ended") return;
    const target = this.#options.target();
    if (this.#mode === "memory" && target === this.#target) return;
    if (this.#mode === "memory") {
      this.#trim();
      const items = this.#waiting;
      this.#items = [];
      this.#head = 0;
      this.#target = undefined;
      this.#chars = 0;
      for (const input of items) this.#keep(input);
    }
    this.#settling = undefined;
    this.#mode = target === undefined ? "inbox" : "settling";
    this.#next();
  }

  /** Nothing is sent any more, and what was not confirmed is forgotten: who takes the source over sends it again. */
  end(): void {
    this.#mode = "ended";
    this.#settling = undefined;
    this.#cancelRetry?.();
    this.#items = [];
    this.#head = 0;
    this.#target = undefined;
    this.#wake();
  }

  /** Whatever can be done now. */
  #next(): void {
    if (this.#batch !== undefined || this.#mode === "memory" || this.#mode === "ended") return;
    const target = this.#options.target();
    this.#mode = target === undefined ? "inbox" : "settling";
    if (target !== undefined && this.#storedSeq !== undefined) {
      if (this.#settling === undefined) void this.#settle((this.#settling = { target, seq: this.#storedSeq }));
    } else if (this.#head < this.#items.length) {
      this.#batch = this.#nextBatch();
      void this.#publish(this.#batch);
    }
  }

  // ---------------------------------------------------------------- through the inbox

  #keep(input: TransferInput): void {
    const creation = withoutLargeInput(input.creation);
    const kept = creation === input.creation ? input : { ...input, creation };
    this.#items.push(kept);
    this.#chars += sizeOf(kept);
  }

  #nextBatch(): Batch {
    const { source, maxPayloadBytes } = this.#options;
    const maxBytes = Math.min(MAX_BATCH_BYTES, maxPayloadBytes() * 0.75);
    const texts: string[] = [];
    let bytes = HEAD_BYTES;
    for (let at = this.#head; at < this.#items.length && texts.length < MAX_BATCH_ITEMS; at++) {
      const { position, creation } = this.#items[at] as TransferInput;
      const text = transferredText(position, creation);
      bytes += Buffer.byteLength(text) + 1;
      if (bytes > maxBytes && texts.length > 0) break;
      texts.push(text);
    }
    return { text: `{"type":"transfer","source":"${source}","items":[${texts.join(",")}]}`, count: texts.length };
  }

  async #publish(batch: Batch): Promise<void> {
    const { partition, publish } = this.#options;
    let seq: number;
    try {
      ({ seq } = await publish(partition, batch.text));
    } catch (error) {
      if (this.#mode !== "ended") this.#repeat(batch, error);
      return;
    }
    this.#failures = 0;
    this.#batch = undefined;
    this.#storedSeq = seq;
    if (this.#mode === "ended") return;
    const stored = this.#items.slice(this.#head, this.#head + batch.count);
    for (const input of stored) {
      this.#chars -= sizeOf(input);
      this.#drop();
    }
    if (!this.#crowded(0.5)) this.#wake();
    for (const input of stored) input.accepted?.();
    this.#next();
  }

  /** Whether it is there is unknown: what follows must wait, and a repetition is ignored by the target. */
  #repeat(batch: Batch, error: unknown): void {
    const { source, partition, setTimer, now, logger } = this.#options;
    if (batch.count === 1 && isPayloadTooLargeError(error)) {
      this.#failFirst(error.message);
      this.#batch = this.#nextBatch();
      void this.#publish(this.#batch);
      return;
    }
    const waitMs = Math.min(RETRY_MS * 2 ** Math.min(this.#failures++, 10), MAX_RETRY_MS);
    if (this.#failures > 1 && now() - this.#complainedAt >= COMPLAIN_MS) {
      this.#complainedAt = now();
      logger.warn(
        { err: error, source, partition, waiting: this.#items.length - this.#head },
        "runs cannot be brought to their partition; they are kept, and it is tried again",
      );
    }
    this.#cancelRetry = setTimer(() => {
      this.#cancelRetry = undefined;
      if (this.#mode !== "ended") void this.#publish(batch);
    }, waitMs);
  }

  /** It can never be sent as it is, and must not block what follows: the run arrives without what it carries, and fails visibly. */
  #failFirst(message: string): void {
    const first = this.#items[this.#head];
    if (first === undefined) return;
    const { run, workflow, createdAt, event } = first.creation;
    const failure = { name: "PayloadTooLargeError", code: "PAYLOAD_TOO_LARGE", message, retryable: false };
    const creation = { run, workflow, createdAt, ...(event !== undefined && { event }), failure };
    this.#items[this.#head] = { ...first, creation };
    this.#chars -= sizeOf(first);
  }

  // ---------------------------------------------------------------- in memory

  async #settle(settling: { readonly target: TransferTarget; readonly seq: number }): Promise<void> {
    const { partition, applied, setTimer } = this.#options;
    const { target } = settling;
    try {
      await applied(partition, settling.seq);
    } catch {
      // It leaves, or is not quite there: whoever knows is about to say it. Otherwise it is asked again.
      await new Promise<void>((resolve) => setTimer(resolve, RETRY_MS));
      if (this.#settling !== settling) return;
      this.#settling = undefined;
      this.#next();
      return;
    }
    if (this.#settling !== settling) return;
    this.#settling = undefined;
    this.#mode = "memory";
    this.#target = target;
    this.#trim();
    for (const input of this.#waiting) target.enqueue(input);
    this.#wake();
  }

  /** Lets go of what the target has committed. */
  #trim(): void {
    const committed = this.#target?.committedPosition(this.#options.source);
    if (committed === undefined) return;
    for (let first = this.#items[this.#head]; first !== undefined; first = this.#items[this.#head]) {
      if (comparePositions(first.position, committed) > 0) return;
      this.#drop();
    }
  }

  // ---------------------------------------------------------------- the queue

  get #waiting(): readonly TransferInput[] {
    return this.#items.slice(this.#head);
  }

  #drop(): void {
    this.#head++;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > 1_000 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  #crowded(share: number): boolean {
    return this.#items.length - this.#head >= CROWDED_ITEMS * share || this.#chars >= CROWDED_CHARS * share;
  }

  #wake(): void {
    for (const waiter of this.#roomWaiters.splice(0)) waiter();
  }
}

function sizeOf({ creation }: TransferInput): number {
  return creation.input?.length ?? 0;
}
