/** The command line's live views with the built command, through pipes: what scripts get of `runs watch`, `top` and `inspect`. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunChangeMessage } from "sluice";
import { beforeAll, describe, expect, it } from "vitest";
import { runCli, startCli } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";
import { type Cluster, startCluster } from "./support/cluster.ts";

describe("the command line's live views", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ workflows: ["strategies"], slots: 4 });
  });

  const nats = (): readonly string[] => ["--nats", cluster.server.url];

  it("tell of every change as it happens, of the runs that were asked for", async () => {
    const all = startCli(["runs", "watch", "--json", ...nats()]);
    const ada = startCli(["runs", "watch", "--key", "ada", "--workflow", "round-robin", ...nats()]);
    await Promise.all([all.waitForOutput("watching all runs"), ada.waitForOutput("watching runs with")]);
    const first = await cluster.client.run("round-robin", { key: "ada" });
    const other = await cluster.client.run("round-robin", { key: "bob" });
    await Promise.all([first.result({ timeout: "20s" }), other.result({ timeout: "20s" })]);
    await all.waitForOutput(new RegExp(`"id":"${other.id}".*"change":"succeeded"`));
    await ada.waitForOutput(new RegExp(`${first.id} {2}round-robin {2}succeeded`));
    // Ctrl-C is how it ends: nothing went wrong.
    expect(await all.stop("SIGINT")).toMatchObject({ code: 0 });
    const { code, stdout } = await ada.stop("SIGINT");
    expect(code).toBe(0);
    expect(stdout).not.toContain(other.id);
    const changes = all.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as RunChangeMessage)
      .filter(({ id }) => id === first.id);
    expect(changes.map(({ change }) => change)).toEqual(
      expect.arrayContaining(["admitted", "started", "step", "succeeded"] satisfies RunChangeMessage["change"][]),
    );
  });

  it("show the most pressed groups once, with the health on top", async () => {
    const holder = await cluster.client.run("round-robin", { key: "pressed", gate: "top" });
    const waiting = await cluster.client.run("round-robin", { key: "pressed" });
    await cluster.started(holder.id);
    const shown = await waitFor(async () => {
      const { stdout } = await runCli(["top", ...nats()]);
      return /^round-robin +pressed +● +1 /m.test(stdout) ? stdout : undefined;
    });
    expect(shown.split("\n")[0]).toMatch(/^● \S/);
    expect(shown).toMatch(/LIMIT +KEY +SLOTS +WAITING +OLDEST WAIT/);
    const { stdout } = await runCli(["top", "--json", ...nats()]);
    expect(JSON.parse(stdout)).toMatchObject({
      health: { waiting: 1 },
      items: [{ key: "pressed", active: 1, waiting: 1 }],
      total: 1,
    });
    await cluster.open("top");
    await waiting.result({ timeout: "20s" });
  });

  it("give the addresses of pages, of what is there", async () => {
    const run = await cluster.client.run("round-robin", { key: "page" });
    expect(await runCli(["inspect", run.id, ...nats()])).toMatchObject({
      code: 0,
      stdout: `http://127.0.0.1:7788/runs/${run.id}\n`,
    });
    expect(await runCli(["inspect", "round-robin/a b/c", "--dashboard", "http://sluice.test:80/", ...nats()])).toMatchObject({
      code: 0,
      stdout: "http://sluice.test:80/groups/round-robin/a%20b%2Fc\n",
    });
    expect(await runCli(["inspect", "01NOSUCHRUN", ...nats()])).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining('there is no run "01NOSUCHRUN"') as unknown,
    });
    expect(await runCli(["inspect", "no-such-limit/a", ...nats()])).toMatchObject({ code: 1, stdout: "" });
  });

  it("find the dashboard that runs in the same folder", async () => {
    const folder = await temporaryFolder("inspect");
    await mkdir(join(folder, ".sluice"));
    const record = { natsUrl: cluster.server.url, prefix: "sluice", pid: process.pid, dashboardUrl: "http://127.0.0.1:7799" };
    await writeFile(join(folder, ".sluice", "dev.json"), JSON.stringify(record));
    const run = await cluster.client.run("round-robin", { key: "folder" });
    const { stdout } = await runCli(["inspect", run.id, "--json"], { cwd: folder, env: { SLUICE_NATS_URL: undefined } });
    expect(JSON.parse(stdout)).toEqual({ url: `http://127.0.0.1:7799/runs/${run.id}`, run: run.id });
  });
});
