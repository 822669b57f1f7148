/** A partition's decisions, through what goes in and the facts and effects that come out. */
import { describe, expect, test } from "vitest";
import { Placement } from "../../src/engine/placement.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { Strategy } from "../../src/workflow/spec.ts";
import { Partition, START_MS } from "./engine-partition.ts";

const base = { grace: "3s" } as const;
const free = defineWorkflow({ ...base, name: "free" }).step(
  "a",
  { retries: 1, backoff: { min: "1s", factor: 1 }, timeout: "10s", scheduleTimeout: "1m" },
  () => 1,
);
const forked = (onStepFailure: "cancel" | "finish") =>
  defineWorkflow({ ...base, name: onStepFailure, onStepFailure })
    .step("a", () => 1)
    .step("b", () => 1)
    .step("c", { after: ["a"] }, () => 1);
const limited = (strategy: Strategy, maxRuns = 1) =>
  defineWorkflow({ ...base, name: "limited", concurrency: { key: "input.k", strategy, maxRuns } }).step("a", () => 1);
const K = { k: "x" };

describe("a run", () => {
  test("without limits starts at once and ends with its result", () => {
    const p = new Partition([free]);
    expect(p.create("r", "free")).toEqual(["r active"]);
    const attempt = p.assign("r");
    expect(p.effects.map(({ type }) => type)).toEqual(["change", "assign"]);
    expect(p.result(attempt, "succeeded")).toEqual({ taken: true, news: ["r xstate.done.actor.a", "r SUCCEEDED"] });
    expect([p.core.runs.size, p.slots.held.size, p.core.nextTimerMs]).toEqual([0, 0, undefined]);
  });

  test("is not created twice, neither by its id nor by its source", () => {
    const p = new Partition([free]);
    expect(p.create("r", "free")).toEqual(["r active"]);
    expect(p.create("r", "free")).toEqual([]);
    expect(p.core.accept("events", [7, 0], p.creation("s", "free"))).toBe(true);
    expect(p.core.accept("events", [7, 0], p.creation("t", "free"))).toBe(false);
    expect(p.core.accept("events", [6, 9], p.creation("u", "free"))).toBe(false);
    expect(p.core.accept("events", [7, 1], p.creation("v", "free"))).toBe(true);
    expect([...p.core.runs.keys()]).toEqual(["r", "s", "v"]);
  });

  test("is retried after its backoff, and its late results are left alone", () => {
    const p = new Partition([free]);
    p.create("r", "free");
    const first = p.assign("r");
    expect(p.result(first, "failed").news).toEqual(["r xstate.error.actor.a"]);
    expect(p.result(first, "succeeded")).toEqual({ taken: false, news: [] });
    expect(p.slots.held.size).toBe(0);
    p.pass(1_000);
    const second = p.assign("r");
    expect(second).not.toBe(first);
    expect(p.result(first, "succeeded").taken).toBe(false);
    expect(p.result(second, "failed").news).toEqual(["r xstate.error.actor.a", "r FAILED STEP_FAILED"]);
    expect(p.result(second, "succeeded").taken).toBe(false);
  });

  test("gives its step to another worker when that was handed back or lost", () => {
    const p = new Partition([free]);
    p.create("r", "free");
    for (const how of ["returned", "lost"] as const) {
      const attempt = p.assign("r");
      p.core.giveBack("r", attempt, how);
      p.core.giveBack("r", attempt, how);
      expect(p.news()).toEqual([`r step.${how}.a`]);
      expect(p.slots.held.size).toBe(0);
    }
    expect(p.result(p.assign("r"), "succeeded").news).toContain("r SUCCEEDED");
  });

  test("that times out keeps its slot until the worker has stopped", () => {
    const p = new Partition([free]);
    p.create("r", "free");
    const attempt = p.assign("r");
    p.pass(10_000);
    expect(p.effects.map(({ type }) => type)).toContain("stop");
    expect(p.slots.held.size).toBe(1);
    p.result(attempt, "stopped");
    expect(p.slots.held.size).toBe(0);
    p.pass(1_000);
    p.assign("r");
    p.pass(10_000);
    expect(p.pass(3_000)).toContain("r FAILED STEP_TIMED_OUT");
  });

  test("that no worker takes in time is cancelled", () => {
    const p = new Partition([free]);
    p.create("r", "free");
    expect(p.pass(59_999)).toEqual([]);
    expect(p.pass(1)).toContain("r CANCELLED SCHEDULING_TIMED_OUT");
  });

  test("waits for its time, and can be cancelled before", () => {
    const p = new Partition([free]);
    expect(p.create("r", "free", {}, { notBefore: START_MS + 5_000 })).toEqual(["r scheduled"]);
    p.create("s", "free", {}, { notBefore: START_MS + 6_000 });
    expect(p.core.cancel("s")).toBe(true);
    expect(p.news()).toEqual(["s CANCELLED CANCELLED_BY_USER"]);
    expect(p.pass(4_999)).toEqual([]);
    expect(p.pass(1)).toEqual(["r active"]);
    expect(p.core.cancel("s")).toBe(false);
  });
});

