/**
 * What other pages in the user's browser, other machines and hostile data may try on the dashboard's server. Each test fails
 * when the check that it is about is taken out.
 */
import { connect as connectTcp } from "node:net";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { RunView } from "../../src/protocol/view.ts";
import type { Dashboard } from "../../src/server/index.ts";
import { onCleanup } from "../support/cleanup.ts";
import { SECRET, startDashboardWorld, tokenOf, type DashboardWorld } from "../support/dashboard-world.ts";
import { ask, type Asked } from "../support/http.ts";
import { waitFor } from "../support/wait.ts";

const SCRIPT = `</script><script>alert(1)</script><img src=x onerror=alert(2)>`;
const hostile: RunView = {
  id: "r-1",
  workflow: SCRIPT,
  version: "v1",
  status: "RUNNING",
  input: { text: SCRIPT },
  keys: [{ limit: "l", key: SCRIPT }],
  priority: 0,
  metadata: { [SCRIPT]: SCRIPT },
  createdAt: "2026-01-01T00:00:00.000Z",
  steps: {},
};

let world: DashboardWorld;
let dashboard: Dashboard;
let token: string;
let done: string[];

beforeAll(async () => {
  world = await startDashboardWorld({
    "run.get": () => hostile,
    "run.list": () => ({ items: [hostile] }),
    "run.cancel": ({ id }) => {
      done.push(id);
      return hostile;
    },
  });
  dashboard = await world.start();
  token = await tokenOf(dashboard);
  await ready(dashboard);
});

beforeEach(() => {
  done = [];
});

async function ready({ url }: Dashboard): Promise<void> {
  await waitFor(async () => (await ask(url, "/readyz")).status === 200, { what: "the dashboard to be ready" });
}

/** A cancel as our own page sends it, but for what is given. */
async function cancel(given: Asked["headers"] = {}, from: Dashboard = dashboard): Promise<{ status: number; code?: string }> {
  const headers: Record<string, string> = {
    "content-type": "application/json",
    "sluice-token": token,
    host: `127.0.0.1:${from.port}`,
    ...given,
  };
  for (const name of Object.keys(headers)) if (headers[name] === "") delete headers[name];
  const answer = await ask(from.url, "/api/run.cancel", { method: "POST", headers, body: '{"id":"r-1"}' });
  const error = answer.json().error as { code: string } | undefined;
  return { status: answer.status, ...(error !== undefined && { code: error.code }) };
}

test("our own page may do it all", async () => {
  expect(await cancel({ origin: dashboard.url, "sec-fetch-site": "same-origin" })).toEqual({ status: 200 });
  expect(done).toEqual(["r-1"]);
});

