/** The history with its thread and its file: feeding, freshness, bounds, and files that cannot be used. */
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { type CreatedFact, encodeBatch, type Fact, type SnapshotLine } from "../../src/engine/facts.ts";
import { HistoryFeed, type ReadJournal } from "../../src/history/feed.ts";
import { createHistory, type History } from "../../src/history/history.ts";
import type { HistoryOptions } from "../../src/history/history-options.ts";
import { openHistory } from "../../src/history/open-history.ts";
import type { WorkflowSpec } from "../../src/workflow/spec.ts";
import { onCleanup } from "../support/cleanup.ts";
import { recordingLogger } from "../support/fake-engine.ts";
import { EVENTS_STREAM, T0, workflow } from "../support/history-world.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

const USER: WorkflowSpec = workflow("user", ["user"]);
const SILENT = pino({ level: "silent" });

const created = (run: string, at = T0, more: object = {}): CreatedFact =>
  ({ k: "created", at, run, wf: "user", ver: "v1", phase: "active", keys: ["u1"], input: { n: 1 }, ...more }) as CreatedFact;
const finished = (run: string, at = T0 + 5): Fact => ({ k: "finished", at, run, status: "SUCCEEDED" });
const text = (...facts: Fact[]): string =>
  encodeBatch(
    1,
    undefined,
    facts.map((fact) => JSON.stringify(fact)),
  );

async function startHistory(file: string, options: Partial<HistoryOptions> = {}): Promise<History> {
  const history = createHistory({
    file,
    logger: SILENT,
    eventsStream: EVENTS_STREAM,
    retention: { maxAgeMs: 1e12, maxRuns: 1e6 },
    ...options,
  });
  onCleanup(async () => await history.stop());
  history.define(USER);
  await history.start();
  return history;
}

const idsOf = async (history: History, query = {}): Promise<string[]> =>
  (await history.list(query)).items.map(({ view }) => view.id);

