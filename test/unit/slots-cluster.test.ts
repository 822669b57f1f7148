/** Several engine nodes share the slots of workers, whatever happens to the messages between them and to themselves. */
import { describe, expect, it } from "vitest";
import { BAD, GOOD, type SlotStep, type SlotWorld, startWorld } from "./slot-world.ts";

/** Between two starts of a flow that waited all the while, the most that any other flow was started. */
function worstOvertaking(starts: readonly SlotStep[]): number {
  const flows = [...new Set(starts.map(({ flow }) => flow))];
  let worst = 0;
  for (const flow of flows) {
    const counts = new Map<string, number>();
    const last = starts.findLastIndex((step) => step.flow === flow);
    for (const step of starts.slice(0, last)) {
      if (step.flow === flow) counts.clear();
      else counts.set(step.flow, (counts.get(step.flow) ?? 0) + 1);
      for (const count of counts.values()) worst = Math.max(worst, count);
    }
  }
  return worst;
}

/** All that is free is given at once, and all of it: nothing has leaked, and nothing is given twice. */
function expectNoLeak(world: SlotWorld): void {
  const total = [...world.workers.values()].filter(({ alive }) => alive).reduce((sum, { slots }) => sum + slots, 0);
  const owned = world.partitions.map(({ number }) => number);
  const before = world.starts.length;
  const { refusals } = world;
  for (let i = 0; i < total * 2; i++) world.submit(owned[i % owned.length] ?? 0, `probe ${i % 7}`, { durationMs: 500 });
  world.pass(100, () => world.starts.length - before >= total);
  expect(world.starts.length - before).toBe(total);
  expect(world.refusals).toBe(refusals);
  expect(world.pass(5_000, () => world.unfinished().length === 0)).toBe(true);
  world.pass(50);
  for (const { dispatcher, id } of world.members) {
    expect(dispatcher.waiting).toBe(0);
    if (id === world.coordinator) expect(dispatcher.capacity().slots.used).toBe(0);
  }
}

