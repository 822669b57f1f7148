/** Where runs and groups live. */
import { describe, expect, test } from "vitest";
import { hash, Placement } from "../../src/engine/placement.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import type { WorkflowSpec } from "../../src/workflow/spec.ts";

const withLimits = (name: string, ...limits: string[]): WorkflowSpec =>
  defineWorkflow({ name, concurrency: limits.map((limit) => ({ name: limit, key: "input.k" })) }).step("a", () => 1).spec;

function register(placement: Placement, spec: WorkflowSpec) {
  const { fresh, moved } = placement.plan(spec);
  for (const [limit, home] of [...fresh, ...moved]) placement.setHome(limit, home);
  return { fresh: [...fresh.keys()], moved: [...moved.keys()] };
}

describe("placement", () => {
  test("never changes: data lies where it says", () => {
    expect(["", "a", "b", "work u1", "01J000000000000000000000"].map(hash)).toEqual([
      447841614, 187539957, 705363516, 249288276, 4150110434,
    ]);
  });

  test("spreads the keys of a limit that is used alone over all partitions, evenly", () => {
    const placement = new Placement(8);
    register(placement, withLimits("w", "user"));
    const counts = Array.from({ length: 8 }, () => 0);
    for (let i = 0; i < 8_000; i++) counts[placement.ofGroup("user", `u${i}`)]! += 1;
    for (const count of counts) expect(count).toSatisfy((n: number) => n > 800 && n < 1_200);
  });

  test("puts a run where all of its groups are", () => {
    const placement = new Placement(8);
    const spec = withLimits("w", "user", "tenant");
    register(placement, spec);
    for (let i = 0; i < 100; i++) {
      const keys = [`u${i}`, `t${i % 3}`];
      const partition = placement.partitionOf(spec, `run${i}`, keys);
      expect([placement.ofGroup("user", keys[0] ?? ""), placement.ofGroup("tenant", keys[1] ?? "")]).toEqual([
        partition,
        partition,
      ]);
    }
  });

  test("joins the domains of limits that are held together later, and says which of them move", () => {
    const placement = new Placement(16);
    expect(register(placement, withLimits("one", "a", "b"))).toEqual({ fresh: ["a", "b"], moved: [] });
    expect(register(placement, withLimits("two", "c", "d"))).toEqual({ fresh: ["c", "d"], moved: [] });
    expect(register(placement, withLimits("alone", "e"))).toEqual({ fresh: ["e"], moved: [] });
    expect(register(placement, withLimits("alone", "e"))).toEqual({ fresh: [], moved: [] });
    expect(register(placement, withLimits("three", "b", "c", "e")).moved.sort()).toEqual(["c", "d", "e"]);
    expect(new Set(["a", "b", "c", "d", "e"].map((limit) => placement.ofGroup(limit, "k"))).size).toBe(1);
    expect(register(placement, withLimits("three", "b", "c", "e"))).toEqual({ fresh: [], moved: [] });
  });

  test("comes back from what is stored of it", () => {
    const placement = new Placement(16);
    register(placement, withLimits("one", "a", "b"));
    register(placement, withLimits("alone", "e"));
    const restored = new Placement(16, JSON.parse(JSON.stringify(placement)) as ReturnType<Placement["toJSON"]>);
    for (const limit of ["a", "b", "e"])
      for (const key of ["x", "y", "z"]) expect(restored.ofGroup(limit, key)).toBe(placement.ofGroup(limit, key));
  });
});
