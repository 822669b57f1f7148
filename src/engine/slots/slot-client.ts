/**
 * A node's side of the link to the coordinator, who gives out the slots: what it wants and frees goes there in batches, one per turn of
 * the event loop, numbered; offers come back. Where anything was missed, by either side, it begins a new session with all that it has
 * and wants, so nothing is ever out of step for longer than a keep-alive and a round trip.
 */
import type { Clock } from "../../clock.ts";
import {
  type Freed,
  isSlotAnswer,
  type SlotMessage,
  type SlotOp,
  type SlotStanding,
  type SlotWant,
} from "../../protocol/slots.ts";

/** How nodes reach each other. Messages may be lost, late, doubled and out of order. */
export interface SlotTransport {
  send(node: string, text: string): void;
  readonly setTimer: Clock["setTimer"];
  /** Calls once, at the end of the turn of the event loop. */
  readonly defer: (call: () => void) => void;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** Characters after which a message is closed. Texts may take three bytes for each. Default 128 Ki. */
  readonly maxChars?: number | undefined;
}

export interface SlotClientOptions<W extends SlotWant> {
  readonly transport: SlotTransport;
  readonly coordinator: string;
  /** Larger than that of any client of this node before. */
  readonly firstSession: number;
  /** The slots that this node's attempts have or that it was promised, by worker. */
  readonly held: () => ReadonlyMap<string, number>;
  /** All that wait, in the order in which they came. */
  readonly wants: () => Iterable<W>;
  readonly offered: (want: W, worker: string) => void;
}

export const DEFAULT_MAX_CHARS = 128 * 1024;
/** After that, where anything was said, both sides tell how far they are … */
const KEEP_ALIVE_MS = 500;
/** … and every so many of them where nothing was. */
const IDLE_KEEP_ALIVES = 4;
/** No more than two sessions begin within this, however bad the connection is. */
const BETWEEN_SESSIONS_MS = 250;
const STANDING_TIMEOUT_MS = 1_000;

export class SlotClient<W extends SlotWant> {
  readonly #options: SlotClientOptions<W>;
  readonly #wants = new Map<number, W>();
  #session: number;
  /** When this session was opened, and the one before. */
  #openedMs: readonly [now: number, before: number] = [-Infinity, -Infinity];
  /** Numbers of the last message sent and received in this session. */
  #sent = 0;
  #got = 0;
  #ops: SlotOp[] = [];
  #chars = 0;
  #deferred = false;
  /** Something went to and fro since the last keep-alive. */
  #traffic = false;
  #quietTicks = 0;
  /** The coordinator knows of this session. */
  #confirmed = false;
  #reopening = false;
  #stopped = false;
  #cancelTick: () => void = () => undefined;
  #cancelReopen: () => void = () => undefined;
  #asks = 0;
  readonly #asked = new Map<number, (standing: SlotStanding | undefined) => void>();

  constructor(options: SlotClientOptions<W>) {
    this.#options = options;
    this.#session = options.firstSession - 1;
    this.#open();
    this.#tickLater();
  }

