/**
 * The operations of the API, at any node of the cluster: reads of runs and groups come from their owner, changes go through the inbox
 * of the partition, and are answered once they are durable. Lists and ended runs come from the history, which every node has. Where
 * the owner is, and what happens while a partition moves, is known to `NodeCalls`.
 */
import { isRequestError, RequestError, RunNotFoundError, WorkflowNotFoundError } from "../errors.ts";
import type { Connection } from "../nats/connection.ts";
import type { OperationHandlers } from "../nats/service.ts";
import type { Names } from "../nats/subjects.ts";
import type { Command, CreateCommand } from "../protocol/commands.ts";
import { madeAt } from "../protocol/run-ids.ts";
import type { RunRecord } from "../protocol/record.ts";
import type { Redactor } from "../protocol/redact.ts";
import type {
  Explanation,
  Operation,
  Operations,
  Page,
  RunEventView,
  RunStatus,
  RunView,
  WorkflowView,
} from "../protocol/view.ts";
import type { PayloadRef } from "../protocol/work.ts";
import { readDuration } from "../workflow/duration.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import { forEachRun, outcomeOf } from "./bulk.ts";
import { APPLIED_LATER } from "./cluster/inbox-commands.ts";
import type { NodeCalls } from "./cluster/node-calls.ts";
import type { ClusterMembers } from "./cluster/node-views.ts";
import { ClusterApi } from "./cluster-api.ts";
import { cutRecord } from "./cut-record.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { GroupViews } from "./group-views.ts";
import type { Health } from "./health.ts";
import type { After, HistoryPort } from "./history-port.ts";
import { getMachine } from "./machine-definitions.ts";
import type { OwnedPartitions } from "./owned-partitions.ts";
import type { Placement } from "./placement.ts";
import { MAX_METADATA_CHARS, routeCall } from "./routing.ts";
import { INLINE_INPUT_CHARS } from "./run.ts";
import { refuse, RunPages, withoutRepetition } from "./run-pages.ts";
import { noHistory, RunReads, type SeenRun } from "./run-reads.ts";
import { StreamViews } from "./stream-views.ts";
import { WorkerViews } from "./worker-views.ts";
import { iso } from "./views.ts";
import type { CompiledWorkflow, Workflows } from "./workflows.ts";

export interface ApiOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly workflows: Workflows;
  readonly placement: () => Placement;
  readonly partitions: OwnedPartitions;
  readonly calls: NodeCalls;
  readonly members: ClusterMembers;
  /** Whether the server does not take the journal of a partition that is here. */
  readonly isRefused: (partition: number) => boolean;
  readonly dispatcher: Dispatcher;
  readonly history: () => HistoryPort | undefined;
  readonly health: Health;
  readonly redactor: Redactor;
  /** Through the inbox; resolves once it is applied and durable. */
  readonly send: (partition: number, command: Command) => Promise<void>;
  /** Asked of the coordinator; resolves once the version is in force there. */
  readonly register: (spec: WorkflowSpec) => Promise<{ name: string; version: string }>;
  /** Reads the definitions that are in force and that this node does not know yet. */
  readonly refreshDefinitions: () => Promise<void>;
  readonly newRunId: () => string;
  readonly journalSeq: (partition: number) => number;
  readonly nextTick: (workflow: CompiledWorkflow, index: number, afterMs: number) => number | undefined;
}

const REPLY_MARGIN_BYTES = 16_384;
/** Well below the window in which the inboxes know a command again, whatever the time that it takes to get there. */
const FRESH_MS = 60_000;
const CRON_PREVIEW = 3;
const MAX_DELAY_MS = 10 * 365 * 86_400_000;

export class Api {
  readonly #options: ApiOptions;
  readonly #runs: RunReads;
  readonly operations: OperationHandlers;

