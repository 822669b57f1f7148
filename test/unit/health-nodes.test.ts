/** The health that one engine node of several tells: what the others have, and how far its own history is behind their journals. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Health, type HealthSources } from "../../src/engine/health.ts";

const calm = {
  live: 0,
  active: 0,
  scheduled: 0,
  starts: 0,
  finishes: 0,
  stepsWaiting: 0,
  refused: 0,
  unserved: [],
  heldBack: [],
};

describe("the health of several nodes", () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => void vi.useRealTimers());

  /** This node has no partition: all that it says is from others. */
  function world() {
    const others = { seqs: new Map([[0, 10]]), parts: [calm], missing: [] as number[] };
    const taken = [10, 0];
    const sources = {
      connection: { isConnected: true },
      partitions: { count: 2, [Symbol.iterator]: () => [].values() },
      calls: { alone: true, serveGather: () => undefined, gather: () => Promise.resolve({ ...others }) },
      dispatcher: { capacity: () => ({ workers: 1, slots: { used: 0, total: 10 } }), unserved: () => [], waiting: 0 },
      history: () => ({ committed: (partition: number) => taken[partition], unavailable: undefined }),
      journalSeq: () => 0,
      isRefused: () => false,
      countRejected: () => Promise.resolve(0),
    } as unknown as HealthSources;
    return { health: new Health(sources), others, taken };
  }

  it("says since when its history is behind what another node has journaled, until it has caught up", async () => {
    const { health, others, taken } = world();
    expect(await health.get()).toMatchObject({ verdict: "idle", historyBehindMs: 0 });
    others.seqs.set(1, 40);
    await health.get();
    vi.advanceTimersByTime(12_000);
    expect(await health.get()).toMatchObject({
      verdict: "behind",
      historyBehindMs: 12_000,
      sentence: "The history is 12s behind: lists and ended runs are as they were then.",
    });
    others.seqs.set(1, 50);
    await health.get();
    vi.advanceTimersByTime(3_000);
    // What it has not yet is from three seconds ago.
    taken[1] = 40;
    expect(await health.get()).toMatchObject({ historyBehindMs: 3_000 });
    taken[1] = 50;
    expect(await health.get()).toMatchObject({ verdict: "idle", historyBehindMs: 0 });
  });

  it("tells of partitions that nobody answers for, and of those that stand still at any node", async () => {
    const { health, others } = world();
    others.missing.push(1);
    expect(await health.get()).toMatchObject({
      verdict: "starting",
      sentence: expect.stringMatching(/^1 of 2 partitions is on/),
    });
    others.parts = [calm, { ...calm, refused: 1 }];
    expect(await health.get()).toMatchObject({
      verdict: "stuck",
      sentence: expect.stringMatching(/^1 of 2 partitions stands still/),
    });
  });
});