  get session(): number {
    return this.#session;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTick();
    this.#cancelReopen();
    for (const answer of this.#asked.values()) answer(undefined);
  }

  wait(want: W): void {
    this.#wants.set(want.id, want);
    this.#want(want);
  }

  withdraw(want: W): void {
    if (this.#wants.delete(want.id)) this.#op(["unwant", want.id]);
  }

  hold(worker: string): void {
    this.#op(["hold", worker]);
  }

  free(worker: string, how: Freed): void {
    this.#op(["free", worker, how]);
  }

  abandon(worker: string, count: number): void {
    this.#op(["abandon", worker, count]);
  }

  full(worker: string): void {
    this.#op(["full", worker]);
  }

  /** Its place in the fair order; undefined where the coordinator does not answer in time. */
  standing(want: W): Promise<SlotStanding | undefined> {
    const ask = ++this.#asks;
    return new Promise((resolve) => {
      const { setTimer } = this.#options.transport;
      const answer = (standing: SlotStanding | undefined): void => {
        cancel();
        this.#asked.delete(ask);
        resolve(standing);
      };
      const cancel = setTimer(() => answer(undefined), STANDING_TIMEOUT_MS);
      this.#asked.set(ask, answer);
      // After what is still to be sent, which may be this want.
      this.#flush();
      this.#send({ s: this.#session, ask, want: want.id });
    });
  }

  /** Messages may have been lost: everything is said anew. */
  reopen(): void {
    if (this.#reopening || this.#stopped) return;
    this.#reopening = true;
    const { now, setTimer } = this.#options.transport;
    const open = (): void => {
      this.#reopening = false;
      if (!this.#stopped) this.#open();
    };
    // Whatever comes until then, of either side, is covered by the next session.
    this.#cancelReopen = setTimer(open, Math.max(0, this.#openedMs[1] + BETWEEN_SESSIONS_MS - now()));
  }

  receive(message: unknown): void {
    if (!isSlotAnswer(message) || this.#stopped) return;
    if ("again" in message) {
      if (message.s === this.#session) this.reopen();
      // It gives out slots only now, or has heard of this session before it could say so: it is going to tell.
      else if (message.s === 0 && !this.#confirmed) this.#keepAlive();
      return;
    }
    if (message.s !== this.#session) return;
    if ("ask" in message) {
      this.#asked.get(message.ask)?.(message.standing);
      return;
    }
    if (this.#reopening) return;
    this.#confirmed = true;
    const { n } = message;
    if ("offers" in message && n === this.#got + 1) {
      this.#got = n;
      this.#traffic = true;
      for (const [id, worker] of message.offers) this.#offered(id, worker);
    } else if (n > this.#got) this.reopen();
  }

  #offered(id: number, worker: string): void {
    const want = this.#wants.get(id);
    this.#wants.delete(id);
    // It was withdrawn while the offer was on its way.
    if (want === undefined) this.free(worker, "unused");
    else this.#options.offered(want, worker);
  }

  #open(): void {
    const { held, wants, transport } = this.#options;
    this.#session++;
    this.#openedMs = [transport.now(), this.#openedMs[0]];
    this.#sent = 0;
    this.#got = 0;
    this.#confirmed = false;
    this.#ops = [];
    this.#chars = 0;
    this.#wants.clear();
    this.#op(["held", Object.fromEntries(held())]);
    for (const want of wants()) this.wait(want);
    this.#op(["all"]);
  }

  #want({ id, partition, handler, version, priority, order, runOrder, flow }: W): void {
    this.#op(["want", id, partition, handler, version, priority, order, runOrder, flow]);
  }

  #op(op: SlotOp): void {
    const { transport } = this.#options;
    this.#ops.push(op);
    this.#chars += charsOf(op);
    if (this.#chars > (transport.maxChars ?? DEFAULT_MAX_CHARS)) this.#flush();
    if (this.#deferred) return;
    this.#deferred = true;
    transport.defer(() => {
      this.#deferred = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#ops.length === 0 || this.#stopped) return;
    const ops = this.#ops;
    this.#ops = [];
    this.#chars = 0;
    this.#traffic = true;
    this.#send({ s: this.#session, n: ++this.#sent, got: this.#got, ops });
  }

  #keepAlive(): void {
    this.#send({ s: this.#session, n: this.#sent, got: this.#got });
  }

  #send(message: SlotMessage): void {
    const { transport, coordinator } = this.#options;
    transport.send(coordinator, JSON.stringify(message));
  }

  #tickLater(): void {
    this.#cancelTick = this.#options.transport.setTimer(() => {
      if (this.#stopped) return;
      if (this.#traffic || !this.#confirmed || ++this.#quietTicks >= IDLE_KEEP_ALIVES) {
        this.#traffic = false;
        this.#quietTicks = 0;
        this.#keepAlive();
      }
      this.#tickLater();
    }, KEEP_ALIVE_MS);
  }
}

function charsOf(op: SlotOp): number {
  let chars = 16;
  for (const part of op)
    chars += typeof part === "string" ? part.length + 4 : typeof part === "object" ? 48 * Object.keys(part).length : 12;
  return chars;
}
