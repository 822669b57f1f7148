/**
 * Reads a JSON Schema as a form sees it: what kind of field a schema wants, its choices, its bounds. It understands what schema
 * libraries produce (objects, arrays, enums, unions, `$ref` within the schema); whatever else stands in a schema becomes a
 * field for JSON. Pure.
 */

export type JsonSchema = Readonly<Record<string, unknown>>;

export type FieldKind =
  | "string"
  | "number"
  | "integer"
  | "boolean"
  | "choice"
  | "object"
  | "record"
  | "array"
  | "union"
  | "null"
  | "json";

export interface Shape {
  readonly kind: FieldKind;
  /** The schema behind references. */
  readonly schema: JsonSchema;
  readonly title: string | undefined;
  readonly description: string | undefined;
  readonly fallback: { readonly value: unknown } | undefined;
  /** Whether null is as good as a value: `X | null`. */
  readonly nullable: boolean;
  readonly choices: readonly unknown[];
  readonly variants: readonly JsonSchema[];
  readonly properties: readonly Property[];
}

export interface Property {
  readonly name: string;
  readonly schema: JsonSchema;
  readonly required: boolean;
}

const MAX_REFS = 20;

export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a schema asks for. `root` is where its references lead. */
export function shapeOf(schema: JsonSchema, root: JsonSchema): Shape {
  let resolved = resolve(schema, root);
  let nullable = false;
  const branches = variantsOf(resolved);
  let variants: readonly JsonSchema[] = [];
  if (branches !== undefined) {
    const others = branches.filter((branch) => resolve(branch, root)["type"] !== "null");
    nullable = others.length < branches.length;
    const [only] = others;
    if (others.length === 1 && only !== undefined) {
      const { anyOf: _anyOf, oneOf: _oneOf, ...about } = resolved;
      resolved = { ...resolve(only, root), ...about };
    } else variants = others;
  }
  const type = resolved["type"];
  if (Array.isArray(type) && type.includes("null")) {
    nullable = true;
    const rest = type.filter((one) => one !== "null");
    resolved = { ...resolved, type: rest.length === 1 ? rest[0] : rest };
  }
  const types = resolved["type"];
  if (Array.isArray(types) && variants.length === 0) variants = types.map((one: unknown) => ({ ...resolved, type: one }));
  const title = resolved["title"];
  const description = resolved["description"];
  return {
    kind: variants.length > 0 ? "union" : kindOf(resolved),
    schema: resolved,
    title: typeof title === "string" ? title : undefined,
    description: typeof description === "string" ? description : undefined,
    fallback: "default" in resolved ? { value: resolved["default"] } : undefined,
    nullable,
    choices: choicesOf(resolved),
    variants,
    properties: propertiesOf(resolved),
  };
}

/** What a form begins with: nothing but what has to be there, so that defaults are the workflow's to fill in. */
export function blank(schema: JsonSchema, root: JsonSchema, depth = 0): unknown {
  const shape = shapeOf(schema, root);
  if (shape.nullable && shape.kind !== "object") return null;
  switch (shape.kind) {
    case "object": {
      const value: Record<string, unknown> = {};
      if (depth > 8) return value; // a schema that refers to itself
      for (const property of shape.properties) {
        if (!property.required) continue;
        const begin = blank(property.schema, root, depth + 1);
        if (begin !== undefined) value[property.name] = begin;
      }
      return value;
    }
    case "array":
      return [];
    case "record":
      return {};
    case "boolean":
      return shape.fallback === undefined ? false : undefined;
    case "choice":
      return shape.choices.length === 1 ? shape.choices[0] : undefined;
    case "union":
      return shape.variants[0] === undefined ? undefined : blank(shape.variants[0], root, depth + 1);
    case "null":
      return null;
    default:
      return undefined;
  }
}

/** The first variant that a value fits by its type and constants; for forms that are filled in already. */
export function variantOf(value: unknown, variants: readonly JsonSchema[], root: JsonSchema): number {
  const found = variants.findIndex((variant) => fits(value, shapeOf(variant, root), root));
  return found === -1 ? 0 : found;
}

function fits(value: unknown, shape: Shape, root: JsonSchema): boolean {
  switch (shape.kind) {
    case "string":
      return typeof value === "string";
    case "number":
    case "integer":
      return typeof value === "number";
    case "boolean":
      return typeof value === "boolean";
    case "choice":
      return shape.choices.some((choice) => JSON.stringify(choice) === JSON.stringify(value));
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
    case "record":
      return (
        isSchema(value) &&
        // The constants of discriminated unions.
        shape.properties.every(({ name, schema }) => {
          const property = shapeOf(schema, root);
          return property.kind !== "choice" || value[name] === undefined || fits(value[name], property, root);
        })
      );
    default:
      return true;
  }
}

