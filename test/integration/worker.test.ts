/** A worker node against a real nats-server, with an engine played by the test. */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { StepResult } from "../../src/protocol/work.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import type { StepContext } from "../../src/workflow/step-context.ts";
import type { WorkerOptions } from "../../src/worker/options.ts";
import { createWorker, startWorker, type Worker } from "../../src/worker/start-worker.ts";
import { onCleanup } from "../support/cleanup.ts";
import { assignment, type FakeEngine, recordingLogger, startFakeEngine } from "../support/fake-engine.ts";
import { startTestServer } from "../support/nats.ts";
import { startNode } from "../support/process.ts";
import { waitFor, within } from "../support/wait.ts";

/** Handlers that a test holds and lets go. */
class Gate {
  readonly contexts = new Map<string, StepContext>();
  readonly #release = new Map<string, (value: unknown) => void>();

  readonly handler = async (ctx: StepContext): Promise<unknown> => {
    this.contexts.set(ctx.attemptId, ctx);
    return await new Promise((resolve) => this.#release.set(ctx.attemptId, resolve));
  };

  release(attemptId: string, value: unknown = "released"): void {
    this.#release.get(attemptId)?.(value);
  }

  entered(attemptId: string): Promise<StepContext> {
    return waitFor(() => this.contexts.get(attemptId), { what: `the handler of ${attemptId}` });
  }

  /** Waits until the signal is aborted, and gives its reason. */
  async aborted(attemptId: string): Promise<unknown> {
    const { signal } = await this.entered(attemptId);
    await waitFor(() => signal.aborted, { what: `the abort of ${attemptId}` });
    return signal.reason;
  }
}

interface Setup {
  readonly engine: FakeEngine;
  readonly url: string;
  readonly server: Awaited<ReturnType<typeof startTestServer>>;
}

async function setup(options: { serve?: boolean; maxPayloadBytes?: number } = {}): Promise<Setup> {
  const server = await startTestServer(options.maxPayloadBytes === undefined ? {} : { maxPayloadBytes: options.maxPayloadBytes });
  const engine = await startFakeEngine(server.url);
  if (options.serve !== false) engine.serve();
  return { engine, server, url: server.url };
}

async function start(options: WorkerOptions): Promise<Worker & { lines: ReturnType<typeof recordingLogger>["lines"] }> {
  const { logger, lines } = recordingLogger();
  const worker = await startWorker({ logger, drainTimeout: 0, grace: 50, ...options });
  onCleanup(async () => await worker.stop());
  return Object.assign(worker, { lines });
}

const echo = defineWorkflow({ name: "echo" }).step("say", (ctx) => ({ input: ctx.input, run: ctx.runId }));

describe("starting", () => {
  it("registers all workflows, then announces itself and what it serves", async () => {
    const { engine, url } = await setup();
    const other = defineWorkflow({ name: "other" })
      .step("a", () => 1)
      .step("b", { after: ["a"] }, () => 2);
    const worker = await start({ servers: url, workflows: [echo, other], slots: 7, name: "blue" });
    expect(engine.registered.sort()).toEqual(["echo", "other"]);
    const status = await waitFor(() => engine.statuses[0]);
    expect(status).toMatchObject({
      id: worker.id,
      name: "blue",
      mode: "running",
      slots: 7,
      used: 0,
      heartbeatMs: 1000,
      deadlineMs: 3000,
      pid: process.pid,
    });
    expect(status.workflows.find((one) => one.name === "other")).toEqual({
      name: "other",
      version: other.spec.version,
      steps: ["a", "b"],
    });
    expect(status).not.toHaveProperty("attempts");
  });

  it("waits for an engine, says so, and goes on when one is there", async () => {
    const { engine, url } = await setup({ serve: false });
    const { logger, lines } = recordingLogger();
    const worker = createWorker({ servers: url, workflows: [echo], logger });
    onCleanup(async () => await worker.stop());
    const started = worker.start();
    await waitFor(() => lines.find(({ msg }) => msg.includes("no engine answers")));
    engine.serve();
    await within(10_000, "the worker to start", started);
    expect(engine.registered).toEqual(["echo"]);
  });

  it("waits for the NATS server, and says where it looked and why it failed", async () => {
    const { engine, server, url } = await setup();
    await server.stop();
    const { logger, lines } = recordingLogger();
    const worker = createWorker({ servers: url, workflows: [echo], logger });
    onCleanup(async () => await worker.stop());
    const started = worker.start();
    const line = await waitFor(() => lines.find(({ msg }) => msg.includes("cannot reach NATS")));
    expect(line.msg).toBe(`cannot reach NATS at ${url}: connection refused; retrying`);
    await server.restart();
    await within(20_000, "the worker to start", started);
    expect(engine.registered).toEqual(["echo"]);
  });

  it("rejects when the engine refuses a workflow", async () => {
    const { engine, url } = await setup({ serve: false });
    engine.serve({
      "workflow.register": () => {
        throw Object.assign(new Error('expected limit "a" to have one strategy'), { code: "DEFINITION_INVALID" });
      },
    });
    await expect(startWorker({ servers: url, workflows: [echo], logger: recordingLogger().logger })).rejects.toMatchObject({
      code: "REQUEST_FAILED",
      status: 400,
      message: expect.stringContaining("one strategy"),
    });
  });

  it("can be stopped while it starts, before it was started, and twice", async () => {
    const { url } = await setup({ serve: false });
    const { logger } = recordingLogger();
    const starting = createWorker({ servers: url, workflows: [echo], logger });
    const started = starting.start();
    const refused = started.catch((error: unknown) => error);
    await within(10_000, "the worker to stop", Promise.all([starting.stop(), starting.stop()]));
    expect(await refused).toMatchObject({ code: "NOT_CONNECTED" });

    const unreachable = createWorker({ servers: "nats://127.0.0.1:1", workflows: [echo], logger });
    const never = unreachable.start().catch((error: unknown) => error);
    await within(10_000, "the worker to stop", unreachable.stop());
    expect(await never).toMatchObject({ code: "NOT_CONNECTED" });

    const unstarted = createWorker({ servers: url, workflows: [echo], logger });
    await unstarted.stop();
    await unstarted.stop();
    await expect(unstarted.start()).rejects.toMatchObject({ code: "NOT_CONNECTED" });
  });
});

describe("executing", () => {
  it("gives handlers everything that the contract names, and the engine the outputs", async () => {
    const { engine, url } = await setup();
    let seen: StepContext | undefined;
    const workflow = defineWorkflow({ name: "w", input: z.object({ n: z.coerce.number() }) })
      .step("first", () => ({ at: new Date(0) }))
      .step("second", { after: ["first"] }, async (ctx) => {
        seen = ctx as unknown as StepContext;
        const { output, input, signal } = ctx;
        ctx.log.info("hello");
        await Promise.resolve();
        return { double: input.n * 2, before: output("first").at, aborted: signal.aborted };
      });
    const worker = await start({ servers: url, workflows: [workflow] });
    const one = assignment({
      attemptId: "a1",
      workflow: "w",
      step: "second",
      version: workflow.spec.version,
      run: "r1",
      attempt: 2,
      input: { n: "21" },
      outputs: { first: { at: "1970-01-01T00:00:00.000Z" } },
      metadata: { tenant: "t" },
      event: { name: "e", seq: 9 },
      keys: [{ limit: "w", key: "k" }],
      partition: 1,
    });
    expect(await engine.assign(worker.id, one)).toEqual({ taken: ["a1"], refused: [], free: 99 });
    const result = await engine.result("a1", 1);
    expect(result).toMatchObject({
      run: "r1",
      step: "second",
      worker: worker.id,
      outcome: "succeeded",
      output: { double: 42, before: "1970-01-01T00:00:00.000Z", aborted: false },
    });
    expect(result.finishedAt).toBeGreaterThanOrEqual(result.startedAt as number);
    expect(seen).toMatchObject({
      runId: "r1",
      workflow: "w",
      step: "second",
      attempt: 2,
      attemptId: "a1",
      metadata: { tenant: "t" },
      event: { name: "e", seq: 9 },
      key: "k",
    });
    expect(() => seen?.output("nothing")).toThrow(/one of the steps before this one \(first\)/);
    expect(worker.lines.find(({ msg }) => msg === "hello")).toMatchObject({
      runId: "r1",
      workflow: "w",
      step: "second",
      attempt: 2,
    });
  });

  it("starts the assignments of a message in their order, also where inputs have to be fetched", async () => {
    const { engine, url } = await setup();
    const order: string[] = [];
    const workflow = defineWorkflow({ name: "w" }).step("s", (ctx) => void order.push(ctx.attemptId));
    const worker = await start({ servers: url, workflows: [workflow] });
    const { seq } = await engine.connection.publishAcked(engine.names.event("x"), '{"from":"event"}');
    const inputRef = { stream: engine.names.eventsStream, seq };
    await engine.assign(
      worker.id,
      ...Array.from({ length: 20 }, (_, i) => {
        const { input: _input, ...fields } = assignment({ attemptId: `a${i}`, workflow: "w", step: "s" });
        return i % 3 === 1 ? { ...fields, inputRef } : { ...fields, input: {} };
      }),
    );
    await waitFor(() => order.length === 20);
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => `a${i}`));
  });

