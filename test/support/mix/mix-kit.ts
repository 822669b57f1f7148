/** Runs a mix through the test kit, in virtual time, and notes everything that happens. */
import { createTestSluice, type TestRun, type TestSluice } from "../../../src/testing/index.ts";
import type { RunChangeMessage } from "../../../src/index.ts";
import { type Act, type Mix, randomFrom } from "./mix.ts";
import { type Happening, handlerHappening, happeningOf, type MixResult, resultOf } from "./mix-result.ts";
import { mixWorkflows } from "./mix-workflows.ts";

export interface KitOptions {
  readonly startMs: number;
  readonly slots: number;
  /** The engine is killed, or stopped in order, so many times, at instants that the seed chooses. */
  readonly restarts?: number;
  /** The engine is killed in the midst of a share of the things that are done, before anything has come of them. */
  readonly inTheMidst?: number;
  /** Told of every change, with the kit as it is then. */
  readonly watch?: (change: RunChangeMessage, kit: TestSluice) => void;
  /** Before each thing that is done. */
  readonly onAct?: (act: Act) => void;
}

export interface KitRun {
  readonly kit: TestSluice;
  readonly happenings: readonly Happening[];
  readonly result: MixResult;
}

export const PARTITIONS = 4;

export async function runInKit(
  mix: Mix,
  { startMs, slots, restarts = 0, inTheMidst = 0, watch, onAct }: KitOptions,
): Promise<KitRun> {
  const happenings: Happening[] = [];
  const world = {
    now: () => kit.now(),
    sleep: (ms: number, signal: AbortSignal | undefined) => kit.sleep(ms, signal),
    saw: (what: "start" | "end", ctx: Parameters<typeof handlerHappening>[2]) =>
      void happenings.push(handlerHappening(kit.now(), what, ctx)),
  };
  const { gridMs, alone } = mix;
  const kit = createTestSluice({
    workflows: mixWorkflows(world, { startMs, gridMs, alone }),
    slots,
    start: startMs,
    partitions: PARTITIONS,
  });
  kit.onChange((change) => {
    happenings.push(happeningOf(change));
    watch?.(change, kit);
  });
  await kit.settle();

  const random = randomFrom(mix.seed ^ 0x5eed);
  const killAt = Array.from({ length: restarts }, () => random() * mix.lengthMs).sort((a, b) => a - b);
  const until = async (atMs: number): Promise<void> => {
    while ((killAt[0] ?? Infinity) <= atMs) {
      await kit.advance(startMs + Math.floor(killAt.shift() ?? 0) - kit.now());
      await kit.restart({ graceful: random() < 0.3 });
    }
    await kit.advance(startMs + atMs - kit.now());
  };
  const called = new Map<number, TestRun>();
  for (const { atMs, acts } of mix.moments) {
    await until(atMs);
    for (const act of acts) {
      onAct?.(act);
      const done = carryOut(kit, called, act);
      if (random() < inTheMidst) await kit.restart();
      await done;
    }
  }
  await until(mix.lengthMs);
  const runs = kit.runs.list().map((view) => ({ view, events: kit.runs.events(view.id) }));
  return { kit, happenings, result: resultOf(runs, happenings) };
}

async function carryOut(kit: TestSluice, called: Map<number, TestRun>, act: Act): Promise<void> {
  switch (act.do) {
    case "publish":
      await kit.publish(act.event, act.input, { priority: act.priority });
      return;
    case "run":
      called.set(act.input.n, await kit.run(act.workflow, act.input, { priority: act.priority, delay: act.delayMs }));
      return;
    case "cancel":
      await called.get(act.n)?.cancel();
      return;
    case "replay":
      await kit.runs.replay(called.get(act.n)?.id ?? "");
      return;
    case "limit":
      await kit.groups.update({ limit: act.limit, key: act.key, maxRuns: act.maxRuns });
      return;
    case "pause":
      await kit.groups.pause({ limit: act.limit, key: act.key });
      return;
    case "resume":
      await kit.groups.resume({ limit: act.limit, key: act.key });
      return;
  }
}
