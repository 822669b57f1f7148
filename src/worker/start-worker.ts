/**
 * A worker node: connects, registers its workflows, executes steps, and goes in peace. Its life is the machine in
 * `machines/worker`; this file carries out what that wants, and passes on what arrives.
 */
import { hostname } from "node:os";
import { pino, type Logger } from "pino";
import { ulid } from "ulid";
import { workerLife, type WorkerLifeEvent, type WorkerMode } from "../../machines/worker/worker-life.ts";
import { isEngineUnavailableError, isNotConnectedError, isTimeoutError, NotConnectedError } from "../errors.ts";
import { callApi } from "../nats/api.ts";
import { connectNats, type Connection, type Message } from "../nats/connection.ts";
import { createNames, type Names } from "../nats/subjects.ts";
import { createStepper, type Step } from "../step/stepper.ts";
import { version as sluiceVersion } from "../version.ts";
import { Executor } from "./executor.ts";
import { HandlerRegistry } from "./handler-registry.ts";
import { InputLoader } from "./input-loader.ts";
import { KeyEvaluator } from "./key-evaluator.ts";
import { parseWorkerOptions, type WorkerOptions, type WorkerSettings } from "./options.ts";
import { ResultOutbox } from "./result-outbox.ts";
import { ResultWriter } from "./result-json.ts";
import { StatusReporter } from "./status-reporter.ts";
import { logUncaught } from "./uncaught.ts";
import { isWorkMessage } from "./work-message.ts";

/** A worker node that runs. */
export interface Worker {
  /** Unique; names it in lists, results and logs. */
  readonly id: string;
  readonly name: string;
  /** How many steps it executes now. */
  readonly used: number;
  /**
   * Takes nothing new, finishes what runs within `drainTimeout`, aborts and hands back the rest, delivers all results and disconnects. Resolves
   * when all that is done. Never throws; may be called any number of times.
   */
  stop(): Promise<void>;
  /** The same as `stop`. */
  drain(): Promise<void>;
  /** Resolves when the worker has ended: after `stop`, or because an engine drained it. */
  readonly closed: Promise<void>;
}

/** How long the end of a worker waits for the server to take the last results. */
const DELIVERY_TIMEOUT_MS = 15_000;
const LOG_WAITING_AFTER_MS = 1_000;
const LOG_WAITING_EVERY_MS = 5_000;
/** One round of asking for an engine; there is no limit to the rounds. */
const REGISTER_ROUND_MS = 5_000;
const KEY_ANSWER_MARGIN_BYTES = 1_024;

/**
 * Starts a worker node in this process. Resolves once NATS is connected, an engine has registered the workflows, and it takes
 * work; for as long as NATS or an engine is away it waits, and says so in the log every few seconds.
 *
 * @throws OptionsError (`OPTIONS_INVALID`): the options are wrong. DefinitionError: a workflow has no step.
 * @throws NatsUnavailableError (`NATS_UNAVAILABLE`): the server refuses the credentials.
 * @throws RequestError (`REQUEST_FAILED`): the engine refuses a workflow, and says why.
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const worker = new WorkerNode(parseWorkerOptions(options));
  await worker.start();
  return worker;
}

/** For those who must be able to stop a worker that is still starting (the command line, tests): see `startWorker`. */
export function createWorker(options: WorkerOptions): Worker & { start(): Promise<void> } {
  return new WorkerNode(parseWorkerOptions(options));
}

class WorkerNode implements Worker {
  readonly id: string;
  readonly name: string;
  readonly closed: Promise<void>;

  readonly #settings: WorkerSettings;
  readonly #logger: Logger;
  readonly #names: Names;
  readonly #registry: HandlerRegistry;
  readonly #inputs: InputLoader;
  readonly #keys: KeyEvaluator;
  readonly #executor: Executor;
  readonly #outbox: ResultOutbox;
  readonly #reporter: StatusReporter;

