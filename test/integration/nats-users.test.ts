/** The users of `docker/nats/users.conf` on a real NATS server: each does its work, and is refused everything else, clearly and at once. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { connect as connectNats, type NatsConnection, PermissionViolationError } from "@nats-io/transport-node";
import { pino } from "pino";
import { beforeAll, describe, expect, it } from "vitest";
import { type Client, connect, defineWorkflow, isPermissionDeniedError, startWorker } from "../../src/index.ts";
import { startEngine } from "../../src/engine/index.ts";
import { startDashboard } from "../../src/server/index.ts";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import { onCleanup } from "../support/cleanup.ts";
import { startTestServer } from "../support/nats.ts";
import { PROJECT_FOLDER } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor, within } from "../support/wait.ts";

const logger = pino({ level: "silent" });
/** What the engine and the worker had to complain of. */
const complaints: string[] = [];
const sink = new Writable({
  write(chunk: Buffer, _encoding, done) {
    complaints.push(chunk.toString());
    done();
  },
});
const complaining = pino({ level: "warn" }, sink);
const USERS_FILE = join(PROJECT_FOLDER, "docker/nats/users.conf");
type User = "publisher" | "worker" | "engine" | "viewer" | "operator";

const LARGE = "x".repeat(100_000);
const measure = defineWorkflow({
  name: "measure",
  on: "text.added",
  concurrency: { key: (ctx) => (ctx.input as { readonly key: string }).key, strategy: "GROUP_ROUND_ROBIN" },
}).step("length", ({ input }) => (input as { readonly text: string }).text.length);

let server: NatsServer;
let operator: Client;

const login = (user: User): { user: User; pass: string; inboxPrefix: string } => ({
  user,
  pass: `secret-of-${user}`,
  inboxPrefix: `_INBOX_${user}`,
});

beforeAll(async () => {
  for (const user of ["publisher", "worker", "engine", "viewer", "operator"])
    process.env[`SLUICE_${user.toUpperCase()}_PASSWORD`] = `secret-of-${user}`;
  server = await startTestServer({ config: readFileSync(USERS_FILE, "utf8") });
  const options = { servers: server.url, logger: complaining };
  // Snapshots now and then, which purge.
  const engine = await startEngine({
    ...options,
    ...login("engine"),
    partitions: 1,
    snapshotEvery: 100,
    dataDir: await temporaryFolder(),
  });
  onCleanup(() => engine.stop());
  const worker = await startWorker({ ...options, ...login("worker"), workflows: [measure] });
  onCleanup(() => worker.stop());
  operator = await client("operator");
});

async function client(user: User, more: { readonly inboxPrefix?: string } = {}): Promise<Client> {
  const one = await connect({ servers: server.url, logger, ...login(user), ...more });
  onCleanup(() => one.close());
  return one;
}

async function raw(user: User): Promise<NatsConnection> {
  const nats = await connectNats({ servers: server.url, ...login(user) });
  onCleanup(() => nats.close());
  return nats;
}

/** What the server says after a publish, or after a subscription, and a round trip. */
async function refusal(user: User, action: "publish" | "subscribe", subject: string): Promise<string> {
  const nats = await raw(user);
  const refused: string[] = [];
  void (async () => {
    for await (const status of nats.status())
      if (status.type === "error" && status.error instanceof PermissionViolationError)
        refused.push(`${status.error.operation} ${status.error.subject}`);
  })();
  if (action === "publish") nats.publish(subject, "{}");
  else nats.subscribe(subject, { callback: () => undefined });
  await nats.flush();
  // The round trip is over once the answer was read; what came before it is told in a microtask.
  await new Promise((resolve) => setImmediate(resolve));
  await nats.close();
  return refused.join();
}

