/** Following a run over an unreliable transport: whatever is lost, late or early, the end arrives, once. */
import { describe, expect, it } from "vitest";
import { watchRun, type RunEnd, type WatchTransport } from "../../src/client/run-watch.ts";
import { EngineUnavailableError, RequestError } from "../../src/errors.ts";
import type { RunChange, RunChangeMessage, RunStatus, RunView } from "../../src/protocol/view.ts";
import { waitFor } from "../support/wait.ts";

class FakeTransport implements WatchTransport {
  isClosed = false;
  subscribed = 0;
  readonly order: string[] = [];
  readonly asked: { answer(view: RunView): void; fail(error: Error): void }[] = [];
  #listener: ((change: RunChangeMessage) => void) | undefined;
  #missed: (() => void) | undefined;

  subscribe(_run: string, _workflow: string | undefined, listener: (change: RunChangeMessage) => void): () => void {
    this.order.push("subscribe");
    this.subscribed++;
    this.#listener = listener;
    return () => void this.subscribed--;
  }
  get(): Promise<RunView> {
    this.order.push("get");
    return new Promise((resolve, reject) => this.asked.push({ answer: resolve, fail: reject }));
  }
  onMissed(listener: () => void): () => void {
    this.#missed = listener;
    return () => (this.#missed = undefined);
  }
  publish(change: RunChangeMessage): void {
    this.#listener?.(change);
  }
  miss(): void {
    this.#missed?.();
  }
  async next(): Promise<FakeTransport["asked"][number]> {
    await waitFor(() => this.asked.length > 0);
    return this.asked.shift() as FakeTransport["asked"][number];
  }
}

const view = (status: RunStatus, fields: Partial<RunView> = {}): RunView => ({
  id: "r",
  workflow: "w",
  version: "v",
  status,
  input: null,
  keys: [],
  priority: 0,
  metadata: {},
  createdAt: "t",
  steps: {},
  ...fields,
});
const change = (status: RunStatus, name: RunChange, fields: Partial<RunChangeMessage> = {}): RunChangeMessage => ({
  id: "r",
  workflow: "w",
  change: name,
  at: "t",
  status,
  ...fields,
});

function watch(transport: FakeTransport, askEveryMs = 60_000) {
  const seen: string[] = [];
  const ends: RunEnd[] = [];
  const errors: unknown[] = [];
  const stop = watchRun(
    transport,
    { id: "r" },
    {
      change: (one) => void seen.push(one.change),
      ended: (end) => void ends.push(end),
      failed: (error) => void errors.push(error),
    },
    { askEveryMs },
  );
  return { seen, ends, errors, stop };
}

describe("a watch", () => {
  it("subscribes before it asks, and ends both at the run's end", async () => {
    const transport = new FakeTransport();
    const { seen, ends } = watch(transport);
    expect(transport.order).toEqual(["subscribe", "get"]);
    (await transport.next()).answer(view("SUCCEEDED", { outputs: { a: 1 } }));
    await waitFor(() => ends.length > 0);
    expect(ends).toMatchObject([{ status: "SUCCEEDED", outputs: { a: 1 } }]);
    expect(seen).toEqual(["succeeded"]);
    expect(transport.subscribed).toBe(0);
    transport.publish(change("SUCCEEDED", "succeeded", { outputs: {} }));
    transport.miss();
    expect(ends).toHaveLength(1);
  });

  it("shows changes that came before the first answer instead of a state that may be older", async () => {
    const transport = new FakeTransport();
    const { seen, ends } = watch(transport);
    transport.publish(change("QUEUED", "queued"));
    transport.publish(change("RUNNING", "started"));
    (await transport.next()).answer(view("RUNNING"));
    await waitFor(() => seen.length === 2);
    transport.publish(change("FAILED", "failed", { reason: "STEP_FAILED" }));
    expect(seen).toEqual(["queued", "started", "failed"]);
    expect(ends).toMatchObject([{ status: "FAILED", reason: "STEP_FAILED" }]);
  });

  it("ends by a change that comes before the first answer", () => {
    const transport = new FakeTransport();
    const { seen, ends } = watch(transport);
    transport.publish(change("CANCELLED", "cancelled", { reason: "CANCELLED_BY_USER" }));
    expect(seen).toEqual(["cancelled"]);
    expect(ends).toHaveLength(1);
  });

  it("asks for outputs that were too large to be published, also while an older answer is under way", async () => {
    const transport = new FakeTransport();
    const { seen, ends } = watch(transport);
    const first = await transport.next();
    transport.publish(change("SUCCEEDED", "succeeded"));
    first.answer(view("RUNNING"));
    (await transport.next()).answer(view("SUCCEEDED", { outputs: { large: true } }));
    await waitFor(() => ends.length > 0);
    expect(ends).toMatchObject([{ outputs: { large: true } }]);
    expect(seen.at(-1)).toBe("succeeded");
    expect(seen.filter((one) => one === "succeeded")).toHaveLength(1);
  });

  it("asks again now and then, when changes may have been missed, and while no engine answers", async () => {
    const transport = new FakeTransport();
    const { seen, ends, errors } = watch(transport, 5);
    (await transport.next()).fail(new EngineUnavailableError("none"));
    (await transport.next()).answer(view("QUEUED"));
    (await transport.next()).answer(view("RUNNING"));
    const last = await transport.next();
    transport.miss();
    last.answer(view("RUNNING"));
    (await transport.next()).answer(view("SUCCEEDED", { outputs: {} }));
    await waitFor(() => ends.length > 0);
    expect(errors).toEqual([]);
    expect(seen).toEqual(["queued", "succeeded"]);
  });

  it("fails when the state cannot be had, and ends silently when it is stopped", async () => {
    const failing = new FakeTransport();
    const failed = watch(failing);
    (await failing.next()).fail(new RequestError("no", { operation: "run.get", status: 500 }));
    await waitFor(() => failed.errors.length > 0);
    expect(failing.subscribed).toBe(0);

    const stopped = new FakeTransport();
    const { ends, errors, stop } = watch(stopped);
    stop();
    stop();
    (await stopped.next()).answer(view("SUCCEEDED"));
    stopped.publish(change("SUCCEEDED", "succeeded", { outputs: {} }));
    await new Promise((resolve) => setImmediate(resolve));
    expect([ends, errors]).toEqual([[], []]);
    expect(stopped.subscribed).toBe(0);
  });
});
