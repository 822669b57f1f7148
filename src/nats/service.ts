/**
 * The API as a NATS micro service named like the prefix (`sluice`): one endpoint per operation, JSON in and out, errors in the standard headers, and the
 * discovery that `nats micro ls|info|stats` speaks (NATS ADR-32). The official implementation needs another release of
 * the client than ours, so the little that it takes is here. It knows operations by name and not what they do.
 */
import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import { RequestError } from "../errors.ts";
import { OPERATIONS, parseRequest } from "../protocol/requests.ts";
import type { Operation, Operations } from "../protocol/view.ts";
import { toHeaders, type Connection, type Message, type Subscription } from "./connection.ts";
import { errorReply, type ErrorReply } from "./error-reply.ts";
import type { Names } from "./subjects.ts";

/** Handlers by operation; those that are missing are not served. */
export type OperationHandlers = {
  readonly [K in Operation]?: (request: Operations[K]["request"]) => Operations[K]["reply"] | Promise<Operations[K]["reply"]>;
};

export interface ServiceOptions {
  /** Of Sluice, semantic. */
  readonly version: string;
  readonly operations: OperationHandlers;
  readonly logger: Logger;
  /** Of this node; shown by `nats micro info`. Default: a new one. */
  readonly id?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface Service {
  readonly id: string;
  /** Answers what has arrived, takes nothing new. Idempotent. */
  stop(): Promise<void>;
}

interface Endpoint {
  readonly name: string;
  readonly subject: string;
  requests: number;
  errors: number;
  lastError: string;
  busyMs: number;
}

const QUEUE = "q";
/** Subject, reply and headers of a reply, generously. */
const REPLY_MARGIN_BYTES = 1_024;

/**
 * Serves the operations until stopped. Several nodes may serve the same ones: each request goes to one of them.
 * A handler that throws a RequestError answers with its `status`; other errors of Sluice with the status of their code; anything
 * else is logged and answered with 500.
 */
export function startService(connection: Connection, names: Names, options: ServiceOptions): Service {
  const { logger } = options;
  const service = {
    name: names.prefix,
    id: options.id ?? randomUUID(),
    version: options.version,
    metadata: options.metadata ?? {},
  };
  const started = new Date().toISOString();
  const subscriptions: Subscription[] = [];
  const endpoints: Endpoint[] = [];
  const running = new Set<Promise<void>>();

  const serve = (operation: Operation): void => {
    const handler = options.operations[operation] as ((request: unknown) => unknown) | undefined;
    if (handler === undefined) return;
    const endpoint: Endpoint = {
      name: operation.replace(".", "-"),
      subject: names.api(operation),
      requests: 0,
      errors: 0,
      lastError: "",
      busyMs: 0,
    };
    endpoints.push(endpoint);
    const answer = async (message: Message): Promise<void> => {
      const began = performance.now();
      endpoint.requests++;
      try {
        const reply = await handler(parseRequest(operation, decode(operation, message)));
        const text = JSON.stringify(reply ?? {});
        const size = Buffer.byteLength(text);
        if (size > connection.maxPayload - REPLY_MARGIN_BYTES) {
          throw new RequestError(
            `${operation}: the reply has ${size} bytes, more than the ${connection.maxPayload} that the NATS server takes; ask for less at once ('size')`,
            {
              operation,
              status: 500,
              reason: "REPLY_TOO_LARGE",
            },
          );
        }
        message.respond(text);
      } catch (error) {
        endpoint.errors++;
        const reply = errorReply(operation, error);
        endpoint.lastError = `${reply.error.status}:${reply.error.message}`;
        if (reply.error.status >= 500) logger.error({ err: error, operation }, "an API request failed");
        respondError(message, reply);
      } finally {
        endpoint.busyMs += performance.now() - began;
      }
    };
    subscriptions.push(
      connection.subscribe(
        endpoint.subject,
        (message) => {
          const task = answer(message).catch((error: unknown) =>
            logger.error({ err: error, operation }, "an API request could not be answered"),
          );
          running.add(task);
          void task.finally(() => running.delete(task));
        },
        { queue: QUEUE },
      ),
    );
  };

  const discover = (verb: string, reply: () => object): void => {
    for (const subject of [`$SRV.${verb}`, `$SRV.${verb}.${service.name}`, `$SRV.${verb}.${service.name}.${service.id}`]) {
      subscriptions.push(connection.subscribe(subject, (message) => void message.respond(JSON.stringify(reply()))));
    }
  };

  for (const operation of OPERATIONS) serve(operation);
  discover("PING", () => ({ type: "io.nats.micro.v1.ping_response", ...service }));
  discover("INFO", () => ({
    type: "io.nats.micro.v1.info_response",
    ...service,
    description: "Sluice: workflows with concurrency limits per key",
    endpoints: endpoints.map(({ name, subject }) => ({ name, subject, queue_group: QUEUE, metadata: {} })),
  }));
  discover("STATS", () => ({
    type: "io.nats.micro.v1.stats_response",
    ...service,
    started,
    endpoints: endpoints.map(({ name, subject, requests, errors, lastError, busyMs }) => ({
      name,
      subject,
      queue_group: QUEUE,
      num_requests: requests,
      num_errors: errors,
      last_error: lastError,
      processing_time: Math.round(busyMs * 1e6),
      average_processing_time: requests === 0 ? 0 : Math.round((busyMs * 1e6) / requests),
    })),
  }));

  let stopping: Promise<void> | undefined;
  return {
    id: service.id,
    stop: () =>
      (stopping ??= (async () => {
        await Promise.all(subscriptions.map((subscription) => subscription.drain()));
        await Promise.all(running);
      })()),
  };
}

function decode(operation: Operation, message: Message): unknown {
  if (message.data.length === 0) return {};
  try {
    return message.json();
  } catch (error) {
    throw new RequestError(
      `${operation}: expected the request to be JSON: ${error instanceof Error ? error.message : String(error)}`,
      {
        operation,
        status: 400,
        reason: "BAD_REQUEST",
      },
    );
  }
}

function respondError(message: Message, reply: ErrorReply): void {
  // A header is one line of bounded length; the body has it all.
  const line = reply.error.message.replace(/\s+/g, " ").slice(0, 1_024);
  message.respond(JSON.stringify(reply), {
    headers: toHeaders({ "Nats-Service-Error": line, "Nats-Service-Error-Code": String(reply.error.status) }),
  });
}
