/** What must not be seen: which fields, wherever they are, and what stays as it is. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRedactor, redactChange, redactReply } from "../../src/protocol/redact.ts";
import type { ErrorData } from "../../src/protocol/work.ts";
import type { RunView } from "../../src/protocol/view.ts";

const HIDDEN = "[redacted]";
const byDefault = createRedactor();

describe("A redactor", () => {
  it("hides fields by name, at any depth, in lists too, in upper and lower case", () => {
    expect(
      byDefault.value({
        Password: "a",
        deep: [{ x: { SECRET: { of: 1 } } }],
        token: 5,
        tokens: "kept",
        n: null,
        list: ["token"],
      }),
    ).toEqual({ Password: HIDDEN, deep: [{ x: { SECRET: HIDDEN } }], token: HIDDEN, tokens: "kept", n: null, list: ["token"] });
    expect(byDefault.value({ token: null, secret: undefined })).toEqual({ token: null, secret: undefined });
  });

  it("hides by path, with * for any one name, wherever the path is", () => {
    const redactor = createRedactor(["card.number", "headers.*.value", "*.pin"]);
    expect(
      redactor.value({ card: { number: 1, name: "n" }, number: 2, a: { Card: [{ number: 3 }] }, pin: 4, b: { pin: 5 } }),
    ).toEqual({ card: { number: HIDDEN, name: "n" }, number: 2, a: { Card: [{ number: HIDDEN }] }, pin: 4, b: { pin: HIDDEN } });
    expect(redactor.value({ headers: { a: { value: 1 }, value: 2 } })).toEqual({ headers: { a: { value: HIDDEN }, value: 2 } });
  });

  it("gives the same object where nothing is to be hidden, and never changes one", () => {
    const clean = { a: [1, { b: "c" }] };
    expect(byDefault.value(clean)).toBe(clean);
    const secret = Object.freeze({ a: Object.freeze({ token: "x" }), b: clean });
    expect(byDefault.value(secret)).toEqual({ a: { token: HIDDEN }, b: clean });
    expect((byDefault.value(secret) as typeof secret).b).toBe(clean);
    expect(createRedactor([]).value(secret)).toBe(secret);
  });

  it("leaves what an error says about itself, whatever the rules", () => {
    const redactor = createRedactor(["code", "message", "token"]);
    expect(redactor.error({ name: "E", message: "m", code: "C", retryable: false, token: "t", details: { code: 1 } })).toEqual({
      name: "E",
      message: "m",
      code: "C",
      retryable: false,
      token: HIDDEN,
      details: { code: HIDDEN },
    });
  });

  it("never says of a text that nothing is to be hidden where something is", () => {
    const name = fc.constantFrom("token", "TOKEN", "x", "card", "number", "päss");
    const tree = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, fc.string(), fc.dictionary(name, tie("value")), fc.array(tie("value"))),
    })).value;
    fc.assert(
      fc.property(tree, fc.constantFrom(["token"], ["card.number"], ["päss"], ["card.*"]), (value, rules) => {
        const redactor = createRedactor(rules);
        const json = JSON.stringify(value);
        if (!redactor.mayApply(json)) expect(redactor.value(value)).toBe(value);
        expect(JSON.parse(redactor.text(json))).toEqual(redactor.value(JSON.parse(json)));
      }),
    );
    expect(byDefault.mayApply('{"a":1}')).toBe(false);
    expect(byDefault.mayApply(String.raw`{"pass\u0077ord":1}`)).toBe(true);
  });

  it("hides in text that is no whole JSON", () => {
    expect(byDefault.text('{"user":"u","password":"very hid')).toBe(`{"user":"u","password":"${HIDDEN}"`);
    expect(byDefault.text('{"token": {"a":"b"')).not.toContain("b");
    expect(byDefault.text("token=abc&user=u")).toBe(`token=${HIDDEN}&user=u`);
    expect(byDefault.text("nothing here")).toBe("nothing here");
  });

  it("survives what is nested beyond all reason", () => {
    let value: unknown = { token: "x" };
    for (let i = 0; i < 5_000; i++) value = { a: value };
    expect(JSON.stringify(byDefault.value(value))).not.toContain('"x"');
  });
});

describe("A reply for the dashboard", () => {
  const run: RunView = {
    id: "r",
    workflow: "token",
    version: "1",
    status: "SUCCEEDED",
    input: { password: "hidden" },
    outputs: { secret: { secret: "hidden", ok: 1 } },
    keys: [{ limit: "password", key: "k" }],
    priority: 0,
    metadata: { Authorization: "hidden" },
    createdAt: "2026-01-01T00:00:00.000Z",
    steps: {
      secret: {
        status: "SUCCEEDED",
        attempts: 1,
        output: { token: "hidden" },
        error: { name: "E", message: "m", token: "hidden" } as ErrorData,
      },
    },
  };

  it("hides in what users have sent, and nowhere else", () => {
    const shown = redactReply(byDefault, "run.get", run);
    expect(JSON.stringify(shown)).not.toContain("hidden");
    expect(shown).toMatchObject({
      workflow: "token",
      keys: run.keys,
      outputs: { secret: { ok: 1 } },
      steps: { secret: { attempts: 1 } },
    });
    expect(JSON.stringify(redactReply(byDefault, "run.list", { items: [run] }))).not.toContain("hidden");
    const events = { items: [{ at: "", type: "xstate.done.actor.a", data: { output: { token: "hidden" }, attempt: 1 } }] };
    expect(redactReply(byDefault, "run.events", events).items[0]?.data).toEqual({ output: { token: HIDDEN }, attempt: 1 });
    const event = { seq: 1, name: "e", at: "", payload: { token: "hidden" }, metadata: { secret: "hidden" }, runs: [] };
    expect(JSON.stringify(redactReply(byDefault, "event.list", { items: [event] }))).not.toContain("hidden");
    const rejected = { seq: 1, at: "", what: "events.e", reason: "", payload: '{"token":"hidden', bytes: 1 };
    expect(JSON.stringify(redactReply(byDefault, "rejected.list", { items: [rejected] }))).not.toContain("hidden");
  });

  it("hides in the news of a change", () => {
    const change = {
      id: "r",
      workflow: "w",
      change: "succeeded",
      at: "",
      status: "SUCCEEDED",
      outputs: { a: { token: "hidden" } },
    } as const;
    expect(redactChange(byDefault, change)).toEqual({ ...change, outputs: { a: { token: HIDDEN } } });
  });
});
