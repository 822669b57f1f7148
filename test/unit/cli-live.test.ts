/** The views that change: `sluice top`, `sluice runs watch`, `sluice inspect`; what they draw, what keys do, what pipes get. */
import { PassThrough, Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { browserCommand, findDashboard, pageUrl } from "../../src/cli/dashboard.ts";
import { readEnvironment } from "../../src/cli/environment.ts";
import { readKeys } from "../../src/cli/live-screen.ts";
import { runProgram } from "../../src/cli/program.ts";
import { renderRunsScreen } from "../../src/cli/runs-screen.ts";
import { clip, type Painter } from "../../src/cli/terminal.ts";
import { renderTopScreen, slotMarks } from "../../src/cli/top-screen.ts";
import type { Client, RunsListener } from "../../src/client/connect.ts";
import { RunNotFoundError } from "../../src/errors.ts";
import type { HealthView } from "../../src/protocol/record.ts";
import type { GroupView, RunChangeMessage, RunView } from "../../src/protocol/view.ts";
import { waitFor } from "../support/wait.ts";

const NOW = Date.parse("2026-01-31T12:00:00.000Z");
const plain: Painter = (_style, text) => text;

const HEALTH: HealthView = {
  verdict: "held back",
  sentence: "Held back by answer/ada: 12 runs wait for 2 slots.",
  at: "2026-01-31T12:00:00.000Z",
  live: 14,
  waiting: 12,
  active: 2,
  startsPerMinute: 30.4,
  finishesPerMinute: 29,
  slots: { used: 2, total: 100 },
  heldBackBy: [{ limit: "answer", key: "ada", waiting: 12 }],
  noWorkerFor: [],
  historyBehindMs: 0,
  rejected: 0,
};

const group = (fields: Partial<GroupView> = {}): GroupView => ({
  limit: "answer",
  key: "ada",
  strategy: "GROUP_ROUND_ROBIN",
  maxRuns: 2,
  paused: false,
  active: 2,
  stopping: 0,
  waiting: 12,
  activeRuns: [],
  waitingRuns: [],
  oldestWaitingAt: "2026-01-31T11:59:48.000Z",
  startsPerMinute: 30.4,
  drainSeconds: 24,
  ...fields,
});

const RUN: RunView = {
  id: "01RUN",
  workflow: "answer",
  version: "v",
  status: "RUNNING",
  input: {},
  keys: [{ limit: "answer", key: "ada" }],
  priority: 0,
  metadata: {},
  createdAt: "2026-01-31T11:59:57.000Z",
  startedAt: "2026-01-31T11:59:58.000Z",
  steps: {},
};

/** A client whose groups can be paused, and whose changes the test publishes. */
class FakeClient {
  readonly calls: string[] = [];
  readonly listeners = new Set<RunsListener>();
  groupList: readonly GroupView[] = [];
  runList: readonly RunView[] = [];
  failing: Error | undefined;

  readonly groups = {
    list: async () => ({ items: this.groupList, total: this.groupList.length }),
    get: async ({ key }: { limit: string; key: string }) =>
      this.groupList.find((one) => one.key === key) ?? group({ key, active: 0, waiting: 0 }),
    pause: async ({ limit, key }: { limit: string; key: string }) => this.#set(limit, key, true),
    resume: async ({ limit, key }: { limit: string; key: string }) => this.#set(limit, key, false),
  };
  readonly runs = {
    list: async () => {
      if (this.failing !== undefined) throw this.failing;
      return { items: this.runList };
    },
    get: async (id: string) => {
      this.calls.push(`get ${id}`);
      const run = this.runList.find((one) => one.id === id);
      if (run === undefined) throw new RunNotFoundError(id);
      return run;
    },
    watch: (listener: RunsListener) => {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    },
  };

  async health(): Promise<HealthView> {
    return HEALTH;
  }

  change(fields: Partial<RunChangeMessage> = {}): void {
    const change: RunChangeMessage = {
      id: "01RUN",
      workflow: "answer",
      change: "started",
      at: "2026-01-31T12:00:00.000Z",
      status: "RUNNING",
      ...fields,
    };
    for (const listener of this.listeners) listener.change(change);
  }

  async close(): Promise<void> {
    this.calls.push("close");
  }

  #set(limit: string, key: string, paused: boolean): GroupView {
    this.calls.push(`${paused ? "pause" : "resume"} ${limit}/${key}`);
    this.groupList = this.groupList.map((one) => (one.limit === limit && one.key === key ? { ...one, paused } : one));
    return this.groupList.find((one) => one.key === key) as GroupView;
  }
}