describe("what each user is for", () => {
  it("the publisher publishes, the worker executes, the operator starts and controls, the viewer looks", async () => {
    const publisher = await client("publisher");
    const viewer = await client("viewer");
    await publisher.publish("text.added", { key: "a", text: "four" });
    await publisher.publishMany([{ event: "text.added", payload: { key: "a", text: "seventh" } }]);
    // Larger than what fits into an assignment: the worker reads it from the stream, of events and of a partition.
    await publisher.publish("text.added", { key: "b", text: LARGE });
    const run = await operator.run(measure, { key: "c", text: LARGE });
    expect(await within(10_000, "the run", run.result())).toEqual({ length: LARGE.length });
    const listed = await waitFor(
      async () => {
        const { items } = await viewer.runs.list({ workflow: "measure" });
        return items.filter(({ status }) => status === "SUCCEEDED").length === 4 && items;
      },
      { what: "four runs to have succeeded" },
    );
    expect(listed).toHaveLength(4);
    await publisher.publishMany(
      Array.from({ length: 200 }, (_, n) => ({ event: "text.added", payload: { key: `k${n}`, text: "" } })),
    );
    await waitFor(async () => (await viewer.runs.count({ workflow: "measure", status: "SUCCEEDED" })).count === 204, {
      what: "all runs to have succeeded",
    });
    const nats = await raw("engine");
    const journal = await waitFor(
      async () => {
        // A snapshot purges what the history has on disk by then; so it takes one that comes later.
        await publisher.publishMany(
          Array.from({ length: 50 }, (_, n) => ({ event: "text.added", payload: { key: `k${n}`, text: "" } })),
        );
        const info = (await nats.request("$JS.API.STREAM.INFO.SLUICE_P0", "")).json<{
          state: { num_deleted?: number; first_seq: number };
        }>();
        return info.state.first_seq > 1 || (info.state.num_deleted ?? 0) > 0;
      },
      { what: "a snapshot to have purged the journal", timeoutMs: 60_000 },
    );
    expect(journal).toBe(true);
    expect(complaints).toEqual([]);
    expect((await operator.groups.pause({ limit: "measure", key: "z" })).paused).toBe(true);
    expect(await viewer.groups.get({ limit: "measure", key: "z" })).toMatchObject({ paused: true });
    await operator.groups.resume({ limit: "measure", key: "z" });
    expect((await viewer.workers.list()).items).toHaveLength(1);
    expect((await viewer.events.list({})).items.length).toBeGreaterThan(0);
    expect((await viewer.health()).verdict).toBeDefined();
    expect((await viewer.rejected.list()).items).toEqual([]);
  });

  it("the viewer has a dashboard of its own, with live changes", async () => {
    const dashboard = await startDashboard({ servers: server.url, logger, ...login("viewer"), port: 0, readOnly: true });
    onCleanup(() => dashboard.stop());
    const answer = await waitFor(
      async () => {
        const response = await fetch(new URL("/api/run.list?workflow=measure", dashboard.url));
        return response.ok && response;
      },
      { what: "the dashboard to list runs" },
    );
    expect(await answer.json()).toHaveProperty("items");
    const stop = new AbortController();
    const stream = await fetch(new URL("/api/stream?topics=runs", dashboard.url), { signal: stop.signal });
    const run = await operator.run(measure, { key: "live", text: "" });
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    let seen = "";
    await within(
      10_000,
      "the run to be told of",
      (async () => {
        while (!seen.includes(run.id)) seen += (await reader?.read())?.value ?? "";
      })(),
    );
    stop.abort();
  });
});

