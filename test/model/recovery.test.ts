/**
 * Recovery: whatever a partition has decided, its journal gives back, from the beginning or from any snapshot on; and what has
 * been recovered goes on exactly as what was never interrupted.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeBatch } from "../../src/engine/facts.ts";
import { anyCommand, Program } from "./recovery-inputs.ts";
import { Invariants } from "./recovery-invariants.ts";
import { stateOf } from "./recovery-state.ts";
import { NAMES, recovered, Registry, Side, STRATEGIES, type Rules } from "./recovery-world.ts";

// `SLUICE_TEST_SEED` repeats a run of this file; `SLUICE_TEST_SCALE=20` makes it take minutes.
const seed = Number(process.env["SLUICE_TEST_SEED"] ?? Date.now() % 2 ** 31);
const scale = Number(process.env["SLUICE_TEST_SCALE"] ?? 1);
const path = process.env["SLUICE_TEST_PATH"];
const parameters = { seed, ...(path !== undefined && { path, endOnFailure: true }), interruptAfterTimeLimit: 25_000 * scale };

const rules = fc.record({ strategy: fc.constantFrom(...STRATEGIES), maxRuns: fc.integer({ min: 1, max: 2 }) });
const anyRules: fc.Arbitrary<Rules> = fc.record({ L0: rules, L1: rules, L2: rules, L3: rules, M: rules });

/** A point at which a partition is recovered: from the snapshot taken at that one of the earlier points, or from none. */
const point = fc.record({ snapshot: fc.boolean(), from: fc.nat(3) });
const names = fc.subarray([...NAMES], { minLength: 1, maxLength: 4 });
const program = fc.array(fc.record({ command: anyCommand, point: fc.option(point, { freq: 5, nil: undefined }) }), {
  maxLength: 120,
  size: "max",
});

describe(`recovery (seed ${seed})`, () => {
  test("gives back the state, and goes on with the same facts", { timeout: 60_000 * scale }, () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), anyRules, names, program, (partitions, limits, used, steps) => {
        const registry = new Registry(partitions, limits);
        const partition = registry.home;
        const at = new Program(registry, used);
        const live = new Side(registry, partition);
        const invariants = new Invariants(live.core);
        const journal: string[] = [];
        const snapshots: { readonly lines: readonly string[]; readonly batches: number }[] = [];
        let twin: Side | undefined;
        const labels: string[] = [];

        const feed = (label: string, input: (side: Side) => void): void => {
          labels.push(label);
          live.core.setTime(at.nowMs);
          input(live);
          const { text } = live.take();
          if (text !== undefined) journal.push(text);
          if (twin !== undefined) {
            twin.core.setTime(at.nowMs);
            input(twin);
            const other = twin.take();
            if (other.text !== text) expectSame(facts(other.text), facts(text), labels);
          }
          invariants.check(live, label, text);
        };

        feed("crons", (side) => side.setCrons());
        for (const { command, point: here } of steps) {
          const input = at.resolve(command, live);
          if (input !== undefined) feed(input.label, (side) => input.apply(side.core));
          if (here === undefined) continue;
          if (here.snapshot) snapshots.push({ lines: [...live.core.snapshotLines()], batches: journal.length });
          const from = here.from === 0 ? undefined : snapshots.at(-here.from);
          labels.push(
            from === undefined
              ? "recovered from the journal"
              : `recovered from the snapshot after ${from.batches} of ${journal.length} batches`,
          );
          twin = recovered(registry, partition, from?.lines ?? [], journal.slice(from?.batches ?? 0), live.cronRuns);
          twin.core.setTime(at.nowMs);
          twin.setCrons();
          expectSame(stateOf(twin.core), stateOf(live.core), labels);
          twin.core.resume();
          // Nothing is left to decide.
          expectSame(facts(twin.take().text), [], labels);
          expect(new Set(twin.slots.held.keys())).toEqual(new Set(live.slots.held.keys()));
        }
        if (twin !== undefined) expectSame(stateOf(twin.core), stateOf(live.core), labels);

        // Now workers answer whatever comes, time passes, and everything ends.
        for (const group of [...live.core.groups])
          if (group.context.paused)
            feed(`resume ${group.id}`, ({ core }) => core.setGroup(group.limit, group.key, { paused: false }));
        for (let rounds = 0; live.core.runs.size > 0; rounds++) {
          if (rounds > 500) throw new Error(`${[...live.core.runs.keys()].join()} did not end, after\n${labels.join("\n")}`);
          const input = at.serve(live) ?? at.wait(600_000);
          feed(input.label, ({ core }) => input.apply(core));
        }
        for (const side of twin === undefined ? [live] : [live, twin]) {
          expect([...side.core.groups].filter(({ settings }) => settings === undefined)).toEqual([]);
          expect(side.slots.held.size).toBe(0);
        }
      }),
      { ...parameters, numRuns: Math.round(100 * scale) },
    );
  });
});

function expectSame(found: unknown, expected: unknown, after: readonly string[]): void {
  const other = JSON.parse(JSON.stringify({ found, expected })) as { readonly found: unknown; readonly expected: unknown };
  const wrong = [...differences(other.found, other.expected, "")];
  if (wrong.length > 0) throw new Error(`${wrong.slice(0, 10).join("\n")}\nafter\n${after.join("\n")}`);
}

/** Where two JSON values differ, one line each. */
function* differences(found: unknown, expected: unknown, path: string): Generator<string> {
  if (found === expected) return;
  if (typeof found !== "object" || typeof expected !== "object" || found === null || expected === null) {
    yield `${path}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`;
    return;
  }
  for (const key of new Set([...Object.keys(found), ...Object.keys(expected)]))
    yield* differences((found as Record<string, unknown>)[key], (expected as Record<string, unknown>)[key], `${path}/${key}`);
}

function facts(text: string | undefined): readonly unknown[] {
  return text === undefined ? [] : decodeBatch(text).f;
}
