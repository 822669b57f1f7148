/**
 * The operations of the API, on the state of this node: reads of runs and groups come from their owner, changes go through
 * the inbox of the partition, and are answered once they are durable. Lists and ended runs come from the history.
 */
import { RequestError, RunNotFoundError, WorkflowNotFoundError } from "../errors.ts";
import type { Connection } from "../nats/connection.ts";
import type { OperationHandlers } from "../nats/service.ts";
import type { Names } from "../nats/subjects.ts";
import type { Command, CreateCommand } from "../protocol/commands.ts";
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
import { forEachRun } from "./bulk.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { explain } from "./explain.ts";
import { GroupViews } from "./group-views.ts";
import type { Health } from "./health.ts";
import type { After, HistoryPort } from "./history-port.ts";
import { getMachine } from "./machine-definitions.ts";
import type { Partition } from "./partition.ts";
import type { PartitionCore } from "./partition-core.ts";
import type { Placement } from "./placement.ts";
import { MAX_METADATA_CHARS, routeCall } from "./routing.ts";
import { INLINE_INPUT_CHARS, type Run } from "./run.ts";
import { cutRecord } from "./cut-record.ts";
import { refuse, RunPages, withoutRepetition } from "./run-pages.ts";
import { WorkerViews } from "./worker-views.ts";
import { StreamViews } from "./stream-views.ts";
import { iso, runView } from "./views.ts";
import type { CompiledWorkflow, Workflows } from "./workflows.ts";

export interface ApiOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly workflows: Workflows;
  readonly placement: () => Placement;
  readonly partitions: readonly Partition[];
  readonly dispatcher: Dispatcher;
  readonly history: () => HistoryPort | undefined;
  readonly health: Health;
  readonly redactor: Redactor;
  /** Through the inbox; resolves once it is applied and durable. */
  readonly send: (partition: number, command: Command) => Promise<void>;
  readonly register: (spec: WorkflowSpec) => Promise<{ name: string; version: string }>;
  readonly newRunId: () => string;
  readonly journalSeq: (partition: number) => number;
  readonly nextTick: (workflow: CompiledWorkflow, index: number, afterMs: number) => number | undefined;
}

const REPLY_MARGIN_BYTES = 16_384;
const CRON_PREVIEW = 3;
const MAX_DELAY_MS = 10 * 365 * 86_400_000;

interface Live {
  readonly partition: Partition;
  readonly run: Run;
}

export class Api {
  readonly #options: ApiOptions;
  readonly operations: OperationHandlers;