describe("nodes that share workers", () => {
  it("give one slot to keys on different nodes in turn", () => {
    const world = startWorld({ workers: [1] });
    // The slot is in use while all of them begin to wait.
    world.submit(0, "first", { durationMs: 100 });
    world.pass(10);
    for (let i = 0; i < 5; i++)
      for (const [at, flow] of ["A", "B", "C"].entries()) {
        world.submit(at, flow);
        world.pass(4);
      }
    expect(world.pass(5_000, () => world.unfinished().length === 0)).toBe(true);
    expect(world.starts.map(({ flow }) => flow).join(" ")).toBe("first A B C A B C A B C A B C A B C");
    expect(world.refusals).toBe(0);
  });

  it("let no key start more than once between two starts of another, plus what is on its way", () => {
    for (let seed = 1; seed <= 10; seed++) {
      const world = startWorld({ seed, workers: [3, 2] });
      for (let flow = 0; flow < 9; flow++)
        for (let i = 0; i < 30; i++) world.submit(flow % 6, `flow ${flow}`, { durationMs: 1 + world.random() * 10 });
      world.pass(50);
      // What was started before all had said that they wait is no competition yet.
      const from = world.starts.length;
      expect(world.pass(20_000, () => world.unfinished().length === 0)).toBe(true);
      // At most as many offers as there are slots are between decision and start.
      expect(worstOvertaking(world.starts.slice(from)), `seed ${seed}`).toBeLessThanOrEqual(1 + 5);
      expect(world.refusals).toBe(0);
    }
  });

  it("use a slot for one step after another, wherever these are", () => {
    const world = startWorld({ nodes: 2, workers: [2] });
    for (let i = 0; i < 200; i++) world.submit(i % 6, `flow ${i % 5}`);
    expect(world.pass(200 * 10, () => world.unfinished().length === 0)).toBe(true);
    expect(world.refusals).toBe(0);
    expectNoLeak(world);
  });

  it("take back what is withdrawn while an offer for it is on its way", () => {
    const world = startWorld({ workers: [1] });
    for (let i = 0; i < 30; i++) {
      const step = world.submit(1, "A");
      world.pass(world.random() * 6);
      if (step.state === "waiting") world.node(world.partitions[1]?.owner)?.withdraw(1, step.id);
    }
    expect(world.pass(2_000, () => world.unfinished().length === 0)).toBe(true);
    expectNoLeak(world);
  });

  it("find a lost last message by the keep-alive", () => {
    const world = startWorld({ workers: [2] });
    world.network = { ...GOOD, loss: 1 };
    world.submit(1, "A");
    world.pass(100);
    world.network = GOOD;
    expect(world.starts).toHaveLength(0);
    expect(world.pass(1_200, () => world.unfinished().length === 0)).toBe(true);
    // The offer is lost, this time.
    world.pass(5_000);
    world.submit(1, "A");
    world.pass(0.1);
    const silent = world.starts.length;
    world.network = { ...GOOD, loss: 1 };
    world.pass(100);
    world.network = GOOD;
    expect(world.starts).toHaveLength(silent);
    expect(world.pass(3_000, () => world.unfinished().length === 0)).toBe(true);
    expectNoLeak(world);
  });

  it("wait while nobody gives out slots, and go on with whoever does then", () => {
    const world = startWorld({ workers: [2] });
    world.setCoordinator(undefined);
    world.pass(20);
    for (let i = 0; i < 6; i++) world.submit(i, "A");
    world.pass(3_000);
    expect(world.starts).toHaveLength(0);
    world.setCoordinator(world.nodes[2]?.id);
    expect(world.pass(2_000, () => world.unfinished().length === 0)).toBe(true);
    expectNoLeak(world);
  });

  it("give a new coordinator's slots only as far as the workers have them", () => {
    const world = startWorld({ workers: [4] });
    for (let i = 0; i < 12; i++) world.submit(i % 6, `flow ${i}`, { durationMs: 2_500 });
    world.pass(1_500);
    world.setCoordinator(world.nodes[1]?.id);
    expect(world.pass(60_000, () => world.unfinished().length === 0)).toBe(true);
    expect(world.refusals).toBe(0);
    expectNoLeak(world);
  });

  it("leave the slots of a partition that moves to its attempts", () => {
    const world = startWorld({ workers: [4] });
    for (let i = 0; i < 12; i++) world.submit(i % 6, `flow ${i}`, { durationMs: 2_500 });
    for (let i = 0; i < 20; i++) {
      world.pass(300);
      world.move(i % 6, world.pick(world.members)?.id ?? "");
    }
    expect(world.pass(60_000, () => world.unfinished().length === 0)).toBe(true);
    expect(world.refusals).toBe(0);
    expect(world.starts).toHaveLength(12);
    expectNoLeak(world);
  });

  it("go on when the coordinator dies, and when another node does", () => {
    for (const victim of [0, 1]) {
      const world = startWorld({ workers: [2, 2] });
      for (let i = 0; i < 60; i++) world.submit(i % 6, `flow ${i % 10}`, { durationMs: 20 });
      world.pass(40);
      const node = world.nodes[victim];
      if (node !== undefined) world.kill(node);
      expect(world.pass(20_000, () => world.unfinished().length === 0)).toBe(true);
      expectNoLeak(world);
    }
  });

  it("take back what a node that does not run was offered, before it is taken for dead", () => {
    const world = startWorld({ nodes: 2, workers: [4] });
    for (let i = 0; i < 400; i++) world.submit(i % 2, `flow ${i % 2}`, { durationMs: 20 });
    world.pass(500);
    const [, second] = world.nodes;
    if (second !== undefined) world.pause(second, 2_900);
    world.pass(1_000);
    const before = world.starts.length;
    world.pass(1_000);
    // What has been handed over before it was stopped keeps its slots: one is on its way, at most, per slot.
    const started = world.starts.slice(before);
    expect(started.length).toBeGreaterThan(20);
    expect(new Set(started.map(({ partition }) => partition))).toEqual(new Set([0]));
    expect(world.pass(60_000, () => world.unfinished().length === 0)).toBe(true);
    expectNoLeak(world);
  });

  it("give no slot twice for messages that come twice, and none for those of a session that is over", () => {
    for (let seed = 1; seed <= 5; seed++) {
      const world = startWorld({ seed, workers: [3, 2] });
      world.network = { ...GOOD, doubled: 0.5, maxDelayMs: 20 };
      for (let i = 0; i < 300; i++) world.submit(i % 6, `flow ${i % 10}`, { durationMs: world.random() * 30 });
      for (let i = 0; i < 100; i++) {
        world.pass(world.random() * 20);
        const node = world.pick(world.nodes);
        if (i % 10 === 0) node?.dispatcher.distrust();
      }
      expect(world.pass(20_000, () => world.unfinished().length === 0)).toBe(true);
      expect(world.refusals).toBe(0);
      expect(world.starts).toHaveLength(300);
      expectNoLeak(world);
    }
  });

  it("say all anew at once when their connection was away", () => {
    const world = startWorld({ workers: [2] });
    world.pass(3_000);
    world.network = { ...GOOD, loss: 1 };
    world.submit(1, "A");
    world.pass(20);
    world.network = GOOD;
    world.node(world.partitions[1]?.owner)?.dispatcher.distrust();
    expect(world.pass(20, () => world.starts.length === 1)).toBe(true);
    expectNoLeak(world);
  });

  it("lose no slot when one of them takes a worker for dead that goes on", () => {
    const world = startWorld({ nodes: 2, workers: [4] });
    for (let i = 0; i < 4; i++) world.submit(1, "A", { durationMs: 6_000 });
    world.pass(500);
    expect(world.starts).toHaveLength(4);
    const [, second] = world.nodes;
    if (second !== undefined) world.deaf.add(second);
    world.pass(4_500);
    world.deaf.clear();
    // They are executed once more, and those that are over are stopped.
    expect(world.pass(20_000, () => world.unfinished().length === 0)).toBe(true);
    world.pass(3_000);
    expectNoLeak(world);
  });

  it("lose no slot and leave nothing waiting through whatever happens", { timeout: 120_000 }, () => {
    for (let seed = 1; seed <= 40; seed++) storm(seed);
  });
});

