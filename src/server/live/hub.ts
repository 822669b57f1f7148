/**
 * Everything that is watched, by anyone: a channel per topic, shared by all streams that have it. A channel outlives its last
 * watcher by a little, so that a stream that was cut goes on where it was; then its feed ends, and nothing runs.
 *
 * Ids are `<start>-<n>`: `start` is that of this process, `n` counts the messages of all topics. A stream that comes back with
 * the id of the last message it got is sent what came after, or `reset` where that is not known any more.
 */
import { type Clock, systemClock } from "../../clock.ts";
import { Channel, encode, type Feed, type Sink } from "./channel.ts";
import type { ParsedTopic } from "./topics.ts";

/** One stream of events. */
export interface Stream {
  /** `id` is a whole line; `body` is shared with other streams. */
  send(id: string, body: Buffer): void;
  heartbeat(): void;
}

export interface HubOptions {
  readonly node: string;
  readonly startedAt: number;
  readonly feedOf: (topic: ParsedTopic) => Feed;
  readonly clock?: Clock;
  /** How long a topic goes on without watchers. Default 15 s. */
  readonly lingerMs?: number;
}

export const HEARTBEAT_EVERY_MS = 15_000;
const LINGER_MS = 15_000;
const REMEMBERED_TOPICS = 1_000;

interface Open {
  readonly channel: Channel;
  cancelEnd: (() => void) | undefined;
}

export class LiveHub {
  readonly #options: HubOptions;
  readonly #clock: Clock;
  readonly #start: string;
  readonly #open = new Map<string, Open>();
  /** The number at which a topic was last ended: who has not got beyond it may have missed something. */
  readonly #endedAt = new Map<string, number>();
  /** The same for topics that are not remembered. */
  #endedBefore = -1;
  readonly #streams = new Set<Stream>();
  #cancelHeartbeat: (() => void) | undefined = undefined;
  #n = 0;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#start = options.startedAt.toString(36);
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** Topics whose feeds run. */
  get topics(): readonly string[] {
    return [...this.#open.keys()];
  }

  /** Sends the stream what is new in these topics, until the returned function is called. `last`: the id it got last. */
  watch(topics: readonly ParsedTopic[], last: string | undefined, stream: Stream): () => void {
    const sink: Sink = { send: (n, body) => stream.send(this.#idLine(n), body) };
    const since = last === undefined ? undefined : this.#numberOf(last);
    const channels = topics.map((topic) => this.#channelOf(topic));
    const missed = last === undefined ? undefined : this.#after(topics, channels, since);
    const hello = { node: this.#options.node, startedAt: new Date(this.#options.startedAt).toISOString() };
    // A stream that is cut before it got what it missed asks for it again.
    sink.send(missed === undefined ? this.#n : (since ?? this.#n), encode("hello", hello));
    if (missed !== undefined) for (const { n, body } of missed) sink.send(n, body);
    else {
      if (last !== undefined) sink.send(this.#n, encode("reset", {}));
      for (const { state } of channels) if (state !== undefined) sink.send(this.#n, state.body);
    }
    for (const channel of channels) channel.sinks.add(sink);
    this.#streams.add(stream);
    this.#cancelHeartbeat ??= this.#heartbeatSoon();
    return () => {
      if (!this.#streams.delete(stream)) return;
      if (this.#streams.size === 0) {
        this.#cancelHeartbeat?.();
        this.#cancelHeartbeat = undefined;
      }
      for (const channel of channels) channel.sinks.delete(sink);
      for (const { topic } of topics) this.#endSoon(topic);
    };
  }

  /** Ends all feeds at once. */
  stop(): void {
    this.#cancelHeartbeat?.();
    this.#cancelHeartbeat = undefined;
    for (const { channel, cancelEnd } of this.#open.values()) {
      cancelEnd?.();
      channel.stop();
    }
    this.#open.clear();
    this.#streams.clear();
  }

  #channelOf(topic: ParsedTopic): Channel {
    let open = this.#open.get(topic.topic);
    if (open === undefined) {
      const channel = new Channel(this.#options.feedOf(topic), { clock: this.#clock, nextNumber: () => ++this.#n });
      open = { channel, cancelEnd: undefined };
      this.#open.set(topic.topic, open);
    }
    open.cancelEnd?.();
    open.cancelEnd = undefined;
    return open.channel;
  }

  /** All messages after `since`, in order; undefined where some are lost. */
  #after(
    topics: readonly ParsedTopic[],
    channels: readonly Channel[],
    since: number | undefined,
  ): readonly { readonly n: number; readonly body: Buffer }[] | undefined {
    if (since === undefined) return undefined;
    const found: { readonly n: number; readonly body: Buffer }[] = [];
    for (const [i, channel] of channels.entries()) {
      const endedAt = this.#endedAt.get(topics[i]?.topic ?? "") ?? this.#endedBefore;
      const messages = channel.after(since);
      if (messages === undefined || (channel.kind === "changes" && since <= endedAt)) return undefined;
      // A state is sent again even so: the stream may not have had the topic before.
      const { state } = channel;
      if (state !== undefined) found.push({ n: Math.max(state.n, since), body: state.body });
      else found.push(...messages);
    }
    return found.sort((a, b) => a.n - b.n);
  }

  #endSoon(topic: string): void {
    const open = this.#open.get(topic);
    if (open === undefined || open.channel.sinks.size > 0 || open.cancelEnd !== undefined) return;
    open.cancelEnd = this.#clock.setTimer(() => {
      open.channel.stop();
      this.#open.delete(topic);
      this.#endedAt.delete(topic);
      this.#endedAt.set(topic, this.#n);
      if (this.#endedAt.size <= REMEMBERED_TOPICS) return;
      for (const [oldest, n] of this.#endedAt) {
        this.#endedAt.delete(oldest);
        this.#endedBefore = n;
        return;
      }
    }, this.#options.lingerMs ?? LINGER_MS);
  }

  #heartbeatSoon(): () => void {
    return this.#clock.setTimer(() => {
      this.#cancelHeartbeat = this.#heartbeatSoon();
      for (const stream of [...this.#streams]) stream.heartbeat();
    }, HEARTBEAT_EVERY_MS);
  }

  #idLine(n: number): string {
    return `id: ${this.#start}-${n}\n`;
  }

  /** Undefined for the ids of another start. */
  #numberOf(id: string): number | undefined {
    const [, start, n] = /^([0-9a-z]+)-(\d{1,15})$/.exec(id) ?? [];
    return start !== this.#start || n === undefined || Number(n) > this.#n ? undefined : Number(n);
  }
}
