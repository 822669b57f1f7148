/** `sluice worker`: a worker node with the workflows of some files. */
import { Option, type Command } from "commander";
import type { Cli } from "../cli.ts";
import type { LogLevel } from "../environment.ts";
import { readDurationOption, readInteger, withLogLevel, withTarget } from "../options.ts";
import type { TargetOptions } from "../target.ts";

export interface WorkerCommandOptions extends TargetOptions {
  readonly slots?: number;
  readonly name?: string;
  readonly heartbeat?: number;
  readonly deadline?: number;
  readonly drainTimeout?: number;
  readonly logLevel?: LogLevel;
  readonly withParent?: boolean;
}

export function addWorkerCommand(program: Command, cli: Cli): void {
  withTarget(
    program
      .command("worker")
      .description("run a worker node with the workflows that these files export")
      .argument("<files...>", "TypeScript or JavaScript"),
  )
    .option("--slots <count>", "how many steps it executes at once (default: 100)", readInteger(1, 100_000))
    .option("--name <name>", "what people call it (default: the host's name)")
    .option("--heartbeat <duration>", "how often it says that it lives (default: 1s)", readDurationOption)
    .option(
      "--deadline <duration>",
      "after how long without a heartbeat its steps are given to others (default: 3s)",
      readDurationOption,
    )
    .option(
      "--drain-timeout <duration>",
      "how long running steps may take to finish when it is stopped (default: 30s)",
      readDurationOption,
    )
    .addOption(withLogLevel())
    // For `sluice dev`: says when it is ready, and ends when the process that started it is gone.
    .addOption(new Option("--with-parent").hideHelp())
    .action(async (files: readonly string[], options: WorkerCommandOptions) => {
      const { runWorker } = await import("../run-worker.ts");
      await runWorker(cli, files, options);
    });
}
