/** A dashboard before an engine of the test's making: what it answers is up to the test, how it is reached is real. */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import type { OperationHandlers } from "../../src/nats/service.ts";
import { startDashboard, type Dashboard, type DashboardOptions } from "../../src/server/index.ts";
import { onCleanup } from "./cleanup.ts";
import { startFakeEngine, type FakeEngine } from "./fake-engine.ts";
import { ask } from "./http.ts";
import { startTestServer } from "./nats.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export interface DashboardWorld {
  readonly servers: string;
  readonly engine: FakeEngine;
  /** Built files: `index.html`, `assets/page-AbCd1234.js`, `plain.svg`, and a link that leads out of the folder. */
  readonly uiDir: string;
  start(options?: Partial<DashboardOptions>): Promise<Dashboard>;
}

export const PAGE = `<!doctype html><html><head><meta name="sluice-token" content="" /><title>Sluice</title></head></html>`;
export const SECRET = "what is beside the folder";

export async function startDashboardWorld(operations: OperationHandlers = {}): Promise<DashboardWorld> {
  const server = await startTestServer();
  const engine = await startFakeEngine(server.url);
  engine.serve({ "worker.list": () => ({ items: [] }), ...operations });
  await engine.connection.flush();
  const uiDir = await pageFolder();
  return {
    servers: server.url,
    engine,
    uiDir,
    start: async (options = {}) => {
      const dashboard = await startDashboard({
        servers: server.url,
        port: 0,
        uiDir,
        logger: pino({ level: "silent" }),
        ...options,
      });
      onCleanup(async () => await dashboard.stop());
      return dashboard;
    },
  };
}

/** As a build would be. */
export async function pageFolder(): Promise<string> {
  const folder = await temporaryFolder("ui");
  const uiDir = join(folder, "ui");
  await mkdir(join(uiDir, "assets"), { recursive: true });
  await writeFile(join(folder, "secret.txt"), SECRET);
  await writeFile(join(uiDir, "index.html"), PAGE);
  await writeFile(join(uiDir, "plain.svg"), "<svg/>");
  await writeFile(join(uiDir, "assets", "page-AbCd1234.js"), "export {};");
  await symlink(join(folder, "secret.txt"), join(uiDir, "link.txt"));
  return uiDir;
}

/** As the page gets it. */
export async function tokenOf({ url }: Dashboard, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const { text } = await ask(url, "/", { headers });
  return /<meta name="sluice-token" content="([^"]+)"/.exec(text)?.[1] ?? "";
}
