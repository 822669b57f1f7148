/** The most pressed groups: found without sorting all, in pages that go on wherever groups have moved to. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as contexts from "../../machines/group/context.ts";
import type { Entry } from "../../machines/group/contract.ts";
import { type Group, Groups } from "../../src/engine/group.ts";
import { byPressure, pressed } from "../../src/engine/pressed-groups.ts";
import { TopGroups } from "../../src/engine/top-groups.ts";

let order = 0;
const entry = (createdAt: number): Entry =>
  ({ run: `r${++order}`, priority: 0, order, flow: "f", gated: false, createdAt }) as unknown as Entry;

function fill(
  groups: Groups,
  key: string,
  { active, waiting, maxRuns }: { active: number; waiting: readonly number[]; maxRuns: number },
) {
  const group = groups.open("limit", key);
  group.apply((context) => contexts.setMaxRuns(context, maxRuns));
  for (let i = 0; i < active; i++) group.apply((context) => contexts.admit(context, entry(0)));
  for (const since of waiting) group.apply((context) => contexts.enqueue(context, entry(since)));
  return group;
}

const anyGroup = fc.record({
  active: fc.nat(2),
  waiting: fc.array(fc.nat(5), { maxLength: 6 }),
  maxRuns: fc.integer({ min: 1, max: 3 }),
});

const newGroups = (): Groups => {
  const groups = new Groups();
  groups.setRules("limit", { maxRuns: 1, strategy: "GROUP_ROUND_ROBIN" });
  return groups;
};

describe("the most pressed groups", () => {
  it("are the first of all in order, page by page", () => {
    fc.assert(
      fc.property(fc.array(anyGroup, { maxLength: 60 }), fc.integer({ min: 1, max: 20 }), (all, size) => {
        const groups = newGroups();
        for (const [index, one] of all.entries()) fill(groups, `k${index}`, one);
        const sorted = [...groups].map(pressed).sort(byPressure);
        const found: Group[] = [];
        for (let page = new TopGroups(size); ;) {
          for (const group of groups) page.offer(group);
          const items = page.take();
          found.push(...items.map(({ group }) => group));
          const last = items.at(-1);
          if (last === undefined) break;
          page = new TopGroups(size, last);
        }
        expect(found.map(({ id }) => id)).toEqual(sorted.map(({ id }) => id));
        expect(groups.pressed.top(3).map(({ id }) => id)).toEqual(
          sorted
            .filter(({ perSlot }) => perSlot > 0)
            .slice(0, 3)
            .map(({ id }) => id),
        );
      }),
    );
  });

  it("are those with most waiting runs for each slot, then those that wait longest", () => {
    const groups = newGroups();
    fill(groups, "wide", { active: 3, waiting: [1, 2, 3], maxRuns: 3 });
    fill(groups, "narrow", { active: 1, waiting: [5, 6], maxRuns: 1 });
    fill(groups, "old", { active: 1, waiting: [0], maxRuns: 1 });
    fill(groups, "full", { active: 1, waiting: [], maxRuns: 1 });
    fill(groups, "half", { active: 1, waiting: [], maxRuns: 2 });
    expect(
      [...groups]
        .map(pressed)
        .sort(byPressure)
        .map(({ group }) => group.key),
    ).toEqual(["narrow", "old", "wide", "full", "half"]);
  });

  it("are known as long as runs wait, and no longer", () => {
    const groups = newGroups();
    const group = groups.open("limit", "k");
    const waits = Array.from({ length: 40 }, () => entry(0));
    for (const one of waits) group.apply((context) => contexts.enqueue(context, one));
    expect(groups.pressed.size).toBe(1);
    for (const one of waits) group.apply((context) => contexts.withdraw(context, one));
    expect(groups.pressed.size).toBe(0);
    expect(groups.pressed.top(1)).toEqual([]);
  });
});

describe("the rate of a group", () => {
  it("counts the first admission like all others, and goes with time", () => {
    const group = newGroups().open("limit", "k");
    expect(group.startsPerMinute(1_000)).toBe(0);
    group.started(1_000);
    expect(group.startsPerMinute(1_000)).toBe(1);
    group.started(1_000);
    group.started(1_000);
    expect(group.startsPerMinute(1_000)).toBe(3);
    expect(group.startsPerMinute(61_000)).toBeCloseTo(3 / Math.E, 9);
  });
});
