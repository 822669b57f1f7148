/**
 * For workflow files outside of any project: where `sluice` is not installed beside them, their `import … from "sluice"` (and
 * `"zod"`) finds the packages that this command itself has. Where it is installed, nothing of this is in effect.
 */
import Module, { createRequire } from "node:module";

const NAMES = ["sluice", "zod"];

/** Runs in the thread of Node's module hooks, so it is handed over as text. */
const HOOK = `
let own, names;
export function initialize(data) { ({ own, names } = data); }
export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND" || !names.includes(specifier.split("/")[0])) throw error;
    return await next(specifier, { ...context, parentURL: own });
  }
}`;

type ResolveFilename = (request: string, ...rest: readonly unknown[]) => string;

let lent = false;

/** Call it after other hooks are registered: it asks them first. */
export function lendOwnPackages(files: readonly string[]): void {
  if (lent || files.every((file) => hasSluice(file))) return;
  lent = true;
  Module.register(`data:text/javascript,${encodeURIComponent(HOOK)}`, {
    parentURL: import.meta.url,
    data: { own: import.meta.url, names: NAMES },
  });

  // CommonJS, and TypeScript that is compiled to it (where no package.json says "module"), do not pass the hooks.
  const loader = Module as unknown as { _resolveFilename: ResolveFilename };
  const resolveFilename = loader._resolveFilename;
  const ownRequire = createRequire(import.meta.url);
  loader._resolveFilename = (request, ...rest) => {
    try {
      return resolveFilename.call(Module, request, ...rest);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND" || !NAMES.includes(request.split("/")[0] ?? ""))
        throw error;
      return ownRequire.resolve(request);
    }
  };
}

function hasSluice(file: string): boolean {
  try {
    createRequire(file).resolve("sluice");
    return true;
  } catch {
    return false;
  }
}
