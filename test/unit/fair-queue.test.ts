/** The fair queue: who goes next, against a simulation that keeps no tags, and the promises of design.md, section 4.4. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createFairQueue, type FairQueue } from "../../machines/fair-queue.ts";

interface Item {
  readonly flow: string;
  readonly n: number;
}

const EMPTY = createFairQueue<Item>({ compare: (a, b) => a.n - b.n, flow: (item) => item.flow });

const item = (flow: string, n: number): Item => ({ flow, n });
const items = (flow: string, count: number): Item[] => Array.from({ length: count }, (_, n) => item(flow, n));

function filled(...rows: Item[][]): FairQueue<Item> {
  return rows.flat().reduce((queue, one) => queue.add(one), EMPTY);
}

/** The flows in the order in which they are served until nothing waits. */
function order(queue: FairQueue<Item>): string {
  return [...queue].map((one) => one.flow).join(" ");
}

/** Serves the next `count` items; gives their flows and the queue that is left. */
function serve(queue: FairQueue<Item>, count: number, canServe: (one: Item) => boolean = () => true) {
  const flows: string[] = [];
  for (let i = 0; i < count; i++) {
    const taken = queue.takeFirst(canServe);
    if (!taken) break;
    flows.push(taken.item.flow);
    queue = taken.queue;
  }
  return { flows: flows.join(" "), queue };
}

