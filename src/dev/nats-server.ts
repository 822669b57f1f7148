/**
 * An embedded nats-server with JetStream: one child process on one data folder, from "ready" to "certainly gone". It is told
 * which binary to run (see `nats-server-finder.ts`) and knows nothing of streams or of Sluice.
 *
 * No process stays behind. `stop()` and `kill()` wait for the end of the server; a watchdog (a shell that blocks on a pipe of
 * ours) ends it when this process dies in any way, `kill -9` included; and a lock in the data folder names the owner and the
 * server, so that the next start ends a server that survived even that, and refuses a folder that somebody else is using.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { NatsServerError } from "./nats-server-error.ts";
import { acquireDataLock, type DataLock } from "./nats-server-lock.ts";

export interface NatsServerOptions {
  /** The nats-server to run, 2.9.0 or newer. */
  readonly binary: string;
  /** Where JetStream keeps its files; made if missing. The server's log, configuration and lock are here too. */
  readonly storeDir: string;
  /** 0 (the default) takes a free one, which `restart()` keeps. */
  readonly port?: number;
  /** Default 127.0.0.1: whoever can connect can do everything. */
  readonly host?: string;
  /** Largest message in bytes, default 1 MiB, at most 8 MiB. Larger ones make the server hold more memory per connection. */
  readonly maxPayloadBytes?: number;
  /** Further lines of nats-server configuration, put at the end of the file. */
  readonly config?: string;
  /** How long a start may take, default 60 s: recovering a large store takes time. */
  readonly startTimeoutMs?: number;
  /** How long the server may take to stop after SIGTERM before it is killed, default 10 s. */
  readonly stopTimeoutMs?: number;
}

/** A running server. `stop`, `kill` and `restart` are safe in any order and number; calls are carried out one after another. */
export interface NatsServer {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Process id of the current (or last) life. */
  readonly pid: number;
  /** The server's version as it says itself, without `v`. */
  readonly version: string;
  readonly storeDir: string;
  readonly logFile: string;
  readonly running: boolean;
  /** Ends it in order: everything acknowledged is on disk. */
  stop(): Promise<void>;
  /** Ends it at once (SIGKILL), as a crash would. The data folder stays ours until `stop()`. */
  kill(): Promise<void>;
  /** Starts it again on the same port and folder, after stopping it if it runs. */
  restart(): Promise<void>;
  /** Tells of an end that nobody asked for, with a readable reason. */
  onUnexpectedExit(listener: (reason: string) => void): void;
}

const MIB = 1024 * 1024;
const LOG_FILE_LIMIT_BYTES = 5 * MIB;

/** Starts a server and resolves when it accepts connections and JetStream answers. Rejects with a `NatsServerError`. */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const maxPayloadBytes = options.maxPayloadBytes ?? MIB;
  if (!Number.isInteger(maxPayloadBytes) || maxPayloadBytes < 1 || maxPayloadBytes > 8 * MIB) {
    throw new RangeError(`expected 'maxPayloadBytes' to be an integer from 1 to ${8 * MIB}, got ${maxPayloadBytes}`);
  }
  const port = options.port ?? 0;
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new RangeError(`expected 'port' to be an integer from 0 to 65535, got ${port}`);
  const server = new EmbeddedServer({
    host: "127.0.0.1",
    config: "",
    startTimeoutMs: 60_000,
    stopTimeoutMs: 10_000,
    ...options,
    port,
    maxPayloadBytes,
    storeDir: resolve(options.storeDir),
  });
  await server.restart();
  return server;
}

/** One life of the server: from its spawn until its exit. */
interface Life {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Resolves when the process is gone, with a readable reason. */
  readonly exited: Promise<string>;
  /** Set once somebody asked for the end. */
  ending: boolean;
  /** Where the server writes the port that it got. */
  readonly portsFile: string;
  /** Where its part of the log begins. */
  readonly logStart: number;
}

class EmbeddedServer implements NatsServer {
  readonly host: string;
  readonly storeDir: string;
  readonly logFile: string;
  readonly #options: Required<NatsServerOptions>;
  readonly #listeners: ((reason: string) => void)[] = [];
  #port: number;
  #pid = 0;
  #version = "";
  #lock: DataLock | undefined;
  /** Undefined whenever no process of ours is alive. */
  #life: Life | undefined;
  /** The end of the last call, so that calls never overlap. */
  #queue: Promise<void> = Promise.resolve();

  constructor(options: Required<NatsServerOptions>) {
    this.#options = options;
    this.#port = options.port;
    this.host = options.host;
    this.storeDir = options.storeDir;
    this.logFile = join(options.storeDir, "nats-server.log");
  }