  it("never runs the same attempt twice, neither while it runs nor after it has ended", async () => {
    const { engine, url } = await setup();
    let calls = 0;
    const gate = new Gate();
    const workflow = defineWorkflow({ name: "w" }).step("s", (ctx) => {
      calls++;
      return gate.handler(ctx as StepContext);
    });
    const worker = await start({ servers: url, workflows: [workflow] });
    const one = assignment({ attemptId: "a", workflow: "w", step: "s" });
    expect(await engine.assign(worker.id, one, one)).toEqual({ taken: ["a", "a"], refused: [], free: 99 });
    expect((await engine.assign(worker.id, one)).taken).toEqual(["a"]);
    await gate.entered("a");
    gate.release("a");
    await engine.result("a");
    expect(await engine.assign(worker.id, one)).toEqual({ taken: ["a"], refused: [], free: 100 });
    expect(calls).toBe(1);
    expect((await engine.results()).length).toBe(1);
  });

  it("refuses what it has no slot and no handler for", async () => {
    const { engine, url } = await setup();
    const gate = new Gate();
    const worker = await start({ servers: url, workflows: [defineWorkflow({ name: "w" }).step("s", gate.handler)], slots: 2 });
    const answer = await engine.assign(
      worker.id,
      assignment({ attemptId: "no-workflow", workflow: "x", step: "s" }),
      assignment({ attemptId: "no-step", workflow: "w", step: "x" }),
      assignment({ attemptId: "a1", workflow: "w", step: "s", version: "another" }),
      assignment({ attemptId: "a2", workflow: "w", step: "s" }),
      assignment({ attemptId: "a3", workflow: "w", step: "s" }),
    );
    expect(answer).toEqual({
      taken: ["a1", "a2"],
      refused: [
        { attemptId: "no-workflow", reason: "handler" },
        { attemptId: "no-step", reason: "handler" },
        { attemptId: "a3", reason: "slots" },
      ],
      free: 0,
    });
  });

