/** `sluice engine`: an engine node. */
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { withDashboard, type DashboardCommandOptions } from "../dashboard-options.ts";
import type { LogLevel } from "../environment.ts";
import { readDurationOption, readInteger, withLogLevel, withTarget } from "../options.ts";
import type { TargetOptions } from "../target.ts";

export interface EngineCommandOptions extends TargetOptions, DashboardCommandOptions {
  readonly partitions?: number;
  readonly replicas?: number;
  readonly snapshotEvery?: number;
  readonly dataDir?: string;
  readonly name?: string;
  readonly lease?: number;
  readonly retention?: number;
  readonly historyMaxBytes?: number;
  readonly logLevel?: LogLevel;
}

export function addEngineCommand(program: Command, cli: Cli): void {
  const command = withTarget(program.command("engine").description("run an engine node; it serves the dashboard"))
    .option(
      "--partitions <count>",
      "partitions of a new cluster (default: 8); one that exists keeps its own",
      readInteger(1, 256),
    )
    .option("--replicas <count>", "copies of every stream, on a NATS cluster (default: 1)", readInteger(1, 5))
    .option(
      "--snapshot-every <facts>",
      "facts of a partition between two snapshots, at least (default: 20000)",
      readInteger(100, Number.MAX_SAFE_INTEGER),
    )
    .option("--data-dir <folder>", "where its history file is; a cache that may be deleted (default: .sluice)")
    .option("--name <name>", "what people call it (default: the host's name)")
    .option(
      "--lease <duration>",
      "how long after its last sign of life another node may take over (default: 3s)",
      readDurationOption,
    )
    .option("--retention <duration>", "how long ended runs stay in the history (default: 7d)", readDurationOption)
    .option(
      "--history-max-bytes <bytes>",
      "how large the history file may become; above that, runs that ended first go (default: no bound)",
      readInteger(1_048_576, Number.MAX_SAFE_INTEGER),
    )
    .addOption(withLogLevel());
  withDashboard(command).action(async (options: EngineCommandOptions) => {
    const { runEngine } = await import("../run-engine.ts");
    await runEngine(cli, options);
  });
}
