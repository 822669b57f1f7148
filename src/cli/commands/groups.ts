/** `sluice groups`: the concurrency keys that have runs, and changing their limits. */
import type { Command } from "commander";
import type { GroupView } from "../../protocol/view.ts";
import { UsageError } from "../cli-error.ts";
import type { Cli, ClientOptions } from "../cli.ts";
import { formatAge } from "../format.ts";
import { readInteger, withClient } from "../options.ts";
import { cut } from "../terminal.ts";
import { collect } from "./paging.ts";

interface ListOptions extends ClientOptions {
  readonly limit?: string;
  readonly size: number;
  readonly all?: boolean;
  readonly cursor?: string;
}

interface SetOptions extends ClientOptions {
  readonly maxRuns?: number;
  readonly reset?: boolean;
}

export function addGroupsCommands(program: Command, cli: Cli): void {
  const groups = program.command("groups").description("list concurrency keys, show one, change its limit, pause and resume it");
  const LIMIT = "the limit's name; where it was given none, the workflow's";

  withClient(groups.command("list").description("the keys that have active or waiting runs, or settings of their own"))
    .option("--limit <name>", "only keys of this limit")
    .option("-n, --size <count>", "at most so many", readInteger(1, 1_000), 50)
    .option("--all", "all of them, however many")
    .option("--cursor <cursor>", "go on where a list ended")
    .action((options: ListOptions) => list(cli, options));

  withClient(groups.command("get").description("everything about one key").argument("<limit>", LIMIT).argument("<key>")).action(
    (limit: string, key: string, options: ClientOptions) =>
      cli.withClient(options, async (client) => showGroup(cli, await client.groups.get({ limit, key }), options)),
  );

  withClient(groups.command("set").description("give one key a limit of its own").argument("<limit>", LIMIT).argument("<key>"))
    .option("--max-runs <count>", "how many of its runs may be active at once", readInteger(1))
    .option("--reset", "take its own limit back: the workflow's holds again")
    .action((limit: string, key: string, options: SetOptions) => {
      if ((options.maxRuns === undefined) === (options.reset !== true))
        throw new UsageError("give either --max-runs <count> or --reset");
      return cli.withClient(options, async (client) =>
        showGroup(cli, await client.groups.update({ limit, key, maxRuns: options.maxRuns ?? null }), options),
      );
    });

  for (const verb of ["pause", "resume"] as const) {
    const description =
      verb === "pause" ? "admit no further runs of one key; what is active goes on" : "admit runs of a paused key again";
    withClient(groups.command(verb).description(description).argument("<limit>", LIMIT).argument("<key>")).action(
      (limit: string, key: string, options: ClientOptions) =>
        cli.withClient(options, async (client) => showGroup(cli, await client.groups[verb]({ limit, key }), options)),
    );
  }
}

async function list(cli: Cli, options: ListOptions): Promise<void> {
  const { limit, size, all, cursor } = options;
  const query = {
    ...(limit === undefined ? {} : { limit }),
    ...(cursor === undefined ? {} : { cursor }),
    size: all === true ? 500 : size,
  };
  await cli.withClient(options, async (client) => {
    const page = await collect(client.groups.list(query), all === true ? "all" : "page");
    if (options.json === true) return cli.json(page);
    const now = cli.now();
    cli.table(
      [
        { title: "LIMIT" },
        { title: "KEY" },
        { title: "ACTIVE", align: "right" },
        { title: "MAX", align: "right" },
        { title: "WAITING", align: "right" },
        { title: "OLDEST WAITS SINCE" },
        { title: "STRATEGY" },
        { title: "STATE" },
      ],
      page.items.map((group) => [
        group.limit,
        cut(group.key, 40),
        group.active,
        group.overridden === true ? `${group.maxRuns}*` : group.maxRuns,
        group.waiting,
        formatAge(group.oldestWaitingAt, now),
        group.strategy,
        stateOf(group),
      ]),
      "no groups: no key has active or waiting runs",
    );
    if (page.items.some((group) => group.overridden === true))
      cli.say(cli.paint("dim", "*: a limit of its own (sluice groups set)"));
    if (page.next !== undefined) cli.say(cli.paint("dim", `more: --all, or --cursor ${page.next}`));
  });
}

function showGroup(cli: Cli, group: GroupView, options: ClientOptions): void {
  if (options.json === true) return cli.json(group);
  cli.details([
    ["limit", group.limit],
    ["key", { text: group.key, style: "bold" }],
    ["strategy", group.strategy],
    ["max runs", group.overridden === true ? `${group.maxRuns} (of its own)` : group.maxRuns],
    ["state", stateOf(group)],
    ["active", `${group.active}${group.stopping === 0 ? "" : ` (${group.stopping} stopping)`}`],
    ["waiting", group.waiting],
    [
      "oldest waits",
      group.oldestWaitingAt === undefined
        ? undefined
        : `since ${group.oldestWaitingAt} (${formatAge(group.oldestWaitingAt, cli.now())})`,
    ],
    ["active runs", firstOf(group.activeRuns, group.active)],
    ["waiting runs", firstOf(group.waitingRuns, group.waiting)],
  ]);
}

function stateOf(group: GroupView): string {
  return group.paused ? "paused" : group.stopping > 0 ? `${group.stopping} stopping` : "";
}

function firstOf(ids: readonly string[], count: number): string {
  const shown = ids.slice(0, 10);
  return `${shown.join(", ")}${count > shown.length ? ` and ${count - shown.length} more` : ""}`;
}
