/**
 * `kill -9` in the middle of 1,000 runs over 50 keys: of the engine, of a worker, of the nats-server, of all three at once. What
 * counts is what the handlers saw: every acknowledged event has its one run, no key is ever above its limit, and nothing leaks.
 */
import { describe, expect, it } from "vitest";
import type { RunView } from "sluice";
import type { TestProcess } from "../support/process.ts";
import { waitFor } from "../support/wait.ts";
import { aboveLimit, checkRecords, executionsOf, type Kill, peaks, spansOf, startsOutOfOrder } from "./support/check-records.ts";
import { type Cluster, type EngineStart, numberOf, startCluster, tally, type WorkerStart } from "./support/cluster.ts";
import { type HandlerRecord, now } from "./support/records.ts";

const RUNS = 1_000;
const KEYS = 50;
const MAX_RUNS = 2;
/** Two runs of a key that are admitted together go to two processes, which a busy machine may run in either order. */
const TOGETHER_MS = 250;
/** New runs of keys whose slots are free: far less than any timeout that would free a leaked slot. */
const AT_ONCE_MS = 2_000;

/** Short leases, so that engines take over at once, and a snapshot after few facts, so that they recover from snapshots too. */
const OFTEN = { lease: "500ms", snapshotEvery: 100 } as const;

/** Publishes events one by one with many in flight, and remembers which were acknowledged. */
class Publisher {
  readonly acknowledged: number[] = [];
  readonly #cluster: Cluster;
  #next = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async publish(count: number): Promise<void> {
    const first = this.#next;
    this.#next += count;
    await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const n = first + i;
        await this.#cluster.client.publish("load", { key: `key-${n % KEYS}`, n });
        this.acknowledged.push(n);
      }),
    );
  }
}

/** Starts a cluster, kills in the middle, and checks everything afterwards. */
async function throughKills(
  kill: (cluster: Cluster, killWorker: (worker: TestProcess) => Promise<Kill>) => Promise<void>,
  worker: WorkerStart = {},
  engine: EngineStart = {},
): Promise<{ readonly cluster: Cluster; readonly kills: readonly Kill[] }> {
  const cluster = await startCluster({ workflows: ["load"], workers: 2, slots: 25, worker, engine });
  const kills: Kill[] = [];
  const killWorker = async (process: TestProcess): Promise<Kill> => {
    const { pid } = process;
    await process.kill();
    const one = { pid, at: now() };
    kills.push(one);
    return one;
  };
  const publisher = new Publisher(cluster);
  await publisher.publish(500);
  await waitFor(() => cluster.starts("load", "second").length >= 100, { what: "100 runs to be in their second step" });
  const during = publisher.publish(300);
  const ended = cluster.records("load").filter(({ what, step }) => what === "end" && step === "second").length;
  expect(ended).toBeLessThan(500); // in the middle
  await kill(cluster, killWorker);
  await during;
  await publisher.publish(RUNS - 800);
  await check(cluster, publisher.acknowledged, kills);
  return { cluster, kills };
}

async function check(cluster: Cluster, acknowledged: readonly number[], kills: readonly Kill[]): Promise<void> {
  expect(acknowledged).toHaveLength(RUNS);
  const runs = await cluster.ended("load", RUNS, 40_000);
  expect(tally(runs)).toEqual({ SUCCEEDED: RUNS });
  expect(runs.map(numberOf)).toEqual(Array.from({ length: RUNS }, (_, n) => n));

  // What handlers saw.
  const records = await allEnded(cluster, "load", kills);
  expect(checkRecords(records, { events: acknowledged, steps: ["first", "second"], maxRuns: MAX_RUNS, kills })).toEqual([]);

  // What was recorded: one result per step, and it is that of an execution that came to its end.
  const { executions } = executionsOf(records, kills);
  const completed = new Set(executions.filter(({ killed }) => !killed).map(({ attemptId }) => attemptId));
  const repeated = new Set<string>();
  await inParallel(runs, async (run) => {
    const events: { type: string; data?: unknown }[] = [];
    for await (const event of cluster.client.runs.events(run.id)) events.push(event);
    for (const step of ["first", "second"]) {
      const results = events.filter(({ type }) => type === `xstate.done.actor.${step}`);
      if (results.length !== 1)
        throw new Error(`run ${run.id} has ${results.length} results of step ${step}: ${JSON.stringify(events)}`);
      const output = run.outputs?.[step] as { n: number; attemptId: string };
      if (output.n !== numberOf(run) || !completed.has(output.attemptId))
        throw new Error(`run ${run.id} has an output of step ${step} that no handler returned: ${JSON.stringify(output)}`);
    }
    if (events.filter(({ type }) => type.startsWith("step.started.first")).length > 1) repeated.add(run.id);
  });

  // Within a key, in the order of the events: as the engine admitted them, and as the handlers saw it, except where the first
  // execution was lost with its worker or its assignment.
  expect(admittedOutOfOrder(runs)).toEqual([]);
  const lost = new Set(executions.filter(({ killed }) => killed).map(({ run }) => run));
  expect(startsOutOfOrder(executions, { toleranceMs: TOGETHER_MS, except: new Set([...lost, ...repeated]) })).toEqual([]);

  // No slot has leaked: as many new runs as there are slots start at once.
  const before = now();
  const fresh = Array.from({ length: KEYS * MAX_RUNS }, (_, i) => ({
    event: "load",
    payload: { key: `key-${i % KEYS}`, n: RUNS + i },
  }));
  await cluster.client.publishMany(fresh);
  const started = await waitFor(
    () => {
      const starts = cluster.starts("load", "first").filter(({ n }) => (n ?? 0) >= RUNS);
      return starts.length === fresh.length && starts;
    },
    { what: "new runs to start" },
  );
  expect(Math.max(...started.map(({ at }) => at)) - before).toBeLessThan(AT_ONCE_MS);
  await cluster.ended("load", RUNS + fresh.length);
  for await (const group of cluster.client.groups.list({ limit: "load" })) expect(group).toMatchObject({ active: 0, waiting: 0 });
}

