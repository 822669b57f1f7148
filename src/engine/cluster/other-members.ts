/**
 * The other members of the cluster as one node sees them: their sessions, and who of them is dead. Who may judge, and what follows from a
 * death, is not its business.
 */
import type { Logger } from "pino";
import type { ClusterMap } from "./cluster-map.ts";
import type { MapBucket } from "./map-store.ts";
import { sessionKey, type SessionRecord, SessionWatch } from "./session.ts";

export interface OtherMembersOptions {
  readonly bucket: MapBucket;
  readonly ttlMs: number;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly logger: Logger;
}

export class OtherMembers {
  readonly #options: OtherMembersOptions;
  readonly #watch: SessionWatch;
  readonly #dead = new Set<string>();
  #lookedAtMs = -Infinity;

  constructor(options: OtherMembersOptions) {
    this.#options = options;
    this.#watch = new SessionWatch(options.ttlMs);
  }

  /** Members whose session is ended; the map is to lose them. */
  get dead(): ReadonlySet<string> {
    return this.#dead;
  }

  /** When their sessions are to be looked at next: on the dot when one may have run out, so that a death is found as soon as it can be. */
  get nextLookAtMs(): number {
    const due = this.#watch.nextDueMs + 1;
    // What is overdue already waits for something else.
    return Math.min(this.#lookedAtMs + this.#options.ttlMs / 6, due > this.#options.now() ? due : Infinity);
  }

  silentMs(id: string): number | undefined {
    return this.#watch.silentMs(id, this.#options.now());
  }

  infoOf(id: string): unknown {
    return this.#watch.infoOf(id);
  }

  async look(ids: readonly string[]): Promise<void> {
    const { bucket, now } = this.#options;
    const entries = await Promise.all(ids.map((id) => bucket.get<SessionRecord>(sessionKey(id))));
    this.#lookedAtMs = now();
    this.#watch.observe(new Map(ids.map((id, index) => [id, entries[index]])), this.#lookedAtMs);
  }

  /** Ends the sessions that have run out. */
  async judge(): Promise<void> {
    const { bucket, logger, now } = this.#options;
    for (const id of this.#watch.overdue(now())) {
      if (this.#dead.has(id) || !(await this.#watch.end(id, bucket))) continue;
      logger.warn({ node: id }, "an engine node gives no sign of life: it is removed from the cluster");
      this.#dead.add(id);
    }
  }

  /** Once the map has lost them, nobody needs their sessions. */
  bury(map: ClusterMap): void {
    const { bucket, logger } = this.#options;
    for (const id of this.#dead) {
      if (map.nodes[id] !== undefined) continue;
      this.#dead.delete(id);
      bucket
        .delete(sessionKey(id))
        .catch((error: unknown) => logger.debug({ err: error, node: id }, "an ended session could not be deleted"));
    }
  }
}
