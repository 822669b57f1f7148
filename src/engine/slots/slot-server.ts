/**
 * The coordinator's side of the links to the other nodes: hands their wants to the broker and its offers to them. It keeps for each node
 * what that wants, and notices what is missing from its messages; who is no member is not listened to.
 */
import { isSlotMessage, type SlotAnswer, type SlotOp, type SlotWant } from "../../protocol/slots.ts";
import type { SlotBroker } from "./slot-broker.ts";
import { DEFAULT_MAX_CHARS, type SlotTransport } from "./slot-client.ts";

interface Link {
  readonly node: string;
  /** 0: it has not begun any. */
  session: number;
  /** Something of this session is missing: it has to begin the next. */
  broken: boolean;
  /** It has named all that it wants. Before that nothing is offered to it that it may not want any more. */
  complete: boolean;
  got: number;
  sent: number;
  /** What was sent and is not confirmed, oldest first. */
  readonly unconfirmed: { readonly n: number; readonly sentMs: number; readonly workers: readonly string[] }[];
  /** A timer looks after these. */
  watched: boolean;
  readonly wants: Map<number, SlotWant>;
  /** Wants of the session before that this one has not named yet. */
  stale: Map<number, SlotWant>;
  offers: (readonly [want: number, worker: string])[];
  chars: number;
}

/**
 * A node that does not confirm an offer for so long loses it, and is offered nothing more until it says anew what it has: one that is
 * stopped would collect slots until it is no member any more. It confirms by its keep-alive at the latest.
 */
const CONFIRM_WITHIN_MS = 1_500;

export class SlotServer {
  readonly #transport: SlotTransport;
  readonly #broker: SlotBroker;
  readonly #links = new Map<string, Link>();
  readonly #due = new Set<Link>();

  constructor(transport: SlotTransport, broker: SlotBroker) {
    this.#transport = transport;
    this.#broker = broker;
  }

