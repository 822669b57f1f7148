/** Two engine nodes on one cluster: one works, the other stands by and takes over. */
import { pino } from "pino";
import { expect, it } from "vitest";
import { connect, defineWorkflow, startWorker } from "../../src/index.ts";
import { createEngine, startEngine } from "../../src/engine/index.ts";
import { onCleanup } from "../support/cleanup.ts";
import { startTestServer } from "../support/nats.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { within } from "../support/wait.ts";

const logger = pino({ level: "silent" });
const echo = defineWorkflow({ name: "echo" }).step("echo", ({ input }) => input);

it("lets a second engine node take over when the first one stops, with everything that was there", async () => {
  const server = await startTestServer();
  const options = { servers: server.url, logger, lease: "500ms", partitions: 2 };
  const first = await startEngine({ ...options, dataDir: await temporaryFolder(), name: "first" });
  onCleanup(() => first.stop());
  const second = createEngine({ ...options, dataDir: await temporaryFolder(), name: "second" });
  onCleanup(() => second.stop());
  const takesOver = second.start();
  const worker = await startWorker({ servers: server.url, workflows: [echo], logger });
  onCleanup(() => worker.stop());
  const client = await connect({ servers: server.url, logger });
  onCleanup(() => client.close());

  const before = await client.run(echo, "before");
  expect(await within(10_000, "the first run", before.result())).toEqual({ echo: "before" });
  const later = await client.run(echo, "later", { delay: "2s" });
  await first.stop();
  await within(10_000, "the takeover", takesOver);

  expect(await within(10_000, "a run after the takeover", (await client.run(echo, "after")).result())).toEqual({ echo: "after" });
  expect(await within(10_000, "the run that was scheduled before", later.result())).toEqual({ echo: "later" });
});

it("can be stopped while it stands by", async () => {
  const server = await startTestServer();
  const options = { servers: server.url, logger, lease: "500ms", partitions: 1 };
  const first = await startEngine({ ...options, dataDir: await temporaryFolder() });
  onCleanup(() => first.stop());
  const second = createEngine({ ...options, dataDir: await temporaryFolder() });
  const started = second.start().catch((error: unknown) => error);
  await within(5_000, "the stop", second.stop());
  expect(await started).toBeInstanceOf(Error);
});
