/** The parts of a worker node, each alone: outbox, status, slots, inputs, options. */
import { readFileSync } from "node:fs";
import { pino } from "pino";
import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { NotConnectedError, PayloadTooLargeError } from "../../src/errors.ts";
import { createNames } from "../../src/nats/subjects.ts";
import { version } from "../../src/version.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { Attempt } from "../../src/worker/attempt.ts";
import { AttemptTable } from "../../src/worker/attempt-table.ts";
import { HandlerRegistry, type ServedWorkflow } from "../../src/worker/handler-registry.ts";
import { InputLoader } from "../../src/worker/input-loader.ts";
import { KeyEvaluator } from "../../src/worker/key-evaluator.ts";
import { parseWorkerOptions, type WorkerOptions } from "../../src/worker/options.ts";
import { type Result, ResultOutbox } from "../../src/worker/result-outbox.ts";
import { StatusReporter } from "../../src/worker/status-reporter.ts";
import { waitFor } from "../support/wait.ts";

const logger = pino({ level: "silent" });
const workflow = defineWorkflow({ name: "w", input: z.object({ n: z.number() }) }).step("s", () => 1);

function result(id: string, size = 0): Result {
  return {
    attemptId: id,
    json: JSON.stringify({ attemptId: id, output: "x".repeat(size) }),
    ifTooLarge: () => JSON.stringify({ attemptId: id, tooLarge: true }),
  };
}

/** A stream that the test answers for. */
class FakeInbox {
  readonly pending: { partition: number; ids: string[]; data: string; acknowledge(): void; refuse(error: Error): void }[] = [];
  readonly stored: string[] = [];

  readonly publish = (partition: number, data: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const { results } = JSON.parse(data) as { results: { attemptId: string; tooLarge?: boolean }[] };
      const ids = results.map((one) => (one.tooLarge === true ? `${one.attemptId}!` : one.attemptId));
      this.pending.push({
        partition,
        ids,
        data,
        acknowledge: () => {
          this.stored.push(...ids);
          resolve();
        },
        refuse: reject,
      });
    });

  async next(): Promise<FakeInbox["pending"][number]> {
    await waitFor(() => this.pending.length > 0);
    return this.pending.shift() as FakeInbox["pending"][number];
  }
}

/** Answers everything that is published until nothing is left. */
async function answerAll(
  inbox: FakeInbox,
  outbox: ResultOutbox,
  answer: (one: FakeInbox["pending"][number]) => void,
): Promise<void> {
  await waitFor(
    () => {
      for (const one of inbox.pending.splice(0)) answer(one);
      return outbox.size === 0;
    },
    { intervalMs: 0 },
  );
}

const ids = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `a${from + i}`);

