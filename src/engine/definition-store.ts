/**
 * Definitions and the homes of limits as they lie in the bucket. What is written here is written by whoever coordinates: the epoch of that
 * office, and compare-and-set, keep one that is no longer in office from putting old things over new ones.
 */
import type { Logger } from "pino";
import type { Bucket, BucketEntry } from "../nats/bucket.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { Home } from "./placement.ts";
import { DeposedError } from "./router.ts";

export interface StoredDefinition {
  readonly spec: WorkflowSpec;
  /** Its place in the events stream. */
  readonly since: number;
  readonly registeredAt: number;
}

export type Homes = Readonly<Record<string, Home>>;

interface StoredHomes {
  readonly v: 2;
  readonly epoch: number;
  readonly homes: Homes;
  /** Limits that may be about to get another one. Whoever takes the office over begins that anew. */
  readonly moving?: readonly string[];
}

/** The homes as they were at some time: a later `revision` is news. */
export interface HomesState {
  readonly homes: Homes;
  readonly moving: readonly string[];
  readonly epoch: number;
  readonly revision: number;
}

const HOMES_KEY = "placement";
const RETRY_MS = 300;
/** What the bucket takes as the token of a key. */
const TOKEN = /^[-/_=a-zA-Z0-9]+(?:\.[-/_=a-zA-Z0-9]+)*$/;

export class DefinitionStore {
  readonly #bucket: Pick<Bucket, "get" | "list" | "compareAndSet">;
  readonly #logger: Logger;
  #stopped = false;

  constructor(bucket: Pick<Bucket, "get" | "list" | "compareAndSet">, logger: Logger) {
    this.#bucket = bucket;
    this.#logger = logger;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** All of them, in the order of their places. */
  async list(): Promise<StoredDefinition[]> {
    const entries = await this.#answered(() => this.#bucket.list<StoredDefinition>("definition.>"));
    return entries.map(({ value }) => value).sort((a, b) => a.since - b.since);
  }

  async get(name: string, version: string): Promise<StoredDefinition | undefined> {
    if (!TOKEN.test(name) || !TOKEN.test(version)) return undefined;
    return (await this.#entry(name, version))?.value;
  }

  /** Unless it is there with that place or a later one. */
  async put(definition: StoredDefinition): Promise<void> {
    const { spec, since } = definition;
    for (;;) {
      const entry = await this.#entry(spec.name, spec.version);
      if (entry !== undefined && entry.value.since >= since) return;
      const key = keyOf(spec.name, spec.version);
      const revision = await this.#answered(() => this.#bucket.compareAndSet(key, definition, entry?.revision ?? 0));
      if (revision !== undefined) return;
    }
  }

  async homes(): Promise<HomesState> {
    const entry = await this.#answered(() => this.#bucket.get<StoredHomes | Homes>(HOMES_KEY));
    if (entry === undefined) return { homes: {}, moving: [], epoch: 0, revision: 0 };
    const { value, revision } = entry;
    // Without a version: as it was written before there were many nodes.
    if (!isStoredHomes(value)) return { homes: value, moving: [], epoch: 0, revision };
    const { homes, moving = [], epoch } = value;
    return { homes, moving, epoch, revision };
  }

  /** From here on writes of an earlier office are refused. Throws DeposedError where a later one has claimed them. */
  async claimHomes(epoch: number): Promise<void> {
    await this.#replaceHomes(undefined, epoch);
  }

  /** Throws DeposedError where a later office has claimed them. */
  async putHomes(homes: Homes, epoch: number, moving: readonly string[] = []): Promise<HomesState> {
    return this.#replaceHomes(homes, epoch, moving);
  }

  async #replaceHomes(homes: Homes | undefined, epoch: number, moving: readonly string[] = []): Promise<HomesState> {
    for (;;) {
      const before = await this.homes();
      if (before.epoch > epoch) throw new DeposedError("another engine node coordinates");
      const value: StoredHomes = { v: 2, epoch, homes: homes ?? before.homes, ...(moving.length > 0 && { moving }) };
      const revision = await this.#answered(() => this.#bucket.compareAndSet(HOMES_KEY, value, before.revision));
      if (revision !== undefined) return { homes: value.homes, moving, epoch, revision };
    }
  }

  #entry(name: string, version: string): Promise<BucketEntry<StoredDefinition> | undefined> {
    return this.#answered(() => this.#bucket.get<StoredDefinition>(keyOf(name, version)));
  }

  async #answered<T>(ask: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (this.#stopped) throw error;
        this.#logger.warn({ err: error }, "the bucket of the cluster does not answer; it is asked again");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        if (this.#stopped) throw error;
      }
    }
  }
}

function keyOf(name: string, version: string): string {
  return `definition.${name}.${version}`;
}

function isStoredHomes(value: StoredHomes | Homes): value is StoredHomes {
  return (value as { readonly v?: unknown }).v === 2;
}
