/** Runs on their way to partitions: through whatever happens to nodes, routers and messages, each arrives once, in order. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PARTITIONS, type PublishOutcome, World } from "./transfer-world.ts";

const EVENTS = 60;
const OUTCOMES: readonly PublishOutcome[] = ["stored", "stored", "stored", "stored, unknown", "late", "refused", "stored twice"];

type Step = readonly [kind: number, a: number, b: number];

async function take(world: World, [kind, a, b]: Step): Promise<void> {
  const pick = <T>(list: readonly T[], by: number): T | undefined => list[by % Math.max(1, list.length)];
  const node = world.nodes[b % world.nodes.length] as (typeof world.nodes)[number];
  switch (kind) {
    case 0:
    case 1:
    case 2:
      for (let i = 0; i <= a % 4; i++) world.router.route();
      break;
    case 3:
      for (let i = 0; i <= b % 8; i++) pick(world.oldRouters, a)?.route();
      break;
    case 4:
    case 5:
    case 6:
      world.finishPublish(a % Math.max(1, world.publishes.length), OUTCOMES[b % OUTCOMES.length] ?? "stored");
      break;
    case 7:
    case 8:
      world.finishAppend(a % Math.max(1, world.appends.length));
      break;
    case 9:
    case 10: {
      const hosts = world.nodes.flatMap((one) => [...one.hosts.values()]);
      for (let i = 0; i <= b % 3; i++) pick(hosts, a)?.deliver();
      break;
    }
    case 11: {
      const [late] = world.late.splice(a % Math.max(1, world.late.length), 1);
      if (late !== undefined) world.store(late);
      break;
    }
    case 12:
      world.fireTimers();
      break;
    case 13:
      world.save();
      break;
    case 14:
      await world.handOver(a % PARTITIONS, node, { leaves: a % 2 === 0 ? "first" : "last" });
      break;
    case 15:
      world.takeOver(a % PARTITIONS, node);
      break;
    case 16:
      world.moveRouter(node, { old: a % 2 === 0 ? "over" : "goes on" });
      break;
    case 17: {
      const old = pick(world.oldRouters, a);
      if (old !== undefined) world.endOld(old);
      break;
    }
    case 18:
      world.leaveAlone(a % PARTITIONS);
      break;
    default:
      if (a % 4 === 0) world.kill(b % world.nodes.length);
  }
  await world.settled();
}

const anyStep = fc.tuple(fc.integer({ min: 0, max: 19 }), fc.nat(1_000), fc.nat(1_000));
const RUNS = Number(process.env["SLUICE_TEST_RUNS"] ?? 150);

describe("runs on their way", () => {
  test("arrive once and in order, whoever fails on the way", { timeout: 600_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { minLength: 50, maxLength: 400, size: "max" }), async (steps) => {
        const world = new World(EVENTS);
        for (const step of steps) await take(world, step);
        for (const late of world.late.splice(0)) world.store(late);
        await world.heal();
        expect(world.problems()).toEqual([]);
      }),
      { numRuns: RUNS, endOnFailure: process.env["SLUICE_TEST_SHRINK"] === "no" },
    );
  });
});
