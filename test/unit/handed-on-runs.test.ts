/** Runs that come to a partition where their limits do not live, or no longer: they go on, and are counted once. */
import { describe, expect, test } from "vitest";
import type { Creation } from "../../src/engine/run.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { Placement } from "../../src/engine/placement.ts";
import { Partition } from "./engine-partition.ts";

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
