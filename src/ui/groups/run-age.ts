/**
 * When a run was created, read from its id: run ids are ULIDs, whose first ten characters are a time. So the pages can show the
 * age of every waiting run without asking for each one. Pure.
 */

const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** In ms since 1970, or undefined where the id is not a ULID. */
export function bornAt(runId: string): number | undefined {
  if (runId.length !== 26) return undefined;
  let ms = 0;
  for (let i = 0; i < 10; i++) {
    const digit = DIGITS.indexOf(runId.charAt(i).toUpperCase());
    if (digit < 0) return undefined;
    ms = ms * 32 + digit;
  }
  return ms;
}

/** The end of an id, which tells runs apart: the beginning is a time, alike for runs of the same minute. */
export function shortRun(runId: string): string {
  return runId.length > 10 ? `…${runId.slice(-6)}` : runId;
}
