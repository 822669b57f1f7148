/**
 * `.sluice/dev.json`: what `sluice dev` says to other commands in the same folder while it runs. It is removed at the end; one
 * that was left behind by a `kill -9` is recognised, since its process is gone.
 */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

export const DATA_FOLDER = ".sluice";

export interface DevRecord {
  readonly natsUrl: string;
  readonly prefix: string;
  readonly pid: number;
  readonly dashboardUrl?: string | undefined;
}

export type FoundDevRecord =
  | { readonly found: "running"; readonly record: DevRecord }
  /** Left behind: that process is gone. */
  | { readonly found: "stale"; readonly record: DevRecord }
  | { readonly found: "none" };

export function devRecordFile(dataFolder: string): string {
  return join(dataFolder, "dev.json");
}

/** What runs on the data folder, `.sluice` of the folder by default. A file that cannot be read counts as none. */
export async function findDevRecord(dataFolder: string): Promise<FoundDevRecord> {
  let record: unknown;
  try {
    record = JSON.parse(await readFile(devRecordFile(dataFolder), "utf8"));
  } catch {
    return { found: "none" };
  }
  if (!isDevRecord(record)) return { found: "none" };
  return { found: isAlive(record.pid) ? "running" : "stale", record };
}

/** Written whole or not at all: other commands may read at any time. */
export async function writeDevRecord(dataFolder: string, record: DevRecord): Promise<void> {
  await mkdir(dataFolder, { recursive: true });
  const file = devRecordFile(dataFolder);
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, `${JSON.stringify(record, undefined, 2)}\n`);
  await rename(draft, file);
}

/** Takes away one's own record, never another's. */
export async function removeDevRecord(dataFolder: string, pid: number = process.pid): Promise<void> {
  const found = await findDevRecord(dataFolder);
  if (found.found !== "none" && found.record.pid === pid) await rm(devRecordFile(dataFolder), { force: true });
}

function isDevRecord(value: unknown): value is DevRecord {
  if (typeof value !== "object" || value === null) return false;
  const { natsUrl, prefix, pid } = value as Partial<DevRecord>;
  return typeof natsUrl === "string" && typeof prefix === "string" && Number.isSafeInteger(pid) && (pid as number) > 0;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
