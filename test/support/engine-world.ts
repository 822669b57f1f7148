/** A real nats-server, an engine node, a worker and a client in this process, with steps that end when the test says so. */
import { pino } from "pino";
import { type Engine, startEngine } from "../../src/engine/index.ts";
import { type Client, connect, startWorker, type Worker } from "../../src/index.ts";
import type { Operation, Operations } from "../../src/protocol/view.ts";
import type { AnyWorkflow } from "../../src/workflow/workflow.ts";
import { onCleanup } from "./cleanup.ts";
import { startTestServer } from "./nats.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export const silent = pino({ level: "silent" });

/** Steps of runs wait here, by a name that the test chooses. */
export class Gates {
  readonly #open = new Set<string>();
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Resolves when the gate is opened; rejects when the signal is aborted. */
  pass(name: string, signal: AbortSignal): Promise<void> {
    if (this.#open.has(name) || this.#open.has("*")) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const list = this.#waiting.get(name) ?? [];
      list.push(resolve);
      this.#waiting.set(name, list);
      signal.addEventListener("abort", () => reject(new Error("stopped")));
    });
  }

  /** `*`: all, from now on. */
  open(name: string): void {
    this.#open.add(name);
    for (const [waiting, list] of this.#waiting) {
      if (waiting !== name && name !== "*") continue;
      this.#waiting.delete(waiting);
      for (const pass of list) pass();
    }
  }
}

export interface EngineWorld {
  readonly url: string;
  readonly engine: Engine;
  readonly worker: Worker | undefined;
  readonly client: Client;
  /** Over the engine node itself, as the dashboard does. */
  call<K extends Operation>(operation: K, request: Operations[K]["request"]): Promise<Operations[K]["reply"]>;
}

export async function startEngineWorld(
  workflows: readonly AnyWorkflow[],
  {
    slots = 100,
    partitions = 4,
    drainTimeout = "100ms",
  }: { readonly slots?: number; readonly partitions?: number; readonly drainTimeout?: string } = {},
): Promise<EngineWorld> {
  const server = await startTestServer();
  const engine = await startEngine({ servers: server.url, logger: silent, partitions, dataDir: await temporaryFolder() });
  onCleanup(() => engine.stop());
  const client = await connect({ servers: server.url, logger: silent });
  onCleanup(() => client.close());
  const worker =
    workflows.length === 0
      ? undefined
      : await startWorker({ servers: server.url, workflows, slots, drainTimeout, logger: silent });
  if (worker !== undefined) onCleanup(() => worker.stop());
  return { url: server.url, engine, worker, client, call: (operation, request) => engine.call(operation, request) };
}
