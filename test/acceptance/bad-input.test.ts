/**
 * Whatever arrives on a subject: the engine goes on, what cannot be used is kept with the reason on `sluice.rejected.>`, and what
 * follows is not held up.
 */
import { jetstreamManager } from "@nats-io/jetstream";
import { headers, type Msg } from "@nats-io/transport-node";
import { isPayloadTooLargeError, type RunView } from "sluice";
import { beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../support/wait.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";

interface Rejected {
  readonly subject: string;
  readonly reason: string;
  readonly payload: string;
}

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ workflows: ["hostile"] });
});

/** Everything that was put aside so far. */
async function rejected(): Promise<Rejected[]> {
  const manager = await jetstreamManager(cluster.nats);
  const { state } = await manager.streams.info("SLUICE_REJECTED");
  const found: Rejected[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
    const message = await manager.streams.getMessage("SLUICE_REJECTED", { seq });
    if (message !== null)
      found.push({
        subject: message.subject,
        reason: message.header.get("Sluice-Reason"),
        payload: new TextDecoder().decode(message.data),
      });
  }
  return found;
}

const rejection = async (subject: string, payload: string): Promise<Rejected> =>
  await waitFor(async () => (await rejected()).find((one) => one.subject === subject && one.payload === payload), {
    what: `${payload.slice(0, 40)} on ${subject}`,
  });

/** The engine takes an event and runs it: it has got past everything before. */
async function works(): Promise<void> {
  const { seq } = await cluster.client.publish("plain", {});
  await waitFor(
    async () =>
      (await cluster.client.runs.list({ workflow: "plain", size: 1 })).items.some(
        (run) => run.event?.seq === seq && run.status === "SUCCEEDED",
      ),
    { what: "an event to run" },
  );
  const run = await cluster.client.run("plain", {});
  await run.result({ timeout: "10s" });
}

const raw = async (subject: string, payload: string | Uint8Array, fields: Record<string, string> = {}): Promise<Msg> => {
  const h = headers();
  for (const [name, value] of Object.entries(fields)) h.set(name, value);
  return await cluster.nats.request(subject, payload, { headers: h, timeout: 5_000 });
};

