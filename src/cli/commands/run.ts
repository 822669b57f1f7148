/** `sluice run`: starts a run of a workflow directly, or one per line of standard input, and waits for it where asked to. */
import { InvalidArgumentError, type Command } from "commander";
import type { Client, RunOptions } from "../../client/connect.ts";
import type { RunHandle } from "../../client/run-handle.ts";
import type { RunChangeMessage, RunView } from "../../protocol/view.ts";
import { EXIT_FAILED, SilentExit, UsageError } from "../cli-error.ts";
import type { Cli, ClientOptions } from "../cli.ts";
import { formatAge, formatJson } from "../format.ts";
import { readJsonLines, type JsonLine } from "../json-lines.ts";
import { readDurationOption, readJsonObject, readPriority, withClient } from "../options.ts";
import { createProgress, formatCount, formatRate } from "../progress.ts";
import { oneLine } from "../terminal.ts";
import { createLineProblems, parsePayload } from "./publish.ts";
import { inOrder } from "./in-order.ts";

interface Options extends ClientOptions {
  readonly wait?: boolean;
  readonly metadata?: Record<string, unknown>;
  readonly priority?: number;
  readonly at?: string;
  readonly delay?: number;
}

/** Requests under way at once for the lines of standard input. */
const IN_FLIGHT = 256;

export function addRunCommand(program: Command, cli: Cli): void {
  withClient(
    program
      .command("run")
      .description("start a run of a workflow")
      .argument("<workflow>", "the workflow's name")
      .argument("[json]", 'the input; "-" reads one input per line from standard input', "{}"),
  )
    .option("--wait", "wait for its end and print its outputs; exit code 1 unless it succeeds")
    .option("--metadata <json>", "a JSON object that stays with the run", readJsonObject)
    .option("--priority <integer>", "higher goes first among the waiting runs of a key", readPriority)
    .option("--at <time>", "start at this time, such as 2026-01-31T12:00:00Z", readAt)
    .option("--delay <duration>", "start after this time, such as 1h30m", readDurationOption)
    .action((workflow: string, json: string, options: Options) => {
      if (options.at !== undefined && options.delay !== undefined) throw new UsageError("give either --at or --delay");
      return json === "-" ? runLines(cli, workflow, options) : runOne(cli, workflow, json, options);
    });
}

async function runOne(cli: Cli, workflow: string, json: string, options: Options): Promise<void> {
  const input = parsePayload(json, "input");
  await cli.withClient(options, async (client) => {
    const run = await client.run(workflow, input, runOptions(options));
    if (options.wait === true) return await follow(cli, run, options);
    const view = await run.get();
    if (options.json === true) cli.json(view);
    else if (view.scheduledAt === undefined || Date.parse(view.scheduledAt) <= cli.now()) cli.print(view.id);
    else cli.print(`${view.id} starts ${formatAge(view.scheduledAt, cli.now())}`);
  });
}

/** Shows the changes on a terminal, then how it ended. */
async function follow(cli: Cli, run: RunHandle, options: Options): Promise<void> {
  if (cli.terminal.stderr.isTTY === true) {
    for await (const change of run) cli.say(cli.paint("dim", changeText(change)));
  } else {
    await run.result().catch(() => undefined); // how it ended is in what follows
  }
  const view = await run.get();
  if (options.json === true) cli.json(view);
  else if (view.status === "SUCCEEDED") cli.print(formatJson(view.outputs ?? {}, Infinity));
  if (view.status !== "SUCCEEDED") {
    if (options.json !== true) cli.sayError(endText(view));
    throw new SilentExit(EXIT_FAILED);
  }
}

async function runLines(cli: Cli, workflow: string, options: Options): Promise<void> {
  const problems = createLineProblems(cli);
  const progress = createProgress(cli.terminal.stderr);
  const started = performance.now();
  let done = 0;
  let notSucceeded = 0;
  await cli.withClient(options, async (client) => {
    const runs = inOrder(readJsonLines(cli.terminal.stdin), IN_FLIGHT, (line) => startLine(client, workflow, line, options));
    for await (const { line, view, problem } of runs) {
      if (view !== undefined) {
        done += 1;
        if (options.wait === true && view.status !== "SUCCEEDED") notSucceeded += 1;
        progress.clear();
        if (options.json === true) cli.terminal.stdout.write(`${JSON.stringify(view)}\n`);
        else
          cli.print(
            options.wait === true ? `${view.id} ${view.status}${view.reason === undefined ? "" : ` ${view.reason}`}` : view.id,
          );
      } else {
        progress.clear();
        problems.add(line, problem ?? "");
      }
      progress.update(`${formatCount(done)} runs (${formatRate(done, performance.now() - started)})`);
    }
  });
  progress.clear();
  problems.end();
  if (problems.count + notSucceeded > 0) throw new SilentExit(EXIT_FAILED);
}

async function startLine(
  client: Client,
  workflow: string,
  line: JsonLine,
  options: Options,
): Promise<{ readonly line: number; readonly view?: RunView; readonly problem?: string }> {
  if (!line.ok) return { line: line.line, problem: line.problem };
  try {
    const run = await client.run(workflow, line.value, runOptions(options));
    if (options.wait === true) await run.result().catch(() => undefined);
    return { line: line.line, view: await run.get() };
  } catch (error) {
    return { line: line.line, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** What has changed about a run, in a few words. */
export function changeText({ change, step, stepStatus, attempt, status, reason }: RunChangeMessage): string {
  if (change !== "step") return `${change}${reason === undefined ? "" : ` (${reason})`}`;
  return oneLine(
    `${step ?? ""}: ${(stepStatus ?? status).toLowerCase()}${attempt !== undefined && attempt > 1 ? ` (attempt ${attempt})` : ""}`,
  );
}

function endText({ id, workflow, status, reason, error }: RunView): string {
  return `run ${id} of "${workflow}" ${status === "FAILED" ? "failed" : "was cancelled"} (${reason ?? status})${error === undefined ? "" : `: ${oneLine(error.message)}`}`;
}

function runOptions({ metadata, priority, at, delay }: Options): RunOptions {
  return {
    ...(metadata === undefined ? {} : { metadata }),
    ...(priority === undefined ? {} : { priority }),
    ...(at === undefined ? {} : { at }),
    ...(delay === undefined ? {} : { delay }),
  };
}

function readAt(text: string): string {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new InvalidArgumentError("Expected a time such as 2026-01-31T12:00:00Z.");
  return new Date(time).toISOString();
}
