/** How much of a value was redacted before it came here. Pure. */
import { REDACTED } from "../../../protocol/redact.ts";

/** Counts to a bound, in values of any depth that JSON can have. */
export function countRedacted(value: unknown, bound = 1_000): number {
  let count = 0;
  const open: unknown[] = [value];
  let looked = 0;
  while (open.length > 0 && count < bound && looked < 100_000) {
    const one = open.pop();
    looked++;
    if (one === REDACTED) count++;
    else if (typeof one === "object" && one !== null) for (const child of Object.values(one)) open.push(child);
  }
  return count;
}
