/**
 * The client: publishes events, starts runs and waits for them, asks and tells engines. All of it over NATS, by the contract
 * that any other NATS client can use as well.
 */
import { hostname } from "node:os";
import { pino, type Logger } from "pino";
import { NotConnectedError } from "../errors.ts";
import { callApi } from "../nats/api.ts";
import {
  connectionOptionsShape,
  connectNats,
  loggerOption,
  type Connection,
  type ConnectionOptions,
} from "../nats/connection.ts";
import { createNames, DEFAULT_PREFIX, prefixOption, type Names } from "../nats/subjects.ts";
import type {
  BulkItem,
  GroupDecisionView,
  GroupMachineView,
  HealthView,
  Population,
  RejectedView,
  RunRecord,
} from "../protocol/record.ts";
import type {
  EventView,
  Explanation,
  GroupView,
  NodeView,
  Operation,
  Operations,
  Page,
  RunChangeMessage,
  RunEventView,
  RunListQuery,
  RunView,
  WorkerView,
  WorkflowView,
} from "../protocol/view.ts";
import { parseDuration, type Duration } from "../workflow/duration.ts";
import { durationOption, optionOf, optionsOf, parseOptionsOf } from "../workflow/parse-options.ts";
import type { AnyWorkflow, WorkflowInput, WorkflowOutputs } from "../workflow/workflow.ts";
import { loadPages, type Pages } from "./pages.ts";
import { EventPublisher, type EventInput, type PublishOptions, type PublishResult } from "./publish.ts";
import { RunHandle, type RunTransport } from "./run-handle.ts";

export interface ConnectOptions extends ConnectionOptions {
  /** Shown in the NATS server's list of connections. Default: `sluice client` and the host's name. */
  readonly name?: string | undefined;
  /** The cluster's prefix. Default `sluice`. */
  readonly prefix?: string | undefined;
  /**
   * How long any call waits for what it needs: the NATS server, an engine, an acknowledgement. Default 10 s. Longer survives
   * longer restarts of engines; shorter says sooner that something is not there.
   */
  readonly timeout?: Duration | undefined;
  /** A pino logger. Default: one that writes lines of level `warn` to standard error. */
  readonly logger?: Logger | undefined;
}

const schema = optionsOf(
  {
    ...connectionOptionsShape,
    name: optionOf("a non-empty string", (value): value is string => typeof value === "string" && value !== "").optional(),
    prefix: prefixOption,
    timeout: durationOption(1).optional(),
    logger: loggerOption,
  },
  { servers: ["url", "nats", "server"] },
);

export interface RunOptions {
  /** Higher goes first within a key. Default 0. */
  readonly priority?: number | undefined;
  /** Stays with the run: `ctx.metadata`, lists. What JSON can hold. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  /** Start at this time: a Date, an ISO 8601 text, or ms since the epoch. */
  readonly at?: Date | string | number | undefined;
  /** Start after this time. */
  readonly delay?: Duration | undefined;
  /** W3C trace context. */
  readonly traceparent?: string | undefined;
}

export interface PublishManyOptions {
  /** Called with how many are acknowledged so far, after each. */
  readonly onProgress?: ((published: number) => void) | undefined;
}

/** For `runs.watch`. */
export interface RunsListener {
  change(change: RunChangeMessage): void;
  /** Reconnected, or an engine has started: changes may have been lost. */
  missed?(): void;
}

/** A group: one key of one limit. */
export interface GroupId {
  readonly limit: string;
  readonly key: string;
}

