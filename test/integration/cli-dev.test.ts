/** `sluice dev`, `sluice engine` and `sluice worker` as processes: starting, stopping, being killed, and leaving nothing behind. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { DevRecord } from "../../src/cli/dev-record.ts";
import type { Page, RunView } from "../../src/protocol/view.ts";
import { onCleanup } from "../support/cleanup.ts";
import { ask } from "../support/http.ts";
import { startTestServer } from "../support/nats.ts";
import { runCli, startCli, type TestProcess } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

const READY = /^Sluice is ready$/m;
const ENV = { SLUICE_NATS_URL: undefined };

const WORKFLOW = `
  import { defineWorkflow } from "sluice";
  import { appendFileSync } from "node:fs";
  import { setTimeout as sleep } from "node:timers/promises";
  export const slow = defineWorkflow({ name: "slow", on: ["go.slowly"], concurrency: { key: "input.key", strategy: "GROUP_ROUND_ROBIN" } })
    .step("one", async (ctx) => {
      appendFileSync("started.txt", ctx.attemptId + "\\n");
      if (ctx.input.stubborn) await sleep(ctx.input.ms);
      else await sleep(ctx.input.ms, undefined, { signal: ctx.signal });
    });
`;

async function folderWithWorkflow(): Promise<string> {
  const folder = await temporaryFolder("dev");
  await writeFile(join(folder, "flow.mjs"), WORKFLOW);
  return folder;
}

async function startDev(folder: string, ...args: readonly string[]): Promise<TestProcess> {
  const dev = startCli(["dev", ...args, "--nats-port", "0"], { cwd: folder, env: ENV });
  await dev.waitForOutput(READY);
  return dev;
}

async function sluice<T>(folder: string, ...args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await runCli([...args, "--json"], { cwd: folder, env: ENV });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as T;
}

async function statuses(folder: string): Promise<readonly string[]> {
  return (await sluice<Page<RunView>>(folder, "runs", "list")).items.map(({ status }) => status);
}

const startedIn = async (folder: string) =>
  (await readFile(join(folder, "started.txt"), "utf8").catch(() => "")).split("\n").length - 1;

/** Processes of this machine with the folder on their command line or as their working folder. */
function processesOf(folder: string): string[] {
  const lines = execFileSync("ps", ["-eo", "pid=,stat=,args="], { encoding: "utf8" }).split("\n");
  return lines.filter((line) => line.includes(folder) && !/^\s*\d+\s+Z/.test(line));
}

