/**
 * Runs that need slots in two limits at once, explored exhaustively: a run is taken by all of its groups or by none, nothing
 * waits while all of its groups have room, and no slot is lost between them. With one limit of each strategy against each.
 */
import { describe, expect, it } from "vitest";
import { expectSound, STRATEGIES } from "./group-scenarios.ts";
import type { Scenario } from "./group-world.ts";

/** Three runs: which of the two limits each needs, and in which order it names them. */
const PATTERNS = [
  { needs: "both, the second, both", runs: [[0, 1], [1], [0, 1]] },
  { needs: "the first, both, the second", runs: [[0], [0, 1], [1]] },
  {
    needs: "both, both in the other order, both",
    runs: [
      [0, 1],
      [1, 0],
      [0, 1],
    ],
  },
];

describe.each(STRATEGIES)("Runs under %s and one more limit", (strategy) => {
  const first = { name: "first/a", strategy };

  it.each(PATTERNS)("that need $needs are taken by all of their groups or by none", ({ needs, runs }) => {
    const scenarios = STRATEGIES.map((other): Scenario => ({
      title: `${strategy} and ${other}: ${needs}`,
      groups: [first, { name: "second/b", strategy: other }],
      runs: runs.map((groups, run) => ({ groups, priority: run === 1 ? 1 : 0 })),
      limitChanges: true,
    }));
    expect(expectSound(scenarios).worlds).toBeGreaterThan(1_500);
  });

  it("find their slots though one of four goes by another key of the other limit", () => {
    const groups = [
      first,
      { name: "second/b", strategy: "GROUP_ROUND_ROBIN" as const },
      { name: "second/c", strategy: "GROUP_ROUND_ROBIN" as const },
    ];
    const runs = [
      [0, 1],
      [0, 2],
      [0, 1],
      [2, 0],
    ].map((needed) => ({ groups: needed }));
    expectSound([{ title: `${strategy}, three groups`, groups, runs, limitChanges: true }]);
  });

  it("find their slots again after a crash at any point", () => {
    const groups = [first, { name: "second/b", strategy: "GROUP_ROUND_ROBIN" as const }];
    const runs = [[0, 1], [1], [0, 1]].map((needed) => ({ groups: needed }));
    expectSound([{ title: `${strategy}, crashes`, groups, runs, limitChanges: true, crashes: true }]);
    expectSound([{ title: `${strategy}, crashes and pauses`, groups, runs, pauses: true, crashes: true }]);
  });
});

describe("Runs under two limits", () => {
  it("find their slots when the strategies of both change at any time", () => {
    const groups = STRATEGIES.slice(0, 2).map((strategy, index) => ({ name: ["first/a", "second/b"][index]!, strategy }));
    const runs = [[0, 1], [1], [0, 1]].map((needed) => ({ groups: needed }));
    expectSound([{ title: "changing strategies of two limits", groups, runs, strategies: STRATEGIES }]);
  });
});
