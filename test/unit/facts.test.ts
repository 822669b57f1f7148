/** The journal's format. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { comparePositions, decodeBatch, encodeBatch, type Fact, type Position } from "../../src/engine/facts.ts";

const json = fc
  .jsonValue()
  .filter((value) => !Object.is(value, -0))
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown);
const at = fc.nat();
const run = fc.string();
const fact: fc.Arbitrary<Fact> = fc.oneof(
  fc.record({ k: fc.constant("admitted" as const), at, run }),
  fc.record({ k: fc.constant("event" as const), at, run, ev: fc.record({ type: fc.string(), output: json }) }),
  fc.record({ k: fc.constant("parked" as const), at, run, by: fc.nat(5), for: fc.nat(5) }),
  fc.record({ k: fc.constant("moved" as const), at, run, to: fc.nat(7), n: fc.nat(), keys: fc.array(fc.string()) }),
  fc.record({
    k: fc.constant("created" as const),
    at,
    run,
    wf: run,
    ver: run,
    phase: fc.constantFrom("waiting" as const, "active" as const),
    input: json,
  }),
);
const position = fc.tuple(fc.nat(20), fc.nat(3)) as fc.Arbitrary<Position>;

describe("batches", () => {
  test("come back as they were written", () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.option(fc.dictionary(fc.constantFrom("events", "p1", "p2"), position), { nil: undefined }),
        fc.array(fact),
        (seq, sources, facts) => {
          const plain = sources && (JSON.parse(JSON.stringify(sources)) as Record<string, Position>);
          const batch = decodeBatch(
            encodeBatch(
              seq,
              plain,
              facts.map((one) => JSON.stringify(one)),
            ),
          );
          expect(batch).toEqual({ v: 1, in: seq, ...(plain !== undefined && { src: plain }), f: facts });
        },
      ),
    );
  });

  test.each([
    "",
    "null",
    "[]",
    "{}",
    '{"v":2,"in":0,"f":[]}',
    '{"v":1,"f":[]}',
    '{"v":1,"in":0,"f":{}}',
    '{"v":1,"in":1.5,"f":[]}',
  ])("that are none are refused: %s", (text) => {
    expect(() => decodeBatch(text)).toThrow(/batch|JSON/);
  });
});

test("Positions are ordered by sequence, then by place", () => {
  fc.assert(
    fc.property(fc.array(position, { maxLength: 20 }), (positions) => {
      const sorted = [...positions].sort(comparePositions);
      for (const [i, [seq, place]] of sorted.entries()) {
        const next = sorted[i + 1];
        if (next !== undefined) expect(seq < next[0] || (seq === next[0] && place <= next[1])).toBe(true);
      }
    }),
  );
});
