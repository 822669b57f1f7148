/** The tree of commands: what can be typed, and which file does it. */
import { Command, CommanderError } from "commander";
import { version } from "../version.ts";
import { EXIT_USAGE, SilentExit, CliError, EXIT_FAILED } from "./cli-error.ts";
import { Cli, type CliParts } from "./cli.ts";
import { addDevCommand } from "./commands/dev.ts";
import { addEngineCommand } from "./commands/engine.ts";
import { addEventsCommands } from "./commands/events.ts";
import { addGroupsCommands } from "./commands/groups.ts";
import { addInspectCommand } from "./commands/inspect.ts";
import { addPublishCommand } from "./commands/publish.ts";
import { addRejectedCommands } from "./commands/rejected.ts";
import { addRunCommand } from "./commands/run.ts";
import { addRunsCommands } from "./commands/runs.ts";
import { addNodesCommands } from "./commands/nodes.ts";
import { addSchedulesCommands } from "./commands/schedules.ts";
import { addTopCommand } from "./commands/top.ts";
import { addWorkerCommand } from "./commands/worker.ts";
import { addWorkersCommands } from "./commands/workers.ts";
import { addWorkflowsCommands } from "./commands/workflows.ts";

/** Runs the command and gives its exit code. Never throws: what goes wrong is one line on standard error. */
export async function runProgram(args: readonly string[], parts: CliParts): Promise<number> {
  const cli = new Cli(parts);
  try {
    await createProgram(cli).parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof SilentExit) return error.exitCode;
    // commander has said what is wrong; help and version, when asked for, are no mistake.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    cli.sayError(error);
    return error instanceof CliError ? error.exitCode : EXIT_FAILED;
  }
}

export function createProgram(cli: Cli): Command {
  const { stdout, stderr } = cli.terminal;
  const program = new Command("sluice")
    .description("A workflow engine on XState and NATS: concurrency limits and fairness per key.")
    .version(version, "-V, --version", "print the version")
    .exitOverride()
    .showHelpAfterError("(add --help for how to use it)")
    .configureHelp({ showGlobalOptions: false, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      getOutHelpWidth: () => stdout.columns || 100,
      getErrHelpWidth: () => stderr.columns || 100,
    });

  program.commandsGroup("Nodes:");
  addDevCommand(program, cli);
  addEngineCommand(program, cli);
  addWorkerCommand(program, cli);
  program.commandsGroup("Starting runs:");
  addPublishCommand(program, cli);
  addRunCommand(program, cli);
  program.commandsGroup("Looking and acting:");
  addRunsCommands(program, cli);
  addGroupsCommands(program, cli);
  addWorkflowsCommands(program, cli);
  addWorkersCommands(program, cli);
  addNodesCommands(program, cli);
  addSchedulesCommands(program, cli);
  addEventsCommands(program, cli);
  addRejectedCommands(program, cli);
  addTopCommand(program, cli);
  addInspectCommand(program, cli);
  return program;
}
