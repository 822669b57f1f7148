/** The commands that ask and tell, as processes, against a real server, engine and worker. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Page, RunView } from "../../src/protocol/view.ts";
import { startTestServer } from "../support/nats.ts";
import { runCli, startCli } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

const EXAMPLES = ["concurrency-demo", "per-user-demo", "cancel-demo", "document-ingestion"].map((name) => `examples/${name}.ts`);

let url: string;

beforeAll(async () => {
  url = (await startTestServer()).url;
  const engine = startCli(["engine", "--nats", url, "--data-dir", await temporaryFolder("engine"), "--partitions", "4"]);
  const worker = startCli(["worker", ...EXAMPLES, "--nats", url, "--name", "tester", "--slots", "50"]);
  await engine.waitForOutput("the engine is ready");
  await worker.waitForOutput("takes work");
});

/** Runs the command to its end; the server is given as people with one of their own do it. */
async function sluice(args: readonly string[], input?: string) {
  return await runCli(args, { env: { SLUICE_NATS_URL: url }, ...(input === undefined ? {} : { input }) });
}

/** The same with --json, which must succeed. */
async function json<T>(...args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await sluice([...args, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as T;
}

async function runsOf(key: string): Promise<readonly RunView[]> {
  return (await json<Page<RunView>>("runs", "list", "--key", key, "--size", "1000")).items;
}

describe("publishing", () => {
  test("one event starts its run", async () => {
    const published = await json<{ event: string; seq: number; duplicate: boolean }>(
      "publish",
      "per-user-test",
      '{"user_id":"one","ms":0}',
      "--metadata",
      '{"from":"test"}',
    );
    expect(published).toEqual({ event: "per-user-test", seq: expect.any(Number) as number, duplicate: false });
    const [run] = await waitFor(async () => {
      const runs = await runsOf("one");
      return runs[0]?.status === "SUCCEEDED" ? runs : undefined;
    });
    expect(run).toMatchObject({
      workflow: "per-user-demo",
      keys: [{ limit: "per-user-demo", key: "one" }],
      metadata: { from: "test" },
      event: { name: "per-user-test", seq: published.seq },
    });
  });

  test("the same id twice is one event", async () => {
    const args = ["publish", "per-user-test", '{"user_id":"twice","ms":0}', "--id", "the-only-one"];
    const { seq } = await json<{ seq: number }>(...args);
    expect(await json(...args)).toEqual({ event: "per-user-test", seq, duplicate: true });
  });

  test("a thousand lines, of which two are not JSON", async () => {
    const lines = Array.from({ length: 1_000 }, (_, index) =>
      index === 6 || index === 700 ? "{nope" : `{"user_id":"bulk-${index % 10}","ms":0}`,
    );
    const { code, stdout, stderr } = await sluice(["publish", "per-user-test", "-"], `${lines.join("\n")}\n`);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^published 998 events \([\d,]+\/s\)\n$/);
    expect(stderr).toMatch(/^error: line 7: .*\nerror: line 701: .*\n$/);
    await waitFor(async () => (await runsOf("bulk-3")).filter(({ status }) => status === "SUCCEEDED").length === 100, {
      timeoutMs: 30_000,
    });
  });

  test("events are listed, newest first", async () => {
    await json("publish", "nobody.knows", '"text"');
    const { stdout } = await sluice(["events", "list", "--size", "3"]);
    expect(stdout.split("\n")[1]).toMatch(/nobody\.knows.*"text"$/);
    const { items } = await json<Page<{ name: string }>>("events", "list", "--name", "nobody.knows");
    expect(items.map(({ name }) => name)).toEqual(["nobody.knows"]);
  });

  test("an event's name that cannot be one is refused", async () => {
    expect(await sluice(["publish", "a..b"])).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^error: expected 'event' to be .+, got "a\.\.b"/) as unknown,
    });
  });
});

describe("running", () => {
  test("--wait prints the outputs by step", async () => {
    const { code, stdout } = await sluice([
      "run",
      "document-ingestion",
      '{"tenant_id":"t1","url":"https://example.com/a"}',
      "--wait",
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ split: { paragraphs: expect.any(Array) as unknown }, store: { vectors: 4 } });
  });

  test("--wait --json prints the whole run, also of one that failed, with exit code 1", async () => {
    const { code, stdout, stderr } = await sluice(["run", "concurrency-demo", '{"ms":"long"}', "--wait", "--json"]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ status: "FAILED", reason: "INPUT_INVALID" });
  });

  test("each line of standard input is a run, and their ids come in that order", async () => {
    const input = Array.from({ length: 20 }, (_, index) => `{"user_id":"lines","ms":0,"n":${index}}\n`).join("");
    const { code, stdout } = await sluice(["run", "per-user-demo", "-", "--wait", "--json"], input);
    expect(code).toBe(0);
    const runs = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as RunView);
    expect(runs.map(({ status, input }) => [status, (input as { n: number }).n])).toEqual(
      Array.from({ length: 20 }, (_, index) => ["SUCCEEDED", index]),
    );
  });

  test("a workflow that nobody has registered is an error", async () => {
    expect(await sluice(["run", "unheard-of"])).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^error: there is no workflow "unheard-of"/) as unknown,
    });
  });
});

