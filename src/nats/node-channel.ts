/**
 * Requests from one engine node to another, over NATS: JSON in, JSON out, errors as the service has them. It knows nodes and
 * operations by name and not what they do; who is asked, and when again, is the caller's.
 */
import type { Logger } from "pino";
import { isNotConnectedError, isTimeoutError, RequestError } from "../errors.ts";
import { toHeaders, type Connection, type Message } from "./connection.ts";
import { errorReply, readErrorReply } from "./error-reply.ts";
import { isNoResponderError } from "./no-responder.ts";
import type { Names } from "./subjects.ts";

/** What an engine node answers to another, by operation. */
export type NodeHandler = (operation: string, request: unknown) => Promise<unknown>;

export interface NodeChannel {
  /** Answers what is asked of `node`, until the function that it returns is called. */
  serve(node: string, handler: NodeHandler): () => void;
  /** Rejects with NodeSilentError where no answer came, else with what the node answered. */
  request(node: string, operation: string, request: unknown, timeoutMs: number): Promise<unknown>;
}

/** The node is not there, or did not answer in time; it may have the request all the same. */
export class NodeSilentError extends Error {
  override readonly name = "NodeSilentError";
  readonly node: string;

  constructor(node: string, operation: string, options?: { readonly cause?: unknown }) {
    super(`${operation}: engine node ${node} does not answer`, options);
    this.node = node;
  }
}

/** Subject, reply and headers of a reply, generously. */
const REPLY_MARGIN_BYTES = 1_024;

export function createNodeChannel(connection: Connection, names: Names, logger: Logger): NodeChannel {
  const answer = async (message: Message, operation: string, handler: NodeHandler): Promise<void> => {
    try {
      const text = JSON.stringify((await handler(operation, message.json())) ?? null);
      if (Buffer.byteLength(text) > connection.maxPayload - REPLY_MARGIN_BYTES)
        throw new RequestError(`${operation}: the reply is more than one NATS message takes`, {
          operation,
          status: 500,
          reason: "REPLY_TOO_LARGE",
        });
      message.respond(text);
    } catch (error) {
      const reply = errorReply(operation, error);
      if (reply.error.code === "INTERNAL") logger.error({ err: error, operation }, "a request of another engine node failed");
      const line = reply.error.message.replace(/\s+/g, " ").slice(0, 1_024);
      message.respond(JSON.stringify(reply), {
        headers: toHeaders({ "Nats-Service-Error": line, "Nats-Service-Error-Code": String(reply.error.status) }),
      });
    }
  };
  return {
    serve: (node, handler) => {
      const prefix = names.engineCall(node, "");
      const subscription = connection.subscribe(names.engineCall(node, ">"), (message) => {
        const operation = message.subject.slice(prefix.length);
        answer(message, operation, handler).catch((error: unknown) =>
          logger.warn({ err: error, operation }, "a request of another engine node could not be answered"),
        );
      });
      return () => subscription.unsubscribe();
    },
    request: async (node, operation, request, timeoutMs) => {
      let message: Message;
      try {
        message = await connection.request(names.engineCall(node, operation), JSON.stringify(request), { timeoutMs });
      } catch (error) {
        if (isNoResponderError(error) || isTimeoutError(error) || isNotConnectedError(error))
          throw new NodeSilentError(node, operation, { cause: error });
        throw error;
      }
      const status = message.headers?.get("Nats-Service-Error-Code") ?? "";
      if (status === "") return message.json();
      throw readErrorReply(
        operation,
        request,
        message.headers?.get("Nats-Service-Error") ?? "",
        status,
        Buffer.from(message.data).toString(),
      );
    },
  };
}