describe("an event", () => {
  it.each([
    { what: "is not JSON", payload: "{nonsense", reason: /^expected JSON in UTF-8: / },
    { what: "is empty", payload: "", reason: /^expected JSON in UTF-8: / },
    {
      what: "has metadata that are not JSON",
      payload: '{"a":1}',
      fields: { "Sluice-Metadata": "tenant=a" },
      reason: /^expected the header Sluice-Metadata to be a JSON object, got "tenant=a"$/,
    },
    {
      what: "has metadata that are no object",
      payload: '{"a":2}',
      fields: { "Sluice-Metadata": "[1]" },
      reason: /^expected the header Sluice-Metadata to be a JSON object, got "\[1\]"$/,
    },
    {
      what: "has a priority that is no number",
      payload: '{"a":3}',
      fields: { "Sluice-Priority": "high" },
      reason: /^expected the header Sluice-Priority to be an integer from -1000000 to 1000000, got "high"$/,
    },
    {
      what: "has a priority beyond all bounds",
      payload: '{"a":4}',
      fields: { "Sluice-Priority": "1e99" },
      reason: /^expected the header Sluice-Priority to be an integer/,
    },
  ])("that $what is kept with the reason, and starts nothing", async ({ payload, fields, reason }) => {
    const { seq } = (await raw("sluice.events.plain", payload, fields)).json<{ seq: number }>();
    expect((await rejection("sluice.rejected.events.plain", payload)).reason).toMatch(reason);
    await works();
    expect((await cluster.runs("plain")).some((run) => run.event?.seq === seq)).toBe(false);
  });

  it("that is bytes of no text is kept as it is", async () => {
    const bytes = new Uint8Array([0x22, 0xff, 0xfe, 0x00, 0x22]);
    await raw("sluice.events.plain", bytes);
    await rejection("sluice.rejected.events.plain", new TextDecoder().decode(bytes));
    await works();
  });

  it("of 1 MB, as large as the server takes, gets to its handler whole", async () => {
    const payload = { text: "é".repeat(524_000) };
    const { seq } = await cluster.client.publish("plain", payload);
    const run = await waitFor(
      async () => (await cluster.runs("plain")).find((one) => one.event?.seq === seq && one.status === "SUCCEEDED"),
      { what: "the large event to run" },
    );
    expect(run.outputs).toEqual({ work: { characters: JSON.stringify(payload).length } });
  });

  it("that is larger is refused to whoever publishes it", async () => {
    const error = await cluster.client.publish("plain", { text: "x".repeat(1_100_000) }).catch((thrown: unknown) => thrown);
    expect(isPayloadTooLargeError(error)).toBe(true);
    expect(error).toMatchObject({
      message: expect.stringMatching(
        /^the payload of event "plain" has 1100011 bytes, more than the \d+ that the NATS server takes$/,
      ),
    });
  });

  it("may be any JSON, nested however deep", async () => {
    for (const payload of [
      "null",
      "0",
      '"text"',
      "[]",
      '{"__proto__":{"a":1},"constructor":null}',
      `${"[".repeat(50_000)}${"]".repeat(50_000)}`,
      `{"a":${"[".repeat(200)}1${"]".repeat(200)}}`,
    ]) {
      const { seq } = (await raw("sluice.events.deep", payload)).json<{ seq: number }>();
      await waitFor(
        async () => (await cluster.runs("deep")).some((run) => run.event?.seq === seq && run.status === "SUCCEEDED"),
        { what: `${payload.slice(0, 40)} to run` },
      );
    }
    await works();
  });
});

describe("an input that the schema refuses", () => {
  const issues = [
    { path: ["user"], message: "Invalid input: expected string, received number" },
    { path: ["age"], message: "Too small: expected number to be >=0" },
  ];

  it("fails the run with INPUT_INVALID and the issues, started by an event or directly", async () => {
    await cluster.client.publish("strict", { user: 5, age: -1 });
    const handle = await cluster.client.run("strict", { user: 5, age: -1 });
    await expect(handle.result({ timeout: "10s" })).rejects.toMatchObject({ code: "RUN_FAILED", reason: "INPUT_INVALID" });
    for (const run of await cluster.ended("strict", 2)) {
      expect(run).toMatchObject({ status: "FAILED", reason: "INPUT_INVALID", error: { code: "INPUT_INVALID", issues } });
    }
    expect(cluster.starts("strict")).toEqual([]);
    const good = await cluster.client.run("strict", { user: "ada", age: 36 });
    expect(await good.result({ timeout: "10s" })).toEqual({ work: { user: "ada", age: 36 } });
  });

  it("fails it before its key is computed, where that needs the input", async () => {
    const run = await cluster.client.run("strict-key", { user: null });
    await expect(run.result({ timeout: "10s" })).rejects.toMatchObject({ reason: "INPUT_INVALID" });
    expect(await run.get()).toMatchObject({
      error: { code: "INPUT_INVALID", issues: [expect.objectContaining({ path: ["user"] })] },
    });
  });
});

