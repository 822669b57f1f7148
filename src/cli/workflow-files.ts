/**
 * Users' workflow files: loads TypeScript and JavaScript, finds the workflow definitions among the exports, and says in one line
 * with file and position what is wrong with a file that cannot be used.
 */
import { spawnSync } from "node:child_process";
import { stat } from "node:fs/promises";
import { extname, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isDefinitionError } from "../errors.ts";
import { isWorkflow } from "../workflow/define.ts";
import type { AnyWorkflow } from "../workflow/workflow.ts";
import { CliError } from "./cli-error.ts";
import { lendOwnPackages } from "./own-packages.ts";

const JAVASCRIPT = [".js", ".mjs", ".cjs"];
const TYPESCRIPT = [".ts", ".mts", ".cts", ".tsx", ".jsx"];

/** A workflow file cannot be used. */
export class WorkflowFileError extends CliError {
  override readonly name = "WorkflowFileError";
}

/**
 * All workflows that the files export, by any name; those exported twice count once. Files are looked for from `folder`.
 * @throws WorkflowFileError
 */
export async function loadWorkflows(files: readonly string[], folder: string): Promise<readonly AnyWorkflow[]> {
  const paths = await findWorkflowFiles(files, folder);
  const modules = await loadAll(paths, folder);
  const found = new Map<string, { readonly workflow: AnyWorkflow; readonly file: string }>();
  for (const path of paths) {
    const file = shown(path, folder);
    const workflows = workflowsIn(modules.get(path) ?? {});
    if (workflows.length === 0)
      throw new WorkflowFileError(
        `${file}: exports no workflow; expected something like "export const answer = defineWorkflow({ … }).step(…)"`,
      );
    for (const workflow of workflows) {
      const version = versionOf(workflow, file);
      const other = found.get(workflow.name);
      if (other !== undefined && other.workflow.spec.version !== version) {
        throw new WorkflowFileError(
          `${file}: workflow "${workflow.name}" is another one than the workflow of that name in ${other.file}; give one of them another name`,
        );
      }
      if (other === undefined) found.set(workflow.name, { workflow, file });
    }
  }
  return [...found.values()].map(({ workflow }) => workflow);
}

/** The files as absolute paths. @throws WorkflowFileError for one that is not there, or that cannot be a workflow file. */
export async function findWorkflowFiles(files: readonly string[], folder: string): Promise<readonly string[]> {
  return await Promise.all(
    files.map(async (file) => {
      const path = resolve(folder, file);
      const found = await stat(path).catch(() => undefined);
      if (found === undefined) throw new WorkflowFileError(`${file}: there is no such file`);
      if (found.isDirectory()) throw new WorkflowFileError(`${file}: is a folder; name the files in it`);
      if (![...JAVASCRIPT, ...TYPESCRIPT].includes(extname(path)))
        throw new WorkflowFileError(`${file}: is neither TypeScript nor JavaScript`);
      return path;
    }),
  );
}

let typescript: Promise<void> | undefined;

/** Once per process and for good: handlers may import more when they run. */
function registerTypeScript(): Promise<void> {
  typescript ??= Promise.all([import("tsx/esm/api"), import("tsx/cjs/api")]).then(([esm, cjs]) => {
    cjs.register();
    esm.register();
  });
  return typescript;
}

type ModuleExports = Readonly<Record<string, unknown>>;

/** JavaScript first, by Node.js alone, which says better what is wrong with it than the loader for TypeScript does. */
async function loadAll(paths: readonly string[], folder: string): Promise<ReadonlyMap<string, ModuleExports>> {
  const modules = new Map<string, ModuleExports>();
  const loadSome = async (some: readonly string[]): Promise<void> => {
    for (const path of some) modules.set(path, await load(path, folder));
  };
  const typescript = paths.filter((path) => TYPESCRIPT.includes(extname(path)));
  const javascript = paths.filter((path) => !typescript.includes(path));
  lendOwnPackages(javascript);
  await loadSome(javascript);
  if (typescript.length > 0) await registerTypeScript();
  lendOwnPackages(typescript);
  await loadSome(typescript);
  return modules;
}

async function load(path: string, folder: string): Promise<ModuleExports> {
  try {
    return (await import(pathToFileURL(path).href)) as ModuleExports;
  } catch (error) {
    throw new WorkflowFileError(explain(error, path, shown(path, folder), folder), { cause: error });
  }
}