function storm(seed: number): void {
  const world = startWorld({ seed, nodes: 3, workers: [3, 2] });
  const { random } = world;
  world.network = BAD;
  for (let round = 0; round < 120; round++) {
    for (let i = Math.floor(random() * 6); i > 0; i--)
      world.submit(Math.floor(random() * 6), `flow ${Math.floor(random() * 8)}`, { durationMs: random() * 200 });
    const node = world.pick(world.members.filter(({ backlog }) => backlog === undefined));
    const dice = random();
    if (dice < 0.01 && node !== undefined && world.members.length > 1) world.kill(node);
    else if (dice < 0.04 && node !== undefined) world.pause(node, random() * 5_000);
    else if (dice < 0.06 && world.members.length < 4) world.addNode();
    else if (dice < 0.14 && node !== undefined) world.move(Math.floor(random() * 6), node.id);
    else if (dice < 0.18 && node !== undefined) world.setCoordinator(random() < 0.2 ? undefined : node.id);
    else if (dice < 0.2) node?.run(() => node.dispatcher.distrust());
    else if (dice < 0.22) {
      const worker = world.pick([...world.workers.values()].filter(({ alive }) => alive));
      if (worker !== undefined) world.killWorker(worker);
      world.addWorker(1 + Math.floor(random() * 4));
    } else if (dice < 0.3) {
      const step = world.pick(world.unfinished());
      if (step?.state === "waiting") world.node(world.partitions[step.partition]?.owner)?.withdraw(step.partition, step.id);
    }
    world.pass(random() * 200);
  }
  world.network = GOOD;
  // Whoever was stopped goes on, or is taken for dead.
  world.pass(10_000);
  if (world.node(world.coordinator) === undefined) world.setCoordinator(world.members[0]?.id);
  for (const { number, owner } of world.partitions)
    if (world.node(owner) === undefined) world.move(number, world.members[0]?.id ?? "");
  expect(
    world.pass(60_000, () => world.unfinished().length === 0),
    `seed ${seed}: ${JSON.stringify(world.unfinished().slice(0, 3))}`,
  ).toBe(true);
  // One heartbeat, so that what died is known to be over.
  world.pass(5_000);
  expectNoLeak(world);
}
