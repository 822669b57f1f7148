/** The time of a partition whose node's clock jumps. */
import { describe, expect, it } from "vitest";
import { PartitionClock } from "../../src/engine/core/partition-clock.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { START_MS, Partition } from "./engine-partition.ts";

const HOUR_MS = 3_600_000;

describe("the time of a partition", () => {
  it("is the clock's, and never goes back", () => {
    const clock = new PartitionClock();
    expect(clock.advance(0, 1_000)).toBe(1_000);
    expect(clock.advance(1_000, 1_500)).toBe(1_500);
    expect(clock.advance(1_500, 1_200)).toBe(1_500);
  });

  it("goes on at half speed where it is ahead, until the clock has caught up", () => {
    const clock = new PartitionClock();
    let now = clock.advance(10_000, 1_000); // the owner before was nine seconds ahead
    expect(now).toBe(10_000);
    const seen: number[] = [];
    for (let wall = 1_000; wall <= 21_000; wall += 5) {
      const next = clock.advance(now, wall);
      expect(next).toBeGreaterThanOrEqual(now);
      now = next;
      if (wall % 4_000 === 1_000) seen.push(now);
    }
    expect(seen).toEqual([10_000, 12_000, 14_000, 16_000, 18_000, 21_000]);
  });

  it("says how long it takes until something is due, also while it is ahead", () => {
    expect(PartitionClock.delayTo(5_000, 1_000, 1_000)).toBe(4_000);
    expect(PartitionClock.delayTo(500, 1_000, 1_000)).toBe(0);
    expect(PartitionClock.delayTo(11_000, 10_000, 1_000)).toBe(2_000);
    // The clock is there before half speed is.
    expect(PartitionClock.delayTo(14_000, 10_000, 9_000)).toBe(5_000);
  });
});

describe("a retry in a partition whose clock was set back by an hour", () => {
  const flaky = defineWorkflow({ name: "flaky" }).step(
    "a",
    { retries: 3, backoff: { min: "1s", factor: 1 }, scheduleTimeout: "2h" },
    () => 1,
  );

  it("comes due all the same", () => {
    const partition = new Partition([flaky]);
    partition.create("r1", "flaky");
    partition.pass(HOUR_MS);
    partition.result(partition.assign("r1"), "failed");
    const leftMs = (partition.core.nextTimerMs ?? 0) - (START_MS + HOUR_MS);
    expect(partition.core.delayToTimer(START_MS)).toBe(2 * leftMs);
    partition.pass(-HOUR_MS);
    partition.pass(2 * leftMs - 10);
    expect(partition.core.runs.get("r1")?.live?.ready.has("a")).toBe(false);
    partition.pass(10);
    expect(partition.core.runs.get("r1")?.live?.ready.has("a")).toBe(true);
  });
});

describe("the grace of a run that was told to stop", () => {
  const replaced = defineWorkflow({
    name: "replaced",
    grace: "3s",
    concurrency: { key: "input.k", strategy: "CANCEL_IN_PROGRESS", maxRuns: 1 },
  }).step("a", () => 1);

  it("is not over because a clock jumps: its handler may be at work", () => {
    let elapsedMs = 0;
    const partition = new Partition([replaced], { elapsed: () => elapsedMs });
    partition.create("r1", "replaced", { k: "x" });
    partition.assign("r1");
    partition.create("r2", "replaced", { k: "x" });
    elapsedMs += 10;
    expect(partition.pass(HOUR_MS)).toEqual([]);
    expect(partition.core.runs.get("r2")?.phase).not.toBe("active");
    elapsedMs += 2_980;
    expect(partition.pass(2_980)).toEqual([]);
    elapsedMs += 20;
    expect(partition.pass(20)).toContain("r2 admitted");
  });
});
