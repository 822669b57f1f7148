/** Members that are gone, as one node sees them: for how long nothing was heard of each. By this node's own elapsed time. */
import type { ClusterMap } from "./cluster-map.ts";

/** How long what a member that is gone wanted known still counts. It may be a node that is being restarted. */
export const ABSENCE_MS = 10 * 60_000;

export class AbsentWatch {
  readonly #seen = new Map<string, { readonly text: string; readonly sinceMs: number }>();
  #last: ClusterMap["absent"] = undefined;

  /** Those of this map that have been away, without a change of what is known of them, for too long. */
  overdue({ absent }: ClusterMap, nowMs: number): ReadonlySet<string> {
    if (absent !== this.#last) this.#observe(absent ?? {}, nowMs);
    this.#last = absent;
    return new Set([...this.#seen].filter(([, { sinceMs }]) => nowMs - sinceMs >= ABSENCE_MS).map(([id]) => id));
  }

  #observe(absent: NonNullable<ClusterMap["absent"]>, nowMs: number): void {
    for (const id of this.#seen.keys()) if (absent[id] === undefined) this.#seen.delete(id);
    for (const [id, member] of Object.entries(absent)) {
      const text = JSON.stringify(member);
      if (this.#seen.get(id)?.text !== text) this.#seen.set(id, { text, sinceMs: nowMs });
    }
  }
}
