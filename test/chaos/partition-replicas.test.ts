/** The stream of a partition on three NATS servers: none of them may come back from a kill with less than the others have. */
import { pino } from "pino";
import { expect, it } from "vitest";
import { connectNats } from "../../src/nats/connection.ts";
import { PartitionStream } from "../../src/nats/partition-stream.ts";
import { ensureStreams } from "../../src/nats/streams.ts";
import { createNames } from "../../src/nats/subjects.ts";
import { onCleanup } from "../support/cleanup.ts";
import { natsServerBinary } from "../support/nats.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";
import { NatsCluster } from "./nats-cluster.ts";

it("is the same on all servers after each was killed behind a purge", async () => {
  const logger = pino({ level: "silent" });
  const names = createNames();
  const nats = await NatsCluster.start(natsServerBinary(), await temporaryFolder("replicas"));
  const connection = await connectNats({ servers: nats.urls, name: "test", logger });
  onCleanup(() => connection.close());
  await ensureStreams(connection, names, 1, { replicas: 3, duplicateWindowMs: 1_000, rejectedMaxAgeMs: 60_000 });
  const partition = new PartitionStream({ connection, names, partition: 0, logger });
  await partition.open();
  const toInbox = async (): Promise<number> =>
    await waitFor(async () => (await connection.publishAcked(names.inbox(0), "result")).seq, { timeoutMs: 20_000 });

  for (const server of nats.servers) {
    for (let i = 0; i < 20; i++) await partition.append(`before ${server.name} ${i}`);
    const inboxSeq = await toInbox();
    await partition.append(`last before ${server.name}`);
    expect(await partition.writeSnapshot(["{}"], partition.lastJournalSeq, inboxSeq)).toBe(true);
    await partition.purge(partition.lastJournalSeq, inboxSeq);
    await server.kill();
    for (let i = 0; i < 20; i++) await partition.append(`without ${server.name} ${i}`);
    await server.start();
    await nats.caughtUp(30_000);
    await waitFor(
      async () => {
        const states = await nats.streamStates(partition.stream);
        expect(new Set(states).size, states.join(" | ")).toBe(1);
        return true;
      },
      { timeoutMs: 5_000, what: "all servers to hold the same" },
    );
  }
});