describe("a cancelled run", () => {
  test("ends when its worker confirms", () => {
    const p = new Partition([limited(Strategy.GROUP_ROUND_ROBIN)]);
    p.create("r", "limited", K);
    p.create("s", "limited", K);
    const attempt = p.assign("r");
    p.core.cancel("r");
    expect(p.news()).toEqual(["r run.cancelled"]);
    expect(p.effects.map(({ type }) => type)).toContain("stop");
    expect(p.result(attempt, "stopped").news).toEqual(["r step.stopped.a", "r CANCELLED CANCELLED_BY_USER", "s admitted"]);
  });

  test("has its worker told to stop again after a recovery, since nobody knows whether it was told", () => {
    const workflows = [free];
    const before = new Partition(workflows);
    for (const run of ["r", "s", "t"]) before.create(run, "free");
    const cancelled = before.assign("r");
    before.core.cancel("r");
    before.assign("s");
    before.news();
    const after = new Partition(workflows);
    for (const line of before.core.snapshotLines())
      after.core.replaySnapshotLine(JSON.parse(line) as Parameters<typeof after.core.replaySnapshotLine>[0]);
    after.core.endSnapshot();
    after.core.resume();
    after.news();
    expect(after.effects.flatMap((effect) => (effect.type === "stop" ? [effect.attempt.id] : []))).toEqual([cancelled]);
    expect(after.result(cancelled, "stopped").news).toContain("r CANCELLED CANCELLED_BY_USER");
  });

  test("ends after its grace when nobody confirms", () => {
    const p = new Partition([limited(Strategy.GROUP_ROUND_ROBIN)]);
    p.create("r", "limited", K);
    p.create("s", "limited", K);
    p.assign("r");
    p.core.cancel("r");
    p.core.cancel("r");
    expect(p.news()).toEqual(["r run.cancelled"]);
    expect(p.pass(2_999)).toEqual([]);
    expect(p.pass(1)).toContain("s admitted");
    expect(p.slots.held.size).toBe(0);
  });
});

describe("a step that fails for good", () => {
  test("has the other steps cancelled", () => {
    const p = new Partition([forked("cancel")]);
    p.create("r", "cancel");
    const [a, b] = [p.assign("r", "a"), p.assign("r", "b")];
    p.result(a, "failed");
    expect(p.effects.map(({ type }) => type)).toContain("stop");
    expect(p.result(b, "stopped", "b").news).toContain("r FAILED STEP_FAILED");
  });

  test("lets them finish where the workflow says so", () => {
    const p = new Partition([forked("finish")]);
    p.create("r", "finish");
    const [a, b] = [p.assign("r", "a"), p.assign("r", "b")];
    p.result(a, "failed");
    expect(p.effects.map(({ type }) => type)).not.toContain("stop");
    expect(p.result(b, "succeeded", "b").news).toContain("r FAILED STEP_FAILED");
  });
});

