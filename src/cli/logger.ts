/** The logs of the command line: pretty on a terminal, JSON lines elsewhere, always on standard error. */
import type { Logger } from "pino";
import type { Environment, LogLevel } from "./environment.ts";
import type { OutputStream } from "./terminal.ts";

export async function createLogger(options: {
  readonly level: LogLevel;
  readonly stderr: OutputStream;
  readonly env: Environment;
}): Promise<Logger> {
  const { pino } = await import("pino");
  const { level, stderr, env } = options;
  if (stderr.isTTY !== true) return pino({ level }, stderr === process.stderr ? pino.destination(2) : stderr);
  const { default: pretty } = await import("pino-pretty");
  const stream = pretty({
    colorize: !env.noColor,
    translateTime: "SYS:HH:MM:ss.l",
    ignore: "pid,hostname,component,worker,node",
    singleLine: true,
    destination: stderr,
    sync: true,
  });
  return pino({ level }, stream);
}
