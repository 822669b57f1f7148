/** The test kit, as users use it. */
import { createTestSluice, type TestSluice } from "sluice/testing";
import { defineWorkflow, isRunCancelledError, isRunFailedError, NonRetryableError, Strategy } from "sluice";
import { describe, expect, test } from "vitest";

/** A workflow of one step that takes a virtual time, and what its handlers saw. */
function timed(options: Omit<Parameters<typeof defineWorkflow>[0], "name" | "on">, duration = "10s") {
  const log: string[] = [];
  let kit: TestSluice;
  const workflow = defineWorkflow<{ k: string; n?: number }>({ name: "work", on: "job", ...(options as object) }).step(
    "do",
    async (ctx) => {
      log.push(`+${ctx.input.k}${ctx.input.n ?? ""}`);
      try {
        await kit.sleep(duration, ctx.signal);
        log.push(`-${ctx.input.k}${ctx.input.n ?? ""}`);
      } catch (error) {
        log.push(`x${ctx.input.k}${ctx.input.n ?? ""}`);
        throw error;
      }
      return ctx.input.k;
    },
  );
  return { workflow, log, start: (more: object = {}) => (kit = createTestSluice({ workflows: [workflow], ...more })) };
}

describe("virtual time", () => {
  test("begins at a fixed instant and only moves when told to", async () => {
    const { start } = timed({});
    const sluice = start();
    expect(new Date(sluice.now()).toISOString()).toBe("2026-01-01T00:00:00.000Z");
    await sluice.settle();
    expect(new Date(sluice.now()).toISOString()).toBe("2026-01-01T00:00:00.000Z");
    await sluice.advance("1h");
    expect(new Date(sluice.now()).toISOString()).toBe("2026-01-01T01:00:00.000Z");
  });

  test("lets handlers take as long as they sleep", async () => {
    const { start } = timed({});
    const sluice = start();
    const [run] = await sluice.publish("job", { k: "a" });
    expect(run?.status()).toBe("RUNNING");
    await sluice.advance("9999ms");
    expect(run?.status()).toBe("RUNNING");
    await sluice.advance(1);
    expect(run?.get()).toMatchObject({ status: "SUCCEEDED", outputs: { do: "a" }, finishedAt: "2026-01-01T00:00:10.000Z" });
  });

  test("goes by as far as a result needs it", async () => {
    const { start, workflow } = timed({});
    const sluice = start();
    const run = await sluice.run(workflow, { k: "a" });
    expect(await run.result()).toEqual({ do: "a" });
    expect(sluice.now()).toBe(Date.UTC(2026, 0, 1) + 10_000);
  });

  test("is no help to a run that cannot end, and says why", async () => {
    const { start, workflow } = timed({ stepDefaults: { scheduleTimeout: "2d" } });
    const sluice = start({ slots: 0 });
    const run = await sluice.run(workflow, { k: "a" });
    await expect(run.result()).rejects.toThrow(
      `run run-1 does not end: Step "do" is ready, but no worker serves step "do" of workflow "work".`,
    );
  });
});

