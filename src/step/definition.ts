/**
 * A machine as JSON that `createMachine` takes: names in the place of implementations, nothing that runs. Whoever builds the
 * machine from it gets the same ids of states and the same transitions, and so can draw what happened in the real one.
 */
import { createHash } from "node:crypto";
export interface Definition {
  /** Of the JSON: equal for machines that look the same. */
  readonly hash: string;
  readonly definition: Readonly<Record<string, unknown>>;
}

type Json = Record<string, unknown>;

/** What says nothing about states and transitions, and is computed in most machines. */
const LEFT_OUT: ReadonlySet<string> = new Set(["context", "input", "output", "schemas", "types"]);

/** Of a machine, or of what would be given to `createMachine`, with its id. */
export function describeMachine({ id, config }: { readonly id: string; readonly config: object }): Definition {
  // Without an id XState would name the root, and so every state, in its own way.
  const definition = { ...state(config), id };
  const hash = createHash("sha256").update(JSON.stringify(definition)).digest("hex").slice(0, 24);
  return { hash, definition };
}

/** Names of states, events and delays are the users': only the places between them say what is what. */
function state(config: unknown): Json {
  const result: Json = {};
  for (const [key, value] of entriesOf(config)) {
    switch (key) {
      case "states":
        result[key] = mapped(value, state);
        break;
      case "on":
      case "after":
        result[key] = mapped(value, transitions);
        break;
      case "always":
      case "onDone":
        result[key] = transitions(value);
        break;
      case "invoke":
        result[key] = each(value, invoke);
        break;
      case "initial":
        result[key] = typeof value === "string" ? value : transitions(value);
        break;
      case "entry":
      case "exit":
        result[key] = each(value, named);
        break;
      default:
        if (!LEFT_OUT.has(key)) assignPlain(result, key, value);
    }
  }
  return result;
}

function transitions(value: unknown): unknown {
  return each(value, (one) => {
    if (typeof one === "string") return one;
    const result: Json = {};
    for (const [key, part] of entriesOf(one)) {
      if (key === "guard") result[key] = named(part);
      else if (key === "actions") result[key] = each(part, named);
      else assignPlain(result, key, part);
    }
    return result;
  });
}

function invoke(value: unknown): Json {
  const result: Json = {};
  for (const [key, part] of entriesOf(value)) {
    if (key === "src") result[key] = typeof part === "string" ? part : nameOf(part);
    else if (key === "onDone" || key === "onError" || key === "onSnapshot") result[key] = transitions(part);
    else if (key !== "input") assignPlain(result, key, part);
  }
  return result;
}

/** An action or a guard: `{ type, params }`, or its name alone where that was given. */
function named(value: unknown): unknown {
  if (typeof value === "string") return value;
  const result: Json = { type: nameOf(value) };
  if (typeof value !== "function") assignPlain(result, "params", (value as Json)["params"]);
  else {
    // XState's own carry what they were made with.
    const { guards, event, delay, id, sendId } = value as unknown as Json;
    const params: Json = {};
    if (Array.isArray(guards)) params["guards"] = guards.map(named);
    for (const [key, part] of Object.entries({ event, delay, id, sendId })) assignPlain(params, key, part);
    if (Object.keys(params).length > 0) result["params"] = params;
  }
  return result;
}

function nameOf(value: unknown): string {
  const { type, name, id } = value as { readonly type?: unknown; readonly name?: unknown; readonly id?: unknown };
  for (const candidate of [type, id, name]) if (typeof candidate === "string" && candidate !== "") return candidate;
  return "(anonymous)";
}

/** Values as they are; what is computed at run time is left out. */
function assignPlain(to: Json, key: string, value: unknown): void {
  const text = JSON.stringify(value);
  if (text !== undefined) to[key] = JSON.parse(text) as unknown;
}

function entriesOf(value: unknown): [string, unknown][] {
  return Object.entries((value ?? {}) as object).filter(([, part]) => part !== undefined);
}

function mapped(value: unknown, convert: (item: unknown) => unknown): Json {
  return Object.fromEntries(entriesOf(value).map(([key, item]) => [key, convert(item)]));
}

function each(value: unknown, convert: (item: unknown) => unknown): unknown {
  return Array.isArray(value) ? value.map((item: unknown) => convert(item)) : convert(value);
}
