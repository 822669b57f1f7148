/**
 * Run machines, every path: all reachable states of small workflows, each given every event. The rules that must hold
 * everywhere are checked at every edge; so is equality with XState's own `transition()` (in `explore`).
 */
import { describe, expect, it } from "vitest";
import { describeRun } from "../../machines/run/describe.ts";
import type { RunContext } from "../../machines/run/context.ts";
import type { WorkflowSpec } from "../../src/workflow/spec.ts";
import { explore, reachingEnd, regionOf, step, workflow } from "./run-explorer.ts";
import type { Edge, Exploration, Node, RunEventObject, Scope } from "./run-explorer.ts";

interface Case {
  readonly name: string;
  readonly spec: WorkflowSpec;
  readonly scope?: Scope;
}

const diamond = (b: object = {}) => [
  step("a"),
  step("b", { after: ["a"], ...b }),
  step("c", { after: ["a"] }),
  step("d", { after: ["b", "c"] }),
];
const few: Scope = { without: ["returned", "lost", "final"] };

const cases: Case[] = [
  { name: "one step", spec: workflow([step("a")]) },
  { name: "one step with a retry and a timeout", spec: workflow([step("a", { retries: 1, timeoutMs: 1000 })]) },
  {
    name: "a chain of two with retries",
    spec: workflow([step("a", { retries: 1 }), step("b", { after: ["a"], retries: 1 })]),
    scope: { maxLost: 1 },
  },
  {
    name: "a chain of two with timeouts",
    spec: workflow([step("a", { retries: 1, timeoutMs: 1000 }), step("b", { after: ["a"], timeoutMs: 1000 })]),
    scope: { maxLost: 1 },
  },
  { name: "a diamond", spec: workflow(diamond({ retries: 1 })), scope: few },
  {
    name: "two steps side by side that finish when one fails",
    spec: workflow([step("a"), step("b", { retries: 1 })], { onStepFailure: "finish" }),
    scope: { without: ["final"], maxLost: 1 },
  },
  {
    name: "three steps that finish when one fails, with a timeout",
    spec: workflow([step("a", { timeoutMs: 1000 }), step("b"), step("c", { after: ["a"] })], { onStepFailure: "finish" }),
    scope: few,
  },
];

const AT_WORK = new Set(["ready", "executing", "timedOut", "stopping"]);

const contextOf = (node: Node): RunContext => node.snapshot.context as RunContext;

/** By a region's state: the delays that run in it. */
function timersOf(spec: WorkflowSpec, node: Node): string[] {
  return spec.steps.flatMap(({ name, scheduleTimeoutMs, timeoutMs }) => {
    const delays: Record<string, [string | number | undefined, string]> = {
      ready: [scheduleTimeoutMs, "attempt.ready"],
      executing: [timeoutMs, "attempt.executing"],
      timedOut: [spec.graceMs, "attempt.timedOut"],
      stopping: [spec.graceMs, "attempt.stopping"],
      backoff: [`backoff.${name}`, "backoff"],
    };
    const [delay, state] = delays[regionOf(node.snapshot, name) ?? ""] ?? [undefined, ""];
    return delay === undefined ? [] : [`xstate.after.${delay}.run.running.${name}.${state}`];
  });
}

/** Not `expect`: called a million times, and a snapshot must never be printed. */
function hold(rule: string, holds: boolean, at: string): void {
  if (!holds) throw new Error(`${rule}: not so after ${at}`);
}

const same = (a: readonly string[], b: readonly string[]): boolean => a.toSorted().join() === b.toSorted().join();

