/**
 * What it costs to have an acknowledgement mean "on disk": the same work against a NATS server as it comes (`replicated`) and one with
 * `sync_interval: always` (`synced`), in turns. Needs nats-server 2.10 or newer, which is the argument, or the one on the PATH:
 *
 *   npx tsx test/bench/durability.ts [/path/to/nats-server] [samples]
 */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { startNatsServer } from "../../src/dev/nats-server.ts";
import { startEngine } from "../../src/engine/index.ts";
import { connect, defineWorkflow, startWorker } from "../../src/index.ts";

const [binary = "nats-server", samples = "3"] = process.argv.slice(2);
const path = binary.includes("/") ? binary : execFileSync("which", [binary], { encoding: "utf8" }).trim();
const logger = pino({ level: "silent" });
const SINGLE_PUBLISHES = 500;
const RUNS = 3_000;
const MODES = { replicated: "", synced: "jetstream { sync_interval: always }" };

interface Sample {
  readonly "publish, acknowledged, p50 (ms)": number;
  readonly "publish, acknowledged, p99 (ms)": number;
  readonly "publish in bulk (events/s)": number;
  readonly "publish to success, one at a time, p50 (ms)": number;
  readonly "runs of one step (runs/s)": number;
}

const noop = defineWorkflow({ name: "noop", on: "noop" }).step("only", () => null);

async function sample(config: string): Promise<Sample> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-durability-"));
  // The server merges two blocks of JetStream settings.
  const server = await startNatsServer({
    binary: path,
    storeDir: join(folder, "nats"),
    config: config.replace("{", `{ store_dir: ${JSON.stringify(join(folder, "nats"))},`),
  });
  const options = { servers: server.url, logger };
  const engine = await startEngine({ ...options, dataDir: join(folder, "engine") });
  const client = await connect(options);
  const worker = await startWorker({ ...options, workflows: [noop], slots: 1_000 });
  const median = (values: number[], share = 0.5): number =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;
  const timesOf = async (count: number, task: () => Promise<unknown>): Promise<number[]> => {
    const times: number[] = [];
    for (let n = 0; n < count; n++) {
      const began = performance.now();
      await task();
      times.push(performance.now() - began);
    }
    return times;
  };
  await timesOf(50, async () => await (await client.run(noop, null)).result());
  const single = await timesOf(SINGLE_PUBLISHES, () => client.publish("nobody.waits", { n: 1 }));
  const whole = await timesOf(100, async () => await (await client.run(noop, null)).result());
  const began = performance.now();
  await client.publishMany(Array.from({ length: RUNS }, () => ({ event: "noop", payload: {} })));
  const published = performance.now();
  while ((await client.runs.count({ workflow: "noop", status: "SUCCEEDED" })).count < RUNS + 150)
    await new Promise((resolve) => setTimeout(resolve, 10));
  const ended = performance.now();
  await worker.stop();
  await client.close();
  await engine.stop();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
  return {
    "publish, acknowledged, p50 (ms)": median(single),
    "publish, acknowledged, p99 (ms)": median(single, 0.99),
    "publish in bulk (events/s)": (RUNS / (published - began)) * 1_000,
    "publish to success, one at a time, p50 (ms)": median(whole),
    "runs of one step (runs/s)": (RUNS / (ended - began)) * 1_000,
  };
}

const taken: Record<keyof typeof MODES, Sample[]> = { replicated: [], synced: [] };
for (let round = 0; round < Number(samples); round++)
  for (const mode of ["replicated", "synced"] as const) taken[mode].push(await sample(MODES[mode]));
process.stdout.write(
  `${execFileSync(path, ["--version"], { encoding: "utf8" }).trim()}, Node ${process.version}, ${samples} samples each: median (range)\n`,
);
for (const name of Object.keys(taken.replicated[0] ?? {}) as (keyof Sample)[]) {
  const shown = (mode: keyof typeof MODES): string => {
    const values = taken[mode].map((one) => one[name]).toSorted((a, b) => a - b);
    const digits = name.includes("/s") ? 0 : 2;
    return `${mode} ${values[Math.floor(values.length / 2)]?.toFixed(digits)} (${values[0]?.toFixed(digits)} to ${values.at(-1)?.toFixed(digits)})`;
  };
  process.stdout.write(`${name}: ${shown("replicated")}, ${shown("synced")}\n`);
}
