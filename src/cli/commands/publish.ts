/** `sluice publish`: one event, or one per line of standard input. */
import type { Command } from "commander";
import type { Client } from "../../client/connect.ts";
import type { EventInput, PublishOptions } from "../../client/publish.ts";
import { EXIT_FAILED, errorText, SilentExit, UsageError } from "../cli-error.ts";
import type { Cli, ClientOptions } from "../cli.ts";
import { parseJson, readJsonLines } from "../json-lines.ts";
import { readJsonObject, readPriority, withClient } from "../options.ts";
import { createProgress, formatCount, formatRate } from "../progress.ts";

interface Options extends ClientOptions {
  readonly id?: string;
  readonly metadata?: Record<string, unknown>;
  readonly priority?: number;
  readonly scope?: string;
}

/** So many messages about single lines; what is wrong with thousands is mostly the same. */
const MAX_LINE_ERRORS = 20;

export function addPublishCommand(program: Command, cli: Cli): void {
  withClient(
    program
      .command("publish")
      .description("publish an event: every workflow that waits for it gets a run")
      .argument("<event>", "the event's name, such as user.created")
      .argument("[json]", 'the payload; "-" reads one payload per line from standard input', "{}"),
  )
    .option("--id <id>", "publish it only once: a second event with this id is not stored (within two minutes)")
    .option("--metadata <json>", "a JSON object that stays with the runs", readJsonObject)
    .option("--priority <integer>", "higher goes first among the waiting runs of a key", readPriority)
    .option("--scope <scope>", "the header Sluice-Scope")
    .action((event: string, json: string, options: Options) =>
      json === "-" ? publishLines(cli, event, options) : publishOne(cli, event, json, options),
    );
}

async function publishOne(cli: Cli, event: string, json: string, options: Options): Promise<void> {
  const payload = parsePayload(json, "payload");
  await cli.withClient(options, async (client) => {
    const { seq, duplicate } = await client.publish(event, payload, publishOptions(options));
    if (options.json === true) cli.json({ event, seq, duplicate });
    else cli.print(duplicate ? `${event} was published before, as event ${seq}` : `published ${event} as event ${seq}`);
  });
}

async function publishLines(cli: Cli, event: string, options: Options): Promise<void> {
  if (options.id !== undefined) throw new UsageError("--id names one event; it cannot be given with standard input");
  const problems = createLineProblems(cli);
  const { published, tookMs } = await cli.withClient(options, (client) => publishAll(cli, client, event, options, problems));
  problems.end();
  if (options.json === true) cli.json({ event, published, failed: problems.count });
  else
    cli.print(`published ${formatCount(published)} ${published === 1 ? "event" : "events"} (${formatRate(published, tookMs)})`);
  if (problems.count > 0) throw new SilentExit(EXIT_FAILED);
}

async function publishAll(
  cli: Cli,
  client: Client,
  event: string,
  options: Options,
  problems: LineProblems,
): Promise<{ readonly published: number; readonly tookMs: number }> {
  const common = publishOptions(options);
  const progress = createProgress(cli.terminal.stderr);
  /** By position among what was handed over, the line it came from. */
  const lines: number[] = [];
  const started = performance.now();
  async function* events(): AsyncGenerator<EventInput> {
    for await (const line of readJsonLines(cli.terminal.stdin)) {
      if (line.ok) {
        lines.push(line.line);
        yield { ...common, event, payload: line.value };
      } else {
        progress.clear();
        problems.add(line.line, line.problem);
      }
    }
  }
  try {
    const onProgress = (count: number): void =>
      progress.update(`published ${formatCount(count)} (${formatRate(count, performance.now() - started)})`);
    const results = await client.publishMany(events(), { onProgress });
    return { published: results.length, tookMs: performance.now() - started };
  } catch (error) {
    const failures = failuresOf(error);
    if (failures === undefined) throw error;
    progress.clear();
    for (const { index, error: reason } of failures) problems.add(lines[index] ?? index + 1, errorText(reason));
    return { published: lines.length - failures.length, tookMs: performance.now() - started };
  } finally {
    progress.clear();
  }
}

export function parsePayload(json: string, what: string): unknown {
  const parsed = parseJson(json);
  if (parsed.ok) return parsed.value;
  throw new UsageError(`expected the ${what} to be JSON: ${parsed.problem}`);
}

export interface LineProblems {
  readonly count: number;
  add(line: number, problem: string): void;
  /** Says how many were not named. */
  end(): void;
}

export function createLineProblems(cli: Cli): LineProblems {
  let count = 0;
  return {
    get count() {
      return count;
    },
    add: (line, problem) => {
      count += 1;
      if (count <= MAX_LINE_ERRORS) cli.sayError(`line ${line}: ${problem}`);
    },
    end: () => {
      if (count > MAX_LINE_ERRORS) cli.sayError(`${formatCount(count - MAX_LINE_ERRORS)} more lines failed`);
    },
  };
}

function publishOptions({ id, metadata, priority, scope }: Options): PublishOptions {
  return {
    ...(id === undefined ? {} : { id }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(priority === undefined ? {} : { priority }),
    ...(scope === undefined ? {} : { scope }),
  };
}

/** Of the error of `publishMany`; by its shape, since the class would load the client. */
function failuresOf(error: unknown): readonly { readonly index: number; readonly error: unknown }[] | undefined {
  const failures = (error as { readonly failures?: unknown } | undefined)?.failures;
  return Array.isArray(failures) ? (failures as { index: number; error: unknown }[]) : undefined;
}
