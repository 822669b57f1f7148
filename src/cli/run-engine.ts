/** What `sluice engine` does: runs an engine node until it is told to stop. */
import { resolve } from "node:path";
import { createEngine } from "../engine/index.ts";
import type { Dashboard } from "../server/index.ts";
import type { Cli } from "./cli.ts";
import { dashboardOptions, redactOf } from "./dashboard-options.ts";
import type { EngineCommandOptions } from "./commands/engine.ts";
import { DATA_FOLDER } from "./dev-record.ts";
import { exitCodeOf, onStopSignals } from "./signals.ts";
import { findTarget } from "./target.ts";

export async function runEngine(cli: Cli, options: EngineCommandOptions): Promise<void> {
  const logger = await cli.logger(options.logLevel, "info");
  const target = await findTarget(options, cli.env, cli.folder);
  const engine = createEngine({
    ...target.connection,
    prefix: target.prefix,
    dataDir: resolve(cli.folder, options.dataDir ?? DATA_FOLDER),
    logger,
    redact: redactOf(options),
    ...(options.historyMaxBytes === undefined ? {} : { historyMaxBytes: options.historyMaxBytes }),
    ...(options.partitions === undefined ? {} : { partitions: options.partitions }),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.replicas === undefined ? {} : { replicas: options.replicas }),
    ...(options.snapshotEvery === undefined ? {} : { snapshotEvery: options.snapshotEvery }),
    ...(options.eventsMaxBytes === undefined ? {} : { eventsMaxBytes: options.eventsMaxBytes }),
    ...(options.partitionMaxBytes === undefined ? {} : { partitionMaxBytes: options.partitionMaxBytes }),
    ...(options.lease === undefined ? {} : { lease: options.lease }),
    ...(options.retention === undefined ? {} : { retention: options.retention }),
  });
  const page = dashboardOptions(options, cli.env, engine);
  const signals = onStopSignals((signal) => process.exit(exitCodeOf(signal)));
  let dashboard: Dashboard | undefined;
  try {
    // First, so that who looks sees an engine node that starts.
    if (page !== undefined) {
      const { startDashboard } = await import("../server/index.ts");
      dashboard = await startDashboard({ ...page, ...target.connection, prefix: target.prefix, logger });
    }
    await Promise.race([signals.first, engine.start().then(() => engine.closed)]);
  } finally {
    await dashboard?.stop();
    await engine.stop();
    signals.dispose();
  }
}