  it("turns whatever a handler does into a step error", async () => {
    const { engine, url } = await setup();
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    const ways: Record<string, () => unknown> = {
      throws: () => {
        throw new TypeError("broken");
      },
      rejects: () => Promise.reject(new Error("rejected")),
      text: () => {
        throw "just a text"; // oxlint-disable-line no-throw-literal -- that is the test
      },
      nothing: () => Promise.reject(undefined), // oxlint-disable-line typescript/prefer-promise-reject-errors -- that is the test
      bigint: () => ({ n: 1n }),
      circular: () => circular,
      function: () => () => 1,
      toJSON: () => ({
        toJSON: () => {
          throw new Error("will not");
        },
      }),
      thenable: () => ({
        // oxlint-disable-next-line unicorn/no-thenable -- that is the test
        then: () => {
          throw new Error("then threw");
        },
      }),
      undefined: () => undefined,
      large: () => "x".repeat(2_000_000),
    };
    const workflow = defineWorkflow({ name: "w", input: z.object({ way: z.string() }) }).step("s", (ctx) =>
      ways[ctx.input.way]?.(),
    );
    const worker = await start({ servers: url, workflows: [workflow] });
    await engine.assign(
      worker.id,
      ...Object.keys(ways).map((way) => assignment({ attemptId: way, workflow: "w", step: "s", input: { way } })),
    );
    const errors: Record<string, unknown> = {};
    for (const way of Object.keys(ways)) {
      const result = await engine.result(way);
      errors[way] = result.outcome === "failed" ? result.error : result;
    }
    expect(errors).toMatchObject({
      throws: { name: "TypeError", message: "broken" },
      rejects: { message: "rejected" },
      text: { message: "just a text" },
      nothing: { message: expect.stringContaining("undefined") },
      bigint: { code: "OUTPUT_INVALID", retryable: false, message: expect.stringContaining("BigInt") },
      circular: { code: "OUTPUT_INVALID", retryable: false },
      function: { code: "OUTPUT_INVALID", message: expect.stringContaining("function") },
      toJSON: { code: "OUTPUT_INVALID", message: expect.stringContaining("will not") },
      thenable: { message: "then threw" },
      undefined: { outcome: "succeeded", output: null },
      large: { code: "OUTPUT_TOO_LARGE", retryable: false, message: expect.stringMatching(/2000002 bytes.*max_payload 1048576/) },
    });
    expect(worker.used).toBe(0);
  });

