/** `sluice inspect`: the address of a run's or a group's page in the dashboard, opened in a browser. */
import { InvalidArgumentError, type Command } from "commander";
import type { Cli, ClientOptions } from "../cli.ts";
import { answers, findDashboard, openBrowser, pageUrl } from "../dashboard.ts";
import { HTTP_URL_EXPECTED, isHttpUrl } from "../environment.ts";
import { withClient } from "../options.ts";

interface Options extends ClientOptions {
  readonly dashboard?: string;
  readonly open: boolean;
}

export function addInspectCommand(program: Command, cli: Cli): void {
  withClient(
    program
      .command("inspect")
      .description("print the address of a run's or a group's page in the dashboard, and open it in the browser")
      .argument("<run|group>", "a run's id; or a group, as <limit>/<key> or <limit> <key>")
      .argument("[key]", "of the group"),
  )
    .option(
      "--dashboard <url>",
      "where the dashboard is; default: SLUICE_DASHBOARD_URL, else the one of `sluice dev`, else http://127.0.0.1:7788",
      readHttpUrl,
    )
    .option("--no-open", "only print it")
    .action((what: string, key: string | undefined, options: Options) => inspect(cli, readSubject(what, key), options));
}

type Subject =
  | { readonly kind: "run"; readonly run: string }
  | { readonly kind: "group"; readonly limit: string; readonly key: string };

/** Names of limits and ids of runs have no slash, so the first one parts a limit from its key. */
export function readSubject(what: string, key: string | undefined): Subject {
  if (key !== undefined) return { kind: "group", limit: what, key };
  const slash = what.indexOf("/");
  if (slash > 0 && slash < what.length - 1) return { kind: "group", limit: what.slice(0, slash), key: what.slice(slash + 1) };
  return { kind: "run", run: what };
}

async function inspect(cli: Cli, subject: Subject, options: Options): Promise<void> {
  const dashboard = await findDashboard(options.dashboard, cli.env, cli.folder);
  const idle = await cli.withClient(options, async (client) => {
    // Throws what says that there is none.
    if (subject.kind === "run") return void (await client.runs.get(subject.run));
    const { active, waiting, paused, overridden } = await client.groups.get(subject);
    return active + waiting === 0 && !paused && overridden !== true;
  });
  const url =
    subject.kind === "run"
      ? pageUrl(dashboard.url, "runs", subject.run)
      : pageUrl(dashboard.url, "groups", subject.limit, subject.key);
  if (options.json === true) {
    const { kind: _, ...parts } = subject;
    return cli.json({ url, ...parts });
  }
  cli.print(url);
  if (idle === true) cli.say(cli.paint("dim", "no active or waiting run has this key now"));
  if (cli.terminal.stdout.isTTY !== true || !options.open) return;
  if (!(await answers(dashboard.url))) cli.say(`nothing answers at ${dashboard.url} (${dashboard.origin})`);
  else if (!(await openBrowser(url, cli.env.all))) cli.say(cli.paint("dim", "open it in a browser"));
}

function readHttpUrl(text: string): string {
  if (!isHttpUrl(text)) throw new InvalidArgumentError(`Expected ${HTTP_URL_EXPECTED}.`);
  return text;
}
