/**
 * Options objects: strict zod schemas whose messages say what was expected, and the texts that come of them ("expected
 * 'maxRuns' to be an integer of at least 1, got 0"). For definitions, clients, workers and engines alike; knows none of them.
 */
import { inspect } from "node:util";
import { z } from "zod";
import { formatPath, OptionsError, type OptionsErrorFields } from "../errors.ts";
import { DURATION_EXPECTED, formatDuration, readDuration } from "./duration.ts";

/** One thing that is wrong with options, with its sentence. */
export interface OptionProblem extends OptionsErrorFields {
  readonly message: string;
}

export type OptionPath = readonly (string | number)[];

export type ParsedOptions<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly OptionProblem[] };

/** Words that people coming from elsewhere use, by the option's name here. */
export type OptionSynonyms = Readonly<Record<string, readonly string[]>>;

const synonymsOf = new WeakMap<z.ZodObject, OptionSynonyms>();

/** A value that `read` understands; it gives `undefined` for what it does not, and `expected` completes "to be …". */
export function option<T>(expected: string, read: (value: unknown) => T | undefined): z.ZodType<T> {
  return z.unknown().transform((value, context) => {
    const found = read(value);
    if (found !== undefined) return found;
    context.addIssue({ code: "custom", message: expected, input: value });
    return z.NEVER;
  });
}

/** A value for which `test` holds, as it is. */
export function optionOf<T>(expected: string, test: (value: unknown) => value is T): z.ZodType<T> {
  return option(expected, (value) => (test(value) ? value : undefined));
}

export function integerOption(min: number, max = Number.MAX_SAFE_INTEGER): z.ZodType<number> {
  const expected = max === Number.MAX_SAFE_INTEGER ? `an integer of at least ${min}` : `an integer from ${min} to ${max}`;
  return optionOf(
    expected,
    (value): value is number => Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max,
  );
}

export function numberOption(min: number, max: number): z.ZodType<number> {
  return optionOf(
    `a number from ${min} to ${max}`,
    (value): value is number => typeof value === "number" && value >= min && value <= max,
  );
}

/** A duration, read to milliseconds. */
export function durationOption(minMs = 0): z.ZodType<number> {
  const expected = minMs === 0 ? DURATION_EXPECTED : `${DURATION_EXPECTED}, of at least ${formatDuration(minMs)}`;
  return option(expected, (value) => {
    const ms = readDuration(value);
    return ms === undefined || ms < minMs ? undefined : ms;
  });
}

export function oneOf<const T extends string>(values: readonly T[]): z.ZodType<T> {
  return optionOf(`one of ${values.join(", ")}`, (value): value is T => (values as readonly unknown[]).includes(value));
}

/** An object with these options and no others. */
export function optionsOf<T extends z.ZodRawShape>(shape: T, synonyms: OptionSynonyms = {}): z.ZodObject<T, z.core.$strict> {
  const schema = z.strictObject(shape, {
    error: (issue) => (issue.code === "invalid_type" ? `an object with ${listOf(Object.keys(shape))}` : undefined),
  });
  synonymsOf.set(schema as unknown as z.ZodObject, synonyms);
  return schema;
}

/** Parses options; `base` is where they stand, for the paths. The result is frozen. */
export function parseOptions<T>(schema: z.ZodType<T>, value: unknown, base: OptionPath = []): ParsedOptions<T> {
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: typeof result.data === "object" ? Object.freeze(result.data) : result.data };
  const problems = result.error.issues.flatMap((issue) => {
    const inner = issue.path.map((part) => (typeof part === "symbol" ? String(part) : part));
    const received = at(value, inner);
    if (issue.code !== "unrecognized_keys") return [problem([...base, ...inner], issue.message, received)];
    return issue.keys.map((key) => unknownOption([...base, ...inner, key], key, at(received, [key]), objectAt(schema, inner)));
  });
  return { ok: false, problems };
}

/**
 * Parses options or throws. `where` ends the message in parentheses, for example `startWorker`.
 * @throws OptionsError (`OPTIONS_INVALID`) about the first problem; its message names all of them.
 */
export function parseOptionsOf<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = parseOptions(schema, value);
  if (result.ok) return result.value;
  const [first] = result.problems;
  throw new OptionsError(sentences(result.problems, where), first ?? { path: "", expected: "", received: value });
}

/** All problems in one text, a line for each, with where it is in parentheses. */
export function sentences(problems: readonly OptionProblem[], where: string): string {
  return problems.map(({ message }) => `${message} (${where})`).join("\n");
}

/** "expected '<path>' to be <expected>, got <received>", with a hint where there is one. */
export function problem(path: OptionPath, expected: string, received: unknown, hint?: string): OptionProblem {
  const text = formatPath(path);
  const what = text === "" ? "the options" : `'${text}'`;
  const suggestion = hint ?? suggestValue(expected, received);
  const message = `expected ${what} to be ${expected}, got ${show(received)}${suggestion === undefined ? "" : `: ${suggestion}`}`;
  return { path: text, expected, received, message };
}

/** Of `candidates`, what someone probably meant by `word`; `undefined` where none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replace(/[-_ .]/g, "");
  const wanted = plain(word);
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, plain(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

export const didYouMean = (word: string | undefined): string | undefined =>
  word === undefined ? undefined : `did you mean "${word}"?`;

/** A value as an error message shows it: short, and never failing. */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "function") return "a function";
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  try {
    const text = inspect(value, {
      depth: 1,
      customInspect: false,
      maxArrayLength: 5,
      maxStringLength: 40,
      breakLength: Infinity,
    });
    return text.length > 120 ? `${text.slice(0, 120)}…` : text;
  } catch {
    return "something that cannot be shown";
  }
}

function unknownOption(path: OptionPath, key: string, received: unknown, schema: z.ZodObject | undefined): OptionProblem {
  const known = Object.keys(schema?.shape ?? {});
  const synonyms = (schema === undefined ? undefined : synonymsOf.get(schema)) ?? {};
  const meant = Object.keys(synonyms).find((name) => synonyms[name]?.includes(key)) ?? nearest(key, known);
  const help = didYouMean(meant) ?? `the options are ${listOf(known)}`;
  const text = formatPath(path);
  return { path: text, expected: `one of ${known.sort().join(", ")}`, received, message: `unknown option '${text}': ${help}` };
}

/** For `one of A, B, C`: the nearest of them. */
function suggestValue(expected: string, received: unknown): string | undefined {
  if (!expected.startsWith("one of ") || typeof received !== "string") return undefined;
  return didYouMean(nearest(received, expected.slice("one of ".length).split(", ")));
}

function at(value: unknown, path: OptionPath): unknown {
  let found = value;
  for (const part of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = (found as Record<string | number, unknown>)[part];
  }
  return found;
}

/** The object schema at a path, for the names of its options. */
function objectAt(schema: z.ZodType, path: OptionPath): z.ZodObject | undefined {
  let found: unknown = schema;
  for (const part of [undefined, ...path]) {
    if (part !== undefined) found = found instanceof z.ZodObject ? found.shape[part] : undefined;
    while (found instanceof z.ZodOptional) found = found.unwrap();
  }
  return found instanceof z.ZodObject ? found : undefined;
}

function listOf(words: readonly string[]): string {
  const sorted = [...words].sort();
  const last = sorted.pop() ?? "";
  return sorted.length === 0 ? last : `${sorted.join(", ")} and ${last}`;
}

/** Optimal string alignment: insertions, deletions, replacements, and neighbours swapped. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let distance = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        distance = Math.min(distance, (beforeLast[j - 2] ?? 0) + 1);
      row.push(distance);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
