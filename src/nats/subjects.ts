/**
 * Every subject, stream and bucket name of a cluster, built from its prefix. The one place where subjects are spelt.
 */
import { optionOf } from "../workflow/parse-options.ts";

export interface Names {
  readonly prefix: string;
  /** Stream of events and definitions, in one order; also of the large inputs of calls, which so live as long as those of events. */
  readonly eventsStream: string;
  readonly eventsSubjects: readonly string[];
  readonly rejectedStream: string;
  readonly rejectedSubjects: readonly string[];
  /** KV bucket: the cluster's settings, leases, workflow definitions. */
  readonly bucket: string;
  partitionStream(partition: number): string;
  inbox(partition: number): string;
  journal(partition: number): string;
  snapshotData(partition: number): string;
  snapshotManifest(partition: number): string;
  event(name: string): string;
  readonly inputs: string;
  definition(workflow: string): string;
  /** `what` is `events.<name>`, `journal.<partition>` or `inbox.<partition>`. */
  rejected(what: string): string;
  /** Engine to worker: assignments, stops, key batches, status requests. */
  work(worker: string): string;
  /** Worker to engines: its status, as a heartbeat and when asked. */
  workerStatus(worker: string): string;
  readonly allWorkerStatus: string;
  /** Engine to all workers: an engine has started or reconnected, report in full. */
  readonly engineHello: string;
  /** Engine node to engine node: a request that only this node can answer. `operation` may be `>`. */
  engineCall(node: string, operation: string): string;
  /** Engine node to engine node: news of the slots of workers. */
  engineSlots(node: string): string;
  /** Engine nodes to each other: the map of the cluster has changed, look at it. */
  readonly mapChanged: string;
  api(operation: string): string;
  readonly apiAll: string;
  runChange(workflow: string, run: string, change: string): string;
}

export const DEFAULT_PREFIX = "sluice";

/** The prefix as an option. */
export const prefixOption = optionOf(
  'a cluster\'s prefix of 1 to 64 letters, digits, "-" and "_"',
  (value): value is string => typeof value === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(value),
).optional();

/** `prefix` is one subject token: letters, digits, `-` and `_`. */
export function createNames(prefix: string = DEFAULT_PREFIX): Names {
  const upper = prefix.toUpperCase();
  return {
    prefix,
    eventsStream: `${upper}_EVENTS`,
    eventsSubjects: [`${prefix}.events.>`, `${prefix}.definitions.*`, `${prefix}.inputs`],
    rejectedStream: `${upper}_REJECTED`,
    rejectedSubjects: [`${prefix}.rejected.>`],
    bucket: `${prefix}_cluster`,
    partitionStream: (partition) => `${upper}_P${partition}`,
    inbox: (partition) => `${prefix}.partition.${partition}.inbox`,
    journal: (partition) => `${prefix}.partition.${partition}.journal`,
    snapshotData: (partition) => `${prefix}.partition.${partition}.snapshot.data`,
    snapshotManifest: (partition) => `${prefix}.partition.${partition}.snapshot.manifest`,
    event: (name) => `${prefix}.events.${name}`,
    inputs: `${prefix}.inputs`,
    definition: (workflow) => `${prefix}.definitions.${workflow}`,
    rejected: (what) => `${prefix}.rejected.${what}`,
    work: (worker) => `${prefix}.work.${worker}`,
    workerStatus: (worker) => `${prefix}.workers.${worker}.status`,
    allWorkerStatus: `${prefix}.workers.*.status`,
    engineHello: `${prefix}.engines.hello`,
    engineCall: (node, operation) => `${prefix}.engines.${node}.call.${operation}`,
    engineSlots: (node) => `${prefix}.engines.${node}.slots`,
    mapChanged: `${prefix}.engines.map`,
    api: (operation) => `${prefix}.api.${operation}`,
    apiAll: `${prefix}.api.>`,
    runChange: (workflow, run, change) => `${prefix}.runs.${workflow}.${run}.${change}`,
  };
}
