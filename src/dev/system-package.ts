/**
 * Gets a program from the package manager of the system, where it can be without root and without touching the system: the
 * package is downloaded and unpacked into a folder of ours. Only brew, and others when we are root, install.
 */
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
}

/** The path of the program, or why it could not be had. Below, `null` stands for "that manager is not on this system". */
export type PackageResult = { readonly path: string } | { readonly failure: string };

/** Downloads a list of packages or a package at the speed of a bad line. */
const TIMEOUT_MS = 120_000;

/** Asks the first manager that this system has. */
export async function unpackSystemPackage(request: PackageRequest): Promise<PackageResult> {
  for (const manager of [apt, apk, brew, pacman, dnf]) {
    const result = await manager(request);
    if (result !== null) return result;
  }
  return { failure: "this system has none of apt-get, apk, brew, pacman, dnf" };
}

/** Debian and Ubuntu. The lists are fetched into our folder when the system has none, so it works without root. */
async function apt({ name, program, folder, env, log }: PackageRequest): Promise<PackageResult | null> {
  if (!(await installed("apt-get", env)) || !(await installed("dpkg", env))) return null;
  await mkdir(join(folder, "lists", "partial"), { recursive: true });
  const run = async (...args: string[]) =>
    await runProgram("apt-get", args, { cwd: folder, env: { ...env, DEBIAN_FRONTEND: "noninteractive" }, timeoutMs: TIMEOUT_MS });
  const own = [`Dir::State::Lists=${join(folder, "lists")}`, `Dir::Cache=${folder}`, "APT::Sandbox::User="].flatMap((option) => [
    "-o",
    option,
  ]);

  log(`apt-get download ${name}`);
  let download = await run("download", name);
  if (download.failure !== undefined) {
    log(`that did not work (${download.failure}); fetching the package lists first`);
    const update = await run(...own, "update");
    if (update.failure !== undefined)
      return { failure: `apt-get download: ${download.failure}; apt-get update: ${update.failure}` };
    download = await run(...own, "download", name);
    if (download.failure !== undefined) return { failure: `apt-get download: ${download.failure}` };
  }
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
