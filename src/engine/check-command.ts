/**
 * What arrives in an inbox, checked before it comes near a partition: any NATS client can publish there, and what is wrong must
 * not come to light in the midst of a decision. Written out, not a schema, since it stands in the way of every result.
 */
import type { Command, CreateCommand } from "../protocol/commands.ts";
import type { StepResult } from "../protocol/work.ts";

const OUTCOMES: ReadonlySet<unknown> = new Set<StepResult["outcome"]>(["succeeded", "failed", "stopped", "returned"]);
/** They become a token of a subject. */
const RUN_ID = /^[A-Za-z0-9_-]{1,128}$/;
const SOURCE = /^(?:events|p\d{1,6})$/;
/** The last ms that a Date can hold. */
const MAX_TIME_MS = 8_640_000_000_000_000;

/** Throws a TypeError that says what was expected, for what is no command. */
export function checkCommand(value: unknown): asserts value is Command {
  if (!isObject(value)) throw new TypeError("expected a command object");
  const command = value as unknown as Command;
  switch (command.type) {
    case "results":
      if (!Array.isArray(command.results)) throw new TypeError("expected results to be a list");
      for (const result of command.results as unknown[]) checkResult(result);
      return;
    case "create":
      checkCreate(value);
      return;
    case "transfer":
      checkTransfer(value);
      return;
    case "cancel":
      expectText(value, "run");
      if (value["reason"] !== undefined) expectText(value, "reason");
      return;
    case "group":
      expectText(value, "limit");
      expectText(value, "key");
      if (
        command.maxRuns !== undefined &&
        command.maxRuns !== null &&
        (!Number.isInteger(command.maxRuns) || command.maxRuns < 1)
      )
        throw new TypeError("expected 'maxRuns' to be an integer of at least 1, or null");
      if (command.paused !== undefined && typeof command.paused !== "boolean")
        throw new TypeError("expected 'paused' to be true or false");
      return;
    default:
      throw new TypeError(
        `expected a command of type results, create, cancel, group or transfer, got ${JSON.stringify((command as { type?: unknown }).type)}`,
      );
  }
}

function checkResult(result: unknown): void {
  if (!isObject(result)) throw new TypeError("expected each result to be an object");
  const { run, step, attemptId, outcome, error, startedAt, finishedAt } = result;
  if (typeof run !== "string" || typeof step !== "string" || typeof attemptId !== "string" || !OUTCOMES.has(outcome))
    throw new TypeError("expected each result to have run, step, attemptId and outcome");
  if (outcome === "failed" && !isError(error))
    throw new TypeError("expected each failed result to have an error with name and message");
  if ((startedAt !== undefined && !isTime(startedAt)) || (finishedAt !== undefined && !isTime(finishedAt)))
    throw new TypeError("expected the times of each result to be in ms since 1970");
}

function checkCreate(command: Record<string, unknown>): void {
  const { run, priority, metadata, keys, inputRef } = command;
  if (typeof run !== "string" || !RUN_ID.test(run))
    throw new TypeError('expected \'run\' to be 1 to 128 letters, digits, "-" and "_"');
  expectText(command, "workflow");
  expectText(command, "version");
  if (priority !== undefined && (typeof priority !== "number" || !Number.isFinite(priority)))
    throw new TypeError("expected 'priority' to be a number");
  if (metadata !== undefined && !isObject(metadata)) throw new TypeError("expected 'metadata' to be an object");
  if (keys !== undefined && !(Array.isArray(keys) && keys.every((key) => typeof key === "string")))
    throw new TypeError("expected 'keys' to be a list of texts");
  if (
    inputRef !== undefined &&
    (!isObject(inputRef) || typeof inputRef["stream"] !== "string" || !Number.isSafeInteger(inputRef["seq"]))
  )
    throw new TypeError("expected 'inputRef' to have a stream and a seq");
  for (const name of ["createdAt", "notBefore"] as const satisfies readonly (keyof CreateCommand)[])
    if (command[name] !== undefined && !isTime(command[name]))
      throw new TypeError(`expected '${name}' to be a time in ms since 1970`);
  for (const name of ["replayOf", "traceparent"] as const satisfies readonly (keyof CreateCommand)[])
    if (command[name] !== undefined) expectText(command, name);
}

function checkTransfer({ source, items }: Record<string, unknown>): void {
  if (typeof source !== "string" || !SOURCE.test(source)) throw new TypeError("expected 'source' to be events or p<number>");
  if (!Array.isArray(items) || items.length === 0) throw new TypeError("expected 'items' to be a list that is not empty");
  for (const item of items as unknown[]) {
    if (!isObject(item) || !isPosition(item["position"]) || !isObject(item["run"]))
      throw new TypeError("expected each item to have a position and a run");
    const { run } = item;
    checkCreate(run);
    const { input, event, createdAt, failure } = run;
    if (input !== undefined && typeof input !== "string")
      throw new TypeError("expected the 'input' of a run to be JSON as a text");
    if (createdAt === undefined) throw new TypeError("expected each run to have a createdAt");
    if (event !== undefined && (!isObject(event) || typeof event["name"] !== "string" || !Number.isSafeInteger(event["seq"])))
      throw new TypeError("expected 'event' to have a name and a seq");
    if (failure !== undefined && !isError(failure)) throw new TypeError("expected 'failure' to have a name and a message");
  }
}

function isError(value: unknown): boolean {
  return isObject(value) && typeof value["name"] === "string" && typeof value["message"] === "string";
}

function isPosition(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every((part) => Number.isSafeInteger(part) && part >= 0);
}

function expectText(command: Record<string, unknown>, name: string): void {
  if (typeof command[name] !== "string" || command[name] === "") throw new TypeError(`expected '${name}' to be a text`);
}

function isTime(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= MAX_TIME_MS;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
