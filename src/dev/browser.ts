/**
 * Finds a Chromium for the browser tests: the one that `CHROMIUM_PATH` names, an installed Chrome or Chromium, or the system's
 * package. Finding none is no error: the tests are then reported as skipped, with the reasons.
 */
import { findProgram, pathFolders, runProgram } from "./program.ts";

export interface FindBrowserOptions {
  /** Default: this process's environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Whether the system's package may be installed where none is found. It changes the system, needs root and is said aloud. Default false. */
  readonly install?: boolean;
  readonly log?: (line: string) => void;
  /** Where browsers are though they are not on the PATH. */
  readonly systemFolders?: readonly string[];
  /** Default: whether this process is root. */
  readonly root?: boolean;
}

/** The browser's path, or why there is none, one reason per way that was tried. */
export type BrowserSearch = { readonly path: string } | { readonly path: undefined; readonly reasons: readonly string[] };

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "Google Chrome", "Chromium"];
const SYSTEM_FOLDERS = [
  "/usr/bin",
  "/usr/local/bin",
  "/snap/bin",
  "/opt/google/chrome",
  "/Applications/Google Chrome.app/Contents/MacOS",
  "/Applications/Chromium.app/Contents/MacOS",
  "C:\\Program Files\\Google\\Chrome\\Application",
];
const INSTALL_TIMEOUT_MS = 600_000;

export async function findBrowser(options: FindBrowserOptions = {}): Promise<BrowserSearch> {
  const { env = process.env, install = false, log = () => undefined, systemFolders = SYSTEM_FOLDERS } = options;
  const named = env["CHROMIUM_PATH"];
  if (named) {
    // Whoever names one wants that one: none other is taken in its stead.
    const path = await findProgram(named, pathFolders(env["PATH"]));
    return path === undefined ? { path: undefined, reasons: [`CHROMIUM_PATH: there is no program ${named}`] } : { path };
  }
  const folders = [...pathFolders(env["PATH"]), ...systemFolders];
  const installed = await firstOf(folders);
  if (installed !== undefined) return { path: installed };

  const reasons = ["CHROMIUM_PATH: not set", `none of ${NAMES.slice(0, 4).join(", ")} is installed`];
  const failure = install ? await installPackage(env, options.root ?? process.getuid?.() === 0, log) : "was not to be installed";
  const path = failure === undefined ? await firstOf(folders) : undefined;
  return path === undefined
    ? { path, reasons: [...reasons, `the system's package: ${failure ?? "has no browser in it"}`] }
    : { path };
}

async function firstOf(folders: readonly string[]): Promise<string | undefined> {
  for (const name of NAMES) {
    const path = await findProgram(name, folders);
    if (path !== undefined) return path;
  }
  return undefined;
}

/** Debian and Ubuntu only. Returns why it failed. */
async function installPackage(env: NodeJS.ProcessEnv, root: boolean, log: (line: string) => void): Promise<string | undefined> {
  if ((await findProgram("apt-get", pathFolders(env["PATH"]))) === undefined) return "this system has no apt-get";
  if (!root) return "installing it needs root: sudo apt-get install chromium";
  const apt = async (...args: string[]) => {
    log(`INSTALLING a browser for the tests on this system: apt-get ${args.join(" ")}`);
    return (
      await runProgram("apt-get", args, { env: { ...env, DEBIAN_FRONTEND: "noninteractive" }, timeoutMs: INSTALL_TIMEOUT_MS })
    ).failure;
  };
  const install = ["install", "-y", "-q", "--no-install-recommends", "chromium"];
  if ((await apt(...install)) === undefined) return undefined;
  return (await apt("update", "-q")) ?? (await apt(...install));
}
