/** How steps are tried, timed, failed and cancelled. */
import { RunCancelledError, RunFailedError } from "sluice";
import { beforeAll, describe, expect, it } from "vitest";
import { waitFor, within } from "../support/wait.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";
import { now } from "./support/records.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ workflows: ["steps"] });
});

/** What happens by timers is not early, and late only as far as a busy machine makes it. */
const LATE_MS = 1_000;

const of = (run: string) => cluster.records().filter((entry) => entry.run === run);
const attemptsOf = (run: string, step = "only") =>
  of(run)
    .filter((entry) => entry.what === "start" && entry.step === step)
    .map(({ attempt }) => attempt);

describe("a step", () => {
  it("that fails is tried again after growing pauses, and its run succeeds with the first attempt that does", async () => {
    const run = await cluster.client.run("retrying", { n: 1, steps: { only: { failures: 3 } } });
    expect(await run.result({ timeout: "20s" })).toEqual({
      only: { n: 1, attemptId: expect.any(String) },
      after: { n: 1, attemptId: expect.any(String) },
    });
    expect(attemptsOf(run.id)).toEqual([1, 2, 3, 4]);
    expect(await run.get()).toMatchObject({
      status: "SUCCEEDED",
      steps: { only: { status: "SUCCEEDED", attempts: 4 }, after: { attempts: 1 } },
    });
    // 100, 200 and 300 ms (not 400), less up to half of it.
    const records = of(run.id).filter(({ step }) => step === "only");
    for (const [index, pause] of [100, 200, 300].entries()) {
      const end = records.find(({ what, attempt }) => what === "end" && attempt === index + 1);
      const next = records.find(({ what, attempt }) => what === "start" && attempt === index + 2);
      const waited = (next?.at ?? 0) - (end?.at ?? 0);
      expect(waited).toBeGreaterThan(pause / 2 - 1);
      expect(waited).toBeLessThan(pause + LATE_MS);
    }
    // Each attempt has an id of its own.
    expect(new Set(records.map(({ attemptId }) => attemptId)).size).toBe(4);
  });

  it("that fails fails its run with the last error once no retries are left, and what comes after it is cancelled", async () => {
    const run = await cluster.client.run("retrying", { steps: { only: { failures: 10 } } });
    const error = await run.result({ timeout: "20s" }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RunFailedError);
    expect(error).toMatchObject({ code: "RUN_FAILED", reason: "STEP_FAILED", step: "only", runId: run.id });
    expect(attemptsOf(run.id)).toEqual([1, 2, 3, 4]);
    expect(attemptsOf(run.id, "after")).toEqual([]);
    expect(await run.get()).toMatchObject({
      status: "FAILED",
      reason: "STEP_FAILED",
      error: { message: "failure 4 of 10" },
      steps: {
        only: { status: "FAILED", attempts: 4, error: { name: "Error", message: "failure 4 of 10" } },
        after: { status: "CANCELLED", attempts: 0 },
      },
    });
  });

  it("is not tried again after a NonRetryableError", async () => {
    const run = await cluster.client.run("permanent", {});
    await expect(run.result({ timeout: "10s" })).rejects.toMatchObject({ reason: "STEP_FAILED" });
    expect(attemptsOf(run.id)).toEqual([1]);
    expect((await run.get()).steps["only"]).toMatchObject({
      status: "FAILED",
      attempts: 1,
      error: { name: "NonRetryableError", message: "no use", retryable: false },
    });
  });

  it("has the steps that run beside it cancelled, and those that wait for it", async () => {
    const run = await cluster.client.run("cancels-others", {
      steps: { a: { failures: 1, gate: "a-may-fail" }, b: { gate: "never" } },
    });
    await cluster.started(run.id, "b");
    await cluster.open("a-may-fail");
    await expect(run.result({ timeout: "10s" })).rejects.toMatchObject({ reason: "STEP_FAILED", step: "a" });
    expect((await run.get()).steps).toMatchObject({
      a: { status: "FAILED" },
      b: { status: "CANCELLED", attempts: 1 },
      c: { status: "CANCELLED", attempts: 0 },
    });
    expect(of(run.id).find(({ what, step }) => what === "end" && step === "b")).toMatchObject({
      outcome: "threw",
      aborted: "RunCancelledError",
    });
  });

  it("lets the steps that run beside it finish where onStepFailure says so", async () => {
    const run = await cluster.client.run("lets-others-finish", { steps: { a: { failures: 1 }, b: { gate: "b-may-finish" } } });
    await cluster.started(run.id, "b");
    await waitFor(async () => (await run.get()).steps["a"]?.status === "FAILED", { what: "step a to have failed" });
    expect(await run.status()).toBe("RUNNING");
    await cluster.open("b-may-finish");
    await expect(run.result({ timeout: "10s" })).rejects.toMatchObject({ reason: "STEP_FAILED", step: "a" });
    const view = await run.get();
    expect(view).toMatchObject({
      status: "FAILED",
      steps: {
        a: { status: "FAILED" },
        b: { status: "SUCCEEDED", output: { n: null } },
        c: { status: "CANCELLED", attempts: 0 },
      },
    });
    expect(of(run.id).find(({ what, step }) => what === "end" && step === "b")).not.toHaveProperty("aborted");
  });

  it("gets what the steps before it returned, directly or not", async () => {
    const run = await cluster.client.run("diamond", null);
    expect(await run.result({ timeout: "10s" })).toEqual({
      top: { value: 1 },
      left: { value: 2 },
      right: { value: 11 },
      bottom: [1, 2, 11],
    });
  });
});

