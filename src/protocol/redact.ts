/**
 * What must not be seen: fields by name in inputs, outputs, errors, metadata and payloads. Applied before anything is stored in
 * the history, and to all that the dashboard is shown. Pure; it never changes the value that it is given.
 *
 * A rule is a name (`password`), found at any depth, or a path (`card.number`, `headers.*.value`): names one within the other,
 * at any depth too, `*` for any one name. Places in lists are not part of a path. Upper and lower case are the same.
 */
import type { Operation, Operations, RunChangeMessage, RunView, StepView } from "./view.ts";
import type { ErrorData } from "./work.ts";

export const REDACTED = "[redacted]";
export const DEFAULT_REDACT: readonly string[] = ["password", "token", "secret", "authorization"];
/** What is nested deeper is hidden as a whole. */
const MAX_DEPTH = 500;

export interface Redactor {
  /** The same object where nothing is to be hidden. */
  value<T>(value: T): T;
  /** An error: its name, message, code and step stay. */
  error<T extends object>(error: T): T;
  /** Text that is JSON, or the beginning of some, or has `name=value` in it. */
  text(text: string): string;
  /** False: nothing in this JSON text is to be hidden. Much quicker than looking at what it says. */
  mayApply(json: string): boolean;
}

const NOTHING: Redactor = Object.freeze({
  value: <T>(value: T): T => value,
  error: <T extends object>(error: T): T => error,
  text: (text: string): string => text,
  mayApply: () => false,
});

/** Fields of every error: of use to whoever looks for its cause, and what machines decide by. */
const ERROR_FIELDS: ReadonlySet<string> = new Set(["name", "message", "code", "retryable", "step", "stack"]);

export function createRedactor(rules: readonly string[] = DEFAULT_REDACT): Redactor {
  const names = new Set<string>();
  /** Innermost name first. */
  const paths: (readonly string[])[] = [];
  for (const rule of rules) {
    const parts = rule.toLowerCase().split(".");
    if (parts.length === 1 && parts[0] !== "*") names.add(parts[0] ?? "");
    else paths.push(parts.toReversed());
  }
  if (names.size === 0 && paths.length === 0) return NOTHING;

  const isHidden = (name: string, above: readonly string[]): boolean => {
    const lower = name.toLowerCase();
    if (names.has(lower)) return true;
    return paths.some(
      ([last, ...others]) =>
        (last === "*" || last === lower) &&
        others.length <= above.length &&
        others.every((part, index) => part === "*" || part === above[above.length - 1 - index]),
    );
  };

  function redacted(value: unknown, above: string[], depth: number): unknown {
    if (typeof value !== "object" || value === null) return value;
    if (depth > MAX_DEPTH) return REDACTED;
    if (Array.isArray(value)) {
      let copy: unknown[] | undefined;
      for (const [index, item] of value.entries()) {
        const next = redacted(item, above, depth + 1);
        if (next !== item) (copy ??= [...(value as unknown[])])[index] = next;
      }
      return copy ?? value;
    }
    let copy: Record<string, unknown> | undefined;
    for (const [name, item] of Object.entries(value)) {
      let next: unknown = item;
      if (isHidden(name, above)) {
        if (item !== null && item !== undefined) next = REDACTED;
      } else if (typeof item === "object" && item !== null) {
        above.push(name.toLowerCase());
        next = redacted(item, above, depth + 1);
        above.pop();
      }
      if (next !== item) set((copy ??= { ...value }), name, next);
    }
    return copy ?? value;
  }

  const lasts = [...names, ...paths.map(([last]) => last ?? "")];
  // A name in JSON may be written with escapes, and only ASCII has one lower case for each upper case.
  const isPlain = lasts.every((name) => name !== "*" && /^[\u0020-\u007e]+$/.test(name));
  const any = lasts
    .filter((name) => name !== "*")
    .map((name) => name.replaceAll(/[^a-z0-9]/gi, String.raw`\$&`))
    .join("|");
  const quoted = lasts.map((name) => `"${name}"`);
  const member = new RegExp(`("(?:${any})"\\s*:\\s*)("(?:[^"\\\\]|\\\\.)*"?|\\{.*|\\[.*|[^\\s,}\\]]+)`, "gis");
  const assignment = new RegExp(`(\\b(?:${any})\\s*[=:]\\s*)(?!")[^\\s&,;]+`, "gi");

  const value = <T>(given: T): T => redacted(given, [], 0) as T;
  return {
    value,
    error<T extends object>(error: T): T {
      let copy: Record<string, unknown> | undefined;
      for (const [name, item] of Object.entries(error) as [string, unknown][]) {
        if (ERROR_FIELDS.has(name)) continue;
        const next = isHidden(name, []) ? REDACTED : value(item);
        if (next !== item) set((copy ??= { ...(error as Record<string, unknown>) }), name, next);
      }
      return (copy as T | undefined) ?? error;
    },
    text(text) {
      try {
        const parsed = JSON.parse(text) as unknown;
        const next = value(parsed);
        return next === parsed ? text : JSON.stringify(next);
      } catch {
        return any === "" ? text : text.replaceAll(member, `$1"${REDACTED}"`).replaceAll(assignment, `$1${REDACTED}`);
      }
    },
    mayApply(json) {
      if (!isPlain) return true;
      const lower = json.toLowerCase();
      return quoted.some((name) => lower.includes(name)) || lower.includes("\\u");
    },
  };
}