describe("A fair queue", () => {
  it("lets flows that wait take turns, however many items each has and whatever they are called", () => {
    expect(order(filled(items("A", 3), items("B", 3), items("C", 3)))).toBe("A B C A B C A B C");
    expect(order(filled(items("z", 4), items("__proto__", 1), items("*", 2), items("", 2)))).toBe("z __proto__ *  z *  z z");
  });

  it("serves the items of one flow in their own order", () => {
    const queue = filled([item("A", 3), item("A", 1), item("A", 2)]);
    expect([...queue].map(({ n }) => n)).toEqual([1, 2, 3]);
  });

  it("shares turns by weight", () => {
    let queue = EMPTY;
    for (const one of items("light", 10)) queue = queue.add(one);
    for (const one of items("heavy", 30)) queue = queue.add(one, 3);
    const { flows } = serve(queue, 20);
    expect(flows.split(" ").filter((flow) => flow === "heavy")).toHaveLength(15);
  });

  it("serves a flow that starts to wait after at most one turn of each other", () => {
    const { queue } = serve(filled(items("A", 100), items("B", 100)), 51);
    expect(serve(queue.add(item("new", 0)), 3).flows).toMatch(/^(A |B )?new/);
  });

  it("gives a flow that was away no turns to make up for", () => {
    const { queue } = serve(filled(items("A", 100), items("B", 2)), 60);
    const back = items("B", 10).reduce((result, one) => result.add(item("B", one.n + 10)), queue);
    expect(serve(back, 6).flows).toMatch(/^(A B A B A B|B A B A B A)$/);
  });

  it("does not let a flow that drains and returns at once go before those that waited meanwhile", () => {
    let { queue } = serve(filled(items("A", 1), items("B", 5), items("C", 5)), 1);
    queue = queue.add(item("A", 1));
    expect(serve(queue, 3).flows).toBe("B C A");
  });

  it("remembers a turn that was served while nobody waited, until the server rests", () => {
    const charged = EMPTY.charge("A");
    expect(order(items("B", 2).reduce((queue, one) => queue.add(one), charged.add(item("A", 0)).add(item("A", 1))))).toBe(
      "B A B A",
    );
    expect(charged.rest()).toBe(EMPTY);
    expect(charged.add(item("A", 0)).rest().size).toBe(1);
  });

  it("takes an item out of the middle without costing its flow a turn", () => {
    const queue = filled(items("A", 4), items("B", 3)).remove(item("A", 0)).remove(item("A", 2));
    expect([...queue].map(({ flow, n }) => flow + n)).toEqual(["A1", "B0", "A3", "B1", "B2"]);
  });

  it("passes a flow that cannot be served, and gives it one turn when it can be", () => {
    const blocked = serve(filled(items("stuck", 9), items("A", 90), items("B", 90)), 40, ({ flow }) => flow !== "stuck");
    expect(blocked.flows).toBe("A B ".repeat(20).trim());
    expect(serve(blocked.queue, 7).flows).toBe("stuck A B stuck A B stuck");
  });

  it("lets newcomers in behind the clock that an unservable flow cannot hold back", () => {
    const { queue } = serve(filled(items("stuck", 9), items("A", 90)), 40, ({ flow }) => flow !== "stuck");
    expect(
      serve(
        items("B", 9).reduce((q, one) => q.add(one), queue),
        6,
        ({ flow }) => flow !== "stuck",
      ).flows,
    ).toMatch(/^(A B A B A B|B A B A B A)$/);
  });

  it("looks at one item per flow to find one that can be served", () => {
    let asked = 0;
    const queue = filled(items("A", 1000), items("B", 1000), items("C", 1000));
    expect(queue.takeFirst(({ flow }) => (asked++, flow === "C"))?.item).toEqual(item("C", 0));
    expect(queue.takeFirst(() => (asked++, false))).toBeUndefined();
    expect(asked).toBe(6);
  });

  it("keeps nothing of flows that came and went", () => {
    let queue = filled(items("waits", 1));
    for (let i = 0; i < 10_000; i++) queue = queue.add(item(`flow ${i}`, 0)).take(item(`flow ${i}`, 0));
    expect(queue.flowCount).toBe(1);
    expect(queue.turns()!.flows.length).toBeLessThan(100);
    expect(queue.take(item("waits", 0)).rest()).toBe(EMPTY);
  });

  it("serves a waiting flow though new flows never cease to arrive", () => {
    let { queue } = serve(filled(items("waits", 2), items("A", 2)), 1);
    let served = false;
    for (let i = 0; i < 1000 && !served; i++) {
      const next = queue.add(item(`flow ${i}`, 0)).takeFirst(({ flow }) => flow !== "A")!;
      served = next.item.flow === "waits";
      queue = next.queue;
    }
    expect(served).toBe(true);
  });

  it("forgets a flow that drained once the others have had as many turns", () => {
    const { queue } = serve(filled(items("A", 9), items("B", 1)), 2);
    expect(queue.turns()?.flows.map(([name]) => name)).toEqual(["A", "B"]);
    expect(
      serve(queue, 1)
        .queue.turns()
        ?.flows.map(([name]) => name),
    ).toEqual(["A"]);
  });

  it("is the shared empty queue when it has nothing to remember", () => {
    expect(EMPTY.add(item("A", 0)).remove(item("A", 0))).toBe(EMPTY);
    expect(filled(items("A", 1), items("B", 1)).remove(item("A", 0)).remove(item("B", 0))).toBe(EMPTY);
  });
});

/** Any row of changes of a queue, with three flows, some of them unservable at times. */
type Change =
  | { readonly do: "add" | "remove" | "take"; readonly flow: string; readonly n: number }
  | { readonly do: "serve"; readonly without: string | undefined }
  | { readonly do: "charge"; readonly flow: string };

const flow = fc.constantFrom("A", "B", "C");
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("add" as const), flow, n: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("remove" as const, "take" as const), flow, n: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("serve" as const), without: fc.option(flow, { nil: undefined }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("charge" as const), flow }) },
);
const weights = fc.record({ A: weight(), B: weight(), C: weight() });

function weight() {
  return fc.constantFrom(1, 2, 3, 0.7);
}

function apply(queue: FairQueue<Item>, one: Change, weightOf: (flow: string) => number = () => 1): FairQueue<Item> {
  switch (one.do) {
    case "add":
      return queue.add(item(one.flow, one.n), weightOf(one.flow));
    case "remove":
      return queue.remove(item(one.flow, one.n));
    case "take":
      return queue.take(item(one.flow, one.n));
    case "charge":
      return queue.charge(one.flow, weightOf(one.flow));
    case "serve":
      return queue.takeFirst((head) => head.flow !== one.without)?.queue ?? queue;
  }
}

