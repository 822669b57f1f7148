/** `sluice top`: the health of the whole and the most pressed groups, each second anew; piped, once. */
import type { Command } from "commander";
import type { Client } from "../../client/connect.ts";
import type { GroupView } from "../../protocol/view.ts";
import { errorText } from "../cli-error.ts";
import type { Cli, ClientOptions } from "../cli.ts";
import { showLive, type LiveControls } from "../live-view.ts";
import type { Key } from "../live-screen.ts";
import { readInteger, withClient } from "../options.ts";
import { renderTop, renderTopScreen, type Top } from "../top-screen.ts";

interface Options extends ClientOptions {
  readonly limit?: string;
  readonly size: number;
}

const TIMES = { everyMs: 1_000, atMostEveryMs: 200 };
const PAGE_ROWS = 10;

export function addTopCommand(program: Command, cli: Cli): void {
  withClient(program.command("top").description("the most pressed groups, live: slots, waiting runs, waits, rates"))
    .option("--limit <name>", "only keys of this limit")
    .option("-n, --size <count>", "at most so many", readInteger(1, 1_000), 100)
    .action((options: Options) =>
      cli.withClient(options, async (client) => {
        if (cli.terminal.stdout.isTTY === true && options.json !== true) return await new LiveTop(cli, client, options).show();
        const top = await ask(client, options);
        if (options.json === true) cli.json({ health: top.health, items: top.groups, total: top.total });
        else cli.print(...renderTop(top, cli.now(), cli.paint));
      }),
    );
}

async function ask(client: Client, { limit, size }: Options): Promise<Top> {
  const [health, page] = await Promise.all([
    client.health(),
    client.groups.list({ size, ...(limit === undefined ? {} : { limit }) }),
  ]);
  // Older engines do not say how many there are.
  const { total = page.items.length } = page as { readonly total?: number };
  return { health, groups: page.items, total };
}

class LiveTop {
  readonly #cli: Cli;
  readonly #client: Client;
  readonly #options: Options;
  #top: Top | undefined;
  #problem: string | undefined;
  #message: string | undefined;
  /** The chosen group stays chosen where others pass it. */
  #chosen: Pick<GroupView, "limit" | "key"> | undefined;
  #controls: LiveControls | undefined;

  constructor(cli: Cli, client: Client, options: Options) {
    this.#cli = cli;
    this.#client = client;
    this.#options = options;
  }

  async show(): Promise<void> {
    await showLive(
      this.#cli.terminal,
      {
        render: (columns, rows) =>
          renderTopScreen(
            {
              top: this.#top,
              selected: this.#selected,
              problem: this.#problem,
              message: this.#message,
              now: this.#cli.now(),
            },
            { columns, rows },
            this.#cli.paint,
          ),
        refresh: () => this.#refresh(),
        onKey: (key) => this.#onKey(key),
      },
      TIMES,
      (controls) => {
        this.#controls = controls;
        return undefined;
      },
    );
  }

  get #groups(): readonly GroupView[] {
    return this.#top?.groups ?? [];
  }

  get #selected(): number {
    const chosen = this.#chosen;
    if (chosen === undefined) return 0;
    return Math.max(
      0,
      this.#groups.findIndex(({ limit, key }) => limit === chosen.limit && key === chosen.key),
    );
  }

  async #refresh(): Promise<void> {
    try {
      this.#top = await ask(this.#client, this.#options);
      this.#problem = undefined;
    } catch (error) {
      this.#problem = errorText(error);
    }
  }

  #onKey(key: Key): void {
    switch (key) {
      case "up":
      case "k":
        return this.#choose(this.#selected - 1);
      case "down":
      case "j":
        return this.#choose(this.#selected + 1);
      case "page-up":
        return this.#choose(this.#selected - PAGE_ROWS);
      case "page-down":
        return this.#choose(this.#selected + PAGE_ROWS);
      case "home":
        return this.#choose(0);
      case "end":
        return this.#choose(Infinity);
      case "p":
        return void this.#pauseOrResume();
      default:
        return undefined; // no key of ours
    }
  }

  #choose(index: number): void {
    const group = this.#groups[Math.min(this.#groups.length - 1, Math.max(0, index))];
    if (group === undefined) return;
    this.#chosen = { limit: group.limit, key: group.key };
    this.#message = undefined;
    this.#controls?.redraw();
  }

  async #pauseOrResume(): Promise<void> {
    const group = this.#groups[this.#selected];
    if (group === undefined) return;
    const { limit, key } = group;
    this.#chosen = { limit, key };
    try {
      const changed = await this.#client.groups[group.paused ? "resume" : "pause"]({ limit, key });
      const { paused } = changed;
      // At once, so that the same key pressed again means the opposite.
      if (this.#top !== undefined)
        this.#top = { ...this.#top, groups: this.#groups.map((one) => (one.limit === limit && one.key === key ? changed : one)) };
      this.#message = `${limit}/${key} is ${paused ? "paused: nothing more is admitted" : "resumed"}`;
    } catch (error) {
      this.#message = this.#cli.paint("red", errorText(error));
    }
    this.#controls?.redraw();
    this.#controls?.refreshSoon();
  }
}
