/** Publishes events: one by one, each with its own acknowledgement and many in flight, or in bulk. */
import { connect } from "sluice";

interface Order {
  readonly event: string;
  readonly count: number;
  readonly keys: number;
  readonly mode: "single" | "bulk";
  readonly inFlight: number;
}

const client = await connect({ servers: (process.argv[2] ?? "").split(",") });

async function publish({ event, count, keys, mode, inFlight }: Order): Promise<void> {
  const payload = (i: number): { key: string } => ({ key: `k${i % keys}` });
  if (mode === "bulk") {
    const chunk = 10_000;
    for (let from = 0; from < count; from += chunk)
      await client.publishMany(
        Array.from({ length: Math.min(chunk, count - from) }, (_, i) => ({ event, payload: payload(from + i) })),
      );
    return;
  }
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await client.publish(event, payload(next++));
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}

process.on("message", (message: Order | "stop") => {
  if (message === "stop") void client.close().then(() => process.exit(0));
  else void publish(message).then(() => process.send?.({ published: message.count }));
});
process.on("disconnect", () => process.exit(0));
process.send?.({ ready: 0 });
