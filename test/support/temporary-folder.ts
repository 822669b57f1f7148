/** A fresh folder for a test, removed at its end. */
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onCleanup } from "./cleanup.ts";

export async function temporaryFolder(name = "test"): Promise<string> {
  const folder = await mkdtemp(join(await realpath(tmpdir()), `sluice-${name}-`));
  onCleanup(async () => await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }));
  return folder;
}
