/** The options of the dashboard, for the commands that serve it. */
import { InvalidArgumentError, type Command } from "commander";
import type { DashboardEngine, DashboardOptions } from "../server/index.ts";
import { UsageError } from "./cli-error.ts";
import type { Environment } from "./environment.ts";

export interface DashboardCommandOptions {
  /** False by `--no-dashboard`. */
  readonly dashboard?: boolean;
  readonly dashboardPort?: number | "off";
  readonly dashboardHost?: string;
  readonly dashboardPassword?: string;
  readonly dashboardAllowHost?: readonly string[];
  readonly readOnly?: boolean;
  readonly redact?: readonly string[];
  readonly inspectOrigin?: readonly string[];
  readonly inspectRemote?: boolean;
}

export function withDashboard(command: Command): Command {
  return command
    .option(
      "--dashboard-port <port>",
      "where the dashboard listens (default: 7788, or the next free one; 0 takes any, off serves none)",
      readPort,
    )
    .option("--no-dashboard", "serve no dashboard")
    .option(
      "--dashboard-host <address>",
      "the address it is bound to (default: 127.0.0.1); any other asks for a password",
      readWord,
    )
    .option(
      "--dashboard-password <password>",
      "asked for by the dashboard; better in SLUICE_DASHBOARD_PASSWORD, since others on this machine can see command lines",
      readWord,
    )
    .option(
      "--dashboard-allow-host <names>",
      "names under which the dashboard is reached besides localhost and its address, with commas between",
      readWords,
    )
    .option("--read-only", "the dashboard shows and changes nothing")
    .option(
      "--redact <fields>",
      "fields (with commas between) that are never shown or kept in the history: names, or paths such as card.number; none: nothing is hidden (default: password, token, secret, authorization)",
      readWords,
    )
    .option(
      "--inspect-origin <origins>",
      "pages besides those of this machine that may connect to /inspect, such as https://app.example; with commas between",
      readOrigins,
    )
    .option("--inspect-remote", "programs on other machines may connect to /inspect");
}

/** Fields to be hidden, in place of the default; undefined for the default. */
export function redactOf({ redact }: DashboardCommandOptions): readonly string[] | undefined {
  return redact?.length === 1 && redact[0] === "none" ? [] : redact;
}

/** What `startDashboard` is given, but for what the command knows better; undefined: there shall be none. */
export function dashboardOptions(
  options: DashboardCommandOptions,
  env: Environment,
  engine: DashboardEngine,
): Omit<DashboardOptions, "servers" | "prefix" | "logger"> | undefined {
  const { dashboard, dashboardPort, dashboardHost, dashboardAllowHost, readOnly } = options;
  if (dashboard === false || dashboardPort === "off") {
    if (typeof dashboardPort === "number") throw new UsageError("--no-dashboard and --dashboard-port exclude each other");
    return undefined;
  }
  return {
    engine,
    port: dashboardPort,
    host: dashboardHost,
    password: options.dashboardPassword ?? env.dashboardPassword,
    allowHosts: dashboardAllowHost,
    readOnly,
    redact: redactOf(options),
    inspectOrigins: options.inspectOrigin,
    inspectRemote: options.inspectRemote,
  };
}

function readPort(text: string): number | "off" {
  if (text === "off") return text;
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError("Expected an integer from 0 to 65535, or off.");
}

function readWord(text: string): string {
  if (text === "") throw new InvalidArgumentError("Expected something.");
  return text;
}

function readOrigins(text: string, before: readonly string[] = []): readonly string[] {
  const origins = readWords(text);
  if (origins.some((origin) => !URL.canParse(origin) || new URL(origin).origin !== origin))
    throw new InvalidArgumentError("Expected an origin such as https://app.example, without a path.");
  return [...before, ...origins];
}

/** Called for each time that the option is given. One value could not take several words: those after it are files. */
function readWords(text: string, before: readonly string[] = []): readonly string[] {
  const words = text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
  return [...before, ...words];
}
