/**
 * The options of an engine node: what users may write, and what it works with.
 */
import type { Logger } from "pino";
import { connectionOptionsShape, type ConnectionOptions, loggerOption } from "../nats/connection.ts";
import { DEFAULT_PREFIX, prefixOption } from "../nats/subjects.ts";
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
  /** Copies of every stream on a NATS cluster, 1 to 5. Default 1. Three survive the loss of a server; each append waits for a majority. */
  readonly replicas?: number | undefined;
  /** Folder of the history file. It is a cache: deleted, it is rebuilt from what the journals still hold. Default `.sluice`. */
  readonly dataDir?: string | undefined;
  /** How long after its last sign of life another node may take over. At least 500 ms, default 3 s. Shorter fails over sooner and bears shorter pauses. */
  readonly lease?: Duration | undefined;
  /** How long ended runs stay in the history. Default 7 days. */
  readonly retention?: Duration | undefined;
  /** A pino logger. Default: one that writes lines of level `info` to standard error. */
  readonly logger?: Logger | undefined;
  /** Facts of a partition between two snapshots, at least. Default 20,000. More make recovery longer, fewer make more snapshots. */
  readonly snapshotEvery?: number | undefined;
}

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
    logger: loggerOption,
    snapshotEvery: integerOption(100).optional(),
  },
  { servers: ["url", "nats", "server"], dataDir: ["dir", "folder"] },
);

export interface EngineSettings {
  readonly connection: ConnectionOptions;
  readonly name: string | undefined;
  readonly prefix: string;
  readonly partitions: number;
  readonly replicas: number;
  readonly dataDir: string;
  readonly leaseMs: number;
  readonly retentionMs: number;
  readonly logger: Logger | undefined;
  readonly snapshotEvery: number;
}

/** Checks the options and fills in the defaults. @throws OptionsError (`OPTIONS_INVALID`) */
export function parseEngineOptions(options: EngineOptions): EngineSettings {
  const given = parseOptionsOf(schema, options, "startEngine");
  const { name, prefix, partitions, replicas, dataDir, lease, retention, logger, snapshotEvery, ...connection } = given;
  return {
    connection,
    name,
    prefix: prefix ?? DEFAULT_PREFIX,
    partitions: partitions ?? 8,
    replicas: replicas ?? 1,
    dataDir: dataDir ?? ".sluice",
    leaseMs: lease ?? 3_000,
    retentionMs: retention ?? 7 * 86_400_000,
    logger,
    snapshotEvery: snapshotEvery ?? 20_000,
  };
}
