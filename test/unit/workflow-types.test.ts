/** What the compiler knows of a workflow. The assertions hold when this file compiles; running it shows that they are about real values. */
import { describe, expectTypeOf, it } from "vitest";
import { z } from "zod";
import {
  defineWorkflow,
  Strategy,
  type AnyWorkflow,
  type Metadata,
  type StepContext,
  type TriggerEvent,
  type WorkflowInput,
  type WorkflowOutputs,
} from "../../src/index.ts";

const schema = z.object({ user_id: z.string(), text: z.string(), limit: z.number().default(10), at: z.coerce.date().optional() });

describe("the types of a workflow", () => {
  it("give handlers the output of the schema and callers its input", () => {
    const workflow = defineWorkflow({ name: "typed", on: ["message.sent"], input: schema }).step("one", (ctx) => {
      expectTypeOf(ctx.input).toEqualTypeOf<{ user_id: string; text: string; limit: number; at?: Date | undefined }>();
      expectTypeOf(ctx.signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf(ctx.event).toEqualTypeOf<TriggerEvent | undefined>();
      expectTypeOf(ctx.metadata).toEqualTypeOf<Metadata>();
      return 1;
    });
    expectTypeOf<WorkflowInput<typeof workflow>>().toEqualTypeOf<z.input<typeof schema>>();
    expectTypeOf<WorkflowInput<typeof workflow>["limit"]>().toEqualTypeOf<number | undefined>();
  });

  it("give key functions the output of the schema, in one limit and in a list", () => {
    defineWorkflow({
      name: "keyed",
      input: schema,
      concurrency: {
        key: (ctx) => {
          expectTypeOf(ctx.input.limit).toEqualTypeOf<number>();
          expectTypeOf(ctx.event).toEqualTypeOf<TriggerEvent | undefined>();
          return ctx.input.user_id;
        },
        maxRuns: 1,
        strategy: Strategy.CANCEL_IN_PROGRESS,
      },
    });
    defineWorkflow({
      name: "keyed",
      input: schema,
      concurrency: [
        { name: "a", key: (ctx) => ctx.input.text },
        { name: "b", key: "input.user_id", strategy: "CANCEL_NEWEST" },
      ],
    });
    // @ts-expect-error there is no such property in the input
    defineWorkflow({ name: "keyed", input: schema, concurrency: { key: (ctx) => ctx.input.userId } });
    // @ts-expect-error a key is a string
    defineWorkflow({ name: "keyed", input: schema, concurrency: { key: (ctx) => ctx.input.limit } });
  });

  it("give a step the outputs of the steps in `after`, and of those before them", () => {
    const workflow = defineWorkflow({ name: "chain", input: schema })
      .step("retrieve", async (ctx) => ({ documents: [ctx.input.text] }))
      .step("count", () => 3)
      .step("write", { after: ["retrieve"], retries: 3, timeout: "30s" }, async (ctx) => {
        expectTypeOf(ctx.output("retrieve")).toEqualTypeOf<{ documents: string[] }>();
        // @ts-expect-error `count` is not before `write`
        void (() => ctx.output("count"));
        return { text: ctx.output("retrieve").documents.join() };
      })
      .step("send", { after: ["write", "count"] }, (ctx) => {
        expectTypeOf(ctx.output("write")).toEqualTypeOf<{ text: string }>();
        expectTypeOf(ctx.output("count")).toEqualTypeOf<number>();
        expectTypeOf(ctx.output("retrieve").documents).toEqualTypeOf<string[]>();
        // @ts-expect-error a step is not before itself
        void (() => ctx.output("send"));
      })
      .step("alone", { retries: 1 }, (ctx) => {
        expectTypeOf<Parameters<typeof ctx.output>[0]>().toEqualTypeOf<never>();
        return true;
      });
    expectTypeOf<WorkflowOutputs<typeof workflow>>().toEqualTypeOf<{
      readonly retrieve: { documents: string[] };
      readonly count: number;
      readonly write: { text: string };
      readonly send: null;
      readonly alone: boolean;
    }>();
  });

  it("refuse unknown parents, names that are taken and unknown options", () => {
    const define = (): void => {
      const workflow = defineWorkflow({ name: "wrong" }).step("one", () => 1);
      // @ts-expect-error there is no step `two`
      workflow.step("three", { after: ["two"] }, () => 1);
      // @ts-expect-error there is a step `one`
      workflow.step("one", () => 2);
      // @ts-expect-error it is called `retries`
      workflow.step("two", { retry: 1 }, () => 1);
      // @ts-expect-error it is called `maxRuns`
      defineWorkflow({ name: "wrong", concurrency: { key: "input.x", limit: 1 } });
      // @ts-expect-error there is no such strategy
      defineWorkflow({ name: "wrong", concurrency: { key: "input.x", strategy: "NEWEST" } });
      // @ts-expect-error a workflow has a name
      defineWorkflow({ on: "x" });
      // @ts-expect-error the input of a cron satisfies the schema
      defineWorkflow({ name: "wrong", input: schema, cron: { expression: "@daily", input: { user_id: 1 } } });
    };
    expectTypeOf(define).returns.toEqualTypeOf<void>();
  });

  it("leave the input unknown without a schema, or take it as it is given", () => {
    defineWorkflow({ name: "untyped" }).step("one", (ctx) => {
      expectTypeOf(ctx.input).toEqualTypeOf<unknown>();
    });
    const given = defineWorkflow<{ id: number }>({ name: "given", concurrency: { key: (ctx) => String(ctx.input.id) } }).step(
      "one",
      (ctx) => ctx.input.id,
    );
    expectTypeOf<WorkflowInput<typeof given>>().toEqualTypeOf<{ id: number }>();
    expectTypeOf<WorkflowOutputs<typeof given>>().toEqualTypeOf<{ readonly one: number }>();
  });

  it("say what JSON makes of outputs", () => {
    class Document {
      title = "x";
      size(): number {
        return 1;
      }
    }
    interface Tree {
      value: number;
      children: Tree[];
    }
    const workflow = defineWorkflow({ name: "json" })
      .step("date", () => ({ at: new Date(), maybe: undefined as string | undefined, list: [new Date()] as const }))
      .step("instance", () => new Document())
      .step("nothing", async () => {})
      .step("union", () => (Math.random() > 2 ? "text" : { n: 1 }))
      .step("record", () => ({}) as Record<string, Date>)
      .step("tree", (): Tree => ({ value: 1, children: [] }))
      .step("unknown", (): unknown => 1)
      .step("literal", () => "done" as const);
    type Outputs = WorkflowOutputs<typeof workflow>;
    expectTypeOf<Outputs["date"]>().toEqualTypeOf<{ at: string; maybe?: string; list: readonly [string] }>();
    expectTypeOf<Outputs["instance"]>().toEqualTypeOf<{ title: string }>();
    expectTypeOf<Outputs["nothing"]>().toEqualTypeOf<null>();
    expectTypeOf<Outputs["union"]>().toEqualTypeOf<"text" | { n: number }>();
    expectTypeOf<Outputs["record"]>().toEqualTypeOf<Record<string, string>>();
    expectTypeOf<Outputs["tree"]["children"][number]["value"]>().toEqualTypeOf<number>();
    expectTypeOf<Outputs["unknown"]>().toEqualTypeOf<unknown>();
    expectTypeOf<Outputs["literal"]>().toEqualTypeOf<"done">();
  });

  it("let workflows of all kinds stand in one list", () => {
    const a = defineWorkflow({ name: "a", input: schema, concurrency: { key: (ctx) => ctx.input.text } }).step("one", () => 1);
    const b = defineWorkflow({ name: "b" })
      .step("one", () => 1)
      .step("two", { after: ["one"] }, (ctx) => ctx.output("one"));
    const list: readonly AnyWorkflow[] = [a, b];
    expectTypeOf(list).items.toEqualTypeOf<AnyWorkflow>();
    // @ts-expect-error an object that only looks like one is none
    const wrong: AnyWorkflow = { name: "x", spec: a.spec };
    void wrong;
  });

  it("let a handler be written apart, for its context", () => {
    const handler = async (ctx: StepContext<{ id: string }>): Promise<string> => ctx.input.id;
    const workflow = defineWorkflow<{ id: string }>({ name: "apart" }).step("one", handler);
    expectTypeOf<WorkflowOutputs<typeof workflow>>().toEqualTypeOf<{ readonly one: string }>();
  });
});
