/**
 * Publishing many small texts that nobody acknowledges: their protocol lines are collected and given to the client as one
 * piece. The client's own `publish` encodes, checks and copies subject, line and payload of every message apart, which took a
 * tenth of a busy engine's time. It uses one inner function of the client (pinned; its test compares what arrives), and does
 * without where that is not there.
 */
import type { NatsConnection } from "@nats-io/nats-core";

interface InnerClient {
  readonly protocol?: { readonly sendCommand?: (command: Uint8Array) => void };
}

/** What has been collected goes at the latest when it has so many characters. */
const MAX_CHARS = 32 * 1024;

export class TextPublisher {
  readonly #nats: NatsConnection;
  readonly #protocol: InnerClient["protocol"];
  #pending = "";

  constructor(nats: NatsConnection) {
    this.#nats = nats;
    this.#protocol = (nats as unknown as InnerClient).protocol;
  }

  /** `subject` must be a valid one: it is not checked. Sent by `flush`. */
  add(subject: string, text: string): void {
    if (this.#protocol?.sendCommand === undefined) {
      this.#nats.publish(subject, text);
      return;
    }
    this.#pending += `PUB ${subject} ${Buffer.byteLength(text)}\r\n${text}\r\n`;
    if (this.#pending.length > MAX_CHARS) this.flush();
  }

  flush(): void {
    if (this.#pending === "") return;
    const text = this.#pending;
    this.#pending = "";
    // A closed client takes nothing; whoever asked for these messages was promised nothing.
    if (!this.#nats.isClosed()) this.#protocol?.sendCommand?.(Buffer.from(text));
  }
}
