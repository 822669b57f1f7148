/** Streams that are as large as they may be: who is refused, what is kept, and how it goes on when there is room. */
import { Writable } from "node:stream";
import { DiscardPolicy, jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { connect as connectNats } from "@nats-io/transport-node";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import {
  type Client,
  connect,
  defineWorkflow,
  isRequestError,
  isStreamFullError,
  PublishManyError,
  startWorker,
} from "../../src/index.ts";
import { type Engine, type EngineOptions, startEngine } from "../../src/engine/index.ts";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import { onCleanup } from "../support/cleanup.ts";
import { Gates, silent } from "../support/engine-world.ts";
import { startTestServer } from "../support/nats.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

const MIB = 1_048_576;
/** An input that is not kept in memory, so that runs need their events until they have ended. */
const LARGE = "x".repeat(20_000);

const gates = new Gates();
const slow = defineWorkflow({ name: "slow", on: "slow" }).step("only", async ({ input, signal }) => {
  const { n, gate } = input as { readonly n: number; readonly gate: string };
  await gates.pass(gate, signal);
  return n;
});

interface World {
  readonly server: NatsServer;
  readonly engine: Engine;
  readonly client: Client;
  readonly manager: JetStreamManager;
  readonly log: string[];
}

async function startWorld(options: Partial<EngineOptions>): Promise<World> {
  const server = await startTestServer();
  const log: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      log.push(chunk.toString());
      done();
    },
  });
  const engine = await startEngine({
    servers: server.url,
    partitions: 1,
    dataDir: await temporaryFolder(),
    logger: pino({ level: "info" }, sink),
    ...options,
  });
  onCleanup(() => engine.stop());
  const worker = await startWorker({
    servers: server.url,
    workflows: [slow],
    slots: 1_000,
    drainTimeout: "100ms",
    logger: silent,
  });
  onCleanup(() => worker.stop());
  const client = await connect({ servers: server.url, logger: silent });
  onCleanup(() => client.close());
  const nats = await connectNats({ servers: server.url });
  onCleanup(() => nats.close());
  return { server, engine, client, manager: await jetstreamManager(nats), log };
}

/** Publishes until it is refused; the numbers of those that were acknowledged, and the refusal. */
async function publishUntilRefused(client: Client, gate: string, from = 0): Promise<{ taken: number[]; error: unknown }> {
  const taken: number[] = [];
  for (let n = from; n < from + 2_000; n++) {
    try {
      await client.publish("slow", { n, gate, LARGE });
      taken.push(n);
    } catch (error) {
      return { taken, error };
    }
  }
  throw new Error("nothing was refused");
}

async function outputs(client: Client): Promise<number[]> {
  const found: number[] = [];
  for await (const { status, outputs: made } of client.runs.list({ workflow: "slow", size: 1_000 }))
    if (status === "SUCCEEDED") found.push((made as { only: number }).only);
  return found.sort((a, b) => a - b);
}

