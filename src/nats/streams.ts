/**
 * The streams and the bucket of a cluster: made when they are missing, brought up to date when their settings differ. The
 * layout is in subjects.ts.
 */
import { isDeepStrictEqual } from "node:util";
import {
  type JetStreamManager,
  type StreamConfig,
  DiscardPolicy,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream";
import { NatsUnavailableError } from "../errors.ts";
import type { Connection } from "./connection.ts";
import type { Names } from "./subjects.ts";

export interface StreamSettings {
  /** Copies of every stream. */
  readonly replicas: number;
  /** Streams that have more copies keep them: nobody said how many there shall be. */
  readonly keepMoreReplicas?: boolean;
  /** Bytes that events may take, and each partition. Absent: what is set stays; nothing is, for new ones. */
  readonly eventsMaxBytes?: number | undefined;
  readonly partitionMaxBytes?: number | undefined;
  /** A limit is not set now, since the stream holds too much: the server would drop the oldest to keep to it, whatever its discard policy. */
  readonly onTooLarge?: (stream: string, bytes: number, maxBytes: number) => void;
  /** Window in which a repeated `Nats-Msg-Id` is recognised, in ms. */
  readonly duplicateWindowMs: number;
  /** What could not be used is kept this long, in ms. */
  readonly rejectedMaxAgeMs: number;
}

const NANOS = 1_000_000;
const DEFAULT_CLUSTER_REPLICAS = 3;
const LOOK_EVERY_MS = 100;
/** Of a new limit: more may arrive until it is set, and must fit too. */
const MOST_HELD = 0.75;

/**
 * How many copies there shall be: as many as were asked for, else three on a cluster of NATS servers and one on a server that runs alone.
 * @throws NatsUnavailableError where a server that runs alone shall have several: it would take that for what is there already
 */
export function replicasFor(
  connection: Connection,
  asked: number | undefined,
): Pick<StreamSettings, "replicas" | "keepMoreReplicas"> {
  if (asked !== undefined && asked > 1 && !connection.isClustered)
    throw new NatsUnavailableError(
      `expected a NATS cluster, since 'replicas' is ${asked}; the server at ${connection.server} runs alone`,
      connection.servers,
    );
  if (asked !== undefined) return { replicas: asked, keepMoreReplicas: false };
  return { replicas: connection.isClustered ? DEFAULT_CLUSTER_REPLICAS : 1, keepMoreReplicas: true };
}

/** Makes sure that the streams of `partitions` partitions, of events and of rejected messages are there. */
export async function ensureStreams(
  connection: Connection,
  names: Names,
  partitions: number,
  settings: StreamSettings,
): Promise<void> {
  const manager = await jetstreamManager(connection.nats);
  const common = {
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    // A full stream refuses; it never drops what it has acknowledged.
    discard: DiscardPolicy.New,
    num_replicas: settings.replicas,
    allow_direct: true,
  };
  await ensureStream(
    manager,
    {
      ...common,
      name: names.eventsStream,
      subjects: [...names.eventsSubjects],
      duplicate_window: settings.duplicateWindowMs * NANOS,
      ...(settings.eventsMaxBytes !== undefined && { max_bytes: settings.eventsMaxBytes }),
    },
    settings,
  );
  await ensureStream(
    manager,
    {
      ...common,
      name: names.rejectedStream,
      subjects: [...names.rejectedSubjects],
      discard: DiscardPolicy.Old,
      max_age: settings.rejectedMaxAgeMs * NANOS,
    },
    settings,
  );
  await Promise.all(
    Array.from({ length: partitions }, (_, partition) =>
      ensureStream(
        manager,
        {
          ...common,
          name: names.partitionStream(partition),
          subjects: [
            names.inbox(partition),
            names.journal(partition),
            names.snapshotData(partition),
            names.snapshotManifest(partition),
          ],
          ...(settings.partitionMaxBytes !== undefined && { max_bytes: settings.partitionMaxBytes }),
        },
        settings,
      ),
    ),
  );
}

async function ensureStream(
  manager: JetStreamManager,
  wanted: Partial<StreamConfig> & { name: string },
  { keepMoreReplicas = false, onTooLarge }: StreamSettings,
): Promise<void> {
  try {
    await manager.streams.add(wanted);
  } catch (error) {
    // 10058: there is one of that name with other settings.
    if ((error as { code?: number }).code !== 10058 && !/already in use/.test(String(error))) throw error;
    const { config, state } = await manager.streams.info(wanted.name);
    const settings = { ...wanted };
    if (keepMoreReplicas) settings.num_replicas = Math.max(config.num_replicas, wanted.num_replicas ?? 1);
    const { max_bytes: maxBytes = -1 } = wanted;
    if (maxBytes > 0 && maxBytes !== config.max_bytes && state.bytes > maxBytes * MOST_HELD) {
      onTooLarge?.(wanted.name, state.bytes, maxBytes);
      settings.max_bytes = config.max_bytes;
    }
    // Each update is a decision of the whole cluster: one that changes nothing is left out.
    if (Object.entries(settings).some(([key, value]) => !isDeepStrictEqual(config[key as keyof StreamConfig], value)))
      await manager.streams.update(wanted.name, settings);
    if (settings.num_replicas !== config.num_replicas) await copied(manager, wanted.name);
  }
}

/** Resolves when all copies of a stream are there: while their number changes it has no leader, and answers nothing. */
async function copied(manager: JetStreamManager, stream: string): Promise<void> {
  for (;;) {
    const { config, cluster } = await manager.streams.info(stream);
    // Of a server that runs alone.
    if (cluster === undefined) return;
    const { leader, replicas = [] } = cluster;
    if (leader !== undefined && replicas.length === config.num_replicas - 1 && replicas.every(({ current }) => current)) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** Brings the copies of an existing stream up to what is wanted. */
export async function ensureReplicas(
  connection: Connection,
  stream: string,
  { replicas, keepMoreReplicas = false }: Pick<StreamSettings, "replicas" | "keepMoreReplicas">,
): Promise<void> {
  const manager = await jetstreamManager(connection.nats);
  const { config } = await manager.streams.info(stream);
  if (config.num_replicas === replicas || (keepMoreReplicas && config.num_replicas > replicas)) return;
  await manager.streams.update(stream, { num_replicas: replicas });
  await copied(manager, stream);
}

/** How much a stream holds, its last sequence, and its limit. */
export async function streamUse(
  connection: Connection,
  stream: string,
): Promise<{
  readonly messages: number;
  readonly bytes: number;
  readonly lastSeq: number;
  readonly maxBytes: number | undefined;
}> {
  const { state, config } = (await connection.request(`$JS.API.STREAM.INFO.${stream}`, "")).json<{
    state?: { messages: number; bytes: number; last_seq: number };
    config?: { max_bytes?: number };
  }>();
  const maxBytes = config?.max_bytes ?? -1;
  return {
    messages: state?.messages ?? 0,
    bytes: state?.bytes ?? 0,
    lastSeq: state?.last_seq ?? 0,
    maxBytes: maxBytes > 0 ? maxBytes : undefined,
  };
}

/** How many messages a stream has. */
export async function countMessages(connection: Connection, stream: string): Promise<number> {
  return (await streamUse(connection, stream)).messages;
}

/** Removes the messages of `subject` in `stream` (without one: of all) below sequence `below`. */
export async function purgeBelow(
  connection: Connection,
  stream: string,
  subject: string | undefined,
  below: number,
): Promise<void> {
  const manager = await jetstreamManager(connection.nats, { checkAPI: false });
  await manager.streams.purge(stream, { ...(subject !== undefined && { filter: subject }), seq: below });
}

/**
 * The sequence of the first message that was stored at or after a time; one above the last when there is none. A binary
 * search, since servers before 2.11 cannot be asked.
 */
export async function firstSeqSince(connection: Connection, stream: string, timeMs: number): Promise<number> {
  const manager = await jetstreamManager(connection.nats, { checkAPI: false });
  const { state } = await manager.streams.info(stream);
  let low = state.first_seq;
  let high = state.last_seq + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    // The first one there is from the middle on: some may be gone.
    const { message } = (
      await connection.request(`$JS.API.STREAM.MSG.GET.${stream}`, JSON.stringify({ seq: middle, next_by_subj: ">" }))
    ).json<{
      message?: { seq: number; time: string };
    }>();
    if (message === undefined || message.seq >= high) high = middle;
    else if (Date.parse(message.time) < timeMs) low = message.seq + 1;
    else high = middle;
  }
  return low;
}
