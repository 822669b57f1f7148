/**
 * Breadth-first exploration of all worlds of ownership, checking each; and whether from each of them, when nothing goes wrong any more, the partition
 * comes to be served. A violation comes with the shortest way there.
 */
import {
  type Budget,
  checkWorld,
  firstWorld,
  isServed,
  nextWorlds,
  type Rules,
  Violation,
  type World,
  worldKey,
} from "./ownership-world.ts";

export interface Exploration {
  readonly worlds: number;
  readonly steps: number;
  readonly violation?: string;
}

interface Visit {
  readonly world: World;
  readonly from: number;
  readonly label: string;
}

export function explore(budget: Budget, rules: Rules): Exploration {
  const first = firstWorld(budget);
  const numbers = new Map([[worldKey(first), 0]]);
  const visits: Visit[] = [{ world: first, from: -1, label: "" }];
  /** Steps in which nothing goes wrong, by where they lead. */
  const into: number[][] = [[]];
  let steps = 0;
  const result = () => ({ worlds: visits.length, steps });
  const violated = (message: string, at: number, last?: string): Exploration => ({
    ...result(),
    violation: [message, ...wayTo(visits, at), ...(last === undefined ? [] : [last])].join("\n  - "),
  });

  // Visits are appended while they are gone through: that is the breadth-first queue.
  for (let at = 0; at < visits.length; at++) {
    const world = visits[at]?.world as World;
    const ways = nextWorlds(world, rules);
    // Of the step that is being made.
    let label = "";
    try {
      for (const { label: what, fault, step } of ways) {
        label = what;
        steps++;
        const next = step();
        const key = worldKey(next);
        let to = numbers.get(key);
        if (to === undefined) {
          to = visits.length;
          numbers.set(key, to);
          visits.push({ world: next, from: at, label });
          into.push([]);
          checkWorld(next);
        }
        if (!fault && to !== at) into[to]?.push(at);
      }
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      return violated(error.message, at, label);
    }
  }

  const stuck = visits.findIndex((_, index) => !canBeServed(visits, into).has(index));
  return stuck < 0 ? result() : violated("the partition can never be served again", stuck);
}

const served = new WeakMap<readonly Visit[], Set<number>>();

/** The worlds from which one that is served can be reached. */
function canBeServed(visits: readonly Visit[], into: readonly (readonly number[])[]): Set<number> {
  const known = served.get(visits);
  if (known !== undefined) return known;
  const found = new Set<number>();
  for (const [index, { world }] of visits.entries()) if (isServed(world)) found.add(index);
  for (const index of found) for (const from of into[index] ?? []) found.add(from);
  served.set(visits, found);
  return found;
}

function wayTo(visits: readonly Visit[], to: number): string[] {
  const labels: string[] = [];
  for (let visit = visits[to]; visit !== undefined && visit.from >= 0; visit = visits[visit.from]) labels.unshift(visit.label);
  return labels;
}
