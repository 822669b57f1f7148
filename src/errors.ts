/**
 * The errors that Sluice throws at its users, and the JSON form in which an error travels between nodes. One class per thing
 * that a caller can act on; `code` is stable and is what the guards compare, so that two copies of the package agree. Knows
 * nothing of NATS, runs or machines.
 */
import { inspect } from "node:util";

export type ErrorCode =
  | "DEFINITION_INVALID"
  | "ENGINE_UNAVAILABLE"
  | "INPUT_INVALID"
  | "NATS_UNAVAILABLE"
  | "NON_RETRYABLE"
  | "NOT_CONNECTED"
  | "OPTIONS_INVALID"
  | "PAYLOAD_TOO_LARGE"
  | "PERMISSION_DENIED"
  | "REQUEST_FAILED"
  | "REQUEST_TIMED_OUT"
  | "RUN_CANCELLED"
  | "RUN_FAILED"
  | "RUN_NOT_FOUND"
  | "STREAM_FULL"
  | "WORKFLOW_NOT_FOUND";

/** An error as JSON: what is stored with a run and sent between nodes. Bounded in size whatever was thrown. */
export interface ErrorData {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
  /** `false` where another attempt cannot help; absent otherwise. */
  readonly retryable?: boolean;
  /** What caused it, in the same form. */
  readonly cause?: unknown;
  /** What is wrong with an input, for `INPUT_INVALID`. */
  readonly issues?: readonly unknown[];
}

/** What is wrong at one place of an input, as Standard Schema (and so zod) says it. */
export interface InputIssue {
  readonly message: string;
  /** Where, from the root: property names and list positions. */
  readonly path: readonly (string | number)[];
}

/** What every error of Sluice has: a stable `code`, and the `cause` where there is one. Catch this one to catch them all. */
export abstract class SluiceError extends Error {
  abstract readonly code: ErrorCode;

  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options !== undefined && options.cause !== undefined ? { cause: options.cause } : undefined);
  }
}

/** What an `OptionsError` or `DefinitionError` says besides its message. */
export interface OptionsErrorFields {
  /** Where in the options, for example `concurrency.maxRuns` or `concurrency[1].key`. */
  readonly path: string;
  /** What should have been there, for example `an integer of at least 1`. */
  readonly expected: string;
  /** What was there. */
  readonly received: unknown;
}

/** Options given to `connect`, `startWorker`, `startEngine` or the like are not usable. */
export class OptionsError extends SluiceError implements OptionsErrorFields {
  readonly code = "OPTIONS_INVALID";
  readonly path: string;
  readonly expected: string;
  readonly received: unknown;

  constructor(message: string, fields: OptionsErrorFields, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.path = fields.path;
    this.expected = fields.expected;
    this.received = fields.received;
  }
}

/** A workflow definition is wrong. Thrown by `defineWorkflow` and `.step`, where the definition is written. */
export class DefinitionError extends SluiceError implements OptionsErrorFields {
  readonly code = "DEFINITION_INVALID";
  readonly path: string;
  readonly expected: string;
  readonly received: unknown;
  /** The workflow's name, where it is known. */
  readonly workflow: string | undefined;
  /** The step's name, where it is about one. */
  readonly step: string | undefined;

  constructor(
    message: string,
    fields: OptionsErrorFields & { readonly workflow?: string | undefined; readonly step?: string | undefined },
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
    this.path = fields.path;
    this.expected = fields.expected;
    this.received = fields.received;
    this.workflow = fields.workflow;
    this.step = fields.step;
  }
}

/** The input of a run does not satisfy the workflow's schema. */
export class InputInvalidError extends SluiceError {
  readonly code = "INPUT_INVALID";
  readonly workflow: string;
  readonly issues: readonly InputIssue[];

  constructor(workflow: string, issues: readonly InputIssue[]) {
    super(`the input does not fit workflow "${workflow}": ${formatIssues(issues)}`);
    this.workflow = workflow;
    this.issues = issues;
  }
}