  constructor(options: ApiOptions) {
    this.#options = options;
    const groups = new GroupViews(options);
    const workers = new WorkerViews(options);
    const streams = new StreamViews(options);
    const pages = new RunPages(options);
    this.operations = {
      "run.create": (request) => this.#create(request),
      "run.get": ({ id }) => this.#get(id),
      "run.list": (query) => pages.list(query, this.#maxReplyBytes),
      "run.count": (query) => pages.count(query),
      "run.cancel": ({ id }) => this.#cancel(id),
      "run.replay": ({ id }) => this.#replay(id),
      "run.cancelMany": ({ ids }) =>
        forEachRun(ids, async (id) => {
          await this.#sendCancel(id);
          return { status: await this.#statusOf(id) };
        }),
      "run.replayMany": ({ ids }) => forEachRun(ids, async (id) => ({ newId: await this.#replayed(id) })),
      "run.explain": ({ id }) => this.#explain(id),
      "run.events": ({ id }) => this.#events(id),
      "run.record": ({ id, after }) => this.#record(id, after),
      "group.list": (request) => groups.list(request, this.#maxReplyBytes),
      "group.get": ({ limit, key }) => groups.get(limit, key),
      "group.update": ({ limit, key, maxRuns }) => groups.set({ type: "group", limit, key, maxRuns }, "group.update"),
      "group.pause": ({ limit, key }) => groups.set({ type: "group", limit, key, paused: true }, "group.pause"),
      "group.resume": ({ limit, key }) => groups.set({ type: "group", limit, key, paused: false }, "group.resume"),
      "group.decisions": (request) => this.#decisions(request, groups),
      "group.machine": ({ limit, key }) => groups.machine(limit, key),
      "machine.get": (request) => getMachine(request, options),
      "workflow.list": () => ({ items: options.workflows.all.map((workflow) => this.#workflow(workflow)) }),
      "workflow.get": ({ name, version }) => this.#workflow(this.#version(name, version)),
      "workflow.population": (request) => pages.population(request),
      "workflow.register": ({ spec }) => options.register(spec),
      "worker.list": () => workers.list(),
      "worker.drain": ({ id }) => workers.drain(id),
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
    return this.#get(await this.#accept(request));
  }

  /** Gives the id of the run, once that is durable. */
  async #accept(request: Operations["run.create"]["request"], replayOf?: string): Promise<string> {
    const { newRunId, send } = this.#options;
    const placement = this.#options.placement();
    const workflow = this.#latest(request.workflow);
    const run = newRunId();
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
    await send(partition, command);
    return run;
  }

  /** An inbox goes behind a snapshot; a large input is wanted for longer, by those who look at the run or replay it. */
  async #keepInput(json: string): Promise<PayloadRef | undefined> {
    if (json.length <= INLINE_INPUT_CHARS) return undefined;
    const { connection, names } = this.#options;
    const { seq } = await connection.publishAcked(names.inputs, json);
    return { stream: names.eventsStream, seq };
  }

  #find(id: string): Live | undefined {
    for (const partition of this.#options.partitions) {
      const run = partition.core.runs.get(id);
      // A run that has moved on is shown by the partition that it went to, once it is there.
      if (
        run !== undefined &&
        (run.rest?.moved === undefined ||
          !this.#options.partitions.some((other) => other !== partition && other.core.runs.has(id)))
      )
        return { partition, run };
    }
    return undefined;
  }

  /** Asks the owner, once what it has decided is durable; a run that ended meanwhile is in the history. */
  async #fromOwner<T>(id: string, read: (core: PartitionCore, run: Run) => T): Promise<T | undefined> {
    const live = this.#find(id);
    if (live === undefined) return undefined;
    return live.partition.read((core) => {
      const run = core.runs.get(id);
      return run === undefined ? undefined : read(core, run);
    });
  }

  async #get(id: string): Promise<RunView> {
    const seen = await this.#fromOwner(id, (core, run) => ({ view: runView(core, run), ref: refOf(run, this.#options.names) }));
    if (seen !== undefined) return this.#whole(seen.view, seen.ref);
    const recorded = await this.#recorded("run.get", id, (history, after) => history.run(id, after));
    if (recorded === undefined) throw new RunNotFoundError(id);
    return this.#whole(recorded.view, recorded.inputRef);
  }

  /** From the history, not before it knows all that the owners have written. */
  async #recorded<T>(
    operation: Operation,
    id: string,
    read: (history: HistoryPort, after: readonly After[]) => Promise<T>,
  ): Promise<T> {
    const history = this.#options.history();
    if (history === undefined)
      throw new RequestError(`${operation}: run ${id} is not live, and this engine has no history`, {
        operation,
        status: 501,
        reason: "HISTORY_UNAVAILABLE",
      });
    const after = this.#options.partitions.map(({ number }) => ({ partition: number, seq: this.#options.journalSeq(number) }));
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
    await this.#sendCancel(id);
    return this.#get(id);
  }

  /** Resolves when it is applied and durable; at once for a run that is not live. */
  async #sendCancel(id: string): Promise<void> {
    // It may move to another partition while it is asked.
    for (let attempt = 0; attempt < 3; attempt++) {
      const live = this.#find(id);
      if (live === undefined) return;
      await this.#options.send(live.partition.number, { type: "cancel", run: id });
      const after = this.#find(id);
      if (after === undefined || after.partition === live.partition) return;
    }
  }

  async #statusOf(id: string): Promise<RunStatus> {
    const live = await this.#fromOwner(id, (core, run) => core.describe(run)?.status ?? "QUEUED");
    if (live !== undefined) return live;
    const recorded = await this.#recorded("run.cancelMany", id, (history, after) => history.run(id, after));
    if (recorded === undefined) throw new RunNotFoundError(id);
    return recorded.view.status;
  }

  async #replay(id: string): Promise<RunView> {
    return this.#get(await this.#replayed(id));
  }

  /** Gives the id of the new run, once that is durable. */
  async #replayed(id: string): Promise<string> {
    const { workflow, input, inputRef, metadata, priority } = await this.#get(id);
    // Where the view has no room for it, or it is gone.
    const stored = inputRef === undefined ? { input } : await this.#storedInput(inputRef);
    if (stored === undefined)
      throw new RequestError(`run.replay: the input of run ${id} is not stored any more`, {
        operation: "run.replay",
        status: 410,
        reason: "INPUT_GONE",
      });
    return this.#accept({ workflow, input: stored.input, metadata: { ...metadata }, priority }, id);
  }

  async #explain(id: string): Promise<Explanation> {
    const live = await this.#fromOwner(id, (core, run) => explain(core, run, this.#options.dispatcher, Date.now()));
    if (live !== undefined) return live;
    const view = await this.#get(id);
    const why = view.reason === undefined ? "" : ` (${view.reason}${view.error === undefined ? "" : `: ${view.error.message}`})`;
    return {
      id,
      status: view.status,
      sentence: `It has ended: ${view.status}${why}${view.finishedAt === undefined ? "" : `, at ${view.finishedAt}`}.`,
    };
  }

