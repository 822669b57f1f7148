/** Rolling restarts under load, of engine nodes and of workers to a new version of the workflow: nobody sees a failed run. */
import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { onCleanup } from "../support/cleanup.ts";
import { waitFor } from "../support/wait.ts";
import { checkRecords } from "./support/check-records.ts";
import { startCluster, tally } from "./support/cluster.ts";

const LEASE = "1s";

it("loses no run while engine nodes and workers are replaced, one after the other, under load", async () => {
  const cluster = await startCluster({
    workflows: ["rolling-1"],
    workers: 2,
    slots: 10,
    engine: { lease: LEASE, dataDir: "engine-0" },
  });
  const engines = [cluster.engine, cluster.launchEngine({ lease: LEASE, dataDir: "engine-1", name: "second" })];
  const before = [...cluster.workers];

  // Events come all the time, one after the other, until everything has been replaced.
  const published: number[] = [];
  let rolling = true;
  onCleanup(() => (rolling = false));
  const load = (async () => {
    for (let n = 0; rolling; n++) {
      // A pace that the workers can keep: what is to be seen is that nothing stands still.
      await delay(10);
      await cluster.client.publish("rolling", { key: `k${n % 20}`, n, ms: 5 });
      published.push(n);
    }
  })();
  const goesOn = async (what: string): Promise<void> => {
    const [sent, started] = [published.length, cluster.starts("rolling").length];
    await waitFor(() => published.length > sent + 30 && cluster.starts("rolling").length > started + 60, {
      timeoutMs: 30_000,
      intervalMs: 100,
      what: `work to go on after ${what}`,
    });
  };
  load.catch(() => undefined);
  await goesOn("the start");

  for (const worker of before) {
    await cluster.startWorker(["rolling-2"], { slots: 10 });
    expect(await worker.stop()).toMatchObject({ code: 0 });
    await goesOn("a worker was replaced");
  }
  for (const [index, engine] of [...engines].entries()) {
    expect(await engine.stop()).toMatchObject({ code: 0 });
    engines.push(cluster.launchEngine({ lease: LEASE, dataDir: `engine-${index}` }));
    await goesOn("an engine node was replaced");
  }
  rolling = false;
  await load;

  const runs = await cluster.ended("rolling", published.length, 60_000);
  expect(tally(runs)).toEqual({ SUCCEEDED: published.length });
  const ofOld = runs.filter(({ steps }) => steps["third"] === undefined);
  const ofNew = runs.filter(({ steps }) => steps["third"] !== undefined);
  expect(ofOld.length).toBeGreaterThan(0);
  expect(ofNew.length).toBeGreaterThan(0);
  const withSteps = (some: typeof runs, steps: readonly string[]): string[] => {
    const ids = new Set(some.map(({ id }) => id));
    return checkRecords(
      cluster.records("rolling").filter(({ run }) => ids.has(run)),
      { events: some.map(({ input }) => (input as { readonly n: number }).n), steps, maxRuns: 2 },
    );
  };
  expect(withSteps(ofOld, ["first", "second"])).toEqual([]);
  expect(withSteps(ofNew, ["first", "second", "third"])).toEqual([]);
  // The limit is one for both versions.
  const spans = cluster.starts("rolling").length;
  expect(spans).toBeGreaterThanOrEqual(2 * ofOld.length + 3 * ofNew.length);
});
