/**
 * What more engine processes and more partitions cost, or bring: throughput with 1, 2 and 3 engines and 8, 16 and 32 partitions, what one
 * partition can do at most, and memory and CPU of many idle groups. On a machine with few cores it shows the overhead.
 */
import { connect as connectNats } from "@nats-io/transport-node";
import { connect } from "sluice";
import { Engines } from "./engines.ts";
import { countSucceeded, cpuMs, now, until, withLab } from "./lab.ts";
import { record } from "./report.ts";

export interface ScaleOptions {
  /** Share of the full size. */
  readonly size: number;
  readonly repeat: number;
  readonly servers: number;
}

export async function scale({ size, repeat, servers }: ScaleOptions): Promise<void> {
  const runs = Math.round(40_000 * size);
  for (const engines of [1, 2, 3])
    for (const partitions of engines === 1 ? [1, 8, 16, 32] : [8, 16, 32])
      await throughput({ engines, partitions, runs, repeat, servers });
}

/** Memory and CPU of groups in which nothing happens, with one engine and with three. */
export async function idle({ size, servers }: Omit<ScaleOptions, "repeat">): Promise<void> {
  const groups = Math.round(100_000 * size);
  for (const engines of [1, 3]) await idleGroups({ engines, groups, seconds: size < 1 ? 3 : 10, servers });
}

interface Throughput {
  readonly engines: number;
  readonly partitions: number;
  readonly runs: number;
  readonly repeat: number;
  readonly servers: number;
}

async function throughput({ engines: count, partitions, runs, repeat, servers }: Throughput): Promise<void> {
  const samples: number[] = [];
  const engineUs: number[] = [];
  let how = "";
  for (let i = 0; i < repeat; i++)
    await withLab(
      async (lab) => {
        const nats = await connectNats({ servers: lab.urls.split(",") });
        const engines = new Engines(lab, nats, { count, lease: "3s", partitions, replicas: servers });
        await engines.start();
        how = count === 1 || (await engines.shares()) ? "" : " (one has all)";
        await lab.start("worker-process.ts", lab.urls, "1000", "keyed");
        const publisher = await lab.start("publisher-process.ts", lab.urls);
        const succeeded = countSucceeded(nats, "keyed");
        await nats.flush();
        const order = { event: "bench.keyed", keys: 100, mode: "bulk", inFlight: 256 };
        const warm = Math.min(5_000, runs);
        publisher.process.send({ ...order, count: warm });
        await succeeded.reach(warm);
        const usage = () => Promise.all(engines.all.map((engine) => engine.usage()));
        const before = await usage();
        const began = now();
        publisher.process.send({ ...order, count: runs });
        const ended = await succeeded.reach(warm + runs);
        const after = await usage();
        samples.push((runs / (ended - began)) * 1_000);
        const spent = after.reduce((sum, one, index) => sum + cpuMs(before[index] ?? one, one), 0);
        engineUs.push((spent / runs) * 1_000);
        await nats.close();
      },
      { servers },
    );
  const label = `${count} ${count === 1 ? "engine" : "engines"}${how}, ${partitions} ${partitions === 1 ? "partition" : "partitions"}`;
  record(`throughput, ${label}`, "runs/s", samples);
  record(`  CPU of all engines per run, ${label}`, "µs", engineUs);
}

interface IdleGroups {
  readonly engines: number;
  readonly groups: number;
  readonly seconds: number;
  readonly servers: number;
}

/** Each has one run that waits for a worker that never comes. */
async function idleGroups({ engines: count, groups, seconds, servers }: IdleGroups): Promise<void> {
  await withLab(
    async (lab) => {
      const urls = lab.urls.split(",");
      const nats = await connectNats({ servers: urls });
      const engines = new Engines(lab, nats, { count, lease: "3s", partitions: 8, replicas: servers });
      await engines.start();
      const how = count === 1 || (await engines.shares()) ? "" : " (one has all)";
      await (await lab.start("worker-process.ts", lab.urls, "1", "waiting")).stop();
      const client = await connect({ servers: urls, timeout: "60s" });
      const memory = async (): Promise<number> => {
        const all = await Promise.all(engines.all.map((engine) => engine.usage("memory")));
        return all.reduce((sum, { heapUsed, external }) => sum + heapUsed + external, 0);
      };
      const empty = await memory();
      const publisher = await lab.start("publisher-process.ts", lab.urls);
      publisher.process.send({ event: "bench.waiting", count: groups, keys: groups, mode: "bulk", inFlight: 256 });
      await until(async () => (await client.health()).live >= groups);
      const label = `${groups} idle groups, ${count} ${count === 1 ? "engine" : "engines"}${how}`;
      record(`memory per group, ${label}`, "bytes", [((await memory()) - empty) / groups]);
      // Garbage and what came last are dealt with before.
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      const before = await Promise.all(engines.all.map((engine) => engine.usage()));
      await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
      const after = await Promise.all(engines.all.map((engine) => engine.usage()));
      const spent = after.reduce((sum, one, index) => sum + cpuMs(before[index] ?? one, one), 0);
      record(`CPU of all engines, ${label}`, "% core", [spent / seconds / 10]);
      await client.close();
      await nats.close();
    },
    { servers },
  );
}
