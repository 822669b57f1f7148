/** The embedded nats-server: starting, stopping, crashing and surviving its owner. */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import { startNatsServer } from "../../src/dev/nats-server.ts";
import { onCleanup } from "../support/cleanup.ts";
import { natsServerBinary, startTestServer } from "../support/nats.ts";
import { PROJECT_FOLDER, startNode } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

async function store(url: string, text: string): Promise<void> {
  const connection = await connect({ servers: url });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: "KEPT", subjects: ["kept"] });
  await jetstream(connection).publish("kept", text);
  await connection.close();
}

async function stored(url: string): Promise<string | undefined> {
  const connection = await connect({ servers: url });
  const manager = await jetstreamManager(connection);
  const message = await manager.streams.getMessage("KEPT", { last_by_subj: "kept" });
  await connection.close();
  return message?.string();
}

/** Whether a process of that id is there and not only the remains of one. */
async function runs(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return status !== "" && !/\) Z /.test(status);
}

/** A process that starts a server with these options, prints its id and address, and waits to be killed. */
function startOwner(storeDir: string, before = "") {
  const module = JSON.stringify(join(PROJECT_FOLDER, "src/dev/nats-server.ts"));
  const options = JSON.stringify({ binary: natsServerBinary(), storeDir });
  const program = `${before}; import(${module}).then(async ({ startNatsServer }) => {
    const server = await startNatsServer(${options});
    console.log("server", server.pid, server.url);
    setInterval(() => {}, 1000);
  }).catch((error) => { console.error(error.message); process.exit(1); });`;
  return startNode(["--import", "tsx", "--eval", program]);
}

describe("an embedded nats-server", () => {
  test("listens on a free port of this machine only, with JetStream on", async () => {
    const server = await startTestServer();
    expect(server.url).toBe(`nats://127.0.0.1:${server.port}`);
    expect(server.port).toBeGreaterThan(0);
    expect(server.version).toMatch(/^\d+\.\d+\.\d+/);
    await store(server.url, "hello");
    expect(await stored(server.url)).toBe("hello");
  });

  test("has its data and its port again after a restart, and after a crash", async () => {
    const server = await startTestServer();
    const { url, pid } = server;
    await store(server.url, "hello");
    await server.restart();
    expect(server.url).toBe(url);
    expect(server.pid).not.toBe(pid);
    expect(await stored(server.url)).toBe("hello");
    await server.kill();
    expect(server.running).toBe(false);
    await server.restart();
    expect(server.url).toBe(url);
    expect(await stored(server.url)).toBe("hello");
  });

  test("may be stopped at any time, any number of times, and at once", async () => {
    const server = await startTestServer();
    await Promise.all([server.stop(), server.restart(), server.kill(), server.restart(), server.stop(), server.stop()]);
    expect(server.running).toBe(false);
    expect(await runs(server.pid)).toBe(false);
    await server.restart();
    expect(server.running).toBe(true);
    await server.stop();
    expect(await runs(server.pid)).toBe(false);
  });

  test("tells of an end that nobody asked for, and of no other", async () => {
    const server = await startTestServer();
    const reasons: string[] = [];
    server.onUnexpectedExit((reason) => reasons.push(reason));
    await server.restart();
    await server.kill();
    await server.restart();
    expect(reasons).toEqual([]);
    process.kill(server.pid, "SIGKILL");
    await waitFor(() => reasons.length === 1);
    expect(reasons).toEqual(["nats-server was ended by SIGKILL"]);
    expect(server.running).toBe(false);
  });

  test("takes larger messages where it is told to", async () => {
    const server = await startTestServer({ maxPayloadBytes: 8 * 1024 * 1024 });
    const connection = await connect({ servers: server.url });
    expect(connection.info?.max_payload).toBe(8 * 1024 * 1024);
    await connection.close();
    await expect(startTestServer({ maxPayloadBytes: 9 * 1024 * 1024 })).rejects.toThrow(
      "expected 'maxPayloadBytes' to be an integer from 1 to 8388608, got 9437184",
    );
  });

  test("takes further configuration, with users too", async () => {
    const server = await startTestServer({ config: "authorization { user: ada, password: secret }" });
    await expect(connect({ servers: server.url, reconnect: false })).rejects.toThrow();
    await (await connect({ servers: server.url, user: "ada", pass: "secret" })).close();
  });
});