describe("another page", () => {
  test.each(["https://evil.example", "http://localhost:3000", "null"])(
    "at %s cannot change anything, even if it knew the token",
    async (origin) => {
      expect(await cancel({ origin })).toEqual({ status: 403, code: "ORIGIN_REFUSED" });
      expect(done).toEqual([]);
    },
  );

  test("cannot post a form: forms send no JSON, and no header", async () => {
    expect(await cancel({ "content-type": "text/plain" })).toEqual({ status: 415, code: "JSON_NEEDED" });
    expect(await cancel({ "content-type": "application/x-www-form-urlencoded" })).toMatchObject({ status: 415 });
    expect(await cancel({ "content-type": "" })).toMatchObject({ status: 415 });
    expect(await cancel({ "content-type": "text/plain", "sluice-token": "", origin: "https://evil.example" })).toMatchObject({
      status: 403,
    });
    expect(done).toEqual([]);
  });

  test("is allowed nothing by a preflight", async () => {
    const { status, headers } = await ask(dashboard.url, "/api/run.cancel", {
      method: "OPTIONS",
      headers: {
        origin: "https://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,sluice-token",
      },
    });
    expect(status).toBe(403);
    expect(Object.keys(headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
  });

  test.each(["/api/run.list", "/api/about", "/metrics", "/api/stream?topics=runs", "/"])("cannot read %s", async (path) => {
    const fetched = await ask(dashboard.url, path, { headers: { origin: "https://evil.example" } });
    expect({ status: fetched.status, cors: fetched.headers["access-control-allow-origin"] }).toEqual({ status: 403 });
    const image = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" };
    expect(await ask(dashboard.url, path, { headers: image })).toMatchObject({ status: 403 });
    const frame = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" };
    expect(await ask(dashboard.url, path, { headers: frame })).toMatchObject({ status: 403 });
  });

  test("cannot change anything by a link", async () => {
    const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
    expect(await ask(dashboard.url, "/runs", { headers: { ...link, accept: "text/html" } })).toMatchObject({ status: 200 });
    expect(await ask(dashboard.url, "/api/run.cancel?id=r-1", { headers: link })).toMatchObject({ status: 405 });
    expect(done).toEqual([]);
  });

  test("that has given its name our address (DNS rebinding) is refused everything", async () => {
    for (const host of [`evil.example:${dashboard.port}`, "evil.example", `127.0.0.1.evil.example:${dashboard.port}`]) {
      for (const path of ["/", "/runs", "/plain.svg", "/api/run.list", "/api/about", "/metrics", "/api/stream?topics=runs"])
        expect(await ask(dashboard.url, path, { headers: { host } }), `${host} ${path}`).toMatchObject({ status: 403 });
      expect(await cancel({ host, origin: `http://${host}` })).toEqual({ status: 403, code: "HOST_REFUSED" });
    }
    expect(done).toEqual([]);
    const named = await world.start({ allowHosts: ["dash.example.com"] });
    expect(await ask(named.url, "/", { headers: { host: "dash.example.com" } })).toMatchObject({ status: 200 });
  });
});

describe("a write", () => {
  test("without the token is refused", async () => {
    expect(await cancel({ "sluice-token": "" })).toEqual({ status: 403, code: "TOKEN_NEEDED" });
    expect(done).toEqual([]);
  });

  test("with another token is refused, also with that of another start", async () => {
    expect(await cancel({ "sluice-token": "x".repeat(token.length) })).toEqual({ status: 403, code: "TOKEN_NEEDED" });
    const other = await world.start();
    expect(await cancel({ "sluice-token": await tokenOf(other) })).toEqual({ status: 403, code: "TOKEN_NEEDED" });
    expect(done).toEqual([]);
  });

  test("is refused in read-only mode, with everything right; reads are not", async () => {
    const shown = await world.start({ readOnly: true });
    await ready(shown);
    expect(await cancel({ "sluice-token": await tokenOf(shown) }, shown)).toEqual({ status: 403, code: "READ_ONLY" });
    expect(done).toEqual([]);
    expect((await ask(shown.url, "/api/run.list")).status).toBe(200);
    expect((await ask(shown.url, "/api/about")).json()).toMatchObject({ readOnly: true });
  });
});

describe("the password", () => {
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;

  test("is demanded of whoever is reached from other machines", async () => {
    for (const host of ["0.0.0.0", "::", "192.0.2.1"])
      await expect(world.start({ host })).rejects.toMatchObject({ code: "OPTIONS_INVALID", path: "password" });
  });

  test("is asked for by everything that tells something", async () => {
    const locked = await world.start({ host: "0.0.0.0", password: "open sesame" });
    for (const path of ["/", "/runs", "/plain.svg", "/api/run.list", "/api/about", "/api/stream?topics=runs", "/metrics"]) {
      const { status, headers } = await ask(locked.url, path);
      expect({ status, asks: headers["www-authenticate"] }, path).toEqual({
        status: 401,
        asks: expect.stringMatching(/^Basic realm="Sluice"/),
      });
      for (const authorization of [basic("ada:open"), basic("ada:open sesame "), "Bearer open", basic("open sesame:")])
        expect(await ask(locked.url, path, { headers: { authorization } }), path).toMatchObject({ status: 401 });
    }
    expect(await ask(locked.url, "/healthz")).toMatchObject({ status: 200 });
    for (const authorization of [basic("ada:open sesame"), "Bearer open sesame"])
      expect(await ask(locked.url, "/api/about", { headers: { authorization } })).toMatchObject({ status: 200 });
  });

  test("cannot be guessed quickly, over HTTP or WebSockets, and is not told from others by who has guessed too often", async () => {
    const locked = await world.start({ password: "open sesame" });
    const guess = async (password: string): Promise<number> =>
      (await ask(locked.url, "/api/about", { headers: { authorization: basic(`:${password}`) } })).status;
    expect(await guess("open sesame")).toBe(200);
    // A little more than ten where they take longer than a second.
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => guess(`guess-${index}`)));
    expect(answers.filter((status) => status === 401).length).toBeLessThan(20);
    expect(answers.filter((status) => status === 429).length).toBeGreaterThan(80);
    expect(new Set(answers)).toEqual(new Set([401, 429]));
    // Nor does it help to have the right one among them; a second later one more is looked at, so this may take another try.
    const socket = (): Promise<number | undefined> =>
      new Promise((resolve) => {
        const headers = { authorization: basic(":open sesame") };
        const opened = new WebSocket(`${locked.url.replace("http", "ws")}/inspect`, { headers });
        opened.on("unexpected-response", (_, { statusCode }) => resolve(statusCode));
        opened.on("open", () => {
          opened.terminate();
          resolve(101);
        });
        opened.on("error", () => undefined);
      });
    let more = 0;
    for (const right of [() => guess("open sesame"), socket])
      await waitFor(async () => {
        await Promise.all(Array.from({ length: 20 }, () => guess(`more-${more++}`)));
        return (await right()) === 429;
      });
    // Whoever has the password gets in once there is quiet.
    await waitFor(async () => (await guess("open sesame")) === 200, { what: "the dashboard to listen again" });
  });

  test("does not replace the token", async () => {
    const locked = await world.start({ password: "open sesame" });
    const authorization = basic(":open sesame");
    expect(await cancel({ authorization, "sluice-token": "" }, locked)).toEqual({ status: 403, code: "TOKEN_NEEDED" });
    expect(await cancel({ "sluice-token": await tokenOf(locked, { authorization }) }, locked)).toMatchObject({ status: 401 });
  });
});

