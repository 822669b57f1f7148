/** How much a partition holds: when it asks its senders to wait, and when they may go on. */
import { pino } from "pino";
import { expect, test } from "vitest";
import { Partition, type Journal } from "../../src/engine/partition.ts";
import { CompiledWorkflow } from "../../src/engine/workflows.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { Partition as CoreWorld } from "./engine-partition.ts";

const MIB = 1_048_576;
const BYTES = 900_000;
const LARGE = JSON.stringify("x".repeat(BYTES - 2));
const workflow = defineWorkflow({ name: "free" }).step("a", () => 1);
const free = new CompiledWorkflow(workflow.spec, 1, 0);

type Appended = Awaited<ReturnType<Journal["append"]>>;

function world() {
  const { core } = new CoreWorld([workflow]);
  const appends: ((result: Appended) => void)[] = [];
  let seq = 0;
  const partition = new Partition({
    core,
    journal: {
      append: () => new Promise((resolve) => appends.push(resolve)),
      snapshot: () => Promise.resolve(),
    },
    effects: { handle: () => undefined, flush: () => undefined, committed: () => undefined },
    now: () => 0,
    setTimer: () => () => undefined,
    logger: pino({ level: "silent" }),
    maxPayloadBytes: MIB,
    snapshotEvery: Infinity,
    pump: () => undefined,
    onFenced: () => undefined,
  });
  partition.start(0);
  const commit = async (): Promise<void> => {
    await settled();
    for (const resolve of appends.splice(0)) resolve({ outcome: "committed", seq: ++seq });
    await settled();
  };
  return { partition, commit };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a partition holds few large runs that are not durable, however fast they come, and loses none", async () => {
  const { partition, commit } = world();
  let durable = 0;
  let most = 0;
  for (let n = 1; n <= 300; n++) {
    partition.enqueue({
      type: "creation",
      source: "events",
      position: [n, 0],
      creation: { run: `r${n}`, workflow: free, createdAt: 0, input: LARGE, ref: { stream: "E", seq: n } },
      accepted: () => durable++,
    });
    most = Math.max(most, n - durable);
    let waits = partition.room();
    void waits?.then(() => (waits = undefined));
    while (waits !== undefined) await commit();
  }
  while (durable < 300) await commit();
  expect(most * BYTES).toBeLessThan(8 * MIB + BYTES);
  expect(most).toBeGreaterThan(5);
  expect(partition.core.runs.size).toBe(300);
  expect(partition.room()).toBeUndefined();
});

test("large commands count with their bytes, and repeated runs make room although nothing is written for them", async () => {
  const { partition, commit } = world();
  const send = (): Promise<void> | undefined => {
    partition.enqueue({
      type: "creation",
      source: "events",
      position: [1, 0],
      creation: { run: "r1", workflow: free, createdAt: 0, input: LARGE, ref: { stream: "E", seq: 1 } },
    });
    return partition.room();
  };
  for (let n = 0; n < 30; n++) {
    let waits = send();
    void waits?.then(() => (waits = undefined));
    for (let rounds = 0; waits !== undefined; rounds++) {
      expect(rounds).toBeLessThan(10);
      await commit();
    }
  }
  let sent = 0;
  for (; partition.room() === undefined; sent++)
    partition.enqueue({
      type: "command",
      seq: sent + 1,
      command: undefined,
      bytes: BYTES,
      toCreation: () => undefined,
      applied: () => undefined,
    });
  expect(sent).toBeLessThan(12);
});
