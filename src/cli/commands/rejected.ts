/** `sluice rejected`: what arrived and could not be used. */
import type { Command } from "commander";
import type { Cli, ClientOptions } from "../cli.ts";
import { formatAge } from "../format.ts";
import { readInteger, withClient } from "../options.ts";
import { cut } from "../terminal.ts";
import { collect } from "./paging.ts";

interface ListOptions extends ClientOptions {
  readonly size: number;
  readonly cursor?: string;
}

export function addRejectedCommands(program: Command, cli: Cli): void {
  const rejected = program.command("rejected").description("list what arrived and could not be used, with the reasons");
  withClient(rejected.command("list").description("the newest first; kept for 7 days"))
    .option("-n, --size <count>", "at most so many", readInteger(1, 1_000), 20)
    .option("--cursor <cursor>", "go on where a list ended")
    .action((options: ListOptions) => list(cli, options));
}

async function list(cli: Cli, options: ListOptions): Promise<void> {
  const { size, cursor } = options;
  await cli.withClient(options, async (client) => {
    const page = await collect(client.rejected.list({ size, ...(cursor === undefined ? {} : { cursor }) }), "page");
    if (options.json === true) return cli.json(page);
    const now = cli.now();
    cli.table(
      [{ title: "SEQ", align: "right" }, { title: "WHAT" }, { title: "AT" }, { title: "REASON" }, { title: "PAYLOAD" }],
      page.items.map(({ seq, what, at, reason, payload }) => [
        seq,
        what,
        formatAge(at, now),
        reason,
        cut(payload.replace(/\s+/g, " "), 60),
      ]),
      "nothing was rejected",
    );
    if (page.next !== undefined) cli.say(cli.paint("dim", `more: --cursor ${page.next}`));
  });
}
