/** The decision log of a group out of the history: the same however runs are stored, in pages of any size, for keys of any number of runs. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Fact } from "../../src/engine/facts.ts";
import { openDatabase } from "../../src/history/database.ts";
import { groupDecisions } from "../../src/history/group-decisions.ts";
import { PendingRuns } from "../../src/history/pending-runs.ts";
import { decisionsOf } from "../../src/history/run-decisions.ts";
import { staysOf, type StoredFact } from "../../src/history/stored-facts.ts";
import { Store } from "../../src/history/store.ts";
import type { GroupDecisionView } from "../../src/protocol/record.ts";
import { type Batch, journalsOf, type Life, lives, WORKFLOWS } from "../support/history-world.ts";

const GROUP = { limit: "user", key: "u1" };

function stored(batches: readonly Batch[], commits: readonly number[]): Store {
  const store = new Store(openDatabase({ file: ":memory:", cluster: "" }));
  for (const spec of WORKFLOWS) store.define(spec);
  const pending = new PendingRuns();
  for (const [index, { partition, seq, facts }] of batches.entries()) {
    for (const fact of facts) pending.add(partition, structuredClone(fact));
    if ((commits[index % commits.length] ?? 0) % 3 !== 0 && index < batches.length - 1) continue;
    store.commit(pending, new Map([[partition, seq]]));
    pending.clear();
  }
  return store;
}

/** From the lives alone. */
function expected(all: readonly Life[]): string[] {
  return all.flatMap((one) => {
    const [first] = one;
    if (first === undefined || first.fact.k !== "created") return [];
    const created = first.fact;
    const spec = WORKFLOWS.find(({ name }) => name === created.wf);
    const isIn = one.some(({ fact }) => "keys" in fact && fact.keys?.[0] === GROUP.key);
    if (!isIn || spec?.limits[0]?.name !== GROUP.limit) return [];
    const stays = staysOf(one.flatMap(({ partition, fact }): (number | StoredFact)[] => [partition, fact as StoredFact]));
    return decisionsOf(stays, 0, spec).map(({ atMs, decision, why }) =>
      line(new Date(atMs).toISOString(), created.run, decision, why),
    );
  });
}

const line = (at: string, run: string, decision: string, why: string): string => `${at} ${run} ${decision}: ${why}`;

function pages(store: Store, size: number, readInFull?: number): GroupDecisionView[] {
  const found: GroupDecisionView[] = [];
  for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
    const page = groupDecisions(store.sql, store.specs, { ...GROUP, size, ...(cursor !== undefined && { cursor }) }, readInFull);
    found.push(...page.items);
    cursor = page.next;
  }
  return found;
}

describe("the decision log of a group", () => {
  it("has every decision once, newest first, in pages of any size, for keys of few and of many runs", () => {
    fc.assert(
      fc.property(
        lives(10),
        fc.array(fc.nat(100), { minLength: 5, maxLength: 30 }),
        fc.integer({ min: 1, max: 7 }),
        (all, cuts, size) => {
          const journals = journalsOf(all, cuts);
          const store = stored(journals.flat(), cuts);
          for (const readInFull of [0, 20_000]) {
            const found = pages(store, size, readInFull);
            expect(found.map(({ at }) => at)).toEqual(
              found
                .map(({ at }) => at)
                .toSorted()
                .toReversed(),
            );
            expect(found.map(({ at, run, decision, why }) => line(at, run, decision, why)).toSorted()).toEqual(
              expected(all).toSorted(),
            );
          }
          store.close();
        },
      ),
      { numRuns: 150 },
    );
  });

  it("has all of a key with a backlog of thousands, to the first, also what was decided long before a run ended", () => {
    const count = 8_000;
    const run = (index: number): string => `r${index}`;
    const base = Date.UTC(2026, 0, 1);
    const facts = Array.from({ length: count }, (_, index): Fact => {
      const phase = index === 0 ? "active" : "waiting";
      return { k: "created", at: base + index, run: run(index), wf: "user", ver: "v1", phase, keys: ["u1"] };
    });
    for (let index = 0; index < count; index++) {
      const at = base + count + index * 100;
      if (index > 0) facts.push({ k: "admitted", at, run: run(index), by: run(index - 1) });
      facts.push({ k: "finished", at: at + 100, run: run(index), status: "SUCCEEDED" });
    }
    const batches = Array.from({ length: Math.ceil(facts.length / 2_000) }, (_, index) => ({
      partition: 0,
      previous: index,
      seq: index + 1,
      facts: facts.slice(index * 2_000, (index + 1) * 2_000),
      text: "",
    }));
    const store = stored(batches, [0]);
    const found = pages(store, 1_000);
    for (const [decision, times] of [
      ["queued", count - 1],
      ["admitted", count],
      ["released", count],
    ] as const)
      expect(new Set(found.flatMap((one) => (one.decision === decision ? [one.run] : []))).size, decision).toBe(times);
    expect(found).toHaveLength(3 * count - 1);
    expect(found.every(({ at }, index) => index === 0 || at <= (found[index - 1]?.at ?? ""))).toBe(true);
    store.close();
  });

  it("puts those who make room before those who get it, in the same millisecond", () => {
    const at = Date.UTC(2026, 0, 1);
    const created = (run: string, phase: "active" | "waiting"): Fact => ({
      k: "created",
      at,
      run,
      wf: "user",
      ver: "v1",
      phase,
      keys: ["u1"],
    });
    const facts: Fact[] = [
      created("a", "active"),
      created("b", "waiting"),
      { k: "finished", at, run: "a", status: "SUCCEEDED" },
      { k: "admitted", at, run: "b", by: "a" },
    ];
    const store = stored([{ partition: 0, seq: 1, previous: 0, facts, text: "" }], [0]);
    const lines = pages(store, 10, 0).map(({ run, decision, why }) => `${run} ${decision}: ${why}`);
    expect(lines.indexOf("b admitted: a slot became free: a ended")).toBeLessThan(lines.indexOf("a released: it succeeded"));
    store.close();
  });
});
