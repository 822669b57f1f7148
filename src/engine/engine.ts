/**
 * An engine node: takes the lease, recovers the partitions, and runs router, dispatch and API until it is stopped or another
 * node takes over. It puts the parts together and knows no policy. A second node on the same cluster stands by.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { pino, type Logger } from "pino";
import { monotonicFactory } from "ulid";
import { RequestError } from "../errors.ts";
import { Bucket } from "../nats/bucket.ts";
import { connectNats, type Connection, type Message, type Subscription } from "../nats/connection.ts";
import { PartitionStream } from "../nats/partition-stream.ts";
import type { ReadMessage, StreamReader } from "../nats/stream-reader.ts";
import { publishOnce } from "../nats/publish-once.ts";
import { untilPlaced } from "../nats/placement-wait.ts";
import { countMessages, ensureStreams, replicasFor } from "../nats/streams.ts";
import { startService, type OperationHandlers, type Service } from "../nats/service.ts";
import { createNames, type Names } from "../nats/subjects.ts";
import type { Command, CreateCommand } from "../protocol/commands.ts";
import { createRedactor } from "../protocol/redact.ts";
import { parseRequest } from "../protocol/requests.ts";
import type { Operation, Operations } from "../protocol/view.ts";
import type { HealthView } from "../protocol/record.ts";
import type { KeyAnswer, WorkerStatus } from "../protocol/work.ts";
import { parseWorkflowSpec } from "../workflow/parse-spec.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import { version as sluiceVersion } from "../version.ts";
import { Api } from "./api.ts";
import { checkCommand } from "./check-command.ts";
import { Counters, type EngineStats } from "./counters.ts";
import { nextTick } from "./cron-ticks.ts";
import { Dispatcher, type HeldAttempt } from "./dispatcher.ts";
import { decodeBatch, type SnapshotLine } from "./facts.ts";
import type { LimitRules } from "./group.ts";
import type { HistoryPort } from "./history-port.ts";
import { Health, unreadyHealth } from "./health.ts";
import { Keyer } from "./keyer.ts";
import { Lease } from "./lease.ts";
import { parseEngineOptions, type EngineOptions, type EngineSettings } from "./options.ts";
import { Outbound, payloadJson } from "./outbound.ts";
import { Partition, type Journal, type ToCreation } from "./partition.ts";
import { PartitionCore } from "./partition-core.ts";
import { type Home, Placement } from "./placement.ts";
import { Retention } from "./retention.ts";
import { Rounds } from "./rounds.ts";
import { Router } from "./router.ts";
import { toCreation } from "./routing.ts";
import type { Creation } from "./run.ts";
import { Workflows } from "./workflows.ts";

export interface Engine {
  readonly name: string;
  /** True while it owns the partitions and answers; false while it starts or stands by, and once it has ended. */
  readonly ready: boolean;
  /**
   * Does what the NATS service would do for `sluice.api.<operation>`, without going over NATS. The request is checked.
   * @throws RequestError with status 503 while it is not `ready`, else what the operation throws
   */
  call<K extends Operation>(operation: K, request: unknown): Promise<Operations[K]["reply"]>;
  /** What it has counted, and how much there is. Takes longer the more groups there are. */
  stats(): EngineStats;
  /** Resolves when it has ended, by `stop` or since another node took over; then with the reason. */
  readonly closed: Promise<string | undefined>;
  /** Writes snapshots, gives the lease back, closes. Idempotent. */
  stop(): Promise<void>;
}

interface ClusterSettings {
  readonly v: 1;
  /** Tells this cluster's data from another's: of a history file, for one. */
  readonly id: string;
  readonly partitions: number;
}

interface StoredDefinition {
  readonly spec: WorkflowSpec;
  readonly since: number;
  readonly registeredAt: number;
}

const SETTINGS_KEY = "settings";
const SEAL_KEY = "history-key";
const PLACEMENT_KEY = "placement";
const LEASE_KEY = "lease.engine";
const REJECTED_MAX_AGE_MS = 7 * 86_400_000;
const DUPLICATE_WINDOW_MS = 120_000;
const HEARTBEAT_CHECK_MS = 1_000;
/** How long a stop waits for a server that does not answer. */
const STOP_TIMEOUT_MS = 10_000;
const KEYS_TIMEOUT_MS = 10_000;

