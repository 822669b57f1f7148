/**
 * The benchmark: every part is a process of its own (nats-server, engine, worker, publisher), fresh for each sample. It
 * measures and asserts nothing. `npm run bench`, with `-- --json` for one JSON object on the last line, `--only <name>` for a
 * part of it, `--quick` for smaller sizes, `--repeat <n>` for more samples. Writes bench-results.json. Of `failover`, `scale` and `idle`:
 * `--servers 3` for a NATS cluster; of `failover`: `--kills <n>`, `--lease <duration>`, `--engines <n>`.
 */
import { writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect as connectNats } from "@nats-io/transport-node";
import { connect } from "sluice";
import { failover } from "./failover.ts";
import { binary, countSucceeded, cpuMs, now, withLab } from "./lab.ts";
import { format, percentile, record, rows } from "./report.ts";
import { idle, scale } from "./scale.ts";

const USAGE = `npm run bench -- [--only single,bulk,latency,bare,backlog,groups,failover,scale,idle] [--quick] [--repeat 3] [--json]
  of failover, scale and idle: [--servers 3]; of failover: [--kills 50] [--lease 3s] [--engines 3]`;

const flags = readFlags();
const SCALE = flags.quick === true ? 0.1 : 1;
const REPEAT = flags.quick === true ? 1 : Number(flags.repeat);
function readFlags() {
  try {
    const { values } = parseArgs({
      options: {
        help: { type: "boolean" },
        json: { type: "boolean" },
        quick: { type: "boolean" },
        only: { type: "string" },
        repeat: { type: "string", default: "3" },
        kills: { type: "string", default: "50" },
        lease: { type: "string", default: "3s" },
        engines: { type: "string", default: "3" },
        servers: { type: "string", default: "1" },
      },
    });
    if (values.help !== true) return values;
    console.log(USAGE);
    process.exit(0);
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    process.exit(2);
  }
}

async function throughput(mode: "single" | "bulk"): Promise<void> {
  const count = Math.round((mode === "single" ? 50_000 : 100_000) * SCALE);
  const samples: number[] = [];
  const engineUs: number[] = [];
  const workerUs: number[] = [];
  for (let i = 0; i < REPEAT; i++)
    await withLab(async ({ server, folder, start }) => {
      const engine = await start("engine-process.ts", server.url, folder);
      const worker = await start("worker-process.ts", server.url, "1000");
      const publisher = await start("publisher-process.ts", server.url);
      const nats = await connectNats({ servers: server.url });
      const succeeded = countSucceeded(nats, "keyed");
      const order = { event: "bench.keyed", keys: 100, mode, inFlight: 256 };
      publisher.process.send({ ...order, count: 5_000 });
      await succeeded.reach(5_000);
      const [engineBefore, workerBefore] = [await engine.usage(), await worker.usage()];
      const began = now();
      publisher.process.send({ ...order, count });
      const ended = await succeeded.reach(5_000 + count);
      samples.push((count / (ended - began)) * 1_000);
      engineUs.push((cpuMs(engineBefore, await engine.usage()) / count) * 1_000);
      workerUs.push((cpuMs(workerBefore, await worker.usage()) / count) * 1_000);
      await nats.close();
    });
  const how = mode === "single" ? "published one by one" : "published in bulk";
  record(`throughput, 100 keys, ${how}`, "runs/s", samples);
  record(`  CPU of the engine per run, ${how}`, "µs", engineUs);
  record(`  CPU of the worker per run, ${how}`, "µs", workerUs);
}

