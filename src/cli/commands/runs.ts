/** `sluice runs`: lists runs, watches them, shows one, cancels, replays, explains. */
import type { Command } from "commander";
import type { RunEventView, RunListQuery, RunStatus, RunView } from "../../protocol/view.ts";
import { SilentExit, EXIT_FAILED } from "../cli-error.ts";
import type { Cli, ClientOptions } from "../cli.ts";
import { formatAge, formatJson, formatTook, statusCell } from "../format.ts";
import { readInteger, readStatuses, readTime, withClient } from "../options.ts";
import { cut } from "../terminal.ts";
import { renderTable } from "../table.ts";
import { RUN_COLUMNS, runCells } from "../run-rows.ts";
import { collect } from "./paging.ts";
import { addRunsWatchCommand } from "./runs-watch.ts";

interface ListOptions extends ClientOptions {
  readonly status?: readonly RunStatus[];
  readonly workflow?: string;
  readonly limit?: string;
  readonly key?: string;
  readonly since?: string;
  readonly until?: string;
  readonly size: number;
  readonly all?: boolean;
  readonly cursor?: string;
}

export function addRunsCommands(program: Command, cli: Cli): void {
  const runs = program.command("runs").description("list runs, watch them, show one, cancel, replay, say why one waits");

  withClient(runs.command("list").description("the newest runs first"))
    .option("--status <status...>", "only runs in these statuses: queued, running, succeeded, failed, cancelled", readStatuses)
    .option("--workflow <name>", "only runs of this workflow")
    .option("--limit <name>", "only runs under this concurrency limit")
    .option("--key <key>", "only runs with this concurrency key")
    .option("--since <time>", 'only runs created since then: how long ago, such as "15m", or a time', readTime)
    .option("--until <time>", "only runs created before then", readTime)
    .option("-n, --size <count>", "at most so many", readInteger(1, 1_000), 20)
    .option("--all", "all of them, however many")
    .option("--cursor <cursor>", "go on where a list ended")
    .action((options: ListOptions) => list(cli, options));

  addRunsWatchCommand(runs, cli);

  withClient(runs.command("get").description("everything about one run").argument("<id>")).action(
    (id: string, options: ClientOptions) =>
      cli.withClient(options, async (client) => showRun(cli, await client.runs.get(id), options)),
  );

  withClient(runs.command("cancel").description("cancel runs").argument("<id...>")).action(
    (ids: readonly string[], options: ClientOptions) => cancelRuns(cli, ids, options, "run"),
  );

  withClient(runs.command("replay").description("start a new run with the input of an old one").argument("<id>")).action(
    (id: string, options: ClientOptions) =>
      cli.withClient(options, async (client) => {
        const run = await client.runs.replay(id);
        if (options.json === true) cli.json(run);
        else cli.print(`${run.id} (${run.workflow}) does again what ${id} did`);
      }),
  );

  withClient(runs.command("explain").description("say in one sentence what a run does, or why it waits").argument("<id>")).action(
    (id: string, options: ClientOptions) =>
      cli.withClient(options, async (client) => {
        const explanation = await client.runs.explain(id);
        if (options.json === true) cli.json(explanation);
        else cli.print(explanation.sentence);
      }),
  );

  withClient(runs.command("events").description("what happened to a run, oldest first").argument("<id>")).action(
    (id: string, options: ClientOptions) =>
      cli.withClient(options, async (client) => {
        const { items } = await collect(client.runs.events(id), "all");
        if (options.json === true) cli.json({ items });
        else showEvents(cli, items);
      }),
  );
}

/** Also behind `sluice schedules cancel`: a scheduled run is a run. */
export async function cancelRuns(cli: Cli, ids: readonly string[], options: ClientOptions, what: string): Promise<void> {
  let failed = false;
  const cancelled: RunView[] = [];
  await cli.withClient(options, async (client) => {
    for (const id of ids) {
      try {
        const run = await client.runs.cancel(id);
        cancelled.push(run);
        if (options.json !== true) cli.print(sentenceOfCancel(run, what));
      } catch (error) {
        failed = true;
        cli.sayError(error);
      }
    }
  });
  if (options.json === true) cli.json(ids.length === 1 ? cancelled[0] : { items: cancelled });
  if (failed) throw new SilentExit(EXIT_FAILED);
}