/**
 * Connects to NATS. Reconnects by itself from then on; calls made meanwhile wait.
 *
 * Every call that needs an engine waits for one (`timeout`), then throws EngineUnavailableError; TimeoutError when one has the
 * request but does not answer; NotConnectedError when NATS is away or the client is closed.
 *
 * @throws OptionsError (`OPTIONS_INVALID`)
 * @throws NatsUnavailableError (`NATS_UNAVAILABLE`): no server within `timeout`, or it refuses the credentials
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const { name, prefix, timeout, logger, ...connection } = parseOptionsOf(schema, options, "connect");
  const timeoutMs = timeout ?? 10_000;
  const log = (logger ?? pino({ level: "warn" }, pino.destination(2))).child({ component: "client" });
  const nats = await connectNats({
    ...connection,
    name: name ?? `sluice client ${hostname()}`,
    logger: log,
    firstConnectTimeoutMs: timeoutMs,
  });
  return new Client(nats, createNames(prefix ?? DEFAULT_PREFIX), timeoutMs);
}

/** Made by `connect`. */
export class Client {
  readonly #connection: Connection;
  readonly #names: Names;
  readonly #timeoutMs: number;
  readonly #publisher: EventPublisher;
  readonly #transport: RunTransport;

  constructor(connection: Connection, names: Names, timeoutMs: number) {
    this.#connection = connection;
    this.#names = names;
    this.#timeoutMs = timeoutMs;
    this.#publisher = new EventPublisher(connection, names, timeoutMs);
    this.#transport = createRunTransport(connection, names, (operation, request) => this.#call(operation, request));
  }

  /**
   * Publishes an event and resolves once it is stored: each matching workflow will have exactly one run for it. Sent again, with
   * the same id, when the acknowledgement was lost. Publishes of one client are stored in the order of the calls, except where one
   * must be sent again.
   * @param event tokens joined by `.`, such as `user.created`
   * @param payload what JSON can hold: the input of the runs
   * @throws OptionsError: the name, payload or an option is not usable; PayloadTooLargeError
   * @throws NotConnectedError, TimeoutError: not acknowledged within the client's `timeout`; it may have been stored
   * @throws RequestError: the server refused it (for example a stream that is full), or there is no stream yet
   */
  async publish(event: string, payload: unknown, options: PublishOptions = {}): Promise<PublishResult> {
    this.#assertOpen("publish");
    return await this.#publisher.publish(event, payload, options);
  }

  /**
   * Publishes events as fast as the server takes them, in their order; resolves with the results in that order, once all are
   * acknowledged. Memory stays bounded by what is in flight, and by the results.
   * @throws PublishManyError (a RequestError) when some were not stored: `failures` says which and why. All others were.
   */
  async publishMany(
    events: Iterable<EventInput> | AsyncIterable<EventInput>,
    options: PublishManyOptions = {},
  ): Promise<PublishResult[]> {
    this.#assertOpen("publishMany");
    return await this.#publisher.publishMany(events, options.onProgress);
  }

