/**
 * Sluice in one process, in memory and in virtual time, for the tests of those who use it: the real engine and the real execution of
 * steps, without a server. Nothing happens between two calls: each lets everything happen that needs no time, and `advance` lets
 * time pass. The same program has the same result every time.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { OptionsError, RunNotFoundError, WorkflowNotFoundError } from "../errors.ts";
import { explain } from "../engine/explain.ts";
import type { LimitRules } from "../engine/group.ts";
import { Placement } from "../engine/placement.ts";
import { routeCall, routeEvent } from "../engine/routing.ts";
import { INLINE_INPUT_CHARS, type Run } from "../engine/run.ts";
import { groupView } from "../engine/views.ts";
import { type CompiledWorkflow, Workflows } from "../engine/workflows.ts";
import type { PartitionCore } from "../engine/partition-core.ts";
import type { CreateCommand } from "../protocol/commands.ts";
import type { Explanation, GroupView, RunChangeMessage, RunEventView, RunStatus, RunView } from "../protocol/view.ts";
import { internalsOf } from "../workflow/define.ts";
import { type Duration, parseDuration } from "../workflow/duration.ts";
import { EVENT_NAME_EXPECTED, isEventName } from "../workflow/event-pattern.ts";
import type { AnyWorkflow, WorkflowInput, WorkflowOutputs } from "../workflow/workflow.ts";
import { EVENTS_STREAM, type MemoryCommand, MemoryStore, type RoutedCreation } from "./memory-store.ts";
import { parseTestOptions, readTime, type TestSluiceOptions, type TestSluiceSettings } from "./options.ts";
import { RunLog } from "./run-log.ts";
import { TestEngine } from "./test-engine.ts";
import { TestRun, type TestRunHost } from "./test-run.ts";
import { TestWorkers } from "./test-workers.ts";
import { handlerLife } from "./test-worker.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface TestPublishOptions {
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  readonly priority?: number | undefined;
}

export interface TestRunOptions extends TestPublishOptions {
  /** Start at this time: a Date, an ISO 8601 text, or ms since the epoch. */
  readonly at?: Date | string | number | undefined;
  /** Start after this time. */
  readonly delay?: Duration | undefined;
}

export interface TestRunQuery {
  readonly workflow?: string | undefined;
  readonly status?: RunStatus | undefined;
  readonly key?: string | undefined;
}

export interface TestGroupId {
  readonly limit: string;
  readonly key: string;
}

/** An engine that has just started waits so long for workers that it has only read of. */
const UNKNOWN_DEADLINE_MS = 3_000;
/** So many turns without time passing, and still something happens: it never ends. */
const MAX_TURNS = 100_000;
/** Turns of the event loop without news after which all is quiet: a promise chain may take one, real I/O may not be awaited. */
const QUIET_TURNS = 2;

/** Starts a Sluice for a test. @throws OptionsError (`OPTIONS_INVALID`), DefinitionError: a workflow has no step */
export function createTestSluice(options: TestSluiceOptions): TestSluice {
  return new TestSluice(parseTestOptions(options));
}

export class TestSluice {
  readonly #settings: TestSluiceSettings;
  readonly #clock: VirtualClock;
  readonly #store: MemoryStore;
  readonly #workflows = new Workflows();
  readonly #placement: Placement;
  readonly #rules = new Map<string, LimitRules>();
  readonly #log: RunLog;
  readonly #listeners = new Set<(change: RunChangeMessage) => void>();
  #engine: TestEngine;
  #runs = 0;
  #activity = 0;