describe("a start that cannot work", () => {
  test("names the port that is taken", async () => {
    const other = await new Promise<Server>((resolve) => {
      const listening = createServer().listen(0, "127.0.0.1", () => resolve(listening));
    });
    onCleanup(() => other.close());
    const { port } = other.address() as { port: number };
    await expect(startTestServer({ port })).rejects.toMatchObject({
      code: "NATS_PORT_IN_USE",
      message: `port ${port} on 127.0.0.1 is in use by another program; choose another port, or 0 for a free one`,
    });
  });

  test("is not fooled by another nats-server on that port", async () => {
    const { port } = await startTestServer();
    await expect(startTestServer({ port })).rejects.toMatchObject({ code: "NATS_PORT_IN_USE" });
  });

  test("names the data folder that cannot be written", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "file"), "");
    const storeDir = join(folder, "file", "store");
    await expect(startTestServer({ storeDir })).rejects.toMatchObject({
      code: "NATS_DATA_NOT_WRITABLE",
      message: expect.stringContaining(`the data folder ${storeDir} cannot be written (ENOTDIR)`),
    });
  });

  test("refuses a data folder that another server uses", async () => {
    const server = await startTestServer();
    await expect(startTestServer({ storeDir: server.storeDir })).rejects.toMatchObject({ code: "NATS_DATA_IN_USE" });
    expect(server.running).toBe(true);
    await server.stop();
    await startTestServer({ storeDir: server.storeDir });
  });

  test("shows the end of the server's log", async () => {
    await expect(startTestServer({ config: "jetstream {" })).rejects.toMatchObject({
      code: "NATS_SERVER_START_FAILED",
      message: expect.stringMatching(/ended with code 1; its log \(.*nats-server\.log\) ends with:\n {2}nats-server: .*[Ee]rror/),
    });
  });

  test("says that a program cannot be run, or is not a nats-server", async () => {
    await expect(startTestServer({ binary: "/nowhere/nats-server" })).rejects.toMatchObject({
      code: "NATS_SERVER_START_FAILED",
      message: expect.stringContaining("ENOENT"),
    });
    await expect(startTestServer({ binary: "/bin/false" })).rejects.toMatchObject({
      code: "NATS_SERVER_START_FAILED",
      message: expect.stringContaining("ended with code 1"),
    });
  });

  test("gives up at its deadline and leaves nothing running", async () => {
    const storeDir = await temporaryFolder();
    const binary = join(storeDir, "sleeper");
    await writeFile(binary, "#!/bin/sh\nexec sleep 600\n", { mode: 0o755 });
    await expect(startTestServer({ binary, storeDir, startTimeoutMs: 200 })).rejects.toThrow("was not ready within 0.2 s");
    expect(existsSync(join(storeDir, "nats-server.lock"))).toBe(false);
  });
});

describe.runIf(process.platform === "linux")("a server whose owner dies", () => {
  test("ends with it, even by kill -9", async () => {
    const storeDir = await temporaryFolder();
    const owner = startOwner(storeDir);
    const pid = Number((await owner.waitForOutput(/server (\d+)/))[1]);
    expect(await runs(pid)).toBe(true);
    process.kill(owner.pid, "SIGKILL");
    await waitFor(async () => !(await runs(pid)));
    await startTestServer({ storeDir });
  });

  test("is ended by the next start where it survived even that", async () => {
    const storeDir = await temporaryFolder();
    // Without a shell there is no watchdog: this owner's server is left alone.
    const owner = startOwner(
      storeDir,
      `const processes = require("node:child_process"); const { spawn } = processes;
       processes.spawn = (command, ...rest) => spawn(command === "/bin/sh" ? "/nowhere" : command, ...rest); require("node:module").syncBuiltinESMExports()`,
    );
    const pid = Number((await owner.waitForOutput(/server (\d+)/))[1]);
    process.kill(owner.pid, "SIGKILL");
    await owner.exited;
    expect(await runs(pid)).toBe(true);
    const server = await startNatsServer({ binary: natsServerBinary(), storeDir });
    onCleanup(async () => await server.stop());
    expect(await runs(pid)).toBe(false);
    expect(server.running).toBe(true);
  });

  test("keeps the folder while its owner lives, for other processes too", async () => {
    const storeDir = await temporaryFolder();
    const owner = startOwner(storeDir);
    await owner.waitForOutput(/server (\d+)/);
    await expect(startTestServer({ storeDir })).rejects.toThrow(`in use by process ${owner.pid}`);
  });
});