  it("takes inputs from where they are stored, and refuses what the schema refuses", async () => {
    const { engine, url } = await setup();
    const workflow = defineWorkflow({ name: "w", input: z.object({ n: z.number() }) }).step("s", (ctx) => ctx.input.n);
    const worker = await start({ servers: url, workflows: [workflow] });
    const { names, connection } = engine;
    const event = await connection.publishAcked(names.event("x"), '{"n":1}');
    const broken = await connection.publishAcked(names.event("x"), "{");
    const command = await connection.publishAcked(
      names.inbox(1),
      JSON.stringify({ type: "create", run: "r", workflow: "w", version: "v", input: { n: 2 } }),
    );
    const by = (attemptId: string, source: object) => {
      const { input: _input, ...fields } = assignment({ attemptId, workflow: "w", step: "s" });
      return { ...fields, ...source };
    };
    await engine.assign(
      worker.id,
      by("event", { inputRef: { stream: names.eventsStream, seq: event.seq } }),
      by("command", { inputRef: { stream: names.partitionStream(1), seq: command.seq } }),
      by("gone", { inputRef: { stream: names.eventsStream, seq: 99 } }),
      by("broken", { inputRef: { stream: names.eventsStream, seq: broken.seq } }),
      by("refused", { input: { n: "x" } }),
      by("absent", {}),
    );
    expect(await engine.result("event")).toMatchObject({ outcome: "succeeded", output: 1 });
    expect(await engine.result("command")).toMatchObject({ outcome: "succeeded", output: 2 });
    expect(await engine.result("gone")).toMatchObject({ outcome: "failed", error: { code: "INPUT_LOST", retryable: false } });
    expect(await engine.result("broken")).toMatchObject({
      outcome: "failed",
      error: { code: "INPUT_INVALID", message: expect.stringContaining("not JSON") },
    });
    expect(await engine.result("refused")).toMatchObject({
      outcome: "failed",
      error: { code: "INPUT_INVALID", retryable: false, issues: [{ path: ["n"] }] },
    });
    expect(await engine.result("absent")).toMatchObject({ outcome: "failed", error: { code: "INPUT_INVALID" } });
  });

  it("ignores messages that it cannot understand", async () => {
    const { engine, url } = await setup();
    const worker = await start({ servers: url, workflows: [echo] });
    const subject = engine.names.work(worker.id);
    for (const text of [
      "",
      "{",
      "null",
      "[]",
      '{"type":"dance"}',
      '{"type":"assign"}',
      '{"type":"stop"}',
      '{"type":"keys"}',
      '{"type":"assign","assignments":[null]}',
      JSON.stringify({ type: "assign", assignments: [assignment({ attemptId: "whole", workflow: "echo", step: "say" }), null] }),
    ]) {
      engine.connection.publish(subject, text);
    }
    await engine.assign(worker.id, assignment({ attemptId: "a", workflow: "echo", step: "say", input: 5 }));
    expect(await engine.result("a")).toMatchObject({ outcome: "succeeded", output: { input: 5, run: "run-a" } });
    expect(worker.used).toBe(0);
  });

  it("survives and logs what user code throws where nobody catches it", async () => {
    const { engine, url } = await setup();
    const workflow = defineWorkflow({ name: "w" }).step("s", () => {
      void Promise.reject(new Error("nobody awaits this"));
      setTimeout(() => {
        throw new Error("nobody catches this");
      }, 0);
      return "fine";
    });
    const mine = { rejection: process.listeners("unhandledRejection"), exception: process.listeners("uncaughtException") };
    // The test runner listens itself, which would leave both to it.
    process.removeAllListeners("unhandledRejection");
    process.removeAllListeners("uncaughtException");
    onCleanup(() => {
      for (const listener of mine.rejection) process.on("unhandledRejection", listener);
      for (const listener of mine.exception) process.on("uncaughtException", listener);
    });
    const worker = await start({ servers: url, workflows: [workflow] });
    await engine.assign(worker.id, assignment({ attemptId: "a", workflow: "w", step: "s" }));
    expect(await engine.result("a")).toMatchObject({ outcome: "succeeded", output: "fine" });
    const messages = (): string => JSON.stringify(worker.lines);
    await waitFor(() => messages().includes("nobody awaits this") && messages().includes("nobody catches this"));
    await worker.stop();
    expect(process.listenerCount("unhandledRejection")).toBe(0);
  });
});

