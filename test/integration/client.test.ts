/** The client against a real nats-server, with an engine played by the test. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type Client, connect, type ConnectOptions } from "../../src/client/connect.ts";
import { RequestError, RunNotFoundError, WorkflowNotFoundError } from "../../src/errors.ts";
import type { RunChange, RunChangeMessage, RunStatus, RunView } from "../../src/protocol/view.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { onCleanup } from "../support/cleanup.ts";
import { type FakeEngine, recordingLogger, startFakeEngine } from "../support/fake-engine.ts";
import { startTestServer } from "../support/nats.ts";
import { waitFor, within } from "../support/wait.ts";

const { logger } = recordingLogger();

async function setup(
  options: ConnectOptions = {},
): Promise<{ engine: FakeEngine; client: Client; server: Awaited<ReturnType<typeof startTestServer>> }> {
  const server = await startTestServer();
  const engine = await startFakeEngine(server.url);
  const client = await connect({ servers: server.url, logger, ...options });
  onCleanup(async () => await client.close());
  return { engine, client, server };
}

function runView(fields: Partial<RunView> = {}): RunView {
  return {
    id: "r1",
    workflow: "w",
    version: "v",
    status: "QUEUED",
    input: {},
    keys: [],
    priority: 0,
    metadata: {},
    createdAt: "2026-01-01T00:00:00.000Z",
    steps: {},
    ...fields,
  };
}

function change(status: RunStatus, name: RunChange, fields: Partial<RunChangeMessage> = {}): RunChangeMessage {
  return { id: "r1", workflow: "w", change: name, at: "2026-01-01T00:00:01.000Z", status, ...fields };
}

/** What the events stream holds. */
async function stored(
  engine: FakeEngine,
): Promise<{ subject: string; payload: any; header: (name: string) => string | undefined }[]> {
  const found = [];
  for (let seq = 1; ; seq++) {
    const message = await engine.connection.readMessage(engine.names.eventsStream, seq);
    if (message === undefined) return found;
    found.push({ subject: message.subject, payload: JSON.parse(Buffer.from(message.data).toString()), header: message.header });
  }
}

describe("connecting", () => {
  it("says what is wrong with the options", async () => {
    await expect(connect({ server: "nats://127.0.0.1:4222" } as ConnectOptions)).rejects.toMatchObject({
      code: "OPTIONS_INVALID",
      message: expect.stringContaining('did you mean "servers"?'),
    });
    await expect(connect({ prefix: "a.b" })).rejects.toMatchObject({ code: "OPTIONS_INVALID", path: "prefix" });
  });

  it("gives up after its timeout, and says where it looked, without secrets", async () => {
    const error: Error = (await connect({ servers: "nats://user:secret@127.0.0.1:1", timeout: 300, logger }).catch(
      (thrown: Error) => thrown,
    )) as Error;
    expect(error).toMatchObject({
      code: "NATS_UNAVAILABLE",
      message: "cannot reach NATS at nats://127.0.0.1:1: connection refused",
    });
  });

  it("takes user and password from the address, and does not retry when they are refused", async () => {
    const server = await startTestServer({ config: 'authorization { users: [ { user: "ada", password: "l@ve" } ] }' });
    const address = server.url.replace("nats://", "");
    const client = await connect({ servers: `nats://ada:l%40ve@${address}`, logger });
    await client.close();
    await expect(connect({ servers: `nats://ada:no@${address}`, logger })).rejects.toMatchObject({
      code: "NATS_UNAVAILABLE",
      message: `NATS at nats://${address} lets nobody in with this login: authorization violation`,
    });
    await expect(connect({ servers: server.url, logger })).rejects.toThrow(
      "lets nobody in without a login: authorization violation",
    );
    await expect(connect({ servers: server.url, creds: "/no/such.creds", logger })).rejects.toMatchObject({
      code: "OPTIONS_INVALID",
      path: "creds",
      message: expect.stringMatching(/^expected 'creds' to be the path of a .creds file, or its text: ENOENT/),
    });
  });
});

