/**
 * Gets a program from the package manager of the system, where it can be without root and without touching the system: the
 * package is downloaded and unpacked into a folder of ours. Only brew, and others when we are root, install.
 */
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileFromTarGz } from "./archive.ts";
import { findProgram, pathFolders, runProgram } from "./program.ts";

export interface PackageRequest {
  /** The package's name. */
  readonly name: string;
  /** The program in it. */
  readonly program: string;
  /** An empty folder of ours. */
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
  /** Default: whether this process is root. */
  readonly root?: boolean;
  /** Whether this program, which may be old, will do; where it will not, a later release of the system is looked at too. */
  readonly accept?: (path: string) => Promise<boolean>;
}

/** The path of the program, or why it could not be had. Below, `null` stands for "that manager is not on this system". */
export type PackageResult = { readonly path: string } | { readonly failure: string };

/** Downloads a list of packages or a package at the speed of a bad line. */
const TIMEOUT_MS = 120_000;
/** Of Debian's releases, also of later ones; where it is missing, apt has its own. */
const DEBIAN_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Asks the first manager that this system has. */
export async function unpackSystemPackage(request: PackageRequest): Promise<PackageResult> {
  for (const manager of [apt, apk, brew, pacman, dnf]) {
    const result = await manager(request);
    if (result !== null) return result;
  }
  return { failure: "this system has none of apt-get, apk, brew, pacman, dnf" };
}

/** Debian and Ubuntu. The lists are fetched into our folder when the system has none, so it works without root. */
async function apt(request: PackageRequest): Promise<PackageResult | null> {
  const { name, folder, env, log, accept } = request;
  if (!(await installed("apt-get", env)) || !(await installed("dpkg", env))) return null;
  log(`apt-get download ${name}`);
  const system = join(folder, "system");
  await mkdir(system, { recursive: true });
  const failure = await aptDownload(request, system, []);
  if (failure !== undefined) {
    log(`that did not work (${failure}); fetching the package lists first`);
    const again = await aptDownload(request, system, await ownLists(system));
    if (again !== undefined) return { failure: `${failure}; ${again}` };
  }
  const own = await unpackDeb(request, system);
  if ("failure" in own) return own;
  if (accept === undefined || (await accept(own.path))) return own;
  const later = await fromStable(request);
  if (!("failure" in later) && (await accept(later.path))) return later;
  log(`${name} of Debian's stable release: ${"failure" in later ? later.failure : "it is too old as well"}`);
  return own;
}

/** The package as Debian's stable release has it, for a system of an earlier one: from the system's own mirror, into our folder. */
async function fromStable(request: PackageRequest): Promise<PackageResult> {
  const { env, log, folder } = request;
  const { stdout } = await runProgram(
    "apt-get",
    ["indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)", "Identifier: Packages"],
    { cwd: folder, env, timeoutMs: TIMEOUT_MS },
  );
  const [uri] =
    stdout
      .split("\n")
      .map((line) => line.split("|"))
      .find(([at = "", release = "", component]) => at.endsWith("/debian/") && !release.includes("-") && component === "main") ??
    [];
  if (uri === undefined) return { failure: "this system has no mirror of Debian" };
  log(`apt-get download ${request.name}, of Debian's stable release`);
  const stable = join(folder, "stable");
  await mkdir(stable, { recursive: true });
  const list = join(stable, "sources.list");
  await writeFile(list, `deb ${existsSync(DEBIAN_KEYS) ? `[signed-by=${DEBIAN_KEYS}] ` : ""}${uri} stable main\n`);
  const sources = ["-o", `Dir::Etc::SourceList=${list}`, "-o", "Dir::Etc::SourceParts=-"];
  const failure = await aptDownload(request, stable, [...sources, ...(await ownLists(stable))]);
  return failure === undefined ? unpackDeb(request, stable) : { failure };
}