/** A run ended as `FAILED`. `reason` says why (`STEP_FAILED`, `KEY_FAILED`, …), `error` is what the step threw. */
export class RunFailedError extends SluiceError {
  readonly code = "RUN_FAILED";
  readonly runId: string;
  readonly workflow: string;
  readonly reason: string;
  /** The step that failed, where one did. */
  readonly step: string | undefined;
  /** What was thrown, as stored with the run; the same as an `Error` is in `cause`. */
  readonly error: ErrorData | undefined;

  constructor(fields: {
    readonly runId: string;
    readonly workflow: string;
    readonly reason: string;
    readonly step?: string | undefined;
    readonly error?: ErrorData | undefined;
  }) {
    const where = fields.step === undefined ? "" : ` in step "${fields.step}"`;
    const what = fields.error === undefined ? "" : `: ${fields.error.message}`;
    super(
      `run ${fields.runId} of workflow "${fields.workflow}" failed${where} (${fields.reason})${what}`,
      fields.error === undefined ? undefined : { cause: fromErrorData(fields.error) },
    );
    this.runId = fields.runId;
    this.workflow = fields.workflow;
    this.reason = fields.reason;
    this.step = fields.step;
    this.error = fields.error;
  }
}

/** A run ended as `CANCELLED`; also the reason of a handler's `ctx.signal` when its run is cancelled. */
export class RunCancelledError extends SluiceError {
  readonly code = "RUN_CANCELLED";
  readonly runId: string;
  readonly workflow: string;
  /** Who or what cancelled it: `CANCELLED_BY_USER`, `CANCELLED_BY_CONCURRENCY_LIMIT`, … */
  readonly reason: string;

  constructor(fields: { readonly runId: string; readonly workflow: string; readonly reason: string }) {
    super(`run ${fields.runId} of workflow "${fields.workflow}" was cancelled (${fields.reason})`);
    this.runId = fields.runId;
    this.workflow = fields.workflow;
    this.reason = fields.reason;
  }
}

/** Thrown by a handler to say that another attempt cannot help: the step fails at once, however many retries are left. */
export class NonRetryableError extends SluiceError {
  readonly code = "NON_RETRYABLE";
}

/** There is no run with this id, or it is older than the history that is kept. */
export class RunNotFoundError extends SluiceError {
  readonly code = "RUN_NOT_FOUND";
  readonly runId: string;

  constructor(runId: string, options?: { readonly cause?: unknown }) {
    super(`there is no run "${runId}"`, options);
    this.runId = runId;
  }
}

/** No worker has ever registered a workflow of this name. */
export class WorkflowNotFoundError extends SluiceError {
  readonly code = "WORKFLOW_NOT_FOUND";
  readonly workflow: string;

  constructor(workflow: string, options?: { readonly cause?: unknown }) {
    super(`there is no workflow "${workflow}": a worker registers its workflows when it starts`, options);
    this.workflow = workflow;
  }
}

/** The client or worker was used after it was closed, or before it was connected. */
export class NotConnectedError extends SluiceError {
  readonly code = "NOT_CONNECTED";
}

/** No NATS server could be reached, or it lacks what Sluice needs (JetStream, a version of at least 2.9). */
export class NatsUnavailableError extends SluiceError {
  readonly code = "NATS_UNAVAILABLE";
  readonly servers: readonly string[];

  constructor(message: string, servers: readonly string[], options?: { readonly cause?: unknown }) {
    super(message, options);
    this.servers = servers;
  }
}

/** NATS is there, but no engine node answers on it. */
export class EngineUnavailableError extends SluiceError {
  readonly code = "ENGINE_UNAVAILABLE";
}

/** The engine refused a request. */
export class RequestError extends SluiceError {
  readonly code = "REQUEST_FAILED";
  /** The operation, for example `run.create`. */
  readonly operation: string;
  /** What the engine answered in `Nats-Service-Error-Code`: 4xx for what the caller can mend, 5xx for what it cannot. */
  readonly status: number;
  /** The engine's own name for the problem, in upper snake case, where it gave one. */
  readonly reason: string | undefined;

  constructor(
    message: string,
    fields: { readonly operation: string; readonly status: number; readonly reason?: string | undefined },
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
    this.operation = fields.operation;
    this.status = fields.status;
    this.reason = fields.reason;
  }
}

