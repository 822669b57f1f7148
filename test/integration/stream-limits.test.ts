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
  isTimeoutError,
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

const bulky = defineWorkflow({ name: "bulky", on: "bulky" }).step("only", () => LARGE);
const heavy = defineWorkflow({ name: "heavy" })
  .step("make", () => LARGE)
  .step("only", async ({ input, signal }) => await gates.pass((input as { readonly gate: string }).gate, signal));

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
    workflows: [slow, bulky, heavy],
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

describe("a partition whose stream has a limit", () => {
  it("makes room by itself, so that runs that end flow through it for ever", async () => {
    const { client, engine, manager, log } = await startWorld({ partitionMaxBytes: 4 * MIB });
    // What they make goes through the inbox, and into the journal.
    for (let wave = 0; wave < 40; wave++) {
      const events = Array.from({ length: 20 }, (_, n) => ({ event: "bulky", payload: { n: wave * 20 + n } }));
      await client.publishMany(events);
      await waitFor(async () => (await client.runs.count({ workflow: "bulky", status: "SUCCEEDED" })).count === (wave + 1) * 20, {
        what: `wave ${wave} to end`,
      });
    }
    // 16 MB of results, in the inbox and again in the journal.
    expect((await manager.streams.info("SLUICE_P0")).state.bytes).toBeLessThan(4 * MIB);
    expect(engine.stats().partitionsRefused).toBe(0);
    expect(log.filter((line) => line.includes("is full") || line.includes("could not be written"))).toEqual([]);
  });
});

describe("a partition whose stream is full", () => {
  it("stands still and says so, refuses new runs, and goes on with everything when there is room", async () => {
    const { client, engine, manager, log } = await startWorld({ partitionMaxBytes: MIB });
    // Runs that have made much, and wait: what they have is needed, and no snapshot makes room.
    const runs: string[] = [];
    let refused: unknown;
    const create = async (): Promise<void> => {
      try {
        runs.push((await client.run(heavy, { n: runs.length, gate: "room", LARGE })).id);
      } catch (error) {
        // One that was taken as the last thing before is not answered in time.
        if (!isTimeoutError(error)) refused = error;
        // Something small may still fit: the journal is refused once nothing does.
        await client.publish("slow", { n: 7_777, gate: "room" });
      }
    };
    const standstill = waitFor(() => engine.stats().partitionsRefused === 1, {
      timeoutMs: 20_000,
      what: "the partition to stand still",
    });
    await waitFor(
      async () => {
        await Promise.race([create(), standstill]);
        return refused !== undefined && engine.stats().partitionsRefused === 1;
      },
      { timeoutMs: 20_000, what: "new runs to be refused as well" },
    );
    expect(isRequestError(refused)).toBe(true);
    expect(refused).toMatchObject({ status: 507, reason: "STREAM_FULL" });
    expect(log.filter((line) => line.includes("the stream of a partition is full")).length).toBeGreaterThan(0);
    const { sentence } = await waitFor(
      async () => {
        const health = await client.health();
        return health.verdict === "stuck" && health;
      },
      { what: "it to be said" },
    );
    expect(sentence).toMatch(/still: NATS does not take .*partitionMaxBytes/);
    const refusedOnes = async () =>
      (await engine.call("node.list", {})).items.flatMap(({ partitions }) => partitions.filter(({ refused }) => refused));
    await waitFor(async () => (await refusedOnes()).some(({ partition }) => partition === 0), { what: "it to be named" });
    gates.open("room");

    await manager.streams.update("SLUICE_P0", { max_bytes: -1 });
    await waitFor(() => engine.stats().partitionsRefused === 0, { what: "the partition to go on" });
    expect(await refusedOnes()).toEqual([]);
    expect(log.some((line) => line.includes("takes the journal of a partition again"))).toBe(true);
    for (const id of runs)
      await waitFor(async () => (await client.runs.get(id)).status === "SUCCEEDED", { what: "a run to succeed" });
  });
});
