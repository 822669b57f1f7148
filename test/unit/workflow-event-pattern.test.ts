/** Names of events, the patterns that match them, and the index of patterns. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createEventIndex, isEventName, isEventPattern } from "../../src/workflow/event-pattern.ts";

/** The definition of a match, word for word. */
function matches(pattern: readonly string[], name: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return name.length === 0;
  if (first === ">") return name.length > 0;
  return name.length > 0 && (first === "*" || first === name[0]) && matches(rest, name.slice(1));
}

describe("an event name", () => {
  it("is one or more tokens without spaces and wildcards", () => {
    for (const name of ["user", "user.created", "a.b.c.d", "Größe.x", "x-1_2", "$x", "a".repeat(255), "日本"])
      expect(isEventName(name)).toBe(true);
    for (const name of [
      "",
      ".",
      "a.",
      ".a",
      "a..b",
      "a b",
      "a\tb",
      "a*b",
      "*",
      ">",
      "a.>",
      "a\u0000",
      "a\n",
      "a".repeat(256),
      5,
      undefined,
      null,
      ["a"],
    ]) {
      expect(isEventName(name)).toBe(false);
    }
  });
});

describe("an event pattern", () => {
  it("has wildcards as whole tokens, and > at the end only", () => {
    for (const pattern of ["user.created", "*", ">", "user.*", "*.created", "user.>", "*.*.>"])
      expect(isEventPattern(pattern)).toBe(true);
    for (const pattern of ["", "user.*x", "user.>.x", "x>", "**", "a..*", "a b", ">.>", 1, null])
      expect(isEventPattern(pattern)).toBe(false);
  });
});

describe("an index of patterns", () => {
  it("finds the values of all patterns that match, each once, in the order in which they were added", () => {
    const index = createEventIndex<string>();
    index.add("user.>", "a");
    index.add("user.created", "b");
    index.add("*.created", "c");
    index.add("user.*", "a");
    index.add(">", "d");
    expect(index.match("user.created")).toEqual(["a", "b", "c", "d"]);
    expect(index.match("order.created")).toEqual(["c", "d"]);
    expect(index.match("user.a.b")).toEqual(["a", "d"]);
    expect(index.match("user")).toEqual(["d"]);
  });

  it("takes changes into account, also for names that it has seen", () => {
    const index = createEventIndex<string>();
    expect(index.match("x.y")).toEqual([]);
    index.add("x.*", "a");
    expect(index.match("x.y")).toEqual(["a"]);
    index.add("x.>", "a");
    index.remove("x.*", "a");
    expect(index.match("x.y")).toEqual(["a"]);
    index.remove("x.>", "a");
    index.remove("x.>", "a");
    index.remove("never.there", "a");
    expect(index.match("x.y")).toEqual([]);
  });

  it("is not misled by the names of an object's own properties, nor by wildcards in a name", () => {
    const index = createEventIndex<string>();
    index.add("*", "one");
    index.add("__proto__.constructor", "proto");
    expect(index.match("toString")).toEqual(["one"]);
    expect(index.match("*")).toEqual(["one"]);
    expect(index.match("__proto__.constructor")).toEqual(["proto"]);
    expect(index.match("")).toEqual(["one"]);
  });

  it("agrees with the definition of a match, whatever was added and removed, with and without room to remember", () => {
    const token = fc.constantFrom("a", "b", "c");
    const name = fc.array(token, { minLength: 1, maxLength: 4 });
    const pattern = fc
      .tuple(fc.array(fc.oneof(token, fc.constant("*")), { maxLength: 3 }), fc.constantFrom("a", "*", ">"))
      .map(([tokens, last]) => [...tokens, last]);
    const step = fc.oneof(
      fc.record({ kind: fc.constant("add" as const), pattern, value: fc.nat(5) }),
      fc.record({ kind: fc.constant("remove" as const), pattern, value: fc.nat(5) }),
      fc.record({ kind: fc.constant("match" as const), name }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(1, 2, 4_096), (steps, room) => {
        const index = createEventIndex<number>(room);
        const model: { text: string; tokens: readonly string[]; value: number }[] = [];
        for (const one of steps) {
          if (one.kind === "match") {
            const found = index.match(one.name.join("."));
            const expected = new Set(model.filter(({ tokens }) => matches(tokens, one.name)).map(({ value }) => value));
            expect(found).toHaveLength(expected.size);
            expect(new Set(found)).toEqual(expected);
            continue;
          }
          const text = one.pattern.join(".");
          const at = model.findIndex((entry) => entry.text === text && entry.value === one.value);
          if (one.kind === "add") {
            index.add(text, one.value);
            if (at < 0) model.push({ text, tokens: one.pattern, value: one.value });
          } else {
            index.remove(text, one.value);
            if (at >= 0) model.splice(at, 1);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