describe("what a user may not do", () => {
  const api = (...operations: string[]): string[] => operations.map((operation) => `sluice.api.${operation}`);
  const WRITES = api(
    ...["run.create", "run.cancel", "run.cancelMany", "run.replay", "run.replayMany"],
    ...["group.update", "group.pause", "group.resume", "worker.drain", "event.publish"],
  );
  const INTERNAL = [
    ...["sluice.partition.0.journal", "sluice.partition.0.snapshot.data", "sluice.partition.0.snapshot.manifest"],
    ...["sluice.definitions.measure", "sluice.inputs", "sluice.rejected.events.x", "sluice.runs.measure.x.succeeded"],
    ...[
      "sluice.work.someone",
      "sluice.engines.hello",
      "sluice.engines.map",
      "sluice.engines.e1.slots",
      "sluice.engines.e1.call.run.get",
    ],
    ...["$KV.sluice_cluster.map", "$KV.sluice_cluster.lease.engine"],
    ...["$JS.API.STREAM.DELETE.SLUICE_EVENTS", "$JS.API.STREAM.PURGE.SLUICE_P0", "$JS.API.STREAM.UPDATE.SLUICE_EVENTS"],
    ...["$JS.API.STREAM.MSG.DELETE.SLUICE_P0", "$JS.API.CONSUMER.CREATE.SLUICE_P0", "$JS.API.STREAM.CREATE.OTHER"],
    ...["$JS.API.STREAM.MSG.GET.KV_sluice_cluster", "$JS.API.DIRECT.GET.KV_sluice_cluster"],
  ];
  const READS = ["$JS.API.STREAM.MSG.GET.SLUICE_P0", "$JS.API.DIRECT.GET.SLUICE_P0", "$JS.API.STREAM.INFO.SLUICE_P0"];
  const RESULTS = ["sluice.partition.0.inbox", "sluice.workers.someone.status"];
  const PUBLISH: Readonly<Record<User, readonly string[]>> = {
    publisher: [...INTERNAL, ...READS, ...RESULTS, ...WRITES, ...api("run.get", "run.list", "workflow.register", "health.get")],
    worker: [...INTERNAL, ...WRITES, ...api("run.get", "run.list", "health.get"), "sluice.events.text.added"],
    viewer: [...INTERNAL, ...READS, ...RESULTS, ...WRITES, ...api("workflow.register"), "sluice.events.text.added"],
    operator: [...INTERNAL, ...READS, ...RESULTS, ...api("workflow.register")],
    engine: [
      ...["$JS.API.STREAM.DELETE.SLUICE_EVENTS", "$JS.API.STREAM.MSG.DELETE.SLUICE_P0", "$JS.API.STREAM.SNAPSHOT.SLUICE_P0"],
      ...["$JS.API.ACCOUNT.PURGE.SLUICE", "$JS.API.META.LEADER.STEPDOWN", "$KV.other.x", "another.subject"],
    ],
  };
  const SUBSCRIBE: Readonly<Record<User, readonly string[]>> = {
    publisher: [
      "sluice.work.*",
      "sluice.events.>",
      "sluice.runs.>",
      "sluice.partition.*.journal",
      "_INBOX_worker.>",
      "_INBOX.>",
      ">",
    ],
    worker: ["sluice.events.>", "sluice.api.>", "sluice.partition.*.journal", "sluice.partition.*.inbox", "_INBOX_engine.>", ">"],
    viewer: ["sluice.work.*", "sluice.events.>", "sluice.api.>", "sluice.partition.*.journal", "_INBOX_operator.>", ">"],
    operator: ["sluice.work.*", "sluice.api.>", "sluice.events.>", "$KV.sluice_cluster.>", "_INBOX_viewer.>", ">"],
    engine: ["sluice.work.*", "_INBOX_publisher.>", "_INBOX_operator.>", "$KV.>", ">"],
  };

  for (const user of ["publisher", "worker", "viewer", "operator", "engine"] as const) {
    it(`${user}: the server refuses each of ${PUBLISH[user].length} subjects to publish on and ${SUBSCRIBE[user].length} to subscribe to`, async () => {
      for (const subject of PUBLISH[user]) expect(await refusal(user, "publish", subject), subject).toBe(`publish ${subject}`);
      for (const subject of SUBSCRIBE[user])
        expect(await refusal(user, "subscribe", subject), subject).toBe(`subscription ${subject}`);
    });
  }

  it("is a clear error at once, and not a wait", async () => {
    const quick = async (what: string, attempt: () => Promise<unknown>): Promise<unknown> =>
      await within(
        2_000,
        what,
        attempt().then(
          () => "it was allowed",
          (error: unknown) => error,
        ),
      );
    const publisher = await client("publisher");
    const viewer = await client("viewer");
    const expected = async (what: string, attempt: () => Promise<unknown>, message: RegExp): Promise<void> => {
      const error = await quick(what, attempt);
      expect(isPermissionDeniedError(error), `${what}: ${String(error)}`).toBe(true);
      expect(String(error)).toMatch(message);
    };
    await expected(
      "a publisher that lists runs",
      () => publisher.runs.list().then((page) => page.items),
      /does not let this user publish on sluice\.api\.run\.list$/,
    );
    await expected("a viewer that publishes", () => viewer.publish("text.added", {}), /publish on sluice\.events\.text\.added$/);
    await expected(
      "a viewer that pauses",
      () => viewer.groups.pause({ limit: "measure", key: "k" }),
      /sluice\.api\.group\.pause$/,
    );
    await expected("a viewer that starts a run", () => viewer.run(measure, { key: "k", text: "" }), /sluice\.api\.run\.create$/);
    const stranger = await client("publisher", { inboxPrefix: "_INBOX" });
    await expected("a publisher with the wrong inbox", () => stranger.publish("text.added", {}), /subscribe to _INBOX\./);
    await expected(
      "a worker as a viewer",
      () => startWorker({ servers: server.url, logger, ...login("viewer"), workflows: [measure] }),
      /sluice\.api\.workflow\.register$/,
    );
    const dataDir = await temporaryFolder();
    await expected(
      "an engine as a worker",
      () => startEngine({ servers: server.url, logger, ...login("worker"), dataDir }),
      /does not let this user publish on \$JS\.API/,
    );
  });
});
