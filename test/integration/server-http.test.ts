/** The routes of the dashboard's server, over real HTTP and a real nats-server. */
import { createServer } from "node:net";
import { beforeAll, describe, expect, test } from "vitest";
import { RequestError, RunNotFoundError } from "../../src/errors.ts";
import type { Operations, RunView } from "../../src/protocol/view.ts";
import { startDashboard, type Dashboard } from "../../src/server/index.ts";
import { onCleanup } from "../support/cleanup.ts";
import { PAGE, startDashboardWorld, tokenOf, type DashboardWorld } from "../support/dashboard-world.ts";
import { ask, EventReader } from "../support/http.ts";
import { waitFor, within } from "../support/wait.ts";

const run = (id: string, fields: Partial<RunView> = {}): RunView => ({
  id,
  workflow: "answer",
  version: "v1",
  status: "RUNNING",
  input: { text: "hello" },
  keys: [],
  priority: 0,
  metadata: {},
  createdAt: "2026-01-01T00:00:00.000Z",
  steps: {},
  ...fields,
});

const JSON_BODY = { "content-type": "application/json" };
let world: DashboardWorld;
let dashboard: Dashboard;
let token: string;
let lists: Operations["run.list"]["request"][] = [];

beforeAll(async () => {
  world = await startDashboardWorld({
    "run.get": ({ id }) => {
      if (id === "gone") throw new RunNotFoundError(id);
      if (id === "broken") throw new TypeError("a bug");
      if (id === "later") throw new RequestError("not now", { operation: "run.get", status: 503 });
      return run(id, { input: { password: "hunter2", nested: [{ Token: "abc", kept: 1 }] } });
    },
    "run.list": (query) => {
      lists.push(query);
      return { items: [run("r-1")], next: "more" };
    },
    "run.cancel": ({ id }) => run(id, { status: "CANCELLED" }),
    "group.get": ({ limit, key }) => ({
      limit,
      key,
      strategy: "GROUP_ROUND_ROBIN",
      maxRuns: 1,
      paused: false,
      active: 0,
      stopping: 0,
      waiting: 0,
      activeRuns: [],
      waitingRuns: [],
      startsPerMinute: 0,
    }),
  });
  dashboard = await world.start();
  token = await tokenOf(dashboard);
  await waitFor(async () => (await ask(dashboard.url, "/readyz")).status === 200, { what: "the dashboard to be ready" });
});

