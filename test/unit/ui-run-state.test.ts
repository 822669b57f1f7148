/** The State view's models: what changed in a value and in a state, JSON in a line; and the sentence on top of a run. */
import { describe, expect, it } from "vitest";
import type { Explanation, RunView } from "../../src/protocol/view.ts";
import { endingParts } from "../../src/ui/run/model/ending.ts";
import { diffJson, type DiffNode } from "../../src/ui/run/model/json-diff.ts";
import { previewOf } from "../../src/ui/run/model/json-text.ts";
import { lifeOf } from "../../src/ui/run/model/life.ts";
import { type Part, sentenceParts } from "../../src/ui/run/model/sentence.ts";
import { stateRows } from "../../src/ui/run/model/state-tree.ts";
import { cancelledRecord } from "../support/run-lives.ts";

const marks = (node: DiffNode): string[] => [
  ...(node.mark === "same" || node.children !== undefined ? [] : [`${node.mark} ${node.path}`]),
  ...(node.children ?? []).flatMap(marks),
];

describe("what changed in a value", () => {
  it("is marked leaf by leaf, and what contains it is touched", () => {
    const diff = diffJson({ a: 1, b: { c: 2, d: 3 }, gone: { x: 1 } }, { a: 1, b: { c: 4, d: 3 }, fresh: [1] });
    expect(marks(diff)).toEqual(["changed b/c", "added fresh/0", "removed gone/x"]);
    expect(diff.children?.map(({ name, touched }) => [name, touched])).toEqual([
      ["a", false],
      ["b", true],
      ["fresh", true],
      ["gone", true],
    ]);
    expect(diff.children?.[1]?.children?.[0]).toMatchObject({ before: 2, value: 4 });
  });

  it("is nothing where there is nothing before", () => {
    expect(marks(diffJson(undefined, { a: { b: 1 } }))).toEqual([]);
  });

  it("is one item where a list has got one more, at whichever end", () => {
    expect(marks(diffJson({ l: ["a", "b"] }, { l: ["a", "b", "c"] }))).toEqual(["added l/2"]);
    expect(marks(diffJson({ l: [{ x: 1 }, { x: 2 }] }, { l: [{ x: 0 }, { x: 1 }, { x: 2 }] }))).toEqual(["added l/0/x"]);
    expect(marks(diffJson(["a", "b", "c"], ["a", "c"]))).toEqual(["removed -1"]);
  });

  it("tells null, a list, an object and a text apart, and fields that are named like methods", () => {
    expect(marks(diffJson({ a: null, b: [], c: {} }, { a: {}, b: {}, c: [] }))).toEqual([]);
    const kinds = diffJson({ a: null, b: [] }, { a: { x: 1 }, b: { y: 2 } });
    expect(kinds.children?.map(({ mark }) => mark)).toEqual(["changed", "changed"]);
    expect(marks(diffJson({}, JSON.parse('{"__proto__": 1, "constructor": 2}')))).toEqual([
      "added __proto__",
      "added constructor",
    ]);
    expect(diffJson({ "a/b": 1 }, { "a/b": 2 }).children?.[0]?.path).toBe("a~1b");
  });
});

describe("the states of a machine", () => {
  it("are a tree, with those that the frame entered and left", () => {
    const rows = stateRows(
      { running: { a: { attempt: "executing" }, b: "blocked" } },
      { running: { a: { attempt: "ready" }, b: "blocked" } },
      "run",
    );
    expect(rows.map(({ path, depth, mark }) => [path, depth, mark])).toEqual([
      ["run.running", 0, "same"],
      ["run.running.a", 1, "same"],
      ["run.running.a.attempt", 2, "same"],
      ["run.running.a.attempt.executing", 3, "entered"],
      ["run.running.a.attempt.ready", 3, "left"],
      ["run.running.b", 1, "same"],
      ["run.running.b.blocked", 2, "same"],
    ]);
    expect(stateRows("waiting", undefined)).toEqual([{ name: "waiting", path: "waiting", depth: 0, mark: "same", leaf: true }]);
    expect(stateRows(undefined, undefined)).toEqual([]);
  });
});

