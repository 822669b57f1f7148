/**
 * Reads the events stream in order: finds the workflows that each event starts, computes keys where the engine can, and hands
 * the runs to their partitions. It repeats itself after a crash; partitions ignore what they have. Definitions travel in the
 * same stream, so that an event always starts the runs of the versions that were in force at its place.
 */
import type { Logger } from "pino";
import { StreamReader, type ReadMessage } from "../nats/stream-reader.ts";
import type { Bucket } from "../nats/bucket.ts";
import type { Connection } from "../nats/connection.ts";
import type { Names } from "../nats/subjects.ts";
import { isEventName } from "../workflow/event-pattern.ts";
import { comparePositions, type Position } from "./facts.ts";
import type { Partition } from "./partition.ts";
import type { Placement } from "./placement.ts";
import { EVENT_HEADERS, type EventHeaders, readHeaders, routeEvent } from "./routing.ts";
import type { Workflows } from "./workflows.ts";

export interface RouterOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly bucket: Bucket;
  readonly workflows: Workflows;
  readonly placement: Placement;
  readonly partitions: readonly Partition[];
  readonly newRunId: (atMs: number) => string;
  /** A definition came by at `seq`: take it in before later events are looked at. */
  readonly onDefinition: (text: string, seq: number, timeMs: number) => Promise<void>;
  /** Keeps what cannot be used, with the reason. */
  readonly reject: (
    what: string,
    message: { readonly data: Uint8Array; readonly headers?: Readonly<Record<string, string>> },
    reason: string,
  ) => Promise<void>;
  readonly logger: Logger;
}

interface RouterPosition {
  readonly seq: number;
}

const POSITION_KEY = "position.router";
const SAVE_EVERY_MS = 1_000;
const MAX_NAMES = 1_000;

