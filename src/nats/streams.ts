/**
 * The streams and the bucket of a cluster: made when they are missing, brought up to date when their settings differ. The
 * layout is in subjects.ts.
 */
import {
  type JetStreamManager,
  type StreamConfig,
  DiscardPolicy,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream";
import type { Connection } from "./connection.ts";
import type { Names } from "./subjects.ts";

export interface StreamSettings {
  readonly replicas: number;
  /** Window in which a repeated `Nats-Msg-Id` is recognised, in ms. */
  readonly duplicateWindowMs: number;
  /** What could not be used is kept this long, in ms. */
  readonly rejectedMaxAgeMs: number;
}

const NANOS = 1_000_000;

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
  await ensureStream(manager, {
    ...common,
    name: names.eventsStream,
    subjects: [...names.eventsSubjects],
    duplicate_window: settings.duplicateWindowMs * NANOS,
  });
  await ensureStream(manager, {
    ...common,
    name: names.rejectedStream,
    subjects: [...names.rejectedSubjects],
    discard: DiscardPolicy.Old,
    max_age: settings.rejectedMaxAgeMs * NANOS,
  });
  await Promise.all(
    Array.from({ length: partitions }, (_, partition) =>
      ensureStream(manager, {
        ...common,
        name: names.partitionStream(partition),
        subjects: [
          names.inbox(partition),
          names.journal(partition),
          names.snapshotData(partition),
          names.snapshotManifest(partition),
        ],
      }),
    ),
  );
}

async function ensureStream(manager: JetStreamManager, config: Partial<StreamConfig> & { name: string }): Promise<void> {
  try {
    await manager.streams.add(config);
  } catch (error) {
    // 10058: there is one of that name with other settings.
    if ((error as { code?: number }).code !== 10058 && !/already in use/.test(String(error))) throw error;
    await manager.streams.update(config.name, config);
  }
}

/** How many messages a stream has. */
export async function countMessages(connection: Connection, stream: string): Promise<number> {
  const info = (await connection.request(`$JS.API.STREAM.INFO.${stream}`, "")).json<{ state?: { messages: number } }>();
  return info.state?.messages ?? 0;
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
