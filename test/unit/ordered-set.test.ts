/** The ordered set against a sorted array, and that it stays balanced and shares what it can. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createOrderedSet, type OrderedSet } from "../../machines/ordered-set.ts";

const NUMBERS = createOrderedSet<number>((a, b) => a - b);

type Change = { readonly add: boolean; readonly item: number };
const changes = fc.array(fc.record({ add: fc.boolean(), item: fc.integer({ min: 0, max: 60 }) }), { maxLength: 200 });

function changed(set: OrderedSet<number>, list: readonly Change[]): OrderedSet<number> {
  return list.reduce((result, { add, item }) => (add ? result.add(item) : result.delete(item)), set);
}

function sorted(list: readonly Change[]): number[] {
  const items = new Set<number>();
  for (const { add, item } of list) {
    if (add) items.add(item);
    else items.delete(item);
  }
  return [...items].sort((a, b) => a - b);
}

/** Comparisons of the worst lookup: the height of the tree. */
function height(size: number, build: (compare: (a: number, b: number) => number) => OrderedSet<number>): number {
  let comparisons = 0;
  const set = build((a, b) => (comparisons++, a - b));
  let worst = 0;
  for (let item = 0; item < size; item++) {
    comparisons = 0;
    set.has(item);
    worst = Math.max(worst, comparisons);
  }
  return worst;
}

describe("An ordered set", () => {
  it("holds what a sorted array would hold after any row of changes", () => {
    fc.assert(
      fc.property(changes, (list) => {
        const set = changed(NUMBERS, list);
        const expected = sorted(list);
        expect([...set]).toEqual(expected);
        expect(set.size).toBe(expected.length);
        expect(set.first()).toBe(expected[0]);
        expect(set.last()).toBe(expected.at(-1));
        for (let item = -1; item <= 61; item++) {
          const before = expected.filter((other) => other < item).length;
          expect(set.has(item)).toBe(expected.includes(item));
          expect(set.get(item)).toBe(expected.find((other) => other === item));
          expect(set.rank(item)).toBe(before);
          expect(set.firstFrom(item)).toBe(expected[before]);
        }
        for (let index = -1; index <= expected.length; index++) expect(set.at(index)).toBe(expected[index]);
      }),
    );
  });

  it("leaves the set as it was when a new one is made of it", () => {
    fc.assert(
      fc.property(changes, changes, (earlier, later) => {
        const set = changed(NUMBERS, earlier);
        changed(set, later);
        expect([...set]).toEqual(sorted(earlier));
      }),
    );
  });

  it("is made of items in any order", () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), (items) => {
        expect([...NUMBERS.add(7).from(items)]).toEqual([...new Set(items)].sort((a, b) => a - b));
      }),
    );
  });

  it("is the same object after a change that changes nothing, and whenever it is empty", () => {
    const set = NUMBERS.add(1).add(2);
    expect(set.add(1)).toBe(set);
    expect(set.delete(3)).toBe(set);
    expect(set.delete(1).delete(2)).toBe(NUMBERS);
    expect(set.from([])).toBe(NUMBERS);
  });

  it("puts an item in the place of an equal one", () => {
    const words = createOrderedSet<{ key: number; text: string }>((a, b) => a.key - b.key);
    const set = words.add({ key: 1, text: "old" }).add({ key: 2, text: "other" }).add({ key: 1, text: "new" });
    expect([...set].map(({ text }) => text)).toEqual(["new", "other"]);
  });

  it("stays balanced, whether items come in order, go from the front, or come and go at random", () => {
    const size = 4096;
    const limit = 2 * Math.log2(size + 1); // Weight-balanced with (3, 2): at most log(n) / log(4/3) = 2.41 log2(n); far less in fact.
    const items = Array.from({ length: size }, (_, i) => i);
    const appended = height(size, (compare) => items.reduce((set, item) => set.add(item), createOrderedSet(compare)));
    const shifted = height(size, (compare) => {
      let set = createOrderedSet(compare).from(items.map((item) => item - size));
      for (const item of items) set = set.add(item).delete(set.first()!);
      return set;
    });
    const shuffled = height(size, (compare) => {
      let set = createOrderedSet(compare);
      for (const item of items) set = set.add((item * 2731) % size);
      for (const item of items) if (item % 3 === 0) set = set.delete((item * 2731) % size);
      return set;
    });
    expect(Math.max(appended, shifted, shuffled)).toBeLessThanOrEqual(limit);
  });
});
