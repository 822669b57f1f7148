/**
 * `defineWorkflow` and the definition that it gives: what users write becomes a `WorkflowSpec` (data, for the engine) and
 * functions (for the worker node). Whatever is wrong is reported here, where it is written. Knows no NATS and no machines.
 */
import { DefinitionError, formatIssues, OptionsError } from "../errors.ts";
import { problem, sentences, show, type OptionProblem } from "./parse-options.ts";
import type { StepSpec, WorkflowSpec } from "./spec.ts";
import { jsonSchemaOf, parseWithSchema, type ParsedInput } from "./standard-schema.ts";
import { hashOf } from "./version.ts";
import { readStepOptions, readWorkflowOptions, stepNameProblem, type ReadWorkflow } from "./workflow-options.ts";
import type { AnyWorkflow, StepHandler, Workflow, WorkflowInternals, WorkflowOptions } from "./workflow.ts";

/**
 * Defines a workflow; add its steps with `.step(name, options?, handler)`. Nothing runs yet: a worker node registers the definition
 * when it starts, and changed definitions are new versions (the version is a hash of everything but the functions).
 *
 * ```ts
 * const answer = defineWorkflow({ name: "answer", on: "message.sent", input: z.object({ text: z.string() }) })
 *   .step("retrieve", async (ctx) => ({ documents: await search(ctx.input.text, ctx.signal) }))
 *   .step("write", { after: ["retrieve"], retries: 3, timeout: "30s" }, (ctx) => complete(ctx.output("retrieve").documents, ctx.signal));
 * ```
 * @throws DefinitionError (`DEFINITION_INVALID`) saying what was expected, what came and where
 */
export function defineWorkflow<TInput = unknown, TRawInput = TInput>(
  options: WorkflowOptions<TInput, TRawInput>,
): Workflow<TInput, TRawInput, Record<never, never>> {
  const read = readWorkflowOptions(options);
  const name = nameOf(options);
  if (!read.ok) throw definitionError(read.problems, { workflow: name });
  const wrong = cronInputProblems(read.value);
  if (wrong.length > 0) throw definitionError(wrong, { workflow: name });
  // The only place where the types and what they describe meet: the builder's methods take what the types allow.
  return new Definition(read.value, [], new Map()) as unknown as Workflow<TInput, TRawInput, Record<never, never>>;
}

/** Whether a value is a workflow definition, also of another copy of this package. */
export function isWorkflow(value: unknown): value is AnyWorkflow {
  if (typeof value !== "object" || value === null || !("~sluice" in value)) return false;
  const internals = value["~sluice"];
  return typeof internals === "object" && internals !== null && "handlers" in internals;
}

/**
 * Of what a user passed as a workflow, the parts that the worker node needs.
 * @throws OptionsError (`OPTIONS_INVALID`) where it is none, DefinitionError (`DEFINITION_INVALID`) where it has no steps
 */
export function internalsOf(value: unknown, path = "workflow"): WorkflowInternals & { readonly spec: WorkflowSpec } {
  if (!isWorkflow(value)) {
    const expected = "a workflow made by defineWorkflow";
    throw new OptionsError(`expected '${path}' to be ${expected}, got ${show(value)}`, { path, expected, received: value });
  }
  return { spec: value.spec, ...value["~sluice"] };
}

class Definition implements AnyWorkflow {
  readonly name: string;
  readonly #workflow: ReadWorkflow;
  readonly #steps: readonly StepSpec[];
  readonly #handlers: ReadonlyMap<string, StepHandler>;
  #spec: WorkflowSpec | undefined = undefined;

  constructor(workflow: ReadWorkflow, steps: readonly StepSpec[], handlers: ReadonlyMap<string, StepHandler>) {
    this.name = workflow.name;
    this.#workflow = workflow;
    this.#steps = steps;
    this.#handlers = handlers;
    Object.freeze(this);
  }

  step(name: unknown, ...rest: readonly unknown[]): Definition {
    const workflow = this.#workflow.name;
    const wrongName = stepNameProblem(name, this.#steps);
    if (wrongName !== undefined || typeof name !== "string") {
      throw definitionError(wrongName === undefined ? [] : [wrongName], {
        workflow,
        step: typeof name === "string" ? name : undefined,
      });
    }
    const [options, handler] = rest.length < 2 ? [{}, rest[0]] : rest;
    if (typeof handler !== "function") {
      const hint = typeof rest[0] === "function" ? "the options come before the handler" : undefined;
      throw definitionError([problem(["handler"], "a function", handler, hint)], { workflow, step: name });
    }
    const read = readStepOptions(name, options, this.#steps, this.#workflow.stepDefaults);
    if (!read.ok) throw definitionError(read.problems, { workflow, step: name });
    return new Definition(
      this.#workflow,
      [...this.#steps, read.value],
      new Map(this.#handlers).set(name, handler as StepHandler),
    );
  }

  get spec(): WorkflowSpec {
    // Made when it is first asked for: every definition on the way of a chain would be hashed in vain.
    this.#spec ??= specOf(this.#workflow, this.#steps);
    return this.#spec;
  }

  get "~sluice"(): WorkflowInternals {
    const { schema, keys } = this.#workflow;
    return {
      handlers: this.#handlers,
      keys,
      parseInput: (value): ParsedInput | Promise<ParsedInput> =>
        schema === undefined ? { ok: true, value } : parseWithSchema(schema, value),
    };
  }
}

function specOf(workflow: ReadWorkflow, steps: readonly StepSpec[]): WorkflowSpec {
  if (steps.length === 0)
    throw definitionError([problem(["steps"], "at least one step", [], "add one with .step(name, handler)")], {
      workflow: workflow.name,
    });
  const inputSchema = workflow.schema === undefined ? undefined : jsonSchemaOf(workflow.schema);
  const { name, on, cron, limits, scheduleTimeoutMs, onStepFailure, graceMs } = workflow;
  const content = {
    name,
    on,
    cron,
    steps,
    limits,
    onStepFailure,
    graceMs,
    ...(scheduleTimeoutMs === undefined ? {} : { scheduleTimeoutMs }),
    ...(inputSchema === undefined ? {} : { inputSchema }),
  };
  return deepFreeze({ ...content, version: hashOf(content) });
}

/** The inputs of crons are known now, so what the schema says of them is too. Asynchronous schemas are left for later. */
function cronInputProblems({ schema, cron }: ReadWorkflow): OptionProblem[] {
  if (schema === undefined) return [];
  return cron.flatMap(({ input }, index) => {
    const parsed = parseWithSchema(schema, input);
    if (parsed instanceof Promise || parsed.ok) return [];
    return [
      problem(["cron", index, "input"], "an input that satisfies the workflow's schema", input, formatIssues(parsed.issues)),
    ];
  });
}

function definitionError(
  problems: readonly OptionProblem[],
  { workflow, step }: { readonly workflow: string | undefined; readonly step?: string | undefined },
): DefinitionError {
  const of = workflow === undefined ? "defineWorkflow" : `workflow "${workflow}"`;
  const where = step === undefined ? of : `${of}, step "${step}"`;
  const { path, expected, received } = problems[0] ?? { path: "", expected: "", received: undefined };
  return new DefinitionError(sentences(problems, where), { path, expected, received, workflow, step });
}

function nameOf(options: unknown): string | undefined {
  if (typeof options !== "object" || options === null || !("name" in options) || typeof options.name !== "string")
    return undefined;
  return options.name === "" ? undefined : options.name.slice(0, 64);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
