/**
 * Ownership and fencing: whatever is paused, lost, late, killed or taken for dead, nothing of an older owner takes effect after a newer one's, nothing
 * that was committed is missed, and the partition can always be served again. And each part that this takes is taken out once:
 * the exploration has to find what goes wrong then.
 */
import { describe, expect, it } from "vitest";
import type { ClusterMap } from "../../src/engine/cluster/cluster-map.ts";
import { fulfil, type Wishes } from "../../src/engine/cluster/wishes.ts";
import { explore } from "./ownership-exploration.ts";
import { type Budget, type Rules, RULES } from "./ownership-world.ts";

const NOTHING: Budget = { ends: 0, timeouts: 0, crashes: 0, stops: 0, handovers: 0 };

// `SLUICE_TEST_SCALE=20` explores what takes minutes and some GB, too.
const isLong = Number(process.env["SLUICE_TEST_SCALE"] ?? 1) > 1;

/** With the worlds that there are: fewer would mean that something is not explored. */
const USUAL: readonly (readonly [Partial<Budget>, number])[] = [
  [{ ends: 1 }, 39_233],
  [{ crashes: 1 }, 45_933],
  [{ stops: 1 }, 27_775],
  [{ handovers: 1, timeouts: 1 }, 41_019],
];
const LONG: typeof USUAL = [
  [{ ends: 1, timeouts: 1 }, 161_530],
  [{ stops: 1, timeouts: 1 }, 112_193],
  [{ crashes: 1, timeouts: 1 }, 166_591],
];

const named = (budget: Partial<Budget>): string =>
  Object.entries(budget)
    .map(([what, times]) => `${times} ${what}`)
    .join(", ");

describe("two nodes and a partition", { timeout: isLong ? 1_800_000 : 120_000 }, () => {
  const all = [...USUAL, ...(isLong ? LONG : [])].map(([budget, least]) => ({ title: named(budget), budget, least }));
  it.each(all)("keep every promise on all ways with $title", ({ budget, least }) => {
    const { worlds, violation } = explore({ ...NOTHING, ...budget }, RULES);
    expect(violation).toBeUndefined();
    expect(worlds).toBeGreaterThanOrEqual(least);
  });

  it("keep them as well when a claim is checked against the journal's last message instead of the map", () => {
    expect(explore({ ...NOTHING, ends: 1 }, { ...RULES, claimCheck: "journal" }).violation).toBeUndefined();
  });
});

/** What every node does to the map, done wrong. */
const broken = (change: (wishes: Wishes, map: ClusterMap) => ClusterMap): Partial<Rules> => ({ fulfil: change });

const MISTAKES: readonly {
  readonly mistake: string;
  readonly rules: Partial<Rules>;
  readonly budget: Partial<Budget>;
  readonly says: RegExp;
}[] = [
  {
    mistake: "without the fence",
    rules: { fence: false },
    budget: { ends: 1 },
    says: /the journal takes a message of a1 1 after those of a newer owner/,
  },
  {
    mistake: "without the claim in the journal",
    rules: { claimFact: false },
    budget: { ends: 1 },
    says: /b1 2 has recovered without what a1 1 has committed/,
  },
  {
    mistake: "when a claim is repeated, or late, without a look whether it still holds",
    rules: { claimCheck: "none" },
    budget: { ends: 1 },
    says: /the journal takes a message of a1 1 after those of a newer owner/,
  },
  {
    mistake: "when workers do not look at epochs",
    rules: { workerEpochs: false },
    budget: { ends: 1 },
    says: /the worker accepts an effect of a1 1 after one of b1 2/,
  },
  {
    mistake: "when the map is just put",
    rules: { compareAndSet: false },
    budget: {},
    says: /the worker accepts an effect of a1 1 after one of b1 1/,
  },
  {
    mistake: "when a claim does not make a new epoch",
    rules: broken((wishes, map) => {
      const next = fulfil(wishes, map);
      const before = map.owners[0];
      const after = next.owners[0];
      if (before === undefined || after?.node === undefined || after.epoch === before.epoch) return next;
      return { ...next, owners: { ...next.owners, 0: { ...after, epoch: before.epoch } } };
    }),
    budget: { ends: 1 },
    says: /the worker accepts an effect of a1 1 after one of b1 1/,
  },
  {
    mistake: "when the dead are left in the map",
    rules: broken((wishes, map) => fulfil({ ...wishes, dead: new Set() }, map)),
    budget: { crashes: 1 },
    says: /can never be served again/,
  },
  {
    mistake: "when what has stopped is not freed",
    rules: broken((wishes, map) => fulfil({ ...wishes, stopped: new Map() }, map)),
    budget: { handovers: 1 },
    says: /can never be served again/,
  },
];

describe("the exploration finds what goes wrong", { timeout: 120_000 }, () => {
  it.each(MISTAKES)("$mistake", ({ rules, budget, says }) => {
    const { violation } = explore({ ...NOTHING, ...budget }, { ...RULES, ...rules });
    expect(violation).toMatch(says);
    // The whole way there, in readable steps.
    expect(violation?.split("\n").length).toBeGreaterThan(3);
  });
});
