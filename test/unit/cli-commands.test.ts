/** The commands with a client that only writes down what it is asked: arguments, output, exit codes. */
import { PassThrough, Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { readEnvironment } from "../../src/cli/environment.ts";
import { runProgram } from "../../src/cli/program.ts";
import type { Client } from "../../src/client/connect.ts";
import { RunNotFoundError } from "../../src/errors.ts";
import type { GroupView, RunView } from "../../src/protocol/view.ts";
import { version } from "../../src/version.ts";

const NOW = Date.parse("2026-01-31T12:00:00.000Z");

const RUN: RunView = {
  id: "01RUN",
  workflow: "answer",
  version: "abc",
  status: "FAILED",
  reason: "STEP_FAILED",
  input: { user_id: "ada" },
  error: { name: "Error", message: "no luck" },
  keys: [{ limit: "answer", key: "ada" }],
  priority: 0,
  metadata: {},
  createdAt: "2026-01-31T11:59:57.000Z",
  startedAt: "2026-01-31T11:59:58.000Z",
  finishedAt: "2026-01-31T11:59:59.000Z",
  steps: {
    write: {
      status: "FAILED",
      attempts: 2,
      error: { name: "Error", message: "no luck" },
      startedAt: "2026-01-31T11:59:58.000Z",
      worker: "w1",
    },
  },
};

const GROUP: GroupView = {
  limit: "answer",
  key: "ada",
  strategy: "GROUP_ROUND_ROBIN",
  maxRuns: 2,
  overridden: true,
  paused: true,
  active: 1,
  stopping: 0,
  waiting: 12,
  activeRuns: ["01A"],
  waitingRuns: Array.from({ length: 12 }, (_, index) => `01W${index}`),
  startsPerMinute: 0,
};

type Call = readonly [operation: string, ...args: readonly unknown[]];

/** Answers every operation with `answers[operation]`, which may be a function or an error. */
function fakeClient(answers: Readonly<Record<string, unknown>>, calls: Call[]): Client {
  const answer = (operation: string, args: readonly unknown[]): unknown => {
    calls.push([operation, ...args]);
    const found = answers[operation];
    if (found instanceof Error) throw found;
    return typeof found === "function" ? (found as (...args: readonly unknown[]) => unknown)(...args) : found;
  };
  const paged = (promise: Promise<unknown>): unknown =>
    Object.assign(promise, {
      async *[Symbol.asyncIterator]() {
        yield* ((await promise) as { readonly items: readonly unknown[] }).items;
      },
    });
  const group = (name: string): unknown =>
    new Proxy(
      {},
      {
        get:
          (_, method) =>
          (...args: readonly unknown[]) =>
            paged((async () => answer(`${name}.${String(method)}`, args))()),
      },
    );
  return {
    ...Object.fromEntries(
      ["runs", "groups", "workflows", "workers", "nodes", "events", "rejected", "schedules"].map((name) => [name, group(name)]),
    ),
    publish: async (...args: readonly unknown[]) => answer("publish", args),
    publishMany: async (events: AsyncIterable<unknown>, options: unknown) => {
      const all: unknown[] = [];
      for await (const event of events) all.push(event);
      return answer("publishMany", [all, options]);
    },
    run: async (...args: readonly unknown[]) => answer("run", args),
    close: async () => void calls.push(["close"]),
  } as unknown as Client;
}

async function sluice(args: readonly string[], answers: Readonly<Record<string, unknown>> = {}, stdin = "") {
  const calls: Call[] = [];
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await runProgram(args, {
    terminal: { stdin: Readable.from(stdin === "" ? [] : [Buffer.from(stdin)]), stdout, stderr },
    env: readEnvironment({}),
    folder: "/nowhere",
    connect: async () => fakeClient(answers, calls),
    now: () => NOW,
  });
  const text = (stream: PassThrough) => ((stream.read() as Buffer | null) ?? Buffer.alloc(0)).toString();
  return { code, stdout: text(stdout), stderr: text(stderr), calls };
}

describe("what is typed wrongly", () => {
  test.each<[readonly string[], RegExp]>([
    [["publsh"], /unknown command 'publsh'\n\(Did you mean publish\?\)/],
    [["runs", "lst"], /unknown command 'lst'/],
    [["publish"], /missing required argument 'event'/],
    [["worker"], /missing required argument 'files'/],
    [["runs", "get", "a", "b"], /too many arguments/],
    [["runs", "list", "--sice", "3"], /unknown option '--sice'\n\(Did you mean one of --since, --size\?\)/],
    [["runs", "list", "--size", "0"], /Expected an integer from 1 to 1000/],
    [["runs", "list", "--status", "done"], /Expected one of QUEUED, RUNNING/],
    [["runs", "list", "--since", "yesterday"], /Expected how long ago/],
    [["publish", "a", "{x}"], /expected the payload to be JSON: /],
    [["publish", "a", "--metadata", "[1]"], /Expected a JSON object/],
    [["publish", "a", "--priority", "high"], /Expected an integer from -1000000 to 1000000/],
    [["publish", "a", "-", "--id", "x"], /--id names one event/],
    [["run", "a", "--delay", "soon"], /Expected a duration/],
    [["run", "a", "--at", "2026-01-01", "--delay", "1s"], /either --at or --delay/],
    [["groups", "set", "a", "b"], /either --max-runs <count> or --reset/],
    [["groups", "set", "a", "b", "--max-runs", "2", "--reset"], /either --max-runs <count> or --reset/],
    [["runs", "list", "--prefix", "a.b"], /Expected letters, digits/],
    [["runs", "list", "--log-level", "loud"], /Expected one of trace/],
  ])("%j: exit code 2 and a line that says why", async (args, message) => {
    const { code, stdout, stderr, calls } = await sluice(args);
    expect({ code, stdout, calls }).toEqual({ code: 2, stdout: "", calls: [] });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^error: /);
  });

  test("nothing at all shows what there is, on standard error", async () => {
    const { code, stdout, stderr } = await sluice([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("Usage: sluice");
  });
});

test("--help and --version are no mistakes", async () => {
  expect(await sluice(["--help"])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("publish [options] <event> [json]") as unknown,
  });
  expect(await sluice(["runs", "list", "--help"])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("--status") as unknown,
  });
  expect(await sluice(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n` });
});

describe("sluice publish", () => {
  const stored = { publish: { seq: 7, duplicate: false } };

  test("publishes an empty object where no payload is given", async () => {
    const { code, stdout, calls } = await sluice(["publish", "user.created"], stored);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "published user.created as event 7\n" });
    expect(calls).toEqual([["publish", "user.created", {}, {}], ["close"]]);
  });

  test("passes its options on", async () => {
    const args = ["publish", "e", '"text"', "--id", "x1", "--metadata", '{"a":1}', "--priority", "-2", "--scope", "s", "--json"];
    const { stdout, calls } = await sluice(args, stored);
    expect(calls[0]).toEqual(["publish", "e", "text", { id: "x1", metadata: { a: 1 }, priority: -2, scope: "s" }]);
    expect(JSON.parse(stdout)).toEqual({ event: "e", seq: 7, duplicate: false });
  });

  test("says that an event with the same id is there already", async () => {
    const { stdout } = await sluice(["publish", "e", "--id", "x"], { publish: { seq: 7, duplicate: true } });
    expect(stdout).toBe("e was published before, as event 7\n");
  });

  test("publishes each line of standard input, and names the lines that are no JSON", async () => {
    const publishMany = (events: readonly unknown[]) => events.map((_, index) => ({ seq: index, duplicate: false }));
    const { code, stdout, stderr, calls } = await sluice(
      ["publish", "e", "-", "--priority", "1"],
      { publishMany },
      '{"a":1}\nnope\n\n{"a":2}\n',
    );
    expect(calls[0]?.[1]).toEqual([
      { event: "e", payload: { a: 1 }, priority: 1 },
      { event: "e", payload: { a: 2 }, priority: 1 },
    ]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^published 2 events \(/);
    expect(stderr).toMatch(/^error: line 2: .*JSON.*\n$/);
  });

  test("names the lines that the server did not take, the first twenty of them", async () => {
    const publishMany = (events: readonly unknown[]) => {
      const failures = events.map((_, index) => ({ index, event: "e", error: new RunNotFoundError("x") }));
      throw Object.assign(new Error("25 of 25 events were not stored"), { failures });
    };
    const { code, stdout, stderr } = await sluice(["publish", "e", "-", "--json"], { publishMany }, `\n${"{}\n".repeat(25)}`);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({ event: "e", published: 0, failed: 25 });
    const lines = stderr.trimEnd().split("\n");
    expect(lines).toHaveLength(21);
    expect(lines[0]).toBe('error: line 2: there is no run "x"');
    expect(lines[20]).toBe("error: 5 more lines failed");
  });
});

describe("sluice run", () => {
  const handle = (view: Partial<RunView>) => ({
    run: () => ({ get: async () => ({ ...RUN, ...view }), result: async () => ({}) }),
  });

  test("prints the run's id", async () => {
    const { code, stdout, calls } = await sluice(
      ["run", "answer", '{"user_id":"ada"}', "--metadata", '{"m":1}'],
      handle({ status: "QUEUED" }),
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: "01RUN\n" });
    expect(calls[0]).toEqual(["run", "answer", { user_id: "ada" }, { metadata: { m: 1 } }]);
  });

  test("with --wait prints the outputs of a run that succeeded", async () => {
    const { code, stdout } = await sluice(
      ["run", "answer", "--wait"],
      handle({ status: "SUCCEEDED", outputs: { write: { text: "hi" } } }),
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: '{"write":{"text":"hi"}}\n' });
  });

  test("with --wait says how a run ended that did not, with exit code 1", async () => {
    const { code, stdout, stderr } = await sluice(["run", "answer", "--wait"], handle({}));
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toBe('error: run 01RUN of "answer" failed (STEP_FAILED): no luck\n');
  });

  test("starts a run for each line of standard input, in their order", async () => {
    let last = 0;
    const run = (_: unknown, input: { readonly n: number }) => ({
      get: async () => ({ ...RUN, id: `run-${input.n}-${++last}` }),
    });
    const { code, stdout, stderr } = await sluice(["run", "answer", "-"], { run }, '{"n":1}\n{"n":2}\n}\n{"n":3}');
    expect({
      code,
      ids: stdout
        .trim()
        .split("\n")
        .map((id) => id.slice(0, 5)),
    }).toEqual({ code: 1, ids: ["run-1", "run-2", "run-3"] });
    expect(stderr).toMatch(/^error: line 3: /);
  });

  test("takes a time or a delay", async () => {
    const { calls } = await sluice(["run", "answer", "--delay", "1h30m"], handle({}));
    expect(calls[0]).toEqual(["run", "answer", {}, { delay: 5_400_000 }]);
    const at = await sluice(
      ["run", "answer", "--at", "2026-02-01T00:00:00+01:00"],
      handle({ scheduledAt: "2026-01-31T23:00:00.000Z" }),
    );
    expect(at.calls[0]).toEqual(["run", "answer", {}, { at: "2026-01-31T23:00:00.000Z" }]);
    expect(at.stdout).toBe("01RUN starts in 11h\n");
    const past = await sluice(["run", "answer", "--at", "2020-01-01"], handle({ scheduledAt: "2020-01-01T00:00:00.000Z" }));
    expect(past.stdout).toBe("01RUN\n");
  });
});

describe("sluice runs", () => {
  test("list passes its filters on and prints a table", async () => {
    const args = [
      "runs",
      "list",
      "--status",
      "failed",
      "--status",
      "QUEUED,running",
      "--workflow",
      "answer",
      "--key",
      "ada",
      "--limit",
      "l",
      "--since",
      "2026-01-01T00:00:00Z",
      "-n",
      "5",
    ];
    const { code, stdout, stderr, calls } = await sluice(args, { "runs.list": { items: [RUN], next: "c1" } });
    expect(code).toBe(0);
    expect(calls[0]).toEqual([
      "runs.list",
      {
        status: ["FAILED", "QUEUED", "RUNNING"],
        workflow: "answer",
        key: "ada",
        limit: "l",
        since: "2026-01-01T00:00:00.000Z",
        size: 5,
      },
    ]);
    expect(stdout).toBe(
      [
        "ID     WORKFLOW  KEY  STATUS  REASON       CREATED     TOOK",
        "01RUN  answer    ada  FAILED  STEP_FAILED  3.00s ago  1.00s",
        "",
      ].join("\n"),
    );
    expect(stderr).toBe("more: --all, or --cursor c1\n");
  });

  test("list says so when there are none, and prints the page with --json", async () => {
    expect(await sluice(["runs", "list"], { "runs.list": { items: [] } })).toMatchObject({
      code: 0,
      stdout: "",
      stderr: "no runs\n",
    });
    const { stdout } = await sluice(["runs", "list", "--json"], { "runs.list": { items: [RUN], next: "c1" } });
    expect(JSON.parse(stdout)).toEqual({ items: [RUN], next: "c1" });
  });

  test("get shows the run and its steps", async () => {
    const { stdout } = await sluice(["runs", "get", "01RUN"], { "runs.get": RUN });
    expect(stdout).toMatch(/^run +01RUN\nworkflow +answer \(version abc\)\nstatus +FAILED\nreason +STEP_FAILED\nkey +ada\n/);
    expect(stdout).toMatch(/error +Error: no luck\n\nSTEP +STATUS +ATTEMPTS +STARTED +TOOK +WORKER +ERROR\nwrite +FAILED +2 /);
  });

  test("explain prints the sentence", async () => {
    const explanation = { id: "01RUN", status: "QUEUED", sentence: "It waits for a free slot." };
    expect(await sluice(["runs", "explain", "01RUN"], { "runs.explain": explanation })).toMatchObject({
      code: 0,
      stdout: "It waits for a free slot.\n",
    });
    expect(JSON.parse((await sluice(["runs", "explain", "01RUN", "--json"], { "runs.explain": explanation })).stdout)).toEqual(
      explanation,
    );
  });

  test("cancel goes on after a run that is not there, with exit code 1", async () => {
    const cancel = (id: string) => {
      if (id === "a") throw new RunNotFoundError("a");
      return { ...RUN, id, status: id === "b" ? "CANCELLED" : "SUCCEEDED" };
    };
    const { code, stdout, stderr } = await sluice(["runs", "cancel", "a", "b", "c"], { "runs.cancel": cancel });
    expect({ code, stdout, stderr }).toEqual({
      code: 1,
      stdout: "run b is cancelled\nrun c had already succeeded\n",
      stderr: 'error: there is no run "a"\n',
    });
  });

  test("replay names the new run", async () => {
    const { stdout } = await sluice(["runs", "replay", "01OLD"], { "runs.replay": RUN });
    expect(stdout).toBe("01RUN (answer) does again what 01OLD did\n");
  });

  test("events tell what happened and when", async () => {
    const items = [
      { at: "2026-01-31T11:59:57.000Z", type: "created", data: { a: 1 } },
      { at: "2026-01-31T11:59:57.250Z", type: "run.admitted" },
    ];
    const { stdout } = await sluice(["runs", "events", "01RUN"], { "runs.events": { items } });
    expect(stdout.split("\n").slice(1, 3)).toEqual([
      '2026-01-31T11:59:57.000Z    +0ms  created       {"a":1}',
      "2026-01-31T11:59:57.250Z  +250ms  run.admitted",
    ]);
  });

  test("what was rejected is listed with its reason, on one line each", async () => {
    const items = [
      { seq: 7, what: "events.a", at: "2026-01-31T11:59:50.000Z", reason: "not JSON", payload: "{ a\n  b", bytes: 7 },
    ];
    const { stdout, stderr, calls } = await sluice(["rejected", "list", "-n", "5"], { "rejected.list": { items, next: "6" } });
    expect(stdout.split("\n")[1]).toMatch(/^ *7 +events\.a +10s ago +not JSON +\{ a b$/);
    expect(stderr).toContain("more: --cursor 6");
    expect(calls[0]).toEqual(["rejected.list", { size: 5 }]);
  });

  test("an error from the engine is one line, with exit code 1", async () => {
    expect(await sluice(["runs", "get", "x"], { "runs.get": new RunNotFoundError("x") })).toMatchObject({
      code: 1,
      stdout: "",
      stderr: 'error: there is no run "x"\n',
    });
  });
});

describe("sluice groups", () => {
  test("list marks limits of their own", async () => {
    const { stdout, stderr } = await sluice(["groups", "list"], { "groups.list": { items: [GROUP] } });
    expect(stdout.split("\n")[1]).toMatch(/^answer +ada +1 +2\* +12 +GROUP_ROUND_ROBIN +paused$/);
    expect(stderr).toContain("limit of its own");
  });

  test("get shows the first runs and how many more there are", async () => {
    const { stdout } = await sluice(["groups", "get", "answer", "ada"], { "groups.get": GROUP });
    expect(stdout).toContain("max runs      2 (of its own)\n");
    expect(stdout).toMatch(/waiting runs {2}01W0, .* and 2 more\n$/);
  });

  test.each<[readonly string[], Call]>([
    [
      ["set", "answer", "ada", "--max-runs", "3"],
      ["groups.update", { limit: "answer", key: "ada", maxRuns: 3 }],
    ],
    [
      ["set", "answer", "ada", "--reset"],
      ["groups.update", { limit: "answer", key: "ada", maxRuns: null }],
    ],
    [
      ["pause", "answer", "ada"],
      ["groups.pause", { limit: "answer", key: "ada" }],
    ],
    [
      ["resume", "answer", "ada"],
      ["groups.resume", { limit: "answer", key: "ada" }],
    ],
  ])("%j", async (args, call) => {
    const { code, stdout, calls } = await sluice(["groups", ...args, "--json"], { [call[0]]: GROUP });
    expect(code).toBe(0);
    expect(calls[0]).toEqual(call);
    expect(JSON.parse(stdout)).toEqual(GROUP);
  });
});

test("schedules are runs that wait for their time", async () => {
  const scheduled = { ...RUN, status: "QUEUED", scheduledAt: "2026-01-31T13:00:00.000Z" };
  const { stdout } = await sluice(["schedules", "list"], { "schedules.list": { items: [scheduled] } });
  expect(stdout.split("\n")[1]).toMatch(/^01RUN +answer +2026-01-31T13:00:00.000Z +in 1h +\{"user_id":"ada"\}$/);
  const cancelled = await sluice(["schedules", "cancel", "01RUN"], { "runs.cancel": { ...scheduled, status: "CANCELLED" } });
  expect(cancelled.stdout).toBe("scheduled run 01RUN is cancelled\n");
});

describe("engine nodes", () => {
  test("are listed with their partitions, of which those that move or stand still say so, and the coordinator", async () => {
    const node = {
      id: "01A",
      name: "engine-a",
      host: "h",
      pid: 7,
      sluiceVersion: "1.0.0",
      state: "member",
      coordinator: true,
      partitions: [
        { partition: 0, state: "owned", epoch: 3 },
        { partition: 2, state: "owned", epoch: 4, refused: true },
        { partition: 4, state: "taking", epoch: 9 },
      ],
      joinedAt: new Date(NOW - 60_000).toISOString(),
      lastSeenAt: new Date(NOW - 1_000).toISOString(),
    };
    const page = { items: [node] };
    const { stdout, code } = await sluice(["nodes", "list"], { "nodes.list": page });
    expect(code).toBe(0);
    expect(stdout).toMatch(/01A +engine-a +member +coordinator +0 2\(refused\) 4\(taking\) +1\.00s ago +1m ago +h +7 +1\.0\.0/);
    const json = await sluice(["nodes", "list", "--json"], { "nodes.list": page });
    expect(JSON.parse(json.stdout)).toEqual(page);
  });
});
