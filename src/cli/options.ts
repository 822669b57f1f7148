/** Options and arguments that several commands share, and how their texts are read. */
import { InvalidArgumentError, Option, type Command } from "commander";
import { DURATION_EXPECTED, readDuration } from "../workflow/duration.ts";
import type { RunStatus } from "../protocol/view.ts";
import { isLogLevel, isPrefix, LOG_LEVELS, PREFIX_EXPECTED, type LogLevel } from "./environment.ts";

/** For every command that talks to a cluster. */
export function withTarget(command: Command): Command {
  return command
    .option(
      "--nats <url>",
      "the NATS server (several: commas between them); default: SLUICE_NATS_URL, else the one of `sluice dev`",
      readText,
    )
    .option("--prefix <prefix>", "the cluster's prefix; default: SLUICE_PREFIX, else sluice", readPrefix);
}

/** For every command that asks an engine and prints what it says. */
export function withClient(command: Command): Command {
  return withTarget(command)
    .option("--json", "print JSON")
    .option("--timeout <duration>", "how long to wait for NATS and the engine (default: 5s)", readDurationOption)
    .addOption(withLogLevel());
}

export function withLogLevel(): Option {
  return new Option("--log-level <level>", `${LOG_LEVELS.join(", ")}; default: SLUICE_LOG_LEVEL`).argParser(readLogLevel);
}

export function readDurationOption(text: string): number {
  const ms = readDuration(/^\d+$/.test(text) ? Number(text) : text);
  if (ms === undefined) throw new InvalidArgumentError(`Expected ${DURATION_EXPECTED}.`);
  return ms;
}

export function readInteger(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(
      max === Number.MAX_SAFE_INTEGER ? `Expected an integer of at least ${min}.` : `Expected an integer from ${min} to ${max}.`,
    );
  };
}

/** What an event's header may hold, and so what runs started otherwise may have. */
export const readPriority = readInteger(-1_000_000, 1_000_000);

const STATUSES: readonly RunStatus[] = ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"];

/** Called for each of the values; also takes them with commas between. */
export function readStatuses(text: string, before: readonly RunStatus[] = []): readonly RunStatus[] {
  const statuses = text.split(",").map((one) => one.trim().toUpperCase());
  const wrong = statuses.find((one) => !(STATUSES as readonly string[]).includes(one));
  if (wrong !== undefined) throw new InvalidArgumentError(`Expected one of ${STATUSES.join(", ")}.`);
  return [...before, ...(statuses as RunStatus[])];
}

/** A JSON object, for metadata. */
export function readJsonObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The same message, whatever it is instead.
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new InvalidArgumentError('Expected a JSON object such as {"source": "import"}.');
  return value as Record<string, unknown>;
}

/** A point in time as ISO 8601 text: a date, or how long ago. */
export function readTime(text: string): string {
  const agoMs = readDuration(text);
  const time = agoMs === undefined ? Date.parse(text) : Date.now() - agoMs;
  if (Number.isNaN(time))
    throw new InvalidArgumentError('Expected how long ago, such as "15m", or a time such as "2026-01-31T12:00:00Z".');
  return new Date(time).toISOString();
}

function readText(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Expected an address such as nats://127.0.0.1:4222.");
  return text;
}

function readPrefix(text: string): string {
  if (!isPrefix(text)) throw new InvalidArgumentError(`Expected ${PREFIX_EXPECTED}.`);
  return text;
}

function readLogLevel(text: string): LogLevel {
  if (!isLogLevel(text)) throw new InvalidArgumentError(`Expected one of ${LOG_LEVELS.join(", ")}.`);
  return text;
}
