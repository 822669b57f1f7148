/**
 * The world that the model of groups explores: a few runs, the groups they need, and what can happen next. Worlds are values;
 * two with the same key behave in the same way. Knows nothing of how the world changes (`group-supervisor.ts`).
 */
import type { AnyStateMachine } from "xstate";
import { createContext } from "../../machines/group/context.ts";
import type { Entry, GroupContext } from "../../machines/group/contract.ts";
import { turnsOf } from "../../machines/group/index.ts";
import type { Strategy } from "../../src/workflow/spec.ts";

/**
 * `retrying`: waits for its next attempt. `ending`: has failed or timed out, and its worker is told to stop what still runs.
 * `stopping`: the same after a cancellation.
 */
export type Phase = "new" | "waiting" | "active" | "retrying" | "ending" | "stopping" | "ended";

/** A run that holds its slots. */
export const HOLDS_SLOTS: ReadonlySet<Phase> = new Set<Phase>(["active", "retrying", "ending", "stopping"]);

export interface Scenario {
  readonly title: string;
  /** Each is one key of a limit; a name like "tenant/a" is limit/key. */
  readonly groups: readonly { readonly name: string; readonly strategy: Strategy; readonly maxRuns?: number }[];
  /** In the order of their arrival; `groups` are indices. */
  readonly runs: readonly { readonly groups: readonly number[]; readonly priority?: number }[];
  /** Limits change between 1 and 2 at any time. */
  readonly limitChanges?: boolean;
  /** Groups are paused and resumed at any time. */
  readonly pauses?: boolean;
  /** Limits take these strategies at any time. */
  readonly strategies?: readonly Strategy[];
  /** The engine crashes at any time, and its successor knows from the journal what its facts tell. */
  readonly crashes?: boolean;
  /** Machines to use in place of the real ones. */
  readonly machines?: Partial<Record<Strategy, AnyStateMachine>>;
}

export interface World {
  readonly phases: readonly Phase[];
  readonly groups: readonly GroupContext[];
}

export type Action =
  | { readonly do: "arrive" | "end" | "time out" | "retry" | "resume" | "cancel" | "stop"; readonly run: number }
  | { readonly do: "limit"; readonly limit: string; readonly maxRuns: number }
  | { readonly do: "strategy"; readonly limit: string; readonly strategy: Strategy }
  | { readonly do: "pause" | "resume group"; readonly group: number }
  | { readonly do: "crash" };

export const limitOf = (group: { readonly name: string }): string => group.name.split("/")[0]!;

export function firstWorld(scenario: Scenario): World {
  return {
    phases: scenario.runs.map(() => "new"),
    groups: scenario.groups.map((group) =>
      createContext({
        strategy: group.strategy,
        limit: limitOf(group),
        key: group.name.split("/")[1] ?? "",
        maxRuns: group.maxRuns ?? 1,
      }),
    ),
  };
}

/** The runs as their groups see them, each created once. */
export function entriesOf(scenario: Scenario): readonly Entry[] {
  return scenario.runs.map(({ groups, priority = 0 }, order) => ({
    run: `run ${order}`,
    priority,
    order,
    flow: scenario.groups[groups[0]!]!.name,
    gated: groups.length > 1,
  }));
}

/** Everything that may happen next. Runs arrive in their order; which of them has what key and priority is the scenario's. */
export function possible(scenario: Scenario, world: World): Action[] {
  const actions: Action[] = [];
  const next = world.phases.indexOf("new");
  if (next >= 0) actions.push({ do: "arrive", run: next });
  world.phases.forEach((phase, run) => {
    if (phase === "active") actions.push({ do: "end", run }, { do: "time out", run }, { do: "retry", run });
    if (phase === "retrying") actions.push({ do: "resume", run });
    if (phase === "waiting" || phase === "active" || phase === "retrying") actions.push({ do: "cancel", run });
    if (phase === "ending" || phase === "stopping") actions.push({ do: "stop", run });
  });
  if (scenario.limitChanges) {
    for (const [limit, maxRuns] of new Map(world.groups.map((group) => [group.limit, group.maxRuns])))
      actions.push({ do: "limit", limit, maxRuns: 3 - maxRuns });
  }
  for (const strategy of scenario.strategies ?? []) {
    for (const [limit, current] of new Map(world.groups.map((group) => [group.limit, group.strategy])))
      if (strategy !== current) actions.push({ do: "strategy", limit, strategy });
  }
  if (scenario.pauses) {
    world.groups.forEach(({ paused }, group) => actions.push({ do: paused ? "resume group" : "pause", group }));
  }
  if (scenario.crashes) actions.push({ do: "crash" });
  return actions;
}

const orders = (entries: Iterable<Entry>): string => {
  let text = "";
  for (const { order } of entries) text += `${order},`;
  return text;
};

const keys = new WeakMap<GroupContext, string>();

/** All that matters of a group: equal for equal contexts, however they came about. */
export function groupKey(context: GroupContext): string {
  let key = keys.get(context);
  if (key === undefined) keys.set(context, (key = keyOf(context)));
  return key;
}

function keyOf(context: GroupContext): string {
  const { strategy, maxRuns, paused, active, stopping, waiting, held, proposed, evictable } = context;
  const turns = JSON.stringify(turnsOf(context)) ?? "";
  return `${strategy} ${maxRuns}${paused ? "p" : ""} ${orders(active)} ${orders(stopping)} ${orders(waiting)} ${turns} ${orders(held)} ${proposed?.order ?? ""} ${orders(evictable)}`;
}

export function worldKey(world: World): string {
  return `${world.phases.join()}|${world.groups.map(groupKey).join("|")}`;
}

export function describeAction(scenario: Scenario, action: Action): string {
  switch (action.do) {
    case "arrive": {
      const { groups, priority = 0 } = scenario.runs[action.run]!;
      return `run ${action.run} arrives (${groups.map((group) => scenario.groups[group]!.name).join(" and ")}, priority ${priority})`;
    }
    case "limit":
      return `limit ${action.limit} becomes ${action.maxRuns}`;
    case "strategy":
      return `limit ${action.limit} becomes ${action.strategy}`;
    case "pause":
    case "resume group":
      return `${action.do} ${scenario.groups[action.group]!.name}`;
    case "crash":
      return "the engine crashes and another one recovers";
    default:
      return `run ${action.run} ${MEANING[action.do]}`;
  }
}

/** Groups cannot tell what is one here: they are told the same. */
const MEANING = {
  end: "succeeds, or fails for good",
  "time out": "times out, and its worker is told to stop it",
  retry: "fails, and waits to be tried again",
  resume: "is tried again",
  cancel: "is cancelled by its user, or times out waiting",
  stop: "has stopped: its worker says so, or the grace deadline has passed",
};
