/** Reading a stream on a real server: how much is on its way at a time, whatever the size of its messages. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect as connectNats } from "@nats-io/transport-node";
import { pino } from "pino";
import { expect, it } from "vitest";
import { connectNats as connectSluice } from "../../src/nats/connection.ts";
import { StreamReader } from "../../src/nats/stream-reader.ts";
import { onCleanup } from "../support/cleanup.ts";
import { startTestServer } from "../support/nats.ts";
import { waitFor } from "../support/wait.ts";

const LARGE = new Uint8Array(900_000);
const SMALL = new Uint8Array(100);
const MIB = 1_048_576;

/** Reads what a stream has, and gives how many messages were asked for, one pull after the other, and the most bytes on their way. */
async function readAll(messages: readonly Uint8Array[]) {
  const server = await startTestServer();
  const nats = await connectNats({ servers: server.url });
  onCleanup(() => nats.close());
  await (await jetstreamManager(nats)).streams.add({ name: "S", subjects: ["s"] });
  const js = jetstream(nats);
  for (let from = 0; from < messages.length; from += 50)
    await Promise.all(messages.slice(from, from + 50).map((data) => js.publish("s", data)));
  const pulls: number[] = [];
  const seqs: number[] = [];
  let asked = 0;
  let most = 0;
  const bytesFrom = messages.map(() => 0);
  const bytesOf = (from: number, to: number): number => (bytesFrom[to] ?? total) - (bytesFrom[from] ?? total);
  let total = 0;
  for (const [index, { length }] of messages.entries()) {
    bytesFrom[index] = total;
    total += length;
  }
  // Asked for with the reader's own connection, so before what comes of it.
  const connection = await connectSluice({ servers: server.url, name: "test", logger: pino({ level: "silent" }) });
  onCleanup(() => connection.close());
  const publish = connection.nats.publish.bind(connection.nats);
  connection.nats.publish = (subject, payload, options) => {
    if (subject.startsWith("$JS.API.CONSUMER.MSG.NEXT.")) {
      const { batch } = JSON.parse(String(payload)) as { batch: number };
      pulls.push(batch);
      asked += batch;
      most = Math.max(most, bytesOf(seqs.length, seqs.length + asked));
    }
    if (subject.startsWith("$JS.API.CONSUMER.CREATE.")) asked = 0;
    publish(subject, payload, options);
  };
  const request = connection.nats.request.bind(connection.nats);
  connection.nats.request = (subject, payload, options) => {
    if (subject.startsWith("$JS.API.CONSUMER.CREATE.")) asked = 0;
    return request(subject, payload, options);
  };
  const reader = new StreamReader(connection, {
    stream: "S",
    fromSeq: 1,
    onMessage: ({ seq }) => {
      seqs.push(seq);
      asked--;
      return undefined;
    },
    logger: pino({ level: "silent" }),
  });
  reader.start();
  await waitFor(() => seqs.length >= messages.length, { timeoutMs: 20_000, what: "all to be read" });
  await reader.stop();
  expect(seqs).toEqual(messages.map((_, index) => index + 1));
  return { pulls, most };
}

it("asks for no more large messages at a time than fit, and reads them all", async () => {
  const { most } = await readAll(Array.from({ length: 50 }, () => LARGE));
  expect(most).toBeLessThan(9 * MIB);
});

it("asks for many small ones, and for fewer as soon as they are large", async () => {
  const small = Array.from({ length: 1_500 }, () => SMALL);
  const { pulls } = await readAll([...small, ...Array.from({ length: 50 }, () => LARGE)]);
  expect(Math.max(...pulls)).toBe(1_000);
  expect(pulls.at(-1)).toBeLessThan(10);
  // Not one by one.
  expect(pulls.length).toBeLessThan(60);
});
