/**
 * Every strategy, explored exhaustively: four runs that need one slot each, in all interleavings of arrivals, ends, retries,
 * timeouts, cancellations, confirmed and missing stops, and changes of the limit between 1 and 2. In every world the invariants
 * hold and recovery from the facts gives the same groups; every step agrees with the table of the contract and with XState.
 */
import { describe, expect, it } from "vitest";
import { expectSound, STRATEGIES } from "./group-scenarios.ts";

const RUNS = [0, 1, 2, 3];
const bits = (number: number) => RUNS.map((run) => (number >> run) & 1);

describe.each(STRATEGIES)("A group under %s", (strategy) => {
  const key = { name: "limit/a", strategy };

  it("keeps its promises for four runs of one key, whatever their priorities", () => {
    const scenarios = [0b0000, 0b0001, 0b0011, 0b0101, 0b0110, 0b1010, 0b1100].map((pattern) => ({
      title: `${strategy}, priorities ${bits(pattern)}`,
      groups: [key],
      runs: bits(pattern).map((priority) => ({ groups: [0], priority })),
      limitChanges: true,
    }));
    expect(expectSound(scenarios).worlds).toBeGreaterThan(2_000);
  });

  it("keeps its promises for four runs of two keys, however they are spread", () => {
    // All ways to give the runs two keys, but for names. Where one key has three of them, its limit stays what it is.
    const scenarios = [1, 2, 3, 4, 5, 6, 7].flatMap((pattern) => {
      const keys = bits(pattern * 2);
      const even = keys.filter((group) => group === 1).length === 2;
      return (even ? [1] : [1, 2]).map((maxRuns) => ({
        title: `${strategy}, keys ${keys}, limit ${maxRuns}`,
        groups: ["limit/a", "limit/b"].map((name) => ({ name, strategy, maxRuns })),
        runs: keys.map((group) => ({ groups: [group] })),
        limitChanges: even,
      }));
    });
    expect(expectSound(scenarios).worlds).toBeGreaterThan(4_000);
  });

  it("keeps its promises while it is paused and resumed at any time", () => {
    const runs = [0, 1, 0, 1].map((priority) => ({ groups: [0], priority }));
    expectSound([{ title: `${strategy}, pauses`, groups: [key], runs, limitChanges: true, pauses: true }]);
  });
});

describe("A group", () => {
  it("keeps the promises of each strategy that its limit takes, when that changes at any time", () => {
    const runs = [0, 1, 0].map((priority) => ({ groups: [0], priority }));
    const groups = [{ name: "limit/a", strategy: STRATEGIES[0]! }];
    expectSound([{ title: "changing strategies", groups, runs, limitChanges: true, pauses: true, strategies: STRATEGIES }]);
  });
});