/** The records, once each execution has an end: what was told to stop may take a moment. */
async function allEnded(cluster: Cluster, workflow: string, kills: readonly Kill[]): Promise<HandlerRecord[]> {
  return await waitFor(
    () => {
      const seen = cluster.records(workflow);
      const { problems } = executionsOf(seen, kills);
      if (problems.length > 0) throw new Error(problems.slice(0, 3).join("; "));
      return seen;
    },
    { what: "every execution to have ended" },
  );
}

function admittedOutOfOrder(runs: readonly RunView[]): string[] {
  const problems: string[] = [];
  const latest = new Map<string, RunView>();
  for (const run of runs.toSorted((a, b) => (a.event?.seq ?? 0) - (b.event?.seq ?? 0))) {
    const key = run.keys[0]?.key ?? "";
    const before = latest.get(key);
    if (before !== undefined && (run.admittedAt ?? "") < (before.admittedAt ?? ""))
      problems.push(
        `${key}: event ${run.event?.seq} was admitted at ${run.admittedAt}, event ${before.event?.seq} at ${before.admittedAt}`,
      );
    latest.set(key, run);
  }
  return problems;
}

async function inParallel<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await act(item);
    }),
  );
}

describe("1,000 runs over 50 keys", () => {
  it("survive a kill -9 of the engine", async () => {
    await throughKills(async (cluster) => {
      await cluster.engine.kill();
      await cluster.startEngine();
    });
  });

  it("survive a kill -9 of a worker, whose steps run elsewhere within 3 s of its last missed heartbeat", async () => {
    // The defaults: a heartbeat each second, taken for dead after 3 s of silence. The last heartbeat that can have been missed
    // is due when the deadline ends.
    const { cluster, kills } = await throughKills(async (current, killWorker) => {
      const worker = current.workers[0] as TestProcess;
      const running = (): number =>
        current
          .records("load")
          .filter(({ pid }) => pid === worker.pid)
          .reduce((sum, { what }) => sum + (what === "start" ? 1 : -1), 0);
      await waitFor(() => running() >= 5, { what: "the worker to execute steps", intervalMs: 1 });
      await killWorker(worker);
    });
    const [killed] = kills;
    const { executions } = executionsOf(cluster.records("load"), kills);
    const orphans = executions.filter((execution) => execution.killed);
    expect(orphans.length).toBeGreaterThan(0);
    const waits = orphans.map(({ run, step, from }) => {
      const next = executions.find((other) => other.run === run && other.step === step && other.from > from);
      return (next?.from ?? Infinity) - (killed?.at ?? 0);
    });
    console.log(
      `${orphans.length} steps of a killed worker ran elsewhere ${Math.min(...waits).toFixed(0)} to ${Math.max(...waits).toFixed(0)} ms after the kill`,
    );
    expect(Math.max(...waits)).toBeLessThan(3_000 + 3_000);
  });

  it("survive a kill -9 of the nats-server, started again on the same folder", async () => {
    await throughKills(async ({ server }) => {
      await server.kill();
      await server.restart();
    });
  });

  it("survive a kill -9 of all three at once", async () => {
    await throughKills(
      async (cluster, killWorker) => {
        await Promise.all([cluster.server.kill(), cluster.engine.kill(), killWorker(cluster.workers[0] as TestProcess)]);
        await cluster.server.restart();
        await Promise.all([cluster.startEngine(OFTEN), cluster.startWorker(["load"], { slots: 25 })]);
      },
      { heartbeat: "250ms", deadline: "1s" },
      OFTEN,
    );
  });
});

