/** The loop of a partition at its end: what it leaves behind must be what its journal says, whoever takes it meanwhile. */
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { type Journal, Partition } from "../../src/engine/partition.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { Partition as Core, START_MS } from "./engine-partition.ts";

const work = defineWorkflow({ name: "work" }).step("a", () => 1);

type Outcome = Awaited<ReturnType<Journal["append"]>>;

/** A partition whose appends are answered by the test. */
function world() {
  const appends: ((outcome: Outcome) => void)[] = [];
  const snapshots: { readonly runs: number; readonly journalSeq: number }[] = [];
  const cores = new Core([work]);
  const partition = new Partition({
    core: cores.core,
    journal: {
      append: () => new Promise((resolve) => appends.push(resolve)),
      snapshot: (lines, journalSeq) => {
        snapshots.push({ runs: lines.length - 1, journalSeq });
        return Promise.resolve();
      },
    },
    effects: { handle: () => undefined, flush: () => undefined, committed: () => undefined },
    now: () => START_MS,
    setTimer: () => () => undefined,
    logger: pino({ level: "silent" }),
    maxPayloadBytes: 1_000_000,
    snapshotEvery: Infinity,
    pump: () => undefined,
    onFenced: () => undefined,
  });
  partition.start(0);
  let place = 0;
  const arrive = (run: string): void =>
    partition.enqueue({ type: "creation", source: "events", position: [++place, 0], creation: cores.creation(run, "work") });
  const appended = async (count: number): Promise<void> => {
    await expect.poll(() => appends.length, { interval: 1 }).toBe(count);
  };
  const answer = (outcome: Outcome): void => appends.at(-1)?.(outcome);
  return { partition, snapshots, arrive, appended, answer };
}

describe("a partition that is given back", () => {
  test("leaves a snapshot of what its journal says", async () => {
    const { partition, snapshots, arrive, appended, answer } = world();
    arrive("r1");
    await appended(1);
    const stopped = partition.stop();
    answer({ outcome: "committed", seq: 7 });
    await stopped;
    expect(snapshots).toEqual([{ runs: 1, journalSeq: 7 }]);
  });

  test.each([
    ["is refused its last append", "fenced"],
    ["never learns what became of it", "stopped"],
    ["is dropped", "dropped"],
  ] as const)("and %s writes none: it holds what no journal has", async (_, how) => {
    const { partition, snapshots, arrive, appended, answer } = world();
    arrive("r1");
    await appended(1);
    answer({ outcome: "committed", seq: 7 });
    arrive("r2");
    await appended(2);
    const stopped = partition.stop();
    if (how === "dropped") partition.abandon();
    answer({ outcome: how === "stopped" ? "stopped" : "fenced" });
    await stopped;
    expect(snapshots).toEqual([]);
  });
});
