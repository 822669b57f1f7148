/** Where fetched programs are kept: per user, so that all clones and all started projects share them. */
import { homedir } from "node:os";
import { join } from "node:path";

/** `SLUICE_CACHE_DIR`, else `$XDG_CACHE_HOME/sluice`, else `~/.cache/sluice` (on Windows `%LOCALAPPDATA%\sluice`). */
export function cacheFolder(env: NodeJS.ProcessEnv, platform: NodeJS.Platform = process.platform): string {
  if (env["SLUICE_CACHE_DIR"]) return env["SLUICE_CACHE_DIR"];
  if (env["XDG_CACHE_HOME"]) return join(env["XDG_CACHE_HOME"], "sluice");
  if (platform === "win32" && env["LOCALAPPDATA"]) return join(env["LOCALAPPDATA"], "sluice");
  return join(env["HOME"] || homedir(), ".cache", "sluice");
}
