/**
 * The worker node of `sluice dev`: a process of its own, so that a handler that blocks cannot hold up the engine. It is started
 * again when it ends by itself, and ends by itself when `sluice dev` is gone, however that happened.
 */
import { fork, type ChildProcess } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import type { WorkerReadyMessage } from "./run-worker.ts";

export interface WorkerProcessOptions {
  readonly files: readonly string[];
  readonly natsUrl: string;
  readonly prefix: string;
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly slots: number | undefined;
  readonly logLevel: string;
  readonly logger: Logger;
}

const COMMAND = fileURLToPath(new URL(`./main${extname(import.meta.url)}`, import.meta.url));
const DRAIN_TIMEOUT_MS = 5_000;
/** What a drain may take beyond that: results on their way, the end of the process. */
const STOP_MARGIN_MS = 5_000;
const FIRST_RESTART_MS = 500;
const MAX_RESTART_MS = 10_000;
/** A worker that lived this long was not broken from the start. */
const SOUND_AFTER_MS = 10_000;

export class WorkerProcess {
  readonly #options: WorkerProcessOptions;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #restartMs = FIRST_RESTART_MS;
  #stopping = false;
  #exited: Promise<void> = Promise.resolve();

  constructor(options: WorkerProcessOptions) {
    this.#options = options;
  }

  /** Resolves when it takes work; `undefined` where it ended before, having said why on standard error. */
  async start(): Promise<WorkerReadyMessage | undefined> {
    const child = this.#spawn();
    return await new Promise((resolve) => {
      child.once("message", (message) => {
        this.#keepAlive(child);
        resolve(message as WorkerReadyMessage);
      });
      child.once("exit", () => resolve(undefined));
      child.once("error", () => resolve(undefined));
    });
  }

  /** Has it finish what runs, for a few seconds. Resolves when the process is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child === undefined) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), DRAIN_TIMEOUT_MS + STOP_MARGIN_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Ends it at once. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#restart);
    this.#child?.kill("SIGKILL");
  }

  #spawn(): ChildProcess {
    const { files, natsUrl, prefix, folder, env, slots, logLevel, logger } = this.#options;
    const args = ["worker", ...files, "--nats", natsUrl, "--prefix", prefix, "--name", "dev", "--with-parent"];
    args.push("--drain-timeout", String(DRAIN_TIMEOUT_MS), "--log-level", logLevel);
    if (slots !== undefined) args.push("--slots", String(slots));
    // In a process group of its own: Ctrl-C in a terminal reaches `sluice dev` alone, which ends things in their order.
    const child = fork(COMMAND, args, { cwd: folder, env, detached: true, stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      const ended = (): void => {
        if (this.#child === child) this.#child = undefined;
        resolve();
      };
      child.once("exit", ended);
      child.once("error", (error) => {
        logger.error({ err: error }, "the worker process could not be started");
        ended();
      });
    });
    return child;
  }

  #keepAlive(child: ChildProcess): void {
    const since = performance.now();
    child.once("exit", (code, signal) => {
      if (this.#stopping) return;
      if (performance.now() - since > SOUND_AFTER_MS) this.#restartMs = FIRST_RESTART_MS;
      this.#options.logger.error({ code, signal, restartMs: this.#restartMs }, "the worker process has ended; starting it again");
      this.#restart = setTimeout(() => this.#again(), this.#restartMs);
      this.#restartMs = Math.min(this.#restartMs * 2, MAX_RESTART_MS);
    });
  }

  #again(): void {
    const child = this.#spawn();
    this.#keepAlive(child);
  }
}
