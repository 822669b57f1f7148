/**
 * `/api/stream`: server-sent events on the socket itself, so that what waits for a slow reader can be counted. One that does
 * not keep up is cut off, and asks for what it missed when it comes back.
 */
import type { ServerResponse } from "node:http";
import type { LiveHub, Stream } from "./live/hub.ts";
import type { ParsedTopic } from "./live/topics.ts";

export interface EventStreamOptions {
  readonly hub: LiveHub;
  readonly topics: readonly ParsedTopic[];
  /** The id that the reader got last. */
  readonly last: string | undefined;
  readonly response: ServerResponse;
  readonly headers: Readonly<Record<string, string>>;
  readonly maxBufferedBytes: number;
}

/** How soon a browser comes back after a cut. */
const RETRY_MS = 500;
const HEARTBEAT = ": \n\n";

/** Answers with the stream. It ends when its reader goes, or by the returned function. */
export function openEventStream(options: EventStreamOptions): () => void {
  const { hub, topics, last, response, headers, maxBufferedBytes } = options;
  let unwatch: (() => void) | undefined;
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    unwatch?.();
    response.end();
  };
  const write = (...parts: readonly (string | Buffer)[]): void => {
    if (over) return;
    for (const part of parts) response.write(part);
    if (response.writableLength <= maxBufferedBytes) return;
    over = true;
    unwatch?.();
    // What waits is dropped with the connection, at once.
    response.destroy();
  };
  const stream: Stream = {
    send: (id, body) => write(id, body),
    heartbeat: () => write(HEARTBEAT),
  };
  response.once("close", end);
  response.once("error", end);
  response.writeHead(200, {
    ...headers,
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    // For proxies that would collect it first.
    "x-accel-buffering": "no",
  });
  // Small messages are sent when they are written.
  response.socket?.setNoDelay(true);
  write(`retry: ${RETRY_MS}\n\n`);
  const unwatchNow = hub.watch(topics, last, stream);
  if (over) unwatchNow();
  else unwatch = unwatchNow;
  return end;
}