  /**
   * Starts a run of a workflow (or, with `at` or `delay`, has it wait for its time) and resolves once it is durably accepted.
   * An input that the workflow's schema refuses is not refused here: the run fails with `INPUT_INVALID`.
   * Asked again where the answer is lost (a connection, a NATS server or an engine node that is gone): there is one run of each call.
   * @throws WorkflowNotFoundError: no worker has ever registered it
   * @throws NotConnectedError, TimeoutError: no answer within the client's `timeout`; the run may have been accepted
   */
  run<W extends AnyWorkflow>(workflow: W, input: WorkflowInput<W>, options?: RunOptions): Promise<RunHandle<WorkflowOutputs<W>>>;
  run(workflow: string, input: unknown, options?: RunOptions): Promise<RunHandle>;
  async run(workflow: AnyWorkflow | string, input: unknown, options: RunOptions = {}): Promise<RunHandle> {
    const { priority, metadata, at, delay, traceparent } = options;
    const view = await this.#call("run.create", {
      workflow: typeof workflow === "string" ? workflow : workflow.name,
      input: input === undefined ? null : input,
      ...(priority === undefined ? {} : { priority }),
      ...(metadata === undefined ? {} : { metadata: { ...metadata } }),
      ...(at === undefined ? {} : { at: at instanceof Date ? at.toISOString() : at }),
      ...(delay === undefined ? {} : { delay: parseDuration(delay, "delay") }),
      ...(traceparent === undefined ? {} : { traceparent }),
    });
    return new RunHandle(this.#transport, view.id, view.workflow);
  }

  readonly runs = {
    /** A handle for a run that is known by its id. Asks nobody: whether there is such a run, its methods will tell. */
    handle: (id: string): RunHandle => new RunHandle(this.#transport, id, undefined),
    /** @throws RunNotFoundError */
    get: (id: string): Promise<RunView> => this.#call("run.get", { id }),
    /** Newest first. */
    list: (query: RunListQuery = {}): Pages<RunView> => this.#pages("run.list", query),
    /** @throws RunNotFoundError */
    cancel: (id: string): Promise<RunView> => this.#call("run.cancel", { id }),
    /** Starts a new run with the same input; gives the new one. @throws RunNotFoundError */
    replay: (id: string): Promise<RunView> => this.#call("run.replay", { id }),
    /** Why it is where it is. @throws RunNotFoundError */
    explain: (id: string): Promise<Explanation> => this.#call("run.explain", { id }),
    /** What happened to it, oldest first. @throws RunNotFoundError */
    events: (id: string): Pages<RunEventView> => this.#pages("run.events", { id }),
    /** How many a list has in all: counts up to 100,000, and says so. */
    count: (query: RunListQuery = {}): Promise<Operations["run.count"]["reply"]> => this.#call("run.count", query),
    /** Its life frame by frame: what its machine was told, and the state after each. @throws RunNotFoundError */
    record: (id: string): Promise<RunRecord> => this.#call("run.record", { id }),
    /** Cancels up to 1,000 runs, each with an outcome of its own: what becomes of one does not touch the others. */
    cancelMany: (ids: readonly string[]): Promise<{ readonly items: readonly BulkItem[] }> =>
      this.#call("run.cancelMany", { ids }),
    /** Starts up to 1,000 runs again, each with an outcome of its own. */
    replayMany: (ids: readonly string[]): Promise<{ readonly items: readonly BulkItem[] }> =>
      this.#call("run.replayMany", { ids }),
    /**
     * Calls back with every change of every run from now on (of one workflow, where it is named), until the returned function is
     * called. Changes are plain NATS messages: `missed` says when some may not have come, and a list tells what holds then.
     */
    watch: (listener: RunsListener, { workflow }: { readonly workflow?: string | undefined } = {}): (() => void) => {
      this.#assertOpen("runs.watch");
      const unsubscribe = this.#transport.subscribe("*", workflow, (change) => listener.change(change));
      const forget = this.#transport.onMissed(() => listener.missed?.());
      return () => {
        forget();
        unsubscribe();
      };
    },
  };

  readonly groups = {
    list: (query: Operations["group.list"]["request"] = {}): Pages<GroupView> => this.#pages("group.list", query),
    get: ({ limit, key }: GroupId): Promise<GroupView> => this.#call("group.get", { limit, key }),
    /** Gives this group a `maxRuns` of its own; `null` takes it back. */
    update: ({ limit, key, maxRuns }: GroupId & { readonly maxRuns: number | null }): Promise<GroupView> =>
      this.#call("group.update", { limit, key, maxRuns }),
    /** Admits nothing more until resumed. */
    pause: ({ limit, key }: GroupId): Promise<GroupView> => this.#call("group.pause", { limit, key }),
    resume: ({ limit, key }: GroupId): Promise<GroupView> => this.#call("group.resume", { limit, key }),
    /** Who was admitted, queued, cancelled and released, when, and why. Newest first, as far back as the history goes. */
    decisions: (query: Operations["group.decisions"]["request"]): Pages<GroupDecisionView> =>
      this.#pages("group.decisions", query),
    /** Its machine, and the states that it is in. */
    machine: ({ limit, key }: GroupId): Promise<GroupMachineView> => this.#call("group.machine", { limit, key }),
  };

  readonly workflows = {
    list: (): Pages<WorkflowView> => this.#pages("workflow.list", {}),
    /** @throws WorkflowNotFoundError */
    get: (name: string): Promise<WorkflowView> => this.#call("workflow.get", { name }),
    /** How many runs are in each state of its machine. @throws WorkflowNotFoundError */
    population: (name: string, { version }: { readonly version?: string | undefined } = {}): Promise<Population> =>
      this.#call("workflow.population", { name, ...(version !== undefined && { version }) }),
  };

  readonly workers = {
    list: (): Pages<WorkerView> => this.#pages("worker.list", {}),
    /** Has it finish what it runs, take nothing new, and end: as if its process were told to stop. Resolves when it has begun to. */
    drain: (id: string): Promise<WorkerView> => this.#call("worker.drain", { id }),
  };

  /** The engine nodes of the cluster, with the partitions that each owns. */
  readonly nodes = {
    list: (): Pages<NodeView> => this.#pages("node.list", {}),
  };

  readonly events = {
    /** Newest first. `name`: one, or a pattern such as `user.*`. */
    list: (query: Operations["event.list"]["request"] = {}): Pages<EventView> => this.#pages("event.list", query),
  };

  /** What could not be used (not JSON, a bad header), with the reason: kept for 7 days. */
  readonly rejected = {
    list: (query: Operations["rejected.list"]["request"] = {}): Pages<RejectedView> => this.#pages("rejected.list", query),
  };

  /** How the whole is: one verdict and sentence, and the numbers behind it. */
  health(): Promise<HealthView> {
    return this.#call("health.get", {});
  }

  /** Runs that wait for their time (`at`, `delay`). */
  readonly schedules = {
    list: (query: Omit<RunListQuery, "scheduled"> = {}): Pages<RunView> => this.#pages("run.list", { ...query, scheduled: true }),
    /** @throws RunNotFoundError */
    cancel: (id: string): Promise<RunView> => this.#call("run.cancel", { id }),
  };

  /** Disconnects; what is under way rejects with NotConnectedError. Idempotent. */
  close(): Promise<void> {
    return this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #assertOpen(operation: string): void {
    if (this.#connection.isClosed) throw new NotConnectedError(`${operation}: the client is closed`);
  }

  #call<K extends Operation>(operation: K, request: Operations[K]["request"]): Promise<Operations[K]["reply"]> {
    return callApi(this.#connection, this.#names, operation, request, { timeoutMs: this.#timeoutMs });
  }

  #pages<K extends Operation, T>(operation: K, request: Operations[K]["request"]): Pages<T> {
    return loadPages(
      (cursor) =>
        this.#call(operation, cursor === undefined ? request : { ...request, cursor }) as Promise<unknown> as Promise<Page<T>>,
    );
  }
}

type Call = <K extends Operation>(operation: K, request: Operations[K]["request"]) => Promise<Operations[K]["reply"]>;

function createRunTransport(connection: Connection, names: Names, call: Call): RunTransport {
  const missed = new Set<() => void>();
  let listening = false;
  // Once per client, when first needed: whatever may have swallowed changes.
  const listen = (): void => {
    if (listening) return;
    listening = true;
    const notify = (): void => {
      for (const listener of [...missed]) listener();
    };
    connection.on("reconnected", notify);
    connection.subscribe(names.engineHello, notify);
  };
  return {
    get: (id) => call("run.get", { id }),
    cancel: (id) => call("run.cancel", { id }),
    subscribe: (run, workflow, listener) => {
      const subscription = connection.subscribe(names.runChange(workflow ?? "*", run, "*"), (message) =>
        listener(message.json<RunChangeMessage>()),
      );
      return () => {
        if (!connection.isClosed) subscription.unsubscribe();
      };
    },
    onMissed: (listener) => {
      listen();
      missed.add(listener);
      return () => missed.delete(listener);
    },
    onClose: (listener) => connection.on("closed", listener),
    get isClosed() {
      return connection.isClosed;
    },
  };
}
