/**
 * An engine node as a member of its cluster: it keeps its session, looks at the map again and again, claims what it should own, hands over what it
 * should not, and notices who is dead, also when that is said of itself. What a node may do when is said by the machines in
 * `machines/cluster`; what it writes to the map by `wishes.ts`. It knows nothing of what partitions are: whoever made it takes them,
 * gives them back and drops them.
 *
 * Looks happen one at a time, at least every sixth of the session's time. The map is only ever changed by compare-and-set, so a node whose view
 * is old cannot take anything; while NATS is away nobody can.
 */
import type { Logger } from "pino";
import type { OwnershipMode } from "../../../machines/cluster/partition-ownership.ts";
import type { Clock } from "../../clock.ts";
import { AbsentWatch } from "./absent-watch.ts";
import { handoversDue } from "./assignment.ts";
import { type ClusterMap, epochOf, ownerOf, type Role, setDefinitionsSeq } from "./cluster-map.ts";
import { Look, Looks } from "./looks.ts";
import { Machines } from "./machines.ts";
import { MapStore } from "./map-store.ts";
import type { MembershipOptions } from "./membership-options.ts";
import type { OwnershipView } from "./ownership-view.ts";
import { type NodeView, viewNodes } from "./node-view.ts";
import { OtherMembers } from "./other-members.ts";
import { Session } from "./session.ts";
import { fulfil, type Wishes, wishesOf } from "./wishes.ts";

export interface Membership extends OwnershipView {
  /** Resolves when it is a member; what it owns is then on its way. Waits for NATS; ends early when stopped. */
  start(): Promise<void>;
  /** Gives all back, one after another, and leaves. Idempotent. */
  stop(): Promise<void>;
  readonly map: ClusterMap;
  /** It is a member, and its session has not run out: nobody else can have taken what it owns. */
  readonly isAssured: boolean;
  /** Look now: the map is said to have changed. */
  poke(): void;
  /** The fence said so, and the partition was dropped. */
  lost(role: Role): void;
  /** What the other members want known, by id; undefined where nothing is known yet. */
  sessions(): ReadonlyMap<string, unknown>;
  /** Definitions up to there are in force. Never goes back. Throws when NATS is away. */
  setDefinitionsSeq(seq: number): Promise<void>;
  view(): NodeView[];
}

export function createMembership(options: MembershipOptions): Membership {
  return new Membering(options);
}

const MAX_RETRY_MS = 500;

