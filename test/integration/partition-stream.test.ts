/** The stream of a partition on a real server: the fence, appends whose acknowledgement is lost, snapshots, purging. */
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import { connectNats, type Connection } from "../../src/nats/connection.ts";
import { PartitionStream } from "../../src/nats/partition-stream.ts";
import { ensureStreams } from "../../src/nats/streams.ts";
import { createNames } from "../../src/nats/subjects.ts";
import { onCleanup } from "../support/cleanup.ts";
import { startTestServer } from "../support/nats.ts";
import { within } from "../support/wait.ts";

const logger = pino({ level: "silent" });
const names = createNames();

async function connectTo(url: string): Promise<Connection> {
  const connection = await connectNats({ servers: url, name: "test", logger });
  onCleanup(() => connection.close());
  return connection;
}

interface Opened {
  readonly first: PartitionStream;
  readonly second: PartitionStream;
  readonly connection: Connection;
  readonly server: NatsServer;
}

async function openTwo(): Promise<Opened> {
  const server = await startTestServer();
  const connection = await connectTo(server.url);
  await ensureStreams(connection, names, 1, { replicas: 1, duplicateWindowMs: 1_000, rejectedMaxAgeMs: 60_000 });
  const open = (): PartitionStream => new PartitionStream({ connection, names, partition: 0, logger });
  return { first: open(), second: open(), connection, server };
}

async function journalOf(stream: PartitionStream): Promise<string[]> {
  const texts: string[] = [];
  await stream.readJournal(0, (message) => void texts.push(Buffer.from(message.data).toString()));
  return texts;
}

describe("the journal of a partition", () => {
  it("refuses the owner before as soon as another has written", async () => {
    const { first, second } = await openTwo();
    await first.open();
    expect((await first.append("a")).outcome).toBe("committed");
    await second.open();
    expect((await second.append("b")).outcome).toBe("committed");
    expect(await first.append("c")).toEqual({ outcome: "fenced" });
    expect(await journalOf(second)).toEqual(["a", "b"]);
  });

  // The engine puts the owner's epoch into each text, so that two owners never write the same.
  it("takes an append for its own when the same text is there although its acknowledgement was lost", async () => {
    const { first, second } = await openTwo();
    await first.open();
    await second.open();
    // What `first` would have stored, had its acknowledgement come: to `second`, with the same text, it looks like its own.
    expect((await first.append("same")).outcome).toBe("committed");
    expect((await second.append("same")).outcome).toBe("committed");
    expect(await journalOf(first)).toEqual(["same"]);
  });

  it("keeps the fence when all before a snapshot is purged", async () => {
    const { first, second, connection } = await openTwo();
    await first.open();
    for (const text of ["a", "b"]) await first.append(text);
    const { seq } = await connection.publishAcked(names.inbox(0), "has been read");
    await first.append("c");
    await first.writeSnapshot(["{}"], first.lastJournalSeq, seq);
    await first.purge(first.lastJournalSeq, seq);
    expect(await journalOf(first)).toEqual(["c"]);
    await second.open();
    expect(await second.manifest()).toMatchObject({ inboxSeq: seq });
    expect(await second.lastInboxSeq()).toBe(0);
    expect(second.lastJournalSeq).toBe(first.lastJournalSeq);
    expect((await second.append("d")).outcome).toBe("committed");
    expect(await first.append("e")).toEqual({ outcome: "fenced" });
  });

  it("keeps what of the inbox has not been read when all before a snapshot is purged", async () => {
    const { first, connection } = await openTwo();
    await first.open();
    const { seq } = await connection.publishAcked(names.inbox(0), "has been read");
    await connection.publishAcked(names.inbox(0), "has not");
    await first.append("a");
    await first.writeSnapshot(["{}"], first.lastJournalSeq, seq);
    await first.purge(first.lastJournalSeq, seq);
    expect(await first.lastInboxSeq()).toBe(seq + 1);
  });
});

describe("a read of the journal whose server is away", () => {
  it("is ended by stop", async () => {
    const { first, server } = await openTwo();
    await first.open();
    await first.append("a");
    await server.stop();
    const reading = journalOf(first);
    first.stop();
    await expect(within(1_000, "the read to end", reading)).rejects.toThrow("reading SLUICE_P0 was stopped");
    await expect(journalOf(first)).rejects.toThrow("was stopped");
  });
});

describe("the snapshots of a partition", () => {
  it("come back line by line, also with lines longer than a message may be", async () => {
    const { first, second, connection } = await openTwo();
    await first.open();
    await first.append("a");
    const lines = ["head", "ü".repeat(connection.maxPayload), "short", "x".repeat(100_000), "end"];
    expect(await first.writeSnapshot(lines, first.lastJournalSeq, 7)).toBe(true);
    await second.open();
    const manifest = await second.manifest();
    expect(manifest).toMatchObject({ journalSeq: first.lastJournalSeq, inboxSeq: 7, runs: 4 });
    const found: string[] = [];
    if (manifest !== undefined) await second.readSnapshot(manifest, (line) => void found.push(line));
    expect(found).toEqual(lines);
  });

  it("replace one that an owner before has written late", async () => {
    const { first, second } = await openTwo();
    await first.open();
    await first.append("a");
    await second.open();
    await second.manifest();
    await second.append("b");
    expect(await first.writeSnapshot(["late"], 1, 0)).toBe(true);
    expect(await second.writeSnapshot(["newer"], second.lastJournalSeq, 0)).toBe(true);
    expect((await first.manifest())?.journalSeq).toBe(second.lastJournalSeq);
  });

  it("are not replaced by an owner before", async () => {
    const { first, second } = await openTwo();
    await first.open();
    await first.append("a");
    await second.open();
    expect(await second.writeSnapshot(["newer"], 1, 0)).toBe(true);
    expect(await first.writeSnapshot(["older"], 1, 0)).toBe(false);
    await first.open();
    const manifest = await first.manifest();
    const found: string[] = [];
    if (manifest !== undefined) await first.readSnapshot(manifest, (line) => void found.push(line));
    expect(found).toEqual(["newer"]);
  });
});