describe("stopping attempts", () => {
  it("aborts the signal with the reason, and confirms with `stopped` even where the handler returned something", async () => {
    const { engine, url } = await setup();
    const gate = new Gate();
    const worker = await start({ servers: url, workflows: [defineWorkflow({ name: "w" }).step("s", gate.handler)] });
    const cancelled = assignment({ attemptId: "cancelled", workflow: "w", step: "s" });
    const late = assignment({ attemptId: "late", workflow: "w", step: "s" });
    await engine.assign(worker.id, cancelled, late);
    await gate.entered("cancelled");
    engine.stop(worker.id, cancelled, "CANCELLED_BY_CONCURRENCY_LIMIT");
    engine.stop(worker.id, late, "STEP_TIMED_OUT");
    expect(await gate.aborted("cancelled")).toMatchObject({
      code: "RUN_CANCELLED",
      reason: "CANCELLED_BY_CONCURRENCY_LIMIT",
      runId: "run-cancelled",
    });
    expect(await gate.aborted("late")).toMatchObject({ code: "REQUEST_TIMED_OUT" });
    gate.release("cancelled");
    gate.release("late");
    expect(await engine.result("cancelled")).toMatchObject({ outcome: "stopped" });
    expect(await engine.result("late")).toMatchObject({ outcome: "stopped" });
  });

  it("confirms attempts that it does not know, and says nothing more of those that have ended", async () => {
    const { engine, url } = await setup();
    const worker = await start({ servers: url, workflows: [echo] });
    const known = assignment({ attemptId: "known", workflow: "echo", step: "say" });
    await engine.assign(worker.id, known);
    await engine.result("known");
    engine.stop(worker.id, known);
    engine.stop(worker.id, assignment({ attemptId: "unknown", workflow: "echo", step: "say", run: "r" }));
    expect(await engine.result("unknown")).toMatchObject({ outcome: "stopped", run: "r", step: "say", worker: worker.id });
    expect((await engine.results()).filter((one) => one.attemptId === "known")).toHaveLength(1);
  });

  it("gives away the slot of a handler that ignores its signal, says so, and drops its late result", async () => {
    const { engine, url } = await setup();
    const gate = new Gate();
    const worker = await start({ servers: url, workflows: [defineWorkflow({ name: "w" }).step("s", gate.handler)], slots: 1 });
    const deaf = assignment({ attemptId: "deaf", workflow: "w", step: "s", run: "r1", attempt: 3 });
    await engine.assign(worker.id, deaf);
    await gate.entered("deaf");
    engine.stop(worker.id, deaf, "CANCELLED_BY_USER", 30);
    const line = await waitFor(() => worker.lines.find(({ msg }) => msg.includes("its slot is given away")));
    expect(line).toMatchObject({ level: 40, runId: "r1", step: "s", attempt: 3, attemptId: "deaf" });
    expect(await engine.assign(worker.id, assignment({ attemptId: "next", workflow: "w", step: "s" }))).toMatchObject({
      taken: ["next"],
    });
    gate.release("deaf");
    await gate.entered("next");
    gate.release("next");
    await engine.result("next");
    await waitFor(() => worker.lines.find(({ msg }) => msg.includes("what it returned is dropped")));
    expect((await engine.results()).map((one) => one.attemptId)).toEqual(["next"]);
  });
});

describe("reporting", () => {
  it("reports with its attempts when asked, and when an engine says hello; beats in between", async () => {
    const { engine, url } = await setup();
    const gate = new Gate();
    const worker = await start({
      servers: url,
      workflows: [defineWorkflow({ name: "w" }).step("s", gate.handler)],
      heartbeat: "100ms",
      deadline: "5s",
    });
    await engine.assign(worker.id, assignment({ attemptId: "a", workflow: "w", step: "s" }));
    expect(await engine.report(worker.id)).toMatchObject({
      id: worker.id,
      used: 1,
      attempts: [{ id: "a", partition: 0 }],
      mode: "running",
    });
    engine.statuses.length = 0;
    engine.hello();
    expect(await waitFor(() => engine.statuses.find((status) => status.attempts !== undefined))).toMatchObject({
      attempts: [{ id: "a", partition: 0 }],
    });
    await waitFor(() => engine.statuses.length >= 4);
  });

  it("publishes what it has for all engines when one of them asks for that", async () => {
    const { engine, url } = await setup();
    const worker = await start({ servers: url, workflows: [echo], heartbeat: "10s", deadline: "30s" });
    await waitFor(() => engine.statuses.length > 0);
    engine.statuses.length = 0;
    await engine.report(worker.id);
    await engine.report(worker.id, { all: true });
    expect(await waitFor(() => engine.statuses[0])).toMatchObject({ id: worker.id, attempts: [] });
    expect(engine.statuses).toHaveLength(1);
  });
});

