/**
 * What one can do to a group: pause, resume, change its limit. Shown at once, taken back with a word where the engine refuses.
 */
import type { GroupView } from "../../protocol/view.ts";
import { call, describeError } from "../api.ts";
import { toast } from "../kit/toast.tsx";

export type GroupChange =
  | { readonly kind: "pause" }
  | { readonly kind: "resume" }
  /** null takes the group's own limit back: the rule's counts again. */
  | { readonly kind: "limit"; readonly maxRuns: number | null };

export interface GroupStore {
  /** Shows a change that is not confirmed; returns how to take it back. */
  expect(change: Partial<GroupView>): () => void;
  /** Takes in what the engine answered. */
  put(view: GroupView): void;
}

export async function changeGroup(group: GroupView, change: GroupChange, store: GroupStore): Promise<void> {
  const { limit, key } = group;
  const takeBack = store.expect(expected(change));
  try {
    const view =
      change.kind === "pause"
        ? await call("group.pause", { limit, key })
        : change.kind === "resume"
          ? await call("group.resume", { limit, key })
          : await call("group.update", { limit, key, maxRuns: change.maxRuns });
    takeBack();
    store.put(view);
  } catch (error) {
    takeBack();
    toast(`${verb(change)} ${key}: ${describeError(error)}`, "bad");
  }
}

function expected(change: GroupChange): Partial<GroupView> {
  switch (change.kind) {
    case "pause":
      return { paused: true };
    case "resume":
      return { paused: false };
    case "limit":
      // What the rule says is not known here; the answer brings it.
      return change.maxRuns === null ? { overridden: false } : { maxRuns: change.maxRuns, overridden: true };
  }
}

function verb(change: GroupChange): string {
  return change.kind === "limit" ? "Could not change the limit of" : `Could not ${change.kind}`;
}

/** What is wrong with a limit as typed, or the number. */
export function readMaxRuns(text: string): number | string {
  const value = Number(text.trim());
  if (text.trim() === "" || !Number.isInteger(value) || value < 1) return "expected a whole number of at least 1";
  if (!Number.isSafeInteger(value)) return "that is too large";
  return value;
}
