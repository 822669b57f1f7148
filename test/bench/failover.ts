/**
 * Failover: `kill -9` of the engine process that owns a partition, and how long it takes from then until steps of its
 * partitions start again. What starts is a run of an event that is published after the kill, so the killed one cannot have had a hand in
 * it; its handler writes the time down, by the machine's clock.
 */
import { connect as connectNats } from "@nats-io/transport-node";
import { connect } from "sluice";
import { Placement } from "../../dist/src/engine/placement.js";
import { Engines } from "./engines.ts";
import { now, until, withLab } from "./lab.ts";
import { percentile, record } from "./report.ts";

export interface FailoverOptions {
  /** Runs that wait behind limits all the while, over all partitions. */
  readonly waiting: number;
  readonly kills: number;
  readonly lease: string;
  readonly engines: number;
  readonly servers: number;
}

const PARTITIONS = 8;
const WAITING_KEYS = 100;

export async function failover({ waiting, kills, lease, engines: count, servers }: FailoverOptions): Promise<void> {
  const perPartition: number[] = [];
  const whole: number[] = [];
  let how = "";
  await withLab(
    async (lab) => {
      const urls = lab.urls.split(",");
      const nats = await connectNats({ servers: urls, maxReconnectAttempts: -1 });
      const engines = new Engines(lab, nats, { count, lease, partitions: PARTITIONS, replicas: servers });
      await engines.start();
      how = (await engines.shares()) ? "sharing the partitions" : "one has all partitions";
      const client = await connect({ servers: urls, timeout: "60s" });
      const worker = await lab.start("worker-process.ts", lab.urls, "1000", "probe");
      // Registered, and served by nobody: its runs wait.
      await (await lab.start("worker-process.ts", lab.urls, "1", "waiting")).stop();
      const { live } = { live: async (): Promise<number> => (await client.health()).live };
      const chunk = 10_000;
      for (let from = 0; from < waiting; from += chunk)
        await client.publishMany(
          Array.from({ length: Math.min(chunk, waiting - from) }, (_, i) => ({
            event: "bench.waiting",
            payload: { key: `k${i % WAITING_KEYS}` },
          })),
        );
      await until(async () => (await live()) >= waiting);

      const keys = keysByPartition();
      const started = new Map<string, number>();
      worker.on(({ probe }) => {
        if (probe === undefined) return;
        const [id, at] = probe as [string, number];
        if (!started.has(id)) started.set(id, at);
      });
      const probe = async (name: string, partitions: readonly number[]): Promise<readonly number[]> => {
        const probes = partitions.map((partition) => ({ id: `${name}-${partition}`, key: keys[partition] ?? "" }));
        await client.publishMany(probes.map((payload) => ({ event: "bench.probe", payload })));
        await until(() => probes.every(({ id }) => started.has(id)), 5);
        return probes.map(({ id }) => started.get(id) ?? Number.NaN);
      };
      const everywhere = keys.map((_, partition) => partition);
      for (let kill = 0; kill < kills; kill++) {
        await probe(`before-${kill}`, everywhere);
        const victim = await engines.ownerOf(kill % PARTITIONS);
        const killedAt = now();
        await victim.child.kill();
        const times = (await probe(`after-${kill}`, victim.partitions)).map((at) => at - killedAt);
        perPartition.push(...times);
        whole.push(Math.max(...times));
        await engines.replace(victim.child);
      }
      await client.close();
      await nats.close();
    },
    { servers },
  );
  const label = `${waiting} waiting, ${count} engines, ${how}, ${servers} ${servers === 1 ? "server" : "servers"}, lease ${lease}`;
  for (const [what, times] of [
    ["a partition's next step start", perPartition],
    ["that of the last of them", whole],
  ] as const) {
    const sorted = times.sort((a, b) => a - b);
    for (const p of [50, 99]) record(`kill -9 to ${what}, p${p} of ${sorted.length}, ${label}`, "ms", [percentile(sorted, p)]);
  }
}

/** A key of the limit "probe" in each partition. */
function keysByPartition(): string[] {
  const placement = new Placement(PARTITIONS);
  const keys: string[] = [];
  for (let i = 0; Object.keys(keys).length < PARTITIONS; i++) keys[placement.ofGroup("probe", `p${i}`)] ??= `p${i}`;
  return keys;
}