  readonly #host: TestRunHost = {
    get: (id) => this.runs.get(id),
    explain: (id) => this.runs.explain(id),
    events: (id) => this.runs.events(id),
    cancel: (id) => this.runs.cancel(id),
    finish: (id, timeoutMs) => this.#finish(id, timeoutMs),
  };

  /** Workers come and go: `add`, `stop`, `kill`, `list`. */
  readonly workers: TestWorkers;

  /** Use `createTestSluice`. */
  constructor(settings: TestSluiceSettings) {
    this.#settings = settings;
    this.#clock = new VirtualClock(settings.startMs);
    this.#store = new MemoryStore(settings.partitions);
    this.#placement = new Placement(settings.partitions);
    this.#log = new RunLog({
      spec: (workflow, version) => this.#workflows.get(workflow, version)?.spec,
      payload: ({ stream, seq }) => {
        const payload = JSON.parse(this.#store.payload(stream, seq) ?? "null") as unknown;
        return stream === EVENTS_STREAM ? payload : (payload as CreateCommand | null)?.input;
      },
    });
    const onActivity = (): void => void this.#activity++;
    this.workers = new TestWorkers({
      settings,
      clock: this.#clock,
      read: (stream, seq) => this.#store.payload(stream, seq),
      deliver: (partition, result) => void this.#send(partition, { type: "results", results: [result] }),
      onActivity,
      dispatcher: () => this.#engine.dispatcher,
      settle: () => this.settle(),
      register: (workflow) => this.#register(workflow),
    });
    this.#engine = this.#createEngine();
    this.#engine.start();
    for (const workflow of settings.workflows) this.#register(internalsOf(workflow).spec);
    if (settings.slots > 0) this.workers.join({ id: "worker-1", slots: settings.slots });
  }

  // ---------------------------------------------------------------- time

  /** The virtual time, in ms since the epoch. */
  now(): number {
    return this.#clock.now();
  }

  /**
   * Lets everything happen that needs no time: until workers, engine and handlers have nothing more to do but to wait. Handlers must
   * wait in virtual time (`sleep`); what they wait for outside of it, such as real I/O, is not waited for here.
   */
  async settle(): Promise<void> {
    for (let turns = 0, quiet = 0; quiet < QUIET_TURNS; turns++) {
      if (turns > MAX_TURNS)
        throw new Error(`something goes on for ever without time passing, after ${MAX_TURNS} turns of the event loop`);
      const before = this.#activity + this.#clock.changes;
      await nextTurn();
      quiet = before === this.#activity + this.#clock.changes ? quiet + 1 : 0;
    }
  }

  /** Lets time pass: timers, handlers and everything that follows happen at their times. */
  async advance(duration: Duration): Promise<void> {
    const untilMs = this.now() + parseDuration(duration, "duration");
    await this.settle();
    while (await this.#step(untilMs));
    this.#clock.moveTo(untilMs);
  }

  /**
   * Waits in virtual time, for handlers: resolves once `advance` (or a run's `result`) has come so far. In a handler whose worker
   * was killed it never does.
   * @throws the reason of `signal`, when that is aborted
   */
  sleep(duration: Duration, signal?: AbortSignal): Promise<void> {
    const ms = parseDuration(duration, "duration");
    const isAlive = handlerLife();
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error);
      const end = (settle: () => void): void => {
        signal?.removeEventListener("abort", aborted);
        if (isAlive()) settle();
      };
      const cancel = this.#clock.setTimer(() => end(resolve), ms);
      const aborted = (): void => {
        cancel();
        end(() => reject(signal?.reason as Error));
      };
      signal?.addEventListener("abort", aborted);
    });
  }

  /** Calls back once after a virtual time; the returned function takes it back. */
  setTimeout(call: () => void, delay: Duration): () => void {
    const isAlive = handlerLife();
    return this.#clock.setTimer(
      () => {
        if (isAlive()) call();
      },
      parseDuration(delay, "delay"),
    );
  }

  // ---------------------------------------------------------------- starting runs

  /** Publishes an event and lets everything happen that follows at once. Gives its runs, in the order of their workflows. */
  async publish(event: string, payload: unknown, options: TestPublishOptions = {}): Promise<TestRun[]> {
    const runs = this.#publish(event, payload, options);
    await this.settle();
    return runs;
  }

  /** Publishes events that are all there before any of them is looked at. */
  async publishMany(
    events: readonly ({ readonly event: string; readonly payload: unknown } & TestPublishOptions)[],
  ): Promise<TestRun[]> {
    const runs = events.flatMap(({ event, payload, ...options }) => this.#publish(event, payload, options));
    await this.settle();
    return runs;
  }

  /** Starts a run and lets everything happen that follows at once. @throws WorkflowNotFoundError */
  run<W extends AnyWorkflow>(
    workflow: W,
    input: WorkflowInput<W>,
    options?: TestRunOptions,
  ): Promise<TestRun<WorkflowOutputs<W>>>;
  run(workflow: string, input: unknown, options?: TestRunOptions): Promise<TestRun>;
  async run(workflow: AnyWorkflow | string, input: unknown, options: TestRunOptions = {}): Promise<TestRun> {
    const id = await this.#call(typeof workflow === "string" ? workflow : workflow.name, input, options);
    return new TestRun(this.#host, id);
  }

  /** A new version of a workflow, or a new workflow, comes into force. Give workers that serve it with `workers.add`. */
  async register(workflow: AnyWorkflow): Promise<void> {
    this.#register(internalsOf(workflow).spec);
    await this.settle();
  }

  /** Calls back with every change of a run, as it would be published. The returned function ends that. */
  onChange(listener: (change: RunChangeMessage) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The engine is killed and recovers from what it has stored; workers go on meanwhile. With `graceful` it is stopped in order. Called
   * without awaiting what was published just before, it is killed in the midst of it.
   */
  async restart({ graceful = false }: { readonly graceful?: boolean } = {}): Promise<void> {
    if (graceful) await this.#engine.stop();
    else this.#engine.crash();
    this.#engine = this.#createEngine();
    this.#engine.start();
    // It knows of the workers that died before only by what they had.
    this.workers.watch(Math.max(this.#settings.deadlineMs, UNKNOWN_DEADLINE_MS));
    await this.settle();
  }

  // ---------------------------------------------------------------- looking

  readonly runs = {
    /** @throws RunNotFoundError */
    get: (id: string): RunView => {
      const view = this.#log.view(id);
      if (view === undefined) throw new RunNotFoundError(id);
      return view;
    },
    /** Oldest first. */
    list: ({ workflow, status, key }: TestRunQuery = {}): RunView[] =>
      this.#log.ids
        .map((id) => this.runs.get(id))
        .filter(
          (view) =>
            (workflow === undefined || view.workflow === workflow) &&
            (status === undefined || view.status === status) &&
            (key === undefined || view.keys.some((held) => held.key === key)),
        ),
    handle: (id: string): TestRun => new TestRun(this.#host, id),
    /** Cancels it, and lets everything happen that follows at once. @throws RunNotFoundError */
    cancel: async (id: string): Promise<RunView> => {
      this.runs.get(id);
      const owner = this.#find(id);
      if (owner !== undefined) void this.#send(owner.core.partition, { type: "cancel", run: id });
      await this.settle();
      return this.runs.get(id);
    },
    /** Starts a new run with the same input. @throws RunNotFoundError */
    replay: async (id: string): Promise<TestRun> => {
      const { workflow, input, metadata, priority } = this.runs.get(id);
      return new TestRun(this.#host, await this.#call(workflow, input, { metadata, priority }, id));
    },
    /** Why it is where it is. @throws RunNotFoundError */
    explain: (id: string): Explanation => {
      const owner = this.#find(id);
      if (owner !== undefined) return explain(owner.core, owner.run, this.#engine.dispatcher, this.now());
      const { status, reason, finishedAt } = this.runs.get(id);
      return { id, status, sentence: `It has ended: ${status}${reason === undefined ? "" : ` (${reason})`}, at ${finishedAt}.` };
    },
    /** What happened to it, oldest first. @throws RunNotFoundError */
    events: (id: string): readonly RunEventView[] => {
      const events = this.#log.events(id);
      if (events === undefined) throw new RunNotFoundError(id);
      return events;
    },
  };

  readonly groups = {
    /** Undefined for one that nobody holds, waits for, or has given settings. */
    get: ({ limit, key }: TestGroupId): GroupView | undefined => {
      const group = this.#engine.partitions[this.#placement.ofGroup(limit, key)]?.core.groups.find(limit, key);
      return group && groupView(group, this.now());
    },
    list: ({ limit }: { readonly limit?: string } = {}): GroupView[] =>
      this.#engine.partitions
        .flatMap(({ core }) => [...core.groups])
        .filter((group) => limit === undefined || group.limit === limit)
        .sort((a, b) => (a.id < b.id ? -1 : 1))
        .map((group) => groupView(group, this.now())),
    /** A `maxRuns` of its own for this group; null takes it back. */
    update: ({ limit, key, maxRuns }: TestGroupId & { readonly maxRuns: number | null }): Promise<void> =>
      this.#setGroup({ type: "group", limit, key, maxRuns }),
    pause: ({ limit, key }: TestGroupId): Promise<void> => this.#setGroup({ type: "group", limit, key, paused: true }),
    resume: ({ limit, key }: TestGroupId): Promise<void> => this.#setGroup({ type: "group", limit, key, paused: false }),
  };

  // ---------------------------------------------------------------- inside

  #createEngine(): TestEngine {
    return new TestEngine({
      store: this.#store,
      clock: this.#clock,
      workflows: this.#workflows,
      placement: this.#placement,
      rules: this.#rules,
      workers: this.workers.all,
      newRunId: this.#newRunId,
      snapshotEvery: this.#settings.snapshotEvery,
      committed: (partition, text) => this.#log.apply(partition, text),
      changed: (change) => this.#listeners.forEach((listener) => listener(change)),
      onActivity: () => void this.#activity++,
      logger: this.#settings.logger,
    });
  }

  readonly #newRunId = (): string => `run-${++this.#runs}`;

  #register(spec: CompiledWorkflow["spec"]): void {
    if (this.#workflows.latest(spec.name)?.spec.version === spec.version) return;
    const { fresh, moved } = this.#placement.plan(spec);
    for (const limit of moved.keys())
      if (this.groups.list({ limit }).length > 0)
        throw new OptionsError(`limit "${limit}" is in use and cannot be held together with others now`, {
          path: "workflows",
          expected: "a limit that is not in use",
          received: limit,
        });
    for (const [limit, home] of [...fresh, ...moved]) this.#placement.setHome(limit, home);
    const workflow = this.#workflows.add(spec, ++this.#store.eventSeq, this.now());
    for (const { name, maxRuns, strategy } of spec.limits) {
      this.#rules.set(name, { maxRuns, strategy });
      this.#engine.setRules(name, { maxRuns, strategy });
    }
    this.#engine.setCrons(workflow);
  }

  #publish(name: string, payload: unknown, { metadata, priority }: TestPublishOptions): TestRun[] {
    if (!isEventName(name))
      throw new OptionsError(`expected 'event' to be ${EVENT_NAME_EXPECTED}, got ${JSON.stringify(name)}`, {
        path: "event",
        expected: EVENT_NAME_EXPECTED,
        received: name,
      });
    this.#activity++;
    const seq = ++this.#store.eventSeq;
    const text = JSON.stringify(payload ?? null);
    if (text.length > INLINE_INPUT_CHARS) this.#store.keep(EVENTS_STREAM, seq, text);
    const routes = routeEvent(
      { workflows: this.#workflows, placement: this.#placement, newRunId: this.#newRunId, eventsStream: EVENTS_STREAM },
      {
        name,
        seq,
        timeMs: this.now(),
        text,
        ...(metadata !== undefined && { metadata }),
        ...(priority !== undefined && { priority }),
      },
    );
    return routes.map(({ partition, position, creation }) => {
      const routed: RoutedCreation = { position, creation };
      this.#store.partition(partition).routed.add(routed);
      this.#engine.deliver(partition, routed);
      return new TestRun(this.#host, creation.run);
    });
  }

  async #call(
    name: string,
    input: unknown,
    { at, delay, metadata, priority }: TestRunOptions,
    replayOf?: string,
  ): Promise<string> {
    const workflow = this.#workflows.latest(name);
    if (workflow === undefined) throw new WorkflowNotFoundError(name);
    const notBefore =
      delay !== undefined ? this.now() + parseDuration(delay, "delay") : at === undefined ? undefined : timeOf(at);
    const run = this.#newRunId();
    const { partition, command } = routeCall(this.#placement, workflow, {
      run,
      createdAt: this.now(),
      input: JSON.parse(JSON.stringify(input ?? null)) as unknown,
      ...(priority !== undefined && { priority }),
      ...(metadata !== undefined && { metadata }),
      ...(notBefore !== undefined && { notBefore }),
      ...(replayOf !== undefined && { replayOf }),
    });
    void this.#send(partition, command);
    await this.settle();
    return run;
  }

  async #setGroup(command: Extract<MemoryCommand, { readonly type: "group" }>): Promise<void> {
    if (!this.#rules.has(command.limit))
      throw new OptionsError(`there is no limit "${command.limit}"`, {
        path: "limit",
        expected: "a limit of a workflow",
        received: command.limit,
      });
    void this.#send(this.#placement.ofGroup(command.limit, command.key), command);
    await this.settle();
  }

  /** Stores a command in a partition's inbox; resolves once it is applied and durable, over restarts. */
  #send(partition: number, command: MemoryCommand): Promise<void> {
    this.#activity++;
    const store = this.#store.partition(partition);
    const seq = ++store.inboxSeq;
    const text = JSON.stringify(command);
    if (text.length > INLINE_INPUT_CHARS) this.#store.keep(`p${partition}`, seq, text);
    return new Promise((resolve) => {
      const entry = { seq, command: JSON.parse(text) as MemoryCommand, applied: resolve };
      store.inbox.set(seq, entry);
      this.#engine.command(partition, entry);
    });
  }

  #find(id: string): { readonly core: PartitionCore; readonly run: Run } | undefined {
    let found: { readonly core: PartitionCore; readonly run: Run } | undefined;
    for (const { core } of this.#engine.partitions) {
      const run = core.runs.get(id);
      // One that has moved on is shown where it went, once it is there.
      if (run !== undefined && (found === undefined || run.rest?.moved === undefined)) found = { core, run };
    }
    return found;
  }

  /** Goes to the next time at which something is due, by `untilMs` at the latest. False when there is none. */
  async #step(untilMs: number): Promise<boolean> {
    const dueMs = this.#clock.nextDueMs;
    if (dueMs === undefined || dueMs > untilMs) return false;
    this.#clock.moveTo(dueMs);
    await this.settle();
    return true;
  }

  async #finish(id: string, timeoutMs: number): Promise<RunView> {
    const untilMs = this.now() + timeoutMs;
    await this.settle();
    while (this.runs.get(id).finishedAt === undefined)
      if (!(await this.#step(untilMs))) throw new Error(`run ${id} does not end: ${this.runs.explain(id).sentence}`);
    return this.runs.get(id);
  }
}

function timeOf(at: Date | string | number): number {
  const ms = readTime(at);
  if (ms !== undefined) return ms;
  const expected = "a Date, a time in ISO 8601, or ms since 1970";
  throw new OptionsError(`expected 'at' to be ${expected}, got ${String(at)}`, { path: "at", expected, received: at });
}
