/** The error classes, their guards, and the JSON form of whatever was thrown. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  DefinitionError,
  formatIssues,
  formatPath,
  fromErrorData,
  InputInvalidError,
  isDefinitionError,
  isNonRetryableError,
  isRunFailedError,
  isSluiceError,
  isTimeoutError,
  NonRetryableError,
  PayloadTooLargeError,
  RequestError,
  RunCancelledError,
  RunFailedError,
  SluiceError,
  TimeoutError,
  toErrorData,
} from "../../src/errors.ts";

describe("the error classes", () => {
  it("carry a stable code, a name, typed fields and the cause", () => {
    const cause = new Error("refused");
    const error = new RequestError(
      "the engine refused",
      { operation: "run.create", status: 400, reason: "INPUT_INVALID" },
      { cause },
    );
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({
      name: "RequestError",
      code: "REQUEST_FAILED",
      operation: "run.create",
      status: 400,
      reason: "INPUT_INVALID",
      cause,
    });
    expect(error.stack).toMatch(/^RequestError: the engine refused\n/);
  });

  it("say what happened in one sentence", () => {
    const fields = { runId: "r1", workflow: "answer", reason: "STEP_FAILED" };
    expect(new RunFailedError({ ...fields, step: "write", error: { name: "Error", message: "no tokens" } }).message).toBe(
      'run r1 of workflow "answer" failed in step "write" (STEP_FAILED): no tokens',
    );
    expect(new RunFailedError(fields).message).toBe('run r1 of workflow "answer" failed (STEP_FAILED)');
    expect(new RunCancelledError({ ...fields, reason: "CANCELLED_BY_USER" }).message).toBe(
      'run r1 of workflow "answer" was cancelled (CANCELLED_BY_USER)',
    );
    expect(new TimeoutError("run.get", 5_000).message).toBe("run.get took longer than 5000 ms");
    expect(new PayloadTooLargeError('the output of step "a"', 2_000_000, 1_048_576).message).toBe(
      'the output of step "a" has 2000000 bytes, more than the 1048576 that the NATS server takes',
    );
    expect(
      new InputInvalidError("answer", [
        { path: ["user", 0], message: "expected string" },
        { path: [], message: "bad" },
      ]).message,
    ).toBe('the input does not fit workflow "answer": user[0]: expected string; bad');
  });

  it("give the step's error of a failed run as the cause", () => {
    const failed = new RunFailedError({
      runId: "r",
      workflow: "w",
      reason: "STEP_FAILED",
      error: toErrorData(new NonRetryableError("never")),
    });
    expect(failed.cause).toBeInstanceOf(Error);
    expect(isNonRetryableError(failed.cause)).toBe(true);
  });

  it("have no cause where there is none", () => {
    expect("cause" in new NonRetryableError("x")).toBe(false);
    expect("cause" in new NonRetryableError("x", {})).toBe(false);
  });
});

describe("a guard", () => {
  it("knows an error of another copy of the package by its code", () => {
    const foreign = Object.assign(new Error("x"), { code: "RUN_FAILED" });
    expect(isRunFailedError(foreign)).toBe(true);
    expect(isSluiceError(foreign)).toBe(true);
    expect(isDefinitionError(foreign)).toBe(false);
  });

  it("takes nothing else, and fails on nothing", () => {
    const throwing = {
      get code(): string {
        throw new Error("no");
      },
    };
    for (const value of [
      undefined,
      null,
      "RUN_FAILED",
      1,
      {},
      { code: "ENOENT" },
      { code: "TIMEOUT" },
      { code: "toString" },
      throwing,
      new Error("x"),
    ]) {
      expect(isSluiceError(value)).toBe(false);
      expect(isRunFailedError(value)).toBe(false);
      expect(isTimeoutError(value)).toBe(false);
    }
  });
});

describe("the JSON form of an error", () => {
  it("keeps name, message, stack, code and causes, there and back", () => {
    const thrown = new TypeError("outer", {
      cause: Object.assign(new Error("inner"), { code: "ECONNRESET", cause: new RangeError("the cable") }),
    });
    const data = toErrorData(thrown);
    expect(data).toMatchObject({
      name: "TypeError",
      message: "outer",
      cause: { name: "Error", message: "inner", code: "ECONNRESET", cause: { message: "the cable" } },
    });
    const back = fromErrorData(JSON.parse(JSON.stringify(data)) as typeof data);
    expect(back).toBeInstanceOf(Error);
    expect(back).toMatchObject({ name: "TypeError", message: "outer", stack: thrown.stack });
    expect(back.cause).toMatchObject({ code: "ECONNRESET", message: "inner" });
    expect(toErrorData(back)).toEqual(data);
  });

  it("says where another attempt cannot help", () => {
    expect(toErrorData(new NonRetryableError("stop")).retryable).toBe(false);
    expect(toErrorData(new PayloadTooLargeError("it", 2, 1)).retryable).toBe(false);
    expect(toErrorData(Object.assign(new Error("other copy"), { code: "NON_RETRYABLE" })).retryable).toBe(false);
    expect(toErrorData(new Error("x"))).not.toHaveProperty("retryable");
    expect(toErrorData(new TimeoutError("x", 1))).not.toHaveProperty("retryable");
  });

  it("describes what is no error", () => {
    expect(toErrorData("broken")).toEqual({ name: "Error", message: "broken" });
    expect(toErrorData("")).toEqual({ name: "Error", message: "'' was thrown" });
    expect(toErrorData(undefined)).toEqual({ name: "Error", message: "undefined was thrown" });
    expect(toErrorData(null)).toEqual({ name: "Error", message: "null was thrown" });
    expect(toErrorData(12n)).toEqual({ name: "Error", message: "12n was thrown" });
    expect(toErrorData(Symbol("s"))).toEqual({ name: "Error", message: "Symbol(s) was thrown" });
    expect(toErrorData({ status: 500 })).toEqual({ name: "Error", message: "{ status: 500 } was thrown" });
    expect(toErrorData({ message: "plain", code: 7 })).toEqual({ name: "Error", message: "plain", code: "7" });
    expect(toErrorData(() => 1).message).toMatch(/was thrown$/);
  });

  it("survives what resists: throwing getters, proxies, circles", () => {
    const circular: Record<string, unknown> = { message: "round" };
    circular["cause"] = circular;
    expect(toErrorData(circular)).toMatchObject({ message: "round", cause: { message: "round", cause: { message: "round" } } });
    const error = new Error("x");
    // Formatted when it is first read, by code that reads `message`.
    expect(error.stack).toBeDefined();
    const throwing = Object.defineProperties(error, {
      message: {
        get() {
          throw new Error("no message");
        },
      },
      stack: {
        get() {
          throw new Error("no stack");
        },
      },
      cause: {
        get() {
          throw new Error("no cause");
        },
      },
    });
    expect(typeof toErrorData(throwing).message).toBe("string");
    const fail = (): never => {
      throw new Error("trap");
    };
    const proxy = new Proxy({}, { get: fail, has: fail, getPrototypeOf: fail, ownKeys: fail, getOwnPropertyDescriptor: fail });
    expect(toErrorData(proxy).name).toBe("Error");
    const { proxy: revoked, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(typeof toErrorData(revoked).message).toBe("string");
  });

  it("cuts what is huge, and says so", () => {
    const data = toErrorData(new Error("x".repeat(5_000_000)));
    expect(data.message).toHaveLength(4_096);
    expect(data.message).toMatch(/x… \(cut: 5000000 characters in all\)$/);
    expect(data.stack?.length).toBeLessThanOrEqual(4_096);
    let chain: Error | undefined;
    for (let i = 0; i < 50; i += 1) chain = new Error("\u0000".repeat(10_000), { cause: chain });
    expect(JSON.stringify(toErrorData(chain)).length).toBeLessThan(250_000);
    const emoji = toErrorData(`a${"😀".repeat(5_000)}`).message;
    expect(emoji).not.toMatch(/\p{Surrogate}/u);
  });

  it("keeps the issues of an invalid input", () => {
    const data = toErrorData(new InputInvalidError("w", [{ path: ["a", 1], message: "wrong" }]));
    expect(data).toMatchObject({ code: "INPUT_INVALID", retryable: false, issues: [{ path: ["a", 1], message: "wrong" }] });
    expect(fromErrorData(data)).toMatchObject({ issues: [{ path: ["a", 1], message: "wrong" }] });
  });

  it("finds the messages of an AggregateError without one of its own, as Node throws for refused connections", () => {
    const thrown = new AggregateError(
      [new Error("connect ECONNREFUSED ::1:1"), new Error("connect ECONNREFUSED 127.0.0.1:1")],
      "",
    );
    expect(toErrorData(thrown).message).toBe("connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1");
  });

  it("is JSON of bounded size for anything at all", () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withNullPrototype: true,
          withSet: true,
          withTypedArray: true,
        }),
        (value) => {
          const data = toErrorData(value);
          const text = JSON.stringify(data);
          expect(text.length).toBeLessThan(250_000);
          expect(JSON.parse(text)).toEqual(data);
          expect(fromErrorData(data).message).toBe(data.message);
        },
      ),
    );
  });
});

describe("a path", () => {
  it("is written as in code", () => {
    expect(formatPath(["concurrency", 1, "key"])).toBe("concurrency[1].key");
    expect(formatPath(["headers", "x-y", "größe"])).toBe('headers["x-y"].größe');
    expect(formatPath([])).toBe("");
  });

  it("stands before each issue, of which five are shown", () => {
    const issues = Array.from({ length: 7 }, (_, index) => ({ path: [index], message: "wrong" }));
    expect(formatIssues(issues)).toBe("[0]: wrong; [1]: wrong; [2]: wrong; [3]: wrong; [4]: wrong; and 2 more");
  });
});

it("a definition error knows its workflow and step", () => {
  const error = new DefinitionError("m", { path: "after[0]", expected: "e", received: 1, workflow: "w", step: "s" });
  expect(error).toMatchObject({
    code: "DEFINITION_INVALID",
    path: "after[0]",
    expected: "e",
    received: 1,
    workflow: "w",
    step: "s",
  });
});
