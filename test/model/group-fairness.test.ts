/** Turns between the groups that share a limit, told as stories: what the exploration's few runs are too few to show. */
import { describe, expect, it } from "vitest";
import { standing } from "../../machines/group/index.ts";
import { act } from "./group-supervisor.ts";
import { entriesOf, firstWorld, type Action, type Scenario, type World } from "./group-world.ts";

/** Runs of these users, in this order, each of whom may have many at once, share the slots of one tenant. */
function shared(users: string, slots: number) {
  const names = [...new Set(users)];
  const scenario: Scenario = {
    title: `${users} on ${slots}`,
    groups: [
      { name: "tenant/t", strategy: "GROUP_ROUND_ROBIN", maxRuns: slots },
      ...names.map((name) => ({ name: `user/${name}`, strategy: "GROUP_ROUND_ROBIN" as const, maxRuns: 100 })),
    ],
    runs: [...users].map((user) => ({ groups: [names.indexOf(user) + 1, 0] })),
  };
  const entries = entriesOf(scenario);
  let world: World = firstWorld(scenario);
  const started: number[] = [];
  const after = (action: Action): void => {
    const before = world;
    ({ world } = act(scenario, entries, world, action));
    world.phases.forEach((phase, run) => phase === "active" && before.phases[run] !== "active" && started.push(run));
  };
  return {
    entries,
    after,
    arrive: (from: number, to: number) =>
      entries.slice(from, to).forEach((_, index) => after({ do: "arrive", run: from + index })),
    finish: (user: string) =>
      after({ do: "end", run: world.phases.findIndex((phase, run) => phase === "active" && users[run] === user) }),
    finishAll() {
      for (let run = world.phases.indexOf("active"); run >= 0; run = world.phases.indexOf("active")) after({ do: "end", run });
    },
    tenant: () => world.groups[0]!,
    /** The users in the order in which their runs started. */
    started: () => started.map((run) => users[run]).join(""),
  };
}

describe("Groups that share a limit", () => {
  it("take turns from the first run on, though one came with all of its runs before the others", () => {
    const story = shared("AAAAABBBBBCCCCC", 1);
    story.arrive(0, 15);
    story.finishAll();
    expect(story.started()).toBe("ABCABCABCABCABC");
  });

  it("take turns for several slots", () => {
    const story = shared("AAAAAABBBCCC", 2);
    story.arrive(0, 12);
    story.finishAll();
    expect(story.started()).toBe("AABCABCABCAA");
  });

  it("tell each waiting run exactly how many will go before it", () => {
    const story = shared("AAABBBC", 1);
    story.arrive(0, 7);
    const ahead = story.entries.map((entry) => {
      const where = standing(story.tenant(), entry);
      return where.is === "waiting" ? where.ahead : where.is;
    });
    expect(ahead).toEqual(["active", 2, 4, 0, 3, 5, 1]);
  });

  it("let a group that comes back at once wait behind those that waited meanwhile, with no turn more or less", () => {
    const story = shared("ABBCCA", 1);
    story.arrive(0, 5);
    story.finish("A");
    story.arrive(5, 6);
    story.finishAll();
    expect(story.started()).toBe("ABCBAC");
  });
});
