/** `/inspect` and `/inspect/out` on a server of their own: the dashboard's checks and the visualizer's parts, without an engine. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import { pino } from "pino";
import { WebSocket } from "ws";
import type {
  InspectActorsReply,
  InspectFramesReply,
  InspectProgramsReply,
  InspectProgramView,
} from "../../src/protocol/inspect.ts";
import { createRedactor } from "../../src/protocol/redact.ts";
import { Access } from "../../src/server/access.ts";
import { INSPECT_REDACT, mountInspect, type InspectOptions } from "../../src/server/inspect/mount.ts";
import { Upgrades } from "../../src/server/upgrades.ts";
import { onCleanup } from "./cleanup.ts";
import { waitFor, within } from "./wait.ts";

export async function startInspectServer(options: Partial<InspectOptions> = {}) {
  const upgrades = new Upgrades(
    new Access({ host: "127.0.0.1", allowHosts: [], password: undefined, readOnly: false, token: "t" }),
    pino({ level: "silent" }),
  );
  const redactor = createRedactor(INSPECT_REDACT);
  const inspect = mountInspect({ upgrades, redact: (value) => redactor.value(value), ...options });
  const app = new Hono().route("/api/inspect", inspect.routes);
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
  upgrades.attach(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  onCleanup(async () => {
    upgrades.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const get = async <T>(path: string): Promise<T> =>
    (await (await fetch(`http://127.0.0.1:${port}/api/inspect/${path}`)).json()) as T;
  return {
    url: `ws://127.0.0.1:${port}/inspect`,
    outUrl: `ws://127.0.0.1:${port}/inspect/out`,
    programs: inspect.programs,
    onChange: inspect.onChange,
    get,
    async list(): Promise<readonly InspectProgramView[]> {
      return (await get<InspectProgramsReply>("programs")).items;
    },
    actors: (program: string) => get<InspectActorsReply>(`actors?program=${program}`),
    frames: (program: string, query = "") => get<InspectFramesReply>(`frames?program=${program}&${query}`),
    /** The only program, once it is as the test wants it. */
    async program(is: (program: InspectProgramView) => boolean = () => true): Promise<InspectProgramView> {
      return await waitFor(async () => {
        const [program] = (await get<InspectProgramsReply>("programs")).items;
        return program !== undefined && is(program) ? program : undefined;
      });
    },
  };
}

export interface SocketEnd {
  readonly opened: boolean;
  /** WebSocket's close code; the HTTP status where it was never opened. */
  readonly code: number;
  readonly reason: string;
}

/** A connection as a hand-written client makes it. */
export async function openSocket(url: string, headers: Readonly<Record<string, string>> = {}) {
  const socket = new WebSocket(url, { headers });
  onCleanup(() => socket.terminate());
  let opened = false;
  let refused: number | undefined;
  const ended = new Promise<SocketEnd>((resolve) => {
    socket.on("unexpected-response", (request, response) => {
      refused = response.statusCode;
      request.destroy();
      resolve({ opened, code: refused ?? 0, reason: "" });
    });
    socket.on("error", () => undefined);
    socket.on("close", (code, reason) => resolve({ opened, code: refused ?? code, reason: reason.toString() }));
  });
  const ready = new Promise<void>((resolve) => {
    socket.on("open", () => {
      opened = true;
      resolve();
    });
  });
  await within(5_000, `an answer of ${url}`, Promise.race([ready, ended]));
  return {
    socket,
    ended: within(10_000, "the end of the connection", ended),
    get opened() {
      return opened;
    },
    send: (message: unknown) => socket.send(typeof message === "string" ? message : JSON.stringify(message)),
  };
}
