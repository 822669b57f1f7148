/**
 * An engine node: one of any number that share a cluster's partitions. It connects, joins, and answers for all of the cluster until it
 * is stopped. Its life is here; what it consists of meanwhile is in cluster-node.ts.
 */
import { hostname } from "node:os";
import { pino, type Logger } from "pino";
import { RequestError } from "../errors.ts";
import { Bucket } from "../nats/bucket.ts";
import { connectNats, type Connection } from "../nats/connection.ts";
import { type OperationHandlers, type Service, startService } from "../nats/service.ts";
import { untilPlaced } from "../nats/placement-wait.ts";
import { ensureStreams, replicasFor } from "../nats/streams.ts";
import { createNames, type Names } from "../nats/subjects.ts";
import type { HealthView } from "../protocol/record.ts";
import { createIds } from "../protocol/run-ids.ts";
import { parseRequest } from "../protocol/requests.ts";
import type { Operation, Operations } from "../protocol/view.ts";
import { version as sluiceVersion } from "../version.ts";
import { type ClusterSettings, clusterSettings, sealKey } from "./cluster/cluster-settings.ts";
import { ClusterNode, readJournal } from "./cluster-node.ts";
import { Counters, type EngineStats } from "./counters.ts";
import { unreadyHealth } from "./health.ts";
import type { HistoryPort } from "./history-port.ts";
import { parseEngineOptions, type EngineOptions, type EngineSettings } from "./options.ts";

export interface Engine {
  readonly name: string;
  /** True while it is a member of its cluster and answers; false while it starts, and once it has ended. */
  readonly ready: boolean;
  /**
   * Does what the NATS service would do for `sluice.api.<operation>`, without going over NATS where what is asked for is here. The
   * request is checked.
   * @throws RequestError with status 503 while it is not `ready`, else what the operation throws
   */
  call<K extends Operation>(operation: K, request: unknown): Promise<Operations[K]["reply"]>;
  /** What it has counted, and how much of the cluster is here. Takes longer the more groups there are. */
  stats(): EngineStats;
  /** Resolves when it has ended, by `stop`. */
  readonly closed: Promise<void>;
  /** Gives its partitions to the other nodes, after writing snapshots, and leaves the cluster. Idempotent. */
  stop(): Promise<void>;
}

const REJECTED_MAX_AGE_MS = 7 * 86_400_000;
const DUPLICATE_WINDOW_MS = 120_000;
/** How long a stop waits for a server that does not answer. */
const STOP_TIMEOUT_MS = 10_000;

