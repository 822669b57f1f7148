/**
 * Once before all browser tests: builds the page from its sources (`SLUICE_TEST_UI_DIR` names a folder where that was done
 * already) and finds a browser. Without one the tests are skipped, and this says so, and why, loudly.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { findBrowser } from "../../../src/dev/browser.ts";

export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  const search = await findBrowser({ install: true, log: (line) => console.error(line) });
  if (search.path === undefined) {
    console.error(
      `\n  ALL BROWSER TESTS ARE SKIPPED: no browser was found\n${search.reasons.map((line) => `    - ${line}`).join("\n")}\n`,
    );
    return undefined;
  }
  process.env["SLUICE_TEST_BROWSER"] = search.path;
  if (process.env["SLUICE_TEST_UI_DIR"]) return undefined;
  const outDir = await mkdtemp(join(tmpdir(), "sluice-ui-"));
  await build({
    configFile: fileURLToPath(new URL("../../../src/ui/vite.config.ts", import.meta.url)),
    logLevel: "warn",
    build: { outDir, emptyOutDir: true },
  });
  process.env["SLUICE_TEST_UI_DIR"] = outDir;
  return async () => await rm(outDir, { recursive: true, force: true });
}
