/** Facts of a journal message as the texts that they are there. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { decodeBatch, encodeBatch } from "../../src/engine/facts.ts";
import { factTexts, withoutRun } from "../../src/history/fact-texts.ts";

const fact = fc
  .record({
    at: fc.nat(),
    run: fc.stringMatching(/^[0-9A-Z]{5,26}$/),
    input: fc.jsonValue(),
    more: fc.dictionary(fc.string(), fc.jsonValue()),
  })
  .map(({ at, run, input, more }) => ({ k: "created", at, run, input, meta: more, text: '}"],\\' }));

it("are found, one by one, whatever is in them", () => {
  fc.assert(
    fc.property(fc.array(fact), fc.boolean(), (facts, moved) => {
      const texts = facts.map((one) => JSON.stringify(one));
      const batch = encodeBatch(7, moved ? { events: [1, 2], p3: [4, 5] } : undefined, texts);
      expect(factTexts(batch, decodeBatch(batch).f.length)).toEqual(texts);
    }),
  );
});

it("lose the id of their run, and nothing else", () => {
  fc.assert(
    fc.property(fact, (one) => {
      const { run, ...others } = one;
      expect(JSON.parse(withoutRun(JSON.stringify(one), run) ?? "")).toEqual(JSON.parse(JSON.stringify(others)));
    }),
  );
  expect(withoutRun('{"k":"admitted","at":5,"run":"R"}', "R")).toBe('{"k":"admitted","at":5}');
});

it("are not guessed where they stand otherwise", () => {
  expect(factTexts('{"v":1,"in":1,"f":[]}', 1)).toBeUndefined();
  expect(factTexts('{"v":1}', 0)).toBeUndefined();
  expect(factTexts('{"f":[{"a":"', 1)).toBeUndefined();
  const far = JSON.stringify({ k: "event", at: 1, ev: { text: "x".repeat(80), run: "R" }, run: "R" });
  expect(withoutRun(far, "R")).toBeUndefined();
});
