/**
 * What someone is filling in: a JSON value that is changed at a path, and the problems that belong to its places. Pure.
 */
import { type JsonSchema, shapeOf } from "./schema.ts";

export type Path = readonly (string | number)[];

export interface FieldIssue {
  readonly path: Path;
  readonly message: string;
}

/** A copy with `value` at `path`; undefined takes it out. Objects on the way are made where they are missing. */
export function setAt(draft: unknown, path: Path, value: unknown): unknown {
  const [head, ...rest] = path;
  if (head === undefined) return value;
  if (typeof head === "number") {
    const list = Array.isArray(draft) ? [...(draft as unknown[])] : [];
    if (rest.length === 0 && value === undefined) list.splice(head, 1);
    else list[head] = setAt(list[head], rest, value);
    return list;
  }
  const object: Record<string, unknown> =
    typeof draft === "object" && draft !== null && !Array.isArray(draft) ? { ...(draft as Record<string, unknown>) } : {};
  const inner = setAt(object[head], rest, value);
  if (inner === undefined) delete object[head];
  // Not by assignment: a property may be called `__proto__`.
  else Object.defineProperty(object, head, { value: inner, enumerable: true, configurable: true, writable: true });
  return object;
}

export function getAt(draft: unknown, path: Path): unknown {
  let value = draft;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

/** A server's path: a list, or text such as `items[0].name`. */
export function toPath(path: string | readonly (string | number)[] | undefined): Path {
  if (path === undefined) return [];
  if (typeof path !== "string") return path;
  const parts: (string | number)[] = [];
  for (const [, name, index, quoted] of path.matchAll(/([^.[\]]+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]/g)) {
    if (index !== undefined) parts.push(Number(index));
    else parts.push(quoted ?? name ?? "");
  }
  return parts;
}

export function samePath(a: Path, b: Path): boolean {
  return a.length === b.length && a.every((part, i) => String(part) === String(b[i]));
}

/** Problems for a place and, at a place that shows no fields of its own (`whole`), for everything inside of it. */
export function issuesAt(issues: readonly FieldIssue[], path: Path, whole = false): readonly FieldIssue[] {
  return issues.filter(
    (issue) =>
      samePath(issue.path, path) ||
      (whole && issue.path.length > path.length && samePath(issue.path.slice(0, path.length), path)),
  );
}

/** What the schema says against a draft, as far as a form can see; the workflow's own schema has the last word. */
export function check(draft: unknown, schema: JsonSchema, root: JsonSchema, path: Path = []): FieldIssue[] {
  const shape = shapeOf(schema, root);
  const problem = (message: string): FieldIssue[] => [{ path, message }];
  if (draft === undefined || (draft === null && shape.nullable)) return [];
  const bound = (name: string): number | undefined => {
    const value = shape.schema[name];
    return typeof value === "number" ? value : undefined;
  };
  switch (shape.kind) {
    case "string": {
      if (typeof draft !== "string") return problem("expected a text");
      const least = bound("minLength");
      const most = bound("maxLength");
      if (least !== undefined && draft.length < least)
        return problem(least === 1 ? "must not be empty" : `at least ${least} characters`);
      if (most !== undefined && draft.length > most) return problem(`at most ${most} characters`);
      return [];
    }
    case "number":
    case "integer": {
      if (typeof draft !== "number") return problem("expected a number");
      if (shape.kind === "integer" && !Number.isInteger(draft)) return problem("expected a whole number");
      const [min, max, above, below] = [bound("minimum"), bound("maximum"), bound("exclusiveMinimum"), bound("exclusiveMaximum")];
      if (min !== undefined && draft < min) return problem(`at least ${min}`);
      if (max !== undefined && draft > max) return problem(`at most ${max}`);
      if (above !== undefined && draft <= above) return problem(`above ${above}`);
      if (below !== undefined && draft >= below) return problem(`below ${below}`);
      return [];
    }
    case "object": {
      if (typeof draft !== "object" || draft === null || Array.isArray(draft)) return problem("expected an object");
      const values = draft as Record<string, unknown>;
      return shape.properties.flatMap(({ name, schema: inner, required }) => {
        const value = Object.hasOwn(values, name) ? values[name] : undefined;
        if (value === undefined) return required ? [{ path: [...path, name], message: "is required" }] : [];
        return check(value, inner, root, [...path, name]);
      });
    }
    case "array": {
      if (!Array.isArray(draft)) return problem("expected a list");
      const least = bound("minItems");
      const most = bound("maxItems");
      const items = (draft as unknown[]).flatMap((item, i) =>
        item === undefined
          ? [{ path: [...path, i], message: "is required" }]
          : check(item, shape.schema["items"] as JsonSchema, root, [...path, i]),
      );
      if (least !== undefined && draft.length < least) items.push({ path, message: `at least ${least} entries` });
      if (most !== undefined && draft.length > most) items.push({ path, message: `at most ${most} entries` });
      return items;
    }
    case "record": {
      if (typeof draft !== "object" || draft === null || Array.isArray(draft)) return problem("expected an object");
      return Object.entries(draft).flatMap(([name, value]) =>
        check(value, shape.schema["additionalProperties"] as JsonSchema, root, [...path, name]),
      );
    }
    case "boolean":
      return typeof draft === "boolean" ? [] : problem("expected true or false");
    default:
      return [];
  }
}
