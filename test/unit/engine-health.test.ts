/** The one sentence on top of every page: the worst that is true, and exactly true. */
import { describe, expect, it } from "vitest";
import { type HealthFacts, verdictOf } from "../../src/engine/health-verdict.ts";
import { Rate, shownRate } from "../../src/engine/rate.ts";

const calm: HealthFacts = {
  connected: true,
  refused: 0,
  moving: 0,
  partitions: 8,
  uptimeMs: 60_000,
  live: 0,
  active: 0,
  scheduled: 0,
  behindLimits: 0,
  startsPerMinute: 0,
  workers: 1,
  slots: { used: 0, total: 10 },
  stepsWaiting: 0,
  heldBack: [],
  unserved: [],
  historyBehindMs: 0,
  historyGone: undefined,
};
const acme = { limit: "tenant", key: "acme", waiting: 120, active: 3, maxRuns: 3, paused: false, waitedMs: 40_000 };
const missing = { workflow: "answer", step: "write", waiting: 12 };
const busy = { ...calm, live: 15, active: 12 };

describe("the health of the whole", () => {
  it.each<[string, Partial<HealthFacts>, string, string]>([
    ["nothing to do", {}, "idle", "Nothing to do now."],
    ["nothing and nobody", { workers: 0 }, "idle", "Nothing to do now; no worker is connected."],
    ["only what is scheduled", { live: 2, scheduled: 2 }, "idle", "Nothing to do now; 2 runs wait for their time."],
    ["work", { ...busy, startsPerMinute: 240 }, "flowing", "12 runs are active, 240 starts per minute."],
    ["one run", { live: 1, active: 1 }, "flowing", "1 run is active."],
    [
      "a short line",
      { ...busy, behindLimits: 3, heldBack: [{ ...acme, waiting: 3, waitedMs: 200 }] },
      "flowing",
      "12 runs are active, 3 in line behind limits.",
    ],
    [
      "no free slot",
      { ...busy, slots: { used: 10, total: 10 }, stepsWaiting: 1 },
      "flowing",
      "12 runs are active; all 10 worker slots are in use, and 1 step waits for one.",
    ],
    [
      "one key that holds back",
      { ...busy, behindLimits: 120, heldBack: [acme] },
      "held back",
      '120 runs wait behind limit "tenant" for key "acme" (3 of 3 slots in use).',
    ],
    [
      "several",
      { ...busy, behindLimits: 240, heldBack: [acme] },
      "held back",
      '240 runs wait behind limits, most of all behind limit "tenant" for key "acme" (120 waiting, 3 of 3 slots in use).',
    ],
    [
      "a paused key",
      { ...busy, behindLimits: 1, heldBack: [{ ...acme, waiting: 1, active: 0, maxRuns: 1, paused: true }] },
      "held back",
      '1 run waits behind limit "tenant" for key "acme", which is paused (0 of 1 slot in use).',
    ],
    [
      "a partition that moves, before all that hangs on it",
      { ...busy, moving: 1, unserved: [missing] },
      "starting",
      "1 of 8 partitions is on the way to another engine node: what is there waits for a moment.",
    ],
    [
      "partitions that stand still, before all but the connection",
      { ...busy, refused: 2, moving: 1, unserved: [missing] },
      "stuck",
      '2 of 8 partitions stand still: NATS does not take their journals, most likely since a stream or its disk is full. Raise "partitionMaxBytes" (--partition-max-bytes) or free disk space of the NATS servers; "sluice nodes list" names what is refused. They go on by themselves once there is room.',
    ],
    [
      "a history that is behind, before limits",
      { ...busy, heldBack: [acme], historyBehindMs: 12_340 },
      "behind",
      "The history is 12s behind: lists and ended runs are as they were then.",
    ],
    ["a history that is a moment behind", { historyBehindMs: 900 }, "idle", "Nothing to do now."],
    [
      "no history",
      { historyGone: "disk full" },
      "behind",
      "The history is not available, so runs that have ended are not shown: disk full.",
    ],
    [
      "no worker, before the history",
      { ...busy, unserved: [missing], historyBehindMs: 12_000 },
      "no worker",
      'No worker serves step "write" of workflow "answer": 12 runs wait for one.',
    ],
    [
      "several without a worker",
      { ...busy, unserved: [missing, { ...missing, step: "read", waiting: 2 }] },
      "no worker",
      'No worker serves step "write" of workflow "answer": 12 runs wait for one, and 2 more for 1 other step.',
    ],
    [
      "keys that nobody computes",
      { ...busy, unserved: [{ workflow: "answer", step: undefined, waiting: 1 }] },
      "no worker",
      'No worker serves workflow "answer", whose concurrency keys a worker computes: 1 run waits for one.',
    ],
    [
      "a start, when workers have yet to report",
      { ...busy, uptimeMs: 500, workers: 0, unserved: [missing] },
      "starting",
      "The engine has just started and waits for workers to report.",
    ],
    [
      "no connection, whatever else",
      { ...busy, connected: false, unserved: [missing] },
      "disconnected",
      "The engine has no connection to NATS: nothing starts or ends until it is back.",
    ],
  ])("tells of %s", (_, facts, verdict, sentence) => {
    expect(verdictOf({ ...calm, ...facts })).toEqual({ verdict, sentence });
  });
});

describe("a rate", () => {
  it("comes to what happens per minute, and goes when nothing does", () => {
    const rate = new Rate();
    let now = 1_000_000;
    for (let i = 0; i < 3_000; i++) rate.mark((now += 100));
    expect(rate.perMinute(now)).toBeGreaterThan(590);
    expect(rate.perMinute(now)).toBeLessThan(610);
    expect(rate.perMinute(now + 60_000)).toBeCloseTo(rate.perMinute(now) / Math.E, 6);
    expect(shownRate(rate.perMinute(now + 15 * 60_000))).toBe(0);
  });

  it("does not mind times that go back", () => {
    const rate = new Rate();
    rate.mark(5_000);
    rate.mark(1_000);
    expect(rate.perMinute(5_000)).toBe(2);
    expect(rate.perMinute(0)).toBe(2);
  });
});