const monotonicClock: Clock = {
  now: () => performance.now(),
  setTimer(call, delayMs) {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
};

class Membering implements Membership {
  readonly #options: MembershipOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #machines: Machines;
  readonly #store: MapStore;
  readonly #others: OtherMembers;
  readonly #looks: Looks;
  readonly #absent = new AbsentWatch();
  readonly #listeners = new Set<() => void>();
  #session: Session;
  #mapChangedAtMs = 0;
  #stopRenewing: () => void = () => undefined;

  #started: Promise<void> | undefined = undefined;
  #stopped: Promise<void> | undefined = undefined;
  #joined: () => void = () => undefined;
  #left: () => void = () => undefined;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#clock = options.clock ?? monotonicClock;
    this.#logger = options.logger;
    this.#store = new MapStore(options.bucket, (map) => this.#onMap(map));
    const { bucket, logger, ttlMs } = options;
    this.#others = new OtherMembers({ bucket, ttlMs, now: this.#clock.now, logger });
    this.#looks = new Looks({
      clock: this.#clock,
      retryMs: this.#retryMs,
      look: (look) => this.#look(look),
      nextAtMs: () => this.#others.nextLookAtMs,
      onFailed: (error) => this.#onLookFailed(error),
    });
    this.#session = this.#newSession();
    this.#machines = new Machines({
      partitions: options.partitions,
      leaveTimeoutMs: options.leaveTimeoutMs ?? 30_000,
      restMs: options.restMs ?? 1_000,
      clock: this.#clock,
      onLife: (action) => this.#actOfLife(action),
      onRole: (role, action) => this.#actOfRole(role, action),
      onError: (error) => this.#logger.error({ err: error }, "a machine of the cluster's membership failed"),
    });
  }

  // --- what others see ---

  get self(): string {
    return this.#session.id;
  }

  get isAssured(): boolean {
    return this.#machines.isAssured && !this.#session.expired(this.#clock.now());
  }

  get map(): ClusterMap {
    return this.#store.map;
  }

  ownerOf(partition: number): string | undefined {
    return ownerOf(this.map, partition);
  }

  get coordinator(): string | undefined {
    return ownerOf(this.map, "coordinator");
  }

  get nodes(): readonly string[] {
    return Object.keys(this.map.nodes);
  }

  onChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  sessions(): ReadonlyMap<string, unknown> {
    return new Map(this.#otherIds.map((id) => [id, this.#others.infoOf(id)]));
  }

  view(): NodeView[] {
    const { partitions, ttlMs } = this.#options;
    return viewNodes({
      map: this.map,
      self: this.self,
      partitions,
      ttlMs,
      machines: this.#machines,
      others: this.#others,
    });
  }

  get #otherIds(): string[] {
    return this.nodes.filter((id) => id !== this.self);
  }

  // --- what others ask for ---

  start(): Promise<void> {
    this.#started ??= new Promise((resolve) => {
      this.#joined = resolve;
      if (this.#stopped !== undefined) resolve();
      else this.#machines.start();
    });
    return this.#started;
  }

  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#left = resolve;
      if (this.#started === undefined || this.#machines.life === "left") resolve();
      else this.#machines.tellLife({ type: "stop.requested" });
    });
    return this.#stopped;
  }

  poke(): void {
    this.#looks.want(Look.map);
  }

  lost(role: Role): void {
    this.#machines.tell(role, { type: "fenced" });
    this.#looks.want(Look.map);
  }

  async setDefinitionsSeq(seq: number): Promise<void> {
    await this.#change((map) => setDefinitionsSeq(map, seq));
  }

  // --- what the machines want ---

  #actOfLife(action: string): void {
    switch (action) {
      case "begin":
        if (this.#session.isOpen) this.#session = this.#newSession();
        break;
      case "dropAll":
        for (const role of this.#machines.roles) this.#machines.tell(role, { type: "map.read", mine: false, epoch: 0 });
        break;
      case "reportOutcast":
        this.#logger.warn(
          { node: this.self },
          "this engine node was taken for dead (was it paused, or cut off?): it drops what it had and joins anew",
        );
        this.#options.onOutcast();
        break;
      case "look":
        this.#looks.want(Look.map);
        break;
      case "endSession":
        void this.#end();
        break;
      default:
        break;
    }
  }

  #actOfRole(role: Role, action: string): void {
    const epoch = this.#machines.epoch(role);
    switch (action) {
      case "take":
        this.#options.take(role, epoch).then(
          () => this.#settled(role, "take.done"),
          (error: unknown) => {
            this.#logger.warn({ err: error, role, epoch }, "this node could not take over; it tries again later");
            this.#settled(role, "take.failed");
          },
        );
        break;
      case "giveBack":
        this.#options.giveBack(role).then(
          () => this.#settled(role, "giveBack.done"),
          (error: unknown) => {
            this.#logger.warn({ err: error, role, epoch }, "this node could not stop gracefully; the next owner recovers more");
            this.#options.drop(role);
            this.#settled(role, "giveBack.done");
          },
        );
        break;
      case "drop":
        this.#options.drop(role);
        break;
      case "free":
        this.#looks.want(Look.write);
        break;
      default:
        break;
    }
  }

  #settled(role: Role, type: "take.done" | "take.failed" | "giveBack.done"): void {
    this.#machines.tell(role, { type });
    this.#looks.want(Look.write);
  }

  // --- the session ---

  get #retryMs(): number {
    return Math.min(MAX_RETRY_MS, this.#options.ttlMs / 6);
  }

  #newSession(): Session {
    const { bucket, newId, ttlMs, info } = this.#options;
    return new Session({ bucket, id: newId(), ttlMs, now: this.#clock.now, info: () => info?.() });
  }

  #renewIn(delayMs: number): void {
    this.#stopRenewing();
    this.#stopRenewing = this.#clock.setTimer(() => void this.#renew(), delayMs);
  }

  async #renew(): Promise<void> {
    const { ttlMs } = this.#options;
    const session = this.#session;
    let next = ttlMs / 3;
    try {
      const outcome = await session.renew();
      if (session === this.#session) this.#machines.tellLife({ type: outcome === "ended" ? "session.ended" : "session.renewed" });
    } catch (error) {
      next = this.#retryMs;
      this.#logger.debug({ err: error }, "the session could not be renewed; trying again");
      this.#checkSession(session);
    }
    if (session === this.#session && this.#machines.life !== "left") this.#renewIn(next);
  }

  #checkSession(session: Session): void {
    if (session === this.#session && session.expired(this.#clock.now())) this.#machines.tellLife({ type: "session.late" });
  }

  async #end(): Promise<void> {
    this.#stopRenewing();
    this.#looks.stop();
    this.#machines.stop();
    try {
      if (this.#session.isOpen) await this.#session.close(this.map.nodes[this.self] === undefined);
    } catch (error) {
      this.#logger.debug({ err: error }, "the session could not be closed; it will run out");
    }
    this.#joined();
    this.#left();
  }

  // --- looks ---

  async #look(look: Look): Promise<void> {
    const session = this.#session;
    // However often the map changes: sessions are looked at in time.
    const all = look >= Look.sessions || !session.isOpen || this.#clock.now() >= this.#others.nextLookAtMs;
    if (!session.isOpen) {
      const [outcome] = await Promise.all([session.renew(), this.#store.read()]);
      if (outcome === "ended") return this.#machines.tellLife({ type: "session.ended" });
      this.#renewIn(this.#options.ttlMs / 3);
    } else if (look >= Look.map) await this.#store.read();
    this.#checkSession(session);
    if (all) {
      await this.#others.look(this.#otherIds);
      // One that may be dead itself does not judge.
      if (this.#machines.isAssured || this.#machines.life === "leaving") await this.#others.judge();
    }
    await this.#change((map) => fulfil(this.#wishes(map), map));
    this.#others.bury(this.map);
    this.#tellOfMap(this.map);
    this.#handOver();
    // What came to rest by that may be wished away at once.
    if (fulfil(this.#wishes(this.map), this.map) !== this.map) this.#looks.want(Look.write);
  }

  #onLookFailed(error: unknown): void {
    this.#logger.debug({ err: error }, "the cluster's map could not be read or written; trying again");
    this.#checkSession(this.#session);
    this.#machines.tellLife({ type: "look.failed" });
  }

  async #change(change: (map: ClusterMap) => ClusterMap): Promise<void> {
    if (await this.#store.change(change)) this.#options.announce();
  }

  #wishes(map: ClusterMap): Wishes {
    const { partitions, node, isoNow, info } = this.#options;
    const { life, isAssured, roles } = this.#machines;
    const mode = (role: Role): OwnershipMode => this.#machines.mode(role);
    const epoch = (role: Role): number => this.#machines.epoch(role);
    const { isOpen } = this.#session;
    return {
      ...wishesOf({ self: this.self, life, isAssured, isOpen, roles, mode, epoch }, map),
      partitions,
      node,
      at: isoNow?.() ?? new Date().toISOString(),
      dead: this.#others.dead,
      forgotten: this.#absent.overdue(map, this.#clock.now()),
      infoOf: (id) => (id === this.self ? info?.() : this.#others.infoOf(id)),
    };
  }

  #onMap(map: ClusterMap): void {
    this.#mapChangedAtMs = this.#clock.now();
    this.#tellOfMap(map);
    for (const listener of this.#listeners) listener();
  }

  #tellOfMap(map: ClusterMap): void {
    const machines = this.#machines;
    // First the life: an outcast gets another id, and then nothing is its own.
    machines.tellLife({ type: "map.read", named: map.nodes[this.self] !== undefined });
    if (machines.life === "member") this.#joined();
    for (const role of machines.roles)
      machines.tell(role, { type: "map.read", mine: ownerOf(map, role) === this.self, epoch: epochOf(map, role) });
  }

  #handOver(): void {
    const { partitions, ttlMs } = this.#options;
    const machines = this.#machines;
    if (machines.life !== "member" && machines.life !== "leaving") return;
    const stalled = this.#clock.now() - this.#mapChangedAtMs > ttlMs;
    for (const role of handoversDue(this.map, partitions, this.self, stalled)) machines.tell(role, { type: "handover.due" });
  }
}