  constructor(options: ApiOptions) {
    this.#options = options;
    const maxReplyBytes = (): number => this.#maxReplyBytes;
    this.#runs = new RunReads({ ...options, maxReplyBytes });
    const groups = new GroupViews({ ...options, maxReplyBytes });
    const cluster = new ClusterApi(options);
    const workers = new WorkerViews(options);
    const streams = new StreamViews(options);
    const pages = new RunPages({ ...options, maxReplyBytes });
    this.operations = {
      "run.create": (request) => this.#create(request),
      "run.get": ({ id }) => this.#get(id),
      "run.list": (query) => pages.list(query),
      "run.count": (query) => pages.count(query),
      "run.cancel": ({ id }) => this.#cancel(id),
      "run.replay": ({ id, newId }) => this.#replay(id, newId),
      "run.cancelMany": ({ ids }) => this.#cancelMany(ids),
      "run.replayMany": ({ ids, newIds }) => this.#replayMany(ids, newIds),
      "run.explain": ({ id }) => this.#explain(id),
      "run.events": ({ id }) => this.#events(id),
      "run.record": ({ id, after }) => this.#record(id, after),
      "group.list": (request) => groups.list(request),
      "group.get": ({ limit, key }) => groups.get(limit, key),
      "group.update": ({ limit, key, maxRuns }) => groups.set({ type: "group", limit, key, maxRuns }, "group.update"),
      "group.pause": ({ limit, key }) => groups.set({ type: "group", limit, key, paused: true }, "group.pause"),
      "group.resume": ({ limit, key }) => groups.set({ type: "group", limit, key, paused: false }, "group.resume"),
      "group.decisions": (request) => this.#decisions(request, groups),
      "group.machine": ({ limit, key }) => groups.machine(limit, key),
      "machine.get": (request) =>
        request.machine === undefined ? getMachine(request, options) : cluster.machine(request.machine),
      "workflow.list": () => ({ items: options.workflows.all.map((workflow) => this.#workflow(workflow)) }),
      "workflow.get": async ({ name, version }) => this.#workflow(await this.#version(name, version)),
      "workflow.population": (request) => pages.population(request),
      "workflow.register": ({ spec }) => cluster.register(spec),
      "worker.list": () => workers.list(),
      "worker.drain": ({ id }) => workers.drain(id),
      "node.list": () => cluster.nodes(),
      "health.get": () => options.health.get(),
      "event.list": (request) => streams.events(request, this.#maxReplyBytes),
      "event.publish": (request) => streams.publish(request),
      "rejected.list": (request) => streams.rejected(request),
    };
  }

  /** The same where a reply has to fit into one message. */
  get natsOperations(): OperationHandlers {
    return {
      ...this.operations,
      "run.record": async ({ id, after }) => cutRecord(await this.#record(id, after), this.#maxReplyBytes),
    };
  }

  // ---------------------------------------------------------------- runs

  async #create(request: Operations["run.create"]["request"]): Promise<RunView> {
    const earlier = await this.#earlier("run.create", request.id);
    if (earlier !== undefined) return earlier;
    const { run, partition, workflow } = await this.#accept(request);
    return this.#accepted(run, partition, workflow, request);
  }

  /**
   * The run, which is durable. Where its partition is on its way for so long that nobody can say more of it, as it was accepted: an error
   * would have the caller ask again, and there would be two.
   */
  async #accepted(
    id: string,
    partition: number,
    { name, spec }: CompiledWorkflow,
    { input, priority = 0, metadata = {} }: Pick<Operations["run.create"]["request"], "input" | "priority" | "metadata">,
  ): Promise<RunView> {
    try {
      return await this.#get(id, partition);
    } catch (error) {
      if (!isRequestError(error) || error.status !== 503) throw error;
      const createdAt = iso(Date.now());
      const { version } = spec;
      return {
        id,
        workflow: name,
        version,
        status: "QUEUED",
        input: input ?? null,
        keys: [],
        priority,
        metadata,
        createdAt,
        steps: {},
      };
    }
  }

  /**
   * The run that an earlier request with this id has started. One that comes soon after is known by its command in the inbox, at no
   * cost; who has waited for longer than the inbox remembers, or has a clock of its own, has the run looked for.
   */
  async #earlier(operation: Operation, id: string | undefined): Promise<RunView | undefined> {
    if (id === undefined || Math.abs(Date.now() - madeAt(id)) < FRESH_MS) return undefined;
    const seen = await this.#runs.one("view", operation, id);
    return seen.type === "unknown" ? undefined : this.#shown(id, seen);
  }

  /** Gives the id of the run, and where it is, once that is durable. */
  async #accept(
    request: Operations["run.create"]["request"],
    replayOf?: string,
  ): Promise<{ readonly run: string; readonly partition: number; readonly workflow: CompiledWorkflow }> {
    const { newRunId, send } = this.#options;
    const placement = this.#options.placement();
    const workflow = await this.#latest(request.workflow);
    const run = request.id ?? newRunId();
    const notBefore = startTime(request);
    const metadataChars = JSON.stringify(request.metadata ?? {}).length;
    if (metadataChars > MAX_METADATA_CHARS)
      throw new RequestError(
        `run.create: 'metadata': expected at most ${MAX_METADATA_CHARS} characters of JSON, got ${metadataChars}`,
        { operation: "run.create", status: 400, reason: "BAD_REQUEST" },
      );
    const inputRef = await this.#keepInput(JSON.stringify(request.input ?? null));
    const { partition, command } = routeCall(placement, workflow, {
      run,
      createdAt: Date.now(),
      input: request.input ?? null,
      ...(inputRef !== undefined && { inputRef }),
      ...(request.priority !== undefined && { priority: request.priority }),
      ...(request.metadata !== undefined && { metadata: request.metadata }),
      ...(notBefore !== undefined && { notBefore }),
      ...(replayOf !== undefined && { replayOf }),
      ...(request.traceparent !== undefined && { traceparent: request.traceparent }),
    });
    await send(partition, command).catch((error: unknown) => {
      if (!isRequestError(error) || error.reason !== APPLIED_LATER) throw error;
    });
    return { run, partition, workflow };
  }

  /** An inbox goes behind a snapshot; a large input is wanted for longer, by those who look at the run or replay it. */
  async #keepInput(json: string): Promise<PayloadRef | undefined> {
    if (json.length <= INLINE_INPUT_CHARS) return undefined;
    const { connection, names } = this.#options;
    const { seq } = await connection.publishAcked(names.inputs, json);
    return { stream: names.eventsStream, seq };
  }