describe("flow control", () => {
  test("cancels what is in progress, and the newcomer starts when that has stopped", async () => {
    const { start, log } = timed({ concurrency: { key: (ctx: { input: { k: string } }) => ctx.input.k } } as never);
    const sluice = start();
    const runs = [];
    for (let n = 1; n <= 3; n++) {
      runs.push(...(await sluice.publish("job", { k: "u", n })));
      await sluice.advance("1s");
    }
    expect(await runs[2]?.result()).toEqual({ do: "u" });
    expect(runs.map((run) => [run.status(), run.get().reason])).toEqual([
      ["CANCELLED", "CANCELLED_BY_CONCURRENCY_LIMIT"],
      ["CANCELLED", "CANCELLED_BY_CONCURRENCY_LIMIT"],
      ["SUCCEEDED", undefined],
    ]);
    expect(log).toEqual(["+u1", "xu1", "+u2", "xu2", "+u3", "-u3"]);
    await expect(runs[0]?.result()).rejects.toSatisfy(isRunCancelledError);
  });

  test("takes turns between keys where slots are scarce", async () => {
    const { start, log } = timed({ concurrency: { key: "input.k", maxRuns: 5, strategy: Strategy.GROUP_ROUND_ROBIN } }, "1s");
    const sluice = start({ slots: 1 });
    const events = ["A", "B", "C"].flatMap((k) => [1, 2, 3].map((n) => ({ event: "job", payload: { k, n } })));
    await sluice.publishMany(events);
    await sluice.advance("20s");
    expect(log.filter((entry) => entry.startsWith("+"))).toEqual(["+A1", "+B1", "+C1", "+A2", "+B2", "+C2", "+A3", "+B3", "+C3"]);
  });

  test("shows groups and says why a run waits", async () => {
    const { start } = timed({ concurrency: { key: "input.k", strategy: Strategy.GROUP_ROUND_ROBIN } });
    const sluice = start();
    await sluice.publish("job", { k: "a" });
    const [second] = await sluice.publish("job", { k: "a" });
    expect(sluice.groups.get({ limit: "work", key: "a" })).toMatchObject({
      active: 1,
      waiting: 1,
      activeRuns: ["run-1"],
      waitingRuns: ["run-2"],
    });
    expect(second?.explain()).toMatchObject({
      waitingFor: "limit",
      position: 1,
      sentence: `It waits for a slot in limit "work" for key "a": 1 of 1 in use by run-1; it is 1st of 1 in line.`,
    });
    await sluice.groups.update({ limit: "work", key: "a", maxRuns: 2 });
    expect(second?.status()).toBe("RUNNING");
    await sluice.groups.pause({ limit: "work", key: "a" });
    const [third] = await sluice.publish("job", { k: "a" });
    expect(third?.explain().waitingFor).toBe("paused");
    await sluice.groups.resume({ limit: "work", key: "a" });
    await sluice.advance("30s");
    expect(sluice.runs.list().map(({ status }) => status)).toEqual(["SUCCEEDED", "SUCCEEDED", "SUCCEEDED"]);
  });

  test("starts schedules and crons at their times", async () => {
    const { start, workflow, log } = timed({ cron: { expression: "*/5 * * * *", input: { k: "c" } } }, "1s");
    const sluice = start();
    const run = await sluice.run(workflow, { k: "s" }, { delay: "2m" });
    expect(run.get()).toMatchObject({ status: "QUEUED", scheduledAt: "2026-01-01T00:02:00.000Z" });
    expect(run.explain().sentence).toBe("It is scheduled for 2026-01-01T00:02:00.000Z, in 2m.");
    await sluice.advance("11m");
    expect(log).toEqual(["+s", "-s", "+c", "-c", "+c", "-c"]);
    expect(sluice.runs.list({ workflow: "work" }).map(({ createdAt }) => createdAt.slice(11, 19))).toEqual([
      "00:00:00",
      "00:05:00",
      "00:10:00",
    ]);
  });
});

describe("failures", () => {
  test("are tried again after their backoff, in virtual time", async () => {
    const attempts: number[] = [];
    const workflow = defineWorkflow({ name: "flaky" }).step("do", { retries: 2, backoff: { min: "10s", factor: 1 } }, (ctx) => {
      attempts.push(sluice.now());
      if (ctx.attempt < 3) throw new Error("not yet");
      return ctx.attempt;
    });
    const sluice = createTestSluice({ workflows: [workflow] });
    const run = await sluice.run(workflow, {});
    expect(run.explain().sentence).toMatch(/^Step "do" failed in attempt 1 \(not yet\) and is tried again at /);
    expect(await run.result()).toEqual({ do: 3 });
    const [first = 0, second = 0, third = 0] = attempts;
    for (const waited of [second - first, third - second]) expect(waited).toSatisfy((ms: number) => ms >= 5_000 && ms <= 10_000);
  });

  test("end the run where nothing helps", async () => {
    const workflow = defineWorkflow({ name: "broken" }).step("do", { retries: 5 }, () => {
      throw new NonRetryableError("no");
    });
    const sluice = createTestSluice({ workflows: [workflow] });
    const run = await sluice.run(workflow, {});
    await expect(run.result()).rejects.toSatisfy(isRunFailedError);
    expect(run.get()).toMatchObject({ status: "FAILED", reason: "STEP_FAILED", steps: { do: { attempts: 1 } } });
  });

  test("of handlers can be replaced by stand-ins", async () => {
    const { start, workflow } = timed({});
    const sluice = start({ handlers: { work: { do: () => "stand-in" } } });
    expect(await (await sluice.run(workflow, { k: "a" })).result()).toEqual({ do: "stand-in" });
    expect(() => createTestSluice({ workflows: [workflow], handlers: { work: { dont: () => 1 } } })).toThrow(
      /handlers.work.dont/,
    );
  });
});

