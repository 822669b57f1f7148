/**
 * Events that come much faster than the workers handle them: publishers are not held up, the engine's memory grows by a bounded amount for
 * each run that waits, its latency and what holds it back can be seen, and in the end everything is done, once.
 * `SLUICE_TEST_SCALE` (default 1) makes it that many times as many.
 */
import { expect, it } from "vitest";
import { waitFor } from "../support/wait.ts";
import { type Cluster, numberOf, startCluster } from "./support/cluster.ts";

const SCALE = Number(process.env["SLUICE_TEST_SCALE"] ?? 1);
const SMALL = 4_000 * SCALE;
const LARGE = 20_000 * SCALE;
const KEYS = 100;
const WAIT_MS = 40_000 * (1 + SCALE);

/**
 * What each run that waits may take of the engine's memory, in bytes, with all that its heap has not given back yet. Behind a limit it is
 * one small object; without one it is admitted at once, and is a machine that waits for a worker.
 */
const FLOODS = [
  {
    workflow: "flood",
    bound: 16_000,
    waiting: "sluice_steps_waiting",
    sentence: /all 2 worker slots are in use, and \d+ steps wait for one/,
  },
  {
    workflow: "keyed-flood",
    bound: 8_000,
    waiting: "sluice_runs_waiting",
    sentence: /\d+ runs wait behind limits, most of all behind limit "keyed-flood" for key/,
  },
] as const;

/** The value of a metric without labels. */
function valueOf(metrics: string, name: string): number {
  const line = metrics.split("\n").find((one) => one.startsWith(`${name} `));
  if (line === undefined) throw new Error(`there is no metric ${name}`);
  return Number(line.slice(name.length));
}

function scraper(cluster: Cluster): (name: string) => Promise<number> {
  const address = /http:\/\/127\.0\.0\.1:\d+/.exec(cluster.engine.stderr)?.[0] ?? "";
  return async (name) => valueOf(await (await fetch(`${address}/metrics`)).text(), name);
}

it.each(FLOODS)(
  "A flood of events holds up no publisher, fills no memory, is seen, and gets done ($workflow)",
  { timeout: 2 * WAIT_MS },
  async ({ workflow, bound, waiting, sentence }) => {
    const cluster = await startCluster({ engine: { dashboard: true } });
    const metric = scraper(cluster);
    await cluster.startWorker(["flood"], { slots: 2, name: "slow", env: { SLUICE_TEST_SLOWNESS_MS: "100" } });
    let published = 0;
    const publishUpTo = async (count: number): Promise<void> => {
      const events = Array.from({ length: count - published }, (_, i) => ({
        event: workflow,
        payload: { key: `key-${i % KEYS}`, n: published + i },
      }));
      published = count;
      await cluster.client.publishMany(events);
    };
    /** The engine's memory once all that was published waits. */
    const memory = async (): Promise<number> => {
      const done = `${published} runs to be there`;
      await waitFor(async () => (await metric("sluice_runs_live")) > published * 0.9, { timeoutMs: WAIT_MS, what: done });
      await waitFor(async () => (await metric("sluice_events_behind")) === 0, {
        timeoutMs: WAIT_MS,
        what: "no event to be unseen",
      });
      return await metric("process_resident_memory_bytes");
    };
    await publishUpTo(SMALL);
    const small = await memory();

    // The engine does nothing at all for a while: whoever publishes does not notice.
    cluster.engine.child.kill("SIGSTOP");
    await publishUpTo(LARGE / 2).finally(() => cluster.engine.child.kill("SIGCONT"));
    await publishUpTo(LARGE);
    const large = await memory();
    const perRun = (large - small) / (LARGE - SMALL);
    console.log(`${workflow}: ${Math.round(perRun)} bytes of the engine's memory for each run that waits`);
    expect(perRun).toBeLessThan(bound);

    // What holds it back, for people, and how much, for programs.
    expect(await metric(waiting)).toBeGreaterThan(LARGE * 0.8);
    const health = await waitFor(
      async () => {
        const view = await cluster.client.health();
        return sentence.test(view.sentence) && view;
      },
      { what: "the health line to say what holds it back" },
    );
    expect(health.slots).toEqual({ used: 2, total: 2 });
    const latency = async (): Promise<number> =>
      (await metric("sluice_run_start_seconds_sum")) / (await metric("sluice_run_start_seconds_count"));
    const before = await latency();

    await cluster.startWorker(["flood"], { slots: 1_000, name: "fast" });
    await waitFor(async () => (await metric("sluice_runs_live")) === 0, {
      timeoutMs: WAIT_MS,
      intervalMs: 50,
      what: "all to be done",
    });
    // Those that came last waited longest.
    expect(await latency()).toBeGreaterThan(before);
    const runs = await cluster.ended(workflow, LARGE, WAIT_MS);
    expect(runs.map(numberOf)).toEqual(Array.from({ length: LARGE }, (_, n) => n));
    expect(runs.filter(({ status }) => status !== "SUCCEEDED")).toEqual([]);
  },
);
