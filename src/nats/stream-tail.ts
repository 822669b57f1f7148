/**
 * The newest messages of a stream, or of some of its subjects, backwards in pages. The server reads only forwards: so a consumer is
 * asked how many messages there are from a sequence on, further and further back, until there are enough; then they are read. A page
 * costs a few round trips, however rare its subject and however long the stream.
 */
import { AckPolicy, DeliverPolicy, jetstream, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import type { Connection } from "./connection.ts";
import type { ReadMessage } from "./stream-reader.ts";

export interface TailOptions {
  readonly stream: string;
  /** A subject, which may have wildcards. */
  readonly subject: string;
  /** Only messages below this sequence, which is that of a message of the subject: where the page before ended. Default: all. */
  readonly beforeSeq?: number | undefined;
  readonly size: number;
}

export interface TailPage {
  /** The newest first. */
  readonly messages: readonly ReadMessage[];
  /** There are older ones. */
  readonly more: boolean;
}

/** The first look goes back so many messages per wanted one. */
const FIRST_SPAN = 2;
const FURTHER = 8;
/** More than so many times the wanted ones are not read: then a later start is looked for. */
const SPARE = 4;
const READ_TIMEOUT_MS = 5_000;
/** Servers may miscount by a few: so many more are looked for, and read at most. */
const MISCOUNTED_BY = 8;
const CONSUMER_LIFE_NANOS = 10_000 * 1_000_000;

export async function readTail(connection: Connection, options: TailOptions): Promise<TailPage> {
  const manager = await jetstreamManager(connection.nats, { checkAPI: false });
  const { state } = await manager.streams.info(options.stream);
  const end = options.beforeSeq ?? (await newestOf(connection, options)) + 1;
  if (state.messages === 0 || end <= state.first_seq) return { messages: [], more: false };
  const tail = new Tail(
    connection,
    manager,
    options,
    state.first_seq,
    options.beforeSeq === undefined ? end - 1 : undefined,
    end,
  );
  const wanted = options.size + 1;
  const from = await tail.startFor(wanted + MISCOUNTED_BY);
  const messages = (await tail.read(from)).slice(-wanted);
  const more = messages.length === wanted;
  return { messages: messages.slice(more ? 1 : 0).reverse(), more };
}

/** 0: there is none. */
async function newestOf(connection: Connection, { stream, subject }: TailOptions): Promise<number> {
  const answer = await connection.request(`$JS.API.STREAM.MSG.GET.${stream}`, JSON.stringify({ last_by_subj: subject }));
  return answer.json<{ message?: { seq: number } }>().message?.seq ?? 0;
}

interface Place {
  readonly seq: number;
  /** Messages from here to the end of the page's reach. */
  readonly count: number;
}

class Tail {
  readonly #connection: Connection;
  readonly #manager: JetStreamManager;
  readonly #options: TailOptions;
  readonly #first: number;
  /** The last message of the page's reach, where that is known: else the one at `#end` tells that it is over. */
  readonly #newest: number | undefined;
  readonly #end: number;

  /** Of the messages from `first` on, below `end`. */
  constructor(
    connection: Connection,
    manager: JetStreamManager,
    options: TailOptions,
    first: number,
    newest: number | undefined,
    end: number,
  ) {
    this.#connection = connection;
    this.#manager = manager;
    this.#options = options;
    this.#first = first;
    this.#newest = newest;
    this.#end = end;
  }

  /** A place with enough messages after it, and not too many where there are such. */
  async startFor(wanted: number): Promise<Place> {
    const beyond = this.#newest !== undefined ? 0 : await this.#pending(this.#end);
    const at = async (seq: number): Promise<Place> => ({ seq, count: Math.max(0, (await this.#pending(seq)) - beyond) });
    let few = this.#end;
    let start: Place;
    for (let span = Math.max(wanted * FIRST_SPAN, 64); ; span *= FURTHER) {
      start = await at(Math.max(this.#first, this.#end - span));
      if (start.count >= wanted || start.seq === this.#first) break;
      few = start.seq;
    }
    while (start.count > wanted * SPARE && few - start.seq > 1) {
      const middle = await at(Math.floor((start.seq + few) / 2));
      if (middle.count >= wanted) start = middle;
      else few = middle.seq;
    }
    return start;
  }

  async read({ seq, count }: Place): Promise<ReadMessage[]> {
    const found: ReadMessage[] = [];
    const name = await this.#consumer(seq);
    try {
      const consumer = await jetstream(this.#connection.nats).consumers.get(this.#options.stream, name);
      // Some servers miscount by a few: so more is asked for, and the end is known by a message that is there.
      const messages = await consumer.fetch({ max_messages: count + MISCOUNTED_BY, expires: READ_TIMEOUT_MS });
      for await (const message of messages) {
        if (message.seq >= this.#end) break;
        found.push({
          subject: message.subject,
          seq: message.seq,
          data: message.data,
          timeMs: message.info.timestampNanos / 1_000_000,
          header: (header) => (message.headers?.has(header) === true ? message.headers.get(header) : undefined),
        });
        if (message.seq === this.#newest) break;
      }
    } finally {
      this.#drop(name);
    }
    return found;
  }

  /** How many messages there are from a sequence on. */
  async #pending(seq: number): Promise<number> {
    let pending = 0;
    this.#drop(await this.#consumer(seq, (count) => (pending = count)));
    return pending;
  }

  async #consumer(seq: number, onPending?: (count: number) => void): Promise<string> {
    const info = await this.#manager.consumers.add(this.#options.stream, {
      filter_subject: this.#options.subject,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: Math.max(1, seq),
      ack_policy: AckPolicy.None,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: CONSUMER_LIFE_NANOS,
    });
    onPending?.(info.num_pending);
    return info.name;
  }

  /** Nobody waits for it: it would go by itself. */
  #drop(name: string): void {
    this.#manager.consumers.delete(this.#options.stream, name).catch(() => undefined);
  }
}
