/**
 * The model tests are worth what they find: every strategy is broken, in ways that a wrong line of code could break it, and the
 * exploration has to say what is wrong and how it came to it.
 */
import { assign, type AnyStateMachine } from "xstate";
import { describe, expect, it } from "vitest";
import * as contexts from "../../machines/group/context.ts";
import type { Entry, GroupContext, GroupEvent } from "../../machines/group/contract.ts";
import { groupMachine } from "../../machines/group/index.ts";
import type { Strategy } from "../../src/workflow/spec.ts";
import { violationOf } from "./group-scenarios.ts";
import type { Scenario } from "./group-world.ts";

type Parts = Parameters<AnyStateMachine["provide"]>[0];

function broken(strategy: Strategy, parts: Parts): Scenario["machines"] {
  const machine: AnyStateMachine = groupMachine(strategy);
  return { [strategy]: machine.provide(parts) };
}

/** A change of the context in place of the real one, which knows the run that the event is about. */
function change(to: (context: GroupContext, subject: Entry) => GroupContext) {
  return assign(({ context, event }: { context: GroupContext; event: GroupEvent }) =>
    to(context, (event as { entry: Entry }).entry),
  );
}

const never = () => false;

interface Mutation {
  readonly strategy: Strategy;
  readonly mistake: string;
  readonly machines: Scenario["machines"];
  readonly says: RegExp;
  readonly scenario?: Partial<Scenario>;
}

const twoLimits = (strategy: Strategy): Partial<Scenario> => ({
  groups: [
    { name: "limit/a", strategy },
    { name: "other/b", strategy: "GROUP_ROUND_ROBIN" },
  ],
  runs: [{ groups: [0, 1] }, { groups: [1] }, { groups: [0, 1] }],
});