describe("runs and groups", () => {
  test("are explained, paused, resumed, changed and cancelled", async () => {
    await sluice(["publish", "per-user-test", "-"], '{"user_id":"held","ms":600000}\n{"user_id":"held","ms":0}\n');
    const group = async () =>
      await json<{
        active: number;
        waiting: number;
        activeRuns: string[];
        waitingRuns: string[];
        maxRuns: number;
        paused: boolean;
      }>("groups", "get", "per-user-demo", "held");
    await waitFor(async () => {
      const { active, waiting } = await group();
      return active === 1 && waiting === 1;
    });
    const { activeRuns, waitingRuns } = await group();
    const [first = "", second = ""] = [activeRuns[0], waitingRuns[0]];

    const why = await sluice(["runs", "explain", second]);
    expect(why.stdout).toMatch(/held/);
    expect(why.stdout).toContain(first);
    expect(await json("runs", "explain", second)).toMatchObject({
      id: second,
      waitingFor: "limit",
      key: "held",
      position: 1,
      holders: [first],
    });

    expect((await sluice(["groups", "list"])).stdout).toMatch(/per-user-demo +held +1 +1 +1 /);
    expect(await json("groups", "pause", "per-user-demo", "held")).toMatchObject({ paused: true });
    expect(await json("groups", "set", "per-user-demo", "held", "--max-runs", "2")).toMatchObject({
      maxRuns: 2,
      overridden: true,
    });
    expect(await group()).toMatchObject({ active: 1, waiting: 1 }); // paused: the free slot stays free
    expect(await json("groups", "resume", "per-user-demo", "held")).toMatchObject({ paused: false });
    await waitFor(async () => (await json<RunView>("runs", "get", second)).status === "SUCCEEDED");

    const cancelled = await sluice(["runs", "cancel", first]);
    expect(cancelled).toMatchObject({ code: 0, stdout: `run ${first} is cancelled\n` });
    const run = await waitFor(async () => {
      const view = await json<RunView>("runs", "get", first);
      return view.status === "CANCELLED" ? view : undefined;
    });
    expect(run.reason).toBe("CANCELLED_BY_USER");
    expect((await sluice(["runs", "get", first])).stdout).toMatch(/status +CANCELLED\nreason +CANCELLED_BY_USER/);
  });

  test("a run's events are told, and it can be done again", async () => {
    const old = JSON.parse(
      (await sluice(["run", "per-user-demo", '{"user_id":"again","ms":0}', "--wait", "--json"])).stdout,
    ) as RunView;
    const { items } = await json<Page<{ type: string }>>("runs", "events", old.id);
    expect(items[0]).toMatchObject({ type: "created" });
    expect(items.at(-1)).toMatchObject({ type: "run.succeeded" });
    const again = await json<RunView>("runs", "replay", old.id);
    expect(again).toMatchObject({ workflow: "per-user-demo", input: old.input, replayOf: old.id });
    expect(again.id).not.toBe(old.id);
  });

  test("a run that is not there is an error", async () => {
    for (const verb of ["get", "explain", "events", "replay", "cancel"]) {
      const { code, stderr } = await sluice(["runs", verb, "01NOBODY"]);
      expect({ verb, code, stderr }).toEqual({ verb, code: 1, stderr: 'error: there is no run "01NOBODY"\n' });
    }
  });

  test("runs are filtered by status", async () => {
    const { items } = await json<Page<RunView>>("runs", "list", "--status", "failed,cancelled");
    expect(items.length).toBeGreaterThan(0);
    expect(items.every(({ status }) => status === "FAILED" || status === "CANCELLED")).toBe(true);
  });
});

test("schedules are listed and cancelled", async () => {
  const { stdout } = await sluice(["run", "per-user-demo", '{"user_id":"later"}', "--delay", "1h"]);
  const [, id = ""] = stdout.match(/^(\S+) starts in (?:1h|59m\d+s)\n$/) ?? [];
  expect((await sluice(["schedules", "list"])).stdout).toContain(id);
  expect((await json<Page<RunView>>("schedules", "list")).items.map((run) => run.id)).toEqual([id]);
  expect(await sluice(["schedules", "cancel", id])).toMatchObject({ code: 0, stdout: `scheduled run ${id} is cancelled\n` });
  await waitFor(async () => (await json<Page<RunView>>("schedules", "list")).items.length === 0);
});

test("workflows and workers are listed", async () => {
  const { stdout } = await sluice(["workflows", "list"]);
  expect(stdout).toMatch(/cancel-demo +\w+ +cancel-test +step1, step2 +1 per key function \(CANCEL_IN_PROGRESS\)/);
  expect((await sluice(["workflows", "get", "document-ingestion"])).stdout).toMatch(
    /store +embed-title, embed-paragraphs +3 +100ms ×2 up to 5s +30s/,
  );
  expect(await json("workflows", "get", "cancel-demo")).toMatchObject({ name: "cancel-demo", spec: { on: ["cancel-test"] } });
  expect((await sluice(["workers", "list"])).stdout).toMatch(/tester +running +\d+\/50 /);
  const { items } = await json<Page<{ name: string; slots: number }>>("workers", "list");
  expect(items).toMatchObject([{ name: "tester", slots: 50, mode: "running" }]);
});

describe("without what it needs", () => {
  test("a command says that NATS is not there, and why it looked there", async () => {
    const { code, stdout, stderr } = await runCli(["runs", "list", "--nats", "nats://127.0.0.1:1", "--timeout", "300ms"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^error: cannot reach NATS at nats:\/\/127\.0\.0\.1:1: .+ \(it was given with --nats\)\n$/);
  });

  test("a command says that no engine is there", async () => {
    const { url: empty } = await startTestServer();
    const { code, stderr } = await runCli(["runs", "list", "--nats", empty, "--timeout", "300ms"]);
    expect({ code, lines: stderr.split("\n").length }).toEqual({ code: 1, lines: 2 });
    expect(stderr).toMatch(/no engine answers .*sluice engine/);
  });

  test("a wrong variable is wrong usage", async () => {
    const { code, stderr } = await runCli(["runs", "list"], { env: { SLUICE_LOG_LEVEL: "loud" } });
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/^error: expected SLUICE_LOG_LEVEL to be one of /) as unknown,
    });
  });
});
