/**
 * What the API, the command line and the client show: runs, groups, workers, workflows, events. Plain JSON; times are
 * ISO 8601 in UTC with milliseconds.
 */
import type { Strategy, WorkflowSpec } from "../workflow/spec.ts";
import type {
  BulkItem,
  GroupDecisionView,
  GroupMachineView,
  HealthView,
  MachineDefinition,
  Population,
  RejectedView,
  RunRecord,
} from "./record.ts";
import type { ErrorData } from "./work.ts";

export type RunStatus = "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED";
export type StepStatus = "BLOCKED" | "READY" | "RUNNING" | "BACKOFF" | "STOPPING" | "SUCCEEDED" | "FAILED" | "CANCELLED";
/** The last token of the subject on which a change is published. */
export type RunChange = "queued" | "admitted" | "started" | "step" | "succeeded" | "failed" | "cancelled";

export interface StepView {
  readonly status: StepStatus;
  readonly attempts: number;
  readonly output?: unknown;
  readonly error?: ErrorData;
  readonly startedAt?: string;
  readonly finishedAt?: string;
  readonly worker?: string;
}

export interface RunView {
  readonly id: string;
  readonly workflow: string;
  readonly version: string;
  readonly status: RunStatus;
  readonly reason?: string;
  /** null where it is too large for one message, or its message is gone; then `inputRef` says where it is, or was. */
  readonly input: unknown;
  readonly inputRef?: { readonly stream: string; readonly seq: number };
  /** Outputs by step; for runs that succeeded. */
  readonly outputs?: Readonly<Record<string, unknown>>;
  readonly error?: ErrorData;
  readonly keys: readonly { readonly limit: string; readonly key: string }[];
  readonly priority: number;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly event?: { readonly name: string; readonly seq: number };
  readonly createdAt: string;
  /** Set while and after it waits for a time given by its caller. */
  readonly scheduledAt?: string;
  readonly admittedAt?: string;
  readonly startedAt?: string;
  readonly finishedAt?: string;
  readonly replayOf?: string;
  readonly steps: Readonly<Record<string, StepView>>;
}

/** What is published on `sluice.runs.<workflow>.<run>.<change>`. */
export interface RunChangeMessage {
  readonly id: string;
  readonly workflow: string;
  readonly change: RunChange;
  readonly at: string;
  readonly status: RunStatus;
  readonly reason?: string;
  readonly step?: string;
  readonly stepStatus?: StepStatus;
  readonly attempt?: number;
  readonly outputs?: Readonly<Record<string, unknown>>;
  readonly error?: ErrorData;
}

/** One entry of what happened to a run, oldest first. */
export interface RunEventView {
  readonly at: string;
  /** Machine event or fact: `created`, `queued`, `run.admitted`, `step.started.<step>`, … */
  readonly type: string;
  readonly data?: unknown;
}

export interface GroupView {
  readonly limit: string;
  readonly key: string;
  readonly strategy: Strategy;
  readonly maxRuns: number;
  /** Set where this group has a maxRuns of its own (`groups.update`). */
  readonly overridden?: boolean;
  readonly paused: boolean;
  readonly active: number;
  readonly stopping: number;
  readonly waiting: number;
  /** Ids, in order; cut to the first 100. */
  readonly activeRuns: readonly string[];
  readonly waitingRuns: readonly string[];
  /** Those of the active runs that were cancelled and still hold their slots; cut to the first 100. */
  readonly stoppingRuns?: readonly string[];
  readonly oldestWaitingAt?: string;
  /** Admissions, as a moving average over about a minute. */
  readonly startsPerMinute: number;
  /** Until all that waits now is admitted, at this rate; absent where nothing waits or nothing moves. */
  readonly drainSeconds?: number;
}

export interface WorkerView {
  readonly id: string;
  readonly name: string;
  readonly mode: "running" | "draining" | "stopped" | "lost";
  readonly slots: number;
  readonly used: number;
  readonly lastSeenAt: string;
  readonly startedAt: string;
  readonly host: string;
  readonly pid: number;
  readonly sluiceVersion: string;
  readonly workflows: readonly { readonly name: string; readonly version: string; readonly steps: readonly string[] }[];
}

/** An engine node. */
export interface NodeView {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly pid: number;
  readonly sluiceVersion: string;
  readonly joinedAt: string;
  /** Of the machine `node`; `silent`: no sign of life for a while, it may be taken for dead soon. */
  readonly state: "joining" | "member" | "outcast" | "withdrawing" | "leaving" | "left" | "silent";
  /** It reads the events, and gives out the slots of workers. */
  readonly coordinator: boolean;
  readonly coordinatorState?: NodePartitionView["state"];
  readonly coordinatorEpoch?: number;
  readonly partitions: readonly NodePartitionView[];
  readonly lastSeenAt: string;
}

/** A partition that the map gives to the node. */
export interface NodePartitionView {
  readonly partition: number;
  /** Of the machine `ownership`. */
  readonly state: "elsewhere" | "taking" | "owned" | "givingBack" | "dropped" | "freeing" | "resting";
  /** Grows with every change of owner. */
  readonly epoch: number;
  /** It stands still, since NATS does not take its journal. */
  readonly refused?: true;
}

export interface WorkflowView {
  readonly name: string;
  /** The version that new runs get. */
  readonly version: string;
  readonly registeredAt: string;
  readonly spec: WorkflowSpec;
  readonly versions: readonly string[];
  /** Next cron ticks, if any. */
  readonly nextCron?: readonly string[];
}

export interface EventView {
  readonly seq: number;
  readonly name: string;
  readonly at: string;
  readonly payload: unknown;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Runs that it started, as far as the history knows. */
  readonly runs: readonly string[];
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Cursor for the next page; absent on the last one. */
  readonly next?: string;
}

