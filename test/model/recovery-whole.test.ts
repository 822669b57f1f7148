/**
 * The whole engine under random programs: events, kills of the engine in the midst of what it does, deaths of workers. In the end every
 * event has exactly its runs, all have ended, and at no time did the handlers themselves see a key above its limit.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTestSluice, type TestSluice } from "../../src/testing/index.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import type { StepContext } from "../../src/workflow/step-context.ts";
import { STRATEGIES } from "./recovery-world.ts";

const seed = Number(process.env["SLUICE_TEST_SEED"] ?? Date.now() % 2 ** 31);
const scale = Number(process.env["SLUICE_TEST_SCALE"] ?? 1);

interface Input {
  readonly k: string;
  readonly ms: number;
  readonly fails: boolean;
}

const rules = fc.record({ strategy: fc.constantFrom(...STRATEGIES), maxRuns: fc.integer({ min: 1, max: 2 }) });
const command = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("publish" as const), n: fc.nat(), await: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("advance" as const), n: fc.nat(), await: fc.constant(true) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom("restart" as const, "kill" as const, "stop" as const, "cancel" as const, "pause" as const),
      n: fc.nat(),
      await: fc.constant(true),
    }),
  },
);

/** Which runs execute for each key, as their handlers see it. */
class Witness {
  readonly limits = new Map<string, number>();
  /** By group: runs by attempt. */
  readonly #active = new Map<string, Map<string, string>>();

  enter({ keys, attemptId, runId }: StepContext<Input>): void {
    for (const { limit, key } of keys) {
      const id = `${limit} ${key}`;
      const attempts = this.#active.get(id) ?? new Map<string, string>();
      this.#active.set(id, attempts.set(attemptId, runId));
      const runs = new Set(attempts.values());
      if (runs.size > (this.limits.get(limit) ?? 0)) throw new Error(`${id} is at ${runs.size} runs: ${[...runs].join()}`);
    }
  }

  leave(attemptId: string): void {
    for (const attempts of this.#active.values()) attempts.delete(attemptId);
  }
}

/** The attempts that a worker was given. */
function attemptsOf(sluice: TestSluice, worker: string): string[] {
  return sluice.runs
    .list()
    .flatMap(({ id }) => sluice.runs.events(id))
    .map(({ type, data }) => ({ type, ...(data as { readonly worker?: string; readonly attemptId?: string } | undefined) }))
    .flatMap((event) => (event.type.startsWith("step.started.") && event.worker === worker ? [event.attemptId ?? ""] : []));
}

describe(`the whole engine (seed ${seed})`, () => {
  test("keeps every promise through crashes and deaths", { timeout: 60_000 * scale }, async () => {
    await fc.assert(
      fc.asyncProperty(rules, rules, fc.array(command, { maxLength: 60, size: "max" }), async (first, second, commands) => {
        const witness = new Witness();
        witness.limits.set("user", first.maxRuns).set("all", second.maxRuns).set("keyed", second.maxRuns);
        const broken: unknown[] = [];
        const handler = async (ctx: StepContext<Input>): Promise<string> => {
          try {
            witness.enter(ctx);
            await sluice.sleep(ctx.input.ms, ctx.signal);
          } catch (error) {
            if (!ctx.signal.aborted) broken.push(error);
            throw error;
          } finally {
            witness.leave(ctx.attemptId);
          }
          if (ctx.input.fails && ctx.attempt === 1) throw new Error("once");
          return ctx.runId;
        };
        const retried = { retries: 1, backoff: { min: "1s" } } as const;
        const user = { name: "user", key: "input.k", ...first };
        const all = { name: "all", key: "'all'", ...second };
        const keyed = { name: "keyed", key: (ctx: { input: Input }) => ctx.input.k, ...second };
        const workflows = [
          defineWorkflow<Input>({ name: "one", on: "job", concurrency: user }).step("a", retried, handler),
          defineWorkflow<Input>({ name: "both", on: "job.both", concurrency: [user, all] })
            .step("a", retried, handler)
            .step("b", { after: ["a"] }, handler),
          defineWorkflow<Input>({ name: "keyed", on: ["job", "job.keyed"], concurrency: keyed }).step("a", retried, handler),
          defineWorkflow<Input>({ name: "free", on: "job.*" }).step("a", retried, handler),
        ];
        const starts: Record<string, number> = { job: 2, "job.both": 2, "job.keyed": 2 };
        const sluice: TestSluice = createTestSluice({ workflows, slots: 3, partitions: 3, snapshotEvery: 20 });
        let expected = 0;
        for (const { do: what, n, await: awaited } of commands) {
          switch (what) {
            case "publish": {
              const event = Object.keys(starts)[n % 3] ?? "job";
              expected += starts[event] ?? 0;
              const published = sluice.publish(event, { k: `k${n % 4}`, ms: (n % 5) * 700, fails: n % 6 === 0 } satisfies Input, {
                priority: n % 2,
              });
              if (awaited) await published;
              break;
            }
            case "advance":
              await sluice.advance((n % 10) * 300);
              break;
            case "restart":
              await sluice.restart({ graceful: n % 4 === 0 });
              break;
            case "kill":
            case "stop": {
              const running = sluice.workers.list().filter(({ mode }) => mode === "running");
              const worker = running[n % running.length];
              if (worker === undefined) break;
              await sluice.workers.add();
              await sluice.workers[what](worker.id);
              // What a dead one executed is over.
              if (what === "kill") for (const attempt of attemptsOf(sluice, worker.id)) witness.leave(attempt);
              break;
            }
            case "cancel": {
              const runs = sluice.runs.list({ status: "RUNNING" });
              const run = runs[n % Math.max(1, runs.length)];
              if (run !== undefined) await sluice.runs.cancel(run.id);
              break;
            }
            case "pause":
              await sluice.groups.pause({ limit: "user", key: `k${n % 4}` });
              await sluice.advance("1s");
              await sluice.groups.resume({ limit: "user", key: `k${n % 4}` });
              break;
          }
        }
        await sluice.advance("1h");
        expect(broken).toEqual([]);
        const runs = sluice.runs.list();
        expect(runs.length).toBe(expected);
        expect(runs.filter(({ finishedAt }) => finishedAt === undefined).map(({ id }) => sluice.runs.explain(id))).toEqual([]);
        expect(sluice.groups.list()).toEqual([]);
        expect(sluice.workers.list().filter(({ mode, used }) => mode !== "dead" && used > 0)).toEqual([]);
      }),
      { seed, numRuns: Math.round(60 * scale), interruptAfterTimeLimit: 25_000 * scale },
    );
  });
});
