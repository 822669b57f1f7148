/**
 * Cancels or replays many runs, in batches, and tells how far it is. Goes on while other pages are shown; can be stopped between
 * two batches. Of all matches of a filter, it works through those that were there when it began, newest first.
 */
import { signal } from "@preact/signals";
import type { RunListQuery, RunStatus } from "../../protocol/view.ts";
import { call, describeError } from "../api.ts";

export type BulkKind = "cancel" | "replay";

/** Runs by their ids, or all that match. */
export type BulkTarget = { readonly ids: readonly string[] } | { readonly query: RunListQuery };

export interface BulkProgress {
  readonly kind: BulkKind;
  readonly total: number;
  readonly done: number;
  readonly failed: number;
  /** Messages of what failed, with how often. */
  readonly failures: ReadonlyMap<string, number>;
  readonly state: "working" | "stopping" | "stopped" | "done" | "broken";
  /** Why it is broken. */
  readonly problem?: string;
}

export const bulk = signal<BulkProgress | undefined>(undefined);

/** Small enough that the bar moves, large enough that 5,000 runs are few requests. */
const BATCH = 200;
const OPEN: readonly RunStatus[] = ["QUEUED", "RUNNING"];
const OVER: readonly RunStatus[] = ["SUCCEEDED", "FAILED", "CANCELLED"];

/** Those of the matches that can be cancelled (or replayed); undefined where there are none. */
export function applicable(kind: BulkKind, query: RunListQuery): RunListQuery | undefined {
  const can = kind === "cancel" ? OPEN : OVER;
  const asked = query.status === undefined ? can : [query.status].flat().filter((status) => can.includes(status));
  return asked.length === 0 ? undefined : { ...query, status: asked };
}

export function isWorking(): boolean {
  return bulk.value?.state === "working" || bulk.value?.state === "stopping";
}

export function stopBulk(): void {
  if (bulk.value?.state === "working") bulk.value = { ...bulk.value, state: "stopping" };
}

export function dismissBulk(): void {
  if (!isWorking()) bulk.value = undefined;
}

/** Never rejects: what goes wrong is in `bulk`. One at a time. */
export async function startBulk(kind: BulkKind, target: BulkTarget, total: number): Promise<void> {
  if (isWorking()) return;
  bulk.value = { kind, total, done: 0, failed: 0, failures: new Map(), state: "working" };
  try {
    for await (const ids of batchesOf(target)) {
      if (bulk.value.state !== "working") break;
      const { items } = await call(kind === "cancel" ? "run.cancelMany" : "run.replayMany", { ids });
      const before: BulkProgress = bulk.value;
      const failures = new Map(before.failures);
      for (const { error } of items) if (error !== undefined) failures.set(error.message, (failures.get(error.message) ?? 0) + 1);
      const failed = items.filter(({ error }) => error !== undefined).length;
      const done = before.done + items.length - failed;
      bulk.value = {
        ...before,
        done,
        failed: before.failed + failed,
        failures,
        // More may match by now than were counted.
        total: Math.max(before.total, done + before.failed + failed),
      };
    }
    bulk.value = { ...bulk.value, state: bulk.value.state === "stopping" ? "stopped" : "done" };
  } catch (error) {
    bulk.value = { ...bulk.value, state: "broken", problem: describeError(error) };
  }
}

async function* batchesOf(target: BulkTarget): AsyncGenerator<readonly string[]> {
  if ("ids" in target) {
    for (let at = 0; at < target.ids.length; at += BATCH) yield target.ids.slice(at, at + BATCH);
    return;
  }
  // Replays make new runs, which match as well; they are none of ours.
  const query = { ...target.query, until: target.query.until ?? new Date().toISOString(), size: BATCH };
  let cursor: string | undefined;
  do {
    // A page is asked for before the one ahead of it is changed away: the cursor stands behind both.
    const page = await call("run.list", { ...query, ...(cursor !== undefined && { cursor }) });
    if (page.items.length > 0) yield page.items.map(({ id }) => id);
    cursor = page.next;
  } while (cursor !== undefined);
}