/** A terminal of 80 by 12, what is on it, and its keys; or a pipe. */
function start(args: readonly string[], client: FakeClient, how: { readonly tty: boolean; readonly env?: NodeJS.ProcessEnv }) {
  const stdin = Object.assign(new PassThrough(), {
    isTTY: how.tty,
    raw: false,
    setRawMode(raw: boolean) {
      this.raw = raw;
    },
  });
  const stdout = Object.assign(new PassThrough({ encoding: "utf8" }), { isTTY: how.tty, columns: 80, rows: 12 });
  const stderr = new PassThrough({ encoding: "utf8" });
  const written = { out: "", err: "" };
  stdout.on("data", (text: string) => (written.out += text));
  stderr.on("data", (text: string) => (written.err += text));
  const ended = runProgram(args, {
    terminal: { stdin, stdout, stderr },
    env: readEnvironment(how.env ?? { NO_COLOR: "1" }),
    folder: "/nowhere",
    connect: async () => client as unknown as Client,
    now: () => NOW,
  });
  // oxlint-disable-next-line no-control-regex -- what terminals are sent
  const screen = () => (written.out.split("\u001b[H").at(-1) ?? "").replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, "").split("\r\n");
  return { stdin, stdout, written, ended, screen };
}

describe("sluice top", () => {
  test("piped, is one snapshot with the health sentence on top", async () => {
    const client = new FakeClient();
    client.groupList = [group(), group({ key: "bob", active: 0, stopping: 0, waiting: 0, maxRuns: 3, paused: true })];
    const { ended, written } = start(["top"], client, { tty: false });
    expect(await ended).toBe(0);
    expect(written.out.split("\n")).toEqual([
      "● Held back by answer/ada: 12 runs wait for 2 slots.",
      "14 live   12 waiting   30 starts/min   29 ends/min   2/100 worker slots",
      "",
      "LIMIT   KEY  SLOTS  WAITING  OLDEST WAIT  STARTS/MIN  DRAIN  STATE",
      "answer  ada  ●●          12          12s          30   ~24s",
      "answer  bob  ○○○                     12s          30   ~24s  paused",
      "",
    ]);
  });

  test("with --json is what it knows", async () => {
    const client = new FakeClient();
    client.groupList = [group()];
    const { ended, written } = start(["top", "--json"], client, { tty: true });
    expect(await ended).toBe(0);
    expect(JSON.parse(written.out)).toEqual({ health: HEALTH, items: [group()], total: 1 });
  });

  test("on a terminal, p pauses and resumes the chosen group, and q leaves the terminal as it was", async () => {
    const client = new FakeClient();
    client.groupList = [group(), group({ key: "bob" })];
    const { stdin, ended, screen, written } = start(["top"], client, { tty: true });
    await waitFor(() => screen().some((line) => line.startsWith("› answer  ada")));
    expect(stdin.raw).toBe(true);
    expect(screen()[0]).toContain("Held back by answer/ada");
    stdin.write("\u001b[B");
    await waitFor(() => screen().some((line) => line.startsWith("› answer  bob")));
    stdin.write("p");
    await waitFor(() => screen().at(-1)?.includes("answer/bob is paused"));
    stdin.write("p");
    await waitFor(() => screen().at(-1)?.includes("answer/bob is resumed"));
    expect(client.calls).toEqual(["pause answer/bob", "resume answer/bob"]);
    stdin.write("q");
    expect(await ended).toBe(0);
    expect(stdin.raw).toBe(false);
    expect(written.out.endsWith("\u001b[?25h\u001b[?1049l")).toBe(true);
    expect(client.calls.at(-1)).toBe("close");
  });

  test("a chosen group stays chosen where another passes it", async () => {
    const client = new FakeClient();
    client.groupList = [group(), group({ key: "bob" })];
    const { stdin, ended, screen } = start(["top"], client, { tty: true });
    await waitFor(() => screen().some((line) => line.startsWith("› answer  ada")));
    stdin.write("j");
    await waitFor(() => screen().some((line) => line.startsWith("› answer  bob")));
    client.groupList = [group({ key: "cid" }), group({ key: "bob" }), group()];
    await waitFor(() => screen().some((line) => line.includes("cid")));
    expect(screen().find((line) => line.startsWith("›"))).toContain("bob");
    stdin.write("\u0003");
    expect(await ended).toBe(0);
  });

  test("fits any size and shows the chosen of many groups", () => {
    const groups = Array.from({ length: 500 }, (_, index) => group({ key: `key-${index}` }));
    for (const rows of [3, 8, 24]) {
      const lines = renderTopScreen(
        { top: { health: HEALTH, groups, total: 500 }, selected: 321, problem: undefined, message: undefined, now: NOW },
        { columns: 80, rows },
        plain,
      );
      if (rows >= 8) expect(lines).toHaveLength(rows);
      expect(lines.some((line) => line.startsWith("› answer  key-321"))).toBe(true);
    }
  });

  test.each<[Partial<GroupView>, string]>([
    [{ active: 2, maxRuns: 3 }, "●●○"],
    [{ active: 2, stopping: 1, maxRuns: 3 }, "●◐○"],
    [{ active: 3, maxRuns: 1 }, "●●● 3/1"],
    [{ active: 1, maxRuns: 100 }, "●○○○○○○○○○ 1/100"],
    [{ active: 1_000, maxRuns: 1_000 }, "●●●●●●●●●● 1,000/1,000"],
    [{ active: 0, maxRuns: 2 }, "○○"],
  ])("slots %o are %s", (fields, marks) => expect(slotMarks(group({ stopping: 0, ...fields }))).toBe(marks));
});