describe("the outbox of results", () => {
  const setup = (maxPayload = 1_048_576): { inbox: FakeInbox; outbox: ResultOutbox } => {
    const inbox = new FakeInbox();
    return {
      inbox,
      outbox: new ResultOutbox({
        publish: inbox.publish,
        maxPayload: () => maxPayload,
        logger,
        retryMs: { first: 1, longest: 5 },
      }),
    };
  };

  it("sends at once when idle, and what comes meanwhile together", async () => {
    const { inbox, outbox } = setup();
    for (const id of ids(0, 3)) outbox.add(0, result(id));
    outbox.add(1, result("other"));
    const first = await inbox.next();
    expect(first).toMatchObject({ partition: 0, ids: ["a0", "a1", "a2"] });
    expect(await inbox.next()).toMatchObject({ partition: 1, ids: ["other"] });
    for (const id of ids(3, 30)) outbox.add(0, result(id));
    await new Promise((resolve) => setImmediate(resolve));
    expect(inbox.pending).toHaveLength(0);
    expect(outbox.attempts().map(({ id }) => id)).toEqual([...ids(0, 30), "other"]);
    first.acknowledge();
    expect((await inbox.next()).ids).toEqual(ids(3, 30));
  });

  it("sends full batches though others are under way, but never more than four", async () => {
    const { inbox, outbox } = setup();
    let from = 0;
    for (let batch = 0; batch < 6; batch++) {
      for (const id of ids(from, (from += 100))) outbox.add(0, result(id));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(inbox.pending.map((one) => one.ids.length)).toEqual([100, 100, 100, 100]);
    await answerAll(inbox, outbox, (one) => one.acknowledge());
    await outbox.delivered();
    expect(inbox.stored).toEqual(ids(0, 600));
  });

  it("repeats what failed before anything newer, in order, until it is acknowledged", async () => {
    const { inbox, outbox } = setup();
    const lost = (): Error => new NotConnectedError("lost");
    outbox.add(0, result("a0"));
    const first = await inbox.next();
    for (const id of ids(1, 101)) outbox.add(0, result(id));
    const second = await inbox.next();
    outbox.add(0, result("a101"));
    first.refuse(lost());
    second.refuse(lost());
    let done = false;
    void outbox.delivered().then(() => (done = true));
    // Lost three more times, whatever is tried.
    for (let i = 0; i < 3; i++) (await inbox.next()).refuse(lost());
    await answerAll(inbox, outbox, (one) => one.acknowledge());
    await waitFor(() => done);
    expect(inbox.stored).toEqual(ids(0, 102));
  });

  it("replaces a result that the server finds too large, and only that one", async () => {
    const { inbox, outbox } = setup();
    for (const id of ids(0, 5)) outbox.add(0, result(id));
    await answerAll(inbox, outbox, (one) => {
      if (one.ids.includes("a2")) one.refuse(new PayloadTooLargeError("it", 2, 1));
      else one.acknowledge();
    });
    expect(inbox.stored).toEqual(["a0", "a1", "a2!", "a3", "a4"]);
  });

  it("keeps messages below the server's maximum, in bytes", async () => {
    const { inbox, outbox } = setup(20_000);
    for (const id of ids(0, 50))
      outbox.add(0, { ...result(id), json: JSON.stringify({ attemptId: id, output: "€".repeat(1_000) }) });
    await answerAll(inbox, outbox, (one) => {
      expect(Buffer.byteLength(one.data)).toBeLessThan(20_000);
      one.acknowledge();
    });
    expect(inbox.stored).toEqual(ids(0, 50));
  });

  it("tries at once when it is told that the server is back, and gives up when stopped", async () => {
    const inbox = new FakeInbox();
    const outbox = new ResultOutbox({
      publish: inbox.publish,
      maxPayload: () => 1e6,
      logger,
      retryMs: { first: 60_000, longest: 60_000 },
    });
    outbox.add(0, result("a"));
    (await inbox.next()).refuse(new NotConnectedError("lost"));
    await new Promise((resolve) => setImmediate(resolve));
    outbox.retryNow();
    (await inbox.next()).refuse(new NotConnectedError("lost"));
    await new Promise((resolve) => setImmediate(resolve));
    outbox.stop();
    outbox.stop();
    outbox.retryNow();
    expect(inbox.pending).toHaveLength(0);
  });
});

describe("the status of a worker", () => {
  function setup() {
    let now = 0;
    const published: { mode: string; attempts?: object[] }[] = [];
    const lost: number[] = [];
    const answers: { resolve(): void; reject(): void }[] = [];
    const reporter = new StatusReporter({
      fixed: {
        id: "w",
        name: "w",
        slots: 1,
        heartbeatMs: 1_000,
        deadlineMs: 3_000,
        startedAt: "",
        host: "",
        pid: 1,
        sluiceVersion: "",
        workflows: [],
      },
      used: () => 1,
      attempts: () => [{ id: "a", partition: 3 }],
      epochs: () => ({ 3: 2 }),
      publish: (data) => void published.push(JSON.parse(data)),
      roundTrip: () => new Promise((resolve, reject) => answers.push({ resolve, reject: () => reject(new Error("away")) })),
      onContactLost: (silentMs) => void lost.push(silentMs),
      logger,
      now: () => now,
    });
    return { reporter, published, lost, answers, advance: (ms: number) => (now += ms) };
  }

  it("beats, and is content while the server answers", async () => {
    vi.useFakeTimers();
    try {
      const { reporter, published, lost, answers, advance } = setup();
      reporter.start();
      reporter.start();
      for (let i = 0; i < 5; i++) {
        advance(1_000);
        await vi.advanceTimersByTimeAsync(1_000);
        answers.shift()?.resolve();
        await vi.advanceTimersByTimeAsync(0);
      }
      expect(published).toHaveLength(5);
      expect(lost).toEqual([]);
      expect(reporter.isInContact).toBe(true);
      reporter.stop();
      reporter.stop();
      await vi.advanceTimersByTimeAsync(5_000);
      expect(published).toHaveLength(5);
    } finally {
      vi.useRealTimers();
    }
  });

  it("notices a gap when the first message after it is looked at, and trusts only an answer to a later question", async () => {
    const { reporter, published, lost, answers, advance } = setup();
    reporter.start();
    try {
      advance(10_000);
      expect(reporter.isInContact).toBe(false);
      expect(lost).toEqual([10_000]);
      expect(answers).toHaveLength(1);
      // Frozen again before the answer was read: it says nothing of now.
      advance(10_000);
      answers.shift()?.resolve();
      await vi.waitFor(() => expect(answers).toHaveLength(1));
      expect(reporter.isInContact).toBe(false);
      answers.shift()?.resolve();
      await vi.waitFor(() => expect(reporter.isInContact).toBe(true));
      expect(published).toEqual([expect.objectContaining({ attempts: [{ id: "a", partition: 3 }], epochs: { 3: 2 } })]);
      expect(lost).toHaveLength(1);
    } finally {
      reporter.stop();
    }
  });
});

describe("slots", () => {
  const attempt = (attemptId: string): Attempt =>
    new Attempt({ attemptId, partition: 0, run: "r", workflow: "w", version: "v", step: "s", attempt: 1, outputs: {}, keys: [] });

  it("remember the attempts that have ended, the newest for sure, all of them never", () => {
    const table = new AttemptTable(1);
    for (let i = 0; i < 50_000; i++) {
      const one = attempt(`a${i}`);
      table.add(one);
      table.remove(one, true);
    }
    expect(table.free).toBe(1);
    expect(table.knows("a49999")).toBe(true);
    expect(table.knows(`a${50_000 - 8_192}`)).toBe(true);
    expect(table.knows("a0")).toBe(false);
  });

  it("are freed once, by whoever holds them", () => {
    const table = new AttemptTable(2);
    const first = attempt("a");
    table.add(first);
    expect(table.remove(first, false)).toBe(true);
    expect(table.remove(first, false)).toBe(false);
    const second = attempt("a");
    table.add(second);
    expect(table.remove(first, false)).toBe(false);
    expect(table.used).toBe(1);
  });
});

describe("an attempt", () => {
  const fields = {
    attemptId: "a",
    partition: 0,
    run: "r",
    workflow: "w",
    version: "v",
    step: "s",
    attempt: 1,
    outputs: {},
    keys: [],
  };

  it("has one signal, aborted once with the first reason, whenever it is asked for", () => {
    const early = new Attempt(fields);
    const { signal } = early;
    early.stop({ kind: "return", reason: "shutdown" });
    early.stop({ kind: "stop", reason: "CANCELLED_BY_USER" });
    expect(early.signal).toBe(signal);
    expect(signal.reason).toMatchObject({ name: "AbortError" });
    // … while the engine's word decides what the result is.
    expect(early.abort).toEqual({ kind: "stop", reason: "CANCELLED_BY_USER" });
    const late = new Attempt(fields);
    late.stop({ kind: "stop", reason: "STEP_TIMED_OUT" });
    late.stop({ kind: "return", reason: "shutdown" });
    expect(late.signal.aborted).toBe(true);
    expect(late.signal.reason).toMatchObject({ code: "REQUEST_TIMED_OUT" });
    expect(late.abort?.kind).toBe("stop");
  });
});

describe("inputs", () => {
  const names = createNames();
  const served = new HandlerRegistry([workflow]).workflow("w") as ServedWorkflow;

  it("are fetched once for all who want them at once, kept for later, and parsed for each", async () => {
    let reads = 0;
    const loader = new InputLoader(names, async () => {
      reads++;
      return { data: Buffer.from('{"n":1}') };
    });
    const source = { inputRef: { stream: names.eventsStream, seq: 1 } };
    const [a, b] = await Promise.all([loader.load(served, source), loader.load(served, source)]);
    const c = await loader.load(served, source);
    expect([a, b, c]).toEqual(Array.from({ length: 3 }, () => ({ ok: true, value: { n: 1 } })));
    expect(reads).toBe(1);
    expect((a as { value: unknown }).value).not.toBe((b as { value: unknown }).value);
  });

  it("that cannot be read now are tried again a few times, then handed back", async () => {
    let reads = 0;
    const failing = new InputLoader(
      names,
      () => {
        reads++;
        return Promise.reject(new Error("away"));
      },
      1,
    );
    expect(await failing.load(served, { inputRef: { stream: "S", seq: 1 } })).toEqual({ ok: false, unavailable: "away" });
    expect(reads).toBe(4);
    // The next one asks anew.
    await failing.load(served, { inputRef: { stream: "S", seq: 1 } });
    expect(reads).toBe(8);
  });

  it("of any number stay bounded in memory", async () => {
    let reads = 0;
    const loader = new InputLoader(names, async () => {
      reads++;
      return { data: Buffer.from(`{"n":1,"x":"${"x".repeat(100_000)}"}`) };
    });
    for (let seq = 1; seq <= 200; seq++) await loader.load(served, { inputRef: { stream: names.eventsStream, seq } });
    await loader.load(served, { inputRef: { stream: names.eventsStream, seq: 200 } });
    expect(reads).toBe(200);
    await loader.load(served, { inputRef: { stream: names.eventsStream, seq: 1 } });
    expect(reads).toBe(201);
  });
});

describe("keys", () => {
  it("that don't fit into a message are answered as far as they do", async () => {
    const keyed = defineWorkflow({ name: "k", concurrency: { key: () => "k".repeat(900) } }).step("s", () => 1);
    const registry = new HandlerRegistry([keyed]);
    const keys = new KeyEvaluator(registry, new InputLoader(createNames(), () => Promise.reject(new Error("never"))));
    const items = ids(0, 100).map((run) => ({ run, input: {} }));
    const text = (await keys.evaluate({ type: "keys", workflow: "k", version: keyed.spec.version, items }, 10_000)) as string;
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(10_000);
    const { results } = JSON.parse(text) as { results: { run: string }[] };
    expect(results.map(({ run }) => run)).toEqual(ids(0, 10));
    expect(await keys.evaluate({ type: "keys", workflow: "other", version: "v", items }, 10_000)).toBeUndefined();
    expect(await keys.evaluate({ type: "keys", workflow: "k", version: "v", items: [] }, 10_000)).toBe('{"results":[]}');
  });
});

describe("options", () => {
  const wrong = (options: object): string => {
    try {
      parseWorkerOptions({ workflows: [workflow], ...options } as WorkerOptions);
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };

  it("have defaults", () => {
    expect(parseWorkerOptions({ workflows: [workflow], heartbeat: "2s" })).toMatchObject({
      slots: 100,
      heartbeatMs: 2_000,
      deadlineMs: 6_000,
      drainTimeoutMs: 30_000,
      graceMs: 5_000,
      prefix: "sluice",
      catchUncaught: true,
    });
  });

  it("are refused with what was expected, and what was probably meant", () => {
    expect(wrong({ slots: 0 })).toBe("expected 'slots' to be an integer from 1 to 100000, got 0 (startWorker)");
    expect(wrong({ concurrency: 5 })).toContain('did you mean "slots"?');
    expect(wrong({ heartbeet: 5 })).toContain('did you mean "heartbeat"?');
    expect(wrong({ workflows: [] })).toContain("at least one workflow");
    expect(wrong({ workflows: [{}] })).toContain("made by defineWorkflow");
    expect(wrong({ workflows: [workflow, workflow] })).toContain('"w" twice');
    expect(wrong({ heartbeat: "1s", deadline: "1s" })).toContain("at least twice the heartbeat");
    expect(wrong({ tls: { cafile: "x" } })).toContain('did you mean "caFile"?');
  });
});

it("knows the version of its package", () => {
  expect(version).toBe(
    (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version,
  );
});