describe("After any row of changes, a fair queue", () => {
  it("holds what was added and has not gone, and gives it all, exactly in the order that ranks foretell", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), weights, (list, weightOf) => {
        let queue = EMPTY;
        const present = new Map<string, Item>();
        for (const one of list) {
          const before = queue;
          queue = apply(queue, one, (name) => weightOf[name as "A"]);
          if (one.do === "add") present.set(one.flow + one.n, item(one.flow, one.n));
          if (one.do === "remove" || one.do === "take") present.delete(one.flow + one.n);
          if (one.do === "serve") for (const was of before) if (!queue.has(was)) present.delete(was.flow + was.n);
        }
        const taken: Item[] = [];
        for (let rest = queue, next = rest.peek(); next; next = rest.peek()) {
          taken.push(next);
          rest = rest.take(next);
        }
        expect(new Set(taken.map((one) => one.flow + one.n))).toEqual(new Set(present.keys()));
        expect([...queue]).toEqual(taken);
        expect(queue.size).toBe(taken.length);
        expect(queue.flowCount).toBe(new Set(taken.map((one) => one.flow)).size);
        expect(taken.map((one) => queue.rank(one))).toEqual(taken.map((_, index) => index));
        expect(queue.rank(item("A", 99))).toBe(-1);
      }),
      { numRuns: 500 },
    );
  });

  it("is restored from its items and turns, and then goes on in the same way", () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 40 }),
        fc.array(change, { maxLength: 40 }),
        weights,
        (earlier, later, weightOf) => {
          const weigh = (name: string) => weightOf[name as "A"];
          const live = earlier.reduce((queue, one) => apply(queue, one, weigh), EMPTY);
          const turns: unknown = JSON.parse(JSON.stringify(live.turns() ?? null)) ?? undefined;
          const restored = EMPTY.restore([...live].reverse(), turns as ReturnType<typeof live.turns>);
          const [a, b] = [live, restored].map((queue) => later.reduce((result, one) => apply(result, one, weigh), queue));
          expect([...b!]).toEqual([...a!]);
          expect(b!.turns()).toEqual(a!.turns());
        },
      ),
      { numRuns: 500 },
    );
  });

  it("starts, with equal weights, no flow twice between two starts of a waiting flow that could be served", () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 20, maxLength: 120 }), (list) => {
        let queue = EMPTY;
        /** For each flow that has waited, servable, since it last started: the starts of others since. */
        const since = new Map<string, Map<string, number>>();
        const waits = (name: string) => [...queue.heads()].some((head) => head.flow === name);
        for (const one of list) {
          if (one.do === "take" || one.do === "charge") continue; // Out of turn, so they promise nothing.
          const before = queue;
          queue = apply(queue, one);
          if (one.do === "serve") {
            const head = [...before.heads()].find((was) => !queue.has(was));
            for (const [name, starts] of since) {
              if (name === one.without || !head || name === head.flow) since.delete(name);
              else starts.set(head.flow, (starts.get(head.flow) ?? 0) + 1);
            }
            if (head && waits(head.flow)) since.set(head.flow, new Map());
          }
          for (const name of since.keys()) if (!waits(name)) since.delete(name);
          for (const starts of since.values()) expect(Math.max(0, ...starts.values())).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("serves in the order of a simulation that counts turns, while flows wait without a break", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(flow, fc.integer({ min: 1, max: 6 })), { minLength: 1, maxLength: 8 }), (rows) => {
        let n = 0;
        let queue = EMPTY;
        const lines = new Map<string, Item[]>();
        for (const [name, count] of rows) {
          for (let i = 0; i < count; i++) {
            const one = item(name, n++);
            queue = queue.add(one);
            lines.set(name, [...(lines.get(name) ?? []), one]);
          }
        }
        // Round after round, each flow that has something left, in the order in which they came.
        const expected: Item[] = [];
        while (lines.size > 0) {
          for (const [name, line] of lines) {
            expected.push(line.shift()!);
            if (line.length === 0) lines.delete(name);
          }
        }
        expect([...queue]).toEqual(expected);
      }),
    );
  });
});