describe("JSON in a line", () => {
  it("is short, whatever it is made of", () => {
    expect(previewOf({ step: "write", attempt: 2, list: [1, "a", null] })).toBe(
      '{ step: "write", attempt: 2, list: [1, "a", null] }',
    );
    expect(previewOf({})).toBe("{}");
    expect(previewOf(undefined)).toBe("");
    const large = previewOf(Array.from({ length: 100_000 }, (_, index) => ({ index, text: "x".repeat(1_000) })));
    expect(large.length).toBeLessThanOrEqual(160);
    expect(previewOf("<script>")).toBe('"<script>"');
  });
});

const run: RunView = {
  id: "run-1",
  workflow: "answer",
  version: "v1",
  status: "QUEUED",
  input: {},
  keys: [{ limit: "tenant", key: 'ac"me' }],
  priority: 0,
  metadata: {},
  createdAt: "2026-11-23T12:00:00.000Z",
  steps: { write: { status: "RUNNING", attempts: 2, worker: "w-1", startedAt: "2026-11-23T12:00:01.000Z" } },
};
const text = (parts: readonly Part[]): string =>
  parts
    .map((part) => {
      if (part.kind === "text" || part.kind === "quote") return part.text;
      return `<${part.kind}:${"id" in part ? part.id : "name" in part ? part.name : "key" in part ? part.key : part.at}>`;
    })
    .join("");
const explained = (sentence: string, more: Partial<Explanation> = {}): string =>
  text(sentenceParts({ id: "run-1", status: run.status, sentence, ...more }, run));

describe("the sentence on top", () => {
  it("links the group and the runs that hold its slots", () => {
    expect(
      explained(
        'It waits for a slot in limit "tenant" for key "ac"me": 2 of 2 in use by run-12, run-1; it is 4th of 9 in line.',
        {
          holders: ["run-1", "run-12"],
          limit: "tenant",
          key: 'ac"me',
        },
      ),
    ).toBe('It waits for a slot in <group:ac"me>: 2 of 2 in use by <run:run-12>, <run:run-1>; it is 4th of 9 in line.');
  });

  it("links worker and workflow, and lets the time at the worker count", () => {
    expect(explained('It is running step "write" (attempt 2) on worker w-1 for 1m2s350ms.')).toBe(
      "It is running <step:write> (attempt 2) on worker <worker:w-1> for <since:2026-11-23T12:00:01.000Z>.",
    );
    expect(explained('Step "write" is ready, but no worker serves step "write" of workflow "answer".')).toBe(
      "<step:write> is ready, but no worker serves <step:write> of <workflow:answer>.",
    );
  });

  it("counts down to the next attempt, whatever the error says", () => {
    const until = "2026-11-23T12:00:09.500Z";
    expect(explained(`Step "write" failed in attempt 2 (busy) and is tried again at ${until}, in 2s500ms.`, { until })).toBe(
      `<step:write> failed in attempt 2 (busy) and is tried again <until:${until}>.`,
    );
    expect(explained(`It is scheduled for ${until}, due now.`, { until })).toBe(`It is scheduled <until:${until}>.`);
  });
});

describe("how a run ended", () => {
  const finished = {
    ...run,
    finishedAt: "2026-11-23T12:00:03.214Z",
    startedAt: "2026-11-23T12:00:01.000Z",
    admittedAt: "2026-11-23T12:00:01.000Z",
  };

  it("tells of the time it took, of its wait and of retries", () => {
    expect(text(endingParts({ ...finished, status: "SUCCEEDED" }, lifeOf(undefined)))).toBe(
      "It succeeded after 3.21 s, 1.00 s of it waiting; <step:write> took 2 attempts.",
    );
  });

  it("tells of the step that failed, and its error", () => {
    const error = { name: "Error", message: "<b>no</b>", step: "write" };
    expect(text(endingParts({ ...finished, status: "FAILED", reason: "STEP_FAILED", error }, lifeOf(undefined)))).toBe(
      "It failed after 2.21 s: <step:write> failed in attempt 2 on worker <worker:w-1>: <b>no</b>",
    );
  });

  it("tells which run took its place", () => {
    const cancelled = {
      ...finished,
      status: "CANCELLED" as const,
      reason: "CANCELLED_BY_CONCURRENCY_LIMIT",
      keys: [{ limit: "answer", key: "ada" }],
    };
    expect(text(endingParts(cancelled, lifeOf(cancelledRecord())))).toBe(
      "It was cancelled by <group:ada>, 2.21 s after its first step had started: a newer run took its place, <run:run-2>.",
    );
    expect(text(endingParts({ ...cancelled, reason: "CANCELLED_BY_USER" }, lifeOf(undefined)))).toContain("by a user");
  });
});