export class Router {
  readonly #options: RouterOptions;
  #reader: StreamReader | undefined = undefined;
  /** The last sequence that was read and handed over. */
  #readSeq = 0;
  #savedSeq = 0;
  /** What was handed to each partition last. */
  readonly #handed: (Position | undefined)[];
  #saver: NodeJS.Timeout | undefined = undefined;
  #saving: Promise<void> = Promise.resolve();
  /** Names of events by their subjects. */
  readonly #names = new Map<string, string>();
  readonly #passed: { readonly seq: number; readonly resolve: () => void }[] = [];

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#handed = options.partitions.map(() => undefined);
  }

  get readSeq(): number {
    return this.#readSeq;
  }

  /** Events that are stored and that nobody has looked at, at least so many; and how old the oldest of them is at most. */
  behind(nowMs: number): { readonly events: number; readonly seconds: number } {
    const events = this.#reader?.behind ?? 0;
    const storedMs = this.#reader?.lastStoredMs ?? nowMs;
    return { events, seconds: events === 0 ? 0 : Math.max(0, nowMs - storedMs) / 1_000 };
  }

  async start(): Promise<void> {
    const { connection, names, bucket, logger } = this.#options;
    const saved = await bucket.get<RouterPosition>(POSITION_KEY);
    this.#readSeq = this.#savedSeq = saved?.value.seq ?? 0;
    this.#reader = new StreamReader(connection, {
      stream: names.eventsStream,
      fromSeq: this.#readSeq + 1,
      onMessage: (message) => this.#read(message),
      logger,
      window: 2_000,
    });
    this.#reader.start();
  }

  /** Idempotent. The position is saved as far as it is durable. */
  async stop(): Promise<void> {
    await this.#reader?.stop();
    clearTimeout(this.#saver);
    this.#saver = undefined;
    await this.#saving;
    await this.#save();
  }

  /** Resolves once everything up to `seq` has been read. */
  passed(seq: number): Promise<void> {
    if (seq <= this.#readSeq) return Promise.resolve();
    return new Promise((resolve) => this.#passed.push({ seq, resolve }));
  }

  /** Everything up to here is durable in the partitions. */
  get durableSeq(): number {
    let seq = this.#readSeq;
    for (const [index, partition] of this.#options.partitions.entries()) {
      const handed = this.#handed[index];
      if (handed === undefined) continue;
      const committed = partition.committedPosition("events");
      if (committed !== undefined && comparePositions(committed, handed) >= 0) continue;
      // Of the event that was committed last, further runs may still be on their way.
      seq = Math.min(seq, Math.max(this.#savedSeq, (committed?.[0] ?? 0) - 1));
    }
    return seq;
  }

  #read(message: ReadMessage): Promise<void> | undefined {
    const { names } = this.#options;
    const prefix = `${names.prefix}.events.`;
    let waits: Promise<void> | undefined;
    if (message.subject.startsWith(prefix)) waits = this.#event(message, this.#nameOf(message.subject, prefix));
    else if (message.subject !== names.inputs)
      waits = this.#options.onDefinition(Buffer.from(message.data).toString(), message.seq, message.timeMs);
    if (waits !== undefined) return waits.then(() => this.#advance(message.seq));
    this.#advance(message.seq);
    return undefined;
  }

  #advance(seq: number): void {
    this.#readSeq = seq;
    this.#saver ??= setTimeout(() => {
      this.#saver = undefined;
      this.#saving = this.#save();
    }, SAVE_EVERY_MS);
    while (this.#passed.length > 0 && (this.#passed[0]?.seq ?? Infinity) <= seq) this.#passed.shift()?.resolve();
  }

  async #save(): Promise<void> {
    const seq = this.durableSeq;
    if (seq <= this.#savedSeq) return;
    try {
      await this.#options.bucket.put(POSITION_KEY, { seq } satisfies RouterPosition);
      this.#savedSeq = seq;
    } catch (error) {
      this.#options.logger.debug({ err: error }, "the router's position could not be saved; it is tried again");
    }
    if (this.#saver === undefined && seq < this.#readSeq && this.#reader !== undefined) this.#advance(this.#readSeq);
  }

  #event(message: ReadMessage, name: string): Promise<void> | undefined {
    const { workflows, placement, newRunId, names, partitions } = this.#options;
    const { seq, timeMs } = message;
    const text = Buffer.from(message.data).toString();
    let headers: EventHeaders;
    let payload: unknown;
    try {
      if (!isEventName(name)) throw new TypeError(`expected an event name of tokens joined by ".", got ${JSON.stringify(name)}`);
      payload = JSON.parse(text);
      headers = readHeaders((header) => message.header(header));
    } catch (error) {
      return this.#reject(
        message,
        name,
        error instanceof SyntaxError ? `expected JSON in UTF-8: ${error.message}` : (error as Error).message,
      );
    }
    let waits: Promise<void> | undefined;
    for (const { partition, position, creation } of routeEvent(
      { workflows, placement, newRunId, eventsStream: names.eventsStream },
      { name, seq, timeMs, text, payload, ...headers },
    )) {
      const target = partitions[partition];
      if (target === undefined) continue;
      this.#handed[partition] = position;
      target.enqueue({ type: "creation", source: "events", position, creation });
      waits ??= target.room();
    }
    return waits;
  }

  /** The same string for all events of a name: runs keep it, and a slice would keep the whole subject. */
  #nameOf(subject: string, prefix: string): string {
    let name = this.#names.get(subject);
    if (name === undefined) {
      if (this.#names.size >= MAX_NAMES) this.#names.clear();
      name = Buffer.from(subject.slice(prefix.length)).toString();
      this.#names.set(subject, name);
    }
    return name;
  }

  async #reject(message: ReadMessage, name: string, reason: string): Promise<void> {
    const headers: Record<string, string> = {};
    for (const header of EVENT_HEADERS) {
      const value = message.header(header);
      if (value !== undefined) headers[header] = value;
    }
    await this.#options.reject(`events.${name}`, { data: message.data, headers }, reason);
  }
}