/** Package lists of our own, in a folder of ours. */
async function ownLists(folder: string): Promise<string[]> {
  await mkdir(join(folder, "lists", "partial"), { recursive: true });
  const options = [`Dir::State::Lists=${join(folder, "lists")}`, `Dir::Cache=${folder}`, "APT::Sandbox::User="];
  return options.flatMap((option) => ["-o", option]);
}

/** Why the package could not be downloaded into the folder; with options, the lists that they name are fetched first. */
async function aptDownload(
  { name, env }: PackageRequest,
  folder: string,
  options: readonly string[],
): Promise<string | undefined> {
  for (const step of [...(options.length > 0 ? [["update"]] : []), ["download", name]]) {
    const { failure } = await runProgram("apt-get", [...options, ...step], {
      cwd: folder,
      env: { ...env, DEBIAN_FRONTEND: "noninteractive" },
      timeoutMs: TIMEOUT_MS,
    });
    if (failure !== undefined) return `apt-get ${step[0]}: ${failure}`;
  }
  return undefined;
}

async function unpackDeb({ name, program, env }: PackageRequest, folder: string): Promise<PackageResult> {
  const file = (await readdir(folder)).find((entry) => entry.endsWith(".deb"));
  if (file === undefined) return { failure: "apt-get download fetched no package" };
  const { failure } = await runProgram("dpkg", ["-x", file, "unpacked"], { cwd: folder, env, timeoutMs: TIMEOUT_MS });
  if (failure !== undefined) return { failure: `dpkg -x: ${failure}` };
  const path = await findProgram(
    program,
    ["usr/sbin", "usr/bin", "sbin", "bin"].map((bin) => join(folder, "unpacked", bin)),
  );
  return path === undefined ? { failure: `the package ${name} has no ${program} in it` } : { path };
}

/** Alpine. */
async function apk({ name, program, folder, env, log }: PackageRequest): Promise<PackageResult | null> {
  if (!(await installed("apk", env))) return null;
  log(`apk fetch ${name}`);
  const { failure } = await runProgram("apk", ["fetch", "--no-cache", "--output", folder, name], { env, timeoutMs: TIMEOUT_MS });
  if (failure !== undefined) return { failure: `apk fetch: ${failure}` };
  const file = (await readdir(folder)).find((entry) => entry.endsWith(".apk"));
  const content =
    file === undefined ? undefined : fileFromTarGz(await readFile(join(folder, file)), (path) => path.endsWith(`bin/${program}`));
  if (content === undefined) return { failure: `apk fetch: there is no ${program} in the package ${name}` };
  const path = join(folder, program);
  await writeFile(path, content);
  await chmod(path, 0o755);
  return { path };
}

async function brew(request: PackageRequest): Promise<PackageResult | null> {
  return await install(request, "brew", ["install", "--quiet", request.name], false);
}

async function pacman(request: PackageRequest): Promise<PackageResult | null> {
  return await install(request, "pacman", ["-Sy", "--noconfirm", "--needed", request.name], true);
}

async function dnf(request: PackageRequest): Promise<PackageResult | null> {
  return await install(request, "dnf", ["install", "-y", "-q", request.name], true);
}

/** Changes the system, so it is said aloud. */
async function install(
  request: PackageRequest,
  manager: string,
  args: string[],
  needsRoot: boolean,
): Promise<PackageResult | null> {
  const { name, program, env, log } = request;
  if (!(await installed(manager, env))) return null;
  const command = [manager, ...args].join(" ");
  if (needsRoot && !(request.root ?? process.getuid?.() === 0)) return { failure: `${command} needs root` };
  log(`INSTALLING ${name} on this system: ${command}`);
  const { failure } = await runProgram(manager, args, { env, timeoutMs: 5 * TIMEOUT_MS });
  if (failure !== undefined) return { failure: `${command}: ${failure}` };
  const path = await findProgram(program, [...pathFolders(env["PATH"]), "/opt/homebrew/bin", "/usr/local/bin", "/usr/sbin"]);
  return path === undefined ? { failure: `${command} worked, but there is no ${program} on the PATH` } : { path };
}

async function installed(program: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  return (await findProgram(program, pathFolders(env["PATH"]))) !== undefined;
}