/**
 * Starts an engine node and resolves once it answers: it has connected (waiting for NATS if need be), holds the lease (waiting
 * for another node to release it, if one has it) and has recovered what was there before.
 * @throws OptionsError (`OPTIONS_INVALID`), NatsUnavailableError when the server refuses the credentials
 */
export async function startEngine(options: EngineOptions = {}): Promise<Engine> {
  const node = createEngine(options);
  await node.start();
  return node;
}

/** The same, not started yet, for those who must be able to stop it while it starts. */
export function createEngine(options: EngineOptions = {}): Engine & { start(): Promise<void> } {
  return new EngineNode(parseEngineOptions(options));
}

class EngineNode implements Engine {
  readonly name: string;
  readonly closed: Promise<string | undefined>;
  readonly #settings: EngineSettings;
  readonly #logger: Logger;
  readonly #names: Names;
  readonly #abort = new AbortController();
  #resolveClosed: (reason: string | undefined) => void = () => undefined;
  #stopping: Promise<void> | undefined = undefined;
  #starting: Promise<void> | undefined = undefined;
  #started: Promise<void> | undefined = undefined;

  #connection: Connection | undefined = undefined;
  #bucket: Bucket | undefined = undefined;
  #lease: Lease | undefined = undefined;
  #placement = new Placement(1);
  readonly #workflows = new Workflows();
  readonly #rules = new Map<string, LimitRules>();
  readonly #partitions: Partition[] = [];
  readonly #streams: PartitionStream[] = [];
  readonly #inboxes: StreamReader[] = [];
  readonly #applied: { seq: number; waiters: { readonly seq: number; readonly resolve: () => void }[] }[] = [];
  #dispatcher: Dispatcher | undefined = undefined;
  #outbound: Outbound | undefined = undefined;
  #keyer: Keyer | undefined = undefined;
  #router: Router | undefined = undefined;
  #service: Service | undefined = undefined;
  /** Set while it is ready. */
  #operations: OperationHandlers | undefined = undefined;
  /** What ends the calls under way when this node is no longer the owner: partitions that are dropped answer nothing. */
  readonly #calls = new Set<(error: Error) => void>();
  readonly #counters = new Counters();
  #health: Health | undefined = undefined;
  #retention: Retention | undefined = undefined;
  #history: HistoryPort | undefined = undefined;
  readonly #subscriptions: Subscription[] = [];
  #ticker: NodeJS.Timeout | undefined = undefined;
  readonly #rounds = new Rounds();
  readonly #newUlid = flatUlids();

  constructor(settings: EngineSettings) {
    this.#settings = settings;
    this.name = settings.name ?? hostname();
    this.#logger = (settings.logger ?? pino({ level: "info" }, pino.destination(2))).child({ component: "engine" });
    this.#names = createNames(settings.prefix);
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
  }

