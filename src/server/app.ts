/**
 * The routes of the dashboard's server, each behind the checks of access.ts. It knows HTTP, and of the operations only their
 * names: what they do is the source's.
 */
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Hono, type Context, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Logger } from "pino";
import { RequestError } from "../errors.ts";
import { errorReply } from "../nats/error-reply.ts";
import type { AboutView } from "../protocol/live.ts";
import { OPERATIONS, requestFromFields } from "../protocol/requests.ts";
import type { Operation, Operations } from "../protocol/view.ts";
import { didYouMean, nearest } from "../workflow/parse-options.ts";
import { REALM, type Access, type HeaderOf, type Refusal } from "./access.ts";
import { openEventStream } from "./event-stream.ts";
import type { LiveHub } from "./live/hub.ts";
import { parseTopics } from "./live/topics.ts";
import type { Metrics } from "./metrics.ts";
import { isOperation, isRead } from "./operations.ts";
import { SECURITY_HEADERS } from "./security-headers.ts";
import type { Source } from "./source.ts";
import type { StaticFiles } from "./static-files.ts";

export interface AppOptions {
  readonly access: Access;
  /** Of this start; the page gets it. */
  readonly token: string;
  readonly source: Source;
  readonly hub: LiveHub;
  readonly files: StaticFiles;
  readonly metrics: Metrics;
  readonly about: () => Promise<AboutView>;
  /** Takes out of an answer what must not be shown. */
  readonly redact: <K extends Operation>(operation: K, reply: Operations[K]["reply"]) => Operations[K]["reply"];
  /** `/api/inspect/...` */
  readonly inspectRoutes: Hono;
  readonly logger: Logger;
  /** Of a request's body. */
  readonly maxBodyBytes: number;
  /** What may wait for one reader of events. */
  readonly maxBufferedBytes: number;
  readonly maxStreams: number;
}

type Env = { Bindings: HttpBindings };
type AppContext = Context<Env>;

export interface App {
  readonly fetch: Hono<Env>["fetch"];
  /** Ends all streams of events. */
  stop(): void;
}

const NO_STORE = { "cache-control": "no-store" };
const NOT_BUILT =
  "The dashboard's page has not been built: `npm run build` does it. The API is there (/api/about), and so are /healthz, /readyz and /metrics.\n";

