/** Screenshots for people, of tests that are run with `SLUICE_SHOTS` (a folder, or `1` for one in the system's temporary folder). */
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";

export async function shot(page: Page, name: string): Promise<void> {
  const wanted = process.env["SLUICE_SHOTS"];
  if (!wanted) return;
  const folder = wanted === "1" ? join(tmpdir(), "sluice-shots") : wanted;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), animations: "disabled" });
}
