/**
 * Who should write: leases in the cluster's bucket, taken and renewed by compare-and-set. A lease only avoids needless
 * fights; what makes a second writer harmless is the fence of the journal. Clocks of different nodes are never compared: a
 * lease has run out when its entry has not changed for its time, as measured here.
 */
import type { Logger } from "pino";
import type { Bucket } from "../nats/bucket.ts";

export interface LeaseRecord {
  readonly node: string;
  /** Grows with every change of owner. */
  readonly epoch: number;
  readonly ttlMs: number;
  /** Counts renewals, so that each is a change. */
  readonly beat: number;
  readonly released?: boolean;
}

export interface LeaseOptions {
  readonly bucket: Bucket;
  readonly key: string;
  readonly node: string;
  readonly ttlMs: number;
  readonly logger: Logger;
  /** The lease was taken by another, or could not be renewed in time. */
  readonly onLost: () => void;
}

const POLL_PER_TTL = 6;

export class Lease {
  readonly #options: LeaseOptions;
  #mode: "idle" | "waiting" | "held" | "lost" | "stopped" = "idle";
  #revision = 0;
  #record: LeaseRecord | undefined = undefined;
  #timer: NodeJS.Timeout | undefined = undefined;
  #renewing: Promise<void> = Promise.resolve();

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  get epoch(): number {
    return this.#record?.epoch ?? 0;
  }

  get held(): boolean {
    return this.#mode === "held";
  }

  /** Waits until the lease is free and takes it. False when stopped before. */
  async acquire(): Promise<boolean> {
    const { bucket, key, node, ttlMs, logger } = this.#options;
    if (this.#mode === "stopped") return false;
    this.#mode = "waiting";
    let seen = -1;
    let seenAt = 0;
    let told = false;
    while (this.#mode === "waiting") {
      try {
        const entry = await bucket.get<LeaseRecord>(key);
        const revision = entry?.revision ?? 0;
        if (revision !== seen) {
          seen = revision;
          seenAt = performance.now();
        }
        const free =
          entry === undefined ||
          entry.value.released === true ||
          entry.value.node === node ||
          performance.now() - seenAt > entry.value.ttlMs;
        if (free) {
          const record: LeaseRecord = { node, epoch: (entry?.value.epoch ?? 0) + 1, ttlMs, beat: 0 };
          const taken = await bucket.compareAndSet(key, record, revision);
          if (taken !== undefined) {
            this.#revision = taken;
            this.#record = record;
            if ((this.#mode as string) !== "waiting") {
              await this.#give();
              return false;
            }
            this.#mode = "held";
            this.#arm(performance.now());
            return true;
          }
        } else if (!told) {
          told = true;
          logger.info(
            { lease: key, owner: entry?.value.node, ttlMs: entry?.value.ttlMs },
            "another engine node holds the lease; waiting until it is released or runs out",
          );
        }
      } catch (error) {
        logger.debug({ err: error, lease: key }, "the lease could not be read; trying again");
      }
      await new Promise((resolve) => setTimeout(resolve, ttlMs / POLL_PER_TTL));
    }
    return false;
  }

  /** Gives the lease back. Idempotent; also ends `acquire`. */
  async release(): Promise<void> {
    const held = this.#mode === "held";
    this.#mode = "stopped";
    clearTimeout(this.#timer);
    await this.#renewing;
    if (held) await this.#give();
  }

  async #give(): Promise<void> {
    const record = this.#record;
    if (record === undefined) return;
    try {
      await this.#options.bucket.compareAndSet(this.#options.key, { ...record, released: true }, this.#revision);
    } catch (error) {
      this.#options.logger.debug({ err: error, lease: this.#options.key }, "the lease could not be given back; it will run out");
    }
  }

  #renewIn(ms: number, renewedAt: number): void {
    this.#timer = setTimeout(() => {
      this.#renewing = this.#renew(renewedAt);
    }, ms);
  }

  #arm(renewedAt: number): void {
    this.#renewIn(this.#options.ttlMs / 3, renewedAt);
  }

  async #renew(renewedAt: number): Promise<void> {
    const { bucket, key, ttlMs, onLost, logger } = this.#options;
    const record = this.#record;
    if (this.#mode !== "held" || record === undefined) return;
    const began = performance.now();
    try {
      const next = { ...record, beat: record.beat + 1 };
      const revision = await bucket.compareAndSet(key, next, this.#revision);
      if (revision === undefined) {
        // Another has it, unless an earlier renewal of ours got through without its acknowledgement.
        const entry = await bucket.get<LeaseRecord>(key);
        if (entry?.value.node !== record.node || entry.value.epoch !== record.epoch || entry.value.released === true) {
          this.#mode = "lost";
          onLost();
          return;
        }
        this.#revision = entry.revision;
        this.#record = entry.value;
      } else {
        this.#revision = revision;
        this.#record = next;
      }
      if (this.#mode === "held") this.#arm(began);
    } catch (error) {
      // The server is away: nobody else can take the lease meanwhile either. The fence decides about what was written.
      logger.debug(
        { err: error, lease: key, sinceMs: performance.now() - renewedAt },
        "the lease could not be renewed; trying again",
      );
      if (this.#mode === "held") this.#renewIn(Math.min(500, ttlMs / 3), renewedAt);
    }
  }
}
