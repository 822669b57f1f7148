/**
 * The options of an engine node: what users may write, and what it works with.
 */
import type { Logger } from "pino";
import { connectionOptionsShape, type ConnectionOptions, loggerOption } from "../nats/connection.ts";
import { DEFAULT_PREFIX, prefixOption } from "../nats/subjects.ts";
import { DEFAULT_REDACT } from "../protocol/redact.ts";
import type { Duration } from "../workflow/duration.ts";
import { durationOption, integerOption, optionOf, optionsOf, parseOptionsOf } from "../workflow/parse-options.ts";

export interface EngineOptions extends ConnectionOptions {
  /** Shown in logs and lists. Default: the host's name. */
  readonly name?: string | undefined;
  /** The cluster's prefix: of all its subjects, streams and buckets. Default `sluice`. */
  readonly prefix?: string | undefined;
  /**
   * Partitions of a new cluster, 1 to 256; one that exists keeps its own. Default 8. More spread the work over more engine
   * nodes and make batches smaller.
   */
  readonly partitions?: number | undefined;
  /**
   * Copies of every stream and bucket, 1 to 5. Default: 3 on a NATS cluster (streams that have more keep them), 1 on a server that runs
   * alone. Three survive the loss of a server, five that of two; each append waits for a majority. Streams that exist are changed; while the
   * cluster has fewer servers, the engine waits.
   */
  readonly replicas?: number | undefined;
  /** Folder of the history file. It is a cache: deleted, it is rebuilt from what the journals still hold. Default `.sluice`. */
  readonly dataDir?: string | undefined;
  /** How long after its last sign of life another node may take over. At least 500 ms, default 3 s. Shorter fails over sooner and bears shorter pauses. */
  readonly lease?: Duration | undefined;
  /** How long ended runs stay in the history. Default 7 days. */
  readonly retention?: Duration | undefined;
  /**
   * How large the file of the history may become, in bytes, at least 1 MiB. Above that, ended runs go, those that ended first.
   * Default: as large as 500,000 runs make it.
   */
  readonly historyMaxBytes?: number | undefined;
  /**
   * Fields that nobody shall see, in inputs, outputs, errors and metadata: names (`password`), or paths (`card.number`, `*` for any
   * one name), at any depth, in upper or lower case. The file of the history has them encrypted, with a key that is kept in NATS;
   * the dashboard shows "[redacted]". Programs that ask for a run over NATS get the real values. Default: `password`, `token`,
   * `secret`, `authorization`. It holds for runs from now on; what the file has already stays as it is.
   */
  readonly redact?: readonly string[] | undefined;
  /** A pino logger. Default: one that writes lines of level `info` to standard error. */
  readonly logger?: Logger | undefined;
  /** Facts of a partition between two snapshots, at least. Default 20,000. More make recovery longer, fewer make more snapshots. */
  readonly snapshotEvery?: number | undefined;
  /**
   * How many bytes of events the server keeps at most, at least 1 MiB. Before that is reached, events that are done with (every run of theirs has
   * ended) go early, the oldest first; when it is reached all the same, publishers are refused (`STREAM_FULL`), and nothing that was
   * acknowledged is dropped. Default: what is set already; no limit on new streams but the server's own.
   */
  readonly eventsMaxBytes?: number | undefined;
  /**
   * How many bytes each partition's stream may have (inbox, journal and snapshot), at least 1 MiB. From half of it on, what
   * lies before a new snapshot goes early. When it is reached all the same, new runs over the API are refused, workers keep their
   * results, and the partition stands still until a history has caught up or the limit is raised. To be set well above twice what live
   * runs have made. Default: what is set already; no limit on new streams but the server's own.
   */
  readonly partitionMaxBytes?: number | undefined;
}

const MIN_STREAM_BYTES = 1_048_576;

const text = optionOf("a non-empty text", (value): value is string => typeof value === "string" && value !== "").optional();

const schema = optionsOf(
  {
    ...connectionOptionsShape,
    name: text,
    prefix: prefixOption,
    partitions: integerOption(1, 256).optional(),
    replicas: integerOption(1, 5).optional(),
    dataDir: text,
    lease: durationOption(500).optional(),
    retention: durationOption(1_000).optional(),
    historyMaxBytes: integerOption(1_048_576).optional(),
    redact: optionOf("a list of names or paths of fields", isRedactList).optional(),
    logger: loggerOption,
    snapshotEvery: integerOption(100).optional(),
    eventsMaxBytes: integerOption(MIN_STREAM_BYTES).optional(),
    partitionMaxBytes: integerOption(MIN_STREAM_BYTES).optional(),
  },
  { servers: ["url", "nats", "server"], dataDir: ["dir", "folder"] },
);

export interface EngineSettings {
  readonly connection: ConnectionOptions;
  readonly name: string | undefined;
  readonly prefix: string;
  readonly partitions: number;
  /** Undefined: as many as fit the server. */
  readonly replicas: number | undefined;
  readonly dataDir: string;
  readonly leaseMs: number;
  readonly retentionMs: number;
  readonly historyMaxBytes: number | undefined;
  readonly redact: readonly string[];
  readonly logger: Logger | undefined;
  readonly snapshotEvery: number;
  readonly eventsMaxBytes: number | undefined;
  readonly partitionMaxBytes: number | undefined;
}

/** Checks the options and fills in the defaults. @throws OptionsError (`OPTIONS_INVALID`) */
export function parseEngineOptions(options: EngineOptions): EngineSettings {
  const given = parseOptionsOf(schema, options, "startEngine");
  const { name, prefix, partitions, replicas, dataDir, lease, retention, logger, snapshotEvery, ...rest } = given;
  const { historyMaxBytes, redact, eventsMaxBytes, partitionMaxBytes, ...connection } = rest;
  return {
    connection,
    name,
    prefix: prefix ?? DEFAULT_PREFIX,
    partitions: partitions ?? 8,
    replicas,
    dataDir: dataDir ?? ".sluice",
    leaseMs: lease ?? 3_000,
    retentionMs: retention ?? 7 * 86_400_000,
    historyMaxBytes,
    redact: redact ?? DEFAULT_REDACT,
    logger,
    snapshotEvery: snapshotEvery ?? 20_000,
    eventsMaxBytes,
    partitionMaxBytes,
  };
}

function isRedactList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((rule) => typeof rule === "string" && rule.split(".").every((part) => part !== ""));
}
