/** Where the dashboard is, and the addresses of its pages; opening one in a browser. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { DATA_FOLDER, findDevRecord } from "./dev-record.ts";
import type { Environment } from "./environment.ts";

const DEFAULT_URL = "http://127.0.0.1:7788";

export interface Dashboard {
  readonly url: string;
  /** How it came to be that address; completes a warning about it. */
  readonly origin: string;
}

/** `--dashboard`, else `SLUICE_DASHBOARD_URL`, else what `sluice dev` runs in this folder, else the usual address. */
export async function findDashboard(given: string | undefined, env: Environment, folder: string): Promise<Dashboard> {
  if (given !== undefined) return { url: given, origin: "it was given with --dashboard" };
  if (env.dashboardUrl !== undefined) return { url: env.dashboardUrl, origin: "it was given in SLUICE_DASHBOARD_URL" };
  const found = await findDevRecord(join(folder, DATA_FOLDER));
  if (found.found === "running" && found.record.dashboardUrl !== undefined)
    return { url: found.record.dashboardUrl, origin: `"sluice dev" (process ${found.record.pid}) serves it` };
  return { url: DEFAULT_URL, origin: "the usual address; another one is named with --dashboard or SLUICE_DASHBOARD_URL" };
}

/** Keys may hold anything, slashes too. */
export function pageUrl(dashboard: string, ...segments: readonly string[]): string {
  return `${dashboard.replace(/\/+$/, "")}/${segments.map(encodeURIComponent).join("/")}`;
}

/** Whether something answers there as a dashboard does. */
export async function answers(dashboard: string, timeoutMs = 1_500): Promise<boolean> {
  try {
    const response = await fetch(pageUrl(dashboard, "healthz"), { signal: AbortSignal.timeout(timeoutMs) });
    // One with a password says 401; it is there.
    return response.ok || response.status === 401;
  } catch {
    return false;
  }
}

/** Shows the address in the user's browser. False where there is none to be seen (no display), or it could not be started. */
export async function openBrowser(url: string, env: NodeJS.ProcessEnv, platform = process.platform): Promise<boolean> {
  const command = browserCommand(url, env, platform);
  if (command === undefined) return false;
  const child = spawn(command.file, command.args, { detached: true, stdio: "ignore" });
  return await new Promise((resolve) => {
    child.once("error", () => resolve(false));
    child.once("spawn", () => {
      child.unref();
      resolve(true);
    });
  });
}

export function browserCommand(
  url: string,
  env: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
): { readonly file: string; readonly args: readonly string[] } | undefined {
  if (platform === "darwin") return { file: "open", args: [url] };
  // `start` would take "&" and the like in an address as its own.
  if (platform === "win32") return { file: "rundll32", args: ["url.dll,FileProtocolHandler", url] };
  if (!env["DISPLAY"] && !env["WAYLAND_DISPLAY"]) return undefined;
  return { file: "xdg-open", args: [url] };
}
