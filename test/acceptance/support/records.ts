/**
 * What handlers saw of themselves: one line per start and end of an execution, on the machine's monotonic clock, in a file that
 * all processes of a test append to. Written synchronously, so that a `kill -9` loses nothing. Used by workflow files (which
 * write) and by tests (which read); it knows nothing of either.
 */
import { openSync, readFileSync, writeSync } from "node:fs";

/** Where workflow files write; set by the test for the workers that it starts. */
export const RECORDS_VARIABLE = "SLUICE_TEST_RECORDS";

export interface HandlerRecord {
  readonly what: "start" | "end";
  /** In ms. Since the machine booted, so comparable between processes. */
  readonly at: number;
  readonly pid: number;
  readonly workflow: string;
  readonly run: string;
  readonly step: string;
  readonly attempt: number;
  readonly attemptId: string;
  readonly keys: readonly string[];
  /** The sequence of the event that started the run. */
  readonly seq?: number;
  /** What the test gave its event or run, to know it again. */
  readonly n?: number;
  /** Of an end. */
  readonly outcome?: "returned" | "threw";
  /** Of an end: whether the signal was aborted by then, and why. */
  readonly aborted?: string;
}

/** The machine's monotonic clock, in ms. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

let file: number | undefined;

/** Appends one record. Small and in append mode, so lines of several processes never mix. */
export function record(entry: HandlerRecord): void {
  const path = process.env[RECORDS_VARIABLE];
  if (path === undefined) throw new Error(`${RECORDS_VARIABLE} is not set`);
  file ??= openSync(path, "a");
  writeSync(file, `${JSON.stringify(entry)}\n`);
}

/** All records so far, in the order of their times. */
export function readRecords(path: string): HandlerRecord[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as HandlerRecord)
    .sort((a, b) => a.at - b.at);
}