describe("A history", () => {
  it("may be stopped without having been started, twice, and started again", async () => {
    const file = `${await temporaryFolder("history")}/deep/er/history.db`;
    const history = createHistory({
      file,
      logger: SILENT,
      eventsStream: EVENTS_STREAM,
      retention: { maxAgeMs: 1e12, maxRuns: 10 },
    });
    onCleanup(async () => await history.stop());
    await history.stop();
    await Promise.all([history.start(), history.start()]);
    expect(history.apply(0, 1, 0, text(created("r1")))).toBe(true);
    await Promise.all([history.stop(), history.stop()]);
    await expect(history.run("r1")).rejects.toMatchObject({
      code: "HISTORY_UNAVAILABLE",
      message: expect.stringContaining("it was stopped"),
    });
    const stopping = history.start().then(async () => await history.stop());
    await stopping;
    await history.start();
    expect((await history.run("r1"))?.view.status).toBe("RUNNING");
    expect([history.taken(0), history.position(0), history.syncedPosition(0)]).toEqual([1, 1, 1]);
  });

  it("answers with everything that was taken before the question, and waits for what comes after it if asked to", async () => {
    const history = await startHistory(":memory:", { commitMs: 60_000 });
    history.apply(0, 3, 0, text(created("r1")));
    expect((await history.run("r1"))?.view.status).toBe("RUNNING");
    const later = history.run("r1", { after: { partition: 0, seq: 5 } });
    const never = history.run("r1", { after: { partition: 1, seq: 1 } }).catch((error: unknown) => error);
    history.apply(0, 4, 3, text());
    history.apply(0, 5, 4, text(finished("r1")));
    expect((await later)?.view).toMatchObject({ status: "SUCCEEDED", finishedAt: new Date(T0 + 5).toISOString() });
    await history.stop();
    expect(await never).toMatchObject({ code: "HISTORY_UNAVAILABLE" });
  });

  it("says that it is behind when a position does not come in time", async () => {
    const history = await startHistory(":memory:", { requestTimeoutMs: 50 });
    await expect(history.run("r1", { after: { partition: 0, seq: 5 } })).rejects.toMatchObject({
      code: "HISTORY_BEHIND",
      message: expect.stringContaining("position 5 of partition 0"),
    });
  });

  it("takes batches in order with none left out, and ignores those that it has", async () => {
    const history = await startHistory(":memory:");
    expect(history.apply(0, 2, 0, text(created("r1")))).toBe(true);
    expect(history.apply(0, 9, 5, text(created("r3")))).toBe(false);
    expect(history.taken(0)).toBe(2);
    expect(history.apply(0, 5, 2, text(created("r2", T0 + 1)))).toBe(true);
    expect(history.apply(0, 2, 0, text(created("r1")))).toBe(true);
    expect(history.apply(0, 9, 5, text(created("r3", T0 + 2)))).toBe(true);
    expect(await idsOf(history)).toEqual(["r3", "r2", "r1"]);
    expect(await history.events("r1")).toHaveLength(2);
  });

  it("leaves out a batch that cannot be read, says so, and goes on", async () => {
    const { logger, lines } = recordingLogger();
    const history = await startHistory(":memory:", { logger });
    history.apply(0, 1, 0, "{nonsense");
    history.apply(0, 2, 1, text(created("r1")));
    expect(await idsOf(history)).toEqual(["r1"]);
    expect(lines.map(({ msg }) => msg)).toContain("left a journal message out of the history: it cannot be read");
  });

  it("refuses batches when too much is queued, and says when there is room", async () => {
    const history = await startHistory(":memory:", { maxQueuedChars: 1_000 });
    let seq = 0;
    while (history.apply(0, seq + 1, seq, text(created(`r${seq}`)))) seq++;
    expect(seq).toBeGreaterThan(3);
    expect(history.taken(0)).toBe(seq);
    await history.room();
    expect(history.apply(0, seq + 1, seq, text(created(`r${seq}`)))).toBe(true);
    expect(await idsOf(history)).toHaveLength(seq + 1);
  });

  it("says which run an event started, and where its input is", async () => {
    const history = await startHistory(":memory:");
    const ev = { name: "message.sent", seq: 77 };
    history.apply(
      0,
      1,
      0,
      text(
        created("r1", T0, { ev, input: undefined }),
        created("r2", T0 + 1, { ev, input: undefined, ref: { stream: "SLUICE_P0", seq: 8 } }),
        created("r3", T0 + 2, { ev }),
      ),
    );
    expect(await history.runsOfEvents([77, 78])).toEqual(
      new Map([
        [77, ["r1", "r2", "r3"]],
        [78, []],
      ]),
    );
    expect(await history.run("r1")).toMatchObject({
      inputRef: { stream: EVENTS_STREAM, seq: 77 },
      view: { input: undefined, event: ev },
    });
    expect(await history.run("r2")).toMatchObject({ inputRef: { stream: "SLUICE_P0", seq: 8 }, view: { input: undefined } });
    expect((await history.run("r3"))?.inputRef).toBeUndefined();
    expect(await history.run("nobody")).toBeUndefined();
    expect(await history.events("nobody")).toBeUndefined();
  });

  it("gives pages that don't shift when runs come in, and refuses cursors, times and statuses that mean nothing", async () => {
    const history = await startHistory(":memory:");
    history.apply(
      0,
      1,
      0,
      text(...Array.from({ length: 25 }, (_, n) => created(`r${String(n).padStart(2, "0")}`, T0 + (n >> 1)))),
    );
    const seen: string[] = [];
    let cursor: string | undefined;
    let seq = 1;
    do {
      const page = await history.list({ size: 10, ...(cursor !== undefined && { cursor }) });
      seen.push(...page.items.map(({ view }) => view.id));
      cursor = page.next;
      history.apply(0, seq + 1, seq, text(created(`new${seq}`, T0 + 1_000)));
      seq++;
    } while (cursor !== undefined);
    expect(seen).toEqual(Array.from({ length: 25 }, (_, n) => `r${String(24 - n).padStart(2, "0")}`));
    await expect(history.list({ cursor: "rubbish" })).rejects.toMatchObject({ code: "QUERY_INVALID" });
    await expect(history.list({ since: "yesterday" })).rejects.toMatchObject({
      code: "QUERY_INVALID",
      message: expect.stringContaining("'since'"),
    });
    await expect(history.list({ status: "DONE" as never })).rejects.toMatchObject({
      code: "QUERY_INVALID",
      message: expect.stringContaining("DONE"),
    });
    expect(history.mode).toBe("open");
  });

  it("takes out runs that are too old or too many, the oldest first, and never open ones", async () => {
    let now = T0;
    const history = await startHistory(":memory:", { now: () => now, retention: { maxAgeMs: 10_000, maxRuns: 300 } });
    const many = Array.from({ length: 1_000 }, (_, n) => [created(`r${n}`, T0 + n), finished(`r${n}`, T0 + n)]).flat();
    history.apply(0, 1, 0, text(created("open", T0 - 5), ...many));
    expect(await history.retain()).toBe(701);
    const left = await idsOf(history, { size: 1_000 });
    expect(left).toHaveLength(300);
    expect([left[0], left.at(-2), left.at(-1)]).toEqual(["r999", "r701", "open"]);
    now = T0 + 10_900;
    expect(await history.retain()).toBe(199);
    expect(await idsOf(history, { key: "u1", limit: "user", size: 1_000 })).toHaveLength(101);
    now = T0 + 1e9;
    await history.retain();
    expect(await idsOf(history)).toEqual(["open"]);
  });
});

