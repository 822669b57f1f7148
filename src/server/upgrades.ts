/**
 * WebSockets on the dashboard's server: paths that take them, behind the same checks of Host, Origin and password as all else.
 * It knows nothing of what is said on them.
 */
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { WebSocketServer, type WebSocket } from "ws";
import { REALM, type Access, type HeaderOf, type Refusal } from "./access.ts";

export interface UpgradeOptions {
  /** Takes every page's, not only our own: for what does no harm whoever says it. Default false. */
  readonly anyOrigin?: boolean;
  /** Which foreign pages may connect besides our own: gets the `Origin`. Programs send none and are always let in. */
  readonly allowOrigin?: (origin: string) => boolean;
  /** Largest message, in bytes; a longer one ends the connection with code 1009. Default 4 MiB. */
  readonly maxBytes?: number;
  /** Subprotocols, of which the first that the client offers is taken. Default: whatever it offers first. */
  readonly protocols?: readonly string[];
}

export type AcceptSocket = (socket: WebSocket, request: IncomingMessage) => void;

interface Endpoint {
  readonly accept: AcceptSocket;
  readonly options: UpgradeOptions;
  readonly server: WebSocketServer;
}

const MAX_BYTES = 4 * 1024 * 1024;

export class Upgrades {
  readonly #access: Access;
  readonly #logger: Logger;
  readonly #endpoints = new Map<string, Endpoint>();

  constructor(access: Access, logger: Logger) {
    this.#access = access;
    this.#logger = logger;
  }

  /** Takes WebSockets at this path, whatever their query (it is in `request.url`). `stop` of the dashboard closes them. */
  handle(path: string, accept: AcceptSocket, options: UpgradeOptions = {}): void {
    if (this.#endpoints.has(path)) throw new Error(`WebSockets at ${path} are taken already`);
    const { protocols, maxBytes = MAX_BYTES } = options;
    const server = new WebSocketServer({
      noServer: true,
      maxPayload: maxBytes,
      perMessageDeflate: false,
      ...(protocols !== undefined && {
        handleProtocols: (offered: Set<string>) => protocols.find((protocol) => offered.has(protocol)) ?? false,
      }),
    });
    this.#endpoints.set(path, { accept, options, server });
  }

  /** Listens to the server's upgrades. */
  attach(server: Server): void {
    server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** How many are open. */
  get open(): number {
    let count = 0;
    for (const { server } of this.#endpoints.values()) count += server.clients.size;
    return count;
  }

  /** Ends all of them, at once. */
  stop(): void {
    for (const { server } of this.#endpoints.values()) {
      for (const socket of server.clients) {
        socket.close(1001, "the dashboard has stopped");
        socket.terminate();
      }
      server.close();
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Before it is a WebSocket, an error of the connection would have no listener and end the process.
    const failed = (): void => void socket.destroy();
    socket.on("error", failed);
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const endpoint = this.#endpoints.get(path);
    const refusal = this.#check(request, endpoint?.options);
    if (refusal !== undefined) return refuse(socket, refusal.status, refusal.message);
    if (endpoint === undefined) return refuse(socket, 404, `there are no WebSockets at ${path}`);
    endpoint.server.handleUpgrade(request, socket, head, (webSocket) => {
      socket.off("error", failed);
      webSocket.on("error", (error) => this.#logger.debug({ err: error, path }, "a WebSocket of the dashboard failed"));
      endpoint.accept(webSocket, request);
    });
  }

  #check(request: IncomingMessage, options: UpgradeOptions | undefined): Refusal | undefined {
    const header: HeaderOf = (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value.join(", ") : value;
    };
    const origin = header("origin");
    const allowed = origin === undefined || options?.anyOrigin === true || options?.allowOrigin?.(origin) === true;
    return (
      this.#access.checkHost(header) ??
      // Browsers let every page open a WebSocket anywhere and only say who it is: refusing is up to us.
      (allowed ? undefined : this.#access.checkOrigin("POST", header)) ??
      this.#access.checkPassword(header, request.socket.remoteAddress)
    );
  }
}

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  429: "Too Many Requests",
};

function refuse(socket: Duplex, status: number, message: string): void {
  const body = `${message}\n`;
  socket.end(
    [
      `HTTP/1.1 ${status} ${REASONS[status] ?? "Refused"}`,
      "Connection: close",
      "Content-Type: text/plain; charset=utf-8",
      "X-Content-Type-Options: nosniff",
      ...(status === 401 ? [`WWW-Authenticate: ${REALM}`] : []),
      `Content-Length: ${Buffer.byteLength(body)}`,
      "",
      body,
    ].join("\r\n"),
  );
}