describe("sluice runs watch", () => {
  test("on a terminal, is a list that is asked for again when something changes", async () => {
    const client = new FakeClient();
    const { stdin, ended, screen } = start(["runs", "watch"], client, { tty: true });
    await waitFor(() => screen().some((line) => line.includes("no runs yet")));
    client.runList = [RUN];
    client.change();
    await waitFor(() => screen().some((line) => line.startsWith("01RUN  answer    ada  RUNNING  3.00s ago  2.00s")));
    client.failing = new Error("no engine answers");
    client.change();
    await waitFor(() => screen()[1]?.includes("no engine answers"));
    expect(screen().some((line) => line.startsWith("01RUN"))).toBe(true);
    stdin.write("q");
    expect(await ended).toBe(0);
    expect(client.listeners.size).toBe(0);
  });

  test("draws again for another size", async () => {
    const client = new FakeClient();
    client.runList = [RUN];
    const { stdin, stdout, ended, screen } = start(["runs", "watch"], client, { tty: true });
    await waitFor(() => screen().some((line) => line.startsWith("01RUN")));
    Object.assign(stdout, { columns: 10 });
    stdout.emit("resize");
    await waitFor(() => screen().some((line) => line === "01RUN  ans"));
    stdin.write("q");
    await ended;
  });

  test("piped, is a line per change, of the runs that were asked for", async () => {
    const client = new FakeClient();
    client.runList = [RUN, { ...RUN, id: "01B", keys: [{ limit: "answer", key: "bob" }] }];
    const { ended, written } = start(["runs", "watch", "--key", "ada", "--status", "running,succeeded"], client, { tty: false });
    await waitFor(() => written.err.includes("watching runs with status running, succeeded, key ada"));
    client.change();
    client.change({ id: "01B" });
    client.change({ id: "gone" });
    client.change({ change: "step", step: "write", stepStatus: "BACKOFF", attempt: 2 });
    client.change({ change: "cancelled", status: "CANCELLED" });
    client.change({ change: "succeeded", status: "SUCCEEDED", workflow: "a\u001b[2Jb" });
    await waitFor(() => written.out.includes("succeeded"));
    process.emit("SIGINT");
    expect(await ended).toBe(0);
    expect(written.out.split("\n")).toEqual([
      "2026-01-31T12:00:00.000Z  01RUN  answer  started",
      "2026-01-31T12:00:00.000Z  01RUN  answer  write: backoff (attempt 2)",
      "2026-01-31T12:00:00.000Z  01RUN  a\\u001b[2Jb  succeeded",
      "",
    ]);
    // Whether a run belongs is asked once.
    expect(client.calls.filter((call) => call === "get 01RUN")).toHaveLength(1);
  });

  test("with --json, is the changes as they were published", async () => {
    const client = new FakeClient();
    const { ended, written } = start(["runs", "watch", "--json"], client, { tty: true });
    await waitFor(() => written.err.includes("watching all runs"));
    client.change({ change: "queued", status: "QUEUED" });
    await waitFor(() => written.out !== "");
    process.emit("SIGTERM");
    expect(await ended).toBe(0);
    expect(JSON.parse(written.out)).toMatchObject({ id: "01RUN", change: "queued", status: "QUEUED" });
  });

  test("is no longer than the terminal", () => {
    const runs = Array.from({ length: 100 }, (_, index) => ({ ...RUN, id: `01RUN${index}` }));
    const lines = renderRunsScreen({ runs, problem: undefined, filter: undefined, now: NOW }, { columns: 80, rows: 10 }, plain);
    expect(lines).toHaveLength(10);
  });
});

