/** The language of the filter box: what it asks the list for, what it refuses, what it offers while somebody types. */
import { describe, expect, test } from "vitest";
import { suggestionsFor } from "../../src/ui/runs/completion.ts";
import { parseFilter, withField } from "../../src/ui/runs/filter.ts";

const NOW = Date.UTC(2026, 0, 31, 12);

describe("the filter of runs", () => {
  test.each([
    ["", {}],
    ["status:failed", { status: "FAILED" }],
    ["status:queued,run", { status: ["QUEUED", "RUNNING"] }],
    ["workflow:answer key:u1 hello there", { workflow: "answer", key: "u1", text: "hello there" }],
    ['key:"a b" "status:failed"', { key: "a b", text: "status:failed" }],
    ["group:answer/a/b", { limit: "answer", key: "a/b" }],
    ["group:answer", { limit: "answer" }],
    ["tag:team=blue tag:urgent", { tag: ["team=blue", "urgent"] }],
    ["workflow:w state:run.running.write", { workflow: "w", state: "run.running.write" }],
    ["since:90m", { since: "2026-01-31T10:30:00.000Z" }],
    ["until:2026-01-30T08:00:00Z", { until: "2026-01-30T08:00:00.000Z" }],
    ["event:message.sent", { event: "message.sent" }],
    ["https://example.com/x", { text: "https://example.com/x" }],
    ["workflow:", {}],
  ])("%j", (text, query) => {
    expect(parseFilter(text, NOW)).toMatchObject({ query, problems: [] });
    expect(parseFilter(text, NOW).query).toEqual(query);
  });

  test.each([
    ["flow:x", /no filter "flow:"; perhaps "workflow:"/],
    ["workflw:x", /perhaps "workflow:"/],
    ["-status:failed", /not exclude/],
    ["status:odd", /no status "odd"/],
    ["since:yesterday", /is no time/],
    ["key:a key:b", /can be given once/],
    ["state:run.x", /needs "workflow:"/],
    ["status: failed", /"status:" has no value; without a space it would be status:failed/],
  ])("says what is wrong with %j", (text, problem) => {
    expect(parseFilter(text, NOW).problems).toEqual([expect.stringMatching(problem)]);
  });

  test("is changed in one field, and kept as it was typed in the others", () => {
    expect(withField('key:"a b"  status:failed text', "status", "queued")).toBe('key:"a b" text status:queued');
    expect(withField("status:failed text", "status", undefined)).toBe("text");
    expect(withField("", "workflow", "two words")).toBe('workflow:"two words"');
  });
});

describe("completion", () => {
  const known = { workflow: ["answer", "ingest"], key: ["tenant 7"] };
  const labels = (text: string, caret = text.length) => suggestionsFor(text, caret, known).map(({ label }) => label);

  test("offers fields, then their values, and takes up what was typed", () => {
    expect(labels("st")).toEqual(["status:", "state:"]);
    expect(labels("workflow:")).toEqual(["answer", "ingest"]);
    expect(labels("workflow:ing")).toEqual(["ingest"]);
    expect(labels("status:queued,")).toEqual(["running", "succeeded", "failed", "cancelled"]);
    expect(labels("workflow:answer")).toEqual([]);
    expect(labels("wo status:failed", 2)).toEqual(["workflow:"]);
  });

  test("puts the value in its place, quoted where it must be, with the caret behind it", () => {
    expect(suggestionsFor("key:ten text", 7, known)[0]).toMatchObject({ text: 'key:"tenant 7" text', caret: 15 });
    expect(suggestionsFor("status:queued,fa", 16, known)[0]).toMatchObject({ text: "status:queued,failed " });
  });
});