/** Something took longer than allowed: a request, or a step (then it is the reason of the handler's `ctx.signal`). */
export class TimeoutError extends SluiceError {
  readonly code = "REQUEST_TIMED_OUT";
  /** What took too long. */
  readonly operation: string;
  readonly timeoutMs: number;

  constructor(operation: string, timeoutMs: number, options?: { readonly cause?: unknown }) {
    super(`${operation} took longer than ${timeoutMs} ms`, options);
    this.operation = operation;
    this.timeoutMs = timeoutMs;
  }
}

/** A payload, an input or an output is larger than the NATS server takes. Keep large data elsewhere and pass a reference. */
export class PayloadTooLargeError extends SluiceError {
  readonly code = "PAYLOAD_TOO_LARGE";
  readonly sizeBytes: number;
  readonly maxBytes: number;

  constructor(what: string, sizeBytes: number, maxBytes: number) {
    super(`${what} has ${sizeBytes} bytes, more than the ${maxBytes} that the NATS server takes`);
    this.sizeBytes = sizeBytes;
    this.maxBytes = maxBytes;
  }
}

/** The user that this connection logged in as may not do it: the NATS server's configuration says so. No retry mends it. */
export class PermissionDeniedError extends SluiceError {
  readonly code = "PERMISSION_DENIED";
  readonly action: "publish" | "subscribe";
  readonly subject: string;

  constructor(
    doing: string,
    fields: { readonly action: "publish" | "subscribe"; readonly subject: string },
    options?: { readonly cause?: unknown },
  ) {
    const what = fields.action === "publish" ? "publish on" : "subscribe to";
    super(`${doing}: the NATS server does not let this user ${what} ${fields.subject}`, options);
    this.action = fields.action;
    this.subject = fields.subject;
  }
}

/**
 * A stream is as large as it may become (`eventsMaxBytes`, `partitionMaxBytes`, or the room of the NATS server), and takes nothing
 * until there is room again. What was acknowledged before is kept; this message was not stored.
 */
export class StreamFullError extends SluiceError {
  readonly code = "STREAM_FULL";
  /** What was to be stored. */
  readonly subject: string;

  constructor(subject: string, reason: string, options?: { readonly cause?: unknown }) {
    super(`publishing on ${subject}: the stream is full and takes nothing until there is room again (${reason})`, options);
    this.subject = subject;
  }
}

const CLASSES = {
  DEFINITION_INVALID: DefinitionError,
  ENGINE_UNAVAILABLE: EngineUnavailableError,
  INPUT_INVALID: InputInvalidError,
  NATS_UNAVAILABLE: NatsUnavailableError,
  NON_RETRYABLE: NonRetryableError,
  NOT_CONNECTED: NotConnectedError,
  OPTIONS_INVALID: OptionsError,
  PAYLOAD_TOO_LARGE: PayloadTooLargeError,
  PERMISSION_DENIED: PermissionDeniedError,
  REQUEST_FAILED: RequestError,
  REQUEST_TIMED_OUT: TimeoutError,
  RUN_CANCELLED: RunCancelledError,
  RUN_FAILED: RunFailedError,
  RUN_NOT_FOUND: RunNotFoundError,
  STREAM_FULL: StreamFullError,
  WORKFLOW_NOT_FOUND: WorkflowNotFoundError,
} as const satisfies Record<ErrorCode, unknown>;

// Names are given by hand, on the prototypes: a minifier would change `constructor.name`, and an own property would be
// printed with every error.
for (const [name, constructor] of Object.entries({
  DefinitionError,
  EngineUnavailableError,
  InputInvalidError,
  NatsUnavailableError,
  NonRetryableError,
  NotConnectedError,
  OptionsError,
  PayloadTooLargeError,
  PermissionDeniedError,
  RequestError,
  RunCancelledError,
  RunFailedError,
  RunNotFoundError,
  StreamFullError,
  TimeoutError,
  WorkflowNotFoundError,
})) {
  Object.defineProperty(constructor.prototype, "name", { value: name, configurable: true, writable: true });
}

/** Codes after which another attempt of the same step would fail in the same way. */
const NOT_RETRYABLE: ReadonlySet<string> = new Set<ErrorCode>([
  "DEFINITION_INVALID",
  "INPUT_INVALID",
  "NON_RETRYABLE",
  "OPTIONS_INVALID",
  "PAYLOAD_TOO_LARGE",
]);