/** Why a run is where it is: one sentence for people, the parts for programs. */
export interface Explanation {
  readonly id: string;
  readonly status: RunStatus;
  readonly sentence: string;
  readonly waitingFor?: "schedule" | "key" | "limit" | "paused" | "worker" | "slot" | "backoff" | "stop" | "registration";
  readonly limit?: string;
  readonly key?: string;
  readonly maxRuns?: number;
  /** Runs that hold the slots; cut to the first 10. */
  readonly holders?: readonly string[];
  /** Place in line, 1 is next. */
  readonly position?: number;
  readonly waiting?: number;
  readonly step?: string;
  readonly until?: string;
}

export interface RunListQuery {
  readonly status?: RunStatus | readonly RunStatus[];
  readonly workflow?: string;
  readonly limit?: string;
  readonly key?: string;
  /** Only runs that wait for their time. */
  readonly scheduled?: boolean;
  /** Metadata: `name=value`, or `name` for any value; all of several. */
  readonly tag?: string | readonly string[];
  /** Name of the event that started it. */
  readonly event?: string;
  /** Found in the id, the workflow, a key, the metadata or the input, whatever the case. Looks through at most 20,000 runs per page. */
  readonly text?: string;
  /** Id of a state of the workflow's machine: live runs of `workflow` that are in it. */
  readonly state?: string;
  /** `row`: without inputs, outputs and steps (`input` null, `steps` empty). For long lists. */
  readonly fields?: "row";
  readonly since?: string;
  readonly until?: string;
  readonly size?: number;
  readonly cursor?: string;
}

/** Operations of the NATS service: subject `sluice.api.<operation>`, JSON in, JSON out. */
export interface Operations {
  /** `id`: of the run, a ULID that the caller has made for it. Asked again with the same one, there is still one run. */
  "run.create": {
    request: {
      id?: string;
      workflow: string;
      input: unknown;
      priority?: number;
      metadata?: Record<string, unknown>;
      at?: string | number;
      delay?: string | number;
      traceparent?: string;
    };
    reply: RunView;
  };
  "run.get": { request: { id: string }; reply: RunView };
  "run.list": { request: RunListQuery; reply: Page<RunView> };
  "run.cancel": { request: { id: string }; reply: RunView };
  /** `newId`: of the new run, as the `id` of `run.create`. */
  "run.replay": { request: { id: string; newId?: string }; reply: RunView };
  "run.explain": { request: { id: string }; reply: Explanation };
  "run.events": { request: { id: string }; reply: Page<RunEventView> };
  /** `after`: only the frames with a higher index, of a record that is known up to there. */
  "run.record": { request: { id: string; after?: number }; reply: RunRecord };
  /** How many runs a list has in all; counts up to 100,000, and says so. */
  "run.count": { request: RunListQuery; reply: { count: number; atLeast: boolean } };
  "run.cancelMany": { request: { ids: readonly string[] }; reply: { items: readonly BulkItem[] } };
  /** `newIds`: of the new runs, in the order of `ids`. */
  "run.replayMany": { request: { ids: readonly string[]; newIds?: readonly string[] }; reply: { items: readonly BulkItem[] } };
  /** Most pressed first. `text`: found in the key. */
  "group.list": {
    request: { limit?: string; text?: string; size?: number; cursor?: string };
    reply: Page<GroupView> & { total: number };
  };
  "group.get": { request: { limit: string; key: string }; reply: GroupView };
  "group.update": { request: { limit: string; key: string; maxRuns: number | null }; reply: GroupView };
  "group.pause": { request: { limit: string; key: string }; reply: GroupView };
  "group.resume": { request: { limit: string; key: string }; reply: GroupView };
  "group.decisions": {
    request: { limit: string; key: string; size?: number; cursor?: string };
    reply: Page<GroupDecisionView>;
  };
  "group.machine": { request: { limit: string; key: string }; reply: GroupMachineView };
  /**
   * By the hash that a record, a group or a population names; or a workflow's, by name and version (default: the latest); or one of the
   * engine nodes': their life (`node`), or that of a partition's ownership, with how many are in each state.
   */
  "machine.get": {
    request: { hash?: string; machine?: "node" | "ownership"; workflow?: string; version?: string };
    reply: MachineDefinition;
  };
  "workflow.list": { request: Record<string, never>; reply: Page<WorkflowView> };
  /** The version that new runs get, or the one that is named. */
  "workflow.get": { request: { name: string; version?: string }; reply: WorkflowView };
  "workflow.register": { request: { spec: WorkflowSpec }; reply: { name: string; version: string } };
  "worker.list": { request: Record<string, never>; reply: Page<WorkerView> };
  /** The engine nodes, those that have been there longest first. */
  "node.list": { request: Record<string, never>; reply: Page<NodeView> };
  "workflow.population": { request: { name: string; version?: string }; reply: Population };
  "worker.drain": { request: { id: string }; reply: WorkerView };
  /** Newest first. `name`: one, or a pattern such as `user.*`. */
  "event.list": { request: { name?: string; size?: number; cursor?: string }; reply: Page<EventView> };
  /** For those who cannot speak NATS. Answered once it is stored. */
  /** `id`: as the header `Nats-Msg-Id` of an event. */
  "event.publish": {
    request: { id?: string; name: string; payload: unknown; metadata?: Record<string, unknown>; priority?: number };
    reply: { seq: number };
  };
  "rejected.list": { request: { size?: number; cursor?: string }; reply: Page<RejectedView> };
  "health.get": { request: Record<string, never>; reply: HealthView };
}
export type Operation = keyof Operations;