describe("A history's file", () => {
  it("is of use to one process at a time, and is taken once the other lets go", async () => {
    const file = `${await temporaryFolder("history")}/history.db`;
    const first = await startHistory(file);
    first.apply(0, 1, 0, text(created("r1")));
    const { logger, lines } = recordingLogger();
    const second = await startHistory(file, { logger, retryMs: 20 });
    expect(second.mode).toBe("failed");
    expect(second.apply(0, 1, 0, text(created("r1")))).toBe(false);
    await expect(second.run("r1")).rejects.toMatchObject({
      code: "HISTORY_UNAVAILABLE",
      message: expect.stringContaining("locked"),
    });
    await first.stop();
    await second.room();
    expect(second.taken(0)).toBe(1);
    expect((await second.run("r1"))?.view.id).toBe("r1");
    // Tried many times, told once.
    expect(lines.filter(({ level }) => level >= 50)).toHaveLength(1);
  });

  it("is left to the engine node that has it by another one in the same folder, which takes the next, and that is no error", async () => {
    const { logger, lines } = recordingLogger();
    const options = { dataDir: await temporaryFolder("history"), prefix: "sluice", retentionMs: 1e12, logger };
    for (let node = 0; node < 2; node++) {
      const history = await openHistory(options);
      onCleanup(async () => await history.stop());
    }
    expect(existsSync(`${options.dataDir}/history.2.db`)).toBe(true);
    expect(lines.filter(({ level }) => level >= 40)).toEqual([]);
    expect(lines.map(({ msg }) => msg)).toEqual(["another process has this history file: another is taken"]);
  });

  it("begins anew where it is corrupt, keeps what was there, and warns once", async () => {
    const folder = await temporaryFolder("history");
    const file = `${folder}/history.db`;
    await writeFile(file, "this is not a database".repeat(1_000));
    const { logger, lines } = recordingLogger();
    const history = await startHistory(file, { logger });
    expect(history.mode).toBe("open");
    expect(history.taken(0)).toBe(0);
    history.apply(0, 1, 0, text(created("r1")));
    expect(await idsOf(history)).toEqual(["r1"]);
    expect(existsSync(`${file}.corrupt`)).toBe(true);
    expect(lines.filter(({ level }) => level >= 40)).toHaveLength(1);
  });

  it("begins anew where it is another cluster's, whose positions mean nothing here", async () => {
    const file = `${await temporaryFolder("history")}/history.db`;
    const first = await startHistory(file, { cluster: "one" });
    first.apply(0, 100, 0, text(created("r1")));
    await first.stop();
    const same = await startHistory(file, { cluster: "one" });
    expect(same.taken(0)).toBe(100);
    await same.stop();
    const { logger, lines } = recordingLogger();
    const other = await startHistory(file, { cluster: "two", logger });
    expect(other.taken(0)).toBe(0);
    expect(await idsOf(other)).toEqual([]);
    expect(lines.map(({ msg }) => msg).join()).toContain("another cluster");
    expect(existsSync(`${file}.corrupt`)).toBe(false);
  });

  it("that cannot be written is reported once, tried again, and fed from the journal when it can", async () => {
    const folder = await temporaryFolder("history");
    const blocked = `${folder}/data`;
    await writeFile(blocked, "a file where a folder should be");
    const { logger, lines } = recordingLogger();
    const journal = [
      { seq: 1, data: Buffer.from(text(created("r1"))) },
      { seq: 4, data: Buffer.from(text(finished("r1"), created("r2", T0 + 1))) },
    ];
    const history = await openHistory({
      dataDir: blocked,
      prefix: "sluice",
      retentionMs: 1e12,
      logger,
      readJournal: fromArray(() => journal),
      retryMs: 20,
    });
    onCleanup(async () => await history.stop());
    history.define(USER);
    for (const { seq, data } of journal) expect(history.apply(0, seq, data.toString())).toBe(false);
    await expect(history.list({})).rejects.toMatchObject({ code: "HISTORY_UNAVAILABLE" });
    await rm(blocked);
    const items = await waitFor(async () => {
      const page = await history.list({});
      return page.items.length === 2 ? page.items : undefined;
    });
    expect(items.map(({ id, status }) => [id, status])).toEqual([
      ["r2", "RUNNING"],
      ["r1", "SUCCEEDED"],
    ]);
    expect(lines.filter(({ level }) => level >= 50)).toHaveLength(1);
    expect(await readdir(blocked)).toContain("history.db");
  });

  it.skipIf(process.getuid?.() === 0)("in a folder that is read only is reported too", async () => {
    const folder = `${await temporaryFolder("history")}/locked`;
    await mkdir(folder);
    await chmod(folder, 0o500);
    const history = await startHistory(`${folder}/history.db`);
    expect(history.mode).toBe("failed");
    await history.stop();
    await chmod(folder, 0o700);
  });
});