function hasCode(value: unknown, code: ErrorCode): boolean {
  return typeof value === "object" && value !== null && read(value, "code") === code;
}

export function isSluiceError(value: unknown): value is SluiceError {
  if (typeof value !== "object" || value === null) return false;
  const code = read(value, "code");
  return typeof code === "string" && Object.hasOwn(CLASSES, code);
}
export const isDefinitionError = (value: unknown): value is DefinitionError => hasCode(value, "DEFINITION_INVALID");
export const isEngineUnavailableError = (value: unknown): value is EngineUnavailableError => hasCode(value, "ENGINE_UNAVAILABLE");
export const isInputInvalidError = (value: unknown): value is InputInvalidError => hasCode(value, "INPUT_INVALID");
export const isNatsUnavailableError = (value: unknown): value is NatsUnavailableError => hasCode(value, "NATS_UNAVAILABLE");
export const isNonRetryableError = (value: unknown): value is NonRetryableError => hasCode(value, "NON_RETRYABLE");
export const isNotConnectedError = (value: unknown): value is NotConnectedError => hasCode(value, "NOT_CONNECTED");
export const isOptionsError = (value: unknown): value is OptionsError => hasCode(value, "OPTIONS_INVALID");
export const isPayloadTooLargeError = (value: unknown): value is PayloadTooLargeError => hasCode(value, "PAYLOAD_TOO_LARGE");
export const isPermissionDeniedError = (value: unknown): value is PermissionDeniedError => hasCode(value, "PERMISSION_DENIED");
export const isRequestError = (value: unknown): value is RequestError => hasCode(value, "REQUEST_FAILED");
export const isRunCancelledError = (value: unknown): value is RunCancelledError => hasCode(value, "RUN_CANCELLED");
export const isRunFailedError = (value: unknown): value is RunFailedError => hasCode(value, "RUN_FAILED");
export const isRunNotFoundError = (value: unknown): value is RunNotFoundError => hasCode(value, "RUN_NOT_FOUND");
export const isStreamFullError = (value: unknown): value is StreamFullError => hasCode(value, "STREAM_FULL");
export const isTimeoutError = (value: unknown): value is TimeoutError => hasCode(value, "REQUEST_TIMED_OUT");
export const isWorkflowNotFoundError = (value: unknown): value is WorkflowNotFoundError => hasCode(value, "WORKFLOW_NOT_FOUND");

// What bounds an ErrorData, in characters and levels: a few kB as a rule, and below 250 kB where every character of every
// level has to be escaped, so that an error always fits into a message beside other things.
const MAX_MESSAGE_LENGTH = 4_096;
const MAX_STACK_LENGTH = 4_096;
const MAX_NAME_LENGTH = 128;
const MAX_CAUSES = 3;
const MAX_ISSUES = 10;

/**
 * The JSON form of anything that was thrown: errors, strings, `undefined`, objects whose getters throw, circular ones. Never
 * throws. Long texts are cut and say so; of a chain of causes the first three are kept.
 */
export function toErrorData(thrown: unknown): ErrorData {
  return describe(thrown, MAX_CAUSES);
}

/**
 * An `Error` like the one that was thrown: name, message, stack, code and causes, but not its class; use `name`, `code` or
 * the guards to tell errors apart.
 */
export function fromErrorData(data: ErrorData): Error {
  const cause = isErrorData(data.cause) ? fromErrorData(data.cause) : data.cause;
  const error = new Error(data.message, cause === undefined ? undefined : { cause });
  const set = (key: string, value: unknown): void => {
    Object.defineProperty(error, key, {
      value,
      configurable: true,
      writable: true,
      enumerable: key === "code" || key === "issues",
    });
  };
  set("name", data.name);
  set("stack", data.stack ?? `${data.name}: ${data.message}`);
  if (data.code !== undefined) set("code", data.code);
  if (data.issues !== undefined) set("issues", data.issues);
  return error;
}