function checkEdge(spec: WorkflowSpec, { from, to, event, actions }: Edge): void {
  const at = [...from.path, event.type].join(", ");
  const context = contextOf(to);
  const active = to.snapshot.status === "active";

  if (from.snapshot.status !== "active")
    hold("a run that has ended never changes", to.snapshot === from.snapshot && actions.length === 0, at);
  if (to.key === from.key && actions.length === 0)
    hold("an event that finds nothing to do gives the same snapshot", to.snapshot === from.snapshot, at);
  if (to.snapshot === from.snapshot) return;

  for (const { type, params } of actions) {
    if (type === "actor.start") {
      const parents = spec.steps.find(({ name }) => name === params.id)?.after ?? [];
      hold(
        "parents succeed before children start",
        parents.every((parent) => context.steps[parent]?.status === "succeeded"),
        at,
      );
      hold("nothing starts once the run is ending", context.ending === null, at);
      hold("a step has one attempt at a time", !to.books.live.has(params.id), at);
    }
    if (type === "stopStep") hold("only what executes is told to stop", to.books.live.has(params.step), at);
  }

  const atWork = spec.steps.filter(({ name }) => AT_WORK.has(regionOf(to.snapshot, name) ?? "")).map(({ name }) => name);
  hold("what is wanted and not withdrawn is what is at work", same([...to.books.wanted], atWork), at);
  hold("the timers that are set are those of the current states", same([...to.books.timers], timersOf(spec, to)), at);
  hold("no attempt outlives its run", active || to.books.live.size === 0, at);

  for (const { name, retries } of spec.steps) {
    const { attempt, lost, failures } = context.steps[name]!;
    hold("attempts are limited", attempt >= 0 && attempt <= retries + 1 + lost, at);
    hold("failures are limited", failures <= retries + 1, at);
    hold("losses are limited", lost <= 5, at);
  }

  const before = contextOf(from).ending;
  if (before !== null)
    hold("the first reason wins", before.status === context.ending?.status && before.reason === context.ending.reason, at);

  const { status, outputs, reason, steps } = describeRun(spec, to.snapshot);
  const allSucceeded = Object.values(steps).every((step) => step.status === "SUCCEEDED");
  hold(
    "a run succeeds when all its steps did and nothing ended it",
    (status === "SUCCEEDED") === (!active && allSucceeded && context.ending === null),
    at,
  );
  hold("a run that succeeded has outputs, and no other", (outputs !== undefined) === (status === "SUCCEEDED"), at);
  hold("every bad end has a reason", (status !== "FAILED" && status !== "CANCELLED") || reason !== undefined, at);
  hold("a run is active while queued or running", active === (status === "QUEUED" || status === "RUNNING"), at);
}

const isAnswer = ({ type }: RunEventObject): boolean =>
  type === "run.admitted" ||
  type.startsWith("step.started.") ||
  type.startsWith("xstate.done.") ||
  type.startsWith("xstate.after.");
const isSilence = ({ type }: RunEventObject): boolean =>
  type === "run.admitted" || type.startsWith("step.lost.") || type.startsWith("xstate.after.");

function stuck(exploration: Exploration, usable: (event: RunEventObject) => boolean): string[] {
  const ending = reachingEnd(exploration, usable);
  return exploration.nodes.filter((node) => !ending.has(node)).map((node) => node.path.join(", "));
}

const explored = new Map<string, Exploration>();
function explorationOf({ name, spec, scope }: Case): Exploration {
  const known = explored.get(name) ?? explore(spec, scope, (edge) => checkEdge(spec, edge));
  explored.set(name, known);
  return known;
}

describe("every path of", () => {
  it.each(cases)("$name keeps all rules, and is XState's own", (case_) => {
    const { nodes } = explorationOf(case_);
    const ends = nodes.filter((node) => node.snapshot.status !== "active");
    expect(new Set(ends.map((node) => node.snapshot.value))).toEqual(new Set(["succeeded", "failed", "cancelled"]));
  });

  it.each(cases)("$name ends, from wherever it is, when workers answer", (case_) => {
    expect(stuck(explorationOf(case_), isAnswer)).toEqual([]);
  });

  // Where all losses are explored.
  it.each(cases.filter(({ scope }) => scope === undefined))(
    "$name ends, from wherever it is, when no worker ever answers",
    (case_) => {
      expect(stuck(explorationOf(case_), isSilence)).toEqual([]);
    },
  );
});
