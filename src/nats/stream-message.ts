/**
 * Reading one message of a stream by its sequence: direct get, which any replica answers, and for streams without it the
 * request to the stream's leader.
 */
import type { Connection } from "./connection.ts";

export interface StreamMessage {
  readonly subject: string;
  readonly seq: number;
  readonly data: Uint8Array;
  /** When the server stored it, ISO 8601. */
  readonly time: string;
  /** The first value of a header. */
  header(name: string): string | undefined;
}

/** Whether streams answer direct gets, by connection: asked once, since a direct get of one that does not is never answered. */
const directOf = new WeakMap<Connection, Map<string, boolean>>();

export async function readStreamMessage(connection: Connection, stream: string, seq: number): Promise<StreamMessage | undefined> {
  if (await answersDirect(connection, stream)) {
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

async function answersDirect(connection: Connection, stream: string): Promise<boolean> {
  let known = directOf.get(connection);
  if (known === undefined) directOf.set(connection, (known = new Map()));
  let direct = known.get(stream);
  if (direct === undefined) {
    const info = (await connection.request(`$JS.API.STREAM.INFO.${stream}`, "")).json<{ config?: { allow_direct?: boolean } }>();
    // A stream that is not there may come to be: nothing is remembered then.
    if (info.config === undefined) return false;
    direct = info.config.allow_direct === true;
    known.set(stream, direct);
  }
  return direct;
}

function headerOf(encoded: string | undefined, name: string): string | undefined {
  if (encoded === undefined) return undefined;
  for (const line of Buffer.from(encoded, "base64").toString().split("\r\n")) {
    if (line.startsWith(`${name}:`)) return line.slice(name.length + 1).trim();
  }
  return undefined;
}