async function latency(): Promise<void> {
  const count = Math.round(2_000 * SCALE);
  const toStart: number[] = [];
  const toSuccess: number[] = [];
  await withLab(async ({ server, folder, start }) => {
    await start("engine-process.ts", server.url, folder);
    const worker = await start("worker-process.ts", server.url, "1000");
    const nats = await connectNats({ servers: server.url });
    const client = await connect({ servers: server.url });
    let succeeded: () => void = () => undefined;
    nats.subscribe("sluice.runs.timed.*.succeeded", { callback: () => succeeded() });
    await nats.flush();
    const starts: [number, number][] = [];
    worker.on((message) => {
      if (message["started"] !== undefined) starts.push(message["started"] as [number, number]);
    });
    const one = async (i: number): Promise<number> => {
      const done = new Promise<void>((resolve) => (succeeded = resolve));
      const sentAt = now();
      await client.publish("bench.timed", { key: `k${i % 10}`, sentAt });
      await done;
      return now() - sentAt;
    };
    for (let i = 0; i < 300; i++) await one(i);
    starts.length = 0;
    for (let i = 0; i < count; i++) {
      toSuccess.push(await one(i));
      // Idle in between: a burst would measure something else.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    toStart.push(...starts.map(([sentAt, at]) => at - sentAt));
    await client.close();
    await nats.close();
  });
  for (const [name, samples] of [
    ["handler start", toStart],
    ["recorded success", toSuccess],
  ] as const) {
    const sorted = samples.sort((a, b) => a - b);
    record(`idle latency, publish to ${name}, p50`, "ms", [percentile(sorted, 50)]);
    record(`idle latency, publish to ${name}, p99`, "ms", [percentile(sorted, 99)]);
  }
}

/** Waiting runs in `keys` groups: memory, idle CPU, recovery, and what an admission costs. */
async function backlog(waiting: number, keys: number): Promise<void> {
  const workflow = keys === 1 ? "backlog" : "groups";
  const active = keys === 1 ? 10 : keys;
  const count = keys === 1 ? waiting + active : keys;
  const label = keys === 1 ? `${waiting} waiting in one group` : `${keys} groups`;
  await withLab(async ({ server, folder, start }) => {
    let engine = await start("engine-process.ts", server.url, folder);
    // The workflows are registered, and nobody serves them: runs pile up.
    const registrar = await start("worker-process.ts", server.url, "1");
    await registrar.stop();
    const empty = await engine.usage("memory");
    const publisher = await start("publisher-process.ts", server.url);
    const client = await connect({ servers: server.url });
    const nats = await connectNats({ servers: server.url });
    publisher.process.send({ event: `bench.${workflow}`, count, keys, mode: "bulk", inFlight: 256 });
    await publisher.next("published");
    await client.run(workflow, { key: "last" }); // behind all of them
    for (;;) {
      if (keys > 1) {
        const reply = await nats.request("sluice.api.group.list", JSON.stringify({ limit: workflow, size: 1 }), {
          timeout: 30_000,
        });
        if (Number(reply.json<{ total?: number }>().total) >= count) break;
      } else if ((await client.groups.get({ limit: workflow, key: "k0" })).waiting >= waiting) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const full = await engine.usage("memory");
    record(`memory per ${keys === 1 ? "waiting run" : "group with one active run"}, ${label}`, "bytes", [
      (full.heapUsed + full.external - empty.heapUsed - empty.external) / count,
    ]);
    if (waiting >= 100_000 * SCALE) {
      const seconds = flags.quick === true ? 3 : 10;
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      const before = await engine.usage();
      await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
      record(`CPU of the idle engine, ${label}`, "% core", [cpuMs(before, await engine.usage()) / seconds / 10]);
    }
    await engine.kill();
    const began = now();
    engine = await start("engine-process.ts", server.url, folder);
    record(`recovery after kill -9 (500 ms of it lease), ${label}`, "ms", [now() - began]);

    const succeeded = countSucceeded(nats, workflow);
    await nats.flush();
    await start("worker-process.ts", server.url, "1000");
    await succeeded.reach(100);
    const cpuBefore = await engine.usage();
    const startAt = now();
    const from = succeeded.count();
    await succeeded.reach(Math.min(from + 800 * (keys === 1 ? 1 : 10), count));
    const done = succeeded.count() - from;
    record(`time per admission, ${label}`, "µs", [((now() - startAt) / done) * 1_000]);
    record(`CPU of the engine per admission, ${label}`, "µs", [(cpuMs(cpuBefore, await engine.usage()) / done) * 1_000]);
    await client.close();
    await nats.close();
  });
}

async function bare(): Promise<void> {
  const count = Math.round(200_000 * SCALE);
  const samples: number[] = [];
  for (let i = 0; i < REPEAT; i++)
    await withLab(async ({ server, start }) => {
      const nats = await connectNats({ servers: server.url });
      const manager = await jetstreamManager(nats);
      await manager.streams.add({ name: "BARE_EVENTS", subjects: ["sluice.events.>"] });
      await manager.streams.add({ name: "BARE_RESULTS", subjects: ["bare.results"] });
      await start("bare-process.ts", "relay", server.url);
      const worker = await start("bare-process.ts", "worker", server.url);
      const publisher = await start("publisher-process.ts", server.url);
      const done = new Promise<number>((resolve) => worker.on(({ handled }) => Number(handled) >= count && resolve(now())));
      const began = now();
      publisher.process.send({ event: "bench.keyed", keys: 100, mode: "bulk", inFlight: 256, count });
      samples.push((count / ((await done) - began)) * 1_000);
      await nats.close();
    });
  record("the same messages without an engine, published in bulk", "events/s", samples);
}

/** The same hops as to a handler's start: stored as an event, stored as a journal message, handed to a worker. */
async function bareLatency(): Promise<void> {
  const count = Math.round(2_000 * SCALE);
  const toStart: number[] = [];
  await withLab(async ({ server, start }) => {
    const nats = await connectNats({ servers: server.url });
    const manager = await jetstreamManager(nats);
    await manager.streams.add({ name: "BARE_EVENTS", subjects: ["sluice.events.>"] });
    await manager.streams.add({ name: "BARE_RESULTS", subjects: ["bare.results", "bare.journal"] });
    await start("bare-process.ts", "journal", server.url);
    const worker = await start("bare-process.ts", "worker", server.url);
    const client = await connect({ servers: server.url });
    let handled: () => void = () => undefined;
    worker.on((message) => {
      const [sentAt, at] = (message["started"] ?? []) as [number?, number?];
      if (sentAt !== undefined && at !== undefined) toStart.push(at - sentAt);
      if (message["handled"] !== undefined) handled();
    });
    for (let i = 0; i < 300 + count; i++) {
      if (i === 300) toStart.length = 0;
      const done = new Promise<void>((resolve) => (handled = resolve));
      await client.publish("bench.timed", { key: `k${i % 10}`, sentAt: now() });
      await done;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await client.close();
    await nats.close();
  });
  const sorted = toStart.sort((a, b) => a - b);
  record("the same hops to the handler without an engine, idle, p50", "ms", [percentile(sorted, 50)]);
  record("the same hops to the handler without an engine, idle, p99", "ms", [percentile(sorted, 99)]);
}

const parts: Record<string, () => Promise<void>> = {
  single: () => throughput("single"),
  bulk: () => throughput("bulk"),
  latency,
  hops: bareLatency,
  backlog: async () => {
    for (const waiting of [1_000, 10_000, 100_000]) await backlog(Math.round(waiting * SCALE), 1);
  },
  groups: () => backlog(0, Math.round(100_000 * SCALE)),
  bare: async () => {
    await bare();
    await bareLatency();
  },
  failover: async () => {
    for (const waiting of [0, Math.round(100_000 * SCALE)])
      await failover({
        waiting,
        kills: flags.quick === true ? Math.min(3, Number(flags.kills)) : Number(flags.kills),
        lease: flags.lease,
        engines: Number(flags.engines),
        servers: Number(flags.servers),
      });
  },
  scale: () => scale({ size: SCALE, repeat: REPEAT, servers: Number(flags.servers) }),
  idle: () => idle({ size: SCALE, servers: Number(flags.servers) }),
};
const wanted = flags.only?.split(",") ?? Object.keys(parts);
const unknown = wanted.filter((name) => !(name in parts));
if (unknown.length > 0) {
  console.error(`--only: expected some of ${Object.keys(parts).join(", ")}, got ${unknown.join(", ")}\n${USAGE}`);
  process.exit(2);
}
for (const [name, part] of Object.entries(parts)) if (wanted.includes(name)) await part();

const machine = {
  node: process.version,
  cpu: cpus()[0]?.model ?? "?",
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  natsServer: binary.version,
  at: new Date().toISOString(),
};
await writeFile("bench-results.json", `${JSON.stringify({ machine, rows }, null, 2)}\n`);
console.log(`| measured | median | unit | range |\n|---|---:|---|---|`);
for (const { name, median, unit, min, max } of rows)
  console.log(`| ${name.trim()} | ${format(median)} | ${unit} | ${min === max ? "" : `${format(min)} to ${format(max)}`} |`);
console.log(
  `\n${machine.cores} cores, ${machine.cpu}, ${machine.memoryGiB} GiB, Node ${machine.node}, nats-server ${machine.natsServer}, ${machine.at}`,
);
if (flags.json === true) console.log(JSON.stringify({ machine, rows }));
process.exit(0);
