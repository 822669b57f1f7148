/**
 * Concurrency keys: the CEL expressions that compute them, and what may be a key at all. An expression is parsed and
 * type-checked once, then evaluated by the engine for every run. Knows nothing of groups, and does no I/O.
 */
import { Environment, EvaluationError, ParseError, TypeError as CelTypeError } from "@marcbachmann/cel-js";

/** The variables of a key expression. */
export interface KeyVariables {
  /** The run's input as it came, as JSON: the defaults and transformations of the workflow's schema are not in it. */
  readonly input: unknown;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  /** The event that triggered the run; `null` in the expression where there is none. */
  readonly event?: object | null | undefined;
}

export type KeyResult = { readonly ok: true; readonly key: string } | { readonly ok: false; readonly message: string };

/** A compiled expression: evaluates it, in 0.1 to 1 µs, or throws `KeyExpressionError`. */
export type KeyExpression = (variables: KeyVariables) => unknown;

/** A key may have this many bytes in UTF-8. It is held in memory for every waiting run, and shown wherever the group is. */
export const MAX_KEY_BYTES = 1_024;

/** A key expression that cannot be parsed, does not type-check, or could not be evaluated. Internal: users see the message. */
export class KeyExpressionError extends Error {
  override readonly name = "KeyExpressionError";
}

const MAX_EXPRESSION_LENGTH = 4_096;

const environment = new Environment({
  unlistedVariablesAreDyn: false,
  // `input.?user_id.orValue("nobody")`
  enableOptionalTypes: true,
  // `[input.tenant, "x"].join(":")`: what comes from JSON has no type before it is there.
  homogeneousAggregateLiterals: false,
})
  .registerVariable("input", "dyn")
  .registerVariable("metadata", "map<string, dyn>")
  .registerVariable("event", "dyn");

/**
 * Parses and type-checks an expression over `input`, `metadata` and `event`, which must give a string (or something whose type is
 * known only with the data). JSON numbers are doubles in CEL, whole ones too: `string(input.user_id)` of 42 is `"42"`, and
 * to calculate with one it takes `int(input.user_id) % 4`.
 * @throws KeyExpressionError saying what is wrong and at which column.
 */
export function compileKeyExpression(text: string): KeyExpression {
  if (text.trim() === "") throw new KeyExpressionError("it is empty");
  if (text.length > MAX_EXPRESSION_LENGTH) {
    throw new KeyExpressionError(`it has ${text.length} characters, more than the ${MAX_EXPRESSION_LENGTH} that are allowed`);
  }
  let evaluate: ReturnType<typeof environment.parse>;
  try {
    evaluate = environment.parse(text);
  } catch (error) {
    throw explain(error, text);
  }
  const { valid, type, error } = evaluate.check();
  if (!valid) throw explain(error, text);
  if (type !== "string" && type !== "dyn") {
    const hint = type === "int" || type === "double" || type === "uint" || type === "bool" ? "; wrap it as string(…)" : "";
    throw new KeyExpressionError(`it gives a value of type ${String(type)}, but a key must be a string${hint}`);
  }
  return ({ input, metadata, event }) => {
    try {
      return evaluate({ input: input ?? null, metadata: metadata ?? {}, event: event ?? null }) as unknown;
    } catch (thrown) {
      throw explain(thrown, text);
    }
  };
}

/** Like `compileKeyExpression`, but the function gives a checked key or what is wrong, and never throws. For the engine. */
export function compileKey(text: string): (variables: KeyVariables) => KeyResult {
  const evaluate = compileKeyExpression(text);
  return (variables) => {
    try {
      return checkKey(evaluate(variables));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { ok: false, message: `the key expression ${JSON.stringify(text)} failed: ${message}` };
    }
  };
}

/** Tells whether a computed value can be a key: a string that is not empty, of at most 1,024 bytes in UTF-8. Never throws. */
export function checkKey(value: unknown): KeyResult {
  if (typeof value !== "string") {
    return { ok: false, message: `expected the key to be a non-empty string, got ${describe(value)}` };
  }
  if (value === "") return { ok: false, message: "expected the key to be a non-empty string, got an empty one" };
  // No character takes more than three bytes per code unit, so short keys need no counting.
  if (value.length * 3 > MAX_KEY_BYTES) {
    const bytes = Buffer.byteLength(value);
    if (bytes > MAX_KEY_BYTES) {
      return {
        ok: false,
        message: `expected the key to have at most ${MAX_KEY_BYTES} bytes, got one of ${bytes}: ${JSON.stringify(value.slice(0, 40))}…`,
      };
    }
  }
  // Half a surrogate pair has no form in UTF-8: two such keys would become the same one on their way.
  if (/\p{Surrogate}/u.test(value)) {
    return { ok: false, message: `expected the key to be valid Unicode, got ${JSON.stringify(value.slice(0, 40))}` };
  }
  return { ok: true, key: value };
}

/** The parser's, checker's and evaluator's errors, in one line with the column, and what usually helps. */
function explain(error: unknown, text: string): KeyExpressionError {
  if (!(error instanceof ParseError || error instanceof CelTypeError || error instanceof EvaluationError)) {
    return new KeyExpressionError(error instanceof Error ? error.message : String(error), { cause: error });
  }
  const start = error.range?.start;
  const place = start === undefined ? "" : ` (column ${start + 1}${text.includes("\n") ? ", counted over all lines" : ""})`;
  return new KeyExpressionError(`${summarize(error, text)}${place}`, { cause: error });
}

function summarize(error: ParseError | CelTypeError | EvaluationError, text: string): string {
  const summary = error.summary;
  switch (error.code) {
    case "unknown_variable":
      return `${lowerFirst(summary)}; an expression knows input, metadata and event`;
    case "no_such_key": {
      const key = summary.replace(/^No such key: /, "");
      const parent = error.range === undefined ? undefined : /([\w.]+)\.\??$/.exec(text.slice(0, error.range.start))?.[1];
      return parent === undefined ? `there is no ${key}` : `there is no "${key}" in ${parent}`;
    }
    case "index_out_of_bounds":
      return summary.replace(/^No such key: /, "");
    case "no_such_overload":
      // The checker says `dyn<double>` where it is about a number of the input.
      return summary.includes("dyn<double>")
        ? `${summary}; a JSON number is a double in CEL: use int(…) to calculate with it, string(…) to make it part of a text`
        : summary;
    default:
      return lowerFirst(summary);
  }
}

const lowerFirst = (text: string): string => (/^[A-Z][a-z]/.test(text) ? text[0]?.toLowerCase() + text.slice(1) : text);

function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  switch (typeof value) {
    case "undefined":
      return "nothing";
    case "number":
    case "bigint":
      return `the number ${value}; make it a string, for example with string(…) in an expression or String(…) in a function`;
    case "boolean":
      return `${value}`;
    case "object":
      return isThenable(value) ? "a promise; a key function must return its key at once" : "an object";
    default:
      return `a ${typeof value}`;
  }
}

function isThenable(value: object): boolean {
  try {
    return "then" in value && typeof value.then === "function";
  } catch {
    return false;
  }
}
