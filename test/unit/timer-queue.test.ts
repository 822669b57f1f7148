/** The timers of a partition, against a list that is sorted anew each time. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Timer, TimerQueue } from "../../src/engine/timer-queue.ts";

const change = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("add" as const), at: fc.nat(20), rank: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), at: fc.nat(50), rank: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("take" as const), at: fc.nat(20), rank: fc.constant(0) }) },
);

test("Timers go off by due time, then by rank, then in the order of setting; removed ones never do", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 100 }), (changes) => {
      const queue = new TimerQueue<number>();
      let model: Timer<number>[] = [];
      const ever: Timer<number>[] = [];
      for (const [n, { do: what, at, rank }] of changes.entries()) {
        if (what === "add") {
          const timer = queue.add(at, n, rank);
          ever.push(timer);
          model = [...model, timer].sort((a, b) => a.dueMs - b.dueMs || a.rank - b.rank || a.value - b.value);
        } else if (what === "remove") {
          // Also of those that have gone off or were removed before.
          const timer = ever[at % Math.max(1, ever.length)];
          if (timer === undefined) continue;
          queue.remove(timer);
          model = model.filter((other) => other !== timer);
        } else {
          const [first] = model;
          const due = first !== undefined && first.dueMs <= at ? first : undefined;
          expect(queue.takeDue(at)).toBe(due);
          if (due !== undefined) model = model.slice(1);
        }
        expect([queue.size, queue.nextDueMs]).toEqual([model.length, model[0]?.dueMs]);
      }
    }),
  );
});