/** A journal that is an array; whoever reads it is waited for. */
function fromArray(messages: () => readonly { readonly seq: number; readonly data: Uint8Array }[]): ReadJournal {
  return async (_partition, afterSeq, onMessage) => {
    for (const message of messages()) if (message.seq > afterSeq) await onMessage(message);
  };
}

describe("A feed", () => {
  it("reads again what was not taken, also while new batches come in", async () => {
    const history = await startHistory(":memory:", { maxQueuedChars: 2_000 });
    const journal: { seq: number; data: Uint8Array }[] = [];
    const feed = new HistoryFeed({ history, partition: 0, logger: SILENT, readJournal: fromArray(() => journal) });
    let refused = 0;
    for (let n = 0; n < 500; n++) {
      const seq = n * 3 + 1;
      journal.push({ seq, data: Buffer.from(text(created(`r${n}`, T0 + n))) });
      if (!feed.offer(seq, text(created(`r${n}`, T0 + n)))) refused++;
      if (n % 50 === 0) await history.room();
    }
    expect(refused).toBeGreaterThan(0);
    await waitFor(() => history.taken(0) === 499 * 3 + 1);
    expect(await idsOf(history, { size: 1_000 })).toEqual(Array.from({ length: 500 }, (_, n) => `r${499 - n}`));
  });

  it("leaves nothing out where the reader does not wait, or fails", async () => {
    const history = await startHistory(":memory:", { maxQueuedChars: 500 });
    const journal: { seq: number; data: Uint8Array }[] = [];
    let reads = 0;
    const hasty: ReadJournal = async (_partition, afterSeq, onMessage) => {
      reads++;
      if (reads === 2) throw new Error("no connection");
      const all: unknown[] = [];
      for (const message of journal) if (message.seq > afterSeq) all.push(onMessage(message));
      await Promise.all(all);
    };
    const feed = new HistoryFeed({ history, partition: 0, logger: SILENT, readJournal: hasty });
    for (let seq = 1; seq <= 40; seq++) {
      journal.push({ seq, data: Buffer.from(text(created(`r${seq}`, T0 + seq))) });
      feed.offer(seq, text(created(`r${seq}`, T0 + seq)));
    }
    await waitFor(() => history.taken(0) === 40);
    expect(await idsOf(history)).toHaveLength(40);
    for (const id of ["r1", "r40"]) expect(await history.events(id)).toHaveLength(2);
  });
});

