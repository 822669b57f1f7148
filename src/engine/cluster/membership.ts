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
import { isSettled, movesOf } from "./assignment.ts";
import {
  type ClusterMap,
  epochOf,
  type Member,
  type NodeDescription,
  ownerOf,
  type Role,
  setDefinitionsSeq,
} from "./cluster-map.ts";
import { type LifeMode, Machines } from "./machines.ts";
import { type MapBucket, MapStore } from "./map-store.ts";
import type { OwnershipView } from "./ownership-view.ts";
import { Session, sessionKey, type SessionRecord, SessionWatch } from "./session.ts";
import { fulfil, type Wishes } from "./wishes.ts";

export interface MembershipOptions {
  readonly bucket: MapBucket;
  readonly node: NodeDescription;
  /** Ids of nodes: part of a key of the bucket. Asked again each time that the node was taken for dead. */
  readonly newId: () => string;
  readonly partitions: number;
  /** After that time without a sign of life others take what this node has. */
  readonly ttlMs: number;
  /** How long `stop` waits for NATS and for those that take over; then it leaves without a word. Default 30 s. */
  readonly leaveTimeoutMs?: number;
  /** How long a role that could not be taken is left alone. Default 1 s. */
  readonly restMs?: number;
  /** Must be monotonic; by default the process's. */
  readonly clock?: Clock;
  /** For what is shown. */
  readonly isoNow?: () => string;
  readonly logger: Logger;
  /** Tells the others that the map has changed. May get lost. */
  readonly announce: () => void;
  /** For the session's record; asked at each renewal. */
  readonly info?: () => unknown;
  /** Claim it in the journal, recover, start. When it rejects, the role is freed and tried again later. */
  readonly take: (role: Role, epoch: number) => Promise<void>;
  /** Stop gracefully, write a snapshot. When it rejects, the role is dropped and given away all the same. */
  readonly giveBack: (role: Role) => Promise<void>;
  /** At once, without a word; also while it is being taken or given back. May be called when there is nothing any more. */
  readonly drop: (role: Role) => void;
  /** It was taken for dead: all was dropped, and it joins anew under another id. */
  readonly onOutcast: () => void;
}

/** A member as it is shown. */
export interface NodeView extends Member {
  readonly id: string;
  readonly self: boolean;
  /** The state of its machine where that is known (`self`), else what the map and its session say. */
  readonly state: LifeMode | "silent";
  readonly silentMs?: number;
  readonly roles: readonly { readonly role: Role; readonly epoch: number; readonly mode: OwnershipMode }[];
}

export interface Membership extends OwnershipView {
  /** Resolves when it is a member; what it owns is then on its way. Waits for NATS; ends early when stopped. */
  start(): Promise<void>;
  /** Gives all back, one after another, and leaves. Idempotent. */
  stop(): Promise<void>;
  readonly map: ClusterMap;
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

/** How far a look goes: each includes those before it. */
const Look = { nowhere: 0, write: 1, map: 2, sessions: 3 } as const;
type Look = (typeof Look)[keyof typeof Look];

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
  readonly #watch: SessionWatch;
  readonly #listeners = new Set<() => void>();
  #session: Session;
  /** Members whose session is ended; the map is to lose them. */
  readonly #dead = new Set<string>();
  #mapChangedAtMs = 0;
  #watchedAtMs = -Infinity;

  #wanted: Look = Look.nowhere;
  #looking = false;
  #stopPolling: () => void = () => undefined;
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
    this.#watch = new SessionWatch(options.ttlMs);
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
    return new Map(this.#others().map((id) => [id, this.#watch.infoOf(id)]));
  }

  view(): NodeView[] {
    const now = this.#clock.now();
    return Object.entries(this.map.nodes).map(([id, member]) => {
      const self = id === this.self;
      const silentMs = self ? undefined : this.#watch.silentMs(id, now);
      const silent = silentMs !== undefined && silentMs > this.#options.ttlMs / 2;
      const ofOthers = silent ? "silent" : member.leaving ? "leaving" : "member";
      return {
        ...member,
        id,
        self,
        state: self ? this.#machines.life : ofOthers,
        ...(silentMs !== undefined && { silentMs }),
        roles: this.#machines.roles
          .filter((role) => ownerOf(this.map, role) === id)
          .map((role) => ({ role, epoch: epochOf(this.map, role), mode: this.#modeOf(role, self) })),
      };
    });
  }

  #modeOf(role: Role, own: boolean): OwnershipMode {
    if (own) return this.#machines.mode(role);
    return this.map.owners[role]?.recovering ? "taking" : "owned";
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
    this.#want(Look.map);
  }

  lost(role: Role): void {
    this.#machines.tell(role, { type: "fenced" });
    this.#want(Look.map);
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
        this.#want(Look.map);
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
        this.#want(Look.write);
        break;
      default:
        break;
    }
  }

  #settled(role: Role, type: "take.done" | "take.failed" | "giveBack.done"): void {
    this.#machines.tell(role, { type });
    this.#want(Look.write);
  }

  // --- the session ---

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
      next = Math.min(MAX_RETRY_MS, ttlMs / 6);
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
    this.#stopPolling();
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

