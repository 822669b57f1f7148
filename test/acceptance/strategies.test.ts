/** What each strategy does with five runs of one key, exactly, as the API tells it and as the handlers saw it. */
import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../support/wait.ts";
import { executionsOf, peaks, spansOf } from "./support/check-records.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ workflows: ["strategies"] });
});

const CANCELLED = "CANCELLED CANCELLED_BY_CONCURRENCY_LIMIT";

/** Publishes runs 1 to 5 of one key. The first `held` of them, as far as they start, run until the gate is opened. */
async function five(workflow: string, held: number): Promise<{ readonly outcomes: string[]; readonly starts: number[] }> {
  const gate = `gate-${workflow}`;
  for (let n = 1; n <= 5; n++) {
    // Deaf: what is cancelled keeps its slot until the gate is opened, so that all five have come by then.
    await cluster.client.publish(workflow, { key: "k", n, ...(n <= held && { gate, deaf: true }) });
    if (n <= held) await waitFor(() => cluster.starts(workflow).length === n, { what: `run ${n} of ${workflow} to start` });
  }
  await waitFor(async () => (await cluster.runs(workflow)).length === 5, { what: `five runs of ${workflow}` });
  await cluster.open(gate);
  const runs = await cluster.ended(workflow, 5);
  return {
    outcomes: runs.map(({ status, reason }) => (reason === undefined ? status : `${status} ${reason}`)),
    starts: cluster.starts(workflow).map(({ n }) => n ?? 0),
  };
}

describe("five runs of one key, one at a time", () => {
  it("all run, in their order, under GROUP_ROUND_ROBIN", async () => {
    expect(await five("round-robin", 1)).toEqual({
      outcomes: ["SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED"],
      starts: [1, 2, 3, 4, 5],
    });
  });

  it("only the newest succeeds under CANCEL_IN_PROGRESS; what waited to replace the first never starts", async () => {
    expect(await five("cancel-in-progress", 1)).toEqual({
      outcomes: [CANCELLED, CANCELLED, CANCELLED, CANCELLED, "SUCCEEDED"],
      starts: [1, 5],
    });
  });

  it("only the first runs under CANCEL_NEWEST", async () => {
    expect(await five("cancel-newest", 1)).toEqual({
      outcomes: ["SUCCEEDED", CANCELLED, CANCELLED, CANCELLED, CANCELLED],
      starts: [1],
    });
  });

  it("the first and the newest run under CANCEL_QUEUED_EXCEPT_NEWEST", async () => {
    expect(await five("except-newest", 1)).toEqual({
      outcomes: ["SUCCEEDED", CANCELLED, CANCELLED, CANCELLED, "SUCCEEDED"],
      starts: [1, 5],
    });
  });

  it("the first and the second run under CANCEL_QUEUED_EXCEPT_OLDEST", async () => {
    expect(await five("except-oldest", 1)).toEqual({
      outcomes: ["SUCCEEDED", "SUCCEEDED", CANCELLED, CANCELLED, CANCELLED],
      starts: [1, 2],
    });
  });

  it("the newest two remain under CANCEL_IN_PROGRESS with two at once", async () => {
    const { outcomes, starts } = await five("cancel-in-progress-2", 2);
    expect(outcomes).toEqual([CANCELLED, CANCELLED, CANCELLED, "SUCCEEDED", "SUCCEEDED"]);
    expect(starts.toSorted()).toEqual([1, 2, 4, 5]);
    expect([...peaks(spansOf(executionsOf(cluster.records("cancel-in-progress-2")).executions))]).toEqual([["k", 2]]);
  });
});

describe("CANCEL_IN_PROGRESS with ten runs, one after the other, of a workflow of two steps", () => {
  it("lets only the last one succeed, and never two at once", async () => {
    // As ten runs one second apart of two steps of a second each, five times as fast.
    for (let n = 1; n <= 10; n++) {
      await cluster.client.publish("two-steps", { key: "k", n, ms: 200 });
      if (n < 10) await delay(200); // the pace is what is tested
    }
    const runs = await cluster.ended("two-steps", 10);
    expect(runs.map(({ status, reason }) => reason ?? status)).toEqual([
      ...Array.from({ length: 9 }, () => "CANCELLED_BY_CONCURRENCY_LIMIT"),
      "SUCCEEDED",
    ]);
    const { executions, problems } = executionsOf(cluster.records("two-steps"));
    expect(problems).toEqual([]);
    expect([...peaks(spansOf(executions))]).toEqual([["k", 1]]);
    // Each of them did start: none was passed over, since each had its 200 ms.
    expect(cluster.starts("two-steps", "first").map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(
      cluster
        .records("two-steps")
        .filter(({ what, n, step, outcome }) => what === "end" && n === 10 && outcome === "returned" && step !== ""),
    ).toHaveLength(2);
  });
});