describe("a key", () => {
  it.each([
    ["throws", "no key for you"],
    ["throws-null", "null"],
    ["empty", "expected the key to be a non-empty string, got an empty one"],
    ["nothing", "expected the key to be a non-empty string, got nothing"],
    ["number", "expected the key to be a non-empty string, got the number 42"],
    ["object", "expected the key to be a non-empty string, got an object"],
    ["promise", "got a promise; a key function must return its key at once"],
    ["10-kb", "got one of 10240"],
    ["half", "expected the key to be valid Unicode"],
  ])("function that gives what it must not (%s) fails its run with KEY_FAILED and says what came", async (key, message) => {
    const run = await cluster.client.run("keyed", { key });
    await expect(run.result({ timeout: "10s" })).rejects.toMatchObject({ reason: "KEY_FAILED" });
    expect((await run.get()).error).toMatchObject({ code: "KEY_FAILED", message: expect.stringContaining(message) });
  });

  it.each(["line\nbreak", "spaces", "dots", "1-kb", "__proto__"])(
    "of strange characters (%s) is one like any other",
    async (key) => {
      const gate = `strange-${Buffer.from(key).toString("hex")}`;
      const holder = await cluster.client.run("keyed", { key, gate });
      await cluster.started(holder.id);
      const next = await cluster.client.run("keyed", { key });
      const { key: named } = await waitFor(async () => (await next.get()).keys[0], { what: "its key to be known" });
      expect(await cluster.client.groups.get({ limit: "keyed", key: named })).toMatchObject({
        key: named,
        active: 1,
        waiting: 1,
        activeRuns: [holder.id],
        waitingRuns: [next.id],
      });
      await cluster.open(gate);
      await next.result({ timeout: "10s" });
    },
  );

  it.each([
    [{}, /there is no "user" in input|no such key/i],
    [{ user: { id: 5 } }, /expected the key to be a non-empty string, got the number 5/],
    [{ user: { id: "" } }, /expected the key to be a non-empty string, got an empty one/],
    [null, /./],
    [{ user: { id: "k".repeat(10_000) } }, /got one of 10000/],
  ])("expression that gives what it must not (%j) fails its run likewise, whatever started it", async (input, message) => {
    const { seq } = await cluster.client.publish("expressed", input);
    const direct = await cluster.client.run("expressed", input);
    await expect(direct.result({ timeout: "10s" })).rejects.toMatchObject({ reason: "KEY_FAILED" });
    const byEvent = await waitFor(
      async () => (await cluster.runs("expressed")).find((run) => run.event?.seq === seq && run.status === "FAILED"),
      { what: "the event's run to fail" },
    );
    for (const run of [byEvent, await direct.get()]) {
      expect(run).toMatchObject({ reason: "KEY_FAILED", error: { code: "KEY_FAILED" } });
      expect(run.error?.message).toMatch(message);
    }
  });
});

describe("an output", () => {
  it.each([
    ["bigint", "OUTPUT_INVALID", 'the output of step "work" cannot be written as JSON: Do not know how to serialize a BigInt'],
    ["circular", "OUTPUT_INVALID", "Converting circular structure to JSON"],
    ["function", "OUTPUT_INVALID", "a function has no JSON form"],
    ["symbol", "OUTPUT_INVALID", "a symbol has no JSON form"],
    ["throwing", "OUTPUT_INVALID", "not me"],
    ["too-large", "OUTPUT_TOO_LARGE", "3000002 bytes as JSON"],
  ])("that cannot be stored (%s) fails its step at once, with the reason", async (output, code, message) => {
    const run = await cluster.client.run("outputs", { output });
    await expect(run.result({ timeout: "10s" })).rejects.toMatchObject({ reason: "STEP_FAILED", step: "work" });
    expect((await run.get()).steps["work"]).toMatchObject({
      status: "FAILED",
      attempts: 1,
      error: { code, message: expect.stringContaining(message) },
    });
  });

  it.each([
    ["nothing", null],
    ["nan", null],
    ["date", "1970-01-01T00:00:00.000Z"],
  ])("that JSON changes (%s) is what JSON makes of it", async (output, expected) => {
    const run = await cluster.client.run("outputs", { output });
    expect(await run.result({ timeout: "10s" })).toEqual({ work: expected });
  });

  it("may be nearly as large as a message, beside an input of that size", async () => {
    const run = await cluster.client.run("outputs", { output: "large", beside: "x".repeat(900_000) });
    expect(((await run.result({ timeout: "10s" })) as { work: string }).work).toHaveLength(900_000);
    expect((await run.get()).outputs).toEqual({ work: "x".repeat(900_000) });
    expect((await cluster.client.runs.list({ workflow: "outputs", size: 20 })).items.map(({ id }) => id)).toContain(run.id);
  });

  it("must, with those of the other steps of its run, stay below what one message holds", async () => {
    const run = await cluster.client.run("sum", {});
    await expect(run.result({ timeout: "10s" })).rejects.toMatchObject({ reason: "STEP_FAILED", step: "two" });
    expect((await run.get()).steps["two"]).toMatchObject({
      error: { code: "OUTPUT_TOO_LARGE", message: expect.stringContaining("expected the outputs of a run to take at most") },
    });
  });
});