describe("sluice inspect", () => {
  const inspect = async (args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const client = new FakeClient();
    client.runList = [RUN];
    client.groupList = [group({ key: "a/b c" })];
    const { ended, written } = start(["inspect", ...args], client, { tty: false, env });
    return { code: await ended, ...written };
  };

  test.each<[readonly string[], string]>([
    [["01RUN"], "http://127.0.0.1:7788/runs/01RUN\n"],
    [["answer/a/b c"], "http://127.0.0.1:7788/groups/answer/a%2Fb%20c\n"],
    [["answer", "a/b c"], "http://127.0.0.1:7788/groups/answer/a%2Fb%20c\n"],
    [["01RUN", "--dashboard", "https://sluice.example/"], "https://sluice.example/runs/01RUN\n"],
  ])("%j is %s", async (args, out) => {
    expect(await inspect(args)).toMatchObject({ code: 0, out, err: "" });
  });

  test("says so when there is no such run, and when nobody has the key", async () => {
    expect(await inspect(["01NONE"])).toEqual({ code: 1, out: "", err: 'error: there is no run "01NONE"\n' });
    expect(await inspect(["answer/nobody"])).toMatchObject({ code: 0, err: "no active or waiting run has this key now\n" });
  });

  test("gives the parts with --json", async () => {
    const { out } = await inspect(["answer/a/b c", "--json"], { SLUICE_DASHBOARD_URL: "http://10.0.0.1:80" });
    expect(JSON.parse(out)).toEqual({ url: "http://10.0.0.1:80/groups/answer/a%2Fb%20c", limit: "answer", key: "a/b c" });
  });

  test("refuses what is no address", async () => {
    expect(await inspect(["01RUN", "--dashboard", "javascript:alert(1)"])).toMatchObject({ code: 2 });
    expect(() => readEnvironment({ SLUICE_DASHBOARD_URL: "here" })).toThrow(/SLUICE_DASHBOARD_URL to be an address/);
  });

  test("takes the option before the environment before the usual address", async () => {
    const env = readEnvironment({ SLUICE_DASHBOARD_URL: "http://b" });
    expect((await findDashboard("http://a", env, "/nowhere")).url).toBe("http://a");
    expect((await findDashboard(undefined, env, "/nowhere")).url).toBe("http://b");
    expect((await findDashboard(undefined, readEnvironment({}), "/nowhere")).url).toBe("http://127.0.0.1:7788");
    expect(pageUrl("http://a//", "runs", "x?y")).toBe("http://a/runs/x%3Fy");
  });

  test("opens a browser only where there is something to see it on", () => {
    expect(browserCommand("http://a", {}, "linux")).toBeUndefined();
    expect(browserCommand("http://a", { DISPLAY: ":0" }, "linux")).toEqual({ file: "xdg-open", args: ["http://a"] });
    expect(browserCommand("http://a", {}, "darwin")?.file).toBe("open");
    expect(browserCommand("http://a?b&c", {}, "win32")?.args.at(-1)).toBe("http://a?b&c");
  });
});

describe("a terminal", () => {
  test("has keys of one and of many characters", () => {
    expect([...readKeys("q\u001b[A\u001b[B\u001bOA\u001b[5~\u001b[200~\u0003\rü\u0001")]).toEqual([
      "q",
      "up",
      "down",
      "up",
      "page-up",
      "ctrl-c",
      "enter",
      "ü",
    ]);
  });

  test("is not written beyond its edge, whatever the styles", () => {
    expect(clip("abcdef", 3)).toBe("abc");
    expect(clip("\u001b[1mabcdef\u001b[22m", 3)).toBe("\u001b[1mabc\u001b[0m");
    expect(clip("日本語", 5)).toBe("日本");
    expect(clip("ab", 5)).toBe("ab");
  });
});

test("nothing is read from a terminal that is none", async () => {
  const client = new FakeClient();
  client.groupList = [];
  const stdin = Readable.from([]);
  const stdout = new PassThrough({ encoding: "utf8" });
  const code = await runProgram(["top"], {
    terminal: { stdin, stdout, stderr: new PassThrough() },
    env: readEnvironment({}),
    folder: "/nowhere",
    connect: async () => client as unknown as Client,
    now: () => NOW,
  });
  expect(code).toBe(0);
  expect(String(stdout.read())).toContain("no groups: no key has active or waiting runs");
});
