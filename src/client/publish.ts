/**
 * Publishing events: one message each into the events stream, acknowledged. Every event has a message id, given or made here,
 * so that one whose acknowledgement was lost can be sent again without becoming two.
 */
import { setTimeout as delay } from "node:timers/promises";
import { nuid } from "../nats/ids.ts";
import { isNotConnectedError, isTimeoutError, OptionsError, PayloadTooLargeError, RequestError } from "../errors.ts";
import { isJetStreamRefusedError, type PublishAck } from "../nats/ack-publisher.ts";
import { isNoResponderError } from "../nats/no-responder.ts";
import type { Connection } from "../nats/connection.ts";
import type { Names } from "../nats/subjects.ts";
import { EVENT_NAME_EXPECTED, isEventName } from "../workflow/event-pattern.ts";
import { show } from "../workflow/parse-options.ts";

export interface PublishOptions {
  /** Deduplication: of several events with the same id within the stream's window (2 minutes as a rule), the first counts. Default: a new one. */
  readonly id?: string | undefined;
  /** Copied to the runs that the event starts; what JSON can hold. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  /** Of the runs that it starts: higher goes first within a key. Default 0. */
  readonly priority?: number | undefined;
  /** The header `Sluice-Scope`. */
  readonly scope?: string | undefined;
  /** W3C trace context, passed on to the runs. */
  readonly traceparent?: string | undefined;
  /** Further headers of the message. Names: printable ASCII without a colon; values: one line. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export interface PublishResult {
  /** Sequence in the stream of events. */
  readonly seq: number;
  /** True: an event with the same id had been stored before, and this one was not. */
  readonly duplicate: boolean;
}

export interface EventInput extends PublishOptions {
  readonly event: string;
  /** What JSON can hold. */
  readonly payload: unknown;
}

/** Some events of a `publishMany` were not stored, or it is not known whether they were. */
export class PublishManyError extends RequestError {
  /** Which, by their position, and why. */
  readonly failures: readonly { readonly index: number; readonly event: string; readonly error: unknown }[];

  constructor(failures: PublishManyError["failures"], published: number) {
    const [first] = failures;
    const why = first?.error instanceof Error ? first.error.message : String(first?.error);
    super(
      `${failures.length} of ${failures.length + published} events were not stored; the first is number ${(first?.index ?? 0) + 1} ("${first?.event ?? ""}"): ${why}`,
      {
        operation: "publishMany",
        status: first?.error instanceof RequestError ? first.error.status : 503,
        reason: "PUBLISH_INCOMPLETE",
      },
      { cause: first?.error },
    );
    this.failures = failures;
  }
}

interface Prepared {
  readonly index: number;
  readonly event: string;
  readonly subject: string;
  readonly data: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** In flight at once in `publishMany`: enough to keep a server busy, little enough for its buffers. */
const WINDOW_MESSAGES = 2_048;
const WINDOW_BYTES = 8_388_608;
/** What headers and subject may add to a payload, roughly. */
const HEADERS_MARGIN_BYTES = 256;
const FIRST_WAIT_MS = 50;
const MAX_WAIT_MS = 1_000;

export class EventPublisher {
  readonly #connection: Connection;
  readonly #names: Names;
  readonly #timeoutMs: number;
  readonly #idPrefix = nuid();
  #next = 0;

  constructor(connection: Connection, names: Names, timeoutMs: number) {
    this.#connection = connection;
    this.#names = names;
    this.#timeoutMs = timeoutMs;
  }