/** Also below `default`, where CommonJS modules have their exports. */
function workflowsIn(module: ModuleExports): readonly AnyWorkflow[] {
  const found = new Set<AnyWorkflow>();
  const add = (value: unknown): void => {
    if (isWorkflow(value)) found.add(value);
    else if (Array.isArray(value)) for (const one of value) if (isWorkflow(one)) found.add(one);
  };
  const fallback = module["default"];
  for (const value of Object.values(module)) add(value);
  if (typeof fallback === "object" && fallback !== null && !isWorkflow(fallback)) Object.values(fallback).forEach(add);
  return [...found];
}

/** Asked for here, since a definition says only then that it has no steps. */
function versionOf(workflow: AnyWorkflow, file: string): string {
  try {
    return workflow.spec.version;
  } catch (error) {
    throw new WorkflowFileError(`${file}: ${(error as Error).message}`, { cause: error });
  }
}

function explain(error: unknown, path: string, file: string, folder: string): string {
  if (!(error instanceof Error)) return `${file}: threw ${String(error)} when it was loaded`;
  const syntax = syntaxProblem(error, path, folder);
  if (syntax !== undefined) return syntax;
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") return `${file}: ${missingModule(error, path, folder)}`;
  const at = positionOf(error, path);
  const where = at === undefined ? file : `${file}:${at}`;
  if (isDefinitionError(error)) return `${where}: ${error.message}`;
  return `${where}: threw ${error.name === "Error" ? "" : `${error.name}: `}${error.message.split("\n", 1)[0] ?? ""} when it was loaded`;
}

/** Of esbuild (TypeScript) and of Node.js; both name the file that is wrong, which may be one that was imported. */
function syntaxProblem(error: Error, path: string, folder: string): string | undefined {
  const transformed = /^(.+?):(\d+):(\d+): (?:ERROR|error): (.+)$/m.exec(error.message);
  if (transformed !== null)
    return `${shown(transformed[1] ?? "", folder)}:${transformed[2]}:${transformed[3]}: syntax error: ${transformed[4]}`;
  if (!(error instanceof SyntaxError)) return undefined;
  // Of a module, Node.js keeps the position to itself, and says it only where nobody catches the error.
  const checked = spawnSync(process.execPath, ["--check", path], { encoding: "utf8" }).stderr;
  const [, place, line] = /^(.+?):(\d+)$/m.exec(error.stack?.split("\n", 1)[0] ?? "") ?? /^(.+?):(\d+)$/m.exec(checked) ?? [];
  return place === undefined
    ? undefined
    : `${shown(toPath(place), folder)}:${line}: syntax error: ${error.message.split("\n", 1)[0]}`;
}

function missingModule(error: Error, path: string, folder: string): string {
  const [, what = "", importer] = /^Cannot find (?:package|module) '([^']+)'(?: imported from (.+))?/.exec(error.message) ?? [];
  if (what === "") return error.message.split("\n", 1)[0] ?? "";
  const inOther =
    importer === undefined || toPath(importer.trim()) === path ? "" : `, which ${shown(toPath(importer.trim()), folder)} imports`;
  const isFile = /^(?:[./\\]|file:|[A-Za-z]:[\\/])/.test(what);
  return isFile
    ? `there is no file ${shown(toPath(what), folder)}${inOther}`
    : `the package "${what}" is not installed${inOther}; install it with "npm install ${what}"`;
}

/** `line:column` of the innermost call that is in the file. */
function positionOf(error: Error, path: string): string | undefined {
  const lines = error.stack?.split("\n") ?? [];
  for (const line of lines) {
    const [, place, position] = /(?:\(|at (?:async )?)((?:file:\/\/)?[^()]+?):(\d+:\d+)\)?$/.exec(line) ?? [];
    if (place !== undefined && toPath(place) === path) return position;
  }
  return undefined;
}

function toPath(place: string): string {
  const bare = place.replace(/\?.*$/, "");
  return bare.startsWith("file:") ? fileURLToPath(bare) : bare;
}

/** As a person in that folder would write it. */
function shown(path: string, folder: string): string {
  const inside = relative(folder, path);
  return inside === "" || inside.startsWith("..") ? path : inside;
}