  readonly #life = createStepper(workerLife);
  #state: Step["snapshot"] | undefined;
  readonly #events: (WorkerLifeEvent | { readonly type: string })[] = [];
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** Aborted when the worker is stopped before it runs. */
  readonly #starting = new AbortController();
  #connection: Connection | undefined;
  #connecting: Promise<void> | undefined;
  #startError: unknown;
  #started: Promise<void> | undefined;
  #resolveStarted: () => void = () => {};
  #resolveClosed: () => void = () => {};
  #stopLoggingUncaught: () => void = () => {};

  constructor(settings: WorkerSettings) {
    this.#settings = settings;
    this.name = settings.name;
    this.id = `${settings.name.replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 32)}-${ulid().toLowerCase()}`;
    this.#logger = (settings.logger ?? pino({ level: "info" }, pino.destination(2))).child({
      component: "worker",
      worker: this.id,
    });
    this.#names = createNames(settings.prefix);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });

    const maxPayload = (): number => this.#connected.maxPayload;
    this.#registry = new HandlerRegistry(settings.workflows);
    this.#inputs = new InputLoader(this.#names, (stream, seq) => this.#connected.readMessage(stream, seq));
    this.#keys = new KeyEvaluator(this.#registry, this.#inputs);
    this.#outbox = new ResultOutbox({
      publish: (partition, data) => this.#connected.publishAcked(this.#names.inbox(partition), data),
      maxPayload,
      logger: this.#logger,
    });
    this.#executor = new Executor({
      slots: settings.slots,
      registry: this.#registry,
      inputs: this.#inputs,
      results: new ResultWriter(this.id, maxPayload),
      deliver: (partition, result) => this.#outbox.add(partition, result),
      logger: this.#logger,
    });
    this.#reporter = new StatusReporter({
      fixed: {
        id: this.id,
        name: this.name,
        slots: settings.slots,
        heartbeatMs: settings.heartbeatMs,
        deadlineMs: settings.deadlineMs,
        startedAt: new Date().toISOString(),
        host: hostname(),
        pid: process.pid,
        sluiceVersion,
        workflows: this.#registry.specs.map(({ name, version, steps }) => ({
          name,
          version,
          steps: steps.map((step) => step.name),
        })),
      },
      used: () => this.#executor.table.used,
      attempts: () => [...this.#executor.table.list(), ...this.#outbox.attempts()],
      epochs: () => this.#executor.epochs.toJSON(),
      publish: (data) => this.#connected.publish(this.#names.workerStatus(this.id), data),
      roundTrip: () => this.#connected.flush(),
      onContactLost: (silentMs) => {
        this.#logger.error(
          { silentMs, deadlineMs: settings.deadlineMs, running: this.#executor.table.used },
          "no contact with NATS for longer than the deadline: engines have given this worker's steps to others, so they are aborted here",
        );
        this.#send({ type: "contact.lost" });
      },
      logger: this.#logger,
    });
  }

  get used(): number {
    return this.#executor.table.used;
  }

  /** Resolves when it takes work; rejects as `startWorker` says, and with NotConnectedError where it was stopped first. Idempotent. */
  start(): Promise<void> {
    this.#started ??= this.#state === undefined ? this.#start() : this.closed.then(() => this.#throwStartError());
    return this.#started;
  }

  stop(): Promise<void> {
    if (this.#state === undefined) {
      // Never started: there is nothing to end.
      this.#startError ??= new NotConnectedError("the worker was stopped before it was started");
      this.#state = this.#life.initial({ drainTimeoutMs: 0, deliveryTimeoutMs: 0 }).snapshot;
      this.#resolveClosed();
      return this.closed;
    }
    this.#starting.abort();
    this.#send({ type: "stop.requested" });
    return this.closed;
  }

  drain(): Promise<void> {
    return this.stop();
  }

  async #start(): Promise<void> {
    const running = new Promise<void>((resolve) => {
      this.#resolveStarted = resolve;
    });
    const { drainTimeoutMs, catchUncaught } = this.#settings;
    if (catchUncaught) this.#stopLoggingUncaught = logUncaught(this.#logger);
    const first = this.#life.initial({ drainTimeoutMs, deliveryTimeoutMs: DELIVERY_TIMEOUT_MS });
    this.#carryOut(first);
    await Promise.race([running, this.closed]);
    this.#throwStartError();
  }

  #throwStartError(): void {
    if (this.#startError !== undefined) throw this.#startError;
  }

  get #connected(): Connection {
    if (this.#connection === undefined) throw new NotConnectedError("the worker is not connected to NATS");
    return this.#connection;
  }

  // --- its life ---

  /** Events are carried out one after another: one that comes out of an action waits for the others of its step. */
  #send(event: WorkerLifeEvent | { readonly type: string }): void {
    this.#events.push(event);
    if (this.#events.length > 1) return;
    for (let next = event; ; next = this.#events[0] as typeof event) {
      if (this.#state?.status === "active") this.#carryOut(this.#life.step(this.#state, next));
      this.#events.shift();
      if (this.#events.length === 0) return;
    }
  }

  #carryOut(step: Step): void {
    this.#state = step.snapshot;
    for (const { type, params } of step.actions) this.#act(type, params as Readonly<Record<string, unknown>> | undefined);
    if (step.error !== undefined) this.#logger.error({ err: step.error }, "the worker's life machine failed");
    if (step.snapshot.status !== "active") this.#end();
  }

  #act(action: string, params: Readonly<Record<string, unknown>> | undefined): void {
    switch (action) {
      case "connect":
        this.#connecting = this.#connect();
        break;
      case "register":
        void this.#register();
        break;
      case "open":
        this.#open();
        break;
      case "announce":
        this.#announce(params?.["mode"] as WorkerMode);
        break;
      case "checkWork":
        void this.#executor.idle().then(() => this.#send({ type: "work.finished" }));
        break;
      case "returnWork":
        this.#executor.returnAll(String(params?.["reason"]), this.#settings.graceMs);
        break;
      case "deliver":
        void this.#outbox.delivered().then(() => this.#send({ type: "results.delivered" }));
        break;
      case "reportUndelivered":
        this.#logger.error(
          { results: this.#outbox.size },
          "the worker ends before all results were delivered: engines will have these steps executed again",
        );
        break;
      case "close":
        void this.#close();
        break;
      case "timer.set": {
        const { id, delayMs, event } = params as {
          readonly id: string;
          readonly delayMs: number;
          readonly event: { readonly type: string };
        };
        clearTimeout(this.#timers.get(id));
        this.#timers.set(
          id,
          setTimeout(() => this.#send(event), delayMs),
        );
        break;
      }
      case "timer.cancel":
        clearTimeout(this.#timers.get(String(params?.["id"])));
        break;
      default:
        break;
    }
  }

  async #connect(): Promise<void> {
    try {
      this.#connection = await connectNats({
        ...this.#settings.connection,
        name: `sluice worker ${this.name}`,
        logger: this.#logger,
        signal: this.#starting.signal,
      });
    } catch (error) {
      this.#startError ??= error;
      return this.#send({ type: "start.failed" });
    }
    if (this.#state?.status !== "active" || this.#starting.signal.aborted) {
      await this.#connection.close();
      return;
    }
    this.#connection.on("reconnected", () => {
      this.#outbox.retryNow();
      if (this.#isOpen) this.#reporter.publish({ withAttempts: true });
    });
    this.#send({ type: "nats.connected" });
  }

  async #register(): Promise<void> {
    let logAt = performance.now() + LOG_WAITING_AFTER_MS;
    const onWaiting = (): void => {
      if (performance.now() < logAt) return;
      logAt = performance.now() + LOG_WAITING_EVERY_MS;
      this.#logger.warn(
        `no engine answers on NATS at ${this.#connected.servers.join(", ")}; waiting for one to register the workflows`,
      );
    };
    try {
      await Promise.all(
        this.#registry.specs.map(async (spec) => {
          for (;;) {
            try {
              await callApi(
                this.#connected,
                this.#names,
                "workflow.register",
                { spec },
                { timeoutMs: REGISTER_ROUND_MS, onWaiting, signal: this.#starting.signal },
              );
              return;
            } catch (error) {
              if (!isEngineUnavailableError(error) && !isNotConnectedError(error) && !isTimeoutError(error)) throw error;
              if (this.#connected.isClosed) throw error;
            }
          }
        }),
      );
    } catch (error) {
      if (this.#starting.signal.aborted) return; // stopped meanwhile: the life knows
      this.#startError ??= error;
      return this.#send({ type: "start.failed" });
    }
    this.#send({ type: "workflows.registered" });
  }

  get #isOpen(): boolean {
    const state = this.#state;
    return (
      state !== undefined &&
      (state.matches("running") || state.matches("draining") || state.matches("returning") || state.matches("delivering"))
    );
  }

  #open(): void {
    const connection = this.#connected;
    connection.subscribe(this.#names.work(this.id), this.#onWork);
    connection.subscribe(this.#names.engineHello, (message) => {
      if (!this.#isOpen) return;
      this.#executor.epochs.learn(epochsOf(message));
      this.#reporter.publish({ withAttempts: true });
    });
    this.#reporter.start();
  }

  #announce(mode: WorkerMode): void {
    this.#executor.accepting = mode === "running";
    if (this.#connection !== undefined) this.#reporter.announce(mode);
    const { slots, name } = this.#settings;
    if (mode === "running") {
      this.#logger.info({ slots, workflows: this.#registry.specs.map((spec) => spec.name) }, `worker "${name}" takes work`);
      // The server knows the subscriptions once it has answered something that was sent after them.
      void this.#connected.flush().then(this.#resolveStarted, this.#resolveStarted);
    } else if (mode === "draining")
      this.#logger.info({ running: this.used, drainTimeoutMs: this.#settings.drainTimeoutMs }, "draining: takes nothing new");
  }

  async #close(): Promise<void> {
    this.#startError ??= this.#starting.signal.aborted
      ? new NotConnectedError("the worker was stopped while it was starting")
      : undefined;
    this.#reporter.stop();
    this.#outbox.stop();
    // A connection that is just being made is closed by its maker.
    if (this.#starting.signal.aborted) await this.#connecting;
    await this.#connection?.close();
    this.#send({ type: "connection.closed" });
  }

  #end(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#stopLoggingUncaught();
    this.#logger.info("the worker has ended");
    this.#resolveClosed();
  }

  // --- what engines say ---

  readonly #onWork = (message: Message): void => {
    let work: unknown;
    try {
      work = message.json<unknown>();
    } catch (error) {
      this.#logger.warn({ err: error, subject: message.subject }, "an engine's message is not JSON; ignored");
      return;
    }
    // Before anything is taken: an exception in the middle of a batch would leave slots taken for good.
    if (!isWorkMessage(work)) {
      this.#logger.warn({ subject: message.subject }, "an engine's message cannot be understood; ignored");
      return;
    }
    switch (work.type) {
      case "assign": {
        // From before a gap: by now others have it. Without an answer, the engine says again what still holds.
        if (!this.#reporter.isInContact) return;
        const { answer, start } = this.#executor.take(work.assignments);
        message.respond(JSON.stringify(answer));
        // The client hands the answer to the socket in a microtask that it has queued before this one.
        queueMicrotask(start);
        break;
      }
      case "stop":
        for (const attempt of work.attempts) this.#executor.stop(attempt);
        break;
      case "keys":
        this.#keys.evaluate(work, this.#connected.maxPayload - KEY_ANSWER_MARGIN_BYTES).then(
          (answer) => {
            if (answer !== undefined) message.respond(answer);
          },
          (error: unknown) => this.#logger.error({ err: error, workflow: work.workflow }, "keys could not be computed"),
        );
        break;
      case "report":
        this.#executor.epochs.learn(work.epochs);
        message.respond(JSON.stringify(this.#reporter.status({ withAttempts: true })));
        if (work.all === true) this.#reporter.publish({ withAttempts: true });
        break;
      case "drain":
        message.respond('{"ok":true}');
        this.#logger.info("an engine asks this worker to drain: it ends when its work is done or handed back");
        void this.stop();
        break;
    }
  };
}

/** Engines of the release before say nothing that counts here. */
function epochsOf(message: Message): unknown {
  try {
    return message.json<{ readonly epochs?: unknown } | null>()?.epochs;
  } catch {
    return undefined;
  }
}
