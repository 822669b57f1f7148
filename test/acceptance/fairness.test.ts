/** Turns between keys that compete for the slots of workers. */
import { beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../support/wait.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";
import { now } from "./support/records.ts";

const A_B_C = ["A", "B", "C"];
const TURNS = "A B C A B C A B C A B C A B C";

describe("three keys with five runs each, and one slot", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ workflows: ["strategies"], slots: 1 });
  });

  it.each([
    { workflow: "round-robin", order: "ABCABCABCABCABC", limit: "one at a time" },
    { workflow: "round-robin", order: "AAAAABBBBBCCCCC", limit: "one at a time" },
    { workflow: "round-robin-5", order: "ABCABCABCABCABC", limit: "five at once" },
    { workflow: "round-robin-5", order: "AAAAABBBBBCCCCC", limit: "five at once" },
  ])("take turns, $limit, when the events come as $order", async ({ workflow, order }) => {
    const name = `${workflow}-${order}`;
    const before = (await cluster.runs(workflow)).length;
    // Somebody else has the slot until all have come.
    await cluster.client.publish(workflow, { key: `other-${order}`, gate: name });
    await waitFor(() => cluster.starts(workflow).length === before + 1, { what: "the slot to be taken" });
    const haveCome = (count: number): Promise<unknown> =>
      waitFor(async () => (await cluster.runs(workflow)).length === before + 1 + count, { what: `${count} runs to have come` });
    for (const [n, key] of [...order].entries()) {
      // Which of two keys comes first is certain only where one is there when the other comes: each partition writes its own journal.
      if (order.indexOf(key) === n) await haveCome(n);
      await cluster.client.publish(workflow, { key: `${key}-${order}`, n });
    }
    await haveCome(order.length);
    await cluster.open(name);
    await cluster.ended(workflow, before + 16);
    const starts = cluster.starts(workflow).slice(before + 1);
    expect(starts.map(({ keys }) => keys[0]?.[0]).join(" ")).toBe(TURNS);
    // Within a key, in the order of the events.
    for (const key of A_B_C) {
      const numbers = starts.filter(({ keys }) => keys[0]?.startsWith(key)).map(({ n }) => n);
      expect(numbers).toEqual(numbers.toSorted((a, b) => (a ?? 0) - (b ?? 0)));
    }
  });
});

/**
 * From the call of `publish` to the first line of the handler. Alone it takes some 2 ms; the bound leaves room for a busy machine
 * with two cores, and is far below the seconds that a queue in order of arrival, or a decision that walks over what waits, would take.
 */
const BOUND_MS = 250;
const WAITING = 10_000;

describe("10,000 waiting runs of one key", () => {
  it("do not delay a run of another key, neither while they wait nor while they fill all slots", async () => {
    const cluster = await startCluster({ workflows: ["strategies"], slots: 5 });
    const group = { limit: "round-robin-5", key: "flood" };
    await cluster.client.groups.pause(group);
    const flood = Array.from({ length: WAITING }, (_, n) => ({ event: "round-robin-5", payload: { key: "flood", n } }));
    await cluster.client.publishMany(flood);
    await waitFor(async () => (await cluster.client.groups.get(group)).waiting === WAITING, {
      timeoutMs: 30_000,
      what: "10,000 runs to wait",
    });

    const latency = async (key: string): Promise<number> => {
      const before = now();
      const { seq } = await cluster.client.publish("round-robin-5", { key });
      const start = await waitFor(() => cluster.starts("round-robin-5").find((entry) => entry.seq === seq), {
        what: `the run of ${key} to start`,
      });
      return start.at - before;
    };
    const whileTheyWait: number[] = [];
    for (let i = 0; i < 5; i++) whileTheyWait.push(await latency(`single-${i}`));

    await cluster.client.groups.resume(group);
    await waitFor(() => cluster.starts("round-robin-5").length > 100, { what: "the flood to run" });
    const whileTheyRun: number[] = [];
    for (let i = 5; i < 10; i++) whileTheyRun.push(await latency(`single-${i}`));
    const left = (await cluster.client.groups.get(group)).waiting;

    const shown = (times: readonly number[]): string => times.map((ms) => ms.toFixed(1)).join(", ");
    console.log(
      `publish to handler start: ${shown(whileTheyWait)} ms beside 10,000 that wait; ${shown(whileTheyRun)} ms beside those that run (${left} left)`,
    );
    expect(left).toBeGreaterThan(0);
    expect(Math.max(...whileTheyWait, ...whileTheyRun)).toBeLessThan(BOUND_MS);
  });
});
