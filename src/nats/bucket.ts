/**
 * The cluster's key-value bucket: settings, leases, definitions, positions. JSON values; compare-and-set by revision.
 */
import { type KV, Kvm } from "@nats-io/kv";
import type { Connection } from "./connection.ts";
import { ensureReplicas, type StreamSettings } from "./streams.ts";

export interface BucketEntry<T> {
  readonly key: string;
  readonly value: T;
  /** Changes with every write. */
  readonly revision: number;
}

export class Bucket {
  readonly #kv: KV;

  private constructor(kv: KV) {
    this.#kv = kv;
  }

  static async open(
    connection: Connection,
    name: string,
    replication: Pick<StreamSettings, "replicas" | "keepMoreReplicas">,
  ): Promise<Bucket> {
    const kv = await new Kvm(connection.nats).create(name, { history: 1, replicas: replication.replicas });
    await ensureReplicas(connection, `KV_${name}`, replication);
    return new Bucket(kv);
  }

  async get<T>(key: string): Promise<BucketEntry<T> | undefined> {
    const entry = await this.#kv.get(key);
    if (entry === null || entry.operation !== "PUT") return undefined;
    return { key, value: entry.json<T>(), revision: entry.revision };
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

  /** All entries whose key fits the filter (`definition.>`). */
  async list<T>(filter: string): Promise<BucketEntry<T>[]> {
    const entries: BucketEntry<T>[] = [];
    const keys = await this.#kv.keys(filter);
    for await (const key of keys) {
      const entry = await this.get<T>(key);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }
}