/** A name for a variant of a union: its title, its constant, or its type. */
export function variantName(variant: JsonSchema, root: JsonSchema): string {
  const shape = shapeOf(variant, root);
  if (shape.title !== undefined) return shape.title;
  for (const property of shape.properties) {
    const constant = resolve(property.schema, root)["const"];
    if (typeof constant === "string") return constant;
  }
  if (shape.kind === "choice") return shape.choices.map((choice) => JSON.stringify(choice)).join(" | ");
  return shape.kind === "object" && shape.properties.length > 0
    ? `{ ${shape.properties.map(({ name }) => name).join(", ")} }`
    : shape.kind;
}

/** For people: the type and bounds of a field, such as `integer, 1 to 10`. */
export function constraintsOf(shape: Shape): string {
  const { schema } = shape;
  const number = (name: string): number | undefined => (typeof schema[name] === "number" ? schema[name] : undefined);
  const least = number("minimum") ?? number("exclusiveMinimum");
  // What schema libraries write for "any safe integer" tells nobody anything.
  const most = number("maximum") ?? number("exclusiveMaximum");
  const parts: string[] = [];
  const format = schema["format"];
  parts.push(
    shape.kind === "json" ? "any JSON" : typeof format === "string" ? format : shape.kind === "choice" ? "choice" : shape.kind,
  );
  const min = least === undefined || least <= Number.MIN_SAFE_INTEGER ? undefined : least;
  const max = most === undefined || most >= Number.MAX_SAFE_INTEGER ? undefined : most;
  if (min !== undefined && max !== undefined) parts.push(`${min} to ${max}`);
  else if (min !== undefined) parts.push(`${schema["minimum"] === undefined ? "above" : "at least"} ${min}`);
  else if (max !== undefined) parts.push(`${schema["maximum"] === undefined ? "below" : "at most"} ${max}`);
  const shortest = number("minLength");
  const longest = number("maxLength");
  if (shortest !== undefined && longest !== undefined) parts.push(`${shortest} to ${longest} characters`);
  else if (longest !== undefined) parts.push(`at most ${longest} characters`);
  else if (shortest !== undefined && shortest > 1) parts.push(`at least ${shortest} characters`);
  if (shape.nullable) parts.push("or null");
  return parts.join(", ");
}

function kindOf(schema: JsonSchema): FieldKind {
  if ("const" in schema || Array.isArray(schema["enum"])) return "choice";
  switch (schema["type"]) {
    case "string":
    case "number":
    case "integer":
    case "boolean":
    case "null":
      return schema["type"];
    case "array":
      return isSchema(schema["items"]) && schema["prefixItems"] === undefined ? "array" : "json";
    case "object":
      if (isSchema(schema["properties"]) && Object.keys(schema["properties"]).length > 0) return "object";
      if (isSchema(schema["additionalProperties"]) && Object.keys(schema["additionalProperties"]).length > 0) return "record";
      return schema["additionalProperties"] === false ? "object" : "json";
    default:
      return isSchema(schema["properties"]) ? "object" : "json";
  }
}

function variantsOf(schema: JsonSchema): readonly JsonSchema[] | undefined {
  const branches = schema["anyOf"] ?? schema["oneOf"];
  return Array.isArray(branches) && branches.length > 0 && branches.every(isSchema) ? branches : undefined;
}

function choicesOf(schema: JsonSchema): readonly unknown[] {
  if ("const" in schema) return [schema["const"]];
  return Array.isArray(schema["enum"]) ? schema["enum"] : [];
}

function propertiesOf(schema: JsonSchema): readonly Property[] {
  const properties = schema["properties"];
  if (!isSchema(properties)) return [];
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  return Object.entries(properties).map(([name, property]) => ({
    name,
    schema: isSchema(property) ? property : {},
    required: required.includes(name),
  }));
}

/** Follows `$ref`s; titles and defaults beside a reference count more than those behind it. */
function resolve(schema: JsonSchema, root: JsonSchema): JsonSchema {
  let resolved = schema;
  for (let i = 0; i < MAX_REFS && typeof resolved["$ref"] === "string"; i++) {
    const { $ref, ...about } = resolved;
    const target = at(root, $ref as string);
    if (target === undefined) return about;
    resolved = { ...target, ...about };
  }
  // `allOf` of one is how a reference gets a description in older drafts.
  const all = resolved["allOf"];
  if (Array.isArray(all) && all.length === 1 && isSchema(all[0])) {
    const { allOf: _, ...about } = resolved;
    return { ...resolve(all[0], root), ...about };
  }
  return resolved;
}

function at(root: JsonSchema, ref: string): JsonSchema | undefined {
  if (ref === "#") return root;
  if (!ref.startsWith("#/")) return undefined;
  let value: unknown = root;
  for (const part of ref.slice(2).split("/")) {
    if (!isSchema(value)) return undefined;
    value = value[decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return isSchema(value) ? value : undefined;
}