function sentenceOfCancel(run: RunView, what: string): string {
  if (run.status === "SUCCEEDED" || run.status === "FAILED")
    return `${what} ${run.id} had already ${run.status === "FAILED" ? "failed" : "succeeded"}`;
  return `${what} ${run.id} is cancelled`;
}

async function list(cli: Cli, options: ListOptions): Promise<void> {
  const { status, workflow, limit, key, since, until, size, all, cursor } = options;
  const query: RunListQuery = {
    ...(status === undefined ? {} : { status }),
    ...(workflow === undefined ? {} : { workflow }),
    ...(limit === undefined ? {} : { limit }),
    ...(key === undefined ? {} : { key }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    ...(cursor === undefined ? {} : { cursor }),
    size: all === true ? 500 : size,
  };
  await cli.withClient(options, async (client) => {
    const page = await collect(client.runs.list(query), all === true ? "all" : "page");
    if (options.json === true) cli.json(page);
    else showRuns(cli, page.items, page.next);
  });
}

export function showRuns(cli: Cli, runs: readonly RunView[], next: string | undefined): void {
  const now = cli.now();
  cli.table(
    RUN_COLUMNS,
    runs.map((run) => runCells(run, now)),
    "no runs",
  );
  if (next !== undefined) cli.say(cli.paint("dim", `more: --all, or --cursor ${next}`));
}

/** One run with its steps. */
export function showRun(cli: Cli, run: RunView, options: ClientOptions): void {
  if (options.json === true) return cli.json(run);
  const now = cli.now();
  cli.details([
    ["run", { text: run.id, style: "bold" }],
    ["workflow", `${run.workflow} (version ${run.version})`],
    ["status", statusCell(run.status)],
    ["reason", run.reason],
    ...run.keys.map(({ limit, key }) => ["key", limit === run.workflow ? key : `${key} (limit ${limit})`] as const),
    ["priority", run.priority === 0 ? undefined : run.priority],
    ["event", run.event === undefined ? undefined : `${run.event.name} (${run.event.seq})`],
    ["replay of", run.replayOf],
    ["created", atAndAge(run.createdAt, now)],
    ["scheduled for", atAndAge(run.scheduledAt, now)],
    ["admitted", atAndAge(run.admittedAt, now)],
    ["started", atAndAge(run.startedAt, now)],
    ["finished", atAndAge(run.finishedAt, now)],
    ["took", formatTook(run.startedAt, run.finishedAt, now)],
    ["metadata", Object.keys(run.metadata).length === 0 ? undefined : formatJson(run.metadata)],
    ["input", formatJson(run.input)],
    ["outputs", formatJson(run.outputs)],
    ["error", run.error === undefined ? undefined : { text: `${run.error.name}: ${run.error.message}`, style: "red" }],
  ]);
  const steps = Object.entries(run.steps);
  if (steps.length === 0) return;
  cli.print(
    "",
    ...renderTable(
      [
        { title: "STEP" },
        { title: "STATUS" },
        { title: "ATTEMPTS", align: "right" },
        { title: "STARTED" },
        { title: "TOOK", align: "right" },
        { title: "WORKER" },
        { title: "ERROR" },
      ],
      steps.map(([name, step]) => [
        name,
        statusCell(step.status),
        step.attempts,
        formatAge(step.startedAt, now),
        formatTook(step.startedAt, step.finishedAt, now),
        step.worker,
        step.error === undefined ? undefined : cut(step.error.message, 120),
      ]),
      cli.paint,
    ),
  );
}

function showEvents(cli: Cli, events: readonly RunEventView[]): void {
  const [first] = events;
  const from = first === undefined ? 0 : Date.parse(first.at);
  cli.table(
    [{ title: "AT" }, { title: "AFTER", align: "right" }, { title: "EVENT" }, { title: "DATA" }],
    events.map(({ at, type, data }) => [at, `+${Date.parse(at) - from}ms`, type, formatJson(data, 160)]),
    "no events",
  );
}

function atAndAge(time: string | undefined, now: number): string | undefined {
  return time === undefined ? undefined : `${time} (${formatAge(time, now)})`;
}