describe("sluice dev", () => {
  test("says where everything is, serves the commands of its folder, and leaves nothing behind after Ctrl-C; its data is there again", async () => {
    const folder = await folderWithWorkflow();
    const dev = await startDev(folder, "flow.mjs");
    const record = JSON.parse(await readFile(join(folder, ".sluice/dev.json"), "utf8")) as DevRecord;
    expect(record.pid).toBe(dev.pid);
    expect(dev.stdout).toContain(record.natsUrl);
    expect(dev.stdout).toContain(record.dashboardUrl);
    expect((await fetch(`${record.dashboardUrl}/readyz`)).status).toBe(200);
    expect((await (await fetch(`${record.dashboardUrl}/api/worker.list`)).json()) as unknown).toMatchObject({
      items: [{ mode: "running" }],
    });
    expect(dev.stdout).toContain("slow (on go.slowly)");
    expect(dev.stdout).toContain("publish go.slowly");
    await sluice(folder, "publish", "go.slowly", '{"key":"a","ms":0}');
    await waitFor(async () => (await statuses(folder)).join() === "SUCCEEDED");

    const { code } = await dev.stop("SIGINT");
    expect(code).toBe(0);
    expect(processesOf(folder)).toEqual([]);
    expect(existsSync(join(folder, ".sluice/dev.json"))).toBe(false);

    const again = await startDev(folder, "flow.mjs");
    expect(await statuses(folder)).toEqual(["SUCCEEDED"]);
    await again.stop("SIGINT");
  });

  test("hands back at its end what still runs, and goes on with it at the next start", async () => {
    const folder = await folderWithWorkflow();
    const dev = await startDev(folder, "flow.mjs");
    await sluice(folder, "publish", "go.slowly", '{"key":"a","ms":20000}');
    await sluice(folder, "publish", "go.slowly", '{"key":"a","ms":0}');
    await waitFor(async () => (await startedIn(folder)) === 1);
    await dev.stop("SIGTERM", 30_000);
    expect(processesOf(folder)).toEqual([]);

    const again = await startDev(folder, "flow.mjs");
    expect((await statuses(folder)).toSorted()).toEqual(["QUEUED", "RUNNING"]);
    await waitFor(async () => (await startedIn(folder)) === 2, { what: "the step to be started again" });
    await again.stop("SIGTERM", 30_000);
  });

  test("a second Ctrl-C ends it at once, and leaves nothing behind either", async () => {
    const folder = await folderWithWorkflow();
    const dev = await startDev(folder, "flow.mjs");
    await sluice(folder, "publish", "go.slowly", '{"key":"a","ms":60000,"stubborn":true}');
    await waitFor(async () => (await startedIn(folder)) === 1);
    dev.child.kill("SIGINT");
    await dev.waitForOutput("stopping");
    await waitFor(() => dev.ended || !dev.child.kill("SIGINT"), {
      intervalMs: 600,
      timeoutMs: 4_500,
      what: "the second Ctrl-C to end it",
    });
    expect((await dev.exited).code).toBe(130);
    await waitFor(() => processesOf(folder).length === 0);
  });

  test("leaves nothing behind when it is killed, and goes on at the next start as if nothing had been", async () => {
    const folder = await folderWithWorkflow();
    const dev = await startDev(folder, "flow.mjs");
    await sluice(folder, "publish", "go.slowly", '{"key":"a","ms":1000}');
    await sluice(folder, "publish", "go.slowly", '{"key":"a","ms":0}');
    await waitFor(async () => (await startedIn(folder)) === 1);
    dev.child.kill("SIGKILL");
    await dev.exited;
    await waitFor(() => processesOf(folder).length === 0, { timeoutMs: 20_000 });
    expect(existsSync(join(folder, ".sluice/dev.json"))).toBe(true);

    const { stderr } = await runCli(["runs", "list", "--timeout", "100ms"], { cwd: folder, env: ENV });
    expect(stderr).toMatch(/^error: .*(has ended|no engine)/);

    await startDev(folder, "flow.mjs");
    await waitFor(async () => (await statuses(folder)).join() === "SUCCEEDED,SUCCEEDED", { timeoutMs: 20_000 });
  });

  test("starts its worker and its NATS server again when they are killed", async () => {
    const folder = await folderWithWorkflow();
    const dev = await startDev(folder, "flow.mjs");
    const pidOf = (what: RegExp) =>
      Number(
        processesOf(folder)
          .find((line) => what.test(line))
          ?.trim()
          .split(" ")[0],
      );
    const before = { worker: pidOf(/main\.js worker/), nats: pidOf(/nats-server/) };
    process.kill(before.worker, "SIGKILL");
    await waitFor(() => pidOf(/main\.js worker/) > 0 && pidOf(/main\.js worker/) !== before.worker);
    process.kill(before.nats, "SIGKILL");
    await waitFor(() => pidOf(/nats-server/) > 0 && pidOf(/nats-server/) !== before.nats);
    await waitFor(
      async () => (await runCli(["publish", "go.slowly", '{"key":"b","ms":0}'], { cwd: folder, env: ENV })).code === 0,
      { timeoutMs: 20_000 },
    );
    await waitFor(async () => (await statuses(folder)).includes("SUCCEEDED"), { timeoutMs: 20_000 });
    await dev.stop("SIGINT");
    expect(processesOf(folder)).toEqual([]);
  });

  test("runs the examples where no file is given", async () => {
    const folder = await temporaryFolder("dev");
    const dev = await startDev(folder);
    for (const name of ["concurrency-demo", "per-user-demo", "cancel-demo", "chat-answer", "document-ingestion"])
      expect(dev.stdout).toContain(name);
    await dev.stop("SIGINT");
  });

  test("uses a NATS server that runs already, and leaves it alone", async () => {
    const server = await startTestServer();
    const folder = await folderWithWorkflow();
    const dev = startCli(["dev", "flow.mjs"], { cwd: folder, env: { SLUICE_NATS_URL: server.url } });
    await dev.waitForOutput(READY);
    expect(dev.stdout).toContain(`${server.url}  (already running)`);
    await dev.stop("SIGINT");
    expect(server.running).toBe(true);
  });

  test("says what is wrong with a file, a port or a folder that is in use, and stops what it had started", async () => {
    const folder = await folderWithWorkflow();
    await writeFile(join(folder, "bad.mjs"), "throw new Error('boom')");
    const refused = async (...args: readonly string[]) => {
      const { code, stderr } = await startCli(["dev", ...args], { cwd: folder, env: ENV }).exited;
      return { code, error: stderr.split("\n").find((line) => line.startsWith("error:")) };
    };
    expect(await refused("nowhere.ts")).toEqual({ code: 1, error: "error: nowhere.ts: there is no such file" });
    expect(await refused("bad.mjs", "--nats-port", "0")).toEqual({
      code: 1,
      error: "error: bad.mjs:1:7: threw boom when it was loaded",
    });
    expect(processesOf(folder)).toEqual([]);

    const other = createServer().listen(0, "127.0.0.1");
    onCleanup(() => other.close());
    await waitFor(() => other.listening);
    const { port } = other.address() as { port: number };
    expect(await refused("flow.mjs", "--nats-port", String(port))).toEqual({
      code: 1,
      error: expect.stringContaining(`port ${port} on 127.0.0.1 is in use`) as unknown,
    });

    const dev = await startDev(folder, "flow.mjs");
    expect(await refused("flow.mjs", "--nats-port", "0")).toEqual({
      code: 1,
      error: expect.stringContaining(`is in use by process ${dev.pid}`) as unknown,
    });
    await dev.stop("SIGINT");
  });
});

