/**
 * The journals that earlier releases have left (`test/fixtures/journals`), read by this one: every run goes on to its right end, and nothing is
 * done twice.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { connect as connectNats } from "@nats-io/transport-node";
import { pino } from "pino";
import { expect, it } from "vitest";
import { connect, type RunView, startWorker } from "../../src/index.ts";
import { startEngine } from "../../src/engine/index.ts";
import { restoreStreams, type StreamCopy } from "../fixtures/journals/stream-copy.ts";
import { active, openGate, type Script, unkeyed, workflows } from "../fixtures/journals/workflows.ts";
import { onCleanup } from "../support/cleanup.ts";
import { startTestServer } from "../support/nats.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

interface Expected {
  readonly id: string;
  readonly workflow: string;
  readonly label: string;
  /** At the time of the recording. */
  readonly ended: boolean;
  readonly status: string;
  readonly reason?: string;
}

const FIXTURES = fileURLToPath(new URL("../fixtures/journals/", import.meta.url));
const logger = pino({ level: "silent" });
const releases = readdirSync(FIXTURES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

it("has a fixture of each release", () => {
  expect(releases).toContain("0.1.0");
});

it.each(releases)("goes on with what release %s has left", async (release) => {
  const copies = JSON.parse(gunzipSync(readFileSync(`${FIXTURES}${release}/streams.json.gz`)).toString()) as StreamCopy[];
  const expected = JSON.parse(readFileSync(`${FIXTURES}${release}/runs.json`, "utf8")) as Expected[];
  const live = expected.filter(({ ended }) => !ended);
  const server = await startTestServer();
  const nats = await connectNats({ servers: server.url });
  onCleanup(() => nats.close());
  await restoreStreams(nats, copies);
  // Timers of some hours are part of it, and it may have been recorded just now.
  const { now } = Date;
  Date.now = () => now() + 86_400_000;
  onCleanup(() => (Date.now = now));

  const options = { servers: server.url, logger };
  const engine = await startEngine({ ...options, dataDir: await temporaryFolder(), lease: "500ms" });
  onCleanup(() => engine.stop());
  const client = await connect({ ...options, timeout: "10s" });
  onCleanup(() => client.close());
  // Nothing is decided anew: the key's own limit and its pause are there as they were.
  const ofKey = (key: string): Promise<object> => client.groups.get({ limit: "group-round-robin", key });
  expect(await ofKey("wide")).toMatchObject({ maxRuns: 2, active: 2, waiting: 1 });
  expect(await ofKey("paused")).toMatchObject({ paused: true, active: 0, waiting: 1 });

  const worker = await startWorker({ ...options, workflows: [...workflows, unkeyed], slots: 100 });
  onCleanup(() => worker.stop());
  openGate("*");
  await client.groups.resume({ limit: "group-round-robin", key: "paused" });
  const labelOf = (run: RunView): string => (run.input as Script).label;
  const found = async (): Promise<Map<string, RunView>> => {
    const runs = new Map<string, RunView>();
    for await (const { id, workflow } of client.runs.list({ size: 1_000 })) {
      if (workflow === "ticking") continue;
      const run = await client.runs.get(id);
      const label = labelOf(run);
      if (runs.has(label)) throw new Error(`there are two runs of ${label}: ${id}, ${runs.get(label)?.id ?? ""}`);
      runs.set(label, run);
    }
    return runs;
  };
  const outcome = (runs: ReadonlyMap<string, RunView>): object =>
    Object.fromEntries(live.map(({ label }) => [label, runs.get(label)?.status ?? "missing"]));
  const right = Object.fromEntries(live.map(({ label, status }) => [label, status]));
  await waitFor(
    async () => {
      for await (const { workflow, status } of client.runs.list({ size: 1_000 }))
        if (workflow !== "ticking" && (status === "QUEUED" || status === "RUNNING")) return false;
      return true;
    },
    { timeoutMs: 40_000, intervalMs: 100, what: "every run to have ended" },
  ).catch(() => undefined);

  const runs = await found();
  expect(outcome(runs)).toEqual(right);
  for (const { id, label, status, reason, ended } of expected) {
    const run = runs.get(label);
    // What had ended before a snapshot is known to the history of that node alone.
    if (run === undefined && ended) continue;
    expect(run, label).toMatchObject({ status, ...(id !== "" && { id }), ...(reason !== undefined && { reason }) });
    if (status === "SUCCEEDED") expect(new Set(Object.values(run?.outputs ?? {})), label).toEqual(new Set([label]));
  }
  expect(runs.get("retrying")?.steps["only"]?.attempts).toBe(2);
  // Its result was in the inbox when the engine was killed: the step is not executed again.
  expect(runs.get("graph-half")?.steps["right"]?.attempts).toBe(1);
  expect(runs.get("direct")).toMatchObject({ priority: 3, metadata: { source: "recorded" } });
  expect([...runs.keys()].toSorted()).toEqual(
    [...runs.keys()].filter((label) => expected.some((one) => one.label === label)).toSorted(),
  );
  for (const [id, { most }] of active)
    if (!/^(graph|retrying|scheduled|ticking|two-limits|failing) /.test(id))
      expect(most, id).toBeLessThanOrEqual(id.endsWith(" wide") ? 2 : 1);
  await waitFor(
    async () =>
      (await client.runs.list({ workflow: "ticking", status: "SUCCEEDED", since: new Date(Date.now() - 60_000).toISOString() }))
        .items.length > 1,
    { what: "the cron to tick" },
  );
});