  get url(): string {
    const reachable = this.host === "0.0.0.0" ? "127.0.0.1" : this.host === "::" ? "::1" : this.host;
    return `nats://${reachable.includes(":") ? `[${reachable}]` : reachable}:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number {
    return this.#pid;
  }

  get version(): string {
    return this.#version;
  }

  get running(): boolean {
    return this.#life !== undefined && !this.#life.ending;
  }

  onUnexpectedExit(listener: (reason: string) => void): void {
    this.#listeners.push(listener);
  }

  stop(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#end("SIGTERM");
      await this.#lock?.release();
      this.#lock = undefined;
    });
  }

  kill(): Promise<void> {
    return this.#inTurn(() => this.#end("SIGKILL"));
  }

  restart(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#end("SIGTERM");
      try {
        await this.#start();
      } catch (error) {
        await this.#end("SIGKILL");
        await this.#lock?.release();
        this.#lock = undefined;
        throw error;
      }
    });
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    const result = this.#queue.then(action);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #start(): Promise<void> {
    const { binary, startTimeoutMs } = this.#options;
    const configFile = join(this.storeDir, "nats-server.conf");
    await this.#makeDataFolder();
    this.#lock ??= await acquireDataLock(this.storeDir, configFile);
    await writeFile(configFile, this.#configuration());
    const life = await this.#spawn(binary, configFile);
    await this.#lock.record(life.pid);

    const deadline = Date.now() + startTimeoutMs;
    let gone: string | undefined;
    void life.exited.then((reason) => (gone = reason));
    // The ports file is written by our own child once it listens. Connecting to the port would not do: another server may be there.
    for (let problem = "it does not listen"; ; await delay(5)) {
      const port = await readPortsFile(life.portsFile);
      if (port !== undefined) {
        this.#port = port;
        const answer = await askServer(new URL(this.url).hostname.replace(/^\[|\]$/g, ""), port);
        if (typeof answer === "object") {
          this.#version = answer.version;
          return;
        }
        problem = answer;
      }
      if (gone !== undefined) throw await this.#startError(gone, life);
      if (Date.now() > deadline)
        throw await this.#startError(`was not ready within ${startTimeoutMs / 1000} s (${problem})`, life);
    }
  }

  async #makeDataFolder(): Promise<void> {
    try {
      await mkdir(this.storeDir, { recursive: true });
      const probe = join(this.storeDir, `.writable-${process.pid}`);
      await writeFile(probe, "");
      await rm(probe);
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new NatsServerError(
        "NATS_DATA_NOT_WRITABLE",
        `the data folder ${this.storeDir} cannot be written (${reason}); choose another or change its owner`,
        {
          cause: error,
        },
      );
    }
  }

  #configuration(): string {
    const { maxPayloadBytes, config } = this.#options;
    const text = (value: string) => JSON.stringify(value); // nats-server reads the escapes of JSON strings
    return [
      "# Written by Sluice at every start: changes made here are lost.",
      `host: ${text(this.host)}`,
      `port: ${this.#port === 0 ? -1 : this.#port}`,
      `max_payload: ${maxPayloadBytes}`,
      `ports_file_dir: ${text(this.storeDir)}`,
      `jetstream { store_dir: ${text(this.storeDir)} }`,
      config,
      "",
    ].join("\n");
  }