describe("publishing", () => {
  it("stores events with the headers of the contract, and tells duplicates", async () => {
    const { engine, client } = await setup();
    const first = await client.publish(
      "user.created",
      { name: "Ürsula" },
      { id: "e1", metadata: { tenant: "ö\n" }, priority: 5, scope: "s", traceparent: "00-1-2-01", headers: { "X-Mine": "yes" } },
    );
    expect(first).toEqual({ seq: 1, duplicate: false });
    expect(await client.publish("user.created", { name: "again" }, { id: "e1" })).toEqual({ seq: 1, duplicate: true });
    expect(await client.publish("other", [1])).toEqual({ seq: 2, duplicate: false });
    const events = await stored(engine);
    expect(events.map(({ subject, payload }) => [subject, payload])).toEqual([
      ["sluice.events.user.created", { name: "Ürsula" }],
      ["sluice.events.other", [1]],
    ]);
    const header = events[0]?.header as (name: string) => string;
    expect(JSON.parse(header("Sluice-Metadata"))).toEqual({ tenant: "ö\n" });
    expect(["Nats-Msg-Id", "Sluice-Priority", "Sluice-Scope", "traceparent", "X-Mine"].map(header)).toEqual([
      "e1",
      "5",
      "s",
      "00-1-2-01",
      "yes",
    ]);
  });

  it("refuses what cannot be an event, before sending anything", async () => {
    const { engine, client } = await setup();
    await expect(client.publish("user..created", {})).rejects.toMatchObject({ code: "OPTIONS_INVALID", path: "event" });
    await expect(client.publish("user.*", {})).rejects.toMatchObject({ code: "OPTIONS_INVALID", path: "event" });
    await expect(client.publish("a", undefined)).rejects.toMatchObject({ code: "OPTIONS_INVALID", path: "payload" });
    await expect(client.publish("a", { n: 1n })).rejects.toMatchObject({ code: "OPTIONS_INVALID", path: "payload" });
    await expect(client.publish("a", {}, { priority: Number.NaN })).rejects.toMatchObject({
      code: "OPTIONS_INVALID",
      path: "priority",
    });
    await expect(client.publish("a", {}, { headers: { a: "x\r\nNats-Msg-Id: y" } })).rejects.toMatchObject({
      code: "OPTIONS_INVALID",
      path: "headers",
    });
    await expect(client.publish("a", "x".repeat(2_000_000))).rejects.toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
      sizeBytes: 2_000_002,
    });
    expect(await stored(engine)).toEqual([]);
  });

  it("says so when there is no stream, and waits for one meanwhile", async () => {
    const server = await startTestServer();
    const client = await connect({ servers: server.url, logger, timeout: 400 });
    onCleanup(async () => await client.close());
    await expect(client.publish("a", {})).rejects.toMatchObject({
      code: "REQUEST_FAILED",
      reason: "NO_STREAM",
      message: expect.stringContaining("sluice engine"),
    });
    const patient = await connect({ servers: server.url, logger });
    onCleanup(async () => await patient.close());
    const published = patient.publish("a", {});
    await startFakeEngine(server.url);
    expect(await published).toMatchObject({ duplicate: false });
  });

  it("publishes many in order, exactly once, though the server is killed in the middle", async () => {
    const { engine, client, server } = await setup({ timeout: "30s" });
    let killed: Promise<void> | undefined;
    const count = 20_000;
    let most = 0;
    const results = await client.publishMany(
      (function* () {
        for (let i = 0; i < count; i++) yield { event: "tick", payload: i };
      })(),
      {
        onProgress: (published) => {
          most = published;
          if (published >= 5_000) killed ??= server.kill().then(() => server.restart());
        },
      },
    );
    await killed;
    expect(most).toBe(count);
    expect(results).toHaveLength(count);
    await waitFor(() => engine.connection.isConnected, { timeoutMs: 20_000 });
    // Every acknowledged sequence holds its own event: nothing lost, nothing doubled, nothing out of order.
    expect(results.map(({ seq }) => seq)).toEqual(Array.from({ length: count }, (_, i) => i + 1));
    for (const i of [0, 4_999, 5_000, 5_001, 7_500, count - 1]) {
      const message = await engine.connection.readMessage(engine.names.eventsStream, i + 1);
      expect(Buffer.from(message?.data ?? []).toString()).toBe(String(i));
    }
    expect(await engine.connection.readMessage(engine.names.eventsStream, count + 1)).toBeUndefined();
  });

  it("stores what it can of many, takes them from an async source, and says which failed", async () => {
    const { engine, client } = await setup();
    const source = async function* () {
      yield { event: "a", payload: 1 };
      yield { event: "bad name", payload: 2 };
      await Promise.resolve();
      yield { event: "c", payload: "x".repeat(2_000_000) };
      yield { event: "d", payload: 4 };
    };
    await expect(client.publishMany(source())).rejects.toMatchObject({
      code: "REQUEST_FAILED",
      reason: "PUBLISH_INCOMPLETE",
      message: expect.stringMatching(/^2 of 4 events were not stored; the first is number 2 \("bad name"\): expected 'event'/),
      failures: [
        { index: 1, event: "bad name", error: { code: "OPTIONS_INVALID" } },
        { index: 2, event: "c", error: { code: "PAYLOAD_TOO_LARGE" } },
      ],
    });
    expect((await stored(engine)).map(({ payload }) => payload)).toEqual([1, 4]);
    expect(await client.publishMany([])).toEqual([]);
  });
});

