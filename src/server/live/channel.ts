/**
 * One topic while it is watched: collects what changes, sends it at most four times a second, and keeps what was sent for those
 * who come back after a cut. It knows nothing of what the topic is about (its feed does) nor of connections.
 */
import type { Clock } from "../../clock.ts";
import type { LiveEvent } from "../../protocol/live.ts";

/** Where the news of a topic comes from. */
export interface Feed {
  /**
   * `state`: each message holds all there is to know, so only the last one matters, and who comes gets it. `changes`: each
   * message tells what happened since the one before.
   */
  readonly kind: "state" | "changes";
  /** Begins to collect, and calls `changed` whenever `take` has something. Returns how to end it: nothing runs afterwards. */
  start(changed: () => void): () => void;
  /** What there is to send, which the feed forgets; undefined for nothing. */
  take(): { readonly event: LiveEvent; readonly data: unknown } | undefined;
}

export interface SentMessage {
  readonly n: number;
  /** The lines of the message without its id. */
  readonly body: Buffer;
}

/** Something that messages are sent to. */
export interface Sink {
  /** `n` becomes the id. */
  send(n: number, body: Buffer): void;
}

export interface ChannelOptions {
  readonly clock: Clock;
  readonly nextNumber: () => number;
}

/** Between two messages of a topic. */
export const MESSAGE_EVERY_MS = 250;
/** The first change of a while is sent after so long, with those that came with it. */
const SETTLE_MS = 20;
const KEPT_MESSAGES = 256;
const KEPT_BYTES = 2 * 1024 * 1024;

export class Channel {
  readonly sinks = new Set<Sink>();
  readonly #feed: Feed;
  readonly #options: ChannelOptions;
  readonly #end: () => void;
  #kept: SentMessage[] = [];
  #keptBytes = 0;
  /** Of the last message that is not kept any more. */
  #forgotten = 0;
  #cancelFlush: (() => void) | undefined = undefined;
  #sentAt = -Infinity;

  constructor(feed: Feed, options: ChannelOptions) {
    this.#feed = feed;
    this.#options = options;
    this.#end = feed.start(() => this.#changed());
  }

  get kind(): Feed["kind"] {
    return this.#feed.kind;
  }

  /** What was sent after `n`, or undefined where some of that is not kept. */
  after(n: number): readonly SentMessage[] | undefined {
    if (this.kind === "changes" && n < this.#forgotten) return undefined;
    return this.#kept.filter((message) => message.n > n);
  }

  /** For who comes anew: the state, where the topic has one. */
  get state(): SentMessage | undefined {
    return this.kind === "state" ? this.#kept.at(-1) : undefined;
  }

  stop(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    this.#end();
  }

  #changed(): void {
    if (this.#cancelFlush !== undefined) return;
    const { clock } = this.#options;
    const waitMs = Math.max(SETTLE_MS, this.#sentAt + MESSAGE_EVERY_MS - clock.now());
    this.#cancelFlush = clock.setTimer(() => this.#flush(), waitMs);
  }

  #flush(): void {
    this.#cancelFlush = undefined;
    const news = this.#feed.take();
    if (news === undefined) return;
    this.#sentAt = this.#options.clock.now();
    const message = { n: this.#options.nextNumber(), body: encode(news.event, news.data) };
    this.#keep(message);
    for (const sink of [...this.sinks]) sink.send(message.n, message.body);
  }

  #keep(message: SentMessage): void {
    this.#kept.push(message);
    this.#keptBytes += message.body.length;
    const most = this.kind === "state" ? 1 : KEPT_MESSAGES;
    while (this.#kept.length > most || (this.#keptBytes > KEPT_BYTES && this.#kept.length > 1)) {
      const dropped = this.#kept.shift();
      this.#keptBytes -= dropped?.body.length ?? 0;
      this.#forgotten = dropped?.n ?? this.#forgotten;
    }
  }
}

/** JSON has no line breaks of its own, so a message is one line of data. */
export function encode(event: LiveEvent, data: unknown): Buffer {
  return Buffer.from(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