  /** One event; repeated until it is acknowledged or the time is over. */
  async publish(event: string, payload: unknown, options: PublishOptions): Promise<PublishResult> {
    const prepared = this.#prepare(0, event, payload, options, "publish");
    const deadline = performance.now() + this.#timeoutMs;
    let waitMs = FIRST_WAIT_MS;
    for (;;) {
      try {
        return resultOf(await this.#send(prepared, deadline));
      } catch (error) {
        if (!this.#isPassing(error) || performance.now() + waitMs >= deadline) throw this.#translate(error);
      }
      await delay(waitMs);
      waitMs = Math.min(waitMs * 2, MAX_WAIT_MS);
    }
  }

  /**
   * All events, in order, many in flight. Where the server goes away in the middle, what is not acknowledged is sent again,
   * before anything newer. Everything that can be stored is stored, whatever happens to others.
   */
  async publishMany(
    events: Iterable<EventInput> | AsyncIterable<EventInput>,
    onProgress?: (published: number) => void,
  ): Promise<PublishResult[]> {
    const results: PublishResult[] = [];
    const failures: { index: number; event: string; error: unknown }[] = [];
    const again: Prepared[] = [];
    let inFlight = 0;
    let bytesInFlight = 0;
    let published = 0;
    let index = 0;
    let giveUpAt = Infinity;
    let waitMs = FIRST_WAIT_MS;
    let lastError: unknown;
    let wake: (() => void) | undefined;

    const send = (one: Prepared): void => {
      inFlight++;
      bytesInFlight += one.data.length;
      const done = (): void => {
        inFlight--;
        bytesInFlight -= one.data.length;
        wake?.();
      };
      this.#send(one, Infinity).then(
        (ack) => {
          results[one.index] = resultOf(ack);
          published++;
          giveUpAt = Infinity;
          waitMs = FIRST_WAIT_MS;
          done();
          onProgress?.(published);
        },
        (error: unknown) => {
          if (this.#isPassing(error)) {
            again.push(one);
            lastError = error;
          } else failures.push({ index: one.index, event: one.event, error: this.#translate(error) });
          done();
        },
      );
    };
    const change = (): Promise<void> => new Promise((resolve) => (wake = resolve));

    /** Until everything sent is acknowledged or given up. */
    const settle = async (): Promise<void> => {
      while (inFlight > 0 || again.length > 0) {
        if (inFlight > 0) {
          await change();
          continue;
        }
        const now = performance.now();
        if (giveUpAt === Infinity) giveUpAt = now + this.#timeoutMs;
        const batch = again.splice(0).sort((a, b) => a.index - b.index);
        if (now >= giveUpAt) {
          for (const one of batch) failures.push({ index: one.index, event: one.event, error: this.#translate(lastError) });
          return;
        }
        await delay(waitMs);
        waitMs = Math.min(waitMs * 2, MAX_WAIT_MS);
        for (const one of batch) send(one);
      }
    };
    /** Until there is room for another one. */
    const room = async (): Promise<void> => {
      if (again.length > 0) await settle();
      while (inFlight >= WINDOW_MESSAGES || bytesInFlight >= WINDOW_BYTES) {
        await change();
        if (again.length > 0) await settle();
      }
    };
    const add = (one: EventInput): void => {
      const position = index++;
      try {
        send(this.#prepare(position, one.event, one.payload, one, "publishMany"));
      } catch (error) {
        failures.push({ index: position, event: one.event, error });
      }
    };

    // Without waiting between events that are there already: an await for each costs more than sending it.
    if (Symbol.asyncIterator in events) {
      for await (const one of events) {
        add(one);
        await room();
      }
    } else {
      for (const one of events) {
        add(one);
        if (inFlight >= WINDOW_MESSAGES || bytesInFlight >= WINDOW_BYTES || again.length > 0) await room();
      }
    }
    await settle();
    if (failures.length > 0)
      throw new PublishManyError(
        failures.sort((a, b) => a.index - b.index),
        published,
      );
    return results;
  }

  #prepare(index: number, event: string, payload: unknown, options: PublishOptions, operation: string): Prepared {
    if (!isEventName(event)) {
      throw new OptionsError(`expected 'event' to be ${EVENT_NAME_EXPECTED}, got ${show(event)} (${operation})`, {
        path: "event",
        expected: EVENT_NAME_EXPECTED,
        received: event,
      });
    }
    const data = Buffer.from(toJson(payload, "payload", operation));
    const maxBytes = this.#connection.maxPayload - HEADERS_MARGIN_BYTES;
    if (data.length > maxBytes) throw new PayloadTooLargeError(`the payload of event "${event}"`, data.length, maxBytes);
    return { index, event, subject: this.#names.event(event), data, headers: this.#headers(options, operation) };
  }

  #headers(options: PublishOptions, operation: string): Readonly<Record<string, string>> {
    const id = options.id ?? `${this.#idPrefix}.${(this.#next++).toString(36)}`;
    const headers: Record<string, string> = { ...options.headers, "Nats-Msg-Id": id };
    if (options.metadata !== undefined) headers["Sluice-Metadata"] = toJson(options.metadata, "metadata", operation);
    if (options.priority !== undefined) {
      if (!Number.isFinite(options.priority)) {
        const expected = "a number";
        throw new OptionsError(`expected 'priority' to be ${expected}, got ${show(options.priority)} (${operation})`, {
          path: "priority",
          expected,
          received: options.priority,
        });
      }
      headers["Sluice-Priority"] = String(options.priority);
    }
    if (options.scope !== undefined) headers["Sluice-Scope"] = options.scope;
    if (options.traceparent !== undefined) headers["traceparent"] = options.traceparent;
    for (const name in headers) {
      const value = headers[name];
      if (/^[!-9;-~]+$/.test(name) && typeof value === "string" && !/[\r\n]/.test(value)) continue;
      const expected = "a header of one line, its name printable ASCII without a colon";
      throw new OptionsError(`expected 'headers' to have ${expected}, got ${show(name)}: ${show(value)} (${operation})`, {
        path: "headers",
        expected,
        received: value,
      });
    }
    return headers;
  }

  #send(one: Prepared, deadline: number): Promise<PublishAck> {
    const timeoutMs = Math.max(1, Math.min(this.#timeoutMs, deadline - performance.now(), 5_000));
    return this.#connection.publishAcked(one.subject, one.data, { headers: one.headers, timeoutMs });
  }

  /** Whether it may well succeed a little later. */
  #isPassing(error: unknown): boolean {
    if (this.#connection.isClosed) return false;
    return (
      isNoResponderError(error) ||
      isTimeoutError(error) ||
      isNotConnectedError(error) ||
      (isJetStreamRefusedError(error) && error.status === 503)
    );
  }

  #translate(error: unknown): unknown {
    if (isJetStreamRefusedError(error)) {
      return new RequestError(
        error.message,
        { operation: "publish", status: error.status, reason: `JETSTREAM_${error.apiCode}` },
        { cause: error },
      );
    }
    if (isNoResponderError(error)) {
      const message = `publish: no stream takes the event on NATS at ${this.#connection.servers.join(", ")}: an engine creates it when it starts ("sluice engine" or "sluice dev")`;
      return new RequestError(message, { operation: "publish", status: 503, reason: "NO_STREAM" }, { cause: error });
    }
    return error;
  }
}

function resultOf({ seq, duplicate }: PublishAck): PublishResult {
  return { seq, duplicate };
}

function toJson(value: unknown, path: string, operation: string): string {
  const expected = "what JSON can hold";
  let problem: string;
  try {
    const json = JSON.stringify(value) as string | undefined;
    if (json !== undefined) return json;
    problem = show(value);
  } catch (error) {
    problem = (error as Error).message.split("\n", 1)[0] ?? "";
  }
  throw new OptionsError(`expected '${path}' to be ${expected}, got ${problem} (${operation})`, {
    path,
    expected,
    received: value,
  });
}
