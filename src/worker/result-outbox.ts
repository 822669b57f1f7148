/**
 * Results on their way into the inboxes of their partitions: kept until the server has acknowledged them, in order per
 * partition, in batches. What ends in one turn of the event loop goes out together, at once where nothing is under way; while
 * something is, further results wait for its acknowledgement, unless a full batch has come together.
 *
 * Delivery is at least once: after a publish whose outcome is unknown, the same results are sent again, behind nothing newer.
 * Engines know them by their attempts.
 */
import type { Logger } from "pino";
import { isPayloadTooLargeError } from "../errors.ts";
import { isJetStreamRefusedError } from "../nats/ack-publisher.ts";

/** Stores one message durably, or rejects. Messages that it stores keep the order of the calls. */
export type PublishResults = (partition: number, data: string) => Promise<unknown>;

export interface ResultOutboxOptions {
  readonly publish: PublishResults;
  /** Largest message in bytes, now. */
  readonly maxPayload: () => number;
  readonly logger: Logger;
  /** Waits before a failed publish is repeated; the first and the longest, in ms. Default 100 and 2,000. */
  readonly retryMs?: { readonly first: number; readonly longest: number };
}

export interface Result {
  readonly attemptId: string;
  /** A `StepResult` as JSON. */
  readonly json: string;
  /** The text that takes its place where the server refuses it for its size. */
  readonly ifTooLarge: () => string;
}

interface Lane {
  readonly partition: number;
  /** Not sent yet, oldest first. */
  waiting: Result[];
  /** Sent, not acknowledged, oldest first. */
  readonly inFlight: Set<readonly Result[]>;
  /** Results to be sent again once nothing is in flight, oldest first. While there are any, nothing newer is sent. */
  failed: Result[];
  attempts: number;
  retryTimer: NodeJS.Timeout | undefined;
  scheduled: boolean;
}

const MAX_IN_FLIGHT = 4;
/** A batch of so many results, or so many characters, goes out though others are still in flight. */
const FULL_RESULTS = 64;
const MAX_RESULTS = 512;
const MAX_CHARACTERS = 262_144;
const HEAD = '{"type":"results","results":[';
/** JetStream's code for a message above the stream's own limit. */
const MESSAGE_EXCEEDS_MAXIMUM = 10_054;
const LOG_EVERY_MS = 5_000;

export class ResultOutbox {
  readonly #options: ResultOutboxOptions;
  readonly #lanes = new Map<number, Lane>();
  #dirty: Lane[] = [];
  #immediate: NodeJS.Immediate | undefined;
  #unacknowledged = 0;
  #whenEmpty: (() => void)[] = [];
  #loggedAt = -Infinity;
  #stopped = false;

  constructor(options: ResultOutboxOptions) {
    this.#options = options;
  }

  /** Results that the server has not acknowledged. */
  get size(): number {
    return this.#unacknowledged;
  }

