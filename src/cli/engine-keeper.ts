/**
 * Keeps an engine node in this process: one that has lost its lease (to another node, or since NATS was away for longer than the
 * lease) has ended and dropped its state, so a new one is started, which stands by until it may take over.
 */
import type { Logger } from "pino";
import { createEngine, type EngineOptions, type EngineStats } from "../engine/index.ts";
import type { Operation, Operations } from "../protocol/view.ts";
import type { DashboardEngine } from "../server/index.ts";

export class EngineKeeper implements DashboardEngine {
  /** Rejects when an engine cannot be started again. */
  readonly failed: Promise<never>;
  readonly #options: EngineOptions & { readonly logger: Logger };
  #fail: (error: unknown) => void = () => undefined;
  #engine: ReturnType<typeof createEngine>;
  #stopping = false;

  constructor(options: EngineOptions & { readonly logger: Logger }) {
    this.#options = options;
    this.#engine = createEngine(options);
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => undefined);
  }

  get name(): string {
    return this.#engine.name;
  }

  get ready(): boolean {
    return this.#engine.ready;
  }

  /** Of the engine node that there is now. */
  call<K extends Operation>(operation: K, request: unknown): Promise<Operations[K]["reply"]> {
    return this.#engine.call(operation, request);
  }

  stats(): EngineStats {
    return this.#engine.stats();
  }

  /** Resolves when it answers, or when it was stopped before. */
  async start(): Promise<void> {
    const engine = this.#engine;
    try {
      await engine.start();
    } catch (error) {
      if (this.#stopping) return;
      throw error;
    }
    void engine.closed.then(async (reason) => {
      if (this.#stopping) return;
      this.#options.logger.warn({ reason }, "the engine node has ended and is started again");
      await engine.stop();
      if (this.#stopping) return;
      this.#engine = createEngine(this.#options);
      await this.start().catch(this.#fail);
    });
  }

  /** Idempotent; also while it starts. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#engine.stop();
  }
}