describe("a stream of events with a limit in bytes", () => {
  it("refuses publishers with a clear error, loses nothing that it took, and takes more once what is done with has gone", async () => {
    const { client, manager } = await startWorld({ eventsMaxBytes: 2 * MIB });
    expect((await manager.streams.info("SLUICE_EVENTS")).config).toMatchObject({
      max_bytes: 2 * MIB,
      discard: DiscardPolicy.New,
    });
    const { taken, error } = await publishUntilRefused(client, "first");
    expect(isStreamFullError(error)).toBe(true);
    expect(String(error)).toMatch(
      /^StreamFullError: publishing on sluice\.events\.slow: the stream is full .*\(maximum bytes exceeded\)$/,
    );
    expect(taken.length).toBeGreaterThan(80);
    const many = await client
      .publishMany(Array.from({ length: 3 }, (_, n) => ({ event: "slow", payload: { n: 5_000 + n, gate: "first", LARGE } })))
      .catch((thrown: unknown) => thrown);
    expect(many).toBeInstanceOf(PublishManyError);
    expect((many as PublishManyError).failures.map(({ error: why }) => isStreamFullError(why))).toEqual([true, true, true]);

    // They hold their events until they have ended: no room comes before.
    await waitFor(async () => (await client.health()).live === taken.length, { what: "the runs to be there" });
    gates.open("first");
    const more = await waitFor(
      async () => {
        await client.publish("slow", { n: 9_000, gate: "first" });
        return true;
      },
      { timeoutMs: 15_000, what: "an event to be taken again" },
    );
    expect(more).toBe(true);
    await waitFor(async () => (await outputs(client)).length === taken.length + 1, { what: "all runs to have ended" });
    expect(await outputs(client)).toEqual([...taken, 9_000]);
  });

  it("keeps its limit when an engine starts that says nothing of it, and drops nothing when the limit is cut below what is there", async () => {
    const { client, engine, manager, server } = await startWorld({ eventsMaxBytes: 8 * MIB });
    const published = await client.publishMany(
      Array.from({ length: 100 }, (_, n) => ({ event: "slow", payload: { n, gate: "kept", LARGE } })),
    );
    await waitFor(async () => (await client.health()).live === 100, { what: "the runs to be there" });
    await engine.stop();
    const before = (await manager.streams.info("SLUICE_EVENTS")).state.messages;
    const next = async (more: Partial<EngineOptions>): Promise<void> => {
      const one = await startEngine({ servers: server.url, logger: silent, dataDir: await temporaryFolder(), ...more });
      const { config, state } = await manager.streams.info("SLUICE_EVENTS");
      // The server would drop what is above a new limit: it is left for a later start.
      expect(config.max_bytes).toBe(8 * MIB);
      expect(state.messages).toBe(before);
      await one.stop();
    };
    await next({});
    await next({ eventsMaxBytes: MIB });
    expect(published).toHaveLength(100);
    const last = await startEngine({ servers: server.url, logger: silent, dataDir: await temporaryFolder() });
    onCleanup(() => last.stop());
    gates.open("kept");
    await waitFor(async () => (await outputs(client)).length === 100, { timeoutMs: 20_000, what: "all runs to end" });
  });
});

describe("a partition whose stream is full", () => {
  it("stands still and says so, refuses new runs, and goes on with everything when there is room", async () => {
    const { client, engine, manager, log } = await startWorld({ partitionMaxBytes: MIB });
    const runs: string[] = [];
    let refused: unknown;
    while (refused === undefined && runs.length < 500) {
      try {
        runs.push((await client.run(slow, { n: runs.length, gate: "room", LARGE })).id);
      } catch (error) {
        refused = error;
      }
    }
    expect(isRequestError(refused)).toBe(true);
    expect(refused).toMatchObject({ status: 507, reason: "STREAM_FULL" });
    // What the workers deliver is refused too, and kept by them; the journal may have had room for some.
    gates.open("room");
    // Something small may still fit: the journal is refused once nothing does.
    await waitFor(
      async () => {
        await client.publish("slow", { n: 7_777, gate: "room" });
        return engine.stats().partitionsRefused === 1;
      },
      { what: "the partition to stand still" },
    );
    expect(log.filter((line) => line.includes("the stream of a partition is full")).length).toBeGreaterThan(0);
    expect(await client.health()).toMatchObject({
      verdict: "stuck",
      sentence: expect.stringMatching(/still: NATS does not take .*partitionMaxBytes/),
    });
    const refusedOnes = async () =>
      (await engine.call("node.list", {})).items.flatMap(({ partitions }) => partitions.filter(({ refused }) => refused));
    expect(await refusedOnes()).toMatchObject([{ partition: 0, state: "owned", refused: true }]);

    await manager.streams.update("SLUICE_P0", { max_bytes: -1 });
    await waitFor(() => engine.stats().partitionsRefused === 0, { what: "the partition to go on" });
    expect(await refusedOnes()).toEqual([]);
    expect(log.some((line) => line.includes("takes the journal of a partition again"))).toBe(true);
    for (const id of runs)
      await waitFor(async () => (await client.runs.get(id)).status === "SUCCEEDED", { what: "a run to succeed" });
  });
});
