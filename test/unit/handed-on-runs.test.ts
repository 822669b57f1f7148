/** Runs that come to a partition where their limits do not live, or no longer: they go on, and are counted once. */
import { describe, expect, test } from "vitest";
import { decodeBatch, type SnapshotLine } from "../../src/engine/facts.ts";
import type { Creation } from "../../src/engine/run.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { Placement } from "../../src/engine/placement.ts";
import { Partition, START_MS } from "./engine-partition.ts";

const limited = defineWorkflow({ name: "limited", concurrency: { key: "input.k", strategy: "GROUP_ROUND_ROBIN" } }).step(
  "a",
  () => 1,
);
const placement = new Placement(2);
const home = placement.ofGroup("limited", "x");
const other = 1 - home;
const at = (partition: number): Partition => new Partition([limited], { partition, partitions: 2 });

function handover(from: Partition): Creation {
  const effect = from.effects.find(({ type }) => type === "handover");
  if (effect?.type !== "handover") throw new Error("nothing was handed over");
  return effect.creation;
}

describe("a run whose limits live elsewhere", () => {
  test("is handed on with its keys, and takes no slot where it came", () => {
    const wrong = at(other);
    expect(wrong.create("r1", "limited", { k: "x" })).toEqual(["r1 keying", `r1 moved to ${home} as 1 with x`]);
    expect([...wrong.core.groups]).toEqual([]);
    const right = at(home);
    expect(right.core.accept(`p${other}`, [1, 0], handover(wrong))).toBe(true);
    expect(right.news()).toEqual(["r1 active"]);
    wrong.core.confirmed(home, 1);
    expect(wrong.core.runs.size).toBe(0);
  });

  test("that comes back before its confirmation is taken in again", () => {
    const partition = at(other);
    partition.create("r1", "limited", { k: "x" });
    partition.create("r2", "limited", { k: "x" });
    // Where it went, they did not know yet that it belongs there.
    const back = handover(partition);
    expect(back.run).toBe("r2");
    partition.core.accept(`p${home}`, [1, 0], back);
    expect(partition.news()).toEqual([`confirmed 2 by ${home}`, "r2 keying", `r2 moved to ${home} as 3 with x`]);
    // Both were in the other's journal: what comes after tells so.
    expect([...partition.core.runs.keys()]).toEqual(["r2"]);
  });

  test("is not taken in again when it is created twice", () => {
    const partition = at(other);
    partition.create("r1", "limited", { k: "x" });
    expect(partition.create("r1", "limited", { k: "x" })).toEqual([]);
  });

  test("and whose keys could not be computed on the way fails where it arrives", () => {
    const partition = at(other);
    const failure = { name: "KeyError", message: "no key", code: "KEY_FAILED" };
    partition.core.accept("events", [1, 0], partition.creation("r1", "limited", {}, { failure }));
    expect(partition.news()).toEqual(["r1 keying", "r1 FAILED KEY_FAILED"]);
  });
});

describe("a run whose limit may be about to move", () => {
  /** A partition where the limit has lived until now; and what comes there, while nobody knows whether it will. */
  function held(): Partition {
    const partition = at(home);
    partition.placement.setMoving(["limited"]);
    expect(partition.create("r1", "limited", { k: "x" })).toEqual(["r1 keying"]);
    expect(partition.create("r2", "limited", { k: "x" })).toEqual(["r2 keying"]);
    expect([...partition.core.groups]).toEqual([]);
    return partition;
  }

  const decided = (partition: Partition, moves: boolean): void => {
    // Any domain in the other partition.
    const domain = Array.from({ length: 50 }, (_, n) => `d${n}`).find((name) => {
      partition.placement.setHome("limited", { domain: name });
      return partition.placement.ofGroup("limited", "x") === other;
    });
    if (!moves || domain === undefined) partition.placement.setHome("limited", "by key");
    partition.placement.setMoving([]);
  };

  test("waits, and is admitted where it is when the limit stays", () => {
    const partition = held();
    partition.core.placeHeld();
    expect(partition.news()).toEqual([]);
    decided(partition, false);
    partition.core.placeHeld();
    expect(partition.news()).toEqual(["r1 active", "r2 waiting"]);
  });

  test("and goes where the limit goes, before whatever comes later", () => {
    const partition = held();
    decided(partition, true);
    expect(partition.create("r3", "limited", { k: "x" })).toEqual([
      `r1 moved to ${other} as 1 with x`,
      `r2 moved to ${other} as 2 with x`,
      "r3 keying",
      `r3 moved to ${other} as 3 with x`,
    ]);
  });

  test("can be cancelled", () => {
    const partition = held();
    expect(partition.core.cancel("r1")).toBe(true);
    expect(partition.news()).toEqual(["r1 CANCELLED CANCELLED_BY_USER"]);
    decided(partition, false);
    partition.core.placeHeld();
    expect(partition.news()).toEqual(["r2 active"]);
  });

  test("is held too when its time comes", () => {
    const partition = at(home);
    partition.create("r1", "limited", { k: "x" }, { notBefore: START_MS + 1_000 });
    partition.placement.setMoving(["limited"]);
    expect(partition.pass(2_000)).toEqual(["r1 keying"]);
    decided(partition, false);
    partition.core.placeHeld();
    expect(partition.news()).toEqual(["r1 active"]);
  });

  test.each(["journal", "snapshot"])("survives the loss of its owner: by %s", (by) => {
    const before = held();
    const lines = [...before.core.snapshotLines()];
    const next = at(home);
    next.placement.setMoving(["limited"]);
    if (by === "journal") for (const batch of before.journal) next.core.replayBatch(decodeBatch(batch));
    else {
      for (const line of lines) next.core.replaySnapshotLine(JSON.parse(line) as SnapshotLine);
      next.core.endSnapshot();
    }
    next.core.resume();
    expect(next.news()).toEqual([]);
    decided(next, true);
    next.core.placeHeld();
    expect(next.news()).toEqual([`r1 moved to ${other} as 1 with x`, `r2 moved to ${other} as 2 with x`]);
  });
});
