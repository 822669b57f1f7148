/**
 * What every command is given: streams, environment, folder, and the few things that all of them do with these. Heavy modules
 * are loaded by the commands that need them, when they run.
 */
import type { Logger } from "pino";
import type { Client } from "../client/connect.ts";
import { CliError, errorText } from "./cli-error.ts";
import type { Environment, LogLevel } from "./environment.ts";
import { findTarget, type TargetOptions } from "./target.ts";
import { renderDetails, renderTable, type CellValue, type Column } from "./table.ts";
import { createPainter, type Painter, type Terminal } from "./terminal.ts";

export interface OutputOptions {
  readonly json?: boolean | undefined;
}

export interface ClientOptions extends TargetOptions, OutputOptions {
  readonly timeout?: number | undefined;
  readonly logLevel?: LogLevel | undefined;
}

export interface CliParts {
  readonly terminal: Terminal;
  readonly env: Environment;
  /** The folder in which the command was typed. */
  readonly folder: string;
  /** For tests: instead of a real connection. */
  readonly connect?: ((options: ClientOptions) => Promise<Client>) | undefined;
  readonly now?: (() => number) | undefined;
}

const DEFAULT_TIMEOUT_MS = 5_000;

export class Cli {
  readonly terminal: Terminal;
  readonly env: Environment;
  readonly folder: string;
  /** For standard output. */
  readonly paint: Painter;
  readonly now: () => number;
  readonly #connect: ((options: ClientOptions) => Promise<Client>) | undefined;

  constructor(parts: CliParts) {
    this.terminal = parts.terminal;
    this.env = parts.env;
    this.folder = parts.folder;
    this.paint = createPainter(parts.terminal.stdout, parts.env);
    this.now = parts.now ?? Date.now;
    this.#connect = parts.connect;
  }

  print(...lines: readonly string[]): void {
    if (lines.length > 0) this.terminal.stdout.write(`${lines.join("\n")}\n`);
  }

  /** To standard error: what is not the output itself. */
  say(...lines: readonly string[]): void {
    if (lines.length > 0) this.terminal.stderr.write(`${lines.join("\n")}\n`);
  }

  /** One line that begins with `error:`. */
  sayError(error: unknown): void {
    const paint = createPainter(this.terminal.stderr, this.env);
    this.say(`${paint("red", "error:")} ${errorText(error)}`);
  }

  json(value: unknown): void {
    this.print(JSON.stringify(value, undefined, this.terminal.stdout.isTTY === true ? 2 : undefined));
  }

  /** The table, or in its place what there is to say when it has no rows. */
  table(columns: readonly Column[], rows: readonly (readonly CellValue[])[], empty: string): void {
    if (rows.length === 0) this.say(empty);
    else this.print(...renderTable(columns, rows, this.paint));
  }

  details(entries: readonly (readonly [name: string, value: CellValue])[]): void {
    this.print(...renderDetails(entries, this.paint));
  }

  logger(level: LogLevel | undefined, fallback: LogLevel): Promise<Logger> {
    return import("./logger.ts").then(({ createLogger }) =>
      createLogger({ level: level ?? this.env.logLevel ?? fallback, stderr: this.terminal.stderr, env: this.env }),
    );
  }

  /** Runs `action` with a connected client, which is closed afterwards. */
  async withClient<T>(options: ClientOptions, action: (client: Client) => Promise<T>): Promise<T> {
    const client = await (this.#connect === undefined ? this.#connectReally(options) : this.#connect(options));
    try {
      return await action(client);
    } finally {
      await client.close();
    }
  }

  async #connectReally(options: ClientOptions): Promise<Client> {
    const [{ connect }, { isNatsUnavailableError }] = await Promise.all([import("../client/connect.ts"), import("../errors.ts")]);
    const { connection, prefix, origin } = await findTarget(options, this.env, this.folder);
    try {
      return await connect({
        ...connection,
        prefix,
        name: "sluice command line",
        timeout: options.timeout ?? DEFAULT_TIMEOUT_MS,
        logger: await this.logger(options.logLevel, "silent"),
      });
    } catch (error) {
      if (isNatsUnavailableError(error)) throw new CliError(`${error.message} (${origin})`, { cause: error });
      throw error;
    }
  }
}