  /** The members but this node. */
  setNodes(nodes: ReadonlySet<string>): void {
    for (const [id, link] of this.#links) {
      if (nodes.has(id)) continue;
      this.#links.delete(id);
      this.#due.delete(link);
      for (const wants of [link.wants, link.stale]) for (const want of wants.values()) this.#broker.withdraw(want);
      this.#broker.forget(id);
    }
    for (const node of nodes) {
      if (this.#links.has(node)) continue;
      this.#broker.expect(node);
      this.#links.set(node, {
        node,
        session: 0,
        broken: false,
        complete: false,
        got: 0,
        sent: 0,
        unconfirmed: [],
        watched: false,
        wants: new Map(),
        stale: new Map(),
        offers: [],
        chars: 0,
      });
      // It may have called before this node knew that it coordinates.
      this.#send(node, { s: 0, again: true });
    }
  }

  /** This node does not coordinate any more. */
  stop(): void {
    this.#links.clear();
    this.#due.clear();
  }

  canOffer(node: string): boolean {
    const link = this.#links.get(node);
    return link !== undefined && link.complete && !link.broken;
  }

  offer({ node, id }: SlotWant, worker: string): void {
    const link = this.#links.get(node);
    if (link === undefined) return;
    link.wants.delete(id);
    link.offers.push([id, worker]);
    link.chars += worker.length + 24;
    if (link.chars > (this.#transport.maxChars ?? DEFAULT_MAX_CHARS)) this.#flush(link);
    if (this.#due.size === 0)
      this.#transport.defer(() => {
        for (const due of this.#due) this.#flush(due);
        this.#due.clear();
      });
    this.#due.add(link);
  }

  receive(from: string, message: unknown): void {
    const link = this.#links.get(from);
    if (link === undefined || !isSlotMessage(message) || message.s < link.session) return;
    if (message.s > link.session && !("ops" in message && message.n === 1 && message.ops[0]?.[0] === "held")) {
      // The beginning of that session is missing.
      this.#send(from, { s: message.s, again: true });
      return;
    }
    if ("ask" in message) {
      const want = link.wants.get(message.want);
      if (want !== undefined) this.#send(from, { s: message.s, ask: message.ask, standing: this.#broker.standing(want) });
      return;
    }
    if (message.s > link.session) this.#begin(link, message.s);
    while ((link.unconfirmed[0]?.n ?? Infinity) <= message.got) link.unconfirmed.shift();
    if (link.broken || message.n > link.got + ("ops" in message ? 1 : 0)) {
      link.broken = true;
      this.#send(from, { s: link.session, again: true });
      return;
    }
    if ("ops" in message) {
      if (message.n <= link.got) return;
      link.got = message.n;
      for (const op of message.ops) this.#apply(link, op);
      if (message.n > 1) return;
    }
    // It has to know that it was heard, and how far offers have gone.
    this.#send(from, { s: link.session, n: link.sent });
  }

  #begin(link: Link, session: number): void {
    link.session = session;
    link.broken = false;
    link.complete = false;
    link.got = 0;
    link.sent = 0;
    link.unconfirmed.length = 0;
    link.offers = [];
    link.chars = 0;
    for (const [id, want] of link.wants) link.stale.set(id, want);
    link.wants.clear();
  }

  #apply(link: Link, op: SlotOp): void {
    const { node, wants, stale } = link;
    switch (op[0]) {
      case "held":
        this.#broker.know(node, new Map(Object.entries(op[1])));
        return;
      case "want":
        this.#want(link, op);
        return;
      case "all":
        for (const want of stale.values()) this.#broker.withdraw(want);
        stale.clear();
        link.complete = true;
        this.#broker.wake();
        return;
      case "unwant": {
        const want = wants.get(op[1]);
        wants.delete(op[1]);
        if (want !== undefined) this.#broker.withdraw(want);
        return;
      }
      case "hold":
        this.#broker.hold(node, op[1]);
        return;
      case "free":
        this.#broker.free(node, op[1], op[2]);
        return;
      case "abandon":
        this.#broker.abandon(node, op[1], op[2]);
        return;
      case "full":
        this.#broker.full(op[1]);
    }
  }

  #want({ node, wants, stale }: Link, op: Extract<SlotOp, readonly ["want", ...unknown[]]>): void {
    const [, id, partition, handler, version, priority, order, runOrder, flow] = op;
    const known = stale.get(id);
    if (known !== undefined) {
      // It has waited since the session before, and keeps its place.
      stale.delete(id);
      wants.set(id, known);
      return;
    }
    const want: SlotWant = { node, id, partition, handler, version, priority, order, runOrder, flow };
    const worker = this.#broker.take(node, handler, version, flow);
    if (worker !== undefined) return this.offer(want, worker);
    wants.set(id, want);
    this.#broker.wait(want);
  }

  #flush(link: Link): void {
    const { node, session, offers } = link;
    if (offers.length === 0) return;
    link.offers = [];
    link.chars = 0;
    this.#send(node, { s: session, n: ++link.sent, offers });
    const { unconfirmed } = link;
    unconfirmed.push({ n: link.sent, sentMs: this.#transport.now(), workers: offers.map(([, worker]) => worker) });
    if (!link.watched) this.#watch(link, CONFIRM_WITHIN_MS);
  }

  #watch(link: Link, delayMs: number): void {
    const { setTimer, now } = this.#transport;
    link.watched = true;
    setTimer(() => {
      link.watched = false;
      const [oldest] = link.unconfirmed;
      if (oldest === undefined || this.#links.get(link.node) !== link) return;
      const leftMs = oldest.sentMs + CONFIRM_WITHIN_MS - now();
      if (leftMs > 0) this.#watch(link, leftMs);
      else this.#lapse(link);
    }, delayMs);
  }

  #lapse(link: Link): void {
    link.broken = true;
    const workers = [...link.unconfirmed.flatMap((message) => message.workers), ...link.offers.map(([, worker]) => worker)];
    link.unconfirmed.length = 0;
    link.offers = [];
    for (const worker of workers) this.#broker.free(link.node, worker, "unused");
    this.#broker.pump();
  }

  #send(node: string, answer: SlotAnswer): void {
    this.#transport.send(node, JSON.stringify(answer));
  }
}
