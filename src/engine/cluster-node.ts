/**
 * What an engine node consists of once it is connected, put together: it joins the cluster, owns what the map gives to it, and has
 * the operations of the API. It knows no policy; what each part does, and promises, stands there.
 */
import { hostname } from "node:os";
import type { Logger } from "pino";
import { systemClock } from "../clock.ts";
import type { Bucket } from "../nats/bucket.ts";
import type { Connection, Subscription } from "../nats/connection.ts";
import { createNodeChannel } from "../nats/node-channel.ts";
import { PartitionStream } from "../nats/partition-stream.ts";
import { publishOnce } from "../nats/publish-once.ts";
import { countMessages } from "../nats/streams.ts";
import type { OperationHandlers } from "../nats/service.ts";
import type { Names } from "../nats/subjects.ts";
import { createRedactor } from "../protocol/redact.ts";
import type { KeyAnswer } from "../protocol/work.ts";
import { version as sluiceVersion } from "../version.ts";
import { Api } from "./api.ts";
import { AppliedInboxes } from "./cluster/applied-inboxes.ts";
import type { ClusterSettings } from "./cluster/cluster-settings.ts";
import { InboxCommands } from "./cluster/inbox-commands.ts";
import { createMembership, type Membership } from "./cluster/membership.ts";
import { type ClusterMap, rolesOf } from "./cluster/cluster-map.ts";
import { NodeCalls } from "./cluster/node-calls.ts";
import { notOwner } from "./cluster/owned-reads.ts";
import { Counters, type EngineStats } from "./counters.ts";
import { nextTick } from "./cron-ticks.ts";
import { Definitions } from "./definitions.ts";
import { Dispatcher, type HeldAttempt } from "./dispatcher.ts";
import type { HistoryPort } from "./history-port.ts";
import { Health } from "./health.ts";
import { InboxInputs } from "./inbox-inputs.ts";
import { JournalFollowers } from "./journal-followers.ts";
import { Keyer } from "./keyer.ts";
import { MissingAttempts } from "./missing-attempts.ts";
import type { EngineSettings } from "./options.ts";
import { Outbound, payloadJson } from "./outbound.ts";
import { OwnedPartitions } from "./owned-partitions.ts";
import { PartitionCore } from "./partition-core.ts";
import { PartitionHost } from "./partition-host.ts";
import { Rejects } from "./rejects.ts";
import { Retention } from "./retention.ts";
import { Roles } from "./roles.ts";
import { Rounds } from "./rounds.ts";
import { Router } from "./router.ts";
import { Transfers } from "./transfers.ts";
import { WorkerLink } from "./worker-link.ts";

export interface ClusterNodeOptions {
  readonly name: string;
  readonly connection: Connection;
  readonly names: Names;
  readonly bucket: Bucket;
  readonly cluster: ClusterSettings;
  readonly settings: EngineSettings;
  readonly history: HistoryPort | undefined;
  readonly newId: (atMs?: number) => string;
  readonly logger: Logger;
}

const KEYS_TIMEOUT_MS = 10_000;
const HEALTH_TICK_MS = 1_000;
/** How long an engine that ends waits for NATS, and for those who take over. */
const LEAVE_TIMEOUT_MS = 10_000;
const MAX_SLOT_CHARS = 128 * 1024;
/** Beyond a failover, so that requests wait through one. */
const PATIENCE_MARGIN_MS = 5_000;

/** What a node tells the others in its session. */
interface SessionInfo {
  /** How far its history has the journal of each partition. */
  readonly history?: readonly number[];
}

export class ClusterNode {
  readonly #options: ClusterNodeOptions;
  readonly #owned: OwnedPartitions;
  readonly #applied = new AppliedInboxes();
  readonly #counters = new Counters();
  readonly #rounds = new Rounds();
  readonly #rejects: Rejects;
  readonly #definitions: Definitions;
  readonly #dispatcher: Dispatcher;
  readonly #keyer: Keyer;
  readonly #outbound: Outbound;
  readonly #transfers: Transfers;
  readonly #membership: Membership;
  readonly #calls: NodeCalls;
  readonly #commands: InboxCommands;
  readonly #inputs: InboxInputs;
  readonly #workers: WorkerLink;
  readonly #health: Health;
  readonly #retention: Retention;
  readonly #api: Api;
  readonly #roles: Roles;
  readonly #followers: JournalFollowers | undefined;
  #ticker: NodeJS.Timeout | undefined = undefined;
  #mapChanges = 0;
  readonly #subscriptions: Subscription[] = [];
  /** Under the id that this node has now. */
  #slots: { readonly node: string; readonly subscription: Subscription } | undefined = undefined;