describe("strategies", () => {
  const arrivals = (strategy: Strategy, maxRuns = 1, runs = 4): string[] => {
    const p = new Partition([limited(strategy, maxRuns)]);
    return Array.from({ length: runs }, (_, i) => p.create(`r${i + 1}`, "limited", K)).flat();
  };

  test("GROUP_ROUND_ROBIN lets all wait", () => {
    expect(arrivals(Strategy.GROUP_ROUND_ROBIN, 2)).toEqual(["r1 active", "r2 active", "r3 waiting", "r4 waiting"]);
  });

  test("CANCEL_NEWEST turns newcomers away", () => {
    const cancelled = (run: string): string[] => [`${run} refused`, `${run} CANCELLED CANCELLED_BY_CONCURRENCY_LIMIT`];
    expect(arrivals(Strategy.CANCEL_NEWEST, 2)).toEqual(["r1 active", "r2 active", ...cancelled("r3"), ...cancelled("r4")]);
  });

  test("CANCEL_IN_PROGRESS replaces what is active, and what waits to replace it", () => {
    // Nothing executes yet: what is cancelled ends at once.
    expect(arrivals(Strategy.CANCEL_IN_PROGRESS, 1, 2)).toEqual([
      "r1 active",
      "r2 waiting",
      "r1 run.cancelled",
      "r1 CANCELLED CANCELLED_BY_CONCURRENCY_LIMIT",
      "r2 admitted",
    ]);
  });

  test("CANCEL_QUEUED_EXCEPT_NEWEST and _OLDEST keep one that waits", () => {
    const cancelled = "CANCELLED CANCELLED_BY_CONCURRENCY_LIMIT";
    expect(arrivals(Strategy.CANCEL_QUEUED_EXCEPT_NEWEST)).toEqual([
      "r1 active",
      "r2 waiting",
      "r3 waiting",
      `r2 ${cancelled}`,
      "r4 waiting",
      `r3 ${cancelled}`,
    ]);
    expect(arrivals(Strategy.CANCEL_QUEUED_EXCEPT_OLDEST)).toEqual([
      "r1 active",
      "r2 waiting",
      "r3 refused",
      `r3 ${cancelled}`,
      "r4 refused",
      `r4 ${cancelled}`,
    ]);
  });

  test("apply to live groups when their rules change, and to single groups by their settings", () => {
    const p = new Partition([limited(Strategy.GROUP_ROUND_ROBIN)]);
    for (const run of ["r1", "r2", "r3", "r4"]) p.create(run, "limited", K);
    p.core.setGroup("limited", "x", { paused: true });
    p.core.setRules("limited", { maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN });
    expect(p.news()).toEqual([]);
    p.core.setGroup("limited", "x", { paused: false });
    expect(p.news()).toEqual(["r2 admitted"]);
    p.core.setGroup("limited", "x", { maxRuns: 3 });
    expect(p.news()).toEqual(["r3 admitted"]);
    p.core.setGroup("limited", "x", { maxRuns: null });
    p.core.setRules("limited", { maxRuns: 1, strategy: Strategy.CANCEL_IN_PROGRESS });
    // A cut under CANCEL_IN_PROGRESS cancels the oldest beyond it; the newest remains.
    expect(p.news().filter((text) => text.includes("CANCELLED "))).toHaveLength(3);
    expect([...p.core.runs.keys()]).toEqual(["r4"]);
    expect(p.core.setGroup("unknown", "x", { paused: true })).toBe(false);
  });
});

