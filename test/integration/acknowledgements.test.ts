/** What is made of acknowledgements that say little: no server of a test gives these, so they are given by hand. */
import { pino } from "pino";
import { expect, it } from "vitest";
import { connectNats } from "../../src/nats/connection.ts";
import { publishOnce } from "../../src/nats/publish-once.ts";
import { onCleanup } from "../support/cleanup.ts";
import { startTestServer } from "../support/nats.ts";

it("a duplicate of a message that has no sequence yet is not stored: it is sent again", async () => {
  const { url } = await startTestServer();
  const connection = await connectNats({ servers: url, name: "test", logger: pino({ level: "silent" }) });
  onCleanup(() => connection.close());
  // As nats-server 2.10.27 answers in a cluster, where the first copy of the message may still be lost.
  const answers = [
    { stream: "EVENTS", seq: 0, duplicate: true },
    { stream: "EVENTS", seq: 7 },
  ];
  connection.subscribe("as.a.stream", (message) => {
    if (message.reply !== undefined) connection.publish(message.reply, JSON.stringify(answers.shift()));
  });
  await connection.flush();
  await expect(publishOnce(connection, "as.a.stream", "text")).resolves.toEqual({ stream: "EVENTS", seq: 7, duplicate: false });
  answers.push({ stream: "EVENTS", seq: 0, duplicate: true });
  await expect(connection.publishAcked("as.a.stream", "text")).rejects.toMatchObject({ code: "NOT_CONNECTED" });
});