describe("runs", () => {
  const workflow = defineWorkflow({ name: "w", input: z.object({ n: z.number() }) }).step("s", (ctx) => ctx.input.n);

  it("are started with everything that was given, and their outputs awaited", async () => {
    const { engine, client } = await setup();
    const requests: unknown[] = [];
    engine.serve({
      "run.create": (request) => {
        requests.push(request);
        return runView({ input: request.input });
      },
      "run.get": () => runView({ status: "SUCCEEDED", outputs: { s: 1 } }),
    });
    const run = await client.run(workflow, { n: 1 }, { priority: 2, metadata: { a: 1 }, at: new Date(0), traceparent: "t" });
    await client.run("w", undefined, { delay: "1m" });
    expect(requests).toEqual([
      {
        id: expect.any(String),
        workflow: "w",
        input: { n: 1 },
        priority: 2,
        metadata: { a: 1 },
        at: "1970-01-01T00:00:00.000Z",
        traceparent: "t",
      },
      { id: expect.any(String), workflow: "w", input: null, delay: 60_000 },
    ]);
    const output: { readonly s: number } = await run.result();
    expect(output).toEqual({ s: 1 });
    expect(await run.status()).toBe("SUCCEEDED");
  });

  it("end with the error that belongs to their end", async () => {
    const { engine, client } = await setup();
    let view = runView({
      status: "FAILED",
      reason: "STEP_FAILED",
      error: { name: "TypeError", message: "broken", step: "s" } as RunView["error"] & object,
    });
    engine.serve({
      "run.get": ({ id }) => {
        if (id === "gone") throw new RunNotFoundError(id);
        return view;
      },
    });
    await expect(client.runs.handle("r1").result()).rejects.toMatchObject({
      code: "RUN_FAILED",
      runId: "r1",
      reason: "STEP_FAILED",
      step: "s",
      cause: { message: "broken" },
    });
    view = runView({ status: "CANCELLED", reason: "CANCELLED_BY_CONCURRENCY_LIMIT" });
    await expect(client.runs.handle("r1").result()).rejects.toMatchObject({
      code: "RUN_CANCELLED",
      reason: "CANCELLED_BY_CONCURRENCY_LIMIT",
    });
    await expect(client.runs.handle("gone").result()).rejects.toMatchObject({ code: "RUN_NOT_FOUND", runId: "gone" });
  });

  it("end for all who wait when the change is published, or when it was missed and an engine says hello", async () => {
    const { engine, client } = await setup();
    let view = runView({ status: "RUNNING" });
    let asked = 0;
    engine.serve({
      "run.get": () => {
        asked++;
        return view;
      },
    });
    const run = client.runs.handle("r1");
    const results = [run.result(), run.result(), client.runs.handle("r1").result()];
    await waitFor(() => asked >= 2);
    engine.change(change("SUCCEEDED", "succeeded", { outputs: { s: 5 } }));
    expect(await Promise.all(results)).toEqual([{ s: 5 }, { s: 5 }, { s: 5 }]);

    asked = 0;
    const missed = client.runs.handle("r1").result();
    await waitFor(() => asked > 0);
    view = runView({ status: "SUCCEEDED", outputs: { s: 6 } });
    engine.hello();
    expect(await missed).toEqual({ s: 6 });

    // Outputs that are too large for the message are asked for.
    view = runView({ status: "RUNNING" });
    asked = 0;
    const large = client.runs.handle("r1").result();
    await waitFor(() => asked > 0);
    view = runView({ status: "SUCCEEDED", outputs: { s: "large" } });
    engine.change(change("SUCCEEDED", "succeeded"));
    expect(await large).toEqual({ s: "large" });
  });

  it("are waited for through a restart of the server", async () => {
    const { engine, client, server } = await setup();
    let view = runView({ status: "RUNNING" });
    let asked = 0;
    engine.serve({
      "run.get": () => {
        asked++;
        return view;
      },
    });
    const result = client.runs.handle("r1").result();
    await waitFor(() => asked > 0);
    await server.kill();
    view = runView({ status: "SUCCEEDED", outputs: { s: 1 } });
    await server.restart();
    expect(await within(20_000, "the result", result)).toEqual({ s: 1 });
  });

  it("stop being waited for on timeout, on abort and when the client is closed", async () => {
    const { engine, client } = await setup();
    engine.serve({ "run.get": () => runView({ status: "RUNNING" }) });
    const run = client.runs.handle("r1");
    await expect(run.result({ timeout: 50 })).rejects.toMatchObject({ code: "REQUEST_TIMED_OUT", timeoutMs: 50 });
    const controller = new AbortController();
    const aborted = run.result({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    const closed = run.result().catch((error: unknown) => error);
    const iterating = (async () => {
      for await (const _ of run) await client.close();
    })().catch((error: unknown) => error);
    expect(await closed).toMatchObject({ code: "NOT_CONNECTED" });
    expect(await iterating).toMatchObject({ code: "NOT_CONNECTED" });
    await client.close();
    await expect(client.publish("a", {})).rejects.toMatchObject({ code: "NOT_CONNECTED" });
    await expect(client.runs.get("r1")).rejects.toMatchObject({ code: "NOT_CONNECTED" });
  });

  it("can be followed change by change, from how they are to their end", async () => {
    const { engine, client } = await setup();
    let asked = 0;
    engine.serve({
      "run.get": () => {
        asked++;
        return runView();
      },
    });
    const seen: string[] = [];
    const following = (async () => {
      for await (const { change: name, status } of client.runs.handle("r1")) seen.push(`${name} ${status}`);
    })();
    await waitFor(() => asked === 1 && seen.length === 1);
    engine.change(change("QUEUED", "admitted"));
    engine.change(change("RUNNING", "started"));
    engine.change(change("RUNNING", "step", { step: "s", stepStatus: "SUCCEEDED" }));
    engine.change({ ...change("SUCCEEDED", "succeeded", { outputs: {} }), id: "another" });
    engine.change(change("SUCCEEDED", "succeeded", { outputs: {} }));
    await within(5_000, "the end", following);
    expect(seen).toEqual(["queued QUEUED", "admitted QUEUED", "started RUNNING", "step RUNNING", "succeeded SUCCEEDED"]);
  });
});

describe("asking engines", () => {
  it("waits for an engine, and says how to start one when none comes", async () => {
    const { engine, client } = await setup({ timeout: "5s" });
    const impatient = await connect({ servers: engine.connection.servers[0] ?? "", logger, timeout: 200 });
    onCleanup(async () => await impatient.close());
    await expect(impatient.workers.list()).rejects.toMatchObject({
      code: "ENGINE_UNAVAILABLE",
      message: expect.stringContaining("sluice engine"),
    });
    const waiting = client.workers.list();
    engine.serve({ "worker.list": () => ({ items: [] }) });
    expect(await waiting).toEqual({ items: [] });
  });

  it("asks again when an engine cannot answer now", async () => {
    const { engine, client } = await setup();
    let calls = 0;
    engine.serve({
      "run.create": () => {
        if (++calls < 3) throw new RequestError("partition 3 is being recovered", { operation: "run.create", status: 503 });
        return runView();
      },
    });
    expect((await client.run("w", {})).id).toBe("r1");
    expect(calls).toBe(3);
  });

  it("asks again when the answer is lost, so that the engine knows what it was asked before", async () => {
    const { engine, client } = await setup();
    const asked: Record<string, unknown[]> = { create: [], replay: [], replayMany: [] };
    // Nobody waits any more for the answers to the first ones when they come.
    let answer: () => void = () => undefined;
    const late = new Promise<void>((resolve) => (answer = resolve));
    const lost = async <T>(requests: unknown[] | undefined, request: unknown, reply: T): Promise<T> => {
      if (requests?.push(request) === 1) await late;
      return reply;
    };
    engine.serve({
      "run.create": (request) => lost(asked["create"], request, runView()),
      "run.replay": (request) => lost(asked["replay"], request, runView()),
      "run.replayMany": (request) => lost(asked["replayMany"], request, { items: [] }),
    });
    await Promise.all([client.run("w", {}), client.runs.replay("r1"), client.runs.replayMany(["r1", "r2"])]);
    answer();
    const id = expect.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/) as unknown;
    for (const [what, [first, second]] of Object.entries(asked)) expect(second, what).toEqual(first);
    expect(asked["create"]).toMatchObject([{ id }, { id }]);
    expect(asked["replay"]).toMatchObject([{ id: "r1", newId: id }, { newId: id }]);
    expect(asked["replayMany"]).toMatchObject([{ newIds: [id, id] }, { newIds: [id, id] }]);
  });

  it("turns answers into the errors that callers can tell apart", async () => {
    const { engine, client } = await setup();
    engine.serve({
      "run.get": ({ id }) => {
        throw new RunNotFoundError(id);
      },
      "run.create": ({ workflow }) => {
        throw new WorkflowNotFoundError(workflow);
      },
      "group.get": () => {
        throw new Error("a bug\nin the engine");
      },
      "group.update": () => {
        throw new Error("not reached");
      },
      "run.list": () => ({ items: [] }),
      "event.list": () => ({ items: [{ seq: 1, name: "x", at: "", payload: "x".repeat(2_000_000), runs: [] }] }),
    });
    await expect(client.runs.get("r9")).rejects.toMatchObject({ code: "RUN_NOT_FOUND", runId: "r9" });
    await expect(client.run("nothing", {})).rejects.toMatchObject({ code: "WORKFLOW_NOT_FOUND", workflow: "nothing" });
    await expect(client.groups.get({ limit: "l", key: "k" })).rejects.toMatchObject({
      code: "REQUEST_FAILED",
      status: 500,
      message: expect.stringContaining("a bug"),
    });
    await expect(client.events.list()).rejects.toMatchObject({
      reason: "REPLY_TOO_LARGE",
      message: expect.stringContaining("size"),
    });
    await expect(client.groups.update({ limit: "l", key: "k", maxRuns: 0 })).rejects.toMatchObject({
      code: "REQUEST_FAILED",
      status: 400,
      message: expect.stringContaining("'maxRuns'"),
    });
    await expect(client.runs.list({ status: "DONE" as RunStatus })).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining("'status'"),
    });
  });

  it("gives lists by page, and all of it when iterated", async () => {
    const { engine, client } = await setup();
    const queries: unknown[] = [];
    engine.serve({
      "run.list": (query) => {
        queries.push(query);
        const from = Number(query.cursor ?? 0);
        return {
          items: [runView({ id: `r${from}` }), runView({ id: `r${from + 1}` })],
          ...(from < 4 ? { next: String(from + 2) } : {}),
        };
      },
    });
    const page = await client.runs.list({ workflow: "w" });
    expect(page).toMatchObject({ items: [{ id: "r0" }, { id: "r1" }], next: "2" });
    const ids: string[] = [];
    for await (const run of client.schedules.list({ size: 2 })) ids.push(run.id);
    expect(ids).toEqual(["r0", "r1", "r2", "r3", "r4", "r5"]);
    expect(queries).toEqual([
      { workflow: "w" },
      { size: 2, scheduled: true },
      { size: 2, scheduled: true, cursor: "2" },
      { size: 2, scheduled: true, cursor: "4" },
    ]);
  });
});