describe("several limits", () => {
  const both = defineWorkflow({
    ...base,
    name: "both",
    concurrency: [
      { name: "user", key: "input.k", strategy: Strategy.GROUP_ROUND_ROBIN },
      { name: "all", key: "'all'", maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
    ],
  }).step("a", () => 1);

  test("are taken all or none", () => {
    const p = new Partition([both]);
    expect([...p.create("r1", "both", { k: "x" }), ...p.create("r2", "both", { k: "y" })]).toEqual(["r1 active", "r2 waiting"]);
    expect(p.core.groups.find("user", "y")?.context.active.size).toBe(0);
    expect(p.result(p.assign("r1"), "succeeded").news).toContain("r2 admitted");
    expect(p.core.groups.find("user", "y")?.context.active.size).toBe(1);
  });

  test("are recorded in the order in which they are given out, so that the turns of their groups can be told from the journal", () => {
    const p = new Partition([both]);
    p.create("r0", "both", { k: "w" });
    p.core.setGroup("all", "all", { paused: true });
    p.create("r1", "both", { k: "x" });
    p.create("r2", "both", { k: "y" });
    p.create("r3", "both", { k: "z" });
    p.result(p.assign("r0"), "succeeded");
    p.core.setGroup("all", "all", { paused: false, maxRuns: 3 });
    expect(p.news().filter((text) => text.endsWith("admitted"))).toEqual(["r1 admitted", "r2 admitted", "r3 admitted"]);
    expect([...(p.core.groups.find("all", "all")?.context.active ?? [])].map(({ run }) => run)).toEqual(["r1", "r2", "r3"]);
  });
});

describe("keys", () => {
  const keyed = defineWorkflow<{ k: string }>({
    ...base,
    name: "keyed",
    concurrency: { name: "user", key: (ctx) => ctx.input.k, strategy: Strategy.GROUP_ROUND_ROBIN },
  }).step("a", () => 1);

  test("that cannot be computed fail the run", () => {
    const p = new Partition([limited(Strategy.GROUP_ROUND_ROBIN)]);
    expect(p.create("r", "limited", {})).toEqual(["r keying", "r FAILED KEY_FAILED"]);
    expect(p.create("s", "limited", { k: 7 }, { notBefore: START_MS + 1 })).toEqual(["s keying", "s FAILED KEY_FAILED"]);
  });

  test("of functions take effect in the order of the runs; errors fail theirs", () => {
    const p = new Partition([keyed]);
    for (const run of ["r1", "r2", "r3"]) expect(p.create(run, "keyed", K)).toEqual([`${run} keying`]);
    expect(p.core.keyingHead("keyed", 10).map(({ run }) => run)).toEqual(["r1", "r2", "r3"]);
    p.core.keyed([
      { run: "r1", keys: { 0: "x" } },
      { run: "r2", error: { name: "E", message: "no", code: "KEY_FAILED" } },
    ]);
    expect(p.news()).toEqual(["r1 active", "r2 FAILED KEY_FAILED"]);
    p.core.keyed([{ run: "r1", keys: { 0: "y" } }]);
    p.core.keyed([{ run: "r3", keys: { 0: 3 } }]);
    expect(p.news()).toEqual(["r3 FAILED KEY_FAILED"]);
  });

  test("of functions and expressions can be mixed", () => {
    const mixed = defineWorkflow<{ k: string }>({
      ...base,
      name: "mixed",
      concurrency: [
        { name: "a", key: "input.k" },
        { name: "b", key: () => "" },
      ],
    }).step("a", () => 1);
    const p = new Partition([mixed]);
    expect(p.create("r", "mixed", { k: "x", text: "long ".repeat(200) }, { ref: { stream: "s", seq: 1 } })).toEqual(["r keying"]);
    p.core.keyed([{ run: "r", keys: { 1: "y" } }]);
    expect(p.news()).toEqual(["r active"]);
    expect(p.core.runs.get("r")?.keys).toEqual(["x", "y"]);
  });

  test("take a run to another partition, which has it once however often it is told, until that confirms", () => {
    const placement = new Placement(4);
    const home = new Partition([keyed], { partition: placement.homeOf("keyed"), partitions: 4 });
    const far =
      Array.from({ length: 100 }, (_, i) => `far${i}`).find((key) => placement.ofGroup("user", key) !== home.core.partition) ??
      "";
    const away = new Partition([keyed], { partition: placement.ofGroup("user", far), partitions: 4 });
    home.create("r", "keyed", K);
    home.create("s", "keyed", K);
    home.core.keyed(["r", "s"].map((run) => ({ run, keys: { 0: far } })));
    const target = away.core.partition;
    expect(home.news()).toEqual([`r moved to ${target} as 1 with ${far}`, `s moved to ${target} as 2 with ${far}`]);
    const handovers = home.effects.flatMap((effect) => (effect.type === "handover" ? [effect] : []));
    for (const { n, creation } of [...handovers, ...handovers]) away.core.accept(`p${home.core.partition}`, [n, 0], creation);
    expect(away.news()).toEqual(["r active", "s waiting"]);
    expect(home.core.cancel("r")).toBe(false);
    home.core.confirmed(target, 1);
    home.core.confirmed(target, 1);
    expect(home.news()).toEqual([`confirmed 1 by ${target}`]);
    home.core.confirmed(target, 2);
    expect([home.news(), home.core.runs.size]).toEqual([[`confirmed 2 by ${target}`], 0]);
  });
});

describe("crons", () => {
  test("tick at their times, and what was missed is not made up for", () => {
    const p = new Partition([
      defineWorkflow({ ...base, name: "cron", cron: "* * * * *", stepDefaults: { scheduleTimeout: "1h" } }).step("a", () => 1),
    ]);
    p.setCrons("cron");
    p.news();
    expect(p.pass(59_999)).toEqual([]);
    expect(p.pass(1)).toEqual(["cron1 active"]);
    expect(p.pass(10 * 60_000)).toEqual(["cron2 active"]);
    expect(p.pass(60_000)).toEqual(["cron3 active"]);
  });
});
