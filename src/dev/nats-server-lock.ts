/**
 * Who uses a data folder: a small file that names the process that started the server and the server itself. nats-server does
 * not lock its store, and two servers on one store destroy it.
 */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { NatsServerError } from "./nats-server-error.ts";
import { runProgram } from "./program.ts";

/** What the file says. Process ids come round again, so each is kept with the time its process began. */
interface LockRecord {
  readonly owner: number;
  readonly ownerBegan: string;
  readonly server?: number;
}

export interface DataLock {
  /** Notes the server's process id, once it is known. */
  record(serverPid: number): Promise<void>;
  release(): Promise<void>;
}

/**
 * Takes the folder. A live owner means `NATS_DATA_IN_USE`; a dead owner's server that still runs (recognised by `configFile` on
 * its command line) is ended first.
 */
export async function acquireDataLock(storeDir: string, configFile: string): Promise<DataLock> {
  const file = join(storeDir, "nats-server.lock");
  const record: LockRecord = { owner: process.pid, ownerBegan: (await processBegan(process.pid)) ?? "" };
  for (;;) {
    try {
      await writeFile(file, JSON.stringify(record), { flag: "wx" });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const other = await readLock(file);
    if (other !== undefined) {
      if ((await processBegan(other.owner)) === other.ownerBegan) {
        const who = other.owner === process.pid ? "this process" : `process ${other.owner}`;
        throw new NatsServerError(
          "NATS_DATA_IN_USE",
          `the data folder ${storeDir} is in use by ${who}, which runs a nats-server on it; stop that one, or choose another folder`,
        );
      }
      if (other.server !== undefined) await endOrphan(other.server, configFile);
    }
    await rm(file, { force: true });
  }
  return {
    record: async (serverPid) => await writeFile(file, JSON.stringify({ ...record, server: serverPid })),
    release: async () => await rm(file, { force: true }),
  };
}

async function readLock(file: string): Promise<LockRecord | undefined> {
  try {
    const value = JSON.parse(await readFile(file, "utf8")) as Partial<LockRecord>;
    return typeof value.owner === "number" && typeof value.ownerBegan === "string" ? (value as LockRecord) : undefined;
  } catch {
    return undefined; // gone in the meantime, or half written by a process that died: nobody holds it
  }
}

async function endOrphan(pid: number, configFile: string): Promise<void> {
  for (const [signal, patienceMs] of [
    ["SIGTERM", 10_000],
    ["SIGKILL", 5_000],
  ] as const) {
    if (!(await commandLine(pid)).includes(configFile)) return;
    try {
      process.kill(pid, signal);
    } catch {
      return;
    }
    for (const end = Date.now() + patienceMs; (await processBegan(pid)) !== undefined && Date.now() < end;) await delay(20);
  }
}

/**
 * When the process began, in the system's own words: what differs between two processes that had the same id. Undefined when
 * there is no such process, or only its remains that nobody has collected (a zombie).
 */
async function processBegan(pid: number): Promise<string | undefined> {
  if (process.platform === "linux") {
    const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    // After the last ")": the first field is the state, the twentieth the start time in ticks since boot.
    const fields = status.slice(status.lastIndexOf(")") + 2).split(" ");
    return status === "" || fields[0] === "Z" ? undefined : fields[19];
  }
  if (process.platform === "win32") return isAlive(pid) ? "" : undefined;
  const { stdout } = await runProgram("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { timeoutMs: 2000 });
  const [, state, began] = stdout.trim().match(/^(\S+)\s+(.*)$/) ?? [];
  return state?.startsWith("Z") === true ? undefined : began;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** The command line of a process; empty when it is gone or belongs to somebody else. */
async function commandLine(pid: number): Promise<string> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
  } catch {
    if (process.platform === "linux" || process.platform === "win32") return "";
    return (await runProgram("ps", ["-o", "command=", "-p", String(pid)], { timeoutMs: 2000 })).stdout.trim();
  }
}
