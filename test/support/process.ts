/** Programs that tests start: their output is kept, and they are always ended, with everything that they started. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { onCleanup } from "./cleanup.ts";
import { waitFor, within } from "./wait.ts";

export const PROJECT_FOLDER = fileURLToPath(new URL("../..", import.meta.url));
/** The built `sluice` command. */
export const CLI_FILE = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));

export interface StartOptions {
  readonly cwd?: string;
  /** On top of this process's environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Written to its standard input, which is then closed; without it, standard input is empty. */
  readonly input?: string;
}

export interface ProcessResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class TestProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<ProcessResult>;
  /** Everything so far. */
  stdout = "";
  stderr = "";
  ended = false;
  readonly #command: string;

  constructor(child: ChildProcess, command: string) {
    this.child = child;
    this.#command = command;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.exited = new Promise((resolve, reject) => {
      child.on("error", (error) => {
        this.ended = true;
        reject(error);
      });
      child.on("close", (code, signal) => {
        this.ended = true;
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
    this.exited.catch(() => undefined); // whoever awaits it sees the error; nobody has to
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.#command} did not start`);
    return this.child.pid;
  }

  /** Waits until its output (standard output and error together) matches. Fails at once when the process ends before. */
  async waitForOutput(pattern: RegExp | string, timeoutMs = 30_000): Promise<RegExpMatchArray> {
    const match = () => {
      const output = `${this.stdout}\n${this.stderr}`;
      return typeof pattern === "string"
        ? output.includes(pattern)
          ? ([pattern] as RegExpMatchArray)
          : null
        : output.match(pattern);
    };
    await waitFor(() => match() !== null || this.ended, {
      timeoutMs,
      what: `${pattern} in the output of ${this.#command}`,
    }).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.#transcript()}`, { cause: error });
    });
    const found = match();
    if (found === null) throw new Error(`${this.#command} ended before its output had ${pattern}\n${this.#transcript()}`);
    return found;
  }

  /** Asks it to end, waits until it has, and kills it when that takes too long. */
  async stop(signal: NodeJS.Signals = "SIGTERM", timeoutMs = 15_000): Promise<ProcessResult> {
    if (!this.ended) this.child.kill(signal);
    try {
      return await within(timeoutMs, `${this.#command} to end after ${signal}`, this.exited);
    } catch (error) {
      await this.kill();
      throw new Error(`${(error as Error).message}\n${this.#transcript()}`, { cause: error });
    }
  }

  /** Kills it and its process group at once. */
  async kill(): Promise<void> {
    try {
      if (this.child.pid !== undefined) process.kill(-this.child.pid, "SIGKILL");
    } catch {
      // Nobody is left in the group.
    }
    await this.exited.catch(() => undefined);
  }

  #transcript(): string {
    return `--- stdout\n${this.stdout}\n--- stderr\n${this.stderr}`;
  }
}

/** Starts a program in a process group of its own; it is killed, with its group, at the end of the test. */
export function startProcess(command: string, args: readonly string[], options: StartOptions = {}): TestProcess {
  const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: "1" };
  for (const [name, value] of Object.entries(options.env ?? {})) {
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
  const child = spawn(command, args, {
    cwd: options.cwd ?? PROJECT_FOLDER,
    env,
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => undefined); // it ended without reading
  child.stdin.end(options.input ?? "");
  const started = new TestProcess(child, [command, ...args].join(" "));
  onCleanup(async () => await started.kill());
  return started;
}

export const startNode = (args: readonly string[], options?: StartOptions): TestProcess =>
  startProcess(process.execPath, args, options);

/** The built `sluice` command with these arguments. */
export const startCli = (args: readonly string[], options?: StartOptions): TestProcess => startNode([CLI_FILE, ...args], options);

/** Runs the built `sluice` command to its end. */
export async function runCli(args: readonly string[], options?: StartOptions, timeoutMs = 30_000): Promise<ProcessResult> {
  const cli = startCli(args, options);
  return await within(timeoutMs, `sluice ${args.join(" ")} to end`, cli.exited);
}
