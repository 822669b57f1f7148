/**
 * Checks of cron expressions and time zones, for definitions and schedules. When one is due is the engine's business.
 */
import { Cron } from "croner";

/** What is wrong with a cron expression (five fields, or six with seconds first, or `@daily` and the like), or `undefined`. */
export function cronProblem(expression: string, timezone = "UTC"): string | undefined {
  // croner also takes dates; a date is not a rhythm.
  if (/^\d{4}-/.test(expression.trim())) return "it is a date; a cron expression has five fields, or six with seconds first";
  let cron: Cron;
  try {
    cron = new Cron(expression, { paused: true, mode: "5-or-6-parts", timezone });
  } catch (error) {
    return explain(error instanceof Error ? error.message : String(error));
  }
  try {
    return cron.nextRun() === null ? "it is never due" : undefined;
  } finally {
    cron.stop();
  }
}

/** Whether this is the name of a time zone (IANA, for example `Europe/Berlin`) that this Node.js knows. */
export function isTimezone(value: unknown): value is string {
  // Newer versions of Node also take offsets such as `+02:00`, which the next node may not.
  if (typeof value !== "string" || !/^[A-Za-z]/.test(value)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: value });
    return true;
  } catch {
    return false;
  }
}

function explain(message: string): string {
  if (/parts/.test(message)) return "it must have five fields, or six with seconds first";
  const text = message.replace(/^CronPattern: /, "");
  return text.charAt(0).toLowerCase() + text.slice(1);
}
