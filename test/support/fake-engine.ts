/**
 * The engine's side of `src/protocol`, for tests of workers and clients: streams, the API with whatever handlers a test gives,
 * assignments and the like. It decides nothing.
 */
import { jetstreamManager, StorageType } from "@nats-io/jetstream";
import type { Logger } from "pino";
import { pino } from "pino";
import { type Connection, connectNats } from "../../src/nats/connection.ts";
import { type OperationHandlers, type Service, startService } from "../../src/nats/service.ts";
import { createNames } from "../../src/nats/subjects.ts";
import type { RunChangeMessage } from "../../src/protocol/view.ts";
import type {
  Assignment,
  EngineHello,
  KeyAnswer,
  StepResult,
  WorkAnswer,
  WorkerStatus,
  WorkMessage,
} from "../../src/protocol/work.ts";
import { onCleanup } from "./cleanup.ts";
import { waitFor } from "./wait.ts";

export const PARTITIONS = 2;

/** A logger whose lines a test can look at. */
export function recordingLogger(): {
  readonly logger: Logger;
  readonly lines: { readonly level: number; readonly msg: string; readonly [key: string]: unknown }[];
} {
  const lines: { level: number; msg: string }[] = [];
  const logger = pino({ level: "debug" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { logger, lines };
}

/** Enough of an assignment; the test says what matters. */
export function assignment(fields: Partial<Assignment> & Pick<Assignment, "attemptId" | "workflow" | "step">): Assignment {
  return { partition: 0, run: `run-${fields.attemptId}`, version: "v", attempt: 1, input: {}, outputs: {}, keys: [], ...fields };
}

export class FakeEngine {
  readonly names = createNames();
  readonly connection: Connection;
  readonly registered: string[] = [];
  readonly statuses: WorkerStatus[] = [];
  #service: Service | undefined;
  #results: StepResult[][] = Array.from({ length: PARTITIONS }, () => []);
  #read: number[] = Array.from({ length: PARTITIONS }, () => 0);

  constructor(connection: Connection) {
    this.connection = connection;
    connection.subscribe(this.names.allWorkerStatus, (message) => void this.statuses.push(message.json<WorkerStatus>()));
  }

  async createStreams(): Promise<void> {
    const manager = await jetstreamManager(this.connection.nats);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      await manager.streams.add({
        name: this.names.partitionStream(partition),
        subjects: [this.names.inbox(partition), this.names.journal(partition)],
        storage: StorageType.File,
        allow_direct: true,
      });
    }
    // Without direct get, so that both ways of reading are used.
    await manager.streams.add({
      name: this.names.eventsStream,
      subjects: [...this.names.eventsSubjects],
      storage: StorageType.File,
      allow_direct: false,
    });
  }

  serve(operations: OperationHandlers = {}): Service {
    this.#service = startService(this.connection, this.names, {
      version: "0.1.0",
      logger: pino({ level: "silent" }),
      operations: {
        "workflow.register": ({ spec }) => {
          this.registered.push(spec.name);
          return { name: spec.name, version: spec.version };
        },
        ...operations,
      },
    });
    return this.#service;
  }

  async ask<T>(worker: string, message: WorkMessage): Promise<T> {
    return (await this.connection.request(this.names.work(worker), JSON.stringify(message))).json<T>();
  }

  assign(worker: string, ...assignments: Assignment[]): Promise<WorkAnswer> {
    return this.ask(worker, { type: "assign", assignments });
  }

  keys(worker: string, message: Omit<Extract<WorkMessage, { type: "keys" }>, "type">): Promise<KeyAnswer> {
    return this.ask(worker, { type: "keys", ...message });
  }

  report(worker: string, more: Omit<Extract<WorkMessage, { type: "report" }>, "type"> = {}): Promise<WorkerStatus> {
    return this.ask(worker, { type: "report", ...more });
  }

  stop(worker: string, attempt: Assignment, reason = "CANCELLED_BY_USER", graceMs = 5_000): void {
    const { attemptId, partition, epoch, run, step } = attempt;
    const stop = { attemptId, partition, run, step, reason, graceMs, ...(epoch !== undefined && { epoch }) };
    const message: WorkMessage = { type: "stop", attempts: [stop] };
    this.connection.publish(this.names.work(worker), JSON.stringify(message));
  }

  /** As an engine says it, or what a test gives. */
  hello(message: EngineHello | string = "{}"): void {
    this.connection.publish(this.names.engineHello, typeof message === "string" ? message : JSON.stringify(message));
  }

  change(change: RunChangeMessage): void {
    this.connection.publish(this.names.runChange(change.workflow, change.id, change.change), JSON.stringify(change));
  }

  /** What the inbox of a partition holds, from the stream itself: stored, in order, with repetitions. */
  async results(partition = 0): Promise<readonly StepResult[]> {
    const found = this.#results[partition] as StepResult[];
    for (;;) {
      const seq = (this.#read[partition] as number) + 1;
      const message = await this.connection.readMessage(this.names.partitionStream(partition), seq);
      if (message === undefined) return found;
      const command = JSON.parse(Buffer.from(message.data).toString()) as { type: string; results: StepResult[] };
      if (command.type === "results") found.push(...command.results);
      this.#read[partition] = seq;
    }
  }

  /** Waits for the result of an attempt. */
  result(attemptId: string, partition = 0, timeoutMs = 15_000): Promise<StepResult> {
    return waitFor(async () => (await this.results(partition)).find((one) => one.attemptId === attemptId), {
      timeoutMs,
      what: `the result of ${attemptId}`,
    });
  }

  async close(): Promise<void> {
    await this.#service?.stop();
    await this.connection.close();
  }
}

/** Connected, with its streams; it serves the API when told to. Closed at the end of the test. */
export async function startFakeEngine(servers: string): Promise<FakeEngine> {
  const connection = await connectNats({ servers, name: "fake engine", logger: pino({ level: "silent" }) });
  const engine = new FakeEngine(connection);
  onCleanup(async () => await engine.close());
  await engine.createStreams();
  return engine;
}
