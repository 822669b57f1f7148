/**
 * The first groups of an order, out of any number of them, without sorting all: a heap of bounded size with the last of those kept
 * on top. A group that cannot be among them costs one comparison.
 */
import type { Group } from "./group.ts";
import { byPressure, nextSince, type Place, pressed, type PressedGroup } from "./pressed-groups.ts";

export class TopGroups {
  readonly #size: number;
  readonly #after: Place | undefined;
  /** A binary heap: each comes after its two children in the order. */
  readonly #heap: PressedGroup[] = [];

  /** Keeps `size` groups, of those that come after a place where one is given. */
  constructor(size: number, after?: Place) {
    this.#size = size;
    this.#after = after;
  }

  offer(group: Group): void {
    const last = this.#heap.length === this.#size ? this.#heap[0] : undefined;
    // What most groups are turned away by, before anything is made for them.
    const { waitingPerSlot } = group;
    if (last !== undefined && waitingPerSlot < last.perSlot) return;
    if (this.#after !== undefined && waitingPerSlot > this.#after.perSlot) return;
    if (last !== undefined && waitingPerSlot === last.perSlot && nextSince(group) > last.sinceMs) return;
    const candidate = pressed(group);
    if (this.#after !== undefined && byPressure(candidate, this.#after) <= 0) return;
    if (last === undefined) this.#add(candidate);
    else if (byPressure(candidate, last) < 0) this.#replaceTop(candidate);
  }

  /** Groups that are less pressed than all that were offered cannot be among them. */
  get full(): boolean {
    return this.#heap.length === this.#size;
  }

  /** In order. */
  take(): PressedGroup[] {
    return this.#heap.splice(0).sort(byPressure);
  }

  #add(candidate: PressedGroup): void {
    const heap = this.#heap;
    let at = heap.push(candidate) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (byPressure(heap[above]!, candidate) >= 0) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = candidate;
  }

  #replaceTop(candidate: PressedGroup): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && byPressure(heap[child + 1]!, heap[child]!) > 0) child++;
      if (byPressure(heap[child]!, candidate) <= 0) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = candidate;
  }
}
