/** `sluice workers`: the worker nodes that an engine knows, and ending them in peace. */
import type { Command } from "commander";
import type { Cli, ClientOptions } from "../cli.ts";
import { formatAge, statusCell } from "../format.ts";
import { withClient } from "../options.ts";
import { collect } from "./paging.ts";

export function addWorkersCommands(program: Command, cli: Cli): void {
  const workers = program.command("workers").description("list the worker nodes, drain one");
  withClient(workers.command("list").description("the worker nodes, with the slots they use")).action((options: ClientOptions) =>
    cli.withClient(options, async (client) => {
      const page = await collect(client.workers.list(), "all");
      if (options.json === true) return cli.json(page);
      const now = cli.now();
      cli.table(
        [
          { title: "ID" },
          { title: "NAME" },
          { title: "STATE" },
          { title: "SLOTS", align: "right" },
          { title: "LAST SEEN" },
          { title: "STARTED" },
          { title: "HOST" },
          { title: "PID", align: "right" },
          { title: "WORKFLOWS" },
        ],
        page.items.map((worker) => [
          worker.id,
          worker.name,
          statusCell(worker.mode),
          `${worker.used}/${worker.slots}`,
          formatAge(worker.lastSeenAt, now),
          formatAge(worker.startedAt, now),
          worker.host,
          worker.pid,
          worker.workflows.map(({ name }) => name).join(", "),
        ]),
        "no workers: start one with sluice worker <files>",
      );
    }),
  );
  withClient(
    workers
      .command("drain")
      .description("have a worker finish what it runs, take nothing new, and end")
      .argument("<id>", "as `sluice workers list` shows it"),
  ).action((id: string, options: ClientOptions) =>
    cli.withClient(options, async (client) => {
      const worker = await client.workers.drain(id);
      if (options.json === true) return cli.json(worker);
      cli.print(
        worker.used === 0
          ? `${worker.id} takes nothing new and ends`
          : `${worker.id} takes nothing new and ends with the ${worker.used === 1 ? "step" : `${worker.used} steps`} that it runs`,
      );
    }),
  );
}
