/**
 * Everything that a chaos test runs: NATS servers, engine nodes, workers, a load, an observer; the timeline of what was done to
 * them; and, at the end, the history that the checker judges.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import type { AnyWorkflow, WorkerView } from "sluice";
import { type HandlerRecord, now, readRecords } from "../acceptance/support/records.ts";
import { createNames } from "../../src/nats/subjects.ts";
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
/** Snapshots not too often: the observer must have read a journal before it is purged, also while it looks for another server. */
const ENGINE = { lease: "2s", partitions: 6, snapshotEvery: 1_000 } as const;
const WORKER = { slots: 12, heartbeat: "500ms", deadline: "2s", drainTimeout: "2s" } as const;
const WORKER_DEADLINE_MS = 2_000;
/** From the end of all faults until everything has ended. */
const SETTLE_MS = 120_000;
const PROBE_MS = 15_000;
/** Ten heartbeats. */
const IDLE_MS = 10_000;

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
  readonly #failures: string[] = [];
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
    const observer = await Observer.start(nats.urls, ENGINE.partitions, join(folder, "observer.log"));
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

  /** What did not work, in words: part of the history. */
  failed(what: string, error: Error): void {
    this.#failures.push(`${what}: ${error.message}`);
    this.note(`${what}: ${error.message.split("\n", 1)[0]}`);
  }

  /** Waits until everything that was promised has been done, probes every key, and gathers what there is to judge. */
  async settle(): Promise<History> {
    this.note("all faults are over");
    await this.#try("the NATS servers did not catch up", () => this.nats.caughtUp(SETTLE_MS));
    this.note("the NATS servers have caught up");
    await this.load.stop(SETTLE_MS);
    await this.#loading;
    this.note("all events are acknowledged");
    await this.#try("groups could not be restored", () => this.load.restore(SETTLE_MS));
    await this.#allEnded(SETTLE_MS);
    const probes = (await this.#try("keys could not be probed", () => this.#probe())) ?? [];
    this.note("the probes are over");
    await this.#allEnded(PROBE_MS);
    return await this.#gather(probes);
  }

  async #try<T>(what: string, act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch (error) {
      this.failed(what, error as Error);
      return undefined;
    }
  }

  /** What shows in a history that it is not so, the checker says; here it only costs time. */
  async #allEnded(timeoutMs: number): Promise<void> {
    await waitFor(
      () => this.observer.live.size === 0 && this.load.acknowledged.every(({ seq }) => this.observer.runsOf.has(seq)),
      { timeoutMs, intervalMs: 100, what: "all runs to end" },
    ).then(
      () => this.note("all runs have ended"),
      () => {
        const missing = this.load.acknowledged.filter(({ seq }) => !this.observer.runsOf.has(seq));
        this.note(`${this.observer.live.size} runs do not end: ${[...this.observer.live].slice(0, 10).join(", ")}`);
        this.note(
          `${missing.length} events have no run: ${missing
            .slice(0, 10)
            .map(({ seq }) => seq)
            .join(", ")}`,
        );
      },
    );
  }

  /** One fresh run per key of every limited workflow; how soon it starts, its handler says. */
  async #probe(): Promise<Probe[]> {
    const groups = GROUPS.filter(({ limit }) => limit !== "two-limits-total").map(({ limit, key }) => ({
      limit,
      key,
      workflow: limit === "two-limits-key" ? "two-limits" : limit,
    }));
    const seen = new Map<string, number>();
    this.#newRecords(seen);
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
        for (const { what, n, at } of this.#newRecords(seen))
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
    const answers =
      (await this.#try("runs could not be listed", () => all(client.runs.list({ size: 1_000, fields: "row" })))) ?? [];
    const heldGroups = (await this.#try("groups could not be listed", () => all(client.groups.list({ size: 1_000 })))) ?? [];
    const workers = (await this.#try("workers could not be listed", () => this.#idleWorkers())) ?? [];
    // What the observer has not read, the checker would take for never written.
    const unread = (await this.#try("the observer could not be checked", () => this.observer.unread())) ?? [];
    this.#failures.push(...unread);
    await this.#try("the servers' states could not be read", () => this.#noteDifferences());
    const lostByServers = await this.observer.lostByServers();
    for (const { name, lives } of this.processes)
      for (const { end, output = "" } of lives)
        if (end === "by itself") this.#failures.push(`${name} ended by itself:\n${output}`);
    await Promise.all(this.workers.map((worker) => worker.stop()));
    return {
      workflows: WORKFLOWS,
      acknowledged,
      unsure,
      accepted,
      cancelRequested,
      doomed,
      // Partitions were read each at its own speed.
      journal: this.observer.journal.toSorted((a, b) => a.at - b.at || a.partition - b.partition || a.seq - b.seq),
      records: this.#records(),
      kills: this.processes.flatMap(({ lives }) => lives.map(({ pid, to }) => ({ pid, at: to ?? Infinity }))),
      troubles: this.#troubles.map(({ whose, from, to }): Trouble => ({
        pids: whose === "all workers" ? whose : whose.lives.map(({ pid }) => pid),
        from,
        to,
      })),
      workerDeadlineMs: WORKER_DEADLINE_MS,
      answers,
      usedSlots: workers.filter(({ mode }) => mode === "running").map(({ name, used }) => ({ worker: name, used })),
      heldGroups,
      probes,
      lostByServers,
      failures: this.#failures,
    };
  }

  /** Nodes that do not give out slots know them from the workers' heartbeats: as they stand once that is over, or after a while. */
  async #idleWorkers(): Promise<readonly WorkerView[]> {
    let workers: readonly WorkerView[] = [];
    await waitFor(
      async () => {
        workers = await all(this.load.client.workers.list());
        return workers.every(({ used }) => used === 0);
      },
      { timeoutMs: IDLE_MS, intervalMs: 200, what: "workers to be idle" },
    ).catch(() => undefined);
    return workers;
  }

  /** Replicas that do not hold the same, once all is quiet. */
  async #noteDifferences(): Promise<void> {
    const names = createNames();
    for (let partition = 0; partition < ENGINE.partitions; partition++) {
      const states = await this.nats.streamStates(names.partitionStream(partition));
      if (new Set(states).size > 1) this.note(`the servers differ in partition ${partition}: ${states.join(" | ")}`);
    }
  }

  #records() {
    return this.workers
      .map(({ name }) => recordsFile(this.folder, name))
      .filter((file) => existsSync(file))
      .flatMap((file) => readRecords(file))
      .sort((a, b) => a.at - b.at);
  }

  /** Those that were written since the last call with this `seen`, which holds how far each file was read. */
  #newRecords(seen: Map<string, number>): HandlerRecord[] {
    return this.workers.flatMap(({ name }) => {
      const file = recordsFile(this.folder, name);
      if (!existsSync(file)) return [];
      const text = readFileSync(file)
        .subarray(seen.get(file) ?? 0)
        .toString();
      const whole = text.slice(0, text.lastIndexOf("\n") + 1);
      seen.set(file, (seen.get(file) ?? 0) + Buffer.byteLength(whole));
      return whole.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as HandlerRecord]));
    });
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