describe("paths", () => {
  test.each([
    "/../secret.txt",
    "/assets/../../secret.txt",
    "/%2e%2e/secret.txt",
    "/..%2fsecret.txt",
    "/assets/..%2f..%2fsecret.txt",
    "/assets/%2e%2e%2f%2e%2e%2fsecret.txt",
    "/..%5csecret.txt",
    "/..%252fsecret.txt",
    "/link.txt",
    "/plain.svg%00.html",
    "/%",
    "//secret.txt",
    "/./../secret.txt",
  ])("%s does not lead out of the folder", async (path) => {
    for (const accept of ["*/*", "text/html"]) {
      const { status, text } = await ask(dashboard.url, path, { headers: { accept } });
      expect(text).not.toContain(SECRET);
      expect(accept === "text/html" ? [200, 400, 404] : [400, 404]).toContain(status);
    }
  });
});

describe("script in names and inputs", () => {
  test("is served as JSON that no browser takes for a page", async () => {
    const { headers, text, json } = await ask(dashboard.url, "/api/run.get?id=r-1", { headers: { accept: "text/html" } });
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "x-content-type-options": "nosniff",
      "content-security-policy": expect.stringContaining("default-src 'self'"),
    });
    expect(json()).toMatchObject({ input: { text: SCRIPT } });
    expect(text.startsWith("{")).toBe(true);
  });

  test("in an address does not come back in the page, nor in an error that is one", async () => {
    for (const path of [
      `/runs/${encodeURIComponent(SCRIPT)}`,
      `/runs?q=${encodeURIComponent(SCRIPT)}`,
      `/<script>alert(1)</script>`,
    ]) {
      const { text } = await ask(dashboard.url, path.replaceAll("<", "%3C"), { headers: { accept: "text/html" } });
      expect(text).not.toContain("alert(");
    }
    const error = await ask(dashboard.url, `/api/${encodeURIComponent(SCRIPT)}`, { headers: { accept: "text/html" } });
    expect({ status: error.status, type: error.headers["content-type"] }).toEqual({ status: 404, type: "application/json" });
  });
});

describe("WebSockets", () => {
  const open = (path: string, options: { origin?: string; headers?: Record<string, string> } = {}, to = dashboard) =>
    new Promise<number>((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${to.port}${path}`, options);
      onCleanup(() => socket.terminate());
      socket.on("open", () => resolve(101));
      socket.on("unexpected-response", (_, response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      socket.on("error", () => undefined);
    });

  test("are taken from programs and from our own page", async () => {
    expect(await open("/inspect")).toBe(101);
    expect(await open("/inspect", { origin: dashboard.url })).toBe(101);
  });

  test.each(["/inspect", "/inspect/out"])(
    "at %s are refused to pages of others, and to names that are not ours",
    async (path) => {
      expect(await open(path, { origin: "https://evil.example" })).toBe(403);
      expect(await open(path, { origin: "null" })).toBe(403);
      expect(await open(path, { headers: { host: "evil.example" } })).toBe(403);
      expect(await open(path, { origin: "http://evil.example", headers: { host: "evil.example" } })).toBe(403);
    },
  );

  test("need the password where there is one", async () => {
    const locked = await world.start({ password: "open sesame" });
    expect(await open("/inspect", {}, locked)).toBe(401);
    expect(await open("/inspect", { headers: { authorization: "Bearer open sesame" } }, locked)).toBe(101);
  });

  test("are at their paths only", async () => {
    expect(await open("/")).toBe(404);
    expect(await open("/api/stream?topics=runs")).toBe(404);
  });

  test("do not end the server when they are cut in the midst of it", async () => {
    const socket = connectTcp(dashboard.port, "127.0.0.1");
    socket.write(`GET /inspect HTTP/1.1\r\nHost: evil\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n`);
    socket.resetAndDestroy();
    expect((await ask(dashboard.url, "/healthz")).status).toBe(200);
  });
});
