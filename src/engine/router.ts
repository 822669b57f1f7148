/**
 * Reads the events stream in order, on the node that coordinates: finds the workflows that each event starts, computes keys where the
 * engine can, and hands the runs to their partitions. It begins where the one before it is known to have got, so it may repeat what that
 * one did; partitions ignore what they have. Definitions travel in the same stream, so that an event always starts the runs of the
 * versions that were in force at its place.
 *
 * One that is no longer in office (its node was paused) may go on for a while. It does no harm: what it makes of an event is what any
 * other makes of it, and its position, which is only ever written by compare-and-set and with the epoch of its office, is refused.
 */
import type { Logger } from "pino";
import { StreamReader, type ReadMessage } from "../nats/stream-reader.ts";
import type { Bucket } from "../nats/bucket.ts";
import type { Connection } from "../nats/connection.ts";
import type { Names } from "../nats/subjects.ts";
import { isEventName } from "../workflow/event-pattern.ts";
import type { Placement } from "./placement.ts";
import { EVENT_HEADERS, type EventHeaders, readHeaders, routeEvent } from "./routing.ts";
import type { Transfers, TransferSource } from "./transfers.ts";
import type { Workflows } from "./workflows.ts";

export interface RouterOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly bucket: Pick<Bucket, "get" | "compareAndSet">;
  /** Grows with every router of the cluster. */
  readonly epoch: number;
  readonly workflows: Workflows;
  readonly placement: Placement;
  readonly transfers: Transfers;
  readonly newRunId: (atMs: number) => string;
  /** Called before anything is read: what was in force when the one before ended has to be known. */
  readonly prepare: (epoch: number) => Promise<void>;
  /** A definition came by: take it in before later events are looked at. */
  readonly onDefinition: (definition: DefinitionMessage) => Promise<void>;
  /** Another router is in office: this one has ended itself. */
  readonly onDeposed: () => void;
  /** Keeps what cannot be used, with the reason. */
  readonly reject: (
    what: string,
    message: { readonly data: Uint8Array; readonly headers?: Readonly<Record<string, string>> },
    reason: string,
  ) => Promise<void>;
  readonly logger: Logger;
}

export interface DefinitionMessage {
  readonly text: string;
  /** In the events stream. */
  readonly seq: number;
  /** When it was stored, in ms since the epoch. */
  readonly timeMs: number;
  /** Of the router's office. */
  readonly epoch: number;
  /**
   * Resolves once no router will ever look again at what lies before the definition: all of it is durable, and so is the position behind
   * it. For definitions that would change what becomes of earlier events.
   */
  readonly settled: () => Promise<void>;
}

interface RouterPosition {
  readonly seq: number;
  /** Absent where a node wrote it that had the cluster alone. */
  readonly epoch?: number;
}

/** Another router is in office. */
export class DeposedError extends Error {
  override readonly name = "DeposedError";
}

const POSITION_KEY = "position.router";
const SAVE_EVERY_MS = 1_000;
const SETTLE_LOOK_MS = 10;
const RETRY_MS = 200;
const MAX_NAMES = 1_000;

export class Router {
  readonly #options: RouterOptions;
  #reader: StreamReader | undefined = undefined;
  /** The last sequence that was read and handed over. */
  #readSeq = 0;
  #savedSeq = 0;
  #revision = 0;
  #source: TransferSource | undefined = undefined;
  /** `over`: nothing more is done; `stopping`: nothing more is read. */
  #mode: "running" | "stopping" | "over" = "running";
  #saver: NodeJS.Timeout | undefined = undefined;
  #saving: Promise<void> = Promise.resolve();
  /** Names of events by their subjects. */
  readonly #names = new Map<string, string>();
  readonly #passed: { readonly seq: number; readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];

  constructor(options: RouterOptions) {
    this.#options = options;
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

  /** Takes the office: from here on no earlier router can save its position. Throws DeposedError where a later one has it. */
  async start(): Promise<void> {
    const { connection, names, epoch, transfers, prepare, logger } = this.#options;
    await this.#claim();
    await prepare(epoch);
    if (this.#mode !== "running") return;
    this.#source = transfers.open("events");
    this.#reader = new StreamReader(connection, {
      stream: names.eventsStream,
      fromSeq: this.#readSeq + 1,
      onMessage: (message) => this.#read(message),
      logger,
      window: 2_000,
    });
    this.#reader.start();
  }

  /** Reads no more, and saves its position as far as that is durable by then: who follows repeats the rest. Idempotent. */
  async stop(): Promise<void> {
    this.#end("stopping");
    await this.#saving;
    await this.#save();
    this.abandon();
    await this.#reader?.stop();
  }

  /** Ends at once, without a word: another router is in office, or may be. */
  abandon(): void {
    this.#end("over");
    this.#source?.end();
    void this.#reader?.stop();
  }

