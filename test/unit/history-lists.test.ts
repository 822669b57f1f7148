/** Lists out of the history's file: filters that an index does not answer, pages of a bounded effort, counts, retention by size. */
import { existsSync } from "node:fs";
import { copyFile, stat } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { encodeBatch, type Fact } from "../../src/engine/facts.ts";
import type { RunListQuery } from "../../src/protocol/view.ts";
import { DirectProjector, T0 } from "../support/history-world.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const NEVER = { cutoffMs: 0, maxRuns: 1e9, maxBytes: Infinity };
const idOf = (index: number): string => `run-${String(index).padStart(6, "0")}`;

/** Runs one after the other, in one partition. */
async function world(count: number, file = ":memory:", more: (index: number) => object = () => ({})): Promise<DirectProjector> {
  const projector = new DirectProjector(file);
  let seq = 0;
  for (let from = 0; from < count; from += 1_000) {
    const facts: Fact[] = [];
    for (let index = from; index < Math.min(count, from + 1_000); index++) {
      const run = idOf(index);
      const at = T0 + index;
      facts.push({
        k: "created",
        at,
        run,
        wf: "user",
        ver: "v1",
        phase: "active",
        keys: ["u1"],
        input: { n: index },
        ...more(index),
      });
      facts.push({ k: "finished", at: at + 1, run, status: index % 1_000 === 0 ? "FAILED" : "SUCCEEDED" });
    }
    const text = encodeBatch(
      1,
      undefined,
      facts.map((fact) => JSON.stringify(fact)),
    );
    projector.batch({ partition: 0, previous: seq, seq: ++seq, facts, text });
  }
  await projector.request("flush", {});
  return projector;
}

/** All pages; how many there were. */
async function scroll(projector: DirectProjector, query: RunListQuery): Promise<{ ids: string[]; pages: number }> {
  const ids: string[] = [];
  let cursor: string | undefined;
  for (let pages = 1; ; pages++) {
    const page = await projector.list({ ...query, ...(cursor !== undefined && { cursor }) });
    ids.push(...page.items.map(({ view }) => view.id));
    if (page.next === undefined) return { ids, pages };
    expect(page.next).not.toBe(cursor);
    cursor = page.next;
  }
}

describe("A list", () => {
  it("finds rare runs among many, a bounded number of rows per page, all of them and in order", async () => {
    const projector = await world(45_000, ":memory:", (index) => ({
      ...(index % 20_000 === 7 && { meta: { team: "red" }, ev: { name: "rare", seq: index } }),
    }));
    const failed = Array.from({ length: 45 }, (_, index) => idOf(44_000 - index * 1_000));
    const byKey = await scroll(projector, { key: "u1", status: "FAILED", size: 10 });
    expect(byKey.ids).toEqual(failed);
    const one = await projector.list({ key: "u1", status: "QUEUED", size: 10 });
    expect(one.items).toEqual([]);
    expect(one.next).toBeDefined();
    expect((await scroll(projector, { key: "u1", status: "QUEUED", size: 10 })).ids).toEqual([]);

    const rare = [40_007, 20_007, 7].map(idOf);
    expect((await scroll(projector, { tag: "team=red" })).ids).toEqual(rare);
    expect((await scroll(projector, { tag: ["team", "team=red"], status: ["SUCCEEDED", "QUEUED"] })).ids).toEqual(rare);
    expect((await scroll(projector, { tag: "team=red", status: "FAILED" })).ids).toEqual([]);
    expect(await projector.request("count", { key: "u1", status: "FAILED" })).toEqual({ count: 45, atLeast: false });
    expect(await projector.request("count", { status: "SUCCEEDED", workflow: "user" })).toEqual({
      count: 44_955,
      atLeast: false,
    });
    expect(await projector.request("count", { limit: "user" })).toEqual({ count: 45_000, atLeast: false });
    expect(await projector.request("statuses", { workflow: "user", version: "v1" })).toMatchObject({
      SUCCEEDED: 44_955,
      FAILED: 45,
    });
    await projector.close();
  });

  it("keeps its counts over a restart, over what goes, and when a run ends that was there", async () => {
    const file = `${await temporaryFolder("history")}/history.db`;
    let projector = await world(30, file);
    const created: Fact = { k: "created", at: T0, run: "late", wf: "user", ver: "v1", phase: "waiting", keys: ["u1"] };
    const ended: Fact = { k: "finished", at: T0 + 100, run: "late", status: "CANCELLED" };
    const batch = (seq: number, fact: Fact) => ({
      partition: 1,
      previous: seq - 1,
      seq,
      facts: [fact],
      text: encodeBatch(1, undefined, [JSON.stringify(fact)]),
    });
    const statuses = () => projector.request("statuses", { workflow: "user", version: "v1" });
    projector.batch(batch(1, created));
    expect(await statuses()).toEqual({ QUEUED: 1, RUNNING: 0, SUCCEEDED: 29, FAILED: 1, CANCELLED: 0 });
    projector.batch(batch(2, ended));
    expect(await statuses()).toEqual({ QUEUED: 0, RUNNING: 0, SUCCEEDED: 29, FAILED: 1, CANCELLED: 1 });
    await projector.request("retain", { ...NEVER, maxRuns: 10 });
    expect(await statuses()).toEqual({ QUEUED: 0, RUNNING: 0, SUCCEEDED: 9, FAILED: 0, CANCELLED: 1 });
    await projector.close();
    // A thread opens a file once; see database.ts.
    for (const suffix of ["", "-wal"]) if (existsSync(file + suffix)) await copyFile(file + suffix, `${file}.2${suffix}`);
    projector = new DirectProjector(`${file}.2`);
    expect(await statuses()).toEqual({ QUEUED: 0, RUNNING: 0, SUCCEEDED: 9, FAILED: 0, CANCELLED: 1 });
    expect((await projector.list({ size: 100 })).items).toHaveLength(10);
    await projector.close();
  });
});

describe("Retention by size", () => {
  it("lets those go that finished first until the file is as small as it may be", async () => {
    const file = `${await temporaryFolder("history")}/history.db`;
    const projector = await world(4_000, file, (index) => ({
      input: { n: index, text: "x".repeat(1_000) },
      meta: { team: `t${index % 7}` },
    }));
    const bytes = async (): Promise<number> => {
      await projector.request("flush", {});
      return (await stat(file)).size;
    };
    expect(await bytes()).toBeGreaterThan(4_000_000);
    const maxBytes = 2_000_000;
    const deleted = await projector.request("retain", { ...NEVER, maxBytes });
    expect(deleted).toBeGreaterThan(1_000);
    expect(await bytes()).toBeLessThanOrEqual(maxBytes);
    const { items } = await projector.list({ size: 1_000 });
    expect(items[0]?.view.id).toBe(idOf(3_999));
    const { count } = await projector.request("count", {});
    expect(count).toBe(4_000 - deleted);
    expect((await scroll(projector, { size: 1_000 })).ids).toEqual(
      Array.from({ length: count }, (_, index) => idOf(3_999 - index)),
    );
    expect((await scroll(projector, { tag: "team", size: 1_000 })).ids).toHaveLength(count);
    expect(await projector.request("retain", { ...NEVER, maxBytes })).toBe(0);
    await projector.close();
  });
});