describe("the API", () => {
  test("answers reads by GET: numbers, booleans and lists where the operation takes them, texts elsewhere", async () => {
    lists = [];
    const { status, headers, json } = await ask(
      dashboard.url,
      "/api/run.list?status=QUEUED&status=RUNNING&size=5&scheduled=true&key=42&text=true&workflow=answer",
    );
    expect({ status, reply: json() }).toEqual({ status: 200, reply: { items: [run("r-1")], next: "more" } });
    expect(headers["content-type"]).toMatch(/^application\/json/);
    expect(headers["cache-control"]).toBe("no-store");
    expect(lists).toEqual([
      { status: ["QUEUED", "RUNNING"], size: 5, scheduled: true, key: "42", text: "true", workflow: "answer" },
    ]);
    const group = await ask(dashboard.url, "/api/group.get?limit=per-user&key=1e3");
    expect(group.json()).toMatchObject({ limit: "per-user", key: "1e3" });
  });

  test("answers reads by POST without the token, and writes with it", async () => {
    const read = await ask(dashboard.url, "/api/run.list", { method: "POST", headers: JSON_BODY, body: '{"size":1}' });
    expect(read.json()).toMatchObject({ next: "more" });
    const write = await ask(dashboard.url, "/api/run.cancel", {
      method: "POST",
      headers: { ...JSON_BODY, "sluice-token": token },
      body: '{"id":"r-1"}',
    });
    expect({ status: write.status, reply: write.json() }).toMatchObject({ status: 200, reply: { status: "CANCELLED" } });
  });

  test("hides what must not be seen, in what is shown", async () => {
    expect((await ask(dashboard.url, "/api/run.get?id=r")).json().input).toEqual({
      password: "[redacted]",
      nested: [{ Token: "[redacted]", kept: 1 }],
    });
    const open = await world.start({ redact: ["kept"] });
    await waitFor(async () => (await ask(open.url, "/readyz")).status === 200);
    expect((await ask(open.url, "/api/run.get?id=r")).json().input).toEqual({
      password: "hunter2",
      nested: [{ Token: "abc", kept: "[redacted]" }],
    });
  });

  test.each([
    ["/api/run.get?id=gone", 404, "RUN_NOT_FOUND", /gone/],
    ["/api/run.get?id=broken", 500, "REQUEST_FAILED", /a bug/],
    ["/api/run.get", 400, "REQUEST_FAILED", /'id'/],
    ["/api/run.list?size=many", 400, "REQUEST_FAILED", /'size'/],
    ["/api/run.list?sise=1", 400, "REQUEST_FAILED", /sise/],
    ["/api/run.lst", 404, "REQUEST_FAILED", /did you mean "run\.list"/],
    ["/api/__proto__", 404, "REQUEST_FAILED", /no operation/],
    ["/api/toString", 404, "REQUEST_FAILED", /no operation/],
    ["/api/", 404, "REQUEST_FAILED", /no operation/],
    ["/api/stream", 400, "BAD_REQUEST", /'topics'/],
    ["/api/stream?topics=nothing", 400, "BAD_REQUEST", /'topics'.*nothing/],
    ["/assets/none.js", 404, "NOT_FOUND", /no such file/],
    ["/none.js", 404, "NOT_FOUND", /no such file/],
  ])("%s is refused with %i", async (path, status, code, message) => {
    const answer = await ask(dashboard.url, path);
    expect(answer.status).toBe(status);
    expect(answer.json()).toEqual({ error: expect.objectContaining({ code, status, message: expect.stringMatching(message) }) });
    expect(answer.headers["x-content-type-options"]).toBe("nosniff");
  });

  test("refuses a body that is no JSON, and one that is too large, also where its length is not told", async () => {
    const post = (headers: Record<string, string>, body: string) =>
      ask(dashboard.url, "/api/run.list", { method: "POST", headers: { ...JSON_BODY, ...headers }, body });
    expect(await post({}, '{"size":')).toMatchObject({ status: 400 });
    const large = `{"text":"${"x".repeat(1_100_000)}"}`;
    const whole = await post({ "content-length": String(large.length) }, large);
    expect({ status: whole.status, code: whole.json().error.code }).toEqual({ status: 413, code: "PAYLOAD_TOO_LARGE" });
    const chunked = await post({ "transfer-encoding": "chunked" }, large);
    expect({ status: chunked.status, code: chunked.json().error.code }).toEqual({ status: 413, code: "PAYLOAD_TOO_LARGE" });
    // It is there for the next one.
    expect(await post({}, "")).toMatchObject({ status: 200 });
  });

  test.each([
    ["GET", "/api/run.cancel?id=r-1", "POST"],
    ["PUT", "/api/run.list", "GET, HEAD, POST"],
    ["DELETE", "/runs", "GET, HEAD, POST"],
    ["OPTIONS", "/api/run.list", "GET, HEAD, POST"],
    ["POST", "/runs", "GET, HEAD"],
    ["POST", "/healthz", "GET, HEAD"],
  ])("%s %s is not allowed", async (method, path, allow) => {
    const answer = await ask(dashboard.url, path, { method, headers: { ...JSON_BODY, "sluice-token": token } });
    expect({ status: answer.status, allow: answer.headers.allow }).toEqual({ status: 405, allow });
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
  });

  test("says what this is", async () => {
    expect((await ask(dashboard.url, "/api/about")).json()).toEqual({
      version: expect.any(String),
      node: expect.any(String),
      prefix: "sluice",
      startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      readOnly: false,
      natsUrl: world.servers,
      demo: false,
    });
  });
});

