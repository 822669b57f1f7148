/** Forms made from schemas: what a schema asks for, what a draft begins with, and what is said against it. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { check, getAt, issuesAt, setAt, toPath } from "../../src/ui/workflows/draft.ts";
import { blank, constraintsOf, type JsonSchema, shapeOf, variantOf } from "../../src/ui/workflows/schema.ts";
import { layoutSteps } from "../../src/ui/workflows/steps-layout.ts";

/** As it reaches the page. */
const schemaOf = (input: z.ZodType): JsonSchema =>
  defineWorkflow({ name: "w", input: input as never }).step("s", () => 1).spec.inputSchema as JsonSchema;
const kindsOf = (schema: JsonSchema) =>
  Object.fromEntries(shapeOf(schema, schema).properties.map(({ name, schema: inner }) => [name, shapeOf(inner, schema).kind]));

describe("a form", () => {
  it("has the fields that a schema library's schema asks for", () => {
    const tree: z.ZodType = z.object({
      name: z.string(),
      get children() {
        return z.array(tree);
      },
    });
    const schema = schemaOf(
      z.object({
        text: z.string(),
        whole: z.int(),
        ratio: z.number().nullable(),
        yes: z.boolean(),
        one: z.enum(["a", "b"]),
        exactly: z.literal(3),
        list: z.array(z.string()),
        inner: z.object({ x: z.string() }),
        free: z.record(z.string(), z.number()),
        either: z.union([z.string(), z.number()]),
        kind: z.discriminatedUnion("t", [z.object({ t: z.literal("x") }), z.object({ t: z.literal("y") })]),
        any: z.any(),
        pair: z.tuple([z.string(), z.number()]),
        tree,
      }),
    );
    expect(kindsOf(schema)).toEqual({
      text: "string",
      whole: "integer",
      ratio: "number",
      yes: "boolean",
      one: "choice",
      exactly: "choice",
      list: "array",
      inner: "object",
      free: "record",
      either: "union",
      kind: "union",
      any: "json",
      pair: "json",
      tree: "object",
    });
    expect(shapeOf((schema["properties"] as Record<string, JsonSchema>)["ratio"] ?? {}, schema).nullable).toBe(true);
  });

  it("begins with what has to be there, and leaves defaults to the workflow", () => {
    const schema = schemaOf(
      z.object({
        name: z.string(),
        on: z.boolean(),
        list: z.array(z.string()),
        only: z.literal("v1"),
        inner: z.object({ flag: z.boolean(), rest: z.string().optional() }),
        size: z.number().default(3),
      }),
    );
    expect(blank(schema, schema)).toEqual({ on: false, list: [], only: "v1", inner: { flag: false } });
  });

  it("does not lose itself in a schema that contains itself", () => {
    const schema: JsonSchema = { type: "object", properties: { next: { $ref: "#" } }, required: ["next"] };
    expect(blank(schema, schema)).toBeTypeOf("object");
  });

  it("says what is missing or out of bounds, with its path", () => {
    const schema = schemaOf(
      z.object({ name: z.string().min(1), pages: z.int().min(1).max(9).optional(), rows: z.array(z.object({ id: z.string() })) }),
    );
    expect(check({ name: "", pages: 2.5, rows: [{}] }, schema, schema)).toEqual([
      { path: ["name"], message: "must not be empty" },
      { path: ["pages"], message: "expected a whole number" },
      { path: ["rows", 0, "id"], message: "is required" },
    ]);
    expect(check({ name: "x", rows: [{ id: "1" }] }, schema, schema)).toEqual([]);
  });

  it("tells bounds for people", () => {
    const schema = schemaOf(z.object({ n: z.int().min(1), m: z.number().max(5), s: z.string().max(10), any: z.int() }));
    const texts = shapeOf(schema, schema).properties.map(({ schema: inner }) => constraintsOf(shapeOf(inner, schema)));
    expect(texts).toEqual(["integer, at least 1", "number, at most 5", "string, at most 10 characters", "integer"]);
  });

  it("finds the variant that a value belongs to", () => {
    const schema = schemaOf(z.discriminatedUnion("t", [z.object({ t: z.literal("x") }), z.object({ t: z.literal("y") })]));
    expect(variantOf({ t: "y" }, shapeOf(schema, schema).variants, schema)).toBe(1);
  });
});

describe("a draft", () => {
  it("is changed at a path, and not in place", () => {
    const before = { a: [{ b: 1 }], c: 2 };
    const after = setAt(before, ["a", 0, "b"], 5);
    expect(after).toEqual({ a: [{ b: 5 }], c: 2 });
    expect(before.a[0]?.b).toBe(1);
    expect(setAt(after, ["c"], undefined)).toEqual({ a: [{ b: 5 }] });
    expect(setAt(undefined, ["x", "y"], 1)).toEqual({ x: { y: 1 } });
    expect(getAt(after, ["a", 0, "b"])).toBe(5);
    const odd = setAt({}, ["__proto__"], { polluted: true });
    expect(Object.keys(odd as object)).toEqual(["__proto__"]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it("shows the server's issues at the places that they name", () => {
    const issues = [
      { path: toPath("items[2].name"), message: "too long" },
      { path: toPath(undefined), message: "odd" },
    ];
    expect(issues[0]?.path).toEqual(["items", 2, "name"]);
    expect(issuesAt(issues, ["items", 2, "name"])).toHaveLength(1);
    expect(issuesAt(issues, ["items"])).toHaveLength(0);
    expect(issuesAt(issues, ["items"], true)).toHaveLength(1);
    expect(issuesAt(issues, [])).toHaveLength(1);
  });
});

describe("the drawing of steps", () => {
  it("puts each step behind all that it waits for, and draws no line that others imply", () => {
    const { steps, edges, columns, rows } = layoutSteps([
      { name: "a", after: [] },
      { name: "b", after: ["a"] },
      { name: "c", after: ["a"] },
      { name: "d", after: ["a", "b", "c"] },
    ]);
    expect(steps.map(({ name, column, row }) => `${name} ${column} ${row}`)).toEqual(["a 0 0", "b 1 0", "c 1 1", "d 2 0"]);
    expect(edges.map(({ from, to }) => `${from.name}${to.name}`)).toEqual(["ab", "ac", "bd", "cd"]);
    expect([columns, rows]).toEqual([3, 2]);
  });
});