describe("a step that takes too long", () => {
  it("has its signal aborted with a TimeoutError, and is tried again", async () => {
    const run = await cluster.client.run("timed", { n: 7, gate: "never", inAttempt: 1 });
    expect(await run.result({ timeout: "10s" })).toEqual({ only: { n: 7, attemptId: expect.any(String) } });
    expect(of(run.id).map(({ what, attempt, aborted }) => [what, attempt, aborted])).toEqual([
      ["start", 1, undefined],
      ["end", 1, "TimeoutError"],
      ["start", 2, undefined],
      ["end", 2, undefined],
    ]);
    const [start, end] = of(run.id);
    expect((end?.at ?? 0) - (start?.at ?? 0)).toBeGreaterThan(140);
  });

  it("fails its run with STEP_TIMED_OUT once no retries are left", async () => {
    const run = await cluster.client.run("timed", { gate: "never" });
    await expect(run.result({ timeout: "10s" })).rejects.toMatchObject({ reason: "STEP_TIMED_OUT", step: "only" });
    expect(await run.get()).toMatchObject({
      status: "FAILED",
      steps: { only: { status: "FAILED", attempts: 2, error: { code: "STEP_TIMED_OUT" } } },
    });
  });

  it("keeps its slot, and its run the key, until the grace has passed when it ignores its signal, and the log says so", async () => {
    const deaf = await cluster.client.run("graced", { key: "timeout", gate: "deaf", deaf: true });
    const next = await cluster.client.run("graced", { key: "timeout" });
    await expect(deaf.result({ timeout: "10s" })).rejects.toMatchObject({ reason: "STEP_TIMED_OUT" });
    await next.result({ timeout: "10s" });
    const waited = (await cluster.started(next.id)).at - (await cluster.started(deaf.id)).at;
    expect(waited).toBeGreaterThan(200 + 600 - 10);
    expect(waited).toBeLessThan(200 + 600 + LATE_MS);
    await cluster.workers[0]?.waitForOutput(
      new RegExp(`"runId":"${deaf.id}".*a handler still runs 600 ms after its signal was aborted`),
    );
    await cluster.open("deaf");
    await waitFor(() => of(deaf.id).length === 2, { what: "the deaf handler to end" });
  });
});

describe("a run that nobody takes", () => {
  it("is cancelled with SCHEDULING_TIMED_OUT after its workflow's scheduleTimeout in a group", async () => {
    const holder = await cluster.client.run("impatient", { key: "k", gate: "impatient" });
    await cluster.started(holder.id);
    const before = now();
    const waiting = await cluster.client.run("impatient", { key: "k" });
    await expect(waiting.result({ timeout: "10s" })).rejects.toMatchObject({
      code: "RUN_CANCELLED",
      reason: "SCHEDULING_TIMED_OUT",
    });
    expect(now() - before).toBeGreaterThan(290);
    expect(of(waiting.id)).toEqual([]);
    await cluster.open("impatient");
    await holder.result({ timeout: "10s" });
  });

  it("is cancelled with SCHEDULING_TIMED_OUT when a step finds no worker in its scheduleTimeout; without one it waits for a worker", async () => {
    const worker = await cluster.startWorker(["orphan"]);
    await worker.stop();
    const run = await cluster.client.run("orphan", {});
    const patient = await cluster.client.run("orphan-patient", { n: 3 });
    await expect(run.result({ timeout: "10s" })).rejects.toMatchObject({ code: "RUN_CANCELLED", reason: "SCHEDULING_TIMED_OUT" });
    expect((await run.get()).steps).toMatchObject({ only: { status: "CANCELLED", attempts: 0 } });
    expect(await cluster.client.runs.explain(patient.id)).toMatchObject({
      waitingFor: "worker",
      sentence: 'Step "only" is ready, but no worker serves step "only" of workflow "orphan-patient".',
    });
    await cluster.startWorker(["orphan"]);
    expect(await patient.result({ timeout: "10s" })).toMatchObject({ only: { n: 3 } });
  });
});

