/**
 * Standard Schema, version 1: the interface that zod, Valibot, ArkType and others share (https://standardschema.dev), so that any
 * of them can describe a workflow's input. Copied here, as the specification recommends; and what we do with such a schema.
 */
import { toJSONSchema, type $ZodType } from "zod/v4/core";
import type { InputIssue } from "../errors.ts";

/** A schema of any library that implements Standard Schema: zod, Valibot, ArkType, … */
export interface InputSchema<TRawInput = unknown, TInput = TRawInput> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<TInput> | Promise<SchemaResult<TInput>>;
    readonly types?: { readonly input: TRawInput; readonly output: TInput } | undefined;
  };
}

export type SchemaResult<TInput> =
  | { readonly value: TInput; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a schema makes of an input. */
export type ParsedInput =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly issues: readonly InputIssue[] };

export function isInputSchema(value: unknown): value is InputSchema {
  if ((typeof value !== "object" && typeof value !== "function") || value === null || !("~standard" in value)) return false;
  const standard = value["~standard"];
  return typeof standard === "object" && standard !== null && "validate" in standard && typeof standard.validate === "function";
}

/** Applies a schema. A promise only where the schema is asynchronous; what the schema throws becomes an issue. */
export function parseWithSchema(schema: InputSchema, value: unknown): ParsedInput | Promise<ParsedInput> {
  try {
    const result = schema["~standard"].validate(value);
    return result instanceof Promise ? result.then(toParsed, fromThrown) : toParsed(result);
  } catch (error) {
    return fromThrown(error);
  }
}

/**
 * The JSON Schema of what the schema takes, or `undefined` where there is none (a library without JSON Schema, a type that
 * JSON Schema cannot express). Never throws.
 */
export function jsonSchemaOf(schema: InputSchema): unknown {
  const standard: { readonly vendor: string; readonly jsonSchema?: unknown } = schema["~standard"];
  try {
    const made = hasInputConverter(standard.jsonSchema)
      ? standard.jsonSchema.input({ target: "draft-2020-12" })
      : standard.vendor === "zod"
        ? toJSONSchema(schema as unknown as $ZodType, { io: "input" })
        : undefined;
    return made === undefined ? undefined : (JSON.parse(JSON.stringify(made)) as unknown);
  } catch {
    return undefined;
  }
}

/** Standard JSON Schema, which newer versions of the libraries implement beside Standard Schema. */
function hasInputConverter(value: unknown): value is { input(options: { readonly target: string }): unknown } {
  return typeof value === "object" && value !== null && "input" in value && typeof value.input === "function";
}

function toParsed(result: SchemaResult<unknown>): ParsedInput {
  if (result.issues === undefined) return { ok: true, value: result.value };
  return { ok: false, issues: result.issues.map(({ message, path = [] }) => ({ message, path: path.map(toPathPart) })) };
}

function toPathPart(part: PropertyKey | { readonly key: PropertyKey }): string | number {
  const key = typeof part === "object" ? part.key : part;
  return typeof key === "symbol" ? String(key) : key;
}

function fromThrown(error: unknown): ParsedInput {
  return {
    ok: false,
    issues: [{ message: `the schema threw: ${error instanceof Error ? error.message : String(error)}`, path: [] }],
  };
}
