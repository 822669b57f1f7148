/** Messages of inboxes as inputs for partitions: with what they need, or put aside. */
import { pino } from "pino";
import { expect, test } from "vitest";
import { InboxInputs } from "../../src/engine/inbox-inputs.ts";
import type { Input } from "../../src/engine/partition.ts";
import { CompiledWorkflow } from "../../src/engine/workflows.ts";
import { createNames } from "../../src/nats/subjects.ts";
import type { ReadMessage } from "../../src/nats/stream-reader.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";

const workflow = new CompiledWorkflow(defineWorkflow({ name: "free" }).step("a", () => 1).spec, 1, 0);
const { version } = workflow.spec;
const names = createNames();

function world() {
  const kept: string[] = [];
  const rejected: string[] = [];
  const applied: string[] = [];
  let known = true;
  let refusals = 0;
  let over = false;
  const inputs = new InboxInputs({
    connection: {
      publishAcked: (_, data) => {
        if (refusals-- > 0) return Promise.reject(new Error("full"));
        kept.push(String(data));
        return Promise.resolve({ stream: "E", seq: 70 + kept.length, duplicate: false });
      },
    },
    names,
    definitions: {
      ensure: (name, wanted) => {
        const found = name === "free" && wanted === version ? workflow : undefined;
        return known && found !== undefined ? found : Promise.resolve(found);
      },
    },
    applied: { applied: (partition, seq) => void applied.push(`${partition}:${seq}`) },
    reject: (what, { data }, reason) => rejected.push(`${what} ${Buffer.from(data).toString().slice(0, 20)} ${reason}`),
    now: () => 99,
    logger: pino({ level: "silent" }),
  });
  const read = (command: unknown, seq = 7): Input | Promise<Input> => {
    const data = Buffer.from(typeof command === "string" ? command : JSON.stringify(command));
    const message: ReadMessage = { subject: "", seq, data, timeMs: 0, header: () => undefined };
    return inputs.toInput(3, message, () => over);
  };
  return {
    kept,
    rejected,
    applied,
    read,
    forget: () => (known = false),
    refuse: (times: number) => (refusals = times),
    end: () => (over = true),
  };
}

const create = { type: "create", run: "r1", workflow: "free", version, input: { a: 1 } };
const creationOf = (input: Input) =>
  input.type === "command" && input.command?.type === "create" ? input.toCreation(input.command, input.seq) : undefined;

test("a command with a workflow that is known is an input at once", () => {
  const { read, applied } = world();
  const input = read(create);
  if (input instanceof Promise || input.type !== "command") throw new Error("expected a command at once");
  expect(creationOf(input)).toEqual({ run: "r1", workflow, createdAt: 99, input: '{"a":1}' });
  input.applied();
  expect(applied).toEqual(["3:7"]);
});

test("one with a workflow that is not known yet is one once it is", async () => {
  const { read, forget } = world();
  forget();
  const input = read(create);
  expect(input).toBeInstanceOf(Promise);
  expect(creationOf(await input)?.workflow).toBe(workflow);
});

test("a large input is put beside the events first, however often that takes", async () => {
  const { read, kept, refuse } = world();
  refuse(2);
  const text = "long ".repeat(200);
  const input = await read({ ...create, input: text });
  expect(kept).toEqual([JSON.stringify(text)]);
  expect(creationOf(input)?.ref).toEqual({ stream: names.eventsStream, seq: 71 });
});

test("a large input that is there already stays where it is", () => {
  const { read, kept } = world();
  const inputRef = { stream: "E", seq: 5 };
  const input = read({ ...create, input: "long ".repeat(200), inputRef });
  if (input instanceof Promise) throw new Error("expected an input at once");
  expect([creationOf(input)?.ref, kept]).toEqual([inputRef, []]);
});

test("runs that are handed over become one input, and a position of one that cannot be used counts", async () => {
  const { read, rejected } = world();
  const run = { run: "r1", createdAt: 5, workflow: "free", version };
  const items = [
    { position: [1, 0], run: { ...run, input: "{}", event: { name: "e", seq: 1 } } },
    { position: [2, 0], run: { ...run, run: "r2", version: "gone" } },
  ];
  const input = await read({ type: "transfer", source: "p2", items });
  expect(input).toMatchObject({
    type: "transfer",
    seq: 7,
    source: "p2",
    items: [
      { position: [1, 0], creation: { run: "r1", workflow, createdAt: 5, input: "{}", event: { name: "e", seq: 1 } } },
      { position: [2, 0], creation: undefined },
    ],
  });
  expect(rejected).toEqual([expect.stringContaining('workflow "free" is not known in version gone')]);
});

test("what cannot be used is put aside with the reason, and passed over", async () => {
  const { read, rejected } = world();
  const item = (position: unknown, run: unknown) => ({ type: "transfer", source: "events", items: [{ position, run }] });
  const run = { run: "r1", createdAt: 5, workflow: "free", version };
  const bad = [
    "{",
    { type: "walk" },
    { ...create, version: "gone" },
    { type: "transfer", source: "me", items: [] },
    { type: "transfer", source: "events", items: [] },
    item([1], run),
    item([1, -1], run),
    item([1, 0], { ...run, input: {} }),
    item([1, 0], { ...run, createdAt: undefined }),
    item([1, 0], { ...run, event: { name: "e" } }),
    item([1, 0], { ...run, failure: "no" }),
  ];
  for (const message of bad) expect(await read(message)).toMatchObject({ type: "command", command: undefined, seq: 7 });
  expect(rejected.length).toBe(bad.length);
  expect(rejected[1]).toMatch(/inbox\.3 .*expected a command of type/);
});

test("what waits when the partition goes is left to the next owner", async () => {
  const { end, read, refuse, rejected } = world();
  refuse(Infinity);
  const waiting = read({ ...create, input: "long ".repeat(200) });
  end();
  expect([(await waiting).type, rejected]).toEqual(["read", []]);
});
