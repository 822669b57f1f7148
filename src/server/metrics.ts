/**
 * `/metrics`, in the text format of Prometheus: what the engine node of this process has counted, and the process itself. Nothing
 * is measured between two scrapes that is not counted anyway; the rest is looked at when asked for.
 */
import { performance } from "node:perf_hooks";
import { setImmediate as immediate } from "node:timers/promises";
import { Counter, Gauge, Registry } from "prom-client";
import type { Distribution, EngineStats } from "../engine/index.ts";
import { version } from "../version.ts";

export interface MetricsOptions {
  readonly stats: () => EngineStats | undefined;
  readonly streams: () => number;
  readonly sockets: () => number;
}

const FINISHED = ["succeeded", "failed", "cancelled"] as const;
const BEGUN = ["queued", "admitted", "started"] as const;

export class Metrics {
  readonly #registry = new Registry();
  readonly #options: MetricsOptions;
  /** Of the scrape that is being answered. */
  #stats: EngineStats | undefined = undefined;
  #idle = performance.eventLoopUtilization();

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#addEngine();
    this.#addJournal();
    this.#addProcess();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    this.#stats = this.#options.stats();
    try {
      return await this.#registry.metrics();
    } finally {
      this.#stats = undefined;
    }
  }

  #gauge(name: string, help: string, read: () => number | undefined | Promise<number>): void {
    const gauge = new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect: async () => {
        const value = await read();
        if (value === undefined) gauge.remove();
        else gauge.set(value);
      },
    });
  }

  #addEngine(): void {
    const of = (read: (stats: EngineStats) => number | undefined) => () =>
      this.#stats === undefined ? undefined : read(this.#stats);
    this.#gauge("sluice_engine_ready", "1 where this engine node answers, 0 while it starts and once it has ended.", () =>
      this.#stats?.ready === true ? 1 : 0,
    );
    this.#gauge(
      "sluice_partitions",
      "Partitions that this node owns.",
      of(({ partitions }) => partitions),
    );
    this.#gauge(
      "sluice_cluster_nodes",
      "Engine nodes of the cluster, as this node knows.",
      of(({ members }) => members),
    );
    this.#gauge(
      "sluice_coordinator",
      "1 where this node reads the events and gives out the slots of workers.",
      of(({ coordinator }) => Number(coordinator)),
    );
    const epochs = new Gauge({
      name: "sluice_partition_epoch",
      help: "Of each partition that this node owns: its epoch, which grows with each change of owner.",
      labelNames: ["partition"],
      registers: [this.#registry],
      collect: () => {
        epochs.reset();
        for (const [partition, epoch] of this.#stats?.epochs ?? []) epochs.set({ partition: String(partition) }, epoch);
      },
    });
    this.#counterOf("sluice_map_changes_total", "Changes of the cluster's map that this node has seen.", [], (add) => {
      if (this.#stats?.mapChanges !== undefined) add({}, this.#stats.mapChanges);
    });
    this.#gauge(
      "sluice_runs_live",
      "Runs that have not ended.",
      of(({ live }) => live),
    );
    this.#gauge(
      "sluice_runs_active",
      "Runs that hold a slot of a limit.",
      of(({ active }) => active),
    );
    this.#gauge(
      "sluice_runs_stopping",
      "Runs that were cancelled and hold their slot until their worker has stopped.",
      of(({ stopping }) => stopping),
    );
    this.#gauge(
      "sluice_runs_waiting",
      "Runs that wait for a slot of a limit.",
      of(({ waiting }) => waiting),
    );
    this.#gauge(
      "sluice_groups",
      "Concurrency keys that have runs.",
      of(({ groups }) => groups),
    );
    this.#gauge(
      "sluice_workers",
      "Worker nodes that take work.",
      of(({ workers }) => workers),
    );
    this.#gauge(
      "sluice_worker_slots_used",
      "Slots of workers that execute a step.",
      of(({ slots }) => slots.used),
    );
    this.#gauge(
      "sluice_worker_slots",
      "Slots of workers in all.",
      of(({ slots }) => slots.total),
    );
    this.#gauge(
      "sluice_steps_waiting",
      "Steps that are ready and wait for a free slot of a worker.",
      of(({ stepsWaiting }) => stepsWaiting),
    );
    this.#gauge(
      "sluice_events_behind",
      "Events that are stored and that the engine has not looked at yet.",
      of(({ eventsBehind }) => eventsBehind.events),
    );
    this.#gauge(
      "sluice_events_behind_seconds",
      "Age of the oldest of them.",
      of(({ eventsBehind }) => eventsBehind.seconds),
    );
    this.#gauge(
      "sluice_partitions_refused",
      "Partitions that stand still, since the server does not take their journals (a full stream, most likely).",
      of(({ partitionsRefused }) => partitionsRefused),
    );
    this.#gauge(
      "sluice_history_behind_messages",
      "Journal messages that the history has not taken in yet.",
      of(({ historyBehind }) => historyBehind),
    );
    this.#counterOf("sluice_rejected_total", "Messages that could not be used and were put aside.", [], (add) => {
      if (this.#stats !== undefined) add({}, this.#stats.counters.rejected);
    });
    for (const change of BEGUN)
      this.#counterOf(`sluice_runs_${change}_total`, `Runs that were ${change}, by workflow.`, ["workflow"], (add) => {
        for (const [workflow, counts] of this.#stats?.counters.changes ?? []) add({ workflow }, counts[change]);
      });
    this.#counterOf(
      "sluice_runs_finished_total",
      "Runs that have ended, by workflow and status.",
      ["workflow", "status"],
      (add) => {
        for (const [workflow, counts] of this.#stats?.counters.changes ?? [])
          for (const status of FINISHED) add({ workflow, status: status.toUpperCase() }, counts[status]);
      },
    );
    this.#distribution(
      "sluice_run_start_seconds",
      "From a run's creation, or the time that it was scheduled for, to its first step at a worker.",
      (stats) => stats.counters.startSeconds,
    );
    this.#gauge("sluice_dashboard_streams", "Open streams of events (tabs that look).", this.#options.streams);
    this.#gauge("sluice_dashboard_websockets", "Open WebSockets of the inspector.", this.#options.sockets);
  }

  #addJournal(): void {
    this.#distribution(
      "sluice_journal_append_seconds",
      "From a journal append to its acknowledgement.",
      (stats) => stats.counters.appendSeconds,
    );
    this.#distribution("sluice_journal_append_facts", "Facts in one journal append.", (stats) => stats.counters.appendFacts);
    this.#counterOf("sluice_journal_appended_chars_total", "Characters that were appended to journals.", [], (add) => {
      if (this.#stats !== undefined) add({}, this.#stats.counters.appendedChars);
    });
  }

  #addProcess(): void {
    this.#gauge("sluice_event_loop_lag_seconds", "How long this process took to come back to itself, just now.", async () => {
      const began = performance.now();
      await immediate();
      return (performance.now() - began) / 1_000;
    });
    this.#gauge("sluice_event_loop_utilization", "Share of the time since the last scrape that this process was busy.", () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, this.#idle);
      this.#idle = now;
      return utilization;
    });
    this.#counterOf("process_cpu_seconds_total", "Processor time of this process.", [], (add) => {
      const { user, system } = process.cpuUsage();
      add({}, (user + system) / 1e6);
    });
    this.#gauge("process_resident_memory_bytes", "Memory of this process.", () => process.memoryUsage.rss());
    this.#gauge("nodejs_heap_used_bytes", "Heap of V8 that is in use.", () => process.memoryUsage().heapUsed);
    const started = Math.round(Date.now() / 1_000 - process.uptime());
    this.#gauge("process_start_time_seconds", "When this process was started, in seconds since 1970.", () => started);
    new Gauge({
      name: "sluice_info",
      help: "Versions, as labels.",
      labelNames: ["version", "node"],
      registers: [this.#registry],
    }).set({ version, node: process.version }, 1);
  }

  /** A counter whose values are somebody else's. */
  #counterOf(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: (add: (labels: Record<string, string>, value: number) => void) => void,
  ): void {
    const counter = new Counter({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect: () => {
        counter.reset();
        read((labels, value) => counter.inc(labels, value));
      },
    });
  }

  /** A histogram whose buckets are filled already. The library's own counts by itself, so its samples are written by hand. */
  #distribution(name: string, help: string, of: (stats: EngineStats) => Distribution): void {
    const samples = (): { metricName: string; labels: Record<string, string>; value: number }[] => {
      if (this.#stats === undefined) return [];
      const { bounds, counts, sum } = of(this.#stats);
      let total = 0;
      const values = counts.map((count, i) => {
        total += count;
        return { metricName: `${name}_bucket`, labels: { le: i < bounds.length ? String(bounds[i]) : "+Inf" }, value: total };
      });
      const of0 = { labels: {} };
      return [
        ...values,
        { metricName: `${name}_sum`, ...of0, value: sum },
        { metricName: `${name}_count`, ...of0, value: total },
      ];
    };
    const metric = {
      name,
      help,
      get: () => Promise.resolve({ name, help, type: "histogram", aggregator: "sum", values: samples() }),
      reset: () => undefined,
    };
    this.#registry.registerMetric(metric as unknown as Gauge);
  }
}
