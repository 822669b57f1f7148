/**
 * Everything that a chaos test runs: NATS servers, engine nodes, workers, a load, an observer; the timeline of what was done to
 * them; and, at the end, the history that the checker judges.
 */
import { appendFileSync, existsSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import type { AnyWorkflow, RunView } from "sluice";
import { now, readRecords } from "../acceptance/support/records.ts";
import { natsServerBinary } from "../support/nats.ts";
import { waitFor } from "../support/wait.ts";
import type { History, Probe, Trouble, WorkflowRules } from "./history.ts";
import { Links } from "./links.ts";
import { GROUPS, Load } from "./load.ts";
import { NatsCluster } from "./nats-cluster.ts";
import { Observer } from "./observer.ts";
import { type ChaosProcess, createEngineProcess, createWorkerProcess, recordsFile } from "./processes.ts";
import * as workflows from "./workflows.ts";

const ENGINES = 3;
const WORKERS = 4;
const ENGINE = { lease: "2s", partitions: 6, snapshotEvery: 300 } as const;
const WORKER = { slots: 12, heartbeat: "500ms", deadline: "2s", drainTimeout: "2s" } as const;
const WORKER_DEADLINE_MS = 2_000;
/** From the end of all faults until everything has ended. */
const SETTLE_MS = 120_000;
const PROBE_MS = 15_000;

/** A trouble that has not ended yet has no end. */
interface OpenTrouble {
  readonly whose: ChaosProcess | "all workers";
  readonly from: number;
  to: number;
}

export class World {
  readonly folder: string;
  readonly nats: NatsCluster;
  readonly engines: readonly ChaosProcess[];
  readonly workers: readonly ChaosProcess[];
  readonly load: Load;
  readonly observer: Observer;
  readonly timeline: string[] = [];
  readonly #began = now();
  readonly #troubles: OpenTrouble[] = [];
  #loading: Promise<void> = Promise.resolve();

  private constructor(parts: Pick<World, "folder" | "nats" | "engines" | "workers" | "load" | "observer">) {
    this.folder = parts.folder;
    this.nats = parts.nats;
    this.engines = parts.engines;
    this.workers = parts.workers;
    this.load = parts.load;
    this.observer = parts.observer;
  }

  static async start(folder: string, seed: number): Promise<World> {
    const nats = await NatsCluster.start(natsServerBinary(), folder);
    const names = (kind: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${kind}-${index}`);
    const engines = await Promise.all(names("engine", ENGINES).map((name) => createEngineProcess(name, nats, folder, ENGINE)));
    const workers = await Promise.all(names("worker", WORKERS).map((name) => createWorkerProcess(name, nats, folder, WORKER)));
    // One after the other: the first makes the streams.
    engines[0]?.launch();
    await engines[0]?.ready();
    for (const node of [...engines, ...workers]) node.launch();
    await Promise.all(workers.map((worker) => worker.ready()));
    const links = await Links.open("client", nats);
    const load = await Load.connect(links.urls, seed);
    const observer = await Observer.start(nats.urls, ENGINE.partitions);
    return new World({ folder, nats, engines, workers, load, observer });
  }

  get processes(): readonly ChaosProcess[] {
    return [...this.engines, ...this.workers];
  }

  /** Adds a line to the timeline, with the time since the start. */
  note(text: string): void {
    const line = `${((now() - this.#began) / 1_000).toFixed(1).padStart(7)} s  ${text}`;
    this.timeline.push(line);
    appendFileSync(join(this.folder, "timeline.txt"), `${line}\n`);
  }

  startLoad(perSecond: number): void {
    this.#loading = this.load.run(perSecond);
  }

  /** From now on the heartbeats of a worker, or of all, may not get through; until the returned function is called. */
  trouble(whose: ChaosProcess | "all workers"): () => void {
    const trouble: OpenTrouble = { whose, from: now(), to: Infinity };
    this.#troubles.push(trouble);
    return () => (trouble.to = now());
  }

  /** Ends all faults: every link whole, every clock right, every process alive. */
  async heal(): Promise<void> {
    for (const server of this.nats.servers) {
      for (const route of server.routes) route.heal();
      if (!server.running) await server.start();
      server.signal("SIGCONT");
    }
    for (const node of this.processes) {
      for (const link of node.links.proxies) link.heal();
      node.signal("SIGCONT");
      await node.shiftClock(0);
      node.launch();
    }
    const healed = now();
    for (const trouble of this.#troubles) trouble.to = Math.min(trouble.to, healed);
  }

  /** Waits until everything that was promised has been done, probes every key, and gathers what there is to judge. */
  async settle(): Promise<History> {
    this.note("all faults are over");
    await this.nats.caughtUp(SETTLE_MS);
    this.note("the NATS servers have caught up");
    await this.load.restore(SETTLE_MS);
    await this.load.stop(SETTLE_MS);
    await this.#loading;
    this.note("all events are acknowledged");
    await this.#allEnded();
    const probes = await this.#probe();
    this.note("the probes are over");
    await this.#allEnded();
    return await this.#gather(probes);
  }

  /** What shows in a history that it is not so, the checker says; here it only costs time. */
  async #allEnded(): Promise<void> {
    await waitFor(
      () => this.observer.live.size === 0 && this.load.acknowledged.every(({ seq }) => this.observer.runsOf.has(seq)),
      { timeoutMs: SETTLE_MS, intervalMs: 100, what: "all runs to end" },
    ).then(
      () => this.note("all runs have ended"),
      () => this.note(`${this.observer.live.size} runs do not end`),
    );
  }

  /** One fresh run per key of every limited workflow; how soon it starts, its handler says. */
  async #probe(): Promise<Probe[]> {
    const groups = GROUPS.filter(({ limit }) => limit !== "two-limits-total").map(({ limit, key }) => ({
      limit,
      key,
      workflow: limit === "two-limits-key" ? "two-limits" : limit,
    }));
    const numbers = new Map<number, { readonly at: number; readonly limit: string; readonly key: string }>();
    await Promise.all(
      groups.map(async ({ limit, key, workflow }) => {
        const n = this.load.number();
        const event = `chaos.${workflow}`;
        const { seq } = await this.load.client.publish(event, { key, n, ms: 10 });
        this.load.acknowledged.push({ n, event, seq });
        numbers.set(n, { at: now(), limit, key });
      }),
    );
    const started = new Map<number, number>();
    await waitFor(
      () => {
        for (const { what, n, at } of this.#records())
          if (what === "start" && n !== undefined && numbers.has(n) && !started.has(n)) started.set(n, at);
        return started.size === numbers.size;
      },
      { timeoutMs: PROBE_MS, intervalMs: 100, what: "fresh runs to start" },
    ).catch(() => undefined);
    return [...numbers].map(([n, { at, limit, key }]) => {
      const start = started.get(n);
      return { limit, key, startedAfterMs: start === undefined ? undefined : start - at };
    });
  }

  async #gather(probes: readonly Probe[]): Promise<History> {
    const { client, acknowledged, unsure, accepted, cancelRequested, doomed } = this.load;
    const answers: RunView[] = [];
    for await (const run of client.runs.list({ size: 1_000, fields: "row" })) answers.push(run);
    const heldGroups = await all(client.groups.list({ size: 1_000 }));
    const usedSlots = (await all(client.workers.list())).filter(({ mode }) => mode === "running");
    await Promise.all(this.workers.map((worker) => worker.stop()));
    return {
      workflows: WORKFLOWS,
      acknowledged,
      unsure,
      accepted,
      cancelRequested,
      doomed,
      journal: this.observer.journal,
      records: this.#records(),
      kills: this.processes.flatMap(({ lives }) => lives.map(({ pid, to }) => ({ pid, at: to ?? Infinity }))),
      troubles: this.#troubles.map(({ whose, from, to }): Trouble => ({
        pids: whose === "all workers" ? whose : whose.lives.map(({ pid }) => pid),
        from,
        to,
      })),
      workerDeadlineMs: WORKER_DEADLINE_MS,
      answers,
      usedSlots: usedSlots.map(({ name, used }) => ({ worker: name, used })),
      heldGroups,
      probes,
    };
  }

  #records() {
    return this.workers
      .map(({ name }) => recordsFile(this.folder, name))
      .filter((file) => existsSync(file))
      .flatMap((file) => readRecords(file))
      .sort((a, b) => a.at - b.at);
  }

  async write(file: string, text: string): Promise<void> {
    await appendFile(join(this.folder, file), text);
  }
}

const WORKFLOWS: readonly WorkflowRules[] = Object.values(workflows as unknown as Record<string, AnyWorkflow>).map(
  ({ spec }) => ({
    name: spec.name,
    on: spec.on,
    steps: spec.steps.map(({ name }) => name),
    limits: spec.limits.map(({ name, maxRuns, strategy }) => ({ name, maxRuns, strategy })),
    graceMs: spec.graceMs,
  }),
);

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