describe("owners of partitions", () => {
  it("are taken at their word only until a later one was heard of", async () => {
    const { engine, url } = await setup();
    const gate = new Gate();
    const workflow = defineWorkflow({ name: "w" }).step("s", gate.handler);
    const worker = await start({ servers: url, workflows: [workflow] });
    const given = (attemptId: string, epoch?: number, partition = 0) =>
      assignment({ attemptId, workflow: "w", step: "s", partition, ...(epoch !== undefined && { epoch }) });
    // Engines of the release before name no epoch.
    expect(await engine.assign(worker.id, given("a"))).toMatchObject({ taken: ["a"], refused: [] });
    const b = given("b", 2);
    expect(await engine.assign(worker.id, b)).toMatchObject({ taken: ["b"] });
    expect(await engine.assign(worker.id, given("c", 1), given("d"), given("e", 2), given("f", 1, 1))).toMatchObject({
      taken: ["e", "f"],
      refused: [
        { attemptId: "c", reason: "epoch" },
        { attemptId: "d", reason: "epoch" },
      ],
    });
    // By what it is asked, and by what engines say to all.
    expect(await engine.report(worker.id, { epochs: { 0: 3 } })).toMatchObject({ epochs: { 0: 3, 1: 1 } });
    engine.statuses.length = 0;
    for (const nonsense of ["", "null", "7", '{"epochs":7}', '{"epochs":{"0":"9","x":9}}']) engine.hello(nonsense);
    engine.hello({ engine: "e", epochs: { 0: 2, 1: 4 } });
    await waitFor(() => engine.statuses.some(({ epochs }) => epochs?.[1] === 4));
    expect(engine.statuses.at(-1)).toMatchObject({ epochs: { 0: 3, 1: 4 } });
    expect(await engine.assign(worker.id, given("b", 2), given("g", 3), given("h", 3, 1))).toMatchObject({
      taken: ["g"],
      refused: [
        { attemptId: "b", reason: "epoch" },
        { attemptId: "h", reason: "epoch" },
      ],
    });
    // A stop of an owner that is none any more stops nothing, and is not confirmed.
    engine.stop(worker.id, b);
    engine.stop(worker.id, given("never", 2));
    engine.stop(worker.id, given("g", 3));
    await gate.aborted("g");
    const { signal } = await gate.entered("b");
    expect(signal.aborted).toBe(false);
    for (const id of ["a", "b", "e", "f", "g"]) gate.release(id);
    await engine.result("g");
    await engine.result("b");
    expect((await engine.results()).map(({ attemptId }) => attemptId)).not.toContain("never");
  });
});

describe("draining", () => {
  it("takes nothing new, lets finish what can, hands back the rest, and says goodbye", async () => {
    const { engine, url } = await setup();
    const gate = new Gate();
    const worker = await start({
      servers: url,
      workflows: [defineWorkflow({ name: "w" }).step("s", gate.handler)],
      drainTimeout: "1s",
      grace: "100ms",
    });
    await engine.assign(
      worker.id,
      ...["finishes", "obeys", "ignores"].map((attemptId) => assignment({ attemptId, workflow: "w", step: "s" })),
    );
    await gate.entered("ignores");
    const stopped = worker.stop();
    await waitFor(() => engine.statuses.find(({ mode }) => mode === "draining"));
    expect(await engine.assign(worker.id, assignment({ attemptId: "new", workflow: "w", step: "s" }))).toEqual({
      taken: [],
      refused: [{ attemptId: "new", reason: "draining" }],
      free: 0,
    });
    gate.release("finishes", "done");
    expect(await engine.result("finishes")).toMatchObject({ outcome: "succeeded", output: "done" });
    expect(await gate.aborted("obeys")).toMatchObject({ name: "AbortError" });
    gate.release("obeys");
    await within(10_000, "the worker to stop", stopped);
    expect(await engine.result("obeys")).toMatchObject({ outcome: "returned", reason: "shutdown" });
    expect(await engine.result("ignores")).toMatchObject({ outcome: "returned", reason: "shutdown" });
    await waitFor(() => engine.statuses.at(-1)?.mode === "stopped");
    await worker.closed;
  });

  it("ends when an engine drains it", async () => {
    const { engine, url } = await setup();
    const worker = await start({ servers: url, workflows: [echo] });
    expect(await engine.ask(worker.id, { type: "drain" })).toEqual({ ok: true });
    await within(5_000, "the worker to end", worker.closed);
  });
});

