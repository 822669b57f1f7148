/** One lane between a source and a partition, rule by rule; all of them together are tried in transfers.test.ts. */
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { checkCommand } from "../../src/engine/check-command.ts";
import { OwnedPartitions } from "../../src/engine/owned-partitions.ts";
import type { Partition } from "../../src/engine/partition.ts";
import { fromTransfer } from "../../src/engine/routing.ts";
import type { Creation } from "../../src/engine/run.ts";
import type { TransferInput, TransferTarget } from "../../src/engine/transfer-lane.ts";
import { Transfers } from "../../src/engine/transfers.ts";
import type { Position } from "../../src/engine/facts.ts";
import { CompiledWorkflow } from "../../src/engine/workflows.ts";
import { PayloadTooLargeError } from "../../src/errors.ts";
import type { TransferCommand } from "../../src/protocol/commands.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";

const free = new CompiledWorkflow(defineWorkflow({ name: "free" }).step("a", () => 1).spec, 1, 0);
const keyed = new CompiledWorkflow(
  defineWorkflow({ name: "keyed", concurrency: { key: "input.k" } }).step("a", () => 1).spec,
  1,
  0,
);
const creation = (n: number, more: Partial<Creation> = {}): Creation => ({
  run: `r${n}`,
  workflow: free,
  createdAt: 5,
  input: "{}",
  ...more,
});

class Target implements TransferTarget {
  readonly number: number;
  readonly got: TransferInput[] = [];
  readonly confirmed: unknown[] = [];
  committed: Position | undefined = undefined;

  constructor(number: number) {
    this.number = number;
  }

  enqueue(input: TransferInput): void {
    if (input.type === "creation") this.got.push(input);
    else this.confirmed.push(input);
  }

  committedPosition(): Position | undefined {
    return this.committed;
  }

  room(): undefined {
    return undefined;
  }

  get runs(): string[] {
    return this.got.map((input) => input.creation.run);
  }
}

class World {
  readonly owned = new OwnedPartitions(4);
  readonly published: { text: string; resolve: (ack: { seq: number }) => void; reject: (error: Error) => void }[] = [];
  readonly applied: (() => void)[] = [];
  readonly timers = new Set<() => void>();
  readonly transfers = new Transfers({
    owned: this.owned as unknown as ConstructorParameters<typeof Transfers>[0]["owned"],
    publish: (_, text) => new Promise((resolve, reject) => this.published.push({ text, resolve, reject })),
    applied: () => new Promise<void>((resolve) => this.applied.push(resolve)),
    maxPayloadBytes: () => 1_000_000,
    setTimer: (call) => {
      this.timers.add(call);
      return () => this.timers.delete(call);
    },
    logger: pino({ level: "silent" }),
  });

  own(number: number): Target {
    const target = new Target(number);
    this.owned.add(target as unknown as Partition, 1);
    return target;
  }

  /** Runs of the message that is on its way. */
  get onTheirWay(): string[] {
    return this.command.items.map(({ run }) => run.run);
  }

  get command(): TransferCommand {
    const command: unknown = JSON.parse(this.published.at(-1)?.text ?? "{}");
    checkCommand(command);
    return command as TransferCommand;
  }

  async store(seq = 1): Promise<void> {
    this.published.at(-1)?.resolve({ seq });
    await settled();
  }

  async fail(error = new Error("no acknowledgement")): Promise<void> {
    this.published.at(-1)?.reject(error);
    await settled();
  }

  async applyInbox(): Promise<void> {
    for (const resolve of this.applied.splice(0)) resolve();
    await settled();
  }

