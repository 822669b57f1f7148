/**
 * Reads the messages of a stream, or of one of its subjects, in order and without gaps from a sequence on: through
 * reconnects, restarts of the server and lost consumers. Positions are the reader's business alone; the server keeps none.
 */
import { type ConsumerMessages, DeliverPolicy, type JsMsg, jetstream } from "@nats-io/jetstream";
import type { Logger } from "pino";
import type { Connection } from "./connection.ts";
import { permissionDenied } from "./permission.ts";

export interface ReadMessage {
  readonly subject: string;
  readonly seq: number;
  readonly data: Uint8Array;
  /** When the server stored it, ms since the epoch. */
  readonly timeMs: number;
  header(name: string): string | undefined;
}

export interface StreamReaderOptions {
  readonly stream: string;
  /** Only this subject; absent: all of the stream. */
  readonly subject?: string;
  /** The first sequence wanted. */
  readonly fromSeq: number;
  /** Called in order. A promise holds the next message back; it may not reject. */
  readonly onMessage: (message: ReadMessage) => Promise<void> | undefined;
  readonly logger: Logger;
  /** How many messages may be on their way at a time, where they are small. Default 1,000. */
  readonly window?: number;
}

const RETRY_MS = 250;
/**
 * How long the making of a consumer may take, at first and at most. A cluster that has just lost a server places some there, without an
 * answer; asking again finds another.
 */
const MAKE_TIMEOUT_MS = { first: 1_500, most: 12_000 };
/**
 * How many bytes are to be on their way at a time, beyond FEWEST messages. A pull can be bounded by messages or by bytes, not by both;
 * by bytes, the library stalls for seconds wherever the next message is the one too many. So it is messages, as many as are expected to
 * fit: at first as if all were the largest, then by the mean of what comes. Servers cut off who has 64 MiB of them waiting.
 */
const WINDOW_BYTES = 8 * 1024 * 1024;
/** With fewer, the library asks for none at all at times. */
const FEWEST = 4;
/** What is asked for is asked for anew where it is so far from what fits: that costs a consumer. */
const TOO_MANY = 4;
const TOO_FEW = 1 / 4;
/** The mean follows the last messages, about so many. */
const MEAN_OF = 32;
/** After two that did not come, another consumer is made. */
const IDLE_HEARTBEAT_MS = 2_000;

export class StreamReader {
  readonly #connection: Connection;
  readonly #options: StreamReaderOptions;
  #next: number;
  #count = 0;
  /** Of the messages read last; before the first, the most that one can have. */
  #meanBytes: number;
  #last: JsMsg | undefined = undefined;
  #messages: ConsumerMessages | undefined = undefined;
  #running: Promise<void> | undefined = undefined;
  #stopped = false;
  #unlisten: (() => void) | undefined = undefined;
  #stop: () => void = () => undefined;
  readonly #whenStopped = new Promise<undefined>((resolve) => (this.#stop = () => resolve(undefined)));

  constructor(connection: Connection, options: StreamReaderOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#next = options.fromSeq;
    this.#meanBytes = connection.maxPayload;
  }

  /** The next sequence that it waits for. */
  get nextSeq(): number {
    return this.#next;
  }

  /** How many messages came after the one read last, as the server counted when it sent that; 0 where all was read. */
  get behind(): number {
    return this.#last?.info.pending ?? 0;
  }

  /** When the message read last was stored, in ms since the epoch; undefined before the first. */
  get lastStoredMs(): number | undefined {
    return this.#last && this.#last.info.timestampNanos / 1_000_000;
  }

