/**
 * What an engine node and the worker nodes say to each other besides work: statuses come in, and whoever has taken over
 * partitions says so and asks what everybody has.
 */
import type { Logger } from "pino";
import type { Connection, Message, Subscription } from "../nats/connection.ts";
import type { Names } from "../nats/subjects.ts";
import type { WorkerStatus } from "../protocol/work.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { OwnedPartitions } from "./owned-partitions.ts";

export interface WorkerLinkOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly engine: string;
  readonly dispatcher: Dispatcher;
  readonly owned: OwnedPartitions;
  readonly logger: Logger;
}

const HEARTBEAT_CHECK_MS = 1_000;

export class WorkerLink {
  readonly #options: WorkerLinkOptions;
  #subscription: Subscription | undefined = undefined;
  #ticker: NodeJS.Timeout | undefined = undefined;
  readonly #unlisten: (() => void)[] = [];
  #greeting: NodeJS.Immediate | undefined = undefined;

  constructor(options: WorkerLinkOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#ticker !== undefined) return;
    const { connection, names, dispatcher, owned } = this.#options;
    this.#subscription = connection.subscribe(names.allWorkerStatus, (message) => {
      const status = this.#parse(message);
      if (status !== undefined) dispatcher.report(status);
    });
    this.#unlisten.push(
      connection.on("reconnected", () => {
        // Messages to and from workers may have been lost: every one of them says what it has.
        dispatcher.distrust();
        this.#greet();
      }),
      // Partitions that come together are told of together.
      owned.onChanged((_, partition) => {
        if (partition !== undefined) this.#greeting ??= setImmediate(() => this.#greet());
      }),
    );
    this.#greet();
    this.#ticker = setInterval(() => {
      if (connection.isConnected) dispatcher.expire();
    }, HEARTBEAT_CHECK_MS);
  }

  stop(): void {
    this.#subscription?.unsubscribe();
    clearInterval(this.#ticker);
    clearImmediate(this.#greeting);
    for (const unlisten of this.#unlisten.splice(0)) unlisten();
  }

  /** Has one worker report all that it has. */
  async ask(worker: string): Promise<void> {
    const { connection, names, dispatcher, owned, logger } = this.#options;
    try {
      const question = JSON.stringify({ type: "report", epochs: this.#epochs(), all: !owned.all });
      const status = this.#parse(await connection.request(names.work(worker), question));
      if (status !== undefined) dispatcher.report(status);
    } catch (error) {
      logger.debug({ err: error, worker }, "a worker did not say what it executes; it is asked again");
    }
  }

  /** Asks all workers what they have, and tells them from which epoch on they take work of this node's partitions. */
  #greet(): void {
    this.#greeting = undefined;
    const { connection, names, engine } = this.#options;
    connection.publish(names.engineHello, JSON.stringify({ engine, epochs: this.#epochs() }));
  }

  #epochs(): Record<number, number> {
    const { owned } = this.#options;
    const epochs: Record<number, number> = {};
    for (const { number } of owned) epochs[number] = owned.epochOf(number) ?? 0;
    return epochs;
  }

  #parse(message: Message): WorkerStatus | undefined {
    try {
      const status = message.json<WorkerStatus>();
      if (
        typeof status.id !== "string" ||
        !Number.isInteger(status.slots) ||
        !Number.isInteger(status.used) ||
        !Array.isArray(status.workflows) ||
        typeof status.deadlineMs !== "number"
      )
        throw new TypeError("expected a worker's status");
      return status;
    } catch (error) {
      this.#options.logger.warn({ err: error, subject: message.subject }, "a worker's status cannot be read; it is left alone");
      return undefined;
    }
  }
}
