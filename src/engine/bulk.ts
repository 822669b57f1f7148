/**
 * The same for many runs in one request: so many at a time, that journals are written in large batches, and each with an outcome of
 * its own. Never fails as a whole because of one of them.
 */
import { isSluiceError, RequestError } from "../errors.ts";
import type { BulkItem } from "../protocol/record.ts";

/** Under way at once. More make no larger batches; fewer have the server wait. */
const AT_ONCE = 256;

/** `act` says what became of a run; its errors become the outcome of that run. Outcomes are in the order of the ids, each id once. */
export async function forEachRun(
  ids: readonly string[],
  act: (id: string) => Promise<Omit<BulkItem, "id" | "error">>,
): Promise<{ readonly items: readonly BulkItem[] }> {
  const all = [...new Set(ids)];
  const items: BulkItem[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let at = next++; at < all.length; at = next++) {
      const id = all[at] ?? "";
      try {
        items[at] = { id, ...(await act(id)) };
      } catch (error) {
        items[at] = { id, error: outcomeOf(error) };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, all.length) }, work));
  return { items };
}

export function outcomeOf(error: unknown): NonNullable<BulkItem["error"]> {
  const message = error instanceof Error ? error.message : String(error);
  if (!isSluiceError(error)) return { code: "INTERNAL", message };
  return { code: (error instanceof RequestError ? error.reason : undefined) ?? error.code, message };
}
