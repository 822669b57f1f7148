/** Guessing the password of the dashboard is slow, and locks nobody else out. */
import { describe, expect, test } from "vitest";
import { PasswordGuard } from "../../src/server/password-guard.ts";

describe("a guard of the password", () => {
  let nowMs = 0;
  const guard = (): PasswordGuard => {
    nowMs = 1_000_000;
    return new PasswordGuard("open sesame", () => nowMs);
  };
  const guesses = (one: PasswordGuard, count: number, address: string, from = 0): string[] =>
    Array.from({ length: count }, (_, index) => one.check(`guess-${from + index}`, address));

  test("takes ten wrong ones at once, and then one a second, from each address", () => {
    const one = guard();
    expect(guesses(one, 12, "192.0.2.1")).toEqual([...Array<string>(10).fill("wrong"), "wait", "wait"]);
    expect(one.check("another", "192.0.2.2")).toBe("wrong");
    nowMs += 1_000;
    expect(guesses(one, 2, "192.0.2.1", 100)).toEqual(["wrong", "wait"]);
    nowMs += 3_600_000;
    expect(guesses(one, 12, "192.0.2.1", 200).filter((verdict) => verdict === "wrong")).toHaveLength(10);
  });

  test("does not tell the right one from others while an address has to wait", () => {
    const one = guard();
    guesses(one, 10, "192.0.2.1");
    expect(one.check("open sesame", "192.0.2.1")).toBe("wait");
    expect(one.check("open sesame", "192.0.2.2")).toBe("right");
    nowMs += 1_000;
    expect(one.check("open sesame", "192.0.2.1")).toBe("right");
    // Nor does the right one cost anything.
    for (let again = 0; again < 100; again++) expect(one.check("open sesame", "192.0.2.1")).toBe("right");
  });

  test("counts the same wrong one once: a page that is left open goes on with the password of before", () => {
    const one = guard();
    for (let again = 0; again < 100; again++) expect(one.check("that of yesterday", "192.0.2.1")).toBe("wrong");
    expect(one.check("open sesame", "192.0.2.1")).toBe("right");
  });

  test.each([
    ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true],
    ["2001:db8:1:2::1", "2001:db8:1:3::1", false],
    ["::ffff:192.0.2.1", "::ffff:192.0.2.2", false],
    ["fe80::1%eth0", "fe80::2%eth0", true],
  ])("%s and %s are one: %s, %s", (first, second, same) => {
    const one = guard();
    guesses(one, 10, first);
    expect(one.check("open sesame", second)).toBe(same ? "wait" : "right");
  });

  test("remembers a bounded number of addresses", () => {
    const one = guard();
    guesses(one, 10, "192.0.2.1");
    for (let n = 0; n < 10_000; n++) one.check("x", `10.0.${n >> 8}.${n & 255}`);
    expect(one.check("open sesame", "192.0.2.1")).toBe("right");
  });
});
