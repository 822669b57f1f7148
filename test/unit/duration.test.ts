import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isOptionsError } from "../../src/errors.ts";
import { formatDuration, MAX_DURATION_MS, parseDuration, readDuration } from "../../src/workflow/duration.ts";

describe("a duration", () => {
  it.each([
    ["250ms", 250],
    ["30s", 30_000],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["2d", 172_800_000],
    ["1d2h3m4s5ms", 93_784_005],
    ["1.5h", 5_400_000],
    ["0.5s", 500],
    ["0s", 0],
    [" 5m ", 300_000],
    ["5M", 300_000],
    ["1s500ms", 1_500],
    ["1m1ms", 60_001],
    [0, 0],
    [1_500, 1_500],
  ])("may be %j, which is %i ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  const wrong: readonly unknown[] = [
    "",
    " ",
    "5",
    "m",
    "5 minutes",
    "5m 3s",
    "30m1h",
    "5m5m",
    "-5s",
    "1e3s",
    "5.s",
    ".5s",
    "5µs",
    "1w",
    "5s;",
    "9".repeat(70),
    "99999999d",
    -1,
    1.5,
    Number.NaN,
    Infinity,
    MAX_DURATION_MS + 1,
    null,
    undefined,
    true,
    {},
    [],
    5n,
  ];
  it.each(wrong.map((value) => ({ shown: inspect(value), value })))("may not be $shown", ({ value }) => {
    expect(readDuration(value)).toBeUndefined();
  });

  it("that is wrong is reported with its place, what was expected and what came", () => {
    const expected = 'a duration such as "250ms", "30s", "5m", "1h30m" or "2d", or a number of milliseconds';
    expect(() => parseDuration("5 minutes", "grace")).toThrow(`expected 'grace' to be ${expected}, got "5 minutes"`);
    expect(() => parseDuration(-1)).toThrow(`expected 'duration' to be ${expected}, got -1`);
    let thrown: unknown;
    try {
      parseDuration(null, "grace");
    } catch (error) {
      thrown = error;
    }
    expect(isOptionsError(thrown)).toBe(true);
    expect(thrown).toMatchObject({ path: "grace", expected, received: null });
  });

  it("is written with the largest units first", () => {
    expect([0, 1, 999, 1_000, 61_001, 5_400_000, 172_800_000].map(formatDuration)).toEqual([
      "0ms",
      "1ms",
      "999ms",
      "1s",
      "1m1s1ms",
      "1h30m",
      "2d",
    ]);
  });

  it("reads back what it writes", () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: MAX_DURATION_MS }), (ms) => parseDuration(formatDuration(ms)) === ms));
  });

  it("is the sum of its parts", () => {
    const amount = fc.option(fc.nat(999), { nil: undefined });
    fc.assert(
      fc.property(fc.tuple(amount, amount, amount, amount, amount), (amounts) => {
        const units = [
          ["d", 86_400_000],
          ["h", 3_600_000],
          ["m", 60_000],
          ["s", 1_000],
          ["ms", 1],
        ] as const;
        const text = units.map(([unit], index) => (amounts[index] === undefined ? "" : `${amounts[index]}${unit}`)).join("");
        fc.pre(text !== "");
        expect(parseDuration(text)).toBe(units.reduce((sum, [, ms], index) => sum + (amounts[index] ?? 0) * ms, 0));
      }),
    );
  });

  it("never gives anything but a whole number of milliseconds, whatever the text", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9dhms.]{0,12}$/), (text) => {
        const ms = readDuration(text);
        expect(ms === undefined || (Number.isSafeInteger(ms) && ms >= 0)).toBe(true);
      }),
    );
  });
});