describe("sluice engine and sluice worker", () => {
  test("drain at SIGTERM: what runs is finished, and the process ends though a file leaves something open", async () => {
    const { url } = await startTestServer();
    const folder = await folderWithWorkflow();
    await writeFile(join(folder, "open.mjs"), `${WORKFLOW}\nsetInterval(() => undefined, 1000);\n`);
    const env = { SLUICE_NATS_URL: url };
    const engine = startCli(["engine", "--data-dir", ".data"], { cwd: folder, env });
    const worker = startCli(["worker", "open.mjs", "--drain-timeout", "20s", "--name", "w"], { cwd: folder, env });
    await worker.waitForOutput("takes work");
    const { stdout: id } = await runCli(["run", "slow", '{"key":"a","ms":1500}'], { cwd: folder, env });
    await waitFor(async () => (await startedIn(folder)) === 1);
    expect((await worker.stop("SIGTERM")).code).toBe(0);
    const { stdout } = await runCli(["runs", "get", id.trim(), "--json"], { cwd: folder, env });
    expect(JSON.parse(stdout)).toMatchObject({ status: "SUCCEEDED", steps: { one: { attempts: 1 } } });
    expect((await engine.stop("SIGTERM")).code).toBe(0);
  });

  test("end at the second signal", async () => {
    const { url } = await startTestServer();
    const folder = await folderWithWorkflow();
    const env = { SLUICE_NATS_URL: url };
    startCli(["engine", "--data-dir", ".data"], { cwd: folder, env });
    const worker = startCli(["worker", "flow.mjs"], { cwd: folder, env });
    await worker.waitForOutput("takes work");
    await runCli(["run", "slow", '{"key":"a","ms":60000}'], { cwd: folder, env });
    await waitFor(async () => (await startedIn(folder)) === 1);
    worker.child.kill("SIGTERM");
    await worker.waitForOutput("draining");
    await waitFor(() => worker.ended || !worker.child.kill("SIGTERM"), { intervalMs: 600, timeoutMs: 5_000 });
    expect((await worker.exited).code).toBe(143);
  });

  test("serve the dashboard, with a password from the environment, to names that were allowed", async () => {
    const { url } = await startTestServer();
    const folder = await temporaryFolder("engine");
    const args = [
      "engine",
      "--data-dir",
      ".data",
      "--nats",
      url,
      "--dashboard-port",
      "0",
      "--dashboard-allow-host",
      "dash.example,b",
    ];
    const env = { ...ENV, SLUICE_DASHBOARD_PASSWORD: "open sesame" };
    const engine = startCli([...args, "--read-only", "--dashboard-host", "0.0.0.0"], { cwd: folder, env });
    await engine.waitForOutput("the engine is ready");
    const ready = engine.stderr.split("\n").find((line) => line.includes("the dashboard is ready"));
    const { url: page } = JSON.parse(ready ?? "") as { url: string };
    expect((await ask(page, "/healthz")).status).toBe(200);
    expect((await ask(page, "/api/about")).status).toBe(401);
    const headers = { authorization: "Bearer open sesame", host: "dash.example" };
    expect((await ask(page, "/api/about", { headers })).json()).toMatchObject({ readOnly: true, natsUrl: url });
    expect((await ask(page, "/api/about", { headers: { ...headers, host: "evil.example" } })).status).toBe(403);
    await engine.stop();
  });

  test("serve none where none is wanted, and say what is wrong with what was asked for", async () => {
    const { url } = await startTestServer();
    const folder = await temporaryFolder("engine");
    const args = ["engine", "--data-dir", ".data", "--nats", url];
    for (const off of [["--dashboard-port", "off"], ["--no-dashboard"]]) {
      const engine = startCli([...args, ...off], { cwd: folder, env: ENV });
      await engine.waitForOutput("the engine is ready");
      expect(engine.stderr).not.toContain("the dashboard is ready");
      await engine.stop();
    }
    const open = await runCli([...args, "--dashboard-host", "0.0.0.0"], { cwd: folder, env: ENV });
    expect({ code: open.code, stderr: open.stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining("a password") as string,
    });
    const taken = await runCli([...args, "--dashboard-port", new URL(url).port], { cwd: folder, env: ENV });
    expect({ code: taken.code, stderr: taken.stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/--dashboard-port/) as string,
    });
    expect((await runCli([...args, "--dashboard-port", "http"], { cwd: folder, env: ENV })).code).toBe(2);
    expect((await runCli([...args, "--inspect-origin", "app.example"], { cwd: folder, env: ENV })).code).toBe(2);
  });

  test("can be stopped while they wait for NATS", async () => {
    const folder = await folderWithWorkflow();
    const args = ["--nats", "nats://127.0.0.1:1"];
    const engine = startCli(["engine", "--data-dir", ".data", ...args], { cwd: folder });
    const worker = startCli(["worker", "flow.mjs", ...args], { cwd: folder });
    await Promise.all([engine, worker].map(async (node) => await node.waitForOutput("cannot reach NATS")));
    expect((await engine.stop("SIGTERM", 5_000)).code).toBe(0);
    expect((await worker.stop("SIGINT", 5_000)).code).toBe(0);
  });

  test("write logs as JSON lines to standard error, in the level asked for", async () => {
    const { url } = await startTestServer();
    const folder = await folderWithWorkflow();
    const engine = startCli(["engine", "--data-dir", ".data", "--nats", url], { cwd: folder });
    await engine.waitForOutput("the engine is ready");
    const quiet = startCli(["worker", "flow.mjs", "--nats", url, "--log-level", "error"], { cwd: folder });
    await waitFor(async () => JSON.parse((await runCli(["workers", "list", "--nats", url, "--json"])).stdout).items.length === 1);
    const { stdout, stderr } = await quiet.stop();
    expect({ stdout, stderr }).toEqual({ stdout: "", stderr: "" });
    const { stdout: out, stderr: lines } = await engine.stop();
    expect(out).toBe("");
    for (const line of lines.trimEnd().split("\n"))
      expect(JSON.parse(line)).toMatchObject({ level: expect.any(Number) as number, msg: expect.any(String) as string });
  });
});
