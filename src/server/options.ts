/** The options of a dashboard: what users may write, and what it works with. */
import type { Logger } from "pino";
import { OptionsError } from "../errors.ts";
import { connectionOptionsShape, loggerOption, type ConnectionOptions } from "../nats/connection.ts";
import { DEFAULT_PREFIX, prefixOption } from "../nats/subjects.ts";
import { integerOption, optionOf, optionsOf, parseOptionsOf } from "../workflow/parse-options.ts";
import { isLoopback } from "./access.ts";
import type { DashboardEngine } from "./source.ts";

export interface DashboardOptions extends ConnectionOptions {
  /** The engine node of this process, which is asked directly while it owns. Without one, whoever owns is asked over NATS. */
  readonly engine?: DashboardEngine | undefined;
  /** Shown on the page. Default: the engine's name, or the host's. */
  readonly name?: string | undefined;
  /** The cluster's prefix. Default `sluice`. */
  readonly prefix?: string | undefined;
  /** Where it listens; 0 picks a free port. Default 7788, or the next free one. */
  readonly port?: number | undefined;
  /** The address it is bound to. Default `127.0.0.1`. Any other than this machine's own asks for a `password`. */
  readonly host?: string | undefined;
  /** Asked for by HTTP Basic (with any user name), or as a Bearer token. Default: none, which only this machine's own addresses allow. */
  readonly password?: string | undefined;
  /** Names under which it is reached besides `localhost` and its address: behind a proxy, or in a network. Requests for others are refused. */
  readonly allowHosts?: readonly string[] | undefined;
  /** It shows and changes nothing. Default false. */
  readonly readOnly?: boolean | undefined;
  /**
   * Fields whose values are not shown, in what runs and events hold: by name, at any depth, or by path from the root of an input
   * or output (`card.number`). In place of the default: `password`, `token`, `secret`, `authorization`. `[]` shows all.
   */
  readonly redact?: readonly string[] | undefined;
  /** Pages, as origins (`https://app.example`), that may connect to `/inspect` besides those of this machine. */
  readonly inspectOrigins?: readonly string[] | undefined;
  /** Programs on other machines may connect to `/inspect`. Default false. */
  readonly inspectRemote?: boolean | undefined;
  /** The folder of the built page. Default: the one of this package. */
  readonly uiDir?: string | undefined;
  /** A pino logger. Default: one that writes lines of level `warn` to standard error. */
  readonly logger?: Logger | undefined;
}

const text = optionOf("a non-empty text", (value): value is string => typeof value === "string" && value !== "").optional();
const flag = optionOf("true or false", (value): value is boolean => typeof value === "boolean").optional();
const texts = optionOf(
  "a list of non-empty texts",
  (value): value is readonly string[] =>
    Array.isArray(value) && value.every((one: unknown) => typeof one === "string" && one !== ""),
).optional();

const schema = optionsOf(
  {
    ...connectionOptionsShape,
    engine: optionOf(
      "an engine node, as startEngine gives it",
      (value): value is DashboardEngine => typeof value === "object" && value !== null && "call" in value && "stats" in value,
    ).optional(),
    name: text,
    prefix: prefixOption,
    port: integerOption(0, 65_535).optional(),
    host: text,
    password: text,
    allowHosts: texts,
    readOnly: flag,
    redact: texts,
    inspectOrigins: texts,
    inspectRemote: flag,
    uiDir: text,
    logger: loggerOption,
  },
  { servers: ["url", "nats", "server"], port: ["dashboardPort"], host: ["dashboardHost", "hostname"], readOnly: ["readonly"] },
);

export interface DashboardSettings {
  readonly connection: ConnectionOptions;
  readonly engine: DashboardEngine | undefined;
  readonly name: string | undefined;
  readonly prefix: string;
  /** Undefined: the usual one, or the next that is free. */
  readonly port: number | undefined;
  readonly host: string;
  readonly password: string | undefined;
  readonly allowHosts: readonly string[];
  readonly readOnly: boolean;
  readonly redact: readonly string[] | undefined;
  readonly inspectOrigins: readonly string[];
  readonly inspectRemote: boolean;
  readonly uiDir: string | undefined;
  readonly logger: Logger | undefined;
}

/** Checks the options and fills in the defaults. @throws OptionsError (`OPTIONS_INVALID`) */
export function parseDashboardOptions(options: DashboardOptions): DashboardSettings {
  const {
    engine,
    name,
    prefix = DEFAULT_PREFIX,
    port,
    host = "127.0.0.1",
    password,
    allowHosts = [],
    readOnly = false,
    redact,
    inspectOrigins = [],
    inspectRemote = false,
    uiDir,
    logger,
    ...connection
  } = parseOptionsOf(schema, options, "startDashboard");
  const expected = `a password, since it is reached from other machines at ${host}`;
  if (password === undefined && !isLoopback(host))
    throw new OptionsError(
      `expected 'password' to be ${expected} (--dashboard-password, or SLUICE_DASHBOARD_PASSWORD); got nothing (startDashboard)`,
      { path: "password", expected, received: undefined },
    );
  return {
    connection,
    engine,
    name,
    prefix,
    port,
    host: host.replace(/^\[(.*)\]$/, "$1"),
    password,
    allowHosts,
    readOnly,
    redact,
    inspectOrigins,
    inspectRemote,
    uiDir,
    logger,
  };
}