  async #events(id: string): Promise<Page<RunEventView>> {
    const events = await this.#recorded("run.events", id, (history, after) => history.events(id, after));
    if (events.length === 0) throw new RunNotFoundError(id);
    return { items: events };
  }

  async #record(id: string, afterIndex?: number): Promise<RunRecord> {
    const record = await this.#recorded("run.record", id, (history, after) => history.record(id, after, afterIndex));
    if (record === undefined) throw new RunNotFoundError(id);
    return record;
  }

  #requireHistory(operation: string): HistoryPort {
    const history = this.#options.history();
    if (history === undefined)
      throw new RequestError(`${operation}: this engine has no history`, {
        operation,
        status: 501,
        reason: "HISTORY_UNAVAILABLE",
      });
    return history;
  }

  // ---------------------------------------------------------------- groups

  /** Not before the history knows all that the group's owner has decided. */
  async #decisions(
    request: Operations["group.decisions"]["request"],
    groups: GroupViews,
  ): Promise<Operations["group.decisions"]["reply"]> {
    groups.check(request.limit, "group.decisions");
    const partition = this.#options.placement().ofGroup(request.limit, request.key);
    return this.#requireHistory("group.decisions")
      .decisions(request, [{ partition, seq: this.#options.journalSeq(partition) }])
      .catch((error: unknown) => refuse("group.decisions", error));
  }

  // ---------------------------------------------------------------- workflows, workers, events

  #latest(name: string): CompiledWorkflow {
    const workflow = this.#options.workflows.latest(name);
    if (workflow === undefined) throw new WorkflowNotFoundError(name);
    return workflow;
  }

  #version(name: string, version: string | undefined): CompiledWorkflow {
    if (version === undefined) return this.#latest(name);
    const workflow = this.#options.workflows.get(name, version);
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

function refOf(run: Run, names: Names): PayloadRef | undefined {
  return run.ref ?? (run.event === undefined ? undefined : { stream: names.eventsStream, seq: run.event.seq });
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
