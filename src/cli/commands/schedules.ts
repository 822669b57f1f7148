/** `sluice schedules`: runs that wait for their time. */
import type { Command } from "commander";
import type { Cli, ClientOptions } from "../cli.ts";
import { formatAge, formatJson } from "../format.ts";
import { readInteger, withClient } from "../options.ts";
import { collect } from "./paging.ts";
import { cancelRuns } from "./runs.ts";

interface ListOptions extends ClientOptions {
  readonly workflow?: string;
  readonly size: number;
  readonly all?: boolean;
}

export function addSchedulesCommands(program: Command, cli: Cli): void {
  const schedules = program.command("schedules").description("list the runs that wait for their time, cancel one");

  withClient(schedules.command("list").description("runs that were given a time (sluice run --at, --delay) and wait for it"))
    .option("--workflow <name>", "only runs of this workflow")
    .option("-n, --size <count>", "at most so many", readInteger(1, 1_000), 20)
    .option("--all", "all of them, however many")
    .action((options: ListOptions) => list(cli, options));

  withClient(schedules.command("cancel").description("cancel runs that wait for their time").argument("<id...>")).action(
    (ids: readonly string[], options: ClientOptions) => cancelRuns(cli, ids, options, "scheduled run"),
  );
}

async function list(cli: Cli, options: ListOptions): Promise<void> {
  const { workflow, all, size } = options;
  const query = { ...(workflow === undefined ? {} : { workflow }), size: all === true ? 500 : size };
  await cli.withClient(options, async (client) => {
    const page = await collect(client.schedules.list(query), all === true ? "all" : "page");
    if (options.json === true) return cli.json(page);
    const now = cli.now();
    cli.table(
      [{ title: "ID" }, { title: "WORKFLOW" }, { title: "AT" }, { title: "" }, { title: "INPUT" }],
      page.items.map((run) => [
        run.id,
        run.workflow,
        run.scheduledAt,
        formatAge(run.scheduledAt, now),
        formatJson(run.input, 80),
      ]),
      "no schedules: no run waits for its time",
    );
    if (page.next !== undefined) cli.say(cli.paint("dim", "more: --all"));
  });
}