describe("runs that wait for a worker to compute their keys and for several limits", () => {
  it.each(["by-function", "tangled"])(
    "survive one kill -9 of the engine after the other, and of a worker (%s)",
    async (workflow) => {
      const cluster = await startCluster({
        workflows: ["tangled"],
        workers: 2,
        slots: 10,
        engine: OFTEN,
        worker: { heartbeat: "250ms", deadline: "1s" },
      });
      const acknowledged: number[] = [];
      const unsure: number[] = [];
      const kills: Kill[] = [];
      // Each third input is too large to be carried along; each sixth run is started by a call, whose answer the kill may swallow.
      const inputOf = (n: number) => ({
        key: `key-${n % 15}`,
        n,
        ms: 10,
        ...(n % 3 === 0 && { text: "x".repeat(1_000 + n), characters: 1_000 + n }),
      });
      const caller = await cluster.connect({ timeout: "3s" });
      const start = async (n: number): Promise<void> => {
        try {
          await (n % 6 === 0 ? caller.run(workflow, inputOf(n)) : cluster.client.publish(workflow, inputOf(n)));
          acknowledged.push(n);
        } catch (error) {
          if (n % 6 !== 0) throw error;
          unsure.push(n);
        }
      };
      let publishing = true;
      const published = (async () => {
        for (let n = 0; publishing; n += 5) {
          await Promise.all(Array.from({ length: 5 }, (_, i) => start(n + i)));
          await waitFor(() => cluster.starts(workflow, "second").length > n - 100, {
            timeoutMs: 30_000,
            what: "the runs to keep up",
          });
        }
      })();
      for (let life = 0; life < 3; life++) {
        const before = cluster.starts(workflow, "second").length;
        await waitFor(() => cluster.starts(workflow, "second").length > before + 60, { timeoutMs: 30_000, what: "60 more runs" });
        const { pid } = cluster.workers[0] as TestProcess;
        await Promise.all([cluster.engine.kill(), life === 1 ? cluster.workers[0]?.kill() : undefined]);
        if (life === 1) kills.push({ pid, at: now() });
        await cluster.startEngine(OFTEN);
      }
      publishing = false;
      await published;
      const runs = await cluster.ended(workflow, acknowledged.length, 40_000);
      expect(runs.filter(({ status }) => status !== "SUCCEEDED")).toEqual([]);
      const records = await allEnded(cluster, workflow, kills);
      expect(checkRecords(records, { events: acknowledged, unsure, steps: ["first", "second"], maxRuns: 2, kills })).toEqual([]);
      const spans = spansOf(executionsOf(records, kills).executions);
      if (workflow === "tangled")
        expect(peaks(spans.map((span) => ({ ...span, key: "all" }))).get("all")).toBeLessThanOrEqual(12);
      expect(admittedOutOfOrder(runs.filter(({ event }) => event !== undefined))).toEqual([]);
      for await (const group of cluster.client.groups.list()) expect(group).toMatchObject({ active: 0, waiting: 0 });
    },
  );
});

describe("runs that replace each other (CANCEL_IN_PROGRESS)", () => {
  it("survive kills of the engine, of a worker and of the nats-server: of each key the newest succeeds, and never do two run", async () => {
    const cluster = await startCluster({
      workflows: ["tangled"],
      workers: 2,
      slots: 20,
      engine: OFTEN,
      worker: { heartbeat: "250ms", deadline: "1s" },
    });
    const keys = 20;
    const rounds = 12;
    const kills: Kill[] = [];
    const kill: Record<number, () => Promise<unknown>> = {
      3: async () => {
        await cluster.engine.kill();
        void cluster.startEngine(OFTEN);
      },
      6: async () => {
        const { pid } = cluster.workers[0] as TestProcess;
        await cluster.workers[0]?.kill();
        kills.push({ pid, at: now() });
      },
      9: async () => {
        await cluster.server.kill();
        await cluster.server.restart();
      },
    };
    for (let round = 0; round < rounds; round++) {
      // All but the last would run for ever.
      const ms = round === rounds - 1 ? 10 : 60_000;
      await Promise.all(
        Array.from({ length: keys }, (_, key) =>
          cluster.client.publish("replacing", { key: `key-${key}`, n: round * keys + key, ms }),
        ),
      );
      const newest = (): number =>
        cluster.starts("replacing", "first").filter(({ n }) => Math.floor((n ?? 0) / keys) >= round - 1).length;
      await waitFor(() => newest() > keys / 2, { timeoutMs: 20_000, what: `round ${round} to start` });
      await kill[round]?.();
    }
    const runs = await cluster.ended("replacing", keys * rounds, 40_000);
    expect(tally(runs.slice(0, -keys))).toEqual({ "CANCELLED CANCELLED_BY_CONCURRENCY_LIMIT": keys * (rounds - 1) });
    expect(tally(runs.slice(-keys))).toEqual({ SUCCEEDED: keys });
    const { executions } = executionsOf(await allEnded(cluster, "replacing", kills), kills);
    expect(aboveLimit(spansOf(executions), 1)).toEqual([]);
    for await (const group of cluster.client.groups.list()) expect(group).toMatchObject({ active: 0, waiting: 0 });
  });
});