describe("the page", () => {
  const html = { accept: "text/html" };

  test.each(["/", "/index.html", "/runs", "/runs/01H?tab=chart&at=3", "/groups/tenant/acme.com", "/groups/a/b%2Fc"])(
    "is given for %s, with the token of this start, and is not kept",
    async (path) => {
      const { status, headers, text } = await ask(dashboard.url, path, { headers: html });
      expect({ status, text }).toEqual({ status: 200, text: PAGE.replace('content=""', `content="${token}"`) });
      expect(headers["cache-control"]).toBe("no-store");
      expect(headers["content-type"]).toMatch(/^text\/html/);
    },
  );

  test("comes with a policy that lets nothing in from elsewhere", async () => {
    const { headers } = await ask(dashboard.url, "/");
    expect(headers["content-security-policy"]).toBe(
      "default-src 'self'; script-src 'self'; style-src 'self'; worker-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'",
    );
    expect(headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cross-origin-opener-policy": "same-origin-allow-popups",
    });
  });

  test("has its files kept for ever where their names say what is in them, and asked for again elsewhere", async () => {
    const hashed = await ask(dashboard.url, "/assets/page-AbCd1234.js");
    expect(hashed.headers).toMatchObject({
      "content-type": "text/javascript; charset=utf-8",
      "cache-control": "public, max-age=31536000, immutable",
    });
    const plain = await ask(dashboard.url, "/plain.svg");
    expect({ status: plain.status, text: plain.text }).toEqual({ status: 200, text: "<svg/>" });
    expect(plain.headers).toMatchObject({ "content-type": "image/svg+xml", "cache-control": "no-cache" });
    const again = await ask(dashboard.url, "/plain.svg", { headers: { "if-none-match": String(plain.headers.etag) } });
    expect({ status: again.status, text: again.text }).toEqual({ status: 304, text: "" });
    expect(await ask(dashboard.url, "/plain.svg", { method: "HEAD" })).toMatchObject({ status: 200, text: "" });
  });

  test("says what to do where it was not built", async () => {
    const bare = await world.start({ uiDir: "/nowhere" });
    const { status, text } = await ask(bare.url, "/", { headers: html });
    expect(status).toBe(503);
    expect(text).toContain("npm run build");
    expect((await ask(bare.url, "/healthz")).status).toBe(200);
  });

  test("gets another token at each start", async () => {
    expect(await tokenOf(await world.start())).not.toBe(token);
  });
});

describe("its life", () => {
  test("begins before NATS is there: the page is, and the API says what is missing", async () => {
    const alone = await startDashboard({ servers: "nats://127.0.0.1:1", port: 0, uiDir: world.uiDir });
    onCleanup(() => alone.stop());
    expect((await ask(alone.url, "/healthz")).text).toBe("ok\n");
    expect(await ask(alone.url, "/readyz")).toMatchObject({ status: 503, text: expect.stringContaining("NATS") });
    expect((await ask(alone.url, "/")).status).toBe(200);
    const list = await ask(alone.url, "/api/run.list");
    expect({ status: list.status, error: list.json().error }).toMatchObject({ status: 503, error: { reason: "NOT_CONNECTED" } });
    await within(3_000, "the stop", alone.stop());
  });

  test("takes the next port where the usual one is taken, and says so where one was asked for that is", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    onCleanup(() => taken.close());
    await waitFor(() => taken.listening);
    const { port } = taken.address() as { port: number };
    await expect(world.start({ port })).rejects.toMatchObject({
      code: "OPTIONS_INVALID",
      path: "port",
      message: expect.stringMatching(/something listens there already/),
    });
    const [one, two] = [await world.start({ port: undefined }), await world.start({ port: undefined })];
    expect(one.port).toBeGreaterThanOrEqual(7788);
    expect(two.port).toBeGreaterThan(one.port);
    await expect(world.start({ host: "192.0.2.1", password: "x" })).rejects.toMatchObject({ path: "host" });
  });

  test("ends at once, whatever is open, and gives the port back", async () => {
    const short = await world.start();
    const reader = new EventReader(short.url, "/api/stream?topics=runs");
    await reader.next("hello");
    // A connection that is kept alive, with nothing under way.
    expect((await fetch(`${short.url}/healthz`)).status).toBe(200);
    await within(900, "the stop", short.stop());
    await short.stop();
    await waitFor(() => reader.ended);
    const again = await world.start({ port: short.port });
    expect(again.port).toBe(short.port);
  });
});