describe("without the server", () => {
  it("keeps results until the server has them, in order, however often it goes away", async () => {
    const { engine, server, url } = await setup();
    const gate = new Gate();
    const worker = await start({
      servers: url,
      workflows: [defineWorkflow({ name: "w" }).step("s", gate.handler)],
      deadline: "60s",
      slots: 500,
    });
    const ids = Array.from({ length: 300 }, (_, i) => `a${i}`);
    await engine.assign(worker.id, ...ids.map((attemptId) => assignment({ attemptId, workflow: "w", step: "s" })));
    await gate.entered("a299");
    for (const id of ids.slice(0, 100)) gate.release(id, id);
    await server.kill();
    for (const id of ids.slice(100, 200)) gate.release(id, id);
    await waitFor(() => worker.lines.find(({ msg }) => msg.includes("could not be delivered yet")));
    await server.restart();
    for (const id of ids.slice(200, 300)) gate.release(id, id);
    await waitFor(() => engine.connection.isConnected, { timeoutMs: 20_000 });
    await engine.result("a299", 0, 30_000);
    const first = new Map<string, number>();
    const results = await engine.results();
    results.forEach((one, position) => first.has(one.attemptId) || first.set(one.attemptId, position));
    expect([...first.keys()]).toEqual(ids);
    expect((await engine.report(worker.id)).attempts).toEqual([]);
  });

  it("can be stopped while the server is away", async () => {
    const { server, url } = await setup();
    const worker = await start({ servers: url, workflows: [echo] });
    await server.kill();
    await waitFor(() => worker.lines.find(({ msg }) => msg.includes("lost the connection")));
    await within(5_000, "the worker to stop", worker.stop());
  });

  it("gives up its work when it was cut off for longer than its deadline, hands it back, and works again", async () => {
    const { engine, server, url } = await setup();
    const gate = new Gate();
    const worker = await start({
      servers: url,
      workflows: [defineWorkflow({ name: "w" }).step("s", gate.handler)],
      heartbeat: "100ms",
      deadline: "400ms",
      grace: "60s",
    });
    await engine.assign(worker.id, assignment({ attemptId: "a", workflow: "w", step: "s" }));
    await gate.entered("a");
    await server.kill();
    expect(await gate.aborted("a")).toMatchObject({ name: "AbortError", message: expect.stringContaining("cut off") });
    expect(worker.lines.find(({ msg }) => msg.includes("longer than the deadline"))).toMatchObject({
      level: 50,
      deadlineMs: 400,
      running: 1,
    });
    gate.release("a");
    await waitFor(() => worker.used === 0);
    await server.restart();
    await waitFor(() => engine.connection.isConnected, { timeoutMs: 20_000 });
    expect(await engine.result("a", 0, 30_000)).toMatchObject({ outcome: "returned", reason: "disconnected" });
    await waitFor(() => worker.lines.find(({ msg }) => msg === "in contact with NATS again"));
    await waitFor(async () =>
      (await engine.assign(worker.id, assignment({ attemptId: "b", workflow: "w", step: "s" }))).taken.includes("b"),
    );
    await gate.entered("b");
    gate.release("b");
    expect(await engine.result("b")).toMatchObject({ outcome: "succeeded" });
  });
});

describe("as a process of its own", () => {
  const program = fileURLToPath(new URL("../support/worker-program.ts", import.meta.url));
  const run = async (url: string, options: object) => {
    const child = startNode(["--import", "tsx", program], {
      env: { SLUICE_NATS_URL: url, WORKER_OPTIONS: JSON.stringify(options) },
    });
    const [, id = ""] = await child.waitForOutput(/worker (\S+)\n/);
    return { child, id };
  };

  it("gives up its work after it was frozen, and does nothing with what was sent meanwhile", async () => {
    const { engine, url } = await setup();
    const { child, id } = await run(url, { heartbeat: 100, deadline: 500, grace: "60s" });
    await engine.assign(id, assignment({ attemptId: "held", workflow: "w", step: "hold" }));
    await child.waitForOutput("holding held");
    process.kill(child.pid, "SIGSTOP");
    onCleanup(() => void process.kill(child.pid, "SIGCONT"));
    // Nobody answers; by the time that the worker reads this, others have the attempt.
    const stale = engine
      .assign(id, assignment({ attemptId: "stale", workflow: "w", step: "echo" }))
      .catch((error: unknown) => error);
    const last = engine.statuses.length;
    const silent = Date.now();
    await waitFor(() => Date.now() - silent > 700);
    expect(engine.statuses.length).toBeLessThanOrEqual(last + 1);
    process.kill(child.pid, "SIGCONT");
    await child.waitForOutput(/aborted held: .*cut off/);
    expect(await engine.result("held")).toMatchObject({ outcome: "returned", reason: "disconnected" });
    await child.waitForOutput("in contact with NATS again");
    expect(await engine.assign(id, assignment({ attemptId: "fresh", workflow: "w", step: "echo" }))).toMatchObject({
      taken: ["fresh"],
    });
    await child.waitForOutput("echoing fresh");
    expect(child.stdout).not.toContain("echoing stale");
    expect(await stale).toMatchObject({ code: "REQUEST_TIMED_OUT" });
  });

  it("ends by itself once it is stopped, with everything handed back and delivered", async () => {
    const { engine, url } = await setup();
    const { child, id } = await run(url, { drainTimeout: 100 });
    await engine.assign(id, assignment({ attemptId: "held", workflow: "w", step: "hold" }));
    await child.waitForOutput("holding held");
    const { code } = await child.stop("SIGTERM");
    expect(code).toBe(0);
    expect(child.stdout).toMatch(/aborted held: .*stopped\n[^]*ended/);
    expect(await engine.result("held")).toMatchObject({ outcome: "returned", reason: "shutdown" });
  });
});