describe("the NATS service", () => {
  it("answers discovery as the nats tool asks it, and counts", async () => {
    const { engine, client } = await setup();
    const service = engine.serve({
      "run.get": ({ id }) => {
        if (id === "gone") throw new RunNotFoundError(id);
        return runView({ id });
      },
    });
    await client.runs.get("r1");
    await client.runs.get("gone").catch(() => undefined);
    const ask = async (subject: string) => (await engine.connection.request(subject, "")).json<any>();
    for (const suffix of ["", ".sluice", `.sluice.${service.id}`]) {
      expect(await ask(`$SRV.PING${suffix}`)).toEqual({
        type: "io.nats.micro.v1.ping_response",
        name: "sluice",
        id: service.id,
        version: "0.1.0",
        metadata: {},
      });
    }
    expect((await ask("$SRV.INFO.sluice")).endpoints).toContainEqual({
      name: "run-get",
      subject: "sluice.api.run.get",
      queue_group: "q",
      metadata: {},
    });
    const { endpoints } = await ask("$SRV.STATS.sluice");
    const stats = endpoints.find((one: { name: string }) => one.name === "run-get");
    expect(stats).toMatchObject({ num_requests: 2, num_errors: 1, last_error: '404:there is no run "gone"' });
    expect(stats.processing_time).toBeGreaterThan(0);
    expect(Math.abs(stats.average_processing_time - stats.processing_time / 2)).toBeLessThanOrEqual(1);
  });

  it("speaks plain NATS: errors in the standard headers, nothing that breaks it", async () => {
    const { engine } = await setup();
    engine.serve({ "run.get": ({ id }) => runView({ id }) });
    const ask = async (text: string | Uint8Array) => {
      const message = await engine.connection.request("sluice.api.run.get", text);
      return [message.headers?.get("Nats-Service-Error-Code"), message.headers?.get("Nats-Service-Error")];
    };
    expect(await ask("{")).toEqual(["400", expect.stringContaining("expected the request to be JSON")]);
    expect(await ask(new Uint8Array([0xff, 0]))).toEqual(["400", expect.stringContaining("JSON")]);
    expect(await ask("")).toEqual(["400", expect.stringContaining("'id'")]);
    expect(await ask('"r1"')).toEqual(["400", expect.stringContaining("the request")]);
    expect(await ask('{"id":7}')).toEqual(["400", expect.stringContaining("'id'")]);
    expect(await ask('{"id":"r1","more":1}')).toEqual(["400", expect.stringContaining("more")]);
    expect(await ask('{"id":"r1"}')).toEqual([undefined, undefined]);
  });
});