  /** Resolves once everything up to `seq` has been read, and definitions up to there are in force. Rejects when the router ends before. */
  passed(seq: number): Promise<void> {
    if (seq <= this.#readSeq) return Promise.resolve();
    if (this.#mode !== "running") return Promise.reject(new DeposedError("this router has ended"));
    return new Promise((resolve, reject) => this.#passed.push({ seq, resolve, reject }));
  }

  /** Everything up to here can no longer get lost: partitions have it in their journals, or it stands in their inboxes. */
  get durableSeq(): number {
    const pending = this.#source?.pending;
    // Of the event that is pending, other runs may have arrived.
    return pending === undefined ? this.#readSeq : Math.max(this.#savedSeq, Math.min(this.#readSeq, pending[0] - 1));
  }

  #end(how: "stopping" | "over"): void {
    if (this.#mode !== "over") this.#mode = how;
    clearTimeout(this.#saver);
    this.#saver = undefined;
    for (const waiter of this.#passed.splice(0)) waiter.reject(new DeposedError("the router has ended"));
  }

  /** Makes the position its own. */
  async #claim(): Promise<void> {
    const { bucket, epoch } = this.#options;
    for (;;) {
      const saved = await bucket.get<RouterPosition>(POSITION_KEY);
      if ((saved?.value.epoch ?? 0) > epoch) throw new DeposedError("another router reads the events");
      const seq = saved?.value.seq ?? 0;
      const revision = await bucket.compareAndSet(POSITION_KEY, { seq, epoch } satisfies RouterPosition, saved?.revision ?? 0);
      if (revision === undefined) continue;
      this.#revision = revision;
      this.#readSeq = this.#savedSeq = seq;
      return;
    }
  }

  #read(message: ReadMessage): Promise<void> | undefined {
    const { names } = this.#options;
    const prefix = `${names.prefix}.events.`;
    let waits: Promise<void> | undefined;
    if (message.subject.startsWith(prefix)) waits = this.#event(message, this.#nameOf(message.subject, prefix));
    else if (message.subject !== names.inputs) waits = this.#define(message);
    if (waits !== undefined) return waits.then(() => this.#advance(message.seq));
    this.#advance(message.seq);
    return undefined;
  }

  async #define(message: ReadMessage): Promise<void> {
    const { onDefinition, epoch, logger } = this.#options;
    const { seq, timeMs } = message;
    const definition = { text: Buffer.from(message.data).toString(), seq, timeMs, epoch, settled: () => this.#settled() };
    while (this.#mode === "running")
      try {
        await onDefinition(definition);
        return;
      } catch (error) {
        if (error instanceof DeposedError) this.#deposed();
        else {
          logger.warn({ err: error, seq }, "a definition could not be taken in; it is tried again");
          await pause(RETRY_MS);
        }
      }
  }

  #advance(seq: number): void {
    if (this.#mode !== "running") return;
    this.#readSeq = seq;
    this.#armSaver();
    while (this.#passed.length > 0 && (this.#passed[0]?.seq ?? Infinity) <= seq) this.#passed.shift()?.resolve();
  }

  #armSaver(): void {
    if (this.#mode !== "running") return;
    this.#saver ??= setTimeout(() => {
      this.#saver = undefined;
      this.#saving = this.#saving.then(() => this.#save());
    }, SAVE_EVERY_MS);
  }

  async #save(): Promise<void> {
    const { bucket, epoch, logger } = this.#options;
    if (this.#source === undefined) return;
    const seq = this.durableSeq;
    if (seq < this.#readSeq) this.#armSaver();
    if (seq <= this.#savedSeq || this.#mode === "over") return;
    try {
      const value: RouterPosition = { seq, epoch };
      let revision = await bucket.compareAndSet(POSITION_KEY, value, this.#revision);
      if (revision === undefined) {
        // By a router that came after, or by this one, whose word of it was lost.
        const saved = await bucket.get<RouterPosition>(POSITION_KEY);
        if ((saved?.value.epoch ?? 0) > epoch) return this.#deposed();
        revision = await bucket.compareAndSet(POSITION_KEY, value, saved?.revision ?? 0);
      }
      if (revision === undefined) return this.#armSaver();
      this.#revision = revision;
      this.#savedSeq = seq;
    } catch (error) {
      logger.debug({ err: error }, "the router's position could not be saved; it is tried again");
      this.#armSaver();
    }
  }

  async #settled(): Promise<void> {
    while (this.#mode === "running") {
      this.#saving = this.#saving.then(() => this.#save());
      await this.#saving;
      if (this.#savedSeq >= this.#readSeq) return;
      await pause(SETTLE_LOOK_MS);
    }
    throw new DeposedError("the router has ended");
  }

  #deposed(): void {
    if (this.#mode === "over") return;
    this.#options.logger.warn({ epoch: this.#options.epoch }, "another engine node reads the events; this one no longer does");
    this.abandon();
    this.#options.onDeposed();
  }

  #event(message: ReadMessage, name: string): Promise<void> | undefined {
    const { workflows, placement, newRunId, names } = this.#options;
    const source = this.#source;
    if (this.#mode !== "running" || source === undefined) return undefined;
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
      source.send(partition, position, creation);
      waits ??= source.room(partition);
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

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
