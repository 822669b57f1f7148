/**
 * The environment variables that the command line knows. The one file of Sluice that reads `process.env` for settings; an
 * option on the command line always comes first.
 */
import type { ConnectionOptions } from "../nats/connection.ts";
import { UsageError } from "./cli-error.ts";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type NatsLogin = Pick<ConnectionOptions, "user" | "pass" | "token" | "creds" | "tls" | "inboxPrefix">;

export interface Environment {
  /** `SLUICE_NATS_URL`: a NATS server that already runs. */
  readonly natsUrl: string | undefined;
  /**
   * Who to be on the NATS server that was named, and how to reach it: `SLUICE_NATS_USER` with `SLUICE_NATS_PASSWORD`, `SLUICE_NATS_TOKEN` or
   * `SLUICE_NATS_CREDS` (a file); `SLUICE_NATS_CA`, `SLUICE_NATS_CERT` and `SLUICE_NATS_KEY` (files); `SLUICE_NATS_INBOX_PREFIX`.
   */
  readonly natsLogin: NatsLogin;
  /** `SLUICE_PREFIX`: what all subjects of the cluster begin with. */
  readonly prefix: string | undefined;
  /** `SLUICE_DASHBOARD_URL`: where the dashboard is. */
  readonly dashboardUrl: string | undefined;
  /** `SLUICE_DASHBOARD_PASSWORD`: what the dashboard that is served asks for. */
  readonly dashboardPassword: string | undefined;
  /** `SLUICE_LOG_LEVEL` */
  readonly logLevel: LogLevel | undefined;
  /** `NO_COLOR` is set to something, or the terminal is a dumb one. */
  readonly noColor: boolean;
  /** Everything, for programs that are started. */
  readonly all: NodeJS.ProcessEnv;
}

/** @throws UsageError where a variable holds what it cannot */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): Environment {
  const text = (name: string): string | undefined => {
    const value = env[name]?.trim();
    return value === undefined || value === "" ? undefined : value;
  };
  const logLevel = text("SLUICE_LOG_LEVEL");
  if (logLevel !== undefined && !isLogLevel(logLevel)) {
    throw new UsageError(`expected SLUICE_LOG_LEVEL to be one of ${LOG_LEVELS.join(", ")}, got ${JSON.stringify(logLevel)}`);
  }
  const prefix = text("SLUICE_PREFIX");
  if (prefix !== undefined && !isPrefix(prefix)) {
    throw new UsageError(`expected SLUICE_PREFIX to be ${PREFIX_EXPECTED}, got ${JSON.stringify(prefix)}`);
  }
  const dashboardUrl = text("SLUICE_DASHBOARD_URL");
  if (dashboardUrl !== undefined && !isHttpUrl(dashboardUrl)) {
    throw new UsageError(`expected SLUICE_DASHBOARD_URL to be ${HTTP_URL_EXPECTED}, got ${JSON.stringify(dashboardUrl)}`);
  }
  return {
    natsUrl: text("SLUICE_NATS_URL"),
    natsLogin: readLogin(env, text),
    prefix,
    dashboardUrl,
    // As it is: a password may begin or end with a blank.
    dashboardPassword: env["SLUICE_DASHBOARD_PASSWORD"] || undefined,
    logLevel,
    noColor: text("NO_COLOR") !== undefined || env["TERM"] === "dumb",
    all: env,
  };
}

function readLogin(env: NodeJS.ProcessEnv, text: (name: string) => string | undefined): NatsLogin {
  const files = { caFile: text("SLUICE_NATS_CA"), certFile: text("SLUICE_NATS_CERT"), keyFile: text("SLUICE_NATS_KEY") };
  if ((files.certFile === undefined) !== (files.keyFile === undefined))
    throw new UsageError("expected SLUICE_NATS_CERT and SLUICE_NATS_KEY together, got one of them");
  const login = {
    user: text("SLUICE_NATS_USER"),
    // As it is: a password may begin or end with a blank.
    pass: env["SLUICE_NATS_PASSWORD"] || undefined,
    token: text("SLUICE_NATS_TOKEN"),
    creds: text("SLUICE_NATS_CREDS"),
    inboxPrefix: text("SLUICE_NATS_INBOX_PREFIX"),
  };
  return given({ ...login, ...(Object.values(files).some((file) => file !== undefined) && { tls: given(files) }) });
}

/** Without what is undefined. */
function given<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

export const PREFIX_EXPECTED = 'letters, digits, "-" and "_"';

export function isPrefix(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(text);
}

export const HTTP_URL_EXPECTED = "an address such as http://127.0.0.1:7788";

export function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

export function isLogLevel(text: string): text is LogLevel {
  return (LOG_LEVELS as readonly string[]).includes(text);
}