function isErrorData(value: unknown): value is ErrorData {
  return (
    typeof value === "object" &&
    value !== null &&
    "name" in value &&
    "message" in value &&
    typeof value.name === "string" &&
    typeof value.message === "string"
  );
}

/** The issues of an input in one line: `user_id: expected string; text: too long`. At most five, then how many more. */
export function formatIssues(issues: readonly InputIssue[]): string {
  const shown = issues.slice(0, 5).map(({ path, message }) => (path.length === 0 ? message : `${formatPath(path)}: ${message}`));
  if (issues.length > shown.length) shown.push(`and ${issues.length - shown.length} more`);
  return cut(shown.join("; "), MAX_MESSAGE_LENGTH);
}

/** A path as people write it: `concurrency[1].key`, `headers["x-y"]`. */
export function formatPath(path: readonly (string | number)[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(part)) text += text === "" ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

function describe(thrown: unknown, causesLeft: number): ErrorData {
  if (typeof thrown !== "object" || thrown === null) {
    const message = typeof thrown === "string" && thrown !== "" ? thrown : `${show(thrown)} was thrown`;
    return { name: "Error", message: cut(message, MAX_MESSAGE_LENGTH) };
  }
  const name = read(thrown, "name");
  const message = messageOf(thrown);
  const stack = read(thrown, "stack");
  const code = read(thrown, "code");
  const cause = read(thrown, "cause");
  return {
    name: typeof name === "string" && name !== "" ? cut(name, MAX_NAME_LENGTH) : "Error",
    message: cut(message, MAX_MESSAGE_LENGTH),
    ...(typeof stack === "string" ? { stack: cut(stack, MAX_STACK_LENGTH) } : {}),
    ...(typeof code === "string" || typeof code === "number" ? { code: cut(String(code), MAX_NAME_LENGTH) } : {}),
    ...(typeof code === "string" && NOT_RETRYABLE.has(code) ? { retryable: false } : {}),
    ...(code === "INPUT_INVALID" ? { issues: issuesOf(thrown) } : {}),
    ...(cause !== undefined && cause !== null && causesLeft > 0 ? { cause: describe(cause, causesLeft - 1) } : {}),
  };
}

/** The issues of an `InputInvalidError`, bounded like everything else in an ErrorData. */
function issuesOf(thrown: object): InputIssue[] {
  const issues = read(thrown, "issues");
  if (!Array.isArray(issues)) return [];
  return issues.slice(0, MAX_ISSUES).flatMap((issue: unknown) => {
    if (typeof issue !== "object" || issue === null) return [];
    const message = read(issue, "message");
    const path = read(issue, "path");
    const parts = Array.isArray(path) ? path.filter((part) => typeof part === "string" || typeof part === "number") : [];
    return [
      {
        message: cut(typeof message === "string" ? message : "invalid", MAX_NAME_LENGTH * 2),
        path: parts.slice(0, 16).map((part) => (typeof part === "string" ? cut(part, MAX_NAME_LENGTH) : part)),
      },
    ];
  });
}

function messageOf(thrown: object): string {
  const message = read(thrown, "message");
  if (typeof message === "string" && message !== "") return message;
  // Node's own connection errors are AggregateErrors with an empty message: what happened is in the list.
  const errors = read(thrown, "errors");
  if (Array.isArray(errors) && errors.length > 0) {
    const messages = errors
      .slice(0, 5)
      .map((one: unknown) => (typeof one === "object" && one !== null ? read(one, "message") : one));
    return messages.filter((one) => typeof one === "string" && one !== "").join("; ") || "several errors";
  }
  if (message === "") return "(no message)";
  return `${show(thrown)} was thrown`;
}

/** A property, or `undefined` where reading it throws. */
function read(object: object, key: string): unknown {
  try {
    return (object as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

function show(value: unknown): string {
  try {
    return inspect(value, { depth: 2, customInspect: false, maxArrayLength: 10, maxStringLength: 200, breakLength: Infinity });
  } catch {
    return "something that cannot be shown";
  }
}

function cut(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const note = `… (cut: ${text.length} characters in all)`;
  let end = maxLength - note.length;
  // Not between the two halves of a surrogate pair.
  if (end > 0 && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end -= 1;
  return text.slice(0, Math.max(0, end)) + note;
}
