/** Concurrency keys: the CEL expressions that compute them, and what may be one. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkKey, compileKey, compileKeyExpression, KeyExpressionError } from "../../src/workflow/expression.ts";

const variables = {
  input: {
    user_id: "u1",
    tenant: "acme",
    n: 42,
    half: 1.5,
    big: 9_007_199_254_740_991,
    none: null,
    list: [1, "b"],
    nested: { "a-b": "c" },
    yes: true,
  },
  metadata: { region: "eu" },
  event: { name: "message.sent", seq: 7 },
};

describe("a key expression", () => {
  it.each([
    ["input.user_id", "u1"],
    ['"tenant:" + input.tenant', "tenant:acme"],
    ["string(input.n)", "42"],
    ["string(input.half)", "1.5"],
    ["string(input.big)", "9007199254740991"],
    ["string(int(input.n) % 4)", "2"],
    ["string(input.yes)", "true"],
    ['input.n > 40.0 ? "large" : "small"', "large"],
    ['input.n == 42 ? "large" : "small"', "large"],
    ['[input.tenant, metadata.region].join("/")', "acme/eu"],
    ['has(input.missing) ? input.missing : "nobody"', "nobody"],
    ['input.?missing.orValue("nobody")', "nobody"],
    ["event.name", "message.sent"],
    ["string(event.seq)", "7"],
    ['input.nested["a-b"]', "c"],
    ["string(input.list[0]) + input.list[1]", "1b"],
    ["input.tenant.upperAscii()", "ACME"],
    ['"all"', "all"],
  ])("%s gives %s", (expression, key) => {
    expect(compileKey(expression)(variables)).toEqual({ ok: true, key });
  });

  it.each([
    ["input.missing", 'there is no "missing" in input (column 7)'],
    ["input.nested.x.y", 'there is no "x" in input.nested (column 14)'],
    ["string(input.none)", "found no matching overload for 'string(null)' (column 1)"],
    ["input.list[5]", "index out of bounds, index 5 >= size 2 (column 1)"],
    [
      "input.tenant + input.n",
      "no such overload: dyn<string> + dyn<double>; a JSON number is a double in CEL: use int(…) to calculate with it, string(…) to make it part of a text (column 1)",
    ],
    [
      "string(input.n % 4)",
      "no such overload: dyn<double> % int; a JSON number is a double in CEL: use int(…) to calculate with it, string(…) to make it part of a text (column 8)",
    ],
  ])("%s fails and says why", (expression, message) => {
    expect(compileKey(expression)(variables)).toEqual({
      ok: false,
      message: `the key expression ${JSON.stringify(expression)} failed: ${message}`,
    });
    expect(() => compileKeyExpression(expression)(variables)).toThrow(new KeyExpressionError(message));
  });

  it.each([
    [
      "input.n",
      "expected the key to be a non-empty string, got the number 42; make it a string, for example with string(…) in an expression or String(…) in a function",
    ],
    ["input.none", "expected the key to be a non-empty string, got null"],
    ["input.list", "expected the key to be a non-empty string, got a list"],
    ["input.nested", "expected the key to be a non-empty string, got an object"],
    ["input.yes", "expected the key to be a non-empty string, got true"],
  ])("%s gives no key", (expression, message) => {
    expect(compileKey(expression)(variables)).toEqual({ ok: false, message });
  });

  it("sees null as the event of a run that no event started, and an empty object as its metadata", () => {
    expect(compileKey('event == null ? "direct" : event.name')({ input: {} })).toEqual({ ok: true, key: "direct" });
    expect(compileKey("event.name")({ input: {}, event: undefined })).toMatchObject({
      ok: false,
      message: expect.stringContaining('there is no "name" in event') as unknown,
    });
    expect(compileKey("metadata.region")({ input: {} })).toMatchObject({
      ok: false,
      message: expect.stringContaining('there is no "region" in metadata') as unknown,
    });
    expect(compileKey("input.x")({ input: undefined })).toMatchObject({ ok: false });
  });

  it("sees no properties that are not the data's own", () => {
    for (const name of ["constructor", "toString", "__proto__", "hasOwnProperty"]) {
      expect(compileKey(`input[${JSON.stringify(name)}]`)({ input: {} })).toMatchObject({ ok: false });
    }
  });

  it.each([
    ["", "it is empty"],
    ["input.", "expected IDENTIFIER, got EOF (column 7)"],
    ["user.id", "unknown variable: user; an expression knows input, metadata and event (column 1)"],
    ['"a" +\n  user', "unknown variable: user; an expression knows input, metadata and event (column 9, counted over all lines)"],
    ["[input.a]", "it gives a value of type list, but a key must be a string"],
    ["input.a == 1", "it gives a value of type bool, but a key must be a string; wrap it as string(…)"],
    ["input.?a", "it gives a value of type optional<dyn>, but a key must be a string"],
    ["x".repeat(5_000), "it has 5000 characters, more than the 4096 that are allowed"],
    ["(".repeat(1_000), "exceeded maxDepth (250) (column 251)"],
  ])("that is wrong is refused when it is compiled: %#", (expression, message) => {
    expect(() => compileKeyExpression(expression)).toThrow(new KeyExpressionError(message));
  });

  it("fails with a KeyExpressionError or not at all, whatever the text and the data", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^(input|metadata|event|string\(|\)|\.a|\[0\]|\+|"x"|\?|:| ){1,8}$/)),
        fc.jsonValue(),
        (text, input) => {
          let evaluate: ReturnType<typeof compileKey>;
          try {
            evaluate = compileKey(text);
          } catch (error) {
            return error instanceof KeyExpressionError;
          }
          return typeof evaluate({ input }).ok === "boolean";
        },
      ),
    );
  });
});

describe("a key", () => {
  it("is a non-empty string of at most 1,024 bytes in UTF-8", () => {
    for (const key of ["a", " ", "ü".repeat(512), "x".repeat(1_024), "😀".repeat(256), "a\u0000b", "a.b>*"])
      expect(checkKey(key)).toEqual({ ok: true, key });
  });

  it.each<[string, unknown, string]>([
    ["empty", "", "expected the key to be a non-empty string, got an empty one"],
    [
      "one byte too long",
      "x".repeat(1_025),
      `expected the key to have at most 1024 bytes, got one of 1025: "${"x".repeat(40)}"…`,
    ],
    [
      "too long in bytes only",
      "ü".repeat(513),
      `expected the key to have at most 1024 bytes, got one of 1026: "${"ü".repeat(40)}"…`,
    ],
    ["10 kB long", "x".repeat(10_240), `expected the key to have at most 1024 bytes, got one of 10240: "${"x".repeat(40)}"…`],
    ["absent", undefined, "expected the key to be a non-empty string, got nothing"],
    [
      "a promise",
      Promise.resolve("x"),
      "expected the key to be a non-empty string, got a promise; a key function must return its key at once",
    ],
    ["a function", () => "x", "expected the key to be a non-empty string, got a function"],
    ["half a character", "a\ud800", 'expected the key to be valid Unicode, got "a\\ud800"'],
    [
      "a throwing thenable",
      Object.defineProperty({}, "then", {
        get: () => {
          throw new Error("x");
        },
      }),
      "expected the key to be a non-empty string, got an object",
    ],
  ])("is refused where it is %s", (_title, value, message) => {
    expect(checkKey(value)).toEqual({ ok: false, message });
  });
});
