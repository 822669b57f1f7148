/**
 * The cluster's key-value bucket: settings, the map, sessions, definitions, positions. JSON values; compare-and-set by revision. Reads
 * are the leader's: a replica that lags behind would show owners that are none any more.
 */
import { jetstreamManager } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { Connection } from "./connection.ts";
import { ensureReplicas, type StreamSettings } from "./streams.ts";

export interface BucketEntry<T> {
  readonly key: string;
  readonly value: T;
  /** Changes with every write. */
  readonly revision: number;
}

interface StoredEntry {
  readonly message?: { readonly seq: number; readonly data?: string; readonly hdrs?: string };
  readonly error?: { readonly code: number; readonly description: string };
}

/** Entries asked for at a time. */
const LIST_AT_ONCE = 32;

export class Bucket {
  readonly #kv: KV;
  readonly #connection: Connection;
  readonly #name: string;

  private constructor(kv: KV, connection: Connection, name: string) {
    this.#kv = kv;
    this.#connection = connection;
    this.#name = name;
  }

  static async open(
    connection: Connection,
    name: string,
    replication: Pick<StreamSettings, "replicas" | "keepMoreReplicas">,
  ): Promise<Bucket> {
    const kv = await new Kvm(connection.nats).create(name, { history: 1, replicas: replication.replicas });
    await ensureReplicas(connection, `KV_${name}`, replication);
    return new Bucket(kv, connection, name);
  }

  async get<T>(key: string): Promise<BucketEntry<T> | undefined> {
    const question = JSON.stringify({ last_by_subj: `$KV.${this.#name}.${key}` });
    const { message, error } = (
      await this.#connection.request(`$JS.API.STREAM.MSG.GET.KV_${this.#name}`, question)
    ).json<StoredEntry>();
    if (message === undefined) {
      if (error?.code === 404) return undefined;
      throw new Error(`reading ${key} of the bucket ${this.#name}: ${error?.description ?? "no answer"}`);
    }
    const { seq, data = "", hdrs = "" } = message;
    if (Buffer.from(hdrs, "base64").includes("KV-Operation:")) return undefined; // deleted
    return { key, value: JSON.parse(Buffer.from(data, "base64").toString()) as T, revision: seq };
  }

  /** Idempotent. */
  async delete(key: string): Promise<void> {
    await this.#kv.delete(key);
  }

  async put(key: string, value: unknown): Promise<number> {
    return this.#kv.put(key, JSON.stringify(value));
  }

  /** Writes only when the entry has that revision (0: when there is none). Undefined when another was quicker. */
  async compareAndSet(key: string, value: unknown, revision: number): Promise<number | undefined> {
    try {
      return await this.#kv.put(key, JSON.stringify(value), { previousSeq: revision });
    } catch (error) {
      if ((error as { code?: number }).code === 10071 || /wrong last sequence/.test(String(error))) return undefined;
      throw error;
    }
  }

  /**
   * All entries whose key fits the filter (`definition.>`). The stream names its subjects, each entry is then asked for: a consumer
   * would be quicker where there are very many, but a cluster that has just lost a server places every third one there.
   */
  async list<T>(filter: string): Promise<BucketEntry<T>[]> {
    const subjects = `$KV.${this.#name}.`;
    const manager = await jetstreamManager(this.#connection.nats, { checkAPI: false });
    const { state } = await manager.streams.info(`KV_${this.#name}`, { subjects_filter: `${subjects}${filter}` });
    const keys = Object.keys(state.subjects ?? {}).map((subject) => subject.slice(subjects.length));
    const entries: BucketEntry<T>[] = [];
    for (let from = 0; from < keys.length; from += LIST_AT_ONCE)
      for (const entry of await Promise.all(keys.slice(from, from + LIST_AT_ONCE).map((key) => this.get<T>(key))))
        if (entry !== undefined) entries.push(entry);
    return entries;
  }
}
