/** What the model tests of groups share: the strategies, and how an exploration is judged. */
import { expect } from "vitest";
import { Strategy } from "../../src/workflow/spec.ts";
import { explore } from "./group-exploration.ts";
import type { Scenario } from "./group-world.ts";

export const STRATEGIES = Object.values(Strategy).sort();

/** Explores all of these scenarios, expects no violation, and gives how many worlds and steps there were. */
export function expectSound(scenarios: Iterable<Scenario>): { worlds: number; steps: number } {
  const sum = { worlds: 0, steps: 0 };
  for (const scenario of scenarios) {
    const { worlds, steps, violation } = explore(scenario);
    if (violation !== undefined) expect.fail(violation);
    sum.worlds += worlds;
    sum.steps += steps;
  }
  return sum;
}

/** Explores until a violation is found, which is given. */
export function violationOf(scenario: Scenario): string {
  return explore(scenario).violation ?? expect.fail(`${scenario.title}: the exploration found nothing wrong`);
}
