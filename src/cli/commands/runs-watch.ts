/**
 * `sluice runs watch`: the newest runs as they change. On a terminal a list that stays in its place; elsewhere one line per
 * change, from when it says so on standard error.
 */
import type { Command } from "commander";
import type { Client } from "../../client/connect.ts";
import { isRunNotFoundError } from "../../errors.ts";
import type { RunChangeMessage, RunListQuery, RunStatus, RunView } from "../../protocol/view.ts";
import { errorText } from "../cli-error.ts";
import type { Cli, ClientOptions } from "../cli.ts";
import { showLive } from "../live-view.ts";
import { readStatuses, withClient } from "../options.ts";
import { renderRunsScreen } from "../runs-screen.ts";
import { onStopSignals, exitCodeOf } from "../signals.ts";
import { oneLine } from "../terminal.ts";
import { inOrder } from "./in-order.ts";
import { changeText } from "./run.ts";

interface WatchOptions extends ClientOptions {
  readonly status?: readonly RunStatus[];
  readonly workflow?: string;
  readonly limit?: string;
  readonly key?: string;
}

/** A list is asked for again after changes, at most so often; without any, so that nothing stays wrong for long. */
const TIMES = { everyMs: 1_000, atMostEveryMs: 250 };
const MAX_ROWS = 200;
/** Questions about runs that are under way at once. */
const IN_FLIGHT = 64;
/** Runs whose keys are remembered. */
const REMEMBERED = 10_000;

export function addRunsWatchCommand(runs: Command, cli: Cli): void {
  withClient(runs.command("watch").description("the newest runs as they change, until q or Ctrl-C; piped, a line per change"))
    .option("--status <status...>", "only runs in these statuses: queued, running, succeeded, failed, cancelled", readStatuses)
    .option("--workflow <name>", "only runs of this workflow")
    .option("--limit <name>", "only runs under this concurrency limit")
    .option("--key <key>", "only runs with this concurrency key")
    .action((options: WatchOptions) =>
      cli.withClient(options, (client) =>
        cli.terminal.stdout.isTTY === true && options.json !== true
          ? watchOnScreen(cli, client, options)
          : printChanges(cli, client, options),
      ),
    );
}

async function watchOnScreen(cli: Cli, client: Client, options: WatchOptions): Promise<void> {
  const query = { ...queryOf(options), size: Math.min(MAX_ROWS, Math.max(1, cli.terminal.stdout.rows || 50)) };
  let runs: readonly RunView[] | undefined;
  let problem: string | undefined;
  await showLive(
    cli.terminal,
    {
      render: (columns, rows) =>
        renderRunsScreen({ runs, problem, filter: filterText(options), now: cli.now() }, { columns, rows }, cli.paint),
      refresh: async () => {
        try {
          runs = (await client.runs.list(query)).items;
          problem = undefined;
        } catch (error) {
          problem = errorText(error);
        }
      },
    },
    TIMES,
    ({ refreshSoon }) => client.runs.watch({ change: refreshSoon, missed: refreshSoon }, { workflow: options.workflow }),
  );
}

async function printChanges(cli: Cli, client: Client, options: WatchOptions): Promise<void> {
  const signals = onStopSignals((signal) => process.exit(exitCodeOf(signal)));
  const changes = new Queue<RunChangeMessage>();
  const stop = client.runs.watch(
    {
      change: (change) => changes.add(change),
      missed: () => cli.say("reconnected: some changes may be missing"),
    },
    { workflow: options.workflow },
  );
  // Over the same connection: when this is answered, the subscription before it holds.
  await client.runs.list({ size: 1 });
  cli.say(`watching ${filterText(options) ?? "all runs"}; Ctrl-C ends it`);
  void signals.first.then(() => changes.end());
  try {
    const belongs = createKeyFilter(client, options);
    const wanted = inOrder(changes, IN_FLIGHT, async (change) => ((await belongs(change)) ? change : undefined));
    for await (const change of wanted) {
      if (change === undefined) continue;
      if (options.json === true) cli.terminal.stdout.write(`${JSON.stringify(change)}\n`);
      else cli.print(`${change.at}  ${oneLine(change.id)}  ${oneLine(change.workflow)}  ${changeText(change)}`);
    }
  } finally {
    stop();
    signals.dispose();
  }
}

/** Changes name a run's workflow and status, but not its keys: these are asked for, once per run. */
function createKeyFilter(client: Client, { status, limit, key }: WatchOptions): (change: RunChangeMessage) => Promise<boolean> {
  const known = new Map<string, Promise<boolean>>();
  const ask = async (id: string): Promise<boolean> => {
    try {
      const { keys } = await client.runs.get(id);
      return keys.some((one) => (limit === undefined || one.limit === limit) && (key === undefined || one.key === key));
    } catch (error) {
      if (isRunNotFoundError(error)) return false;
      throw error;
    }
  };
  return async (change) => {
    if (status !== undefined && !status.includes(change.status)) return false;
    if (limit === undefined && key === undefined) return true;
    const belongs = known.get(change.id) ?? ask(change.id);
    known.set(change.id, belongs);
    if (known.size > REMEMBERED) known.delete(known.keys().next().value as string);
    try {
      return await belongs;
    } catch {
      // An engine that is away for a moment: better a line too many, and asked again at the next change.
      known.delete(change.id);
      return true;
    }
  };
}

function queryOf({ status, workflow, limit, key }: WatchOptions): RunListQuery {
  return {
    ...(status === undefined ? {} : { status }),
    ...(workflow === undefined ? {} : { workflow }),
    ...(limit === undefined ? {} : { limit }),
    ...(key === undefined ? {} : { key }),
  };
}

function filterText({ status, workflow, limit, key }: WatchOptions): string | undefined {
  const parts = [
    status === undefined ? undefined : `status ${status.join(", ").toLowerCase()}`,
    workflow === undefined ? undefined : `workflow ${workflow}`,
    limit === undefined ? undefined : `limit ${limit}`,
    key === undefined ? undefined : `key ${key}`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : oneLine(`runs with ${parts.join(", ")}`);
}

/** What comes from one side, for another that goes through it. */
class Queue<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #ended = false;
  #wake: () => void = () => undefined;

  add(item: T): void {
    this.#items.push(item);
    this.#wake();
  }

  /** What has come is still given. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      // All at once: taking from the front of a long array one by one would be slow.
      yield* this.#items.splice(0);
      if (this.#items.length > 0) continue;
      if (this.#ended) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
