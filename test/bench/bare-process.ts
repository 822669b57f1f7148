/**
 * The limit of what is possible: the same messages as a run causes, without engine, machines and journal. `relay` takes events
 * from the stream and hands them on in batches; `journal` stores each of them once more before it hands it on, as an engine
 * must; `worker` answers each batch with one durable message, and tells when it came.
 */
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const [role, servers] = process.argv.slice(2);
const nats = await connect({ servers: servers ?? "" });
const js = jetstream(nats);
let handled = 0;

if (role === "relay") {
  const consumer = await js.consumers.get("BARE_EVENTS");
  const messages = await consumer.consume({ max_messages: 2_000 });
  process.send?.({ ready: 0 });
  let batch: string[] = [];
  for await (const message of messages) {
    batch.push(message.string());
    if (batch.length === 1)
      setImmediate(() => {
        nats.publish("bare.work", `[${batch.join(",")}]`);
        batch = [];
      });
  }
} else if (role === "journal") {
  const consumer = await js.consumers.get("BARE_EVENTS");
  await consumer.consume({
    max_messages: 2_000,
    callback: (message) => {
      const text = `[${message.string()}]`;
      void js.publish("bare.journal", text).then(() => nats.publish("bare.work", text));
    },
  });
  process.send?.({ ready: 0 });
} else {
  nats.subscribe("bare.work", {
    callback: (_error, message) => {
      const items = message.json<{ readonly sentAt?: number }[]>();
      const sentAt = items[0]?.sentAt;
      if (sentAt !== undefined) process.send?.({ started: [sentAt, Number(process.hrtime.bigint()) / 1e6] });
      void js.publish("bare.results", JSON.stringify(items)).then(() => {
        handled += items.length;
        process.send?.({ handled });
      });
    },
  });
  await nats.flush();
  process.send?.({ ready: 0 });
}
process.on("disconnect", () => process.exit(0));
