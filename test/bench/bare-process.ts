/**
 * The limit of what is possible: the same messages as a run causes, without engine, machines and journal. `relay` takes events
 * from the stream and hands them on in batches; `worker` answers each batch with one durable message.
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
} else {
  nats.subscribe("bare.work", {
    callback: (_error, message) => {
      const items = message.json<unknown[]>();
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
