/** `sluice events`: what was published. */
import type { Command } from "commander";
import type { Cli, ClientOptions } from "../cli.ts";
import { formatAge, formatJson } from "../format.ts";
import { readInteger, withClient } from "../options.ts";
import { collect } from "./paging.ts";

interface ListOptions extends ClientOptions {
  readonly name?: string;
  readonly size: number;
  readonly cursor?: string;
}

export function addEventsCommands(program: Command, cli: Cli): void {
  const events = program.command("events").description("list the events that were published");
  withClient(events.command("list").description("the newest events first"))
    .option("--name <name>", "only events of this name")
    .option("-n, --size <count>", "at most so many", readInteger(1, 1_000), 20)
    .option("--cursor <cursor>", "go on where a list ended")
    .action((options: ListOptions) => list(cli, options));
}

async function list(cli: Cli, options: ListOptions): Promise<void> {
  const { name, size, cursor } = options;
  const query = { ...(name === undefined ? {} : { name }), ...(cursor === undefined ? {} : { cursor }), size };
  await cli.withClient(options, async (client) => {
    const page = await collect(client.events.list(query), "page");
    if (options.json === true) return cli.json(page);
    const now = cli.now();
    cli.table(
      [{ title: "SEQ", align: "right" }, { title: "EVENT" }, { title: "AT" }, { title: "RUNS" }, { title: "PAYLOAD" }],
      page.items.map((event) => [
        event.seq,
        event.name,
        formatAge(event.at, now),
        event.runs.join(", "),
        formatJson(event.payload, 80),
      ]),
      "no events",
    );
    if (page.next !== undefined) cli.say(cli.paint("dim", `more: --cursor ${page.next}`));
  });
}
