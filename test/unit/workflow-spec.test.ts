/** Specifications that come from outside. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineWorkflow } from "../../src/index.ts";
import { parseWorkflowSpec } from "../../src/workflow/parse-spec.ts";

const { spec } = defineWorkflow({
  name: "answer",
  on: ["message.>"],
  cron: { expression: "@daily", timezone: "Europe/Berlin" },
  input: z.object({ id: z.string().default("x") }),
  concurrency: [{ key: "input.id" }, { name: "b", key: () => "b" }],
  scheduleTimeout: "1h",
})
  .step("a", () => 1)
  .step("b", { after: ["a"], timeout: "1s" }, () => 1);

describe("a specification from outside", () => {
  it("is taken as it is where a definition made it", () => {
    expect(parseWorkflowSpec(JSON.parse(JSON.stringify(spec)))).toEqual({ ok: true, spec });
  });

  it("may say more than this release knows", () => {
    expect(parseWorkflowSpec({ ...spec, future: 1 })).toEqual({ ok: true, spec });
  });

  it.each<[string, object, string]>([
    ["no name", { name: undefined }, "name: Invalid input: expected string, received undefined"],
    ["no steps", { steps: [] }, "steps: Too small: expected array to have >=1 items"],
    ["a step before its parent", { steps: [...spec.steps].reverse() }, 'steps[0].after: there is no earlier step "a"'],
    ["a step twice", { steps: [spec.steps[0], spec.steps[0]] }, 'steps[1].name: there is another step "a"'],
    ["a cycle", { steps: [{ ...spec.steps[0], after: ["b"] }, spec.steps[1]] }, 'steps[0].after: there is no earlier step "b"'],
    [
      "a wrong expression",
      { limits: [{ ...spec.limits[0], key: { kind: "cel", expression: "x" } }] },
      "limits[0].key.expression: not a CEL expression: unknown variable: x; an expression knows input, metadata and event (column 1)",
    ],
    ["two limits of one name", { limits: [spec.limits[0], spec.limits[0]] }, "limits: two limits have the same name"],
    ["maxRuns of 0", { limits: [{ ...spec.limits[0], maxRuns: 0 }] }, "limits[0].maxRuns: Too small: expected number to be >=1"],
    [
      "a wrong cron",
      { cron: [{ expression: "x" }] },
      "cron[0].expression: not a cron expression: it must have five fields, or six with seconds first",
    ],
    ["a wrong pattern", { on: ["a b"] }, "on[0]: not a pattern of event names"],
  ])("is refused for %s", (_title, change, message) => {
    expect(parseWorkflowSpec({ ...spec, ...change })).toEqual({ ok: false, message: `not a workflow: ${message}` });
  });

  it("is refused, not thrown at, whatever it is", () => {
    fc.assert(
      fc.property(fc.anything(), fc.constantFrom(...Object.keys(spec)), (value, field) => {
        expect(parseWorkflowSpec(value).ok).toBe(false);
        expect(typeof parseWorkflowSpec({ ...spec, [field]: value }).ok).toBe("boolean");
      }),
    );
  });
});