describe("workers", () => {
  test("that die have their steps run elsewhere after the deadline", async () => {
    const { start, log, workflow } = timed({});
    const sluice = start();
    const run = await sluice.run(workflow, { k: "a" });
    const other = await sluice.workers.add();
    await sluice.workers.kill("worker-1");
    await sluice.advance("3s");
    expect(run.get().steps["do"]?.worker).toBe("worker-1");
    await sluice.advance(1);
    expect(run.get().steps["do"]).toMatchObject({ worker: other, attempts: 2 });
    expect(await run.result()).toEqual({ do: "a" });
    // What the dead one did has never gone on.
    expect(log).toEqual(["+a", "+a", "-a"]);
  });

  test("that stop finish what they have and take nothing new", async () => {
    const { start, log, workflow } = timed({});
    const sluice = start();
    const run = await sluice.run(workflow, { k: "a" });
    await sluice.workers.stop("worker-1");
    const late = await sluice.run(workflow, { k: "b" });
    expect(sluice.workers.list()).toMatchObject([{ id: "worker-1", mode: "draining", used: 1 }]);
    await sluice.advance("10s");
    expect([run.status(), late.status(), sluice.workers.list()[0]?.mode]).toEqual(["SUCCEEDED", "RUNNING", "stopped"]);
    expect(late.explain().waitingFor).toBe("worker");
    await sluice.workers.add();
    await late.result();
    expect(log).toEqual(["+a", "-a", "+b", "-b"]);
  });
});

describe("restarts", () => {
  test("of the engine lose nothing and start nothing twice", async () => {
    const { start, log } = timed({ concurrency: { key: "input.k", strategy: Strategy.GROUP_ROUND_ROBIN } });
    const sluice = start();
    await sluice.publish("job", { k: "a", n: 1 });
    await sluice.publish("job", { k: "a", n: 2 });
    await sluice.advance("5s");
    await sluice.restart();
    // In the midst of it: stored, and nobody has looked at it yet.
    void sluice.publish("job", { k: "a", n: 3 });
    await sluice.restart();
    await sluice.advance("7s");
    await sluice.restart({ graceful: true });
    await sluice.advance("1m");
    expect(log).toEqual(["+a1", "-a1", "+a2", "-a2", "+a3", "-a3"]);
    expect(sluice.runs.list().map(({ id, status }) => [id, status])).toEqual([
      ["run-1", "SUCCEEDED"],
      ["run-2", "SUCCEEDED"],
      ["run-3", "SUCCEEDED"],
    ]);
    expect(sluice.groups.list()).toEqual([]);
  });
});

test("The same program has the same result every time", async () => {
  const program = async (): Promise<unknown> => {
    const { start, log } = timed(
      {
        concurrency: { key: (ctx: { input: { k: string } }) => ctx.input.k, strategy: Strategy.CANCEL_QUEUED_EXCEPT_NEWEST },
      } as never,
      "7s",
    );
    const sluice = start({ slots: 2 });
    const changes: unknown[] = [];
    sluice.onChange((change) => changes.push(change));
    for (let i = 0; i < 40; i++) {
      await sluice.publish("job", { k: `k${i % 5}`, n: i });
      if (i % 7 === 0) await sluice.advance("3s");
      if (i === 20) await sluice.workers.kill("worker-1");
      if (i === 22) await sluice.workers.add({ slots: 3 });
      if (i === 30) await sluice.restart();
    }
    await sluice.advance("10m");
    return { log, changes, runs: sluice.runs.list(), events: sluice.runs.list().map(({ id }) => sluice.runs.events(id)) };
  };
  const first = await program();
  expect(await program()).toEqual(first);
  expect(
    (first as { runs: { status: string }[] }).runs.every(({ status }) => status === "SUCCEEDED" || status === "CANCELLED"),
  ).toBe(true);
});
