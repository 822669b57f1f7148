/**
 * What changes, as it changes: all topics that the page watches, in one stream of server-sent events. It is closed while the
 * tab is hidden and goes on where it was afterwards; after a cut it comes back by itself. Who watches must be ready for
 * `reset`: something was missed (or the server is another one), so ask for everything again.
 */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { LiveEvent, LiveMessages, LiveTopic } from "../protocol/live.ts";
import { refreshToken } from "./api.ts";

export type LiveHandler = (...message: { [K in LiveEvent]: [event: K, data: LiveMessages[K]] }[LiveEvent]) => void;

/** `gone`: it has not answered for some seconds. `paused`: the tab is hidden. */
export type Connection = "live" | "reconnecting" | "paused" | "gone";
export const connection = signal<Connection>("reconnecting");

const EVENTS: readonly LiveEvent[] = [
  "hello",
  "reset",
  "runs",
  "run",
  "groups",
  "group",
  "workflows",
  "workers",
  "events",
  "health",
  "inspect",
];
/** Pages change their topics in one go; one new stream is enough for that. */
const SETTLE_MS = 30;
const RETRY_MS = { first: 300, factor: 1.6, max: 4_000 };
const GONE_AFTER_MS = 3_000;
/** The server takes no more. */
const MAX_TOPICS = 50;

const watchers = new Map<LiveTopic, Set<LiveHandler>>();
let source: EventSource | undefined;
/** The topics of `source`, as they are in its address. */
let asked = "";
let lastId = "";
let startedAt: string | undefined;
let cutSince: number | undefined;
let failures = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Has the handler told of everything that concerns the topic, and of `hello` and `reset`. Returns how to end it. */
export function watch(topic: LiveTopic, handler: LiveHandler): () => void {
  const handlers = watchers.get(topic) ?? new Set();
  handlers.add(handler);
  watchers.set(topic, handlers);
  schedule(SETTLE_MS);
  return () => {
    handlers.delete(handler);
    if (handlers.size === 0 && watchers.get(topic) === handlers) watchers.delete(topic);
    schedule(SETTLE_MS);
  };
}

/** `watch` for the life of a component; the handler may be a new function at each render. */
export function useLive(topic: LiveTopic | undefined, handler: LiveHandler): void {
  const latest = useRef(handler);
  latest.current = handler;
  useEffect(() => {
    if (topic === undefined) return undefined;
    return watch(topic, (...message) => latest.current(...message));
  }, [topic]);
}

function schedule(ms: number): void {
  clearTimeout(timer);
  timer = setTimeout(connect, ms);
}

function connect(): void {
  if (document.hidden) return pause();
  const topics = [...watchers.keys()].filter(isUsable).sort().slice(0, MAX_TOPICS).map(encodeURIComponent).join(",");
  if (topics === "") return close();
  if (source !== undefined && topics === asked && source.readyState !== EventSource.CLOSED) return;
  close();
  asked = topics;
  // EventSource cannot set the header at its first request, so the id is in the address, too.
  source = new EventSource(
    `/api/stream?topics=${encodeURIComponent(topics)}${lastId === "" ? "" : `&last=${encodeURIComponent(lastId)}`}`,
  );
  for (const event of EVENTS) source.addEventListener(event, (message) => receive(event, message));
  source.addEventListener("error", onError);
}

/** One topic that the server cannot take, from an address that somebody mistyped, must not cost the others. */
function isUsable(topic: LiveTopic): boolean {
  return topic.startsWith("run:")
    ? /^run:[A-Za-z0-9_-]{1,256}$/.test(topic)
    : !topic.startsWith("group:") || /^group:[^/]+\/./s.test(topic);
}

function close(): void {
  source?.close();
  source = undefined;
  asked = "";
}

function pause(): void {
  close();
  clearTimeout(timer);
  connection.value = "paused";
}

/** Not left to EventSource's own retries: they are slow, and end for good where the server answers with an error. */
function onError(): void {
  close();
  cutSince ??= Date.now();
  connection.value = Date.now() - cutSince >= GONE_AFTER_MS ? "gone" : "reconnecting";
  schedule(Math.min(RETRY_MS.max, RETRY_MS.first * RETRY_MS.factor ** failures++));
}

function receive(event: LiveEvent, message: MessageEvent<string>): void {
  if (message.lastEventId !== "") lastId = message.lastEventId;
  const data = JSON.parse(message.data) as never;
  if (event === "hello") onHello(data);
  for (const [topic, handlers] of watchers)
    if (concerns(event, data, topic)) for (const handler of [...handlers]) handler(event, data);
}

function onHello(hello: LiveMessages["hello"]): void {
  failures = 0;
  cutSince = undefined;
  connection.value = "live";
  const another = startedAt !== undefined && startedAt !== hello.startedAt;
  startedAt = hello.startedAt;
  if (!another) return;
  // Another server, or the same one started anew: it has another token and knows nothing of our ids.
  void refreshToken();
  for (const handlers of watchers.values()) for (const handler of [...handlers]) handler("reset", {});
}

function concerns(event: LiveEvent, data: unknown, topic: LiveTopic): boolean {
  switch (event) {
    case "hello":
    case "reset":
      return true;
    case "run":
      return topic === `run:${(data as LiveMessages["run"]).id}`;
    case "group":
      return topic === `group:${(data as LiveMessages["group"]).limit}/${(data as LiveMessages["group"]).key}`;
    default:
      return topic === event;
  }
}

document.addEventListener("visibilitychange", () => (document.hidden ? pause() : resume()));
window.addEventListener("online", () => schedule(0));

function resume(): void {
  failures = 0;
  connection.value = "reconnecting";
  schedule(0);
}