export function createApp(options: AppOptions): App {
  const { access, token, source, hub, files, metrics, redact, logger } = options;
  const app = new Hono<Env>();
  const streams = new Set<() => void>();

  app.use(async (context, next) => {
    await next();
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) context.header(name, value);
  });
  app.onError((error, context) => {
    logger.error({ err: error, path: context.req.path }, "a request to the dashboard failed");
    return refuseWith(context, errorReply(context.req.path, error).error);
  });

  // Asked by whoever keeps the process alive, by any name: they tell nothing, so nothing is checked.
  app.on(["GET", "HEAD"], "/healthz", (context) => context.text("ok\n", 200, NO_STORE));
  app.on(["GET", "HEAD"], "/readyz", async (context) => {
    const problem = await source.whyNotReady();
    return problem === undefined ? context.text("ready\n", 200, NO_STORE) : context.text(`${problem}\n`, 503, NO_STORE);
  });

  app.use(async (context, next) => {
    const refusal = access.check(context.req.method, headerOf(context), context.env.incoming.socket.remoteAddress);
    return refusal === undefined ? await next() : refuse(context, refusal);
  });
  app.on(["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"], "*", (context) => notAllowed(context, "GET, HEAD, POST"));

  app.get("/metrics", async (context) =>
    context.body(await metrics.text(), 200, { ...NO_STORE, "content-type": metrics.contentType }),
  );
  app.get("/api/about", async (context) => context.json(await options.about(), 200, NO_STORE));
  app.get("/api/stream", (context) => {
    const parsed = parseTopics(context.req.query("topics") ?? "");
    if ("problem" in parsed) return refuseWith(context, { status: 400, code: "BAD_REQUEST", message: parsed.problem });
    if (hub.streams >= options.maxStreams)
      return refuseWith(context, { status: 503, code: "TOO_MANY_STREAMS", message: `${hub.streams} streams are open already` });
    const end = openEventStream({
      hub,
      topics: parsed.topics,
      // A page that opens a new stream cannot set the header.
      last: context.req.header("last-event-id") ?? context.req.query("last"),
      response: context.env.outgoing,
      headers: SECURITY_HEADERS,
      maxBufferedBytes: options.maxBufferedBytes,
    });
    streams.add(end);
    context.env.outgoing.once("close", () => streams.delete(end));
    return RESPONSE_ALREADY_SENT;
  });

  const limit = bodyLimit({
    maxSize: options.maxBodyBytes,
    onError: (context) =>
      refuseWith(context as AppContext, {
        status: 413,
        code: "PAYLOAD_TOO_LARGE",
        message: `expected a body of at most ${options.maxBodyBytes} bytes`,
      }),
  });
  const writable: MiddlewareHandler<Env> = async (context, next) => {
    const header = headerOf(context);
    const refusal = context.req.method === "POST" ? (access.checkWrite(header) ?? access.checkJson(header)) : undefined;
    return refusal === undefined ? await next() : refuse(context, refusal);
  };
  app.use("/api/inspect/*", writable, limit);
  app.route("/api/inspect", options.inspectRoutes as unknown as Hono<Env>);

  const answer = async (context: AppContext, name: string, request: unknown): Promise<Response> => {
    if (!isOperation(name)) throw new Error(`${name} is no operation`);
    try {
      const reply = await source.call(name, request);
      return context.json(redact(name, reply), 200, NO_STORE);
    } catch (error) {
      const { error: told } = errorReply(name, error);
      if (told.status >= 500 && told.status !== 503) logger.error({ err: error, operation: name }, "an API request failed");
      return refuseWith(context, told);
    }
  };
  app.get("/api/:operation", async (context) => {
    const name = context.req.param("operation");
    if (!isOperation(name)) return unknownOperation(context, name);
    if (!isRead(name)) return notAllowed(context, "POST");
    const fields = Object.entries(context.req.queries()).flatMap(([field, values]) =>
      values.map((value) => [field, value] as const),
    );
    return await answer(context, name, requestFromFields(name, fields));
  });
  app.post("/api/:operation", limit, async (context) => {
    const name = context.req.param("operation");
    if (!isOperation(name)) return unknownOperation(context, name);
    const header = headerOf(context);
    const refusal = access.checkJson(header) ?? (isRead(name) ? undefined : access.checkWrite(header));
    if (refusal !== undefined) return refuse(context, refusal);
    const text = await context.req.text();
    let request: unknown;
    try {
      request = text.trim() === "" ? {} : (JSON.parse(text) as unknown);
    } catch (error) {
      return refuseWith(context, {
        status: 400,
        code: "BAD_REQUEST",
        message: `${name}: expected the request to be JSON: ${error instanceof Error ? error.message : String(error)}`,
      });
    }
    return await answer(context, name, request);
  });
  app.all("/api/*", (context) => unknownOperation(context, context.req.path.slice("/api/".length)));

  app.post("*", (context) => notAllowed(context, "GET, HEAD"));
  app.get("*", async (context) => {
    const path = new URL(context.req.url).pathname;
    const found = await files.find(path, context.req.header("if-none-match"));
    if (found.found === "file") return found.response;
    if (found.found === "refused")
      return refuseWith(context, { status: 400, code: "BAD_REQUEST", message: "that path cannot be asked for" });
    // What looks like a file is none; but a key may have a dot, and people open its page.
    const isFile = /\.[^/]*$/.test(path) && context.req.header("accept")?.includes("text/html") !== true;
    if (isFile || path.startsWith("/assets/"))
      return refuseWith(context, { status: 404, code: "NOT_FOUND", message: "there is no such file" });
    const page = await files.page(token);
    return page === undefined ? context.text(NOT_BUILT, 503, NO_STORE) : context.html(page, 200, NO_STORE);
  });

  return {
    fetch: app.fetch,
    stop: () => {
      for (const end of streams) end();
    },
  };
}

function headerOf(context: AppContext): HeaderOf {
  return (name) => context.req.header(name);
}

function refuse(context: AppContext, { status, code, message }: Refusal): Response {
  if (status === 401) context.header("www-authenticate", REALM);
  if (status === 429) context.header("retry-after", "1");
  return refuseWith(context, { status, code, message });
}

function refuseWith(
  context: AppContext,
  error: {
    readonly status: number;
    readonly code: string;
    readonly message: string;
    readonly reason?: string;
    readonly issues?: readonly unknown[];
  },
): Response {
  return context.json({ error }, error.status as 400, NO_STORE);
}

function notAllowed(context: AppContext, allow: string): Response {
  context.header("allow", allow);
  return refuseWith(context, {
    status: 405,
    code: "METHOD_NOT_ALLOWED",
    message: `${context.req.method} is not possible here, but ${allow}`,
  });
}

function unknownOperation(context: AppContext, name: string): Response {
  const hint = didYouMean(nearest(name, OPERATIONS)) ?? `the operations are ${OPERATIONS.join(", ")}`;
  const { error } = errorReply(
    name,
    new RequestError(`there is no operation ${JSON.stringify(name.slice(0, 100))}: ${hint}`, {
      operation: name,
      status: 404,
      reason: "UNKNOWN_OPERATION",
    }),
  );
  return refuseWith(context, error);
}
