/**
 * Finds the processes that a test file started and did not end, also those that were detached or whose parent is gone: a mark in
 * the environment is inherited by all descendants. Linux only (it reads /proc); elsewhere it finds nothing.
 */
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

const VARIABLE = "SLUICE_TEST_FILE_MARK";
/** How long processes that are on their way out may take. */
const PATIENCE_MS = 2000;

/** Marks this process, and with it everything that it starts from now on. */
export function markDescendants(id: string): string {
  process.env[VARIABLE] = id;
  return `${VARIABLE}=${id}`;
}

/** Waits a little for marked processes to end, kills what is left, and says what that was. */
export async function endLeftovers(mark: string): Promise<string[]> {
  let left = await marked(mark);
  for (const end = Date.now() + PATIENCE_MS; left.length > 0 && Date.now() < end; left = await marked(mark)) await delay(20);
  for (const { pid } of left) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has just ended.
    }
  }
  return left.map(({ pid, command }) => `${pid}: ${command}`);
}

async function marked(mark: string): Promise<{ pid: number; command: string }[]> {
  const found: { pid: number; command: string }[] = [];
  for (const name of await readdir("/proc").catch(() => [])) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    // Not readable: not ours. Empty: a zombie, which has ended.
    const environment = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
    if (!environment.split("\0").includes(mark)) continue;
    const command = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " ").trim();
    // esbuild's service serves the whole process (tsx keeps one) and ends with it.
    if (/\besbuild .*--service=/.test(command)) continue;
    found.push({ pid, command: command.slice(0, 200) });
  }
  return found;
}