  async fireTimers(): Promise<void> {
    for (const call of [...this.timers]) {
      this.timers.delete(call);
      call();
    }
    await settled();
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function inMemory(): Promise<{ world: World; target: Target; source: ReturnType<Transfers["open"]> }> {
  const world = new World();
  const target = world.own(1);
  const source = world.transfers.open("events");
  source.send(1, [1, 0], creation(1));
  await world.store();
  await world.applyInbox();
  return { world, target, source };
}

describe("a lane to a partition elsewhere", () => {
  test("has one message on its way, while the next one grows", async () => {
    const world = new World();
    const source = world.transfers.open("events");
    const accepted: number[] = [];
    for (const n of [1, 2, 3]) source.send(1, [n, 0], creation(n), () => accepted.push(n));
    expect([world.published.length, world.onTheirWay, accepted, source.pending]).toEqual([1, ["r1"], [], [1, 0]]);
    await world.store();
    expect([world.published.length, world.onTheirWay, accepted, source.pending]).toEqual([2, ["r2", "r3"], [1], [2, 0]]);
    await world.store();
    expect([accepted, source.pending]).toEqual([[1, 2, 3], undefined]);
  });

  test("repeats the same message until it is acknowledged", async () => {
    const world = new World();
    const source = world.transfers.open("events");
    source.send(1, [1, 0], creation(1));
    source.send(1, [2, 0], creation(2));
    for (let times = 0; times < 3; times++) {
      await world.fail();
      await world.fireTimers();
    }
    expect(new Set(world.published.map(({ text }) => text)).size).toBe(1);
    expect(source.pending).toEqual([1, 0]);
    await world.store();
    expect(world.onTheirWay).toEqual(["r2"]);
  });

  test("asks for patience once much waits, and is open again when half of it has gone", async () => {
    const world = new World();
    const source = world.transfers.open("events");
    for (let n = 1; n <= 5_000; n++) source.send(1, [n, 0], creation(n));
    let open = false;
    void source.room(1)?.then(() => (open = true));
    let stored = 0;
    for (; !open && stored < 10; stored++) await world.store();
    // One alone, and then a thousand at a time.
    expect([stored, open, source.room(1)]).toEqual([4, true, undefined]);
  });

  test("lets a run that is too large for any message arrive without what it carries, and fail", async () => {
    const world = new World();
    const source = world.transfers.open("events");
    source.send(1, [1, 0], creation(1, { metadata: { much: "too much" }, event: { name: "e", seq: 1 } }));
    source.send(1, [2, 0], creation(2));
    await world.fail(new PayloadTooLargeError("the run", 9, 5));
    const [item] = world.command.items;
    expect(item?.run).toMatchObject({ run: "r1", event: { name: "e", seq: 1 }, failure: { code: "PAYLOAD_TOO_LARGE" } });
    expect(item?.run.metadata).toBeUndefined();
    expect(world.onTheirWay).toEqual(["r1", "r2"]);
  });

  test("carries all that a run is made of", () => {
    const world = new World();
    const whole = creation(1, {
      workflow: keyed,
      input: '{"k": "ä",  "n": 1.0}',
      ref: { stream: "E", seq: 3 },
      keys: ["ä"],
      priority: -2,
      metadata: { a: [1] },
      event: { name: "a.b", seq: 3 },
      notBefore: 77,
      replayOf: "r0",
      traceparent: "00-1",
    });
    world.transfers.open("events").send(1, [1, 2], whole);
    const [item] = world.command.items;
    expect(item?.position).toEqual([1, 2]);
    expect(item && fromTransfer(item.run, keyed)).toEqual(whole);
  });

  test("leaves a large input behind, and takes along the keys that come of it, or why there are none", () => {
    const ref = { stream: "E", seq: 3 };
    const large = (input: object) =>
      creation(1, { workflow: keyed, ref, input: JSON.stringify({ ...input, t: "x".repeat(20_000) }) });
    const sent = (input: object) => {
      const world = new World();
      world.transfers.open("events").send(1, [1, 0], large(input));
      return world.command.items[0]?.run;
    };
    expect(sent({ k: "x" })).toEqual({
      run: "r1",
      createdAt: 5,
      workflow: "keyed",
      version: keyed.spec.version,
      inputRef: ref,
      keys: ["x"],
    });
    expect(sent({})?.failure).toMatchObject({ code: "KEY_FAILED" });
  });
});

describe("a lane to a partition that is here", () => {
  test("begins through the inbox, behind what others have put there, and waits until that is applied", async () => {
    const world = new World();
    const target = world.own(1);
    const source = world.transfers.open("events");
    source.send(1, [1, 0], creation(1));
    source.send(1, [2, 0], creation(2));
    await world.store();
    source.send(1, [3, 0], creation(3));
    expect([world.published.length, target.runs]).toEqual([1, []]);
    await world.applyInbox();
    expect([world.published.length, target.runs]).toEqual([1, ["r2", "r3"]]);
    source.send(1, [4, 0], creation(4));
    expect(target.runs).toEqual(["r2", "r3", "r4"]);
  });

  test("keeps what is not committed, and sends that again before anything newer when the partition leaves", async () => {
    const { world, target, source } = await inMemory();
    for (const n of [2, 3, 4]) source.send(1, [n, 0], creation(n));
    target.committed = [2, 0];
    expect(source.pending).toEqual([3, 0]);
    world.owned.remove(1);
    expect([source.pending, world.onTheirWay]).toEqual([
      [3, 0],
      ["r3", "r4"],
    ]);
    source.send(1, [5, 0], creation(5));
    await world.store(2);
    expect(world.onTheirWay).toEqual(["r5"]);
  });

  test("does not go on in memory before the partition has applied what this lane had put into its inbox", async () => {
    const { world, source } = await inMemory();
    source.send(1, [2, 0], creation(2));
    world.owned.remove(1);
    const back = world.own(1);
    source.send(1, [3, 0], creation(3));
    await world.store(2);
    expect(back.runs).toEqual([]);
    await world.applyInbox();
    expect(back.runs).toEqual(["r3"]);
  });

  test("has nothing for one that came back meanwhile as another", async () => {
    const { world, target, source } = await inMemory();
    source.send(1, [2, 0], creation(2));
    const other = world.own(1);
    await world.applyInbox();
    expect([target.runs, other.runs]).toEqual([["r2"], ["r2"]]);
    source.send(1, [3, 0], creation(3));
    expect([target.runs, other.runs]).toEqual([["r2"], ["r2", "r3"]]);
  });
});

describe("the source of a lane", () => {
  test("that has ended sends nothing, and says for ever what had not arrived", async () => {
    const { world, target, source } = await inMemory();
    source.send(1, [2, 0], creation(2));
    source.end();
    source.send(1, [3, 0], creation(3));
    target.committed = [3, 0];
    expect([target.runs, source.pending, world.published.length]).toEqual([["r2"], [2, 0], 1]);
    const done = world.transfers.open("events");
    done.end();
    done.send(1, [7, 0], creation(7));
    expect(done.pending).toEqual([7, 0]);
  });

  test("is one life of a partition: what a former one still hands over does not go before what the next one repeats", async () => {
    const world = new World();
    const former = world.own(2) as unknown as Partition;
    world.transfers.handOver(former, 1, 1, creation(1));
    world.transfers.handOver(former, 1, 2, creation(2));
    world.owned.remove(2);
    world.transfers.handOver(former, 1, 3, creation(3));
    await world.store();
    expect(world.published.length).toBe(1);
    const next = world.own(2);
    for (const n of [1, 2, 3]) world.transfers.handOver(next as unknown as Partition, 1, n, creation(n));
    world.transfers.handOver(former, 1, 4, creation(4));
    expect(world.onTheirWay).toEqual(["r1"]);
    await world.store(2);
    expect([world.onTheirWay, next.confirmed]).toEqual([["r2", "r3"], [{ type: "confirmed", to: 1, n: 1 }]]);
  });
});