describe("keys", () => {
  it("are computed in batches, in order, with their errors told apart", async () => {
    const { engine, url } = await setup();
    const workflow = defineWorkflow({
      name: "w",
      input: z.object({ user: z.unknown() }),
      concurrency: [
        { name: "static", key: '"all"' },
        {
          name: "user",
          key: ({ input, metadata, event }) => {
            if (input.user === "bad") throw new RangeError("no key for bad");
            if (input.user === "meta") return `${String(metadata["tenant"])}:${event?.name}`;
            return input.user as string;
          },
        },
      ],
    }).step("s", () => 1);
    const worker = await start({ servers: url, workflows: [workflow] });
    const { seq } = await engine.connection.publishAcked(engine.names.event("x"), '{"user":"from-event"}');
    const inputs: unknown[] = [
      { user: "u1" },
      { user: "bad" },
      { user: 42 },
      { user: "" },
      { user: "x".repeat(10_000) },
      { user: Promise.resolve("u") },
      "not an object",
    ];
    const { results } = await engine.keys(worker.id, {
      workflow: "w",
      version: workflow.spec.version,
      items: [
        ...inputs.map((input, i) => ({ run: `r${i}`, input })),
        { run: "meta", input: { user: "meta" }, metadata: { tenant: "t" }, event: { name: "e", seq: 1 } },
        { run: "ref", inputRef: { stream: engine.names.eventsStream, seq } },
      ],
    });
    expect(results).toMatchObject([
      { run: "r0", keys: { 1: "u1" } },
      {
        run: "r1",
        error: { code: "KEY_FAILED", retryable: false, message: 'the key function of limit "user" threw: no key for bad' },
      },
      { run: "r2", error: { code: "KEY_FAILED", message: expect.stringContaining("42") } },
      { run: "r3", error: { code: "KEY_FAILED", message: expect.stringContaining("empty") } },
      { run: "r4", error: { code: "KEY_FAILED", message: expect.stringContaining("1024") } },
      { run: "r5", error: { code: "KEY_FAILED" } },
      { run: "r6", error: { code: "INPUT_INVALID" } },
      { run: "meta", keys: { 1: "t:e" } },
      { run: "ref", keys: { 1: "from-event" } },
    ]);
    expect(results).toHaveLength(9);
  });
});

it("sends results of many partitions and sizes below the server's maximum", async () => {
  const { engine, url } = await setup({ maxPayloadBytes: 65_536 });
  const workflow = defineWorkflow({ name: "w", input: z.object({ size: z.number() }) }).step("s", (ctx) =>
    "ü".repeat(ctx.input.size),
  );
  const worker = await start({ servers: url, workflows: [workflow] });
  const sizes = Array.from({ length: 60 }, (_, i) => (i * 7919) % 24_000);
  await engine.assign(
    worker.id,
    ...sizes.map((size, i) => assignment({ attemptId: `a${i}`, workflow: "w", step: "s", partition: i % 2, input: { size } })),
  );
  const results: StepResult[] = [];
  for (let i = 0; i < sizes.length; i++) results.push(await engine.result(`a${i}`, i % 2));
  // Two bytes each; a quarter of the maximum is left free.
  expect(results.map((one) => one.outcome === "succeeded" && (one.output as string).length)).toEqual(sizes.map((size) => size));
  await engine.assign(worker.id, assignment({ attemptId: "large", workflow: "w", step: "s", input: { size: 25_000 } }));
  expect(await engine.result("large")).toMatchObject({ outcome: "failed", error: { code: "OUTPUT_TOO_LARGE" } });
});