  constructor(options: ClusterNodeOptions) {
    this.#options = options;
    const { connection, names, bucket, cluster, settings, history, newId, logger } = options;
    const owned = (this.#owned = new OwnedPartitions(cluster.partitions));
    this.#rejects = new Rejects(connection, names, this.#counters, logger);
    this.#membership = createMembership({
      bucket,
      node: { name: options.name, host: hostname(), pid: process.pid, version: sluiceVersion },
      newId: () => newId().toLowerCase(),
      partitions: cluster.partitions,
      ttlMs: settings.leaseMs,
      leaveTimeoutMs: LEAVE_TIMEOUT_MS,
      logger,
      announce: () => connection.publish(names.mapChanged, ""),
      info: () => this.#sessionInfo(),
      take: (role, epoch) => this.#roles.take(role, epoch),
      giveBack: (role) => this.#roles.giveBack(role),
      drop: (role) => this.#roles.drop(role),
      onOutcast: () => logger.warn("this engine node was taken for dead: it has dropped all that it owned, and joins anew"),
    });
    const membership = this.#membership;
    this.#calls = new NodeCalls({
      view: membership,
      owned,
      channel: createNodeChannel(connection, names, logger),
      journalSeq: (partition) => this.#journalSeq(partition),
      isCurrent: () => membership.isAssured,
      patienceMs: 2 * settings.leaseMs + PATIENCE_MARGIN_MS,
    });
    this.#commands = new InboxCommands({
      calls: this.#calls,
      applied: this.#applied,
      publish: (partition, text, id) => publishOnce(connection, names.inbox(partition), text, { id }),
    });
    this.#definitions = new Definitions({
      connection,
      names,
      bucket,
      owned,
      partitions: cluster.partitions,
      calls: this.#calls,
      router: () => this.#roles.router,
      setDefinitionsSeq: (seq) => membership.setDefinitionsSeq(seq),
      onDefined: (spec) => history?.define(spec),
      reject: (what, message, reason) => this.#rejects.put(what, message, reason),
      logger,
    });
    const missing = new MissingAttempts({
      hostOf: (partition) => this.#roles.host(partition),
      inboxApplied: (partition) => this.#inboxApplied(partition),
      giveBack: (held, how) => this.#giveBack(held, how),
      logger,
    });
    this.#dispatcher = new Dispatcher(
      {
        self: () => membership.self,
        ownership: owned,
        offer: (step, worker, refused) => owned.get(step.partition)?.enqueue({ type: "assign", step, worker, refused }),
        giveBack: (held) => this.#giveBack(held, "returned"),
        missing: (held) => void missing.unknown(held),
        lost: (held) => missing.lost(held),
        ask: (worker) => void this.#workers.ask(worker),
        stop: (worker, attempts) => this.#outbound.stopOver(worker, attempts),
        now: () => performance.now(),
        transport: {
          send: (node, text) => connection.publish(names.engineSlots(node), JSON.stringify({ from: membership.self, text })),
          setTimer: (call, ms) => {
            const timer = setTimeout(call, ms);
            return () => clearTimeout(timer);
          },
          defer: (call) => void setImmediate(call),
          now: () => performance.now(),
          maxChars: Math.min(MAX_SLOT_CHARS, Math.floor(connection.maxPayload / 4)),
        },
      },
      logger,
    );
    const dispatcher = this.#dispatcher;
    this.#keyer = new Keyer({
      dispatcher,
      ask: async (worker, message) =>
        (await connection.request(names.work(worker), message, { timeoutMs: KEYS_TIMEOUT_MS })).json<KeyAnswer>(),
      payloadOf: (run) => payloadJson(run, names),
      logger,
    });
    this.#transfers = new Transfers({
      owned,
      publish: (partition, text) => connection.publishAcked(names.inbox(partition), text),
      applied: (partition, seq) => this.#applied.reaches(partition, seq),
      maxPayloadBytes: () => connection.maxPayload,
      logger,
    });
    this.#outbound = new Outbound({
      connection,
      names,
      dispatcher,
      keyer: this.#keyer,
      partitions: owned,
      transfers: this.#transfers,
      committed: (partition, seq, text) => history?.apply(partition.number, seq, text),
      counters: this.#counters,
      logger,
    });
    this.#inputs = new InboxInputs({
      connection,
      names,
      definitions: this.#definitions,
      applied: this.#applied,
      reject: (what, message, reason) => void this.#rejects.put(what, message, reason),
      logger,
    });
    this.#followers = history && new JournalFollowers({ connection, names, history, logger });
    this.#roles = this.#createRoles();
    this.#workers = new WorkerLink({ connection, names, engine: options.name, dispatcher, owned, logger });
    const { workflows, placement } = this.#definitions;
    const journalSeq = (partition: number): number => this.#journalSeq(partition);
    const isRefused = (partition: number): boolean => this.#roles.host(partition)?.stream.refusedSince !== undefined;
    const sources = {
      connection,
      names,
      partitions: owned,
      calls: this.#calls,
      dispatcher,
      history: () => history,
      journalSeq,
    };
    this.#health = new Health({
      ...sources,
      isRefused,
      countRejected: () => countMessages(connection, names.rejectedStream),
    });
    this.#api = new Api({
      ...sources,
      isRefused,
      workflows,
      placement: () => placement,
      members: membership,
      health: this.#health,
      redactor: createRedactor(settings.redact),
      send: (partition, command) => this.#commands.send(partition, command),
      register: (spec) => this.#definitions.register(spec),
      refreshDefinitions: () => this.#definitions.refresh(),
      newRunId: () => newId(),
      nextTick,
    });
    this.#retention = new Retention({
      connection,
      names,
      calls: this.#calls,
      inboxApplied: (partition) => this.#inboxApplied(partition),
      retentionMs: settings.retentionMs,
      maxBytes: settings.eventsMaxBytes,
      routedSeq: () => this.#roles.router?.durableSeq,
      logger,
    });
  }

  /** Resolves once it is a member and everything in the cluster has an owner that is at work. `signal`: it is stopped meanwhile. */
  async start(signal: AbortSignal): Promise<void> {
    const { connection, names, cluster } = this.#options;
    const membership = this.#membership;
    await this.#definitions.refresh();
    signal.throwIfAborted();
    membership.onChanged(() => this.#onMap());
    this.#subscriptions.push(connection.subscribe(names.mapChanged, () => membership.poke()));
    this.#calls.start();
    this.#workers.start();
    await membership.start();
    this.#listenForSlots();
    await this.#whenAtWork(signal);
    for (let partition = 0; partition < cluster.partitions; partition++)
      if (this.#owned.get(partition) === undefined) this.#followers?.follow(partition);
    this.#retention.start();
    this.#ticker = setInterval(() => this.#health.tick(), HEALTH_TICK_MS);
  }

  get operations(): OperationHandlers {
    return this.#api.operations;
  }

  get natsOperations(): OperationHandlers {
    return this.#api.natsOperations;
  }

  /** Members of the cluster that this node knows. */
  get members(): number {
    return this.#membership.nodes.length;
  }

  get owned(): number {
    return this.#owned.size;
  }

  /** Ends attempts that wait for a server that is away. */
  giveUp(): void {
    this.#roles.giveUp();
  }

  /** Gives all back in peace. Idempotent. */
  async stop(): Promise<void> {
    clearInterval(this.#ticker);
    await this.#retention.stop();
    await this.#membership.stop();
    this.#workers.stop();
    this.#dispatcher.setCoordinator(undefined);
    this.#slots?.subscription.unsubscribe();
    for (const subscription of this.#subscriptions.splice(0)) subscription.unsubscribe();
    this.#definitions.stop();
    this.#transfers.stop();
    this.#keyer.stop();
    this.#outbound.stop();
    this.#calls.stop();
    this.#followers?.stop();
  }

  /** `ready`: of the engine node. */
  stats(ready: boolean): EngineStats {
    const { history } = this.#options;
    const sums = { live: 0, active: 0, stopping: 0, waiting: 0, groups: 0 };
    let historyBehind = history === undefined ? undefined : 0;
    for (const { core, number } of this.#owned) {
      sums.live += core.runs.size;
      for (const { context } of core.groups) {
        sums.groups++;
        sums.active += context.active.size;
        sums.stopping += context.stopping.size;
        sums.waiting += context.waiting.size + context.held.size;
      }
      const position = history?.position(number);
      if (historyBehind !== undefined && typeof position === "number")
        historyBehind += Math.max(0, this.#journalSeq(number) - position);
    }
    const { workers, slots } = this.#dispatcher.capacity();
    return {
      ready,
      partitions: this.#owned.size,
      partitionsRefused: this.#roles.refused,
      coordinator: this.#membership.coordinator === this.#membership.self,
      members: this.members,
      mapChanges: this.#mapChanges,
      epochs: new Map([...this.#owned].map(({ number }) => [number, this.#owned.epochOf(number) ?? 0])),
      ...sums,
      workers,
      slots,
      stepsWaiting: this.#dispatcher.waiting,
      eventsBehind: this.#roles.router?.behind(Date.now()) ?? { events: 0, seconds: 0 },
      historyBehind,
      counters: this.#counters,
    };
  }

  // ---------------------------------------------------------------- the cluster

  #onMap(): void {
    this.#mapChanges++;
    const membership = this.#membership;
    const dispatcher = this.#dispatcher;
    if (this.#slots !== undefined && this.#slots.node !== membership.self) {
      dispatcher.setCoordinator(undefined);
      this.#listenForSlots();
    }
    dispatcher.setNodes(membership.nodes);
    dispatcher.setCoordinator(membership.coordinator);
    const { definitionsSeq } = membership.map;
    if (definitionsSeq !== undefined && definitionsSeq > this.#definitions.seq) void this.#definitions.refresh();
  }

  #listenForSlots(): void {
    const { connection, names, logger } = this.#options;
    const node = this.#membership.self;
    this.#slots?.subscription.unsubscribe();
    const subscription = connection.subscribe(names.engineSlots(node), (message) => {
      try {
        const { from, text } = message.json<{ readonly from: string; readonly text: string }>();
        this.#dispatcher.receive(from, text);
      } catch (error) {
        logger.warn({ err: error, subject: message.subject }, "a message about slots cannot be read; it is left alone");
      }
    });
    this.#slots = { node, subscription };
    this.#onMap();
  }

  /** Every role has an owner that has recovered it. */
  #whenAtWork(signal: AbortSignal): Promise<void> {
    const membership = this.#membership;
    const roles = rolesOf(this.#owned.count);
    const isAtWork = ({ owners }: ClusterMap): boolean =>
      roles.every((role) => owners[role]?.node !== undefined && owners[role].recovering !== true);
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!signal.aborted && !isAtWork(membership.map)) return;
        unlisten();
        signal.removeEventListener("abort", look);
        if (signal.aborted) reject(signal.reason instanceof Error ? signal.reason : new Error("stopped"));
        else resolve();
      };
      const unlisten = membership.onChanged(look);
      signal.addEventListener("abort", look);
      look();
    });
  }

  #sessionInfo(): SessionInfo {
    const { history } = this.#options;
    if (history === undefined) return {};
    return {
      history: Array.from({ length: this.#owned.count }, (_, partition) => {
        const position = history.position(partition);
        return typeof position === "number" ? position : 0;
      }),
    };
  }

  // ---------------------------------------------------------------- partitions

  #journalSeq(partition: number): number {
    return this.#roles.host(partition)?.stream.lastJournalSeq ?? 0;
  }

  #createRoles(): Roles {
    const { connection, names, bucket, newId, logger } = this.#options;
    return new Roles({
      owned: this.#owned,
      applied: this.#applied,
      followers: this.#followers,
      createHost: (partition, epoch) => this.#createHost(partition, epoch),
      createRouter: (epoch) =>
        new Router({
          connection,
          names,
          bucket,
          epoch,
          workflows: this.#definitions.workflows,
          placement: this.#definitions.placement,
          transfers: this.#transfers,
          newRunId: () => newId(),
          prepare: (office) => this.#definitions.takeOffice(office),
          onDefinition: (definition) => this.#definitions.onDefinition(definition),
          onDeposed: () => {
            this.#roles.drop("coordinator");
            this.#membership.lost("coordinator");
          },
          reject: (what, message, reason) => this.#rejects.put(what, message, reason),
          logger,
        }),
      onTaken: (partition) => this.#definitions.applyTo(partition),
      onGone: (partition) => {
        this.#dispatcher.dropPartition(partition);
        this.#outbound.drop(partition);
        this.#keyer.drop(partition);
      },
      logger,
    });
  }

  #createHost(partition: number, epoch: number): PartitionHost {
    const { connection, names, settings, history, newId, logger } = this.#options;
    const { workflows, placement } = this.#definitions;
    const membership = this.#membership;
    const core = new PartitionCore({
      partition,
      workflows,
      placement,
      slots: this.#dispatcher.slotsFor(partition),
      rulesOf: (limit) => this.#definitions.rulesOf(limit),
      nextTick,
      newRunId: () => newId(),
      maxOutputBytes: Math.floor(connection.maxPayload * 0.75),
      elapsed: () => systemClock.elapsed(),
    });
    return new PartitionHost({
      connection,
      names,
      partition,
      node: membership.self,
      epoch,
      core,
      effects: this.#outbound,
      history,
      counters: this.#counters,
      snapshotEvery: settings.snapshotEvery,
      schedule: this.#rounds.schedule,
      pump: () => this.#dispatcher.pump(),
      prepare: () => this.#definitions.refresh(),
      toInput: (message, isOver) => this.#inputs.toInput(partition, message, isOver),
      keepFrom: (journalSeq, isCrowded) => this.#keepFrom(partition, journalSeq, isCrowded),
      onFenced: () => {
        this.#roles.drop(partition);
        membership.lost(partition);
      },
      onUnreadable: (message, error) => {
        const seq = message.seq;
        logger.error({ err: error, partition, seq }, "a journal message cannot be used; it is kept aside and passed over");
        void this.#rejects.put(`journal.${partition}`, { data: message.data }, String(error));
      },
      logger,
    });
  }

  /**
   * Up to there all histories of the cluster have the journal; also those of nodes that have gone not long ago, and that will want to
   * go on where they were, unless room is wanted.
   */
  #keepFrom(partition: number, journalSeq: number, isCrowded: boolean): number {
    const membership = this.#membership;
    const { history } = this.#sessionInfo();
    const infos: unknown[] = [{ history }, ...membership.sessions().values()];
    if (!isCrowded) infos.push(...Object.values(membership.map.absent ?? {}).map(({ info }) => info));
    let seq = journalSeq;
    for (const info of infos as (SessionInfo | undefined)[]) {
      // Of one that has not been heard of yet nobody knows what it needs.
      const position = info === undefined ? 0 : info.history?.[partition];
      if (position !== undefined) seq = Math.min(seq, position);
    }
    return seq;
  }

  #giveBack(held: HeldAttempt, how: "returned" | "lost"): void {
    this.#owned.get(held.partition)?.enqueue({ type: "give back", run: held.run.run, attemptId: held.attempt.id, how });
  }

  /** Resolves once all that stands in the inbox now is applied and durable. */
  async #inboxApplied(partition: number): Promise<void> {
    const host = this.#roles.host(partition);
    if (host === undefined) throw notOwner(partition);
    await this.#applied.reaches(partition, await host.stream.lastInboxSeq());
  }
}

/** For the history: a journal as it stands in its stream, whoever owns the partition. */
export async function readJournal(
  { connection, names, logger }: Pick<ClusterNodeOptions, "connection" | "names" | "logger">,
  partition: number,
  afterSeq: number,
  onMessage: Parameters<PartitionStream["readJournal"]>[1],
): Promise<void> {
  const stream = new PartitionStream({ connection, names, partition, logger });
  await stream.open();
  await stream.readJournal(afterSeq, onMessage);
}