describe("what a handler throws", () => {
  it.each([
    ["text", /just text/],
    ["null", /null/],
    ["nothing", /undefined|nothing/],
    ["number", /7/],
    ["object", /an object/],
    ["trap", /./],
    ["huge", /^x+/],
  ])("is an error of its step, be it no error at all (%s)", async (thrown, message) => {
    const run = await cluster.client.run("throwing", { thrown });
    await expect(run.result({ timeout: "10s" })).rejects.toMatchObject({ reason: "STEP_FAILED", step: "work" });
    const { steps } = await run.get();
    expect(steps["work"]?.status).toBe("FAILED");
    expect(steps["work"]?.error?.message).toMatch(message);
  });
});

describe("garbage on the subjects of the cluster itself", () => {
  const inbox = (payload: unknown, partition: number): Promise<Msg> =>
    raw(`sluice.partition.${partition}.inbox`, typeof payload === "string" ? payload : JSON.stringify(payload));
  const toAll = async (payload: unknown): Promise<void> =>
    void (await Promise.all(Array.from({ length: 8 }, (_, partition) => inbox(payload, partition))));
  /** The engine has read all inboxes up to here. */
  const passed = async (): Promise<void> => {
    for (let i = 0; i < 16; i++) await (await cluster.client.run("plain", {})).result({ timeout: "10s" });
  };

  it("on an inbox is kept with the reason, and the partition goes on", async () => {
    const garbage = [
      "not json",
      "",
      "null",
      "5",
      "[]",
      "{}",
      '{"type":"unknown"}',
      '{"type":"results"}',
      '{"type":"results","results":{}}',
      '{"type":"results","results":[null]}',
      '{"type":"results","results":[{"run":"r","step":"s","attemptId":"a","outcome":"maybe"}]}',
      '{"type":"results","results":[{"run":"r","step":5,"attemptId":"a","outcome":"succeeded"}]}',
      '{"type":"results","results":[{"run":"r","step":"s","attemptId":"a","outcome":"failed"}]}',
      '{"type":"create"}',
      '{"type":"create","run":"x","workflow":"nobody-knows-it","version":"1"}',
      '{"type":"create","run":"a.b *","workflow":"plain","version":"1"}',
      '{"type":"cancel"}',
      '{"type":"cancel","run":5}',
      '{"type":"group","limit":"keyed","key":""}',
      '{"type":"group","limit":"keyed","key":"k","maxRuns":0}',
      '{"type":"group","limit":"keyed","key":"k","maxRuns":1.5}',
      '{"type":"group","limit":"keyed","key":"k","paused":"yes"}',
    ];
    for (const payload of garbage) await inbox(payload, 3);
    for (const payload of garbage) expect((await rejection("sluice.rejected.inbox.3", payload)).reason, payload).not.toBe("");
    await passed();
    expect(cluster.engine.stderr).toContain("an inbox message cannot be used; it is kept aside and passed over");
  });

  it("on an inbox with fields of wrong types is kept likewise, and harms no run", async () => {
    const { version } = await cluster.client.workflows.get("keyed");
    const create = { type: "create", workflow: "keyed", version, input: { key: "spaces" } };
    const bad: Record<string, unknown>[] = [
      { run: "" },
      { priority: "high" },
      { priority: null },
      { metadata: 5 },
      { metadata: [] },
      { keys: "abc" },
      { keys: [1] },
      { notBefore: "later" },
      { createdAt: "now" },
      { createdAt: 1e300 },
      { replayOf: {} },
      { traceparent: 5 },
    ];
    const payloads = bad.map((fields, index) => JSON.stringify({ ...create, run: `bad-${index}`, ...fields }));
    for (const payload of payloads) await inbox(payload, 5);
    for (const payload of payloads) expect((await rejection("sluice.rejected.inbox.5", payload)).reason, payload).not.toBe("");
    await passed();
    expect((await cluster.runs("keyed")).filter(({ id }) => id.startsWith("bad-"))).toEqual([]);
  });

  it("on an inbox that is nested too deep for a run's input is kept likewise", async () => {
    const { version } = await cluster.client.workflows.get("plain");
    const payload = `{"type":"create","run":"deep","workflow":"plain","version":"${version}","input":${"[".repeat(50_000)}${"]".repeat(50_000)}}`;
    await inbox(payload, 1);
    await rejection("sluice.rejected.inbox.1", payload);
    await passed();
  });

  it("as results of unknown, finished and other runs changes nothing", async () => {
    const finished = await cluster.client.run("plain", {});
    const outputs = await finished.result({ timeout: "10s" });
    const holder = await cluster.client.run("keyed", { key: "spaces", gate: "results", n: 5 });
    const { attemptId } = await cluster.started(holder.id);
    const result = { step: "work", worker: "a-dead-worker", outcome: "succeeded", output: "forged" };
    await toAll({
      type: "results",
      results: [
        { ...result, run: "no-such-run", attemptId: "no-such-run.work.1" },
        { ...result, run: finished.id, attemptId: `${finished.id}.work.1` },
        {
          ...result,
          run: finished.id,
          attemptId: `${finished.id}.work.1`,
          outcome: "failed",
          error: { name: "Error", message: "late" },
        },
        // Of an attempt that is not the one that runs, and of a step that the workflow does not have.
        { ...result, run: holder.id, attemptId: `${attemptId}9` },
        { ...result, run: holder.id, attemptId, step: "no-such-step" },
        { ...result, run: holder.id, attemptId: "", outcome: "stopped" },
        { ...result, run: holder.id, attemptId: "", outcome: "returned", reason: "drain" },
      ],
    });
    await passed();
    expect(await holder.get()).toMatchObject({ status: "RUNNING", steps: { work: { status: "RUNNING", attempts: 1 } } });
    await cluster.open("results");
    expect(await holder.result({ timeout: "10s" })).toEqual({ work: { n: 5, attemptId } });
    expect(await finished.get()).toMatchObject({ status: "SUCCEEDED", outputs });
  });

  it("as definitions, workers' statuses, work and hellos is left alone", async () => {
    await raw("sluice.definitions.plain", "garbage");
    await raw("sluice.definitions.plain", '{"name":"plain","steps":"none"}');
    expect((await rejection("sluice.rejected.definitions", "garbage")).reason).not.toBe("");
    const [worker] = (await cluster.client.workers.list()).items;
    const status = { id: "w", slots: 5, deadlineMs: 1_000, workflows: [] };
    for (const payload of [
      "garbage",
      "null",
      "{}",
      '{"id":5}',
      JSON.stringify({ ...status, workflows: [null] }),
      JSON.stringify({ ...status, workflows: [{ name: "plain" }] }),
      JSON.stringify({ ...status, mode: "asleep" }),
      JSON.stringify({ ...status, mode: "running", attempts: 5 }),
      JSON.stringify({ ...status, mode: "running", slots: -5 }),
    ]) {
      cluster.nats.publish("sluice.workers.w.status", payload);
      cluster.nats.publish(`sluice.work.${worker?.id}`, payload);
      cluster.nats.publish("sluice.engines.hello", payload);
    }
    for (const payload of [
      '{"type":"assign"}',
      '{"type":"assign","assignments":[null]}',
      '{"type":"stop"}',
      '{"type":"stop","attempts":[{}]}',
      '{"type":"keys"}',
      '{"type":"keys","workflow":"keyed","version":"x","items":[null]}',
    ])
      cluster.nats.publish(`sluice.work.${worker?.id}`, payload);
    await cluster.nats.flush();
    await works();
    await (await cluster.client.run("keyed", { key: "spaces" })).result({ timeout: "10s" });
    expect((await cluster.client.workers.list()).items.map(({ id }) => id)).toContain(worker?.id);
  });

  it("as requests of the API is answered with an error in the standard headers", async () => {
    const ask = async (operation: string, payload: string): Promise<[string | undefined, string | undefined]> => {
      const { headers: h } = await cluster.nats.request(`sluice.api.${operation}`, payload, { timeout: 5_000 });
      return [h?.get("Nats-Service-Error-Code"), h?.get("Nats-Service-Error")];
    };
    expect(await ask("run.get", "garbage")).toEqual(["400", expect.stringContaining("run.get: expected the request to be JSON")]);
    expect(await ask("run.get", "{}")).toEqual(["400", expect.stringContaining("'id'")]);
    expect(await ask("run.get", '{"id":"no-such-run"}')).toEqual(["404", expect.stringContaining("no-such-run")]);
    expect(await ask("run.create", '{"workflow":"no-such-workflow","input":1}')).toEqual([
      "404",
      expect.stringContaining("no-such-workflow"),
    ]);
    expect(await ask("run.create", '{"workflow":"plain","input":1,"delay":"soon"}')).toEqual([
      "400",
      expect.stringContaining("'delay'"),
    ]);
    expect(await ask("run.list", '{"cursor":"garbage"}')).toEqual(["400", expect.stringContaining("cursor")]);
    expect(await ask("run.list", '{"status":"ASLEEP"}')).toEqual(["400", expect.stringContaining("status")]);
    expect(await ask("event.list", '{"cursor":"?"}')).toEqual(["400", expect.stringContaining("cursor")]);
    expect(await ask("group.get", '{"limit":"no-such-limit","key":"k"}')).toEqual([
      "404",
      expect.stringContaining("no-such-limit"),
    ]);
    expect(await ask("group.update", '{"limit":"keyed","key":"k","maxRuns":0}')).toEqual([
      "400",
      expect.stringContaining("maxRuns"),
    ]);
    expect(await ask("workflow.register", '{"spec":{"name":"x","version":"1","steps":[{"name":"s"}],"limits":[]}}')).toEqual([
      "400",
      expect.any(String),
    ]);
    await works();
  });
});

describe("a foreign message in a journal", () => {
  it("has the engine drop the partition and recover it, keep the message aside and lose nothing", async () => {
    const own = await startCluster({ workflows: ["hostile"] });
    const held: RunView[] = [];
    for (let n = 0; n < 16; n++) held.push(await (await own.client.run("keyed", { key: `k${n}`, n, gate: "journal" })).get());
    for (let partition = 0; partition < 8; partition++)
      await own.nats.request(`sluice.partition.${partition}.journal`, `garbage ${partition}`);
    for (let partition = 0; partition < 8; partition++)
      await own.nats.request(`sluice.partition.${partition}.inbox`, '{"type":"cancel","run":"nobody"}');
    await own.open("journal");
    const runs = await own.ended("keyed", 16);
    expect(runs.map(({ status }) => status)).toEqual(held.map(() => "SUCCEEDED"));
    cluster = own;
    for (let partition = 0; partition < 8; partition++)
      await rejection(`sluice.rejected.journal.${partition}`, `garbage ${partition}`);
    expect(own.engine.stderr).toContain("another engine node has taken this partition over");
    expect(own.engine.ended).toBe(false);
  });
});