/**
 * Starts an engine node and resolves once it answers: it has connected (waiting for NATS if need be), is a member of the cluster, and
 * every partition of the cluster has an owner that has recovered it.
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
  readonly closed: Promise<void>;
  readonly #settings: EngineSettings;
  readonly #logger: Logger;
  readonly #names: Names;
  readonly #newId = createIds();
  readonly #abort = new AbortController();
  #resolveClosed: () => void = () => undefined;
  #stopping: Promise<void> | undefined = undefined;
  #starting: Promise<void> | undefined = undefined;
  #started: Promise<void> | undefined = undefined;

  #connection: Connection | undefined = undefined;
  #history: HistoryPort | undefined = undefined;
  #node: ClusterNode | undefined = undefined;
  #service: Service | undefined = undefined;
  /** Set while it is ready. */
  #operations: OperationHandlers | undefined = undefined;
  /** What ends the calls under way when this node ends. */
  readonly #calls = new Set<(error: Error) => void>();

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
    if (operation === "health.get" && !this.ready) return this.#unreadyHealth() as Operations[K]["reply"];
    if (this.#operations === undefined || !this.ready) throw unavailable(operation, "this engine node does not answer yet");
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

  stats(): EngineStats {
    const { ready } = this;
    if (this.#node !== undefined) return this.#node.stats(ready);
    return {
      ready,
      partitions: 0,
      partitionsRefused: 0,
      coordinator: false,
      members: 0,
      live: 0,
      active: 0,
      stopping: 0,
      waiting: 0,
      groups: 0,
      workers: 0,
      slots: { used: 0, total: 0 },
      stepsWaiting: 0,
      eventsBehind: { events: 0, seconds: 0 },
      historyBehind: undefined,
      counters: new Counters(),
    };
  }

  #unreadyHealth(): HealthView {
    if (this.#stopping !== undefined) return unreadyHealth("disconnected", "The engine node has stopped.");
    if (this.#connection?.isConnected !== true)
      return unreadyHealth("disconnected", "The engine node has no connection to NATS.");
    return unreadyHealth("starting", "The engine node joins its cluster, and recovers what was there before.");
  }

  async #start(): Promise<void> {
    const { connection: options, replicas } = this.#settings;
    const logger = this.#logger;
    const { signal } = this.#abort;
    const connection = await connectNats({ ...options, name: `sluice engine ${this.name}`, logger, signal });
    this.#connection = connection;
    this.#throwIfStopped();
    const replication = replicasFor(connection, replicas);
    const wait = { connection, replicas: replication.replicas, logger, signal };
    const bucket = await untilPlaced(
      "making the cluster's bucket",
      () => Bucket.open(connection, this.#names.bucket, replication),
      wait,
    );
    const cluster = await this.#untilStopped(() =>
      clusterSettings(bucket, { id: this.#newId(), partitions: this.#settings.partitions }, logger),
    );
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
    await untilPlaced("making the streams", () => ensureStreams(connection, this.#names, cluster.partitions, streams), wait);
    this.#history = await this.#openHistory(connection, bucket, cluster);
    this.#throwIfStopped();
    const { name } = this;
    const node = new ClusterNode({
      name,
      connection,
      names: this.#names,
      bucket,
      cluster,
      settings: this.#settings,
      history: this.#history,
      newId: this.#newId,
      logger,
    });
    this.#node = node;
    const began = performance.now();
    await node.start(signal);
    this.#service = startService(connection, this.#names, {
      version: sluiceVersion,
      operations: node.natsOperations,
      logger,
    });
    await connection.flush();
    this.#throwIfStopped();
    this.#operations = node.operations;
    const tookMs = Math.round(performance.now() - began);
    const { server } = connection;
    logger.info(
      {
        partitions: cluster.partitions,
        owned: node.owned,
        members: node.members,
        replicas: replication.replicas,
        prefix: this.#names.prefix,
        server,
        tookMs,
      },
      "the engine is ready",
    );
  }

  async #stop(): Promise<void> {
    this.#abort.abort();
    // What is half started is ended by the start itself, at its next look; what was started is ended here.
    await Promise.race([
      this.#starting?.catch(() => undefined),
      new Promise((resolve) => setTimeout(resolve, STOP_TIMEOUT_MS).unref()),
    ]);
    const giveUp = setTimeout(() => this.#node?.giveUp(), STOP_TIMEOUT_MS);
    await this.#service?.stop();
    this.#operations = undefined;
    for (const end of this.#calls) end(unavailable("call", "the engine node has ended"));
    await this.#node?.stop();
    clearTimeout(giveUp);
    await this.#history?.stop();
    await this.#connection?.close();
    this.#logger.info("the engine has stopped");
    this.#resolveClosed();
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

  async #openHistory(connection: Connection, bucket: Bucket, cluster: ClusterSettings): Promise<HistoryPort | undefined> {
    const { dataDir, retentionMs, historyMaxBytes, redact } = this.#settings;
    const sources = { connection, names: this.#names, logger: this.#logger };
    try {
      const { openHistory } = await import("../history/open-history.ts");
      return await openHistory({
        dataDir,
        prefix: this.#names.prefix,
        cluster: cluster.id,
        retentionMs,
        maxBytes: historyMaxBytes,
        redact,
        sealKey: await sealKey(bucket),
        logger: this.#logger,
        readJournal: (partition, afterSeq, onMessage) => readJournal(sources, partition, afterSeq, onMessage),
      });
    } catch (error) {
      this.#logger.error({ err: error, dataDir }, "the history cannot be opened: runs that have ended will not be shown");
      return undefined;
    }
  }
}

function unavailable(operation: Operation | "call", why: string): RequestError {
  return new RequestError(`${operation}: ${why}`, { operation, status: 503, reason: "ENGINE_UNAVAILABLE" });
}
