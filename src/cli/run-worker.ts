/** What `sluice worker` does: loads the files, runs a worker node until it is told to stop. */
import { createWorker } from "../worker/start-worker.ts";
import type { Cli } from "./cli.ts";
import type { WorkerCommandOptions } from "./commands/worker.ts";
import { exitCodeOf, onStopSignals } from "./signals.ts";
import { findTarget } from "./target.ts";
import { loadWorkflows } from "./workflow-files.ts";

/** What a worker tells the `sluice dev` that started it. */
export interface WorkerReadyMessage {
  readonly type: "ready";
  readonly slots: number;
  readonly workflows: readonly { readonly name: string; readonly on: readonly string[] }[];
}

const DEFAULT_SLOTS = 100;
/** What users' files leave open may not keep the process alive for longer than this. */
const LINGER_MS = 500;
/** Without its parent there may be no NATS server either; then waiting for it helps nobody. */
const ORPHAN_MARGIN_MS = 3_000;

export async function runWorker(cli: Cli, files: readonly string[], options: WorkerCommandOptions): Promise<void> {
  const logger = await cli.logger(options.logLevel, "info");
  const [workflows, target] = await Promise.all([loadWorkflows(files, cli.folder), findTarget(options, cli.env, cli.folder)]);
  const slots = options.slots ?? DEFAULT_SLOTS;
  const worker = createWorker({
    ...target.connection,
    prefix: target.prefix,
    workflows,
    slots,
    logger,
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.heartbeat === undefined ? {} : { heartbeat: options.heartbeat }),
    ...(options.deadline === undefined ? {} : { deadline: options.deadline }),
    ...(options.drainTimeout === undefined ? {} : { drainTimeout: options.drainTimeout }),
  });

  let stopped = false;
  const stop = (): void => {
    stopped = true;
    void worker.stop();
  };
  const signals = onStopSignals((signal) => process.exit(exitCodeOf(signal)));
  void signals.first.then(stop);
  if (options.withParent === true) {
    process.once("disconnect", () => {
      stop();
      setTimeout(() => process.exit(1), (options.drainTimeout ?? 0) + ORPHAN_MARGIN_MS).unref();
    });
  }
  try {
    await worker.start();
    const ready: WorkerReadyMessage = {
      type: "ready",
      slots,
      workflows: workflows.map(({ spec: { name, on } }) => ({ name, on })),
    };
    if (options.withParent === true && process.connected) process.send?.(ready);
    await worker.closed;
  } catch (error) {
    if (!stopped) throw error;
  } finally {
    signals.dispose();
    setTimeout(() => process.exit(), LINGER_MS).unref();
    if (options.withParent === true && process.connected) process.disconnect();
  }
}
