/** `/api/stream` over real HTTP and a real nats-server: what comes, coming back, slow readers, and nothing while nobody looks. */
import { beforeAll, beforeEach, expect, test } from "vitest";
import type { RunChangeMessage } from "../../src/protocol/view.ts";
import type { Dashboard } from "../../src/server/index.ts";
import { startDashboardWorld, type DashboardWorld } from "../support/dashboard-world.ts";
import { ask, EventReader } from "../support/http.ts";
import { waitFor } from "../support/wait.ts";

let world: DashboardWorld;
let dashboard: Dashboard;
const asked = { groups: 0, workers: 0, health: 0 };
/** Answers of `group.list` are made to differ, and large. */
let paddingChars = 0;

beforeAll(async () => {
  world = await startDashboardWorld({
    "worker.list": () => {
      asked.workers++;
      return { items: [] };
    },
    "group.list": () => {
      asked.groups++;
      const key = `${asked.groups}${"x".repeat(paddingChars)}`;
      return {
        items: [
          {
            limit: "per-user",
            key,
            strategy: "GROUP_ROUND_ROBIN",
            maxRuns: 1,
            paused: false,
            active: 1,
            stopping: 0,
            waiting: 30,
            activeRuns: ["r-1"],
            waitingRuns: Array.from({ length: 30 }, (_, i) => `w-${i}`),
            startsPerMinute: 1,
          },
        ],
        total: 1,
      };
    },
    "health.get": () => {
      asked.health++;
      return {
        verdict: "flowing",
        sentence: "All is well.",
        at: new Date().toISOString(),
        live: 1,
        waiting: 0,
        active: 1,
        startsPerMinute: 0,
        finishesPerMinute: 0,
        slots: { used: 0, total: 0 },
        heldBackBy: [],
        noWorkerFor: [],
        historyBehindMs: 0,
        rejected: 0,
      };
    },
  });
});

beforeEach(async () => {
  paddingChars = 0;
  dashboard = await world.start();
  await waitFor(async () => (await ask(dashboard.url, "/readyz")).status === 200);
});

function change(id: string, fields: Partial<RunChangeMessage> = {}): void {
  world.engine.change({ id, workflow: "answer", change: "started", at: new Date().toISOString(), status: "RUNNING", ...fields });
}

/** A message to a subject without subscribers comes back as "no responders": that tells whether anyone listens. */
async function watching(): Promise<boolean> {
  const subject = world.engine.names.runChange("answer", "probe", "probe");
  try {
    await world.engine.connection.request(subject, "{}", { timeoutMs: 200 });
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "REQUEST_TIMED_OUT";
  }
}

test("tells of changes, and of the state of things at once", async () => {
  const reader = new EventReader(dashboard.url, "/api/stream?topics=runs,groups,workers,health");
  expect(await reader.next("hello")).toMatchObject({ node: expect.any(String), startedAt: expect.any(String) });
  expect(reader.headers).toMatchObject({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  expect(await reader.next("workers")).toEqual({ items: [] });
  expect(await reader.next("health")).toMatchObject({ verdict: "flowing" });
  const groups = await reader.next("groups");
  expect(groups.items[0].waitingRuns).toHaveLength(20);
  expect(groups.items[0].waiting).toBe(30);
  await waitFor(watching);
  change("r-1", { outputs: { secret: 1 }, error: { name: "E", message: "m", token: "abc" } as never });
  expect(await reader.next("runs")).toEqual({
    changes: [expect.objectContaining({ id: "r-1", status: "RUNNING", error: { name: "E", message: "m", token: "[redacted]" } })],
    more: 0,
  });
  expect(reader.of("runs")[0].changes[0]).not.toHaveProperty("outputs");
  expect(reader.events.every(({ id }) => /^[0-9a-z]+-\d+$/.test(id))).toBe(true);
});

test("goes on after a cut without a gap, by header and by address", async () => {
  const first = new EventReader(dashboard.url, "/api/stream?topics=runs");
  await first.next("hello");
  await waitFor(watching);
  change("r-1");
  await first.next("runs");
  first.close();
  await waitFor(() => first.ended);
  change("r-2");
  change("r-3");
  const byHeader = new EventReader(dashboard.url, "/api/stream?topics=runs", { "last-event-id": first.lastId });
  expect(await byHeader.next("runs")).toMatchObject({ changes: [{ id: "r-2" }, { id: "r-3" }] });
  const byAddress = new EventReader(dashboard.url, `/api/stream?topics=runs&last=${first.lastId}`);
  expect(await byAddress.next("runs")).toMatchObject({ changes: [{ id: "r-2" }, { id: "r-3" }] });
  expect([...byHeader.events, ...byAddress.events].filter(({ event }) => event === "reset")).toEqual([]);
});

test("says that something was missed to who comes from another start", async () => {
  const first = new EventReader(dashboard.url, "/api/stream?topics=runs");
  await first.next("hello");
  const other = await world.start();
  const reader = new EventReader(other.url, "/api/stream?topics=runs", { "last-event-id": first.lastId });
  await reader.next("reset");
  expect(reader.events.map(({ event }) => event)).toEqual(["hello", "reset"]);
});

test("asks for no more than the changes of one run, where that is all that is watched", async () => {
  const reader = new EventReader(dashboard.url, "/api/stream?topics=run:r-1");
  await reader.next("hello");
  // Nobody has subscribed to the changes of other runs.
  expect(await watching()).toBe(false);
  change("r-1");
  change("r-2");
  expect(await reader.next("run")).toMatchObject({ id: "r-1", change: { status: "RUNNING" } });
});

test("cuts off a reader that does not keep up, rather than hold ever more for it", async () => {
  paddingChars = 900_000;
  const slow = new EventReader(dashboard.url, "/api/stream?topics=groups");
  await slow.next("groups");
  slow.pause();
  const quick = new EventReader(dashboard.url, "/api/stream?topics=groups");
  await quick.next("groups");
  await waitFor(async () => /^sluice_dashboard_streams 1$/m.test((await ask(dashboard.url, "/metrics")).text), {
    timeoutMs: 30_000,
    what: "the slow reader to be cut off",
  });
  expect(quick.ended).toBe(false);
  slow.resume();
  await waitFor(() => slow.ended);
});

test("costs nothing while nobody looks: no subscription, nothing asked", async () => {
  expect(await watching()).toBe(false);
  const before = { ...asked };
  await ask(dashboard.url, "/runs", { headers: { accept: "text/html" } });
  await ask(dashboard.url, "/api/about");
  expect({ ...asked, workers: asked.workers - 1 }).toEqual(before);
  const reader = new EventReader(dashboard.url, "/api/stream?topics=runs,groups,health");
  await reader.next("groups");
  await waitFor(watching);
  await dashboard.stop();
  await waitFor(async () => !(await watching()));
});