  start(): Promise<void> {
    this.#starting ??= this.#start();
    this.#started ??= this.#starting.catch(async (error: unknown) => {
      if (this.#stopping === undefined) await this.stop();
      throw error;
    });
    return this.#started;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  get ready(): boolean {
    return this.#operations !== undefined && this.#stopping === undefined;
  }

  async call<K extends Operation>(operation: K, request: unknown): Promise<Operations[K]["reply"]> {
    const unavailable = (why: string): RequestError =>
      new RequestError(`${operation}: ${why}`, { operation, status: 503, reason: "ENGINE_UNAVAILABLE" });
    if (operation === "health.get" && !this.ready) return this.#unreadyHealth() as Operations[K]["reply"];
    if (this.#operations === undefined || !this.ready) throw unavailable("this engine node does not own the partitions");
    const handler = this.#operations[operation];
    if (handler === undefined)
      throw new RequestError(`${operation}: this engine does not know that operation`, { operation, status: 404 });
    const parsed = parseRequest(operation, request);
    let end: (error: Error) => void = () => undefined;
    const ended = new Promise<never>((_, reject) => {
      end = reject;
    });
    this.#calls.add(end);
    try {
      return await Promise.race([handler(parsed), ended]);
    } finally {
      this.#calls.delete(end);
    }
  }

  #unreadyHealth(): HealthView {
    if (this.#stopping !== undefined) return unreadyHealth("disconnected", "The engine node has stopped.");
    if (this.#connection?.isConnected !== true)
      return unreadyHealth("disconnected", "The engine node has no connection to NATS.");
    const owned = this.#lease?.held === true;
    return unreadyHealth(
      "starting",
      owned ? "The engine recovers what was there before." : "This engine node stands by: another one has the partitions.",
    );
  }

  stats(): EngineStats {
    const sums = { live: 0, active: 0, stopping: 0, waiting: 0, groups: 0 };
    const slots = { used: 0, total: 0 };
    let workers = 0;
    let historyBehind = this.#history === undefined ? undefined : 0;
    for (const { core, number } of this.ready ? this.#partitions : []) {
      sums.live += core.runs.size;
      for (const { context } of core.groups) {
        sums.groups++;
        sums.active += context.active.size;
        sums.stopping += context.stopping.size;
        sums.waiting += context.waiting.size + context.held.size;
      }
      const position = this.#history?.position(number);
      if (historyBehind !== undefined && typeof position === "number")
        historyBehind += Math.max(0, (this.#streams[number]?.lastJournalSeq ?? 0) - position);
    }
    for (const { status, mode, held } of this.ready ? (this.#dispatcher?.workers.values() ?? []) : []) {
      if (status === undefined || mode !== "running") continue;
      workers++;
      slots.used += held.size;
      slots.total += status.slots;
    }
    const counters = this.#counters;
    const partitionsRefused = this.#streams.filter((stream) => stream.refusedSince !== undefined).length;
    const partitions = this.#partitions.length;
    return { ready: this.ready, partitions, partitionsRefused, ...sums, workers, slots, historyBehind, counters };
  }

  /** From here on another node answers. */
  #unready(): void {
    this.#operations = undefined;
    for (const end of this.#calls)
      end(new RequestError("the engine node has ended", { operation: "call", status: 503, reason: "ENGINE_UNAVAILABLE" }));
  }

  async #start(): Promise<void> {
    const { connection: options, leaseMs, replicas } = this.#settings;
    const logger = this.#logger;
    const connection = await connectNats({ ...options, name: `sluice engine ${this.name}`, logger, signal: this.#abort.signal });
    this.#connection = connection;
    this.#throwIfStopped();
    const replication = replicasFor(connection, replicas);
    const wait = { connection, replicas: replication.replicas, logger, signal: this.#abort.signal };
    const bucket = await untilPlaced(
      "making the cluster's bucket",
      () => Bucket.open(connection, this.#names.bucket, replication),
      wait,
    );
    this.#bucket = bucket;
    const node = `${this.name} ${process.pid} ${this.#newUlid()}`;
    this.#lease = new Lease({
      bucket,
      key: LEASE_KEY,
      node,
      ttlMs: leaseMs,
      logger,
      onLost: () => this.#lost("another engine node took the lease"),
    });
    this.#throwIfStopped();
    if (!(await this.#lease.acquire())) this.#throwIfStopped();

    const { id, partitions } = await this.#clusterSettings(bucket);
    const streams = {
      ...replication,
      eventsMaxBytes: this.#settings.eventsMaxBytes,
      partitionMaxBytes: this.#settings.partitionMaxBytes,
      duplicateWindowMs: DUPLICATE_WINDOW_MS,
      rejectedMaxAgeMs: REJECTED_MAX_AGE_MS,
      onTooLarge: (stream: string, bytes: number, maxBytes: number) =>
        logger.warn(
          { stream, bytes, maxBytes },
          "a stream holds too much for its new limit, which is set at a later start; the old one stays",
        ),
    };
    await untilPlaced("making the streams", () => ensureStreams(connection, this.#names, partitions, streams), wait);
    const homes = await bucket.get<Record<string, Home>>(PLACEMENT_KEY);
    this.#placement = new Placement(partitions, homes?.value);
    const definitions = await bucket.list<StoredDefinition>("definition.>");
    for (const { value } of definitions.sort((a, b) => a.value.since - b.value.since)) this.#define(value);
    this.#history = await this.#openHistory(id, bucket);
    for (const { value } of definitions) this.#history?.define(value.spec);

    const dispatcher = new Dispatcher(
      {
        offer: (step, worker, refused) => this.#partitions[step.partition]?.enqueue({ type: "assign", step, worker, refused }),
        giveBack: (held, how) => this.#giveBack(held, how),
        missing: (held) => void this.#missing(held),
        ask: (worker) => void this.#askWorker(connection, worker),
        stop: (worker, attemptIds) => this.#outbound?.stopOver(worker, attemptIds),
        now: () => performance.now(),
      },
      logger,
    );
    this.#dispatcher = dispatcher;
    this.#keyer = new Keyer({
      dispatcher,
      ask: async (worker, message) =>
        (await connection.request(this.#names.work(worker), message, { timeoutMs: KEYS_TIMEOUT_MS })).json<KeyAnswer>(),
      payloadOf: (run) => payloadJson(run, this.#names),
      logger,
    });
    this.#outbound = new Outbound({
      connection,
      names: this.#names,
      dispatcher,
      keyer: this.#keyer,
      partitions: this.#partitions,
      committed: (partition, seq, text) => this.#history?.apply(partition.number, seq, text),
      counters: this.#counters,
      logger,
    });

    const began = performance.now();
    const journalSeqs = await Promise.all(Array.from({ length: partitions }, (_, partition) => this.#recover(partition)));
    this.#throwIfStopped();
    const runs = this.#partitions.reduce((sum, partition) => sum + partition.core.runs.size, 0);
    logger.info({ partitions, runs, tookMs: Math.round(performance.now() - began) }, "recovered");
    for (const [index, partition] of this.#partitions.entries()) partition.start(journalSeqs[index] ?? 0);
    for (const [limit, rules] of this.#rules)
      for (const partition of this.#partitions)
        if (partition.core.groups.rules.has(limit)) partition.enqueue({ type: "rules", limit, rules });
    for (const workflow of this.#workflows.all)
      this.#partitions[this.#placement.homeOf(workflow.name)]?.enqueue({ type: "crons", workflow });
    for (const [partition, stream] of this.#streams.entries()) this.#readInbox(partition, stream);
    this.#listenToWorkers(connection, dispatcher);

    this.#router = new Router({
      connection,
      names: this.#names,
      bucket,
      workflows: this.#workflows,
      placement: this.#placement,
      partitions: this.#partitions,
      newRunId: () => this.#newUlid(),
      onDefinition: (text, seq, timeMs) => this.#onDefinition(text, seq, timeMs),
      reject: (what, message, reason) => this.#reject(what, message, reason),
      logger,
    });
    await this.#router.start();
    this.#throwIfStopped();
    const router = this.#router;
    this.#retention = new Retention({
      connection,
      names: this.#names,
      partitions: this.#partitions,
      retentionMs: this.#settings.retentionMs,
      maxBytes: this.#settings.eventsMaxBytes,
      routedSeq: () => router.durableSeq,
      logger,
    });
    this.#retention.start();
    const journalSeq = (partition: number): number => this.#streams[partition]?.lastJournalSeq ?? 0;
    const health = new Health({
      connection,
      partitions: this.#partitions,
      dispatcher,
      history: () => this.#history,
      journalSeq,
      countRejected: () => countMessages(connection, this.#names.rejectedStream),
    });
    this.#health = health;
    const api = new Api({
      connection,
      names: this.#names,
      workflows: this.#workflows,
      placement: () => this.#placement,
      partitions: this.#partitions,
      dispatcher,
      history: () => this.#history,
      health,
      redactor: createRedactor(this.#settings.redact),
      send: (partition, command) => this.#send(partition, command),
      register: (spec) => this.#register(spec),
      newRunId: () => this.#newUlid(),
      journalSeq,
      nextTick,
    });
    this.#service = startService(connection, this.#names, { version: sluiceVersion, operations: api.natsOperations, logger });
    await connection.flush();
    this.#throwIfStopped();
    this.#operations = api.operations;
    logger.info(
      {
        partitions,
        replicas: replication.replicas,
        prefix: this.#names.prefix,
        server: connection.server,
        epoch: this.#lease.epoch,
      },
      "the engine is ready",
    );
  }

  async #stop(): Promise<void> {
    this.#abort.abort();
    clearInterval(this.#ticker);
    // Until the partitions have come to rest nobody else shall own them; one that only waits for the lease stops waiting.
    if (this.#lease?.held !== true) await this.#lease?.release();
    // What is half started is ended by the start itself, at its next look; what was started is ended here.
    await Promise.race([
      this.#starting?.catch(() => undefined),
      new Promise((resolve) => setTimeout(resolve, STOP_TIMEOUT_MS).unref()),
    ]);
    const giveUp = setTimeout(() => this.#streams.forEach((stream) => stream.stop()), STOP_TIMEOUT_MS);
    await this.#service?.stop();
    this.#unready();
    await this.#retention?.stop();
    await this.#router?.stop();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    await Promise.all(this.#inboxes.map((inbox) => inbox.stop()));
    this.#keyer?.stop();
    await Promise.all(this.#partitions.map((partition) => partition.stop()));
    this.#outbound?.stop();
    clearTimeout(giveUp);
    for (const stream of this.#streams) stream.stop();
    await this.#lease?.release();
    await this.#history?.stop();
    await this.#connection?.close();
    this.#logger.info("the engine has stopped");
    this.#resolveClosed(undefined);
  }

  /** The partitions are another node's: whatever is in memory is dropped. */
  #lost(reason: string): void {
    if (this.#stopping !== undefined) return;
    this.#logger.error({ reason }, "this engine node is no longer the owner; it ends");
    this.#unready();
    for (const partition of this.#partitions) partition.abandon();
    this.#resolveClosed(reason);
    void this.stop();
  }

  #throwIfStopped(): void {
    if (this.#abort.signal.aborted)
      throw new RequestError("the engine was stopped while it started", { operation: "start", status: 503 });
  }

  async #untilStopped<T>(attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (this.#abort.signal.aborted || this.#connection?.isClosed !== false) throw error;
        this.#logger.warn({ err: error }, "JetStream does not answer yet; trying again");
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
  }

  async #clusterSettings(bucket: Bucket): Promise<ClusterSettings> {
    const wanted: ClusterSettings = { v: 1, id: this.#newUlid(), partitions: this.#settings.partitions };
    await bucket.compareAndSet(SETTINGS_KEY, wanted, 0);
    const settings = (await bucket.get<ClusterSettings>(SETTINGS_KEY))?.value ?? wanted;
    if (settings.partitions !== this.#settings.partitions)
      this.#logger.info(
        { partitions: settings.partitions, asked: this.#settings.partitions },
        "the cluster keeps the number of partitions that it was created with",
      );
    return settings;
  }

  // ---------------------------------------------------------------- recovery

  async #recover(number: number): Promise<number> {
    const connection = this.#connection;
    const dispatcher = this.#dispatcher;
    const effects = this.#outbound;
    if (connection === undefined || dispatcher === undefined || effects === undefined) throw new Error("not connected");
    const logger = this.#logger;
    const stream = new PartitionStream({ connection, names: this.#names, partition: number, logger });
    const core = new PartitionCore({
      partition: number,
      workflows: this.#workflows,
      placement: this.#placement,
      slots: dispatcher.slotsFor(number),
      rulesOf: (limit) => this.#rules.get(limit),
      nextTick,
      newRunId: () => this.#newUlid(),
      maxOutputBytes: Math.floor(connection.maxPayload * 0.75),
    });
    const journal: Journal = {
      append: (text) => stream.append(text),
      snapshot: async (lines, journalSeq, inboxSeq) => {
        if (!(await stream.writeSnapshot(lines, journalSeq, inboxSeq))) return;
        const recorded = (await this.#history?.position(number)) ?? journalSeq;
        // A run may have moved on and still read its input here.
        const needed = this.#partitions.map((other) => other.core.oldestInboxRef(stream.stream, inboxSeq));
        await stream.purge(Math.min(journalSeq, recorded), Math.min(...needed));
      },
    };
    const partition = new Partition({
      core,
      journal,
      effects,
      now: () => Date.now(),
      logger,
      maxPayloadBytes: connection.maxPayload,
      snapshotEvery: this.#settings.snapshotEvery,
      pump: () => dispatcher.pump(),
      schedule: this.#rounds.schedule,
      counters: this.#counters,
      onFenced: () => this.#lost("another engine node wrote to the journal"),
    });
    this.#streams[number] = stream;
    this.#partitions[number] = partition;
    this.#applied[number] = { seq: 0, waiters: [] };

    const manifest = await stream.open();
    const recorded = (await this.#history?.position(number)) ?? 0;
    if (manifest !== undefined) {
      const lines: string[] = [];
      await stream.readSnapshot(manifest, (line) => {
        core.replaySnapshotLine(JSON.parse(line) as SnapshotLine);
        if (recorded < manifest.journalSeq) lines.push(line);
      });
      core.endSnapshot();
      if (lines.length > 0) this.#history?.applySnapshot(number, manifest.journalSeq, lines);
    }
    const from = manifest?.journalSeq ?? 0;
    await stream.readJournal(Math.min(from, recorded), (message) => {
      const text = Buffer.from(message.data).toString();
      try {
        if (message.seq > from) core.replayBatch(decodeBatch(text));
        if (message.seq > recorded) this.#history?.apply(number, message.seq, text);
      } catch (error) {
        logger.error(
          { err: error, partition: number, seq: message.seq },
          "a journal message cannot be used; it is kept aside and passed over",
        );
        void this.#reject(`journal.${number}`, { data: message.data }, String(error));
      }
    });
    return stream.lastJournalSeq;
  }

  /** What the history encrypts with. It is here, and not beside its file: whoever can read it can read the events too. */
  async #sealKey(bucket: Bucket): Promise<string> {
    const fresh = randomBytes(32).toString("hex");
    await bucket.compareAndSet(SEAL_KEY, fresh, 0);
    return (await bucket.get<string>(SEAL_KEY))?.value ?? fresh;
  }

  async #openHistory(cluster: string, bucket: Bucket): Promise<HistoryPort | undefined> {
    try {
      const { openHistory } = await import("../history/open-history.ts");
      return await openHistory({
        dataDir: this.#settings.dataDir,
        prefix: this.#names.prefix,
        cluster,
        retentionMs: this.#settings.retentionMs,
        maxBytes: this.#settings.historyMaxBytes,
        redact: this.#settings.redact,
        sealKey: await this.#sealKey(bucket),
        logger: this.#logger,
        readJournal: async (partition, afterSeq, onMessage) => this.#streams[partition]?.readJournal(afterSeq, onMessage),
      });
    } catch (error) {
      this.#logger.error(
        { err: error, dataDir: this.#settings.dataDir },
        "the history cannot be opened: runs that have ended will not be shown",
      );
      return undefined;
    }
  }

  // ---------------------------------------------------------------- inboxes

  #readInbox(number: number, stream: PartitionStream): void {
    const partition = this.#partitions[number];
    const applied = this.#applied[number];
    if (partition === undefined || applied === undefined) return;
    applied.seq = partition.core.inboxSeq;
    const toCreation: ToCreation = (command, seq) => this.#toCreation(command, seq, number);
    const reader = stream.readInbox(partition.core.inboxSeq, (message) => {
      partition.enqueue({
        type: "command",
        seq: message.seq,
        command: this.#decode(message, number),
        bytes: message.data.length,
        toCreation,
        applied: () => {
          applied.seq = message.seq;
          while ((applied.waiters[0]?.seq ?? Infinity) <= message.seq) applied.waiters.shift()?.resolve();
        },
      });
      return partition.room();
    });
    this.#inboxes[number] = reader;
    reader.start();
  }

  #decode(message: ReadMessage, partition: number): Command | undefined {
    try {
      const command: unknown = JSON.parse(Buffer.from(message.data).toString());
      checkCommand(command);
      return command;
    } catch (error) {
      this.#rejectCommand(partition, message.seq, message.data, error);
      return undefined;
    }
  }

  #rejectCommand(partition: number, seq: number, data: Uint8Array, error: unknown): void {
    this.#logger.error({ err: error, partition, seq }, "an inbox message cannot be used; it is kept aside and passed over");
    void this.#reject(`inbox.${partition}`, { data }, error instanceof Error ? error.message : String(error));
  }

  #toCreation(command: CreateCommand, seq: number, partition: number): Creation | undefined {
    try {
      const workflow = this.#workflows.get(command.workflow, command.version);
      if (workflow === undefined)
        throw new TypeError(`workflow "${command.workflow}" is not known in version ${command.version}`);
      return toCreation(command, workflow, { stream: this.#names.partitionStream(partition), seq }, Date.now());
    } catch (error) {
      // Also an input that is nested too deep to be written as JSON again.
      void this.#connection?.readMessage(this.#names.partitionStream(partition), seq).then(
        (message) => message !== undefined && this.#rejectCommand(partition, seq, message.data, error),
        (unread: unknown) =>
          this.#logger.error({ err: unread, partition, seq }, "an inbox message that cannot be used could not be read again"),
      );
      return undefined;
    }
  }

  /** Puts a command into a partition's inbox and resolves once it was applied and is durable. */
  async #send(number: number, command: Command): Promise<void> {
    const connection = this.#connection;
    const applied = this.#applied[number];
    if (connection === undefined || applied === undefined)
      throw new RequestError("the engine is not running", { operation: "send", status: 503 });
    const ack = await publishOnce(connection, this.#names.inbox(number), JSON.stringify(command));
    if (applied.seq >= ack.seq) return;
    await new Promise<void>((resolve) => {
      // Acknowledgements may come out of order.
      let at = applied.waiters.length;
      while (at > 0 && (applied.waiters[at - 1]?.seq ?? 0) > ack.seq) at--;
      applied.waiters.splice(at, 0, { seq: ack.seq, resolve });
    });
  }

  // ---------------------------------------------------------------- workers

  #listenToWorkers(connection: Connection, dispatcher: Dispatcher): void {
    this.#subscriptions.push(
      connection.subscribe(this.#names.allWorkerStatus, (message) => {
        const status = this.#parseStatus(message);
        if (status !== undefined) dispatcher.report(status);
      }),
    );
    connection.publish(this.#names.engineHello, JSON.stringify({ engine: this.name }));
    connection.on("reconnected", () => {
      // Messages to and from workers may have been lost: every one of them says what it has.
      dispatcher.distrust();
      connection.publish(this.#names.engineHello, JSON.stringify({ engine: this.name }));
    });
    this.#ticker = setInterval(() => {
      if (connection.isConnected) dispatcher.expire();
      this.#health?.tick();
    }, HEARTBEAT_CHECK_MS);
  }

  #parseStatus(message: Message): WorkerStatus | undefined {
    try {
      const status = message.json<WorkerStatus>();
      if (
        typeof status.id !== "string" ||
        !Number.isInteger(status.slots) ||
        !Array.isArray(status.workflows) ||
        typeof status.deadlineMs !== "number"
      )
        throw new TypeError("expected a worker's status");
      return status;
    } catch (error) {
      this.#logger.warn({ err: error, subject: message.subject }, "a worker's status cannot be read; it is left alone");
      return undefined;
    }
  }

  #giveBack(held: HeldAttempt, how: "returned" | "lost"): void {
    this.#partitions[held.partition]?.enqueue({ type: "give back", run: held.run.run, attemptId: held.attempt.id, how });
  }

  async #askWorker(connection: Connection, worker: string): Promise<void> {
    try {
      const answer = await connection.request(this.#names.work(worker), JSON.stringify({ type: "report" }));
      const status = this.#parseStatus(answer);
      if (status !== undefined) this.#dispatcher?.report(status);
    } catch (error) {
      this.#logger.debug({ err: error, worker }, "a worker did not say what it executes; it is asked again");
    }
  }

  /** The worker does not know the attempt. Its result may be in the inbox already: only after that it is given to another. */
  async #missing(held: HeldAttempt): Promise<void> {
    const stream = this.#streams[held.partition];
    const partition = this.#partitions[held.partition];
    const applied = this.#applied[held.partition];
    if (stream === undefined || partition === undefined || applied === undefined) return;
    try {
      const last = await stream.lastInboxSeq();
      if (applied.seq < last)
        await new Promise<void>((resolve) => {
          applied.waiters.push({ seq: last, resolve });
          applied.waiters.sort((a, b) => a.seq - b.seq);
        });
    } catch (error) {
      this.#logger.warn(
        { err: error, attemptId: held.attempt.id },
        "could not find out whether a result is on its way; the worker is asked again",
      );
      held.recovered = true;
      return;
    }
    if (!held.attempt.over) this.#giveBack(held, "returned");
  }

  // ---------------------------------------------------------------- definitions

  async #register(spec: WorkflowSpec): Promise<{ name: string; version: string }> {
    const connection = this.#connection;
    const router = this.#router;
    if (connection === undefined || router === undefined)
      throw new RequestError("the engine is not running", { operation: "workflow.register", status: 503 });
    const parsed = parseWorkflowSpec(spec);
    if (!parsed.ok)
      throw new RequestError(`workflow.register: ${parsed.message}`, {
        operation: "workflow.register",
        status: 400,
        reason: "DEFINITION_INVALID",
      });
    const { name, version } = parsed.spec;
    if (this.#workflows.latest(name)?.spec.version !== version) {
      await this.#checkPlacement(parsed.spec);
      const ack = await connection.publishAcked(this.#names.definition(name), JSON.stringify(parsed.spec));
      await router.passed(ack.seq);
      if (this.#workflows.get(name, version) === undefined)
        throw new RequestError(`workflow.register: workflow "${name}" was not accepted; see the engine's log`, {
          operation: "workflow.register",
          status: 409,
          reason: "DEFINITION_REFUSED",
        });
    }
    return { name, version };
  }

  /** A limit that moves to another partition must have no group there that still counts. */
  async #checkPlacement(spec: WorkflowSpec): Promise<void> {
    for (const limit of this.#placement.plan(spec).moved.keys()) {
      const counts = await Promise.all(
        this.#partitions.map((partition) => partition.read((core) => core.groups.of(limit).length)),
      );
      const groups = counts.reduce((sum, count) => sum + count, 0);
      if (groups > 0)
        throw new RequestError(
          `workflow.register: workflow "${spec.name}" needs limit "${limit}" together with others, which moves all its keys to one partition; ${groups} of its groups still have runs. It is taken when they have ended; or give the limit another name`,
          { operation: "workflow.register", status: 409, reason: "LIMIT_IN_USE" },
        );
    }
  }

  /** A definition came by in the events stream: from here on it is in force. */
  async #onDefinition(text: string, seq: number, timeMs: number): Promise<void> {
    let parsed: ReturnType<typeof parseWorkflowSpec>;
    try {
      parsed = parseWorkflowSpec(JSON.parse(text));
    } catch (error) {
      parsed = { ok: false, message: String(error) };
    }
    if (!parsed.ok) {
      this.#logger.error({ seq, reason: parsed.message }, "a definition in the events stream cannot be used; it is passed over");
      await this.#reject("definitions", { data: Buffer.from(text) }, parsed.message);
      return;
    }
    const { spec } = parsed;
    const latest = this.#workflows.latest(spec.name);
    if (latest !== undefined && latest.since >= seq) return;
    const { fresh, moved } = this.#placement.plan(spec);
    for (const [limit, home] of [...fresh, ...moved]) this.#placement.setHome(limit, home);
    const stored: StoredDefinition = { spec, since: seq, registeredAt: Math.floor(timeMs) };
    await this.#untilStopped(async () => {
      if (fresh.size + moved.size > 0) await this.#bucket?.put(PLACEMENT_KEY, this.#placement.toJSON());
      await this.#bucket?.put(`definition.${spec.name}.${spec.version}`, stored);
    });
    this.#define(stored);
    this.#history?.define(spec);
    for (const { name, maxRuns, strategy } of spec.limits)
      for (const partition of this.#partitions)
        if (partition.core.groups.rules.has(name))
          partition.enqueue({ type: "rules", limit: name, rules: { maxRuns, strategy } });
    const workflow = this.#workflows.latest(spec.name);
    if (workflow !== undefined) this.#partitions[this.#placement.homeOf(spec.name)]?.enqueue({ type: "crons", workflow });
    this.#logger.info({ workflow: spec.name, version: spec.version }, "a workflow version is in force");
  }

  #define({ spec, since, registeredAt }: StoredDefinition): void {
    this.#workflows.add(spec, since, registeredAt);
    for (const { name, maxRuns, strategy } of spec.limits) this.#rules.set(name, { maxRuns, strategy });
  }

  async #reject(
    what: string,
    message: { readonly data: Uint8Array; readonly headers?: Readonly<Record<string, string>> },
    reason: string,
  ): Promise<void> {
    this.#counters.rejected++;
    this.#logger.warn({ what, reason }, "something that cannot be used was put aside in sluice.rejected");
    const { "Nats-Msg-Id": id, ...headers } = message.headers ?? {};
    const safe = reason.replace(/[\r\n]+/g, " ").slice(0, 1_000);
    try {
      await this.#connection?.publishAcked(this.#names.rejected(what), message.data, {
        headers: { ...headers, ...(id !== undefined && { "Sluice-Msg-Id": id }), "Sluice-Reason": encodeHeader(safe) },
      });
    } catch (error) {
      this.#logger.error({ err: error, what, reason }, "something that cannot be used could not be put aside either");
    }
  }
}

/** The library puts an id together from two strings, which V8 keeps beside the whole: twice the memory of each waiting run's. */
function flatUlids(): (atMs?: number) => string {
  const ulid = monotonicFactory(pooledRandom());
  return (atMs) => Buffer.from(ulid(atMs), "latin1").toString("latin1");
}

/** Random numbers from 0 to 1; asking the system for each of the digits of an id costs more than all else about it. */
function pooledRandom(): () => number {
  const pool = new Uint8Array(4_096);
  let next = pool.length;
  return () => {
    if (next === pool.length) {
      crypto.getRandomValues(pool);
      next = 0;
    }
    return (pool[next++] ?? 0) / 256;
  };
}

/** Header values are ASCII by custom; others would be garbled by some clients. */
function encodeHeader(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
