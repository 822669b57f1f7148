/** `Connection.addText` uses an inner function of the NATS client: what arrives must be what `publish` would have sent. */
import { pino } from "pino";
import { beforeEach, describe, expect, it } from "vitest";
import { connectNats, type Connection } from "../../src/nats/connection.ts";
import { TextPublisher } from "../../src/nats/text-publisher.ts";
import { onCleanup } from "../support/cleanup.ts";
import { startTestServer } from "../support/nats.ts";

const logger = pino({ level: "silent" });
const TEXTS = ["", "{}", "ä€😀 with more bytes than characters", "line\r\nbreaks\r\nPUB a 1\r\n", "x".repeat(200_000)];

describe("texts that are published together", () => {
  let connection: Connection;
  beforeEach(async () => {
    const server = await startTestServer();
    connection = await connectNats({ servers: server.url, name: "texts", logger });
    onCleanup(() => connection.close());
  });

  it("arrive whole, in order, and among what is published otherwise, as if published one by one", async () => {
    const got: [string, string][] = [];
    connection.subscribe("texts.>", (message) => got.push([message.subject, message.string()]));
    for (const [index, text] of TEXTS.entries()) connection.addText(`texts.${index}`, text);
    connection.flushTexts();
    connection.publish("texts.last", "after them");
    await connection.flush();
    expect(got).toEqual([...TEXTS.map((text, index) => [`texts.${index}`, text]), ["texts.last", "after them"]]);
  });

  it("are published by the client itself where its inner function is not there", () => {
    const sent: [string, unknown][] = [];
    const publisher = new TextPublisher({
      isClosed: () => false,
      publish: (subject: string, data: unknown) => void sent.push([subject, data]),
    } as never);
    publisher.add("a", "1");
    publisher.flush();
    expect(sent).toEqual([["a", "1"]]);
  });

  it("harm nothing once the connection is closed", async () => {
    await connection.close();
    connection.addText("texts.late", "{}");
    expect(() => connection.flushTexts()).not.toThrow();
  });
});
