/** `sluice dev`: the whole system on this machine. */
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { withDashboard, type DashboardCommandOptions } from "../dashboard-options.ts";
import { DATA_FOLDER } from "../dev-record.ts";
import type { LogLevel } from "../environment.ts";
import { readInteger, withLogLevel, withTarget } from "../options.ts";
import type { TargetOptions } from "../target.ts";

export interface DevCommandOptions extends TargetOptions, DashboardCommandOptions {
  readonly slots?: number;
  readonly natsPort?: number;
  readonly dataDir: string;
  readonly logLevel?: LogLevel;
}

export function addDevCommand(program: Command, cli: Cli): void {
  const command = withTarget(
    program
      .command("dev")
      .description(
        "run everything on this machine: a NATS server, an engine node with the dashboard, and a worker node with the workflows of these files",
      )
      .argument("[files...]", "TypeScript or JavaScript; without any, the examples"),
  )
    .option("--slots <count>", "how many steps the worker executes at once (default: 100)", readInteger(1, 100_000))
    .option(
      "--nats-port <port>",
      "where the NATS server listens (default: 4222, or the next free one; 0 takes any)",
      readInteger(0, 65_535),
    )
    .option("--data-dir <folder>", "where everything is kept", DATA_FOLDER)
    .addOption(withLogLevel());
  withDashboard(command).action(async (files: readonly string[], options: DevCommandOptions) => {
    const { runDev } = await import("../run-dev.ts");
    await runDev(cli, files, options);
  });
}
