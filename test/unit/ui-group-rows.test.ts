/** The rows of the groups list: their order, held still or not; what was changed and not confirmed; filters and ages. */
import { ulid } from "ulid";
import { describe, expect, it } from "vitest";
import type { GroupView } from "../../src/protocol/view.ts";
import { parseGroupFilter } from "../../src/ui/groups/group-filter.ts";
import { GroupRows } from "../../src/ui/groups/group-rows.ts";
import { bornAt } from "../../src/ui/groups/run-age.ts";

const group = (key: string, change: Partial<GroupView> = {}): GroupView => ({
  limit: "l",
  key,
  strategy: "GROUP_ROUND_ROBIN",
  maxRuns: 1,
  paused: false,
  active: 1,
  stopping: 0,
  waiting: 0,
  activeRuns: ["r"],
  waitingRuns: [],
  startsPerMinute: 0,
  ...change,
});
const page = (keys: readonly string[], next?: string) => ({ items: keys.map((key) => group(key)), total: 10, next });

describe("the rows of groups", () => {
  it("are in the order of the newest pages, each group once", () => {
    const rows = new GroupRows();
    rows.setPage(0, page(["a", "b"], "2"));
    rows.setPage(1, page(["c", "d"]), "2");
    // d has moved up.
    rows.setPage(0, { items: [group("d"), group("a")], total: 10 });
    expect(rows.order).toEqual(["l d", "l a", "l c"]);
    expect(rows.next).toBeUndefined();
  });

  it("stay where they are while they are held, and say that the order has changed", () => {
    const rows = new GroupRows();
    rows.setPage(0, page(["a", "b"], "2"));
    rows.hold();
    rows.setPage(0, { items: [group("b", { waiting: 9 }), group("x"), group("a")], total: 11 });
    expect(rows.order).toEqual(["l a", "l b"]);
    expect(rows.view("l b")?.waiting).toBe(9);
    expect(rows.orderChanged()).toBe(true);
    // What was asked for by scrolling comes below.
    rows.setPage(1, page(["c"]), "2");
    expect(rows.order).toEqual(["l a", "l b", "l c"]);
    rows.release();
    expect(rows.order).toEqual(["l b", "l x", "l a", "l c"]);
    expect(rows.orderChanged()).toBe(false);
  });

  it("can be held before there are any", () => {
    const rows = new GroupRows();
    rows.hold();
    rows.setPage(0, page(["a"]));
    expect(rows.order).toEqual(["l a"]);
  });

  it("keep a view's identity while nothing in it changes", () => {
    const rows = new GroupRows();
    rows.setPage(0, page(["a", "b"]));
    const [a, b] = [rows.view("l a"), rows.view("l b")];
    rows.setPage(0, { items: [group("a"), group("b", { activeRuns: ["s"] })], total: 2 });
    expect(rows.view("l a")).toBe(a);
    expect(rows.view("l b")).not.toBe(b);
  });

  it("show an expected change until it is taken back, whatever arrives meanwhile", () => {
    const rows = new GroupRows();
    rows.setPage(0, page(["a"]));
    const takeBack = rows.expect("l a", { paused: true });
    rows.put(group("a", { waiting: 3 }));
    expect(rows.view("l a")).toMatchObject({ paused: true, waiting: 3 });
    const takeBackLater = rows.expect("l a", { paused: false });
    takeBack();
    expect(rows.view("l a")?.paused).toBe(false);
    takeBackLater();
    expect(rows.view("l a")).toEqual(group("a", { waiting: 3 }));
  });
});

describe("the filter of groups", () => {
  it.each([
    ["", {}],
    ["limit:a", { limit: "a" }],
    ["acme", { text: "acme" }],
    ["  limit:a  key:acme eu ", { limit: "a", text: "acme eu" }],
    ["limit:", {}],
  ])("reads %j", (text, filter) => {
    expect(parseGroupFilter(text)).toEqual(filter);
  });
});

describe("the age of a run", () => {
  it("is in its id", () => {
    const at = Date.UTC(2026, 10, 23, 20, 15, 7, 123);
    expect(bornAt(ulid(at))).toBe(at);
    expect(bornAt("run-1")).toBeUndefined();
  });
});
