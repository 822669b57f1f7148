/**
 * Signs of life. A node's session is an entry of the bucket that it changes again and again; whoever has watched it for its time without a change may
 * end it, by compare-and-set on what was watched. So a session that was renewed meanwhile cannot be ended, whatever the
 * observer or a lagging server believed, and one that was ended cannot be renewed. Clocks of different nodes are never compared.
 */
import type { MapBucket } from "./map-store.ts";

export interface SessionRecord {
  readonly v: 1;
  readonly ttlMs: number;
  /** Counts renewals, so that each is a change. */
  readonly beat: number;
  /** What the node wants others to know. */
  readonly info?: unknown;
  /** Another took the node for dead. Final. */
  readonly ended?: true;
}

export function sessionKey(id: string): string {
  return `node.${id}`;
}

export interface SessionOptions {
  readonly bucket: MapBucket;
  readonly id: string;
  readonly ttlMs: number;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly info: () => unknown;
}

/** A node's own session. */
export class Session {
  readonly #options: SessionOptions;
  #revision = 0;
  #beat = 0;
  #renewedAtMs = -Infinity;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  get id(): string {
    return this.#options.id;
  }

  get isOpen(): boolean {
    return this.#revision > 0;
  }

  /** By this node's own clock, counted from before the last renewal that got through: never later than others find it run out. */
  expired(nowMs: number): boolean {
    return nowMs - this.#renewedAtMs > this.#options.ttlMs;
  }

  /** Opens it, or renews it. `ended`: for good. Throws when the server is away. */
  async renew(): Promise<"renewed" | "ended"> {
    const { bucket, id, now } = this.#options;
    for (;;) {
      const beganMs = now();
      const record = this.#nextRecord();
      const revision = await bucket.compareAndSet(sessionKey(id), record, this.#revision);
      if (revision !== undefined) {
        this.#revision = revision;
        this.#beat = record.beat;
        this.#renewedAtMs = beganMs;
        return "renewed";
      }
      // Another has ended it, unless an earlier renewal got through without its acknowledgement.
      const entry = await bucket.get<SessionRecord>(sessionKey(id));
      if (entry === undefined || entry.value.ended) return "ended";
      if (entry.revision === this.#revision) throw new Error("the server does not show the session as it is yet");
      this.#revision = entry.revision;
      this.#beat = entry.value.beat;
    }
  }

  /** So that nobody waits for its end. `removed`: the map does not name the node any more, nobody needs to see that it ended. */
  async close(removed: boolean): Promise<void> {
    const { bucket, id } = this.#options;
    if (removed) return bucket.delete(sessionKey(id));
    await bucket.compareAndSet(sessionKey(id), { ...this.#nextRecord(), ended: true }, this.#revision);
  }

  #nextRecord(): SessionRecord {
    const { ttlMs, info } = this.#options;
    const known = info();
    return { v: 1, ttlMs, beat: this.#beat + 1, ...(known !== undefined && { info: known }) };
  }
}

interface Watched {
  readonly revision: number;
  readonly record: SessionRecord | undefined;
  /** Since when it has looked like that here. */
  readonly sinceMs: number;
}

/** The sessions of others, as this node sees them. */
export class SessionWatch {
  readonly #ttlMs: number;
  readonly #watched = new Map<string, Watched>();
  #lookedAtMs = -Infinity;

  /** `ttlMs` counts where a member has no session, and for how long a gap between two looks may be. */
  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  /**
   * What one look has found, by id, and undefined where there was nothing. After a gap (this node was paused, or NATS away) everyone
   * gets their full time again: a watch that was interrupted is not a watch.
   */
  observe(
    found: ReadonlyMap<string, { readonly value: SessionRecord; readonly revision: number } | undefined>,
    nowMs: number,
  ): void {
    const afterGap = nowMs - this.#lookedAtMs > this.#ttlMs / 2;
    this.#lookedAtMs = nowMs;
    for (const id of this.#watched.keys()) if (!found.has(id)) this.#watched.delete(id);
    for (const [id, entry] of found) {
      const before = this.#watched.get(id);
      const revision = entry?.revision ?? 0;
      const isNews = before === undefined || afterGap || revision > before.revision;
      this.#watched.set(id, {
        revision: Math.max(revision, before?.revision ?? 0),
        // A server that lags behind may show an older one.
        record: before !== undefined && revision > 0 && revision < before.revision ? before.record : entry?.value,
        sinceMs: isNews ? nowMs : before.sinceMs,
      });
    }
  }

  /** Those that have run out by now. */
  overdue(nowMs: number): string[] {
    return [...this.#watched]
      .filter(([, watched]) => watched.record?.ended === true || nowMs > this.#dueMs(watched))
      .map(([id]) => id);
  }

  /** When the next will have run out if nothing is heard of it. */
  get nextDueMs(): number {
    return Math.min(Infinity, ...[...this.#watched.values()].map((watched) => this.#dueMs(watched)));
  }

  silentMs(id: string, nowMs: number): number | undefined {
    const watched = this.#watched.get(id);
    return watched && nowMs - watched.sinceMs;
  }

  infoOf(id: string): unknown {
    return this.#watched.get(id)?.record?.info;
  }

  /** Ends a session that has run out. False when it was renewed after all. Throws when the server is away. */
  async end(id: string, bucket: MapBucket): Promise<boolean> {
    const watched = this.#watched.get(id);
    if (watched === undefined) return false;
    // A member whose session is gone: it opened one before it joined, and closed it.
    if (watched.record === undefined || watched.record.ended) return true;
    const ended: SessionRecord = { ...watched.record, ended: true };
    return (await bucket.compareAndSet(sessionKey(id), ended, watched.revision)) !== undefined;
  }

  #dueMs({ record, sinceMs }: Watched): number {
    return sinceMs + (record?.ttlMs ?? this.#ttlMs);
  }
}
