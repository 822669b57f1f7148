/**
 * `/inspect`: where programs with Stately's client (`createWebSocketInspector`) connect. Says who may, and reads no faster than
 * leaves the node time for its own work.
 */
import type { IncomingMessage } from "node:http";
import type { WebSocket } from "ws";
import type { Programs } from "./programs.ts";

/** After so much work for one connection, others get their turn. */
const TURN_MS = 8;
const REST_MS = 8;
/** WebSocket's own codes: a message that breaks the server's rules. */
const POLICY_VIOLATION = 1008;

export function acceptProgram(
  socket: WebSocket,
  request: IncomingMessage,
  programs: Programs,
  options: { readonly allowRemote: boolean },
): void {
  const peer = request.socket.remoteAddress ?? "";
  if (!options.allowRemote && !isLoopback(peer)) {
    socket.close(POLICY_VIOLATION, "only programs on this machine may connect");
    return;
  }
  const name = new URL(request.url ?? "/", "http://localhost").searchParams.get("name")?.trim().slice(0, 100);
  const input = programs.connect({
    name: name === undefined || name === "" ? undefined : name,
    origin: request.headers.origin,
    peer: isLoopback(peer) ? "loopback" : peer,
  });
  let spentMs = 0;
  let resting: NodeJS.Timeout | undefined;
  socket.on("message", (data, isBinary) => {
    const started = performance.now();
    if (isBinary) input.problem("not text");
    else input.take(textOf(data));
    spentMs += performance.now() - started;
    if (spentMs < TURN_MS || resting !== undefined) return;
    socket.pause();
    resting = setTimeout(() => {
      resting = undefined;
      spentMs = 0;
      if (socket.readyState === socket.OPEN) socket.resume();
    }, REST_MS);
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") input.problem("so long that the connection was ended");
  });
  socket.on("close", () => {
    clearTimeout(resting);
    input.end();
  });
}

/**
 * Pages that may connect besides our own: those of development servers on this machine. Any other page that a browser shows
 * could do so too, if it were let, and fill this one with whatever it likes.
 */
export function isLocalOrigin(origin: string): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, hostname } = new URL(origin);
  return (protocol === "http:" || protocol === "https:") && (LOCAL_NAMES.has(hostname) || hostname.endsWith(".localhost"));
}

const LOCAL_NAMES = new Set(["localhost", "127.0.0.1", "[::1]"]);

export function isLoopback(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(address);
}

function textOf(data: Buffer | ArrayBuffer | Buffer[]): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString("utf8");
  return Buffer.isBuffer(data) ? data.toString("utf8") : Buffer.from(data).toString("utf8");
}
