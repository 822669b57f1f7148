/** Routers that follow each other on a real server: what is saved of the events, and by whom. No partition has an owner here. */
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { OwnedPartitions } from "../../src/engine/owned-partitions.ts";
import { Placement } from "../../src/engine/placement.ts";
import { type DefinitionMessage, DeposedError, Router } from "../../src/engine/router.ts";
import { Transfers } from "../../src/engine/transfers.ts";
import { Workflows } from "../../src/engine/workflows.ts";
import { Bucket } from "../../src/nats/bucket.ts";
import { connectNats, type Connection } from "../../src/nats/connection.ts";
import { StreamReader } from "../../src/nats/stream-reader.ts";
import { ensureStreams } from "../../src/nats/streams.ts";
import { createNames } from "../../src/nats/subjects.ts";
import type { TransferCommand } from "../../src/protocol/commands.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { onCleanup } from "../support/cleanup.ts";
import { startTestServer } from "../support/nats.ts";
import { waitFor, within } from "../support/wait.ts";

const logger = pino({ level: "silent" });
const names = createNames();
const PARTITIONS = 2;

class World {
  readonly connection: Connection;
  readonly bucket: Bucket;
  readonly workflows = new Workflows();
  readonly definitions: DefinitionMessage[] = [];
  onDefinition: (definition: DefinitionMessage) => Promise<void> = (definition) => {
    this.definitions.push(definition);
    return Promise.resolve();
  };
  deposed: number[] = [];
  /** While true, nothing comes to an inbox. */
  blocked = false;
  #runs = 0;

  private constructor(connection: Connection, bucket: Bucket) {
    this.connection = connection;
    this.bucket = bucket;
    this.workflows.add(defineWorkflow({ name: "free", on: "a" }).step("s", () => 1).spec, 0, 0);
  }

  static async open(): Promise<World> {
    const server = await startTestServer();
    const connection = await connectNats({ servers: server.url, name: "test", logger });
    onCleanup(() => connection.close());
    await ensureStreams(connection, names, PARTITIONS, { replicas: 1, duplicateWindowMs: 1_000, rejectedMaxAgeMs: 60_000 });
    return new World(connection, await Bucket.open(connection, names.bucket, { replicas: 1 }));
  }

  router(epoch: number): Router {
    const transfers = new Transfers({
      owned: new OwnedPartitions(PARTITIONS),
      publish: (partition, text) =>
        this.blocked ? Promise.reject(new Error("blocked")) : this.connection.publishAcked(names.inbox(partition), text),
      applied: () => Promise.reject(new Error("nothing is owned here")),
      maxPayloadBytes: () => this.connection.maxPayload,
      logger,
    });
    const router = new Router({
      connection: this.connection,
      names,
      bucket: this.bucket,
      epoch,
      workflows: this.workflows,
      placement: new Placement(PARTITIONS),
      transfers,
      newRunId: () => `r${++this.#runs}`,
      prepare: () => Promise.resolve(),
      onDefinition: (definition) => this.onDefinition(definition),
      onDeposed: () => this.deposed.push(epoch),
      reject: () => Promise.resolve(),
      logger,
    });
    onCleanup(async () => {
      await router.stop();
      transfers.stop();
    });
    return router;
  }

  async publish(count: number): Promise<number> {
    let last = 0;
    for (let i = 0; i < count; i++) last = (await this.connection.publishAcked(names.event("a"), "{}")).seq;
    return last;
  }

  async saved(): Promise<unknown> {
    return (await this.bucket.get("position.router"))?.value;
  }

  /** Sequences of the events whose runs stand in the inboxes. */
  async arrived(): Promise<Set<number>> {
    const seqs = new Set<number>();
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const end = (await this.connection.publishAcked(names.inbox(partition), "{}")).seq;
      await within(
        10_000,
        "the inbox",
        new Promise<void>((resolve) => {
          const reader = new StreamReader(this.connection, {
            stream: names.partitionStream(partition),
            fromSeq: 1,
            onMessage: ({ seq, data }) => {
              const { items = [] } = JSON.parse(Buffer.from(data).toString()) as Partial<TransferCommand>;
              for (const { position } of items) seqs.add(position[0]);
              if (seq === end) void reader.stop().then(resolve);
              return undefined;
            },
            logger,
          });
          reader.start();
        }),
      );
    }
    return seqs;
  }
}

const upTo = (last: number): Set<number> => new Set(Array.from({ length: last }, (_, index) => index + 1));

describe("a router", () => {
  it("saves how far runs have come when it stops, and the next one goes on there", async () => {
    const world = await World.open();
    const first = world.router(1);
    await first.start();
    const last = await world.publish(20);
    await within(10_000, "the events", first.passed(last));
    await waitFor(() => first.durableSeq === last);
    await first.stop();
    expect(await world.saved()).toEqual({ seq: last, epoch: 1 });
    const next = world.router(2);
    await next.start();
    expect(next.readSeq).toBe(last);
    const later = await world.publish(5);
    await within(10_000, "the events", next.passed(later));
    await waitFor(() => next.durableSeq === later);
    expect(await world.arrived()).toEqual(upTo(later));
  });

  it("saves nothing that has not arrived, when it is abandoned or stopped with runs on their way", async () => {
    const world = await World.open();
    world.blocked = true;
    const ends = [(router: Router) => Promise.resolve(router.abandon()), (router: Router) => router.stop()];
    const last = await world.publish(10);
    for (const [epoch, end] of ends.entries()) {
      const router = world.router(epoch + 1);
      await router.start();
      await within(10_000, "the events", router.passed(last));
      await end(router);
      expect([await world.saved(), router.durableSeq]).toEqual([{ seq: 0, epoch: epoch + 1 }, 0]);
    }
    world.blocked = false;
    const next = world.router(3);
    await next.start();
    await waitFor(() => next.durableSeq === last);
    expect(await world.arrived()).toEqual(upTo(last));
  });

  it("that is no longer in office cannot save, ends, and lets nobody wait", async () => {
    const world = await World.open();
    const old = world.router(1);
    await old.start();
    await world.router(2).start();
    const waiting = old.passed(1_000);
    const last = await world.publish(3);
    await expect(within(10_000, "its end", waiting)).rejects.toBeInstanceOf(DeposedError);
    expect(world.deposed).toEqual([1]);
    await waitFor(async () => ((await world.saved()) as { seq: number }).seq === last);
    expect(await world.saved()).toEqual({ seq: last, epoch: 2 });
    await expect(world.router(1).start()).rejects.toBeInstanceOf(DeposedError);
  });

  it("looks at no later event before a definition is taken in, for which all before it can be made durable", async () => {
    const world = await World.open();
    world.blocked = true;
    const router = world.router(1);
    const steps: string[] = [];
    world.onDefinition = async (definition) => {
      steps.push(`came at ${definition.seq}, read to ${router.readSeq}`);
      if (steps.length === 1) throw new Error("try again");
      setImmediate(() => (world.blocked = false));
      await definition.settled();
      steps.push(`saved ${JSON.stringify(await world.saved())}`);
    };
    await router.start();
    await world.publish(2);
    await world.connection.publishAcked(names.definition("free"), "{}");
    const last = await world.publish(1);
    await within(10_000, "the last event", router.passed(last));
    expect(steps).toEqual(["came at 3, read to 2", "came at 3, read to 2", 'saved {"seq":2,"epoch":1}']);
  });
});