const MUTATIONS: readonly Mutation[] = [
  {
    strategy: "GROUP_ROUND_ROBIN",
    mistake: "does not see that a newcomer takes the last slot",
    machines: broken("GROUP_ROUND_ROBIN", { guards: { takesLastSlot: never } }),
    says: /rests in open, but is restored in full/,
  },
  {
    strategy: "GROUP_ROUND_ROBIN",
    mistake: "lets runs wait after a raise of the limit",
    machines: broken("GROUP_ROUND_ROBIN", { guards: { roomAndWaiting: never } }),
    says: /the table says 0,1/,
  },
  {
    strategy: "GROUP_ROUND_ROBIN",
    mistake: "admits the newest first",
    machines: broken("GROUP_ROUND_ROBIN", {
      actions: { handOver: change((context, released) => contexts.handOver(context, released, [...context.waiting].at(-1)!)) },
    }),
    says: /table says/,
  },
  {
    strategy: "GROUP_ROUND_ROBIN",
    mistake: "does not count the turn of a newcomer",
    machines: broken("GROUP_ROUND_ROBIN", {
      actions: { activate: change((context, newcomer) => ({ ...context, active: context.active.add(newcomer) })) },
    }),
    says: /recovery makes another limit\/a of the facts/,
  },
  {
    strategy: "GROUP_ROUND_ROBIN",
    mistake: "admits a run without asking its other groups",
    machines: broken("GROUP_ROUND_ROBIN", { guards: { isGated: never } }),
    scenario: twoLimits("GROUP_ROUND_ROBIN"),
    says: /other\/b counts run 1 as active, but run 1, run 2 hold slots/,
  },
  {
    strategy: "CANCEL_IN_PROGRESS",
    mistake: "lets the active run finish",
    machines: broken("CANCEL_IN_PROGRESS", { guards: { isCrowded: never } }),
    says: /table says/,
  },
  {
    strategy: "CANCEL_IN_PROGRESS",
    mistake: "gives away the slot of a run that has not stopped yet",
    machines: broken("CANCEL_IN_PROGRESS", {
      actions: {
        enqueueAndEvict: change((context, newcomer) =>
          contexts.release(contexts.enqueue(context, newcomer), context.evictable.first()!),
        ),
      },
    }),
    says: /rests in full, but is restored in open|counts .* as active/,
  },
  {
    strategy: "CANCEL_IN_PROGRESS",
    mistake: "lets a newcomer replace a run of higher priority",
    machines: broken("CANCEL_IN_PROGRESS", { guards: { isOutranked: never } }),
    says: /takes in run 1, and foretold otherwise/,
  },
  {
    strategy: "CANCEL_IN_PROGRESS",
    mistake: "forgets those that are too many when the limit is lowered",
    machines: broken("CANCEL_IN_PROGRESS", { guards: { isOvercrowded: never } }),
    says: /table says/,
  },
  {
    strategy: "CANCEL_NEWEST",
    mistake: "does not see that a newcomer takes the last slot",
    machines: broken("CANCEL_NEWEST", { guards: { takesLastSlot: never } }),
    says: /rests in open, but is restored in full/,
  },
  {
    strategy: "CANCEL_NEWEST",
    mistake: "takes in more than it has slots for while it is paused",
    machines: broken("CANCEL_NEWEST", { guards: { isOccupied: never } }),
    scenario: { pauses: true },
    says: /takes in run 1, and foretold otherwise/,
  },
  {
    strategy: "CANCEL_QUEUED_EXCEPT_NEWEST",
    mistake: "keeps the oldest",
    machines: { CANCEL_QUEUED_EXCEPT_NEWEST: groupMachine("CANCEL_QUEUED_EXCEPT_OLDEST") },
    says: /refuses run 2, and foretold otherwise/,
  },
  {
    strategy: "CANCEL_QUEUED_EXCEPT_NEWEST",
    mistake: "forgets those that are too many when the limit is lowered",
    machines: broken("CANCEL_QUEUED_EXCEPT_NEWEST", { guards: { isOvercrowded: never } }),
    says: /table says/,
  },
  {
    strategy: "CANCEL_QUEUED_EXCEPT_OLDEST",
    mistake: "keeps the newest",
    machines: { CANCEL_QUEUED_EXCEPT_OLDEST: groupMachine("CANCEL_QUEUED_EXCEPT_NEWEST") },
    says: /takes in run 2, and foretold otherwise/,
  },
  {
    strategy: "CANCEL_QUEUED_EXCEPT_OLDEST",
    mistake: "lets everybody wait",
    machines: broken("CANCEL_QUEUED_EXCEPT_OLDEST", { guards: { isCrowded: never } }),
    says: /takes in run 2, and foretold otherwise/,
  },
];

describe("The exploration", () => {
  it.each(MUTATIONS.map((one) => [`${one.strategy} ${one.mistake}`, one] as const))("finds it out when %s", (title, mutation) => {
    const { strategy, machines, says, scenario } = mutation;
    const violation = violationOf({
      title,
      groups: [{ name: "limit/a", strategy }],
      runs: [{ groups: [0], priority: 1 }, { groups: [0] }, { groups: [0] }, { groups: [0] }],
      limitChanges: true,
      ...scenario,
      ...(machines && { machines }),
    });
    expect(violation).toMatch(says);
    expect(violation).toContain("- run 0 arrives");
  });

  it("tells the shortest way to a violation in readable steps", () => {
    const machines = broken("GROUP_ROUND_ROBIN", { guards: { takesLastSlot: never } });
    const groups = [{ name: "user/ada", strategy: "GROUP_ROUND_ROBIN" as const }];
    expect(violationOf({ title: "over-admission", groups, runs: [{ groups: [0] }], machines: machines! }).split("\n")).toEqual([
      "over-admission: user/ada rests in open, but is restored in full",
      "  - run 0 arrives (user/ada, priority 0)",
      "      user/ada is told run.arrived of run 0: admit run 0; now open",
    ]);
  });
});
