/**
 * Where this node gets slots from: of a broker of its own by direct calls while it coordinates, else over the link to the node that
 * does; from nobody while there is none. With each change the new one is told all that this node has and wants.
 */
import type { Freed, SlotStanding } from "../../protocol/slots.ts";
import type { LocalWant } from "./partition-slots.ts";
import { SlotBroker } from "./slot-broker.ts";
import { SlotClient, type SlotTransport } from "./slot-client.ts";
import { SlotServer } from "./slot-server.ts";
import type { WorkerEntry, WorkerRegistry } from "./worker-registry.ts";

export interface SlotSupplyOptions {
  readonly self: () => string;
  readonly registry: WorkerRegistry;
  readonly transport: SlotTransport | undefined;
  /** By worker, how many slots this node's attempts have or it was promised. */
  readonly held: () => ReadonlyMap<string, number>;
  /** All that wait, in the order in which they came. */
  readonly wants: () => readonly LocalWant[];
  /** A slot of the worker is this want's. */
  readonly offered: (want: LocalWant, worker: string) => void;
}

type Role =
  | { readonly kind: "none" }
  | {
      readonly kind: "coordinator";
      /** This node's id when it began. */
      readonly own: string;
      readonly broker: SlotBroker;
      readonly server: SlotServer | undefined;
    }
  | { readonly kind: "member"; readonly client: SlotClient<LocalWant> };

export class SlotSupply {
  readonly #options: SlotSupplyOptions;
  #role: Role = { kind: "none" };
  #coordinator: string | undefined = undefined;
  #nodes: ReadonlySet<string> = new Set();
  #lastSession = 0;

  constructor(options: SlotSupplyOptions) {
    this.#options = options;
  }

  // ---------------------------------------------------------------- the cluster

  get coordinator(): string | undefined {
    return this.#coordinator;
  }

  setNodes(ids: Iterable<string>): void {
    this.#nodes = new Set(ids);
    if (this.#role.kind !== "coordinator") return;
    this.#role.server?.setNodes(this.#others());
    this.pump();
  }

  setCoordinator(id: string | undefined): void {
    if (id === this.#coordinator) return;
    this.#coordinator = id;
    if (this.#role.kind === "member") {
      this.#lastSession = this.#role.client.session;
      this.#role.client.stop();
    } else if (this.#role.kind === "coordinator") this.#role.server?.stop();
    this.#role = { kind: "none" };
    if (id === undefined) return;
    if (id === this.#options.self()) this.#coordinate();
    else this.#join(id);
  }

  receive(from: string, message: unknown): void {
    if (this.#role.kind === "member" && from === this.#coordinator) this.#role.client.receive(message);
    else if (this.#role.kind === "coordinator") {
      this.#role.server?.receive(from, message);
      this.pump();
    }
  }

  /** Messages may have been lost. */
  reopen(): void {
    if (this.#role.kind === "member") this.#role.client.reopen();
  }

  #coordinate(): void {
    const { self, registry, transport, held, wants, offered } = this.#options;
    const own = self();
    let server: SlotServer | undefined = undefined;
    const broker: SlotBroker = new SlotBroker({
      registry,
      canOffer: (node) => node === own || server?.canOffer(node) === true,
      offer: (want, worker) => (want.node === own ? offered(want as LocalWant, worker) : server?.offer(want, worker)),
    });
    if (transport !== undefined) server = new SlotServer(transport, broker);
    this.#role = { kind: "coordinator", own, broker, server };
    broker.know(own, held());
    server?.setNodes(this.#others());
    for (const want of wants()) broker.wait(want);
    this.pump();
  }

  #join(coordinator: string): void {
    const { transport, held, wants, offered } = this.#options;
    if (transport === undefined) throw new TypeError("a node that is to get slots from another one needs a transport");
    const firstSession = this.#lastSession + 1;
    this.#role = {
      kind: "member",
      client: new SlotClient<LocalWant>({ transport, coordinator, firstSession, held, wants, offered }),
    };
  }

  #others(): ReadonlySet<string> {
    const others = new Set(this.#nodes);
    others.delete(this.#options.self());
    return others;
  }

  // ---------------------------------------------------------------- slots

  /** A slot at once, where this node gives them out and nothing that waits could have it. */
  take(handler: string, version: string, flow: string): string | undefined {
    return this.#role.kind === "coordinator" ? this.#role.broker.take(this.#role.own, handler, version, flow) : undefined;
  }

  /** After `take` gave nothing. */
  wait(want: LocalWant): void {
    if (this.#role.kind === "coordinator") this.#role.broker.wait(want);
    else if (this.#role.kind === "member") this.#role.client.wait(want);
  }

  withdraw(want: LocalWant): void {
    if (this.#role.kind === "coordinator") this.#role.broker.withdraw(want);
    else if (this.#role.kind === "member") this.#role.client.withdraw(want);
  }

  /** An attempt that was handed over by an earlier owner has a slot. */
  hold(worker: string): void {
    if (this.#role.kind === "coordinator") this.#role.broker.hold(this.#role.own, worker);
    else if (this.#role.kind === "member") this.#role.client.hold(worker);
  }

  free(worker: string, how: Freed): void {
    if (this.#role.kind === "coordinator") this.#role.broker.free(this.#role.own, worker, how);
    else if (this.#role.kind === "member") this.#role.client.free(worker, how);
  }

  /** The worker goes on with so many attempts, but this node does not follow them any more. */
  abandon(worker: string, count: number): void {
    if (this.#role.kind === "coordinator") this.#role.broker.abandon(this.#role.own, worker, count);
    else if (this.#role.kind === "member") this.#role.client.abandon(worker, count);
  }

  /** It refused: nothing more before its next word. */
  full(worker: string): void {
    if (this.#role.kind === "coordinator") this.#role.broker.full(worker);
    else if (this.#role.kind === "member") this.#role.client.full(worker);
  }

  /** Gives out what is free, where this node does that. */
  pump(): void {
    if (this.#role.kind === "coordinator") this.#role.broker.pump();
  }

  // ---------------------------------------------------------------- workers

  /** A worker has said how it is; the registry knows it. */
  reported(worker: WorkerEntry): void {
    if (this.#role.kind === "coordinator") this.#role.broker.reported(worker);
  }

  workersChanged(): void {
    if (this.#role.kind === "coordinator") this.#role.broker.workersChanged();
  }

  /** How many of a worker's slots all nodes together have; undefined where this node does not know. */
  taken(worker: string): number | undefined {
    return this.#role.kind === "coordinator" && this.#role.broker.settled ? this.#role.broker.taken(worker) : undefined;
  }

  // ---------------------------------------------------------------- views

  /** Undefined where another node knows it. */
  standing(want: LocalWant): SlotStanding | undefined {
    return this.#role.kind === "coordinator" ? this.#role.broker.standing(want) : undefined;
  }

  /** Undefined where nobody answers. */
  async askStanding(want: LocalWant): Promise<SlotStanding | undefined> {
    return this.#role.kind === "member" ? await this.#role.client.standing(want) : this.standing(want);
  }
}