  /** `at`: its partition, most likely. */
  async #get(id: string, at?: number): Promise<RunView> {
    return this.#shown(id, await this.#runs.one("view", "run.get", id, at));
  }

  #shown(id: string, seen: SeenRun<"view">): Promise<RunView> {
    const { view, ref } = known(id, seen);
    return this.#whole(view, ref);
  }

  /** From the history, not before it knows all that the owners have written. */
  async #recorded<T>(operation: Operation, read: (history: HistoryPort, after: readonly After[]) => Promise<T>): Promise<T> {
    const history = this.#options.history();
    if (history === undefined) throw noHistory(operation);
    const after = await this.#runs.journals();
    return read(history, after).catch((error: unknown) => refuse(operation, error));
  }

  /** With its input, as far as one message takes both. */
  async #whole(view: RunView, ref: PayloadRef | undefined): Promise<RunView> {
    if (view.input !== undefined) return this.#fits(view) ? view : withoutRepetition(view);
    const stored = ref === undefined ? undefined : await this.#storedInput(ref);
    if (ref === undefined || stored === undefined)
      return withoutRepetition({ ...view, input: null, ...(ref !== undefined && { inputRef: ref }) });
    const whole = { ...view, input: stored.input };
    if (this.#fits(whole)) return whole;
    const shorter = withoutRepetition(whole);
    // Together with large outputs it would still be more than one message takes: whoever wants it reads it where it is.
    return this.#fits(shorter) ? shorter : { ...shorter, input: null, inputRef: ref };
  }

  async #storedInput({ stream, seq }: PayloadRef): Promise<{ readonly input: unknown } | undefined> {
    const message = await this.#options.connection.readMessage(stream, seq);
    if (message === undefined) return undefined;
    const payload = JSON.parse(Buffer.from(message.data).toString()) as unknown;
    return { input: stream === this.#options.names.eventsStream ? payload : (payload as CreateCommand).input };
  }

  #fits(view: RunView): boolean {
    try {
      return Buffer.byteLength(JSON.stringify(view)) < this.#maxReplyBytes;
    } catch {
      return false; // nested deeper than JSON.stringify goes, though JSON.parse did
    }
  }

  get #maxReplyBytes(): number {
    return this.#options.connection.maxPayload - REPLY_MARGIN_BYTES;
  }

  async #cancel(id: string): Promise<RunView> {
    let seen: SeenRun<"view" | "status"> = await this.#runs.one("status", "run.cancel", id);
    // It may move to another partition while it is asked.
    for (let attempt = 0, asked = -1; attempt < 3 && seen.type === "live" && seen.partition !== asked; attempt++) {
      asked = seen.partition;
      await this.#options.send(asked, { type: "cancel", run: id });
      const after = await this.#runs.one("view", "run.cancel", id, asked);
      if (after.type !== "live" || after.partition === asked) return this.#shown(id, after);
      seen = after;
    }
    return this.#get(id);
  }

  /** All are looked for together, and their new states too. */
  async #cancelMany(ids: readonly string[]): Promise<Operations["run.cancelMany"]["reply"]> {
    const before = await this.#runs.many("status", "run.cancelMany", ids);
    const { items: sent } = await forEachRun(ids, async (id) => {
      const seen = before.get(id);
      if (seen?.type === "failed") throw seen.error;
      if (seen?.type === "live") await this.#options.send(seen.partition, { type: "cancel", run: id });
      return {};
    });
    const asked = sent.flatMap(({ id, error }) => (error === undefined && before.get(id)?.type === "live" ? [id] : []));
    const after = await this.#runs.many("status", "run.cancelMany", asked);
    const items = sent.map(async (item) => {
      if (item.error !== undefined) return item;
      const [then, now] = [before.get(item.id), after.get(item.id)];
      try {
        const moved = then?.type === "live" && now?.type === "live" && then.partition !== now.partition;
        return { ...item, status: moved ? (await this.#cancel(item.id)).status : statusOf(item.id, now ?? then) };
      } catch (error) {
        return { ...item, error: outcomeOf(error) };
      }
    });
    return { items: await Promise.all(items) };
  }

  async #replay(id: string, newId: string | undefined): Promise<RunView> {
    const earlier = await this.#earlier("run.replay", newId);
    if (earlier !== undefined) return earlier;
    const seen = await this.#runs.one("source", "run.replay", id);
    const { run, partition, workflow } = await this.#replayed(id, seen, newId);
    const { input, priority, metadata } = known(id, seen).view;
    return this.#accepted(run, partition, workflow, { input, priority, metadata: { ...metadata } });
  }

  async #replayMany(
    ids: readonly string[],
    newIds: readonly string[] | undefined,
  ): Promise<Operations["run.replayMany"]["reply"]> {
    const idOf = new Map(ids.map((id, index) => [id, newIds?.[index]]));
    const sources = await this.#runs.many("source", "run.replayMany", ids);
    return forEachRun(ids, async (id) => {
      const newId = idOf.get(id);
      const earlier = await this.#earlier("run.replayMany", newId);
      return { newId: earlier?.id ?? (await this.#replayed(id, sources.get(id), newId)).run };
    });
  }

  /** Resolves once the new run is durable. */
  async #replayed(
    id: string,
    seen: SeenRun<"source"> | undefined,
    newId: string | undefined,
  ): Promise<{ readonly run: string; readonly partition: number; readonly workflow: CompiledWorkflow }> {
    const { view, ref } = known(id, seen);
    const { workflow, metadata, priority, input = null } = view;
    const stored = view.input !== undefined || ref === undefined ? { input } : await this.#storedInput(ref);
    if (stored === undefined)
      throw new RequestError(`run.replay: the input of run ${id} is not stored any more`, {
        operation: "run.replay",
        status: 410,
        reason: "INPUT_GONE",
      });
    const request = { workflow, input: stored.input, metadata: { ...metadata }, priority };
    return this.#accept(newId === undefined ? request : { ...request, id: newId }, id);
  }

  async #explain(id: string): Promise<Explanation> {
    const seen = await this.#runs.one("explanation", "run.explain", id);
    if (seen.type === "live") return seen.value;
    if (seen.type === "unknown") throw new RunNotFoundError(id);
    const { view } = seen.run;
    const why = view.reason === undefined ? "" : ` (${view.reason}${view.error === undefined ? "" : `: ${view.error.message}`})`;
    return {
      id,
      status: view.status,
      sentence: `It has ended: ${view.status}${why}${view.finishedAt === undefined ? "" : `, at ${view.finishedAt}`}.`,
    };
  }

  async #events(id: string): Promise<Page<RunEventView>> {
    const events = await this.#recorded("run.events", (history, after) => history.events(id, after));
    if (events.length === 0) throw new RunNotFoundError(id);
    return { items: events };
  }

  async #record(id: string, afterIndex?: number): Promise<RunRecord> {
    const record = await this.#recorded("run.record", (history, after) => history.record(id, after, afterIndex));
    if (record === undefined) throw new RunNotFoundError(id);
    return record;
  }

  // ---------------------------------------------------------------- groups

  /** Not before the history knows all that the group's owner has decided. */
  async #decisions(
    request: Operations["group.decisions"]["request"],
    groups: GroupViews,
  ): Promise<Operations["group.decisions"]["reply"]> {
    groups.check(request.limit, "group.decisions");
    const history = this.#options.history();
    if (history === undefined) throw noHistory("group.decisions");
    const partition = this.#options.placement().ofGroup(request.limit, request.key);
    return history
      .decisions(request, await this.#runs.journals([partition]))
      .catch((error: unknown) => refuse("group.decisions", error));
  }

  // ---------------------------------------------------------------- workflows, workers, events

  /** One that this node does not know may have come into force a moment ago. */
  async #latest(name: string): Promise<CompiledWorkflow> {
    const { workflows, refreshDefinitions } = this.#options;
    if (workflows.latest(name) === undefined) await refreshDefinitions();
    const workflow = workflows.latest(name);
    if (workflow === undefined) throw new WorkflowNotFoundError(name);
    return workflow;
  }

  async #version(name: string, version: string | undefined): Promise<CompiledWorkflow> {
    if (version === undefined) return this.#latest(name);
    const { workflows, refreshDefinitions } = this.#options;
    if (workflows.get(name, version) === undefined) await refreshDefinitions();
    const workflow = workflows.get(name, version);
    if (workflow === undefined)
      throw new RequestError(`there is no version "${version}" of workflow "${name}"`, {
        operation: "workflow.get",
        status: 404,
        reason: "WORKFLOW_NOT_FOUND",
      });
    return workflow;
  }

  #workflow(workflow: CompiledWorkflow): WorkflowView {
    const ticks: number[] = [];
    for (let index = 0; index < workflow.spec.cron.length; index++) {
      let at = Date.now();
      for (let i = 0; i < CRON_PREVIEW; i++) {
        const next = this.#options.nextTick(workflow, index, at);
        if (next === undefined) break;
        ticks.push(next);
        at = next;
      }
    }
    return {
      name: workflow.name,
      version: workflow.spec.version,
      registeredAt: iso(workflow.registeredAt),
      spec: workflow.spec,
      versions: this.#options.workflows.versionsOf(workflow.name).map(({ spec }) => spec.version),
      ...(ticks.length > 0 && {
        nextCron: ticks
          .sort((a, b) => a - b)
          .slice(0, CRON_PREVIEW)
          .map(iso),
      }),
    };
  }
}