describe("A snapshot", () => {
  const line = (
    run: string,
    at: number,
    events: readonly { at: number; ev: { type: string } }[] = [],
    more: object = {},
  ): string => JSON.stringify({ s: "run", created: { ...created(run, at), ...more }, order: 1, events } as SnapshotLine);
  const head = JSON.stringify({
    s: "head",
    v: 1,
    in: 0,
    src: {},
    order: 0,
    outbox: {},
    limits: [],
    groups: [],
    crons: [],
    turns: [],
  });

  it("tells of open runs whose beginning the journal has no more, and the journal goes on from there", async () => {
    const history = await startHistory(":memory:");
    await history.applySnapshot(0, 10, [head, line("old", T0, [{ at: T0 + 1, ev: { type: "step.started.a" } }])]);
    expect(history.taken(0)).toBe(0);
    // The journal still has a part from before the snapshot, with a run that ended and with what the snapshot knows already.
    history.apply(
      0,
      8,
      0,
      text(created("short", T0 + 2), { k: "event", at: T0 + 1, run: "old", ev: { type: "step.started.a" } }, finished("unknown")),
    );
    history.apply(0, 10, 8, text(finished("short")));
    history.apply(0, 11, 10, text({ k: "event", at: T0 + 9, run: "old", ev: { type: "xstate.done.actor.a", output: 1 } }));
    expect((await history.events("old"))?.map(({ type }) => type)).toEqual([
      "created",
      "run.admitted",
      "step.started.a",
      "xstate.done.actor.a",
    ]);
    expect((await history.list({})).items.map(({ view }) => [view.id, view.status])).toEqual([
      ["short", "SUCCEEDED"],
      ["old", "RUNNING"],
    ]);
    expect(await idsOf(history, { key: "u1" })).toEqual(["short", "old"]);
  });

  it("takes out open runs that it does not have, once the journal has nothing to say of their end", async () => {
    const { logger, lines } = recordingLogger();
    const history = await startHistory(":memory:", { logger });
    history.apply(0, 1, 0, text(created("a", T0), created("b", T0 + 1), created("c", T0 + 2), created("elsewhere", T0 + 3)));
    history.apply(0, 2, 1, text({ k: "moved", at: T0 + 4, run: "elsewhere", to: 1, n: 1, keys: [] }));
    await history.applySnapshot(0, 20, [head, line("a", T0)]);
    history.apply(0, 15, 2, text(finished("b")));
    expect(await idsOf(history, { status: ["QUEUED", "RUNNING"] })).toEqual(["elsewhere", "c", "a"]);
    history.apply(0, 21, 15, text());
    expect((await history.list({})).items.map(({ view }) => [view.id, view.status])).toEqual([
      ["elsewhere", "RUNNING"],
      ["b", "SUCCEEDED"],
      ["a", "RUNNING"],
    ]);
    expect(lines.map(({ msg }) => msg).join()).toContain("took runs out of the history");
    expect((await history.events("a"))?.map(({ type }) => type)).toEqual(["created", "run.admitted"]);
  });

  it("changes nothing that the history has already", async () => {
    const history = await startHistory(":memory:");
    history.apply(0, 12, 0, text(created("a", T0), finished("a")));
    await history.applySnapshot(0, 10, [head, line("a", T0)]);
    expect((await history.run("a"))?.view.status).toBe("SUCCEEDED");
  });
});

describe("A run that moves", () => {
  it("is one run, whichever partition's journal is read first", async () => {
    const from = text(
      {
        ...created("r1", T0),
        phase: "keying",
        keys: undefined,
        meta: { tenant: "t" },
        ev: { name: "e", seq: 5 },
      } as unknown as Fact,
      { k: "moved", at: T0 + 3, run: "r1", to: 2, n: 1, keys: ["u1"] },
    );
    const to = text(
      { ...created("r1", T0 + 4), born: T0, phase: "waiting", meta: { tenant: "t" }, ev: { name: "e", seq: 5 } } as Fact,
      { k: "admitted", at: T0 + 6, run: "r1" },
    );
    const views = [];
    for (const order of [
      [1, 2],
      [2, 1],
    ]) {
      const history = await startHistory(":memory:");
      for (const partition of order) {
        history.apply(partition, 1, 0, partition === 1 ? from : to);
        await history.flush();
      }
      const row = await history.run("r1");
      expect(row?.partition).toBe(2);
      expect(row?.view).toMatchObject({
        status: "RUNNING",
        createdAt: new Date(T0).toISOString(),
        admittedAt: new Date(T0 + 6).toISOString(),
        keys: [{ limit: "user", key: "u1" }],
        metadata: { tenant: "t" },
        input: { n: 1 },
      });
      expect((await history.events("r1"))?.map(({ type }) => type)).toEqual([
        "created",
        "keying",
        "moved",
        "queued",
        "run.admitted",
      ]);
      expect(await idsOf(history, { status: "RUNNING" })).toEqual(["r1"]);
      views.push(row);
    }
    expect(views[0]).toEqual(views[1]);
  });
});
