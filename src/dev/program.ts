/**
 * Other programs: finding them on the PATH and running them to their end with a deadline. It knows nothing of what they are
 * for; services that go on running belong to whoever starts them.
 */
import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";

/** The first executable file of that name in the folders, or undefined. A name with a folder in it is only checked. */
export async function findProgram(
  name: string,
  folders: readonly string[],
  platform: NodeJS.Platform = process.platform,
): Promise<string | undefined> {
  const suffixes = platform === "win32" && !/\.\w+$/.test(name) ? [".exe", ".cmd"] : [""];
  for (const folder of isAbsolute(name) ? [""] : folders) {
    for (const suffix of suffixes) {
      const path = folder === "" ? name + suffix : join(folder, name + suffix);
      if (await isExecutable(path)) return path;
    }
  }
  return undefined;
}

/** The folders of a PATH variable. Empty and relative ones are left out: they would make the result depend on where we are. */
export function pathFolders(path: string | undefined): string[] {
  return (path ?? "").split(delimiter).filter((folder) => isAbsolute(folder));
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** How a program ended: `status` is its exit code, or null when it did not start, was ended by a signal or by the deadline. */
export interface ProgramResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Absent when the program ended with 0; one line otherwise. */
  readonly failure?: string;
}

/** Runs a program to its end. Never rejects: what went wrong is in `failure`. After `timeoutMs` it is killed with its children. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly timeoutMs: number },
): Promise<ProgramResult> {
  return await new Promise((resolve) => {
    const group = process.platform !== "win32"; // its own process group, so that the deadline reaches its children too
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      detached: group,
      windowsHide: true,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    let stdout = "";
    let stderr = "";
    let failure: string | undefined;
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const deadline = setTimeout(() => {
      failure = `did not end within ${options.timeoutMs / 1000} s`;
      try {
        if (group && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
        else child.kill("SIGKILL");
      } catch {
        // It ended in this very moment.
      }
    }, options.timeoutMs);
    child.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(deadline);
      resolve({ status: null, stdout, stderr, failure: error.code === "ENOENT" ? `${command} is not installed` : error.message });
    });
    child.on("close", (status, signal) => {
      clearTimeout(deadline);
      if (failure === undefined && status !== 0)
        failure = lastLine(stderr) ?? lastLine(stdout) ?? `ended with ${status ?? signal}`;
      resolve({ status, stdout, stderr, ...(failure === undefined ? {} : { failure }) });
    });
  });
}

function lastLine(text: string): string | undefined {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .at(-1);
}