  add(partition: number, result: Result): void {
    if (this.#stopped) return;
    let lane = this.#lanes.get(partition);
    if (lane === undefined) {
      lane = { partition, waiting: [], inFlight: new Set(), failed: [], attempts: 0, retryTimer: undefined, scheduled: false };
      this.#lanes.set(partition, lane);
    }
    lane.waiting.push(result);
    this.#unacknowledged++;
    this.#schedule(lane);
  }

  /** The attempts whose results are not acknowledged, as a status tells of them. */
  attempts(): { readonly id: string; readonly partition: number }[] {
    const attempts: { id: string; partition: number }[] = [];
    for (const { partition, failed, inFlight, waiting } of this.#lanes.values())
      for (const results of [failed, ...inFlight, waiting])
        for (const { attemptId } of results) attempts.push({ id: attemptId, partition });
    return attempts;
  }

  /** Tries at once what waits to be sent again: the server is back. */
  retryNow(): void {
    for (const lane of this.#lanes.values()) {
      if (lane.retryTimer === undefined) continue;
      clearTimeout(lane.retryTimer);
      lane.retryTimer = undefined;
      this.#resend(lane);
    }
  }

  /** Resolves once everything is acknowledged. */
  delivered(): Promise<void> {
    if (this.#unacknowledged === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.push(resolve));
  }

  /** Gives up what is left. Idempotent. */
  stop(): void {
    this.#stopped = true;
    clearImmediate(this.#immediate);
    for (const lane of this.#lanes.values()) clearTimeout(lane.retryTimer);
  }

  #schedule(lane: Lane): void {
    if (lane.scheduled) return;
    lane.scheduled = true;
    this.#dirty.push(lane);
    this.#immediate ??= setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#immediate = undefined;
    const lanes = this.#dirty;
    this.#dirty = [];
    for (const lane of lanes) {
      lane.scheduled = false;
      this.#send(lane);
    }
  };

  #send(lane: Lane): void {
    if (lane.failed.length > 0) return;
    while (
      lane.waiting.length > 0 &&
      (lane.inFlight.size === 0 || (lane.waiting.length >= FULL_RESULTS && lane.inFlight.size < MAX_IN_FLIGHT))
    ) {
      const batch = this.#take(lane.waiting);
      // The usual case is that all go; copying the rest is for the rare one.
      lane.waiting = batch.length === lane.waiting.length ? [] : lane.waiting.slice(batch.length);
      this.#publish(lane, batch);
    }
  }

  /** As many of the first results as fit into a message, at least one: that one alone fits is its writer's business. */
  #take(results: Result[]): Result[] {
    // A character has at most three bytes, so that nothing needs to be counted.
    const maxCharacters = Math.min(MAX_CHARACTERS, Math.floor((this.#options.maxPayload() - 1_024) / 3));
    let characters = 0;
    let count = 0;
    for (const { json } of results) {
      characters += json.length + 1;
      if (count > 0 && (count >= MAX_RESULTS || characters > maxCharacters)) break;
      count++;
    }
    return count === results.length ? results : results.slice(0, count);
  }

  #publish(lane: Lane, batch: readonly Result[]): void {
    let data = HEAD + (batch[0] as Result).json;
    for (let i = 1; i < batch.length; i++) data += `,${(batch[i] as Result).json}`;
    data += "]}";
    lane.inFlight.add(batch);
    this.#options.publish(lane.partition, data).then(
      () => this.#acknowledged(lane, batch),
      (error: unknown) => this.#refused(lane, batch, error),
    );
  }

  #acknowledged(lane: Lane, batch: readonly Result[]): void {
    lane.inFlight.delete(batch);
    this.#unacknowledged -= batch.length;
    if (this.#stopped) return;
    if (lane.failed.length > 0) {
      if (lane.inFlight.size === 0) this.#retryLater(lane);
      return;
    }
    lane.attempts = 0;
    if (lane.waiting.length > 0) this.#schedule(lane);
    if (this.#unacknowledged === 0) {
      const callbacks = this.#whenEmpty;
      this.#whenEmpty = [];
      for (const callback of callbacks) callback();
    }
  }

  #refused(lane: Lane, batch: readonly Result[], error: unknown): void {
    lane.inFlight.delete(batch);
    if (this.#stopped) return;
    if (tooLarge(error)) {
      // Alone it is too large; together they may have been.
      const [only] = batch;
      if (batch.length === 1 && only !== undefined) {
        const json = only.ifTooLarge();
        lane.failed.push({ ...only, json, ifTooLarge: () => json });
      } else lane.failed.push(...batch);
      lane.attempts++;
    } else {
      lane.failed.push(...batch);
      lane.attempts++;
      const now = performance.now();
      if (now - this.#loggedAt >= LOG_EVERY_MS) {
        this.#loggedAt = now;
        this.#options.logger.warn(
          { err: error, partition: lane.partition, results: this.#unacknowledged },
          "results could not be delivered yet; retrying",
        );
      }
    }
    if (lane.inFlight.size === 0) this.#retryLater(lane);
  }

  #retryLater(lane: Lane): void {
    const { first, longest } = this.#options.retryMs ?? { first: 100, longest: 2_000 };
    lane.retryTimer ??= setTimeout(
      () => {
        lane.retryTimer = undefined;
        this.#resend(lane);
      },
      Math.min(first * 2 ** Math.min(lane.attempts - 1, 10), longest),
    );
  }

  /** One batch after the other, so that their order stays, and smaller ones where they were refused. */
  #resend(lane: Lane): void {
    if (this.#stopped) return;
    const failed = lane.failed;
    lane.failed = [];
    // Refused for their size, they go one by one: which of them is too large is then known.
    lane.waiting = [...failed, ...lane.waiting];
    if (lane.attempts > 1) {
      const one = lane.waiting.splice(0, 1);
      this.#publish(lane, one);
    } else this.#send(lane);
  }
}

function tooLarge(error: unknown): boolean {
  return isPayloadTooLargeError(error) || (isJetStreamRefusedError(error) && error.apiCode === MESSAGE_EXCEEDS_MAXIMUM);
}