/** Throws RunNotFoundError, or why it is not known. */
function known(
  id: string,
  seen: SeenRun<"view" | "source"> | undefined,
): { readonly view: RunView; readonly ref: PayloadRef | undefined } {
  if (seen === undefined || seen.type === "unknown") throw new RunNotFoundError(id);
  if (seen.type === "failed") throw seen.error;
  return seen.type === "live" ? seen.value : { view: seen.run.view, ref: seen.run.inputRef };
}

/** The same of a status. */
function statusOf(id: string, seen: SeenRun<"status"> | undefined): RunStatus {
  if (seen === undefined || seen.type === "unknown") throw new RunNotFoundError(id);
  if (seen.type === "failed") throw seen.error;
  return seen.type === "live" ? seen.value : seen.run.view.status;
}

function startTime({ at, delay }: Operations["run.create"]["request"]): number | undefined {
  const bad = (field: string, expected: string, got: unknown): RequestError =>
    new RequestError(`run.create: '${field}': expected ${expected}, got ${JSON.stringify(got)}`, {
      operation: "run.create",
      status: 400,
      reason: "BAD_REQUEST",
    });
  if (at !== undefined && delay !== undefined) throw bad("delay", "either 'at' or 'delay'", delay);
  if (delay !== undefined) {
    const ms = readDuration(delay);
    if (ms === undefined || ms > MAX_DELAY_MS) throw bad("delay", 'a duration such as "30s" or a number of milliseconds', delay);
    return Date.now() + ms;
  }
  if (at === undefined) return undefined;
  const ms = typeof at === "number" ? at : Date.parse(at);
  if (!Number.isFinite(ms) || ms < 0 || ms > Date.now() + MAX_DELAY_MS)
    throw bad("at", "a time in ISO 8601, or in ms since 1970", at);
  return ms;
}
