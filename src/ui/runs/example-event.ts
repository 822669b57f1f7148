/** An event to publish that starts something here, with a payload that its workflow takes: for commands to copy. Pure. */
import type { WorkflowView } from "../../protocol/view.ts";

export interface ExampleEvent {
  readonly name: string;
  /** JSON. */
  readonly payload: string;
}

const ANY: ExampleEvent = { name: "user.created", payload: '{"user_id": "ada"}' };

export function exampleEvent(workflows: readonly WorkflowView[]): ExampleEvent {
  for (const { spec } of workflows) {
    // Patterns are no names.
    const name = spec.on.find((subject) => !/[*>]/.test(subject));
    if (name === undefined) continue;
    const payload = exampleOf(spec.inputSchema, "", 0);
    return {
      name,
      payload: JSON.stringify(payload ?? {})
        .replaceAll('":', '": ')
        .replaceAll(',"', ', "'),
    };
  }
  return ANY;
}

/** Nothing but what has to be there. What cannot be guessed (references, unions) is left out. */
function exampleOf(schema: unknown, name: string, depth: number): unknown {
  if (typeof schema !== "object" || schema === null || depth > 6) return undefined;
  const { type, properties, required, format, minimum, ...given } = schema as JsonSchema;
  if (given.const !== undefined) return given.const;
  if (given.enum !== undefined) return given.enum[0];
  if (given.default !== undefined) return given.default;
  switch (type) {
    case "object":
      return Object.fromEntries(
        (required ?? [])
          .map((property) => [property, exampleOf(properties?.[property], property, depth + 1)] as const)
          .filter(([, value]) => value !== undefined),
      );
    case "array":
      return [];
    case "boolean":
      return true;
    case "integer":
    case "number":
      return Math.max(1, minimum ?? 1);
    case "string":
      if (format === "uri") return "https://example.com";
      if (format === "email") return "ada@example.com";
      if (format === "date-time") return "2026-01-31T12:00:00Z";
      return /user|name|author|owner/i.test(name) ? "ada" : "example";
    default:
      return undefined;
  }
}

interface JsonSchema {
  readonly type?: unknown;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly required?: readonly string[];
  readonly format?: unknown;
  readonly minimum?: number;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
}
