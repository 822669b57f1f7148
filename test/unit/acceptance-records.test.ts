/** The checker of the acceptance tests: it must find what is wrong in records that are wrong. */
import { describe, expect, it } from "vitest";
import { checkRecords, executionsOf, peaks, startsOutOfOrder } from "../acceptance/support/check-records.ts";
import type { HandlerRecord } from "../acceptance/support/records.ts";

/** Executions of run `r<n>` for event n, as `[n, key, step, from, to, pid?]`; without an end, only the start. */
function records(
  ...executions: readonly (readonly [
    n: number,
    key: string,
    step: string,
    from: number,
    to?: number | undefined,
    pid?: number,
    attempt?: number,
  ])[]
): HandlerRecord[] {
  return executions.flatMap(([n, key, step, from, to, pid = 1, attempt = 1]) => {
    const common = {
      pid,
      workflow: "w",
      run: `r${n}`,
      step,
      attempt,
      attemptId: `r${n}.${step}.${attempt}`,
      keys: [key],
      seq: n,
      n,
    };
    const start: HandlerRecord = { what: "start", at: from, ...common };
    return to === undefined ? [start] : [start, { what: "end", at: to, ...common, outcome: "returned" } satisfies HandlerRecord];
  });
}

const fine = records(
  [1, "a", "one", 0, 5],
  [1, "a", "two", 6, 10],
  [2, "a", "one", 10, 14],
  [2, "a", "two", 15, 20],
  [3, "b", "one", 1, 4],
  [3, "b", "two", 4, 9],
);
const expected = { events: [1, 2, 3], steps: ["one", "two"], maxRuns: 1 };

describe("the checker of handler records", () => {
  it("finds nothing wrong where nothing is, whatever the order of the lines", () => {
    expect(checkRecords(fine, expected)).toEqual([]);
    expect(checkRecords([...fine].reverse(), expected)).toEqual([]);
    expect(startsOutOfOrder(executionsOf(fine).executions)).toEqual([]);
  });

  it("finds a key above its limit, also between two steps of a run", () => {
    const wrong = records([1, "a", "one", 0, 5], [1, "a", "two", 9, 12], [2, "a", "one", 6, 8], [2, "a", "two", 13, 14]);
    expect(checkRecords(wrong, { ...expected, events: [1, 2] })).toEqual([
      "key a had 2 runs at once, its limit is 1: r1 (event 1) from 0.0 to 12.0 ms, r2 (event 2) from 6.0 to 14.0 ms",
    ]);
  });

  it("counts a killed execution until the kill, and no longer", () => {
    const killed = [{ pid: 7, at: 5 }];
    const after = records(
      [1, "a", "one", 0, undefined, 7],
      [1, "a", "one", 6, 8, 1, 2],
      [1, "a", "two", 8, 9],
      [2, "a", "one", 9, 10],
      [2, "a", "two", 10, 11],
    );
    expect(checkRecords(after, { ...expected, events: [1, 2], kills: killed })).toEqual([]);
    const during = records([1, "a", "one", 0, undefined, 7], [2, "a", "one", 4, 5], [2, "a", "two", 5, 6]);
    expect(checkRecords(during, { ...expected, events: [1, 2], kills: killed })).toEqual([
      "step one of run r1 (event 1) was never executed to its end",
      "step two of run r1 (event 1) was never executed to its end",
      "key a had 2 runs at once, its limit is 1: r1 (event 1) from 0.0 to 5.0 ms, r2 (event 2) from 4.0 to 6.0 ms",
    ]);
  });

  it("finds an execution that never ended though nobody was killed", () => {
    expect(checkRecords(records([1, "a", "one", 0, 1], [1, "a", "two", 2]), { ...expected, events: [1] })).toEqual([
      "attempt r1.two.1 never ended, though process 1 was not killed",
      "step two of run r1 (event 1) was never executed to its end",
    ]);
  });

  it("finds an event without a run, one with two, and one that nobody sent", () => {
    const second = records([2, "b", "one", 0, 1], [2, "b", "two", 1, 2]).map((entry) => ({ ...entry, n: 1 }));
    const wrong = [
      ...records([1, "a", "one", 0, 1], [1, "a", "two", 1, 2], [4, "c", "one", 0, 1], [4, "c", "two", 1, 2]),
      ...second,
    ];
    expect(checkRecords(wrong, { ...expected, events: [1, 3] })).toEqual([
      "event 1 has 2 runs: r1, r2",
      "event 3 has no run",
      "event 4 has a run, but was never acknowledged",
    ]);
  });

  it("lets an event whose acknowledgement was lost have one run or none", () => {
    const wrong = records([1, "a", "one", 0, 1], [1, "a", "two", 1, 2]);
    expect(checkRecords(wrong, { ...expected, events: [], unsure: [1, 2] })).toEqual([]);
    const twice = [...wrong, ...records([3, "b", "one", 0, 1], [3, "b", "two", 1, 2]).map((entry) => ({ ...entry, n: 1 }))];
    expect(checkRecords(twice, { ...expected, events: [], unsure: [1] })).toEqual(["event 1 has 2 runs: r1, r3"]);
  });

  it("finds one attempt executed twice in one process, and an end without a start", () => {
    const twice = [...records([1, "a", "one", 0]), ...records([1, "a", "one", 1, 2], [1, "a", "two", 3, 4])];
    expect(checkRecords(twice, { ...expected, events: [1] })).toEqual(["attempt r1.one.1 started twice in process 1"]);
    expect(executionsOf(records([1, "a", "one", 0, 1]).slice(1)).problems).toEqual([
      "attempt r1.one.1 ended in process 1 without having started",
    ]);
  });

  it("finds starts out of order, but for the tolerance and for those who lost their worker", () => {
    const wrong = executionsOf(records([1, "a", "one", 5, 6], [2, "a", "one", 2, 3], [3, "b", "one", 0, 1])).executions;
    expect(startsOutOfOrder(wrong)).toEqual(["key a: event 2 started 3.0 ms before event 1, which came earlier"]);
    expect(startsOutOfOrder(wrong, { toleranceMs: 3 })).toEqual([]);
    expect(startsOutOfOrder(wrong, { except: new Set(["r1"]) })).toEqual([]);
  });

  it("does not count one that ends when another begins", () => {
    expect(
      peaks([
        { key: "a", from: 0, to: 5 },
        { key: "a", from: 5, to: 6 },
        { key: "a", from: 5, to: 7 },
      ]),
    ).toEqual(new Map([["a", 2]]));
  });
});