  start(): void {
    if (this.#running !== undefined || this.#stopped) return;
    // A consumer of ours lives in the server's memory: after its restart, asking anew is quicker than finding out.
    this.#unlisten = this.#connection.on("reconnected", () => void this.#messages?.close());
    this.#running = this.#run();
  }

  /** Resolves when no message comes any more. Does not wait for the server. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unlisten?.();
    this.#stop();
    await this.#messages?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { stream, subject, logger } = this.#options;
    let timeout = MAKE_TIMEOUT_MS.first;
    while (!this.#stopped && !this.#connection.isClosed) {
      let failed = false;
      try {
        const making = jetstream(this.#connection.nats, { timeout }).consumers.get(stream, {
          ...(subject !== undefined && { filter_subjects: subject }),
          deliver_policy: DeliverPolicy.StartSequence,
          opt_start_seq: this.#next,
          inactive_threshold: 30_000,
        });
        const consumer = await Promise.race([making, this.#whenStopped]);
        if (consumer === undefined) return;
        timeout = MAKE_TIMEOUT_MS.first;
        let held: Promise<void> | undefined;
        let thrown: unknown;
        let wake: () => void = () => undefined;
        const interrupted = new Promise<void>((resolve) => (wake = resolve));
        const window = this.#fitting();
        let read = 0;
        let misfit = false;
        // A callback and not an iterator: a promise per message would cost more than the message.
        const messages = await consumer.consume({
          max_messages: window,
          expires: 30_000,
          idle_heartbeat: IDLE_HEARTBEAT_MS,
          callback: (message) => {
            if (misfit || held !== undefined || thrown !== undefined || this.#stopped || message.seq < this.#next) return;
            try {
              held = this.#handle(message);
            } catch (error) {
              thrown = error;
            }
            misfit = this.#misfits(window, ++read, message);
            if (misfit || held !== undefined || thrown !== undefined) wake();
          },
        });
        this.#messages = messages;
        void this.#watch(messages, wake);
        // Stopped while it was being asked for: nobody else could close it.
        if (this.#stopped) await messages.close();
        await Promise.race([messages.closed(), interrupted]);
        // The library goes on pulling whatever is done with its messages. So to hold back is to close, and to begin again there.
        await messages.close();
        if (held !== undefined) await held;
        if (thrown !== undefined) {
          // A fault of ours. Passing over the message would lose it, so it is tried again, and said each time.
          failed = true;
          logger.error(
            { err: thrown, stream, subject, seq: this.#next },
            "a message of a stream could not be dealt with; trying again",
          );
        }
      } catch (error) {
        if (this.#stopped) return;
        failed = true;
        timeout = Math.min(2 * timeout, MAKE_TIMEOUT_MS.most);
        const denied = permissionDenied(`reading ${subject ?? stream}`, error);
        if (denied === undefined) logger.debug({ err: error, stream, subject }, "reading a stream was interrupted; trying again");
        else logger.error({ err: denied, stream, subject }, "a stream cannot be read");
      } finally {
        this.#messages = undefined;
      }
      if (failed && !this.#stopped) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** How many messages may be on their way now. */
  #fitting(): number {
    const { window = 1_000 } = this.#options;
    return Math.max(FEWEST, Math.min(window, Math.floor(WINDOW_BYTES / Math.max(this.#meanBytes, 1))));
  }

  /** Whether too much is on its way, or too little for one that is behind. `read`: how many came of this window. */
  #misfits(window: number, read: number, message: JsMsg): boolean {
    this.#meanBytes += (message.data.length - this.#meanBytes) / Math.min(++this.#count, MEAN_OF);
    const fitting = this.#fitting();
    return window > fitting * TOO_MANY || (read >= window && window < fitting * TOO_FEW && message.info.pending > window);
  }

  /**
   * A consumer of ours lives on one server of a cluster. Where that one is lost, the library asks for it until it is back, and reads
   * nothing: a new one is made elsewhere instead.
   */
  async #watch(messages: ConsumerMessages, interrupt: () => void): Promise<void> {
    for await (const { type } of messages.status())
      if (type === "heartbeats_missed" || type === "consumer_not_found" || type === "consumer_deleted") interrupt();
  }

  #handle(message: JsMsg): Promise<void> | undefined {
    const { seq } = message;
    const waits = this.#options.onMessage({
      subject: message.subject,
      seq,
      data: message.data,
      get timeMs() {
        return message.info.timestampNanos / 1_000_000;
      },
      header: (name) => (message.headers?.has(name) === true ? message.headers.get(name) : undefined),
    });
    this.#next = seq + 1;
    this.#last = message;
    return waits;
  }
}
