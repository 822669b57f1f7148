/**
 * Reading one message of a stream by its sequence: direct get, which any replica answers, and for streams without it the
 * request to the stream's leader.
 */
import type { Connection } from "./connection.ts";
import { isNoResponderError } from "./no-responder.ts";

export interface StreamMessage {
  readonly subject: string;
  readonly seq: number;
  readonly data: Uint8Array;
  /** When the server stored it, ISO 8601. */
  readonly time: string;
  /** The first value of a header. */
  header(name: string): string | undefined;
}

/** Streams that were found to answer no direct get, by connection. */
const withoutDirect = new WeakMap<Connection, Set<string>>();

export async function readStreamMessage(connection: Connection, stream: string, seq: number): Promise<StreamMessage | undefined> {
  let known = withoutDirect.get(connection);
  if (known?.has(stream) !== true) {
    try {
      const message = await connection.request(`$JS.API.DIRECT.GET.${stream}`, `{"seq":${seq}}`);
      const headers = message.headers;
      if (headers !== undefined && headers.code >= 400) {
        if (headers.code === 404) return undefined;
        throw new Error(`reading message ${seq} of stream ${stream}: ${headers.status}`);
      }
      return {
        subject: headers?.get("Nats-Subject") ?? "",
        seq,
        data: message.data,
        time: headers?.get("Nats-Time-Stamp") ?? "",
        header: (name) => (headers?.has(name) === true ? headers.get(name) : undefined),
      };
    } catch (error) {
      if (!isNoResponderError(error)) throw error;
      if (known === undefined) withoutDirect.set(connection, (known = new Set()));
      known.add(stream);
    }
  }
  const answer = (await connection.request(`$JS.API.STREAM.MSG.GET.${stream}`, `{"seq":${seq}}`)).json<{
    message?: { subject: string; seq: number; data?: string; hdrs?: string; time: string };
    error?: { code: number; description: string };
  }>();
  if (answer.message === undefined) {
    if (answer.error?.code === 404) return undefined;
    throw new Error(`reading message ${seq} of stream ${stream}: ${answer.error?.description ?? "no message in the answer"}`);
  }
  const { message } = answer;
  return {
    subject: message.subject,
    seq: message.seq,
    data: Buffer.from(message.data ?? "", "base64"),
    time: message.time,
    header: (name) => headerOf(message.hdrs, name),
  };
}

function headerOf(encoded: string | undefined, name: string): string | undefined {
  if (encoded === undefined) return undefined;
  for (const line of Buffer.from(encoded, "base64").toString().split("\r\n")) {
    if (line.startsWith(`${name}:`)) return line.slice(name.length + 1).trim();
  }
  return undefined;
}
