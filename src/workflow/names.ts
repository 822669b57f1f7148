/**
 * Names of workflows, steps and limits. They are tokens of NATS subjects and keys of plain objects, so what would break either
 * is refused. Pure.
 */

export const MAX_NAME_LENGTH = 64;
/** Limits are shared by name between workflows, so people prefix theirs. */
export const MAX_LIMIT_NAME_LENGTH = 128;

/** What an error about a name says that it expected. */
export const nameExpected = (maxLength: number): string => `a name of 1 to ${maxLength} letters (A to Z), digits, "-" and "_"`;

export function isName(value: unknown, maxLength = MAX_NAME_LENGTH): value is string {
  // `constructor`, `__proto__` and the like pass as names but not as keys of objects such as a run's steps.
  return typeof value === "string" && value.length <= maxLength && /^[A-Za-z0-9_-]+$/.test(value) && !(value in {});
}
