/** <Chart> alone in a page: built with Vite, served under the policy of the dashboard. For the chart's own tests. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { onCleanup } from "../../support/cleanup.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
};

/** Address of the page. Call it in `beforeAll`. */
export async function startChartHarness(): Promise<string> {
  const outDir = await mkdtemp(join(tmpdir(), "sluice-chart-"));
  onCleanup(() => rm(outDir, { recursive: true, force: true }));
  await build({
    configFile: false,
    root: fileURLToPath(new URL("./chart-harness", import.meta.url)),
    logLevel: "warn",
    build: { outDir, emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  });
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const file = join(outDir, normalize(path === "/" ? "/index.html" : path));
    readFile(file).then(
      (content) => {
        response.writeHead(200, {
          "content-type": TYPES[extname(file)] ?? "application/octet-stream",
          "content-security-policy": "default-src 'self'; img-src 'self' data:",
        });
        response.end(content);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onCleanup(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}
