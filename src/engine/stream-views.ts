/**
 * The operations on what stands in streams: the events that were published, what could not be used, and publishing an event for
 * those who cannot speak NATS.
 */
import { RequestError } from "../errors.ts";
import type { Connection } from "../nats/connection.ts";
import type { ReadMessage } from "../nats/stream-reader.ts";
import { readTail, type TailPage } from "../nats/stream-tail.ts";
import type { Names } from "../nats/subjects.ts";
import type { RejectedView } from "../protocol/record.ts";
import type { EventView, Operation, Operations, Page } from "../protocol/view.ts";
import { EVENT_NAME_EXPECTED, EVENT_PATTERN_EXPECTED, isEventName, isEventPattern } from "../workflow/event-pattern.ts";
import type { HistoryPort } from "./history-port.ts";
import { MAX_METADATA_CHARS } from "./routing.ts";
import { iso } from "./views.ts";

export interface StreamSources {
  readonly connection: Connection;
  readonly names: Names;
  readonly history: () => HistoryPort | undefined;
}

const DEFAULT_PAGE = 50;
/** Of what was rejected, so much is shown. */
const SHOWN_CHARS = 2_000;

export class StreamViews {
  readonly #sources: StreamSources;

  constructor(sources: StreamSources) {
    this.#sources = sources;
  }

  /** The newest first; by name, or by a pattern such as `user.*`. A page is shorter where its payloads are more than one message takes. */
  async events(
    { name = ">", size = DEFAULT_PAGE, cursor }: Operations["event.list"]["request"],
    maxBytes: number,
  ): Promise<Page<EventView>> {
    const { connection, names, history } = this.#sources;
    if (!isEventPattern(name)) throw badRequest("event.list", `'name': expected ${EVENT_PATTERN_EXPECTED}`);
    const prefix = names.event("");
    const beforeSeq = readCursor("event.list", cursor);
    const page = await readTail(connection, { stream: names.eventsStream, subject: names.event(name), beforeSeq, size });
    const shown = cutTo(
      page,
      maxBytes,
      (message) => message.data.length + (message.header("Sluice-Metadata") ?? "").length + 200,
    );
    // Without a history that answers, the events are listed all the same.
    const runs = await history()
      ?.runsOfEvents(shown.messages.map(({ seq }) => seq))
      .catch(() => undefined);
    const items = shown.messages.map((message) => ({
      ...toEvent(message, message.subject.slice(prefix.length), maxBytes),
      runs: runs?.get(message.seq) ?? [],
    }));
    return { items, ...nextOf(shown) };
  }

  async rejected({ size = DEFAULT_PAGE, cursor }: Operations["rejected.list"]["request"]): Promise<Page<RejectedView>> {
    const { connection, names } = this.#sources;
    const beforeSeq = readCursor("rejected.list", cursor);
    const prefix = names.rejected("");
    const page = await readTail(connection, { stream: names.rejectedStream, subject: names.rejected(">"), beforeSeq, size });
    const items = page.messages.map((message) => ({
      seq: message.seq,
      at: iso(Math.floor(message.timeMs)),
      what: message.subject.slice(prefix.length),
      reason: message.header("Sluice-Reason") ?? "",
      payload: Buffer.from(message.data.subarray(0, 4 * SHOWN_CHARS))
        .toString()
        .slice(0, SHOWN_CHARS),
      bytes: message.data.length,
    }));
    return { items, ...nextOf(page) };
  }

  /** Resolves once it is stored: each matching workflow will have exactly one run for it. */
  async publish({ id, name, payload, metadata, priority }: Operations["event.publish"]["request"]): Promise<{ seq: number }> {
    const { connection, names } = this.#sources;
    if (!isEventName(name)) throw badRequest("event.publish", `'name': expected ${EVENT_NAME_EXPECTED}`);
    const json = metadata === undefined ? undefined : asciiJson(metadata);
    if (json !== undefined && json.length > MAX_METADATA_CHARS)
      throw badRequest(
        "event.publish",
        `'metadata': expected at most ${MAX_METADATA_CHARS} characters of JSON, got ${json.length}`,
      );
    const headers = {
      ...(id !== undefined && { "Nats-Msg-Id": id }),
      ...(json !== undefined && { "Sluice-Metadata": json }),
      ...(priority !== undefined && { "Sluice-Priority": String(priority) }),
    };
    const { seq } = await connection.publishAcked(names.event(name), JSON.stringify(payload ?? null), { headers });
    return { seq };
  }
}

/** Header values are ASCII by custom; JSON can say everything else in it. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** At least one message, and of the others as many as fit. */
function cutTo(page: TailPage, maxBytes: number, bytesOf: (message: ReadMessage) => number): TailPage {
  let bytes = 0;
  const fitting = page.messages.findIndex((message) => (bytes += bytesOf(message)) > maxBytes);
  if (fitting === -1) return page;
  return { messages: page.messages.slice(0, Math.max(1, fitting)), more: page.more || page.messages.length > 1 };
}

function nextOf({ messages, more }: TailPage): { next?: string } {
  const last = messages.at(-1);
  return more && last !== undefined ? { next: last.seq.toString(36) } : {};
}

function toEvent(message: ReadMessage, name: string, maxBytes: number): Omit<EventView, "runs"> {
  const parse = (text: string): unknown => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return text;
    }
  };
  const header = message.header("Sluice-Metadata");
  const metadata = header === undefined ? undefined : parse(header);
  return {
    seq: message.seq,
    name,
    at: iso(Math.floor(message.timeMs)),
    payload: message.data.length > maxBytes ? null : parse(Buffer.from(message.data).toString()),
    ...(typeof metadata === "object" && metadata !== null && { metadata: metadata as Record<string, unknown> }),
  };
}

function readCursor(operation: Operation, cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  const seq = /^[0-9a-z]{1,10}$/.test(cursor) ? Number.parseInt(cursor, 36) : 0;
  if (seq < 1) throw badRequest(operation, "'cursor': expected the `next` of an earlier page");
  return seq;
}

function badRequest(operation: Operation, message: string): RequestError {
  return new RequestError(`${operation}: ${message}`, { operation, status: 400, reason: "BAD_REQUEST" });
}
