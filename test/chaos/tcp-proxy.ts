/**
 * One TCP connection pair that can be disturbed: it listens on a port of its own and passes what arrives to a target. It knows
 * nothing of what it carries.
 */
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/**
 * What the link does. `open`: passes everything. `slow`: each piece comes `latencyMs` later, in order, and no more than
 * `bytesPerSecond` pass in each direction. `blackhole`: connections stay, and new ones are accepted, but nothing passes; what is
 * sent meanwhile arrives after the healing, as it does when packets were lost and are sent again. `cut`: connections are reset, and
 * new ones too.
 */
export type LinkState =
  | { readonly mode: "open" }
  | { readonly mode: "slow"; readonly latencyMs: number; readonly bytesPerSecond: number }
  | { readonly mode: "blackhole" }
  | { readonly mode: "cut" };

const OPEN: LinkState = { mode: "open" };

export class TcpProxy {
  readonly name: string;
  readonly #target: number;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #state: LinkState = OPEN;

  private constructor(name: string, target: number) {
    this.name = name;
    this.#target = target;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** Listens on a free port of 127.0.0.1. `name` says between whom it is; `target` is a port of 127.0.0.1. */
  static async listen(name: string, target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(name, target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get state(): LinkState {
    return this.#state;
  }

  set(state: LinkState): void {
    this.#state = state;
    for (const pair of [...this.#pairs]) {
      if (state.mode === "cut") pair.reset();
      else pair.changed();
    }
  }

  heal(): void {
    this.set(OPEN);
  }

  /** Ends it and all its connections. Idempotent. */
  async close(): Promise<void> {
    for (const pair of [...this.#pairs]) pair.reset();
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(client: Socket): void {
    if (this.#state.mode === "cut") {
      client.on("error", () => undefined);
      client.resetAndDestroy();
      return;
    }
    const pair = new Pair(client, createConnection({ host: "127.0.0.1", port: this.#target }), () => this.#state);
    this.#pairs.add(pair);
    pair.ended = () => this.#pairs.delete(pair);
  }
}

/** One accepted connection and its counterpart at the target. */
class Pair {
  ended: () => void = () => undefined;
  readonly #sockets: readonly [Socket, Socket];
  /** Wakes what waits for another state of the link. */
  #wake: (() => void)[] = [];

  constructor(client: Socket, target: Socket, state: () => LinkState) {
    this.#sockets = [client, target];
    for (const socket of this.#sockets) {
      socket.setNoDelay(true);
      socket.on("error", () => this.reset());
      socket.on("close", () => this.#closed());
    }
    void this.#pass(client, target, state);
    void this.#pass(target, client, state);
  }

  changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  reset(): void {
    for (const socket of this.#sockets) if (!socket.destroyed) socket.resetAndDestroy();
    this.changed();
    this.ended();
  }

  /** One side is gone; what is on its way to the other still arrives there. */
  #closed(): void {
    for (const socket of this.#sockets) if (!socket.destroyed && !socket.writableEnded) socket.end();
    this.changed();
    if (this.#sockets.every(({ destroyed }) => destroyed)) this.ended();
  }

  async #pass(from: Socket, to: Socket, state: () => LinkState): Promise<void> {
    let deliverAt = 0;
    try {
      for await (const piece of from as AsyncIterable<Buffer>) {
        const arrived = performance.now();
        for (let now = state(); now.mode !== "open" && !to.destroyed; now = state()) {
          if (now.mode === "slow") {
            deliverAt = Math.max(deliverAt, arrived + now.latencyMs) + (piece.length / now.bytesPerSecond) * 1_000;
            const wait = deliverAt - performance.now();
            if (wait > 0) await Promise.race([delay(wait, undefined, { ref: false }), this.#change()]);
            if (state().mode === "slow") break;
          } else await this.#change();
        }
        if (to.destroyed) return;
        if (!to.write(piece)) await new Promise<void>((resolve) => (to.once("drain", resolve), to.once("close", resolve)));
      }
      to.end();
    } catch {
      this.reset();
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }
}