  #want(look: Look): void {
    if (look > this.#wanted) this.#wanted = look;
    if (!this.#looking) void this.#lookUntilDone();
  }

  async #lookUntilDone(): Promise<void> {
    this.#looking = true;
    this.#stopPolling();
    const { ttlMs } = this.#options;
    let failed = false;
    while (this.#wanted !== Look.nowhere && !failed && this.#machines.life !== "left") {
      const look = this.#wanted;
      this.#wanted = Look.nowhere;
      try {
        await this.#look(look);
      } catch (error) {
        failed = true;
        this.#logger.debug({ err: error }, "the cluster's map could not be read or written; trying again");
        this.#checkSession(this.#session);
        this.#machines.tellLife({ type: "look.failed" });
      }
    }
    this.#looking = false;
    this.#wanted = Look.nowhere;
    if (this.#machines.life === "left") return;
    // On the dot, so that a death is found as soon as it can be; what is overdue already waits for something else.
    const now = this.#clock.now();
    const due = this.#watch.nextDueMs + 1;
    const next = Math.min(this.#watchedAtMs + ttlMs / 6, due > now ? due : Infinity);
    const delayMs = failed ? Math.min(MAX_RETRY_MS, ttlMs / 6) : Math.max(0, next - now);
    this.#stopPolling = this.#clock.setTimer(() => this.#want(Look.sessions), delayMs);
  }

  async #look(look: Look): Promise<void> {
    const session = this.#session;
    // However often the map changes: sessions are looked at in time.
    const all = look >= Look.sessions || !session.isOpen || this.#clock.now() - this.#watchedAtMs >= this.#options.ttlMs / 6;
    if (!session.isOpen) {
      const [outcome] = await Promise.all([session.renew(), this.#store.read()]);
      if (outcome === "ended") return this.#machines.tellLife({ type: "session.ended" });
      this.#renewIn(this.#options.ttlMs / 3);
    } else if (look >= Look.map) await this.#store.read();
    this.#checkSession(session);
    if (all) await this.#watchOthers();
    await this.#write();
    this.#tellOfMap(this.map);
    this.#handOver();
    // What came to rest by that may be wished away at once.
    if (fulfil(this.#wishes(this.map), this.map) !== this.map) this.#want(Look.write);
  }

  #others(): string[] {
    return this.nodes.filter((id) => id !== this.self);
  }

  async #watchOthers(): Promise<void> {
    const { bucket } = this.#options;
    const others = this.#others();
    const entries = await Promise.all(others.map((id) => bucket.get<SessionRecord>(sessionKey(id))));
    const now = this.#clock.now();
    this.#watchedAtMs = now;
    this.#watch.observe(new Map(others.map((id, index) => [id, entries[index]])), now);
    // One that may be dead itself does not judge.
    if (!this.#machines.isAssured && this.#machines.life !== "leaving") return;
    for (const id of this.#watch.overdue(now)) {
      if (!(await this.#watch.end(id, bucket))) continue;
      this.#logger.warn({ node: id, name: this.map.nodes[id]?.name }, "an engine node gives no sign of life: it is removed");
      this.#dead.add(id);
    }
  }

  async #write(): Promise<void> {
    const before = this.map;
    const dead = [...this.#dead].filter((id) => before.nodes[id] !== undefined);
    await this.#change((map) => fulfil(this.#wishes(map), map));
    for (const id of dead) {
      if (this.map.nodes[id] !== undefined) continue;
      this.#dead.delete(id);
      this.#options.bucket
        .delete(sessionKey(id))
        .catch((error: unknown) => this.#logger.debug({ err: error, node: id }, "an ended session could not be deleted"));
    }
  }

  async #change(change: (map: ClusterMap) => ClusterMap): Promise<void> {
    if (await this.#store.change(change)) this.#options.announce();
  }

  #wishes(map: ClusterMap): Wishes {
    const { partitions, node, isoNow } = this.#options;
    const machines = this.#machines;
    const { life, roles } = machines;
    const withMode = (mode: OwnershipMode): Map<Role, number> =>
      new Map(roles.filter((role) => machines.mode(role) === mode).map((role) => [role, machines.epoch(role)]));
    const hasNothing = roles.every(
      (role) => ["elsewhere", "resting"].includes(machines.mode(role)) && ownerOf(map, role) !== this.self,
    );
    const mayClaim = life === "joining" || machines.isAssured;
    return {
      self: this.self,
      partitions,
      node,
      at: isoNow?.() ?? new Date().toISOString(),
      be:
        life === "joining" ? "join" : life === "withdrawing" ? "go" : life === "leaving" ? (hasNothing ? "go" : "leave") : "stay",
      dead: this.#dead,
      stopped: withMode("freeing"),
      // All at once: only the pace of handovers depends on it.
      begun: withMode("taking").size > 0 ? new Map() : withMode("owned"),
      mayClaim: (role) => mayClaim && machines.mode(role) === "elsewhere",
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

  /** One role per cluster at a time, and only while nothing else is on its way. */
  #handOver(): void {
    const { partitions, ttlMs } = this.#options;
    const machines = this.#machines;
    if (machines.life !== "member" && machines.life !== "leaving") return;
    const [next, ...others] = movesOf(this.map, partitions);
    if (next === undefined) return;
    const due = (role: Role): void => machines.tell(role, { type: "handover.due" });
    const own = [next, ...others].filter(({ from }) => from === this.self);
    if (next.to === undefined) for (const { role } of own) due(role);
    else if (isSettled(this.map, partitions)) {
      if (next.from === this.self) due(next.role);
    } else if (machines.life === "leaving" && this.#clock.now() - this.#mapChangedAtMs > ttlMs) {
      // Whoever is to take over does not get on; this node cannot wait for ever.
      const first = own.find(({ role }) => machines.mode(role) === "owned");
      if (first !== undefined) due(first.role);
    }
  }
}