/** A plain property, also where the name is `__proto__`. */
function set(object: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}

/** The reply of an operation as the dashboard may show it. Programs that ask over NATS get the real one. */
export function redactReply<K extends Operation>(
  redactor: Redactor,
  operation: K,
  reply: Operations[K]["reply"],
): Operations[K]["reply"] {
  const redact = REPLIES[operation] as
    | ((redactor: Redactor, reply: Operations[K]["reply"]) => Operations[K]["reply"])
    | undefined;
  return redact === undefined ? reply : redact(redactor, reply);
}

/** A change of a run as the dashboard is told of it. */
export function redactChange(redactor: Redactor, change: RunChangeMessage): RunChangeMessage {
  const { outputs, error } = change;
  return {
    ...change,
    ...(outputs !== undefined && { outputs: redactor.value(outputs) }),
    ...(error !== undefined && { error: redactor.error(error) }),
  };
}

/** Records are not among them: they are made of what the history has stored, which is redacted. */
const REPLIES: { readonly [K in Operation]?: (redactor: Redactor, reply: Operations[K]["reply"]) => Operations[K]["reply"] } = {
  "run.create": redactRun,
  "run.get": redactRun,
  "run.cancel": redactRun,
  "run.replay": redactRun,
  "run.list": (redactor, page) => ({ ...page, items: page.items.map((run) => redactRun(redactor, run)) }),
  "run.events": (redactor, page) => ({
    ...page,
    items: page.items.map((event) => ("data" in event ? { ...event, data: redactData(redactor, event.data) } : event)),
  }),
  "event.list": (redactor, page) => ({
    ...page,
    items: page.items.map((event) => ({
      ...event,
      payload: typeof event.payload === "string" ? redactor.text(event.payload) : redactor.value(event.payload),
      ...(event.metadata !== undefined && { metadata: redactor.value(event.metadata) }),
    })),
  }),
  "rejected.list": (redactor, page) => ({
    ...page,
    items: page.items.map((item) => ({ ...item, payload: redactor.text(item.payload) })),
  }),
  "workflow.get": redactWorkflow,
  "workflow.list": (redactor, page) => ({ ...page, items: page.items.map((workflow) => redactWorkflow(redactor, workflow)) }),
};

function redactRun(redactor: Redactor, run: RunView): RunView {
  const { outputs, error } = run;
  return {
    ...run,
    input: redactor.value(run.input),
    metadata: redactor.value(run.metadata),
    ...(outputs !== undefined && { outputs: redactSteps(outputs, (output) => redactor.value(output)) }),
    ...(error !== undefined && { error: redactor.error(error) }),
    steps: redactSteps(run.steps, (step) => redactStep(redactor, step)),
  };
}

function redactStep(redactor: Redactor, step: StepView): StepView {
  const { output, error } = step;
  if (output === undefined && error === undefined) return step;
  return {
    ...step,
    ...(output !== undefined && { output: redactor.value(output) }),
    ...(error !== undefined && { error: redactor.error(error) }),
  };
}

/** Names of steps are not names of fields. */
function redactSteps<T>(steps: Readonly<Record<string, T>>, redact: (step: T) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(steps).map(([name, step]) => [name, redact(step)]));
}

/** Of a machine's event: what its worker sent. */
function redactData(redactor: Redactor, data: unknown): unknown {
  if (typeof data !== "object" || data === null) return data;
  const { output, error } = data as { readonly output?: unknown; readonly error?: ErrorData };
  return {
    ...data,
    ...(output !== undefined && { output: redactor.value(output) }),
    ...(typeof error === "object" && error !== null && { error: redactor.error(error) }),
  };
}

function redactWorkflow<T extends Operations["workflow.get"]["reply"]>(redactor: Redactor, workflow: T): T {
  const { cron } = workflow.spec;
  if (cron.every(({ input }) => input === undefined)) return workflow;
  return {
    ...workflow,
    spec: { ...workflow.spec, cron: cron.map((one) => ("input" in one ? { ...one, input: redactor.value(one.input) } : one)) },
  };
}