  async #spawn(binary: string, configFile: string): Promise<Life> {
    const size = await stat(this.logFile).then(
      (file) => file.size,
      () => 0,
    );
    if (size > LOG_FILE_LIMIT_BYTES) await rename(this.logFile, `${this.logFile}.1`);
    const log = openSync(this.logFile, "a");
    try {
      // In a process group of its own: Ctrl-C in a terminal must reach us only, so that engine and workers stop before the server.
      const child = spawn(binary, ["--config", configFile], { stdio: ["ignore", log, log], detached: true, windowsHide: true });
      const exited = new Promise<string>((resolve) => {
        child.on("error", (error) => resolve(`could not be run (${error.message})`));
        child.on("exit", (code, signal) => resolve(signal === null ? `ended with code ${code}` : `was ended by ${signal}`));
      });
      if (child.pid === undefined) {
        throw new NatsServerError("NATS_SERVER_START_FAILED", `nats-server (${binary}) ${await exited}`);
      }
      child.unref(); // a server that nobody stopped must not keep this process alive; the watchdog ends it with us
      const watchdog = watchOver(child.pid);
      const life: Life = {
        child,
        pid: child.pid,
        exited,
        ending: false,
        portsFile: join(this.storeDir, `${programName(binary)}_${child.pid}.ports`),
        logStart: size > LOG_FILE_LIMIT_BYTES ? 0 : size,
      };
      this.#pid = child.pid;
      this.#life = life;
      void exited.then((reason) => {
        watchdog?.kill("SIGKILL");
        this.#life = undefined;
        if (!life.ending) for (const listener of this.#listeners) listener(`nats-server ${reason}`);
      });
      return life;
    } finally {
      closeSync(log);
    }
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    life.ending = true;
    life.child.ref();
    life.child.kill(signal);
    const timer = setTimeout(() => life.child.kill("SIGKILL"), this.#options.stopTimeoutMs);
    await life.exited;
    clearTimeout(timer);
    await rm(life.portsFile, { force: true }); // the server takes it away itself unless it was killed
  }

  /** What went wrong, with a clear first line for what a person can act on. */
  async #startError(reason: string, life: Life): Promise<NatsServerError> {
    life.ending = true;
    const log = await tail(this.logFile, life.logStart);
    if (/address already in use|Only one usage of each socket address/i.test(log)) {
      return new NatsServerError(
        "NATS_PORT_IN_USE",
        `port ${this.#port} on ${this.host} is in use by another program; choose another port, or 0 for a free one`,
      );
    }
    return new NatsServerError(
      "NATS_SERVER_START_FAILED",
      `nats-server ${reason}; its log (${this.logFile}) ends with:\n${log === "" ? "  (nothing)" : log.replace(/^/gm, "  ")}`,
    );
  }
}

function programName(binary: string): string {
  return binary.split(/[/\\]/).at(-1) ?? binary;
}

/** The client port, or undefined while the file is missing or half written. */
async function readPortsFile(file: string): Promise<number | undefined> {
  try {
    const { nats } = JSON.parse(await readFile(file, "utf8")) as { nats?: string[] };
    const port = Number(nats?.[0]?.match(/:(\d+)$/)?.[1]);
    return Number.isInteger(port) ? port : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Ends the server when this process is gone: the kernel then closes our end of the pipe and `read` comes back. In a process
 * group of its own, since what kills our group must not kill the watchdog first. On Windows there is none.
 */
function watchOver(serverPid: number): ChildProcess | undefined {
  if (process.platform === "win32") return undefined;
  const watchdog = spawn("/bin/sh", ["-c", 'read -r line; kill -TERM "$0"', String(serverPid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  watchdog.on("error", () => undefined); // no shell: the lock in the data folder is left to find the server again
  watchdog.unref();
  (watchdog.stdin as unknown as { unref(): void } | null)?.unref();
  return watchdog;
}

/** Asks the server for its version and JetStream for an answer; a string says why it is not ready. Speaks the protocol itself. */
async function askServer(host: string, port: number): Promise<{ version: string } | string> {
  return await new Promise((resolve) => {
    const socket = createConnection({ host, port });
    let received = "";
    let version: string | undefined;
    const done = (answer: { version: string } | string) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setEncoding("utf8");
    socket.setTimeout(2000, () => done("no answer within 2 s"));
    socket.on("error", (error) => done(error.message));
    socket.on("close", () => done("it closed the connection"));
    socket.on("data", (text) => {
      received += text;
      const info = received.match(/^INFO (\{.*\})/m)?.[1];
      if (info === undefined) return;
      if (version === undefined) {
        const said = JSON.parse(info) as {
          version?: string;
          jetstream?: boolean;
          auth_required?: boolean;
          tls_required?: boolean;
        };
        version = said.version ?? "";
        if (said.jetstream !== true) return done("JetStream is not enabled");
        // Credentials from extra configuration are not ours to know; the server enables JetStream before it listens.
        if (said.auth_required === true || said.tls_required === true) return done({ version });
        socket.write(
          'CONNECT {"verbose":false,"pedantic":false}\r\nSUB _INBOX.ready 1\r\nPUB $JS.API.INFO _INBOX.ready 0\r\n\r\nPING\r\n',
        );
      }
      if (/^MSG _INBOX\.ready /m.test(received)) return done(/"error":/.test(received) ? "JetStream is not ready" : { version });
      if (/^-ERR/m.test(received)) return done(received.match(/^-ERR.*/m)?.[0] ?? "error");
    });
  });
}

/** The last lines of the file from the offset on. */
async function tail(file: string, from: number): Promise<string> {
  try {
    const handle = await open(file);
    try {
      const { size } = await handle.stat();
      const start = Math.max(from, size - 4000);
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(Math.max(1, size - start)), 0, size - start, start);
      return buffer.subarray(0, bytesRead).toString("utf8").trimEnd().split("\n").slice(-12).join("\n");
    } finally {
      await handle.close();
    }
  } catch {
    return "";
  }
}