describe("a run that its user cancels", () => {
  it("never starts when it still waits, and lets the next one pass", async () => {
    const first = await cluster.client.run("one-at-a-time", { key: "waiting", gate: "waiting" });
    const second = await cluster.client.run("one-at-a-time", { key: "waiting" });
    const third = await cluster.client.run("one-at-a-time", { key: "waiting" });
    expect(await second.cancel()).toMatchObject({ status: "CANCELLED", reason: "CANCELLED_BY_USER" });
    await expect(second.result({ timeout: "5s" })).rejects.toBeInstanceOf(RunCancelledError);
    await cluster.open("waiting");
    await Promise.all([first.result({ timeout: "10s" }), third.result({ timeout: "10s" })]);
    expect(of(second.id)).toEqual([]);
  });

  it("has its signal aborted when it runs, and holds its slot until its handler has ended", async () => {
    const run = await cluster.client.run("one-at-a-time", { key: "running", gate: "never" });
    const next = await cluster.client.run("one-at-a-time", { key: "running" });
    await cluster.started(run.id);
    await run.cancel();
    await expect(run.result({ timeout: "5s" })).rejects.toMatchObject({ reason: "CANCELLED_BY_USER" });
    await next.result({ timeout: "10s" });
    const end = of(run.id).find(({ what }) => what === "end");
    expect(end).toMatchObject({ outcome: "threw", aborted: "RunCancelledError" });
    expect((await cluster.started(next.id)).at).toBeGreaterThan(end?.at ?? Infinity);
    expect(await run.get()).toMatchObject({
      status: "CANCELLED",
      reason: "CANCELLED_BY_USER",
      steps: { only: { status: "CANCELLED", attempts: 1 } },
    });
  });

  it("gives its slot away after the grace when its handler ignores the signal", async () => {
    const run = await cluster.client.run("graced", { key: "cancel", gate: "deaf-2", deaf: true });
    const next = await cluster.client.run("graced", { key: "cancel" });
    await cluster.started(run.id);
    const before = now();
    await run.cancel();
    await next.result({ timeout: "10s" });
    const waited = (await cluster.started(next.id)).at - before;
    expect(waited).toBeGreaterThan(590);
    expect(waited).toBeLessThan(600 + LATE_MS);
    await cluster.open("deaf-2");
    await waitFor(() => of(run.id).length === 2, { what: "the deaf handler to end" });
    expect(await run.get()).toMatchObject({ status: "CANCELLED", reason: "CANCELLED_BY_USER" });
  });

  it("is not tried again when it is in backoff, and frees its slot at once", async () => {
    const run = await cluster.client.run("patient", { key: "k", failures: 1 });
    const next = await cluster.client.run("patient", { key: "k" });
    await waitFor(async () => (await run.get()).steps["only"]?.status === "BACKOFF", { what: "the backoff" });
    // Waiting to be tried again, it still counts.
    expect(await next.status()).toBe("QUEUED");
    await within(5_000, "the cancellation", run.cancel());
    await expect(run.result({ timeout: "5s" })).rejects.toMatchObject({ reason: "CANCELLED_BY_USER" });
    await next.result({ timeout: "10s" });
    expect(attemptsOf(run.id)).toEqual([1]);
  });

  it("stays as it is when it has ended", async () => {
    const run = await cluster.client.run("diamond", null);
    const outputs = await run.result({ timeout: "10s" });
    expect(await run.cancel()).toMatchObject({ status: "SUCCEEDED", outputs });
  });
});
